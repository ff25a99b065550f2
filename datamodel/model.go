// Package datamodel is what is kept of a run: the run itself, the tree of its metrics, processes, warnings, and the
// catalogue that says what each metric is. Package series folds readings, package account makes the tree of them,
// package store writes it, package report shows it.
package datamodel

import (
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Level is the place of a node in the tree, from the project down to one sensor.
type Level string

// The levels, top down. The words are stored in nodes.parquet.
const (
	App         Level = "app"
	MultiRun    Level = "multi_run"
	RunLevel    Level = "run"
	HostLevel   Level = "host"
	DeviceLevel Level = "device"
	SensorLevel Level = "sensor"
)

// Node is one place of the tree. Its path is the names from the root joined by '/', a '/' within a name written '|'.
type Node struct {
	Name  string
	Level Level
	// Family is the sensor family the node belongs to ("cpu", "gpu", "target"); empty above the device level.
	Family string
	// Sensor describes a leaf; nil elsewhere.
	Sensor   *sensors.Sensor
	Meta     []Pair
	Metrics  []Metric
	Children []*Node
}

// Pair is one line of metadata. A slice of them keeps its order when printed and stored.
type Pair struct{ Key, Value string }

// Metric is one result on a node.
type Metric struct {
	Name string
	// Value is NaN where there is none; Reason then says why, and Provenance is sensors.Missing.
	Value float64
	Unit  units.Unit
	// Aggregation says how Value was made from the readings or the children: "delta", "mean", "sum", "max", "last",
	// "integral", "share".
	Aggregation string
	Provenance  sensors.Provenance
	// Source names the sensor, file, call or model the value comes from.
	Source string
	Reason string
	// Count is the number of readings the value stands on, Gaps the number that were missing or refused.
	Count, Gaps int64
	// Min, Max, Mean and Std describe the readings of a gauge, and of a counter its rate per second between readings;
	// NaN where there are none. Mean and Std (of the population) are weighted by time. Of an estimate Min and Max are the
	// range that the truth may lie in.
	Min, Max, Mean, Std float64
	// Uncertainty is how far Value may be off to either side, in Unit, by the time that the counters behind it take to
	// move on; NaN where that is not known. What is systematically wrong with a counter, or with a model, is not in it.
	Uncertainty float64
	// AtMost bounds a missing Value from above, in Unit: no counter moved, and more would have moved one. NaN if nothing
	// is known of it.
	AtMost float64
	// Parts are what a Value of the machine's energy or power is made of, in the order in which Source names them.
	Parts []Part
	// Absence is the ID of the row of Run.Missing that is the reason of a missing Value; "" for any other reason.
	Absence string
}

// Part is a part of the machine that an energy is of.
type Part struct {
	Kind PartKind `json:"kind"`
	// Name is for people: "packages + dram", "GPUs".
	Name string `json:"name"`
}

// PartKind says what a part of the machine is.
type PartKind string

// The kinds of parts.
const (
	// CPUPart is processors, with their memory if that is counted.
	CPUPart PartKind = "cpus"
	// PlatformPart is more than processors: the platform or the whole machine.
	PlatformPart PartKind = "platform"
	// GPUPart is the GPUs.
	GPUPart PartKind = "gpus"
)

// HasPart says whether an energy has a part of that kind.
func (m Metric) HasPart(kind PartKind) bool {
	return slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Kind == kind })
}

// Missing is a metric without a value.
func Missing(name string, unit units.Unit, reason string) Metric {
	nan := math.NaN()
	return Metric{
		Name: name, Value: nan, Unit: unit, Provenance: sensors.Missing, Reason: reason,
		Min: nan, Max: nan, Mean: nan, Std: nan, Uncertainty: nan, AtMost: nan,
	}
}

// Value is a metric that was known as a whole, not from a series of readings.
func Value(name string, v float64, unit units.Unit, aggregation string, from sensors.Provenance, source string) Metric {
	m := Missing(name, unit, "")
	m.Value, m.Aggregation, m.Provenance, m.Source = v, aggregation, from, source
	return m
}

// Lacking is m without its value, for a reason.
func (m Metric) Lacking(reason string) Metric {
	out := Missing(m.Name, m.Unit, reason)
	out.Source, out.Count, out.Gaps = m.Source, m.Count, m.Gaps
	return out
}

// WithValue is m with the value v, or without one if v is not finite.
func (m Metric) WithValue(v float64) Metric {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return m.Lacking("too large for a number")
	}
	m.Value = v
	return m
}

// Total adds metrics that have values. It is as certain as the least certain of them. Its uncertainty is the sum of
// theirs, and is not known if one of them is not.
func Total(name string, unit units.Unit, parts []Metric, source string) Metric {
	m := Value(name, 0, unit, "sum", sensors.FromCounter, source)
	m.Uncertainty = 0
	for _, p := range parts {
		m.Value += p.Value
		m.Uncertainty += p.Uncertainty
		m.Count += p.Count
		m.Gaps += p.Gaps
		m.Provenance = m.Provenance.Weaker(p.Provenance)
	}
	m.Uncertainty = Finite(m.Uncertainty)
	return m.WithValue(m.Value)
}

// Finite is v, or NaN if v is infinite.
func Finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// Pick is the metric of that name in a list, or a missing one that says so.
func Pick(list []Metric, name string) Metric {
	for _, m := range list {
		if m.Name == name {
			return m
		}
	}
	return Missing(name, "", "not measured")
}

// Metric is the node's metric of that name, or a missing one that says so.
func (n *Node) Metric(name string) Metric { return Pick(n.Metrics, name) }

// Find is the first node at or below n with that level and name, depth first; nil where there is none.
func (n *Node) Find(level Level, name string) *Node {
	if n.Level == level && n.Name == name {
		return n
	}
	for _, c := range n.Children {
		if f := c.Find(level, name); f != nil {
			return f
		}
	}
	return nil
}

// First is the first node at that level at or below n; nil where there is none.
func (n *Node) First(level Level) *Node {
	if n.Level == level {
		return n
	}
	for _, c := range n.Children {
		if f := c.First(level); f != nil {
			return f
		}
	}
	return nil
}

// Warning is a doubt about a result. It travels with the result and is printed as a footnote.
type Warning struct {
	// Subject is the id of the sensor or source, the name of a condition of the machine ("other_load"), or "run".
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Count is how often it was seen; 0 where counting makes no sense.
	Count int64 `json:"count,omitempty"`
}

// Outcome is how a run ended. It is data: what failed is in the result, not only in the exit code.
type Outcome string

// The outcomes, every one of which a run can reach. Unfinished is what a run folder says until one of the others is
// known; ergon recover finds it where ergon was killed.
const (
	Done           Outcome = "done"
	TargetFailed   Outcome = "target_failed"
	NotFound       Outcome = "not_found"
	NotExecutable  Outcome = "not_executable"
	SamplerFailed  Outcome = "sampler_failed"
	ProfilerFailed Outcome = "profiler_failed"
	TimedOut       Outcome = "timed_out"
	Cancelled      Outcome = "cancelled"
	Unfinished     Outcome = "unfinished"
)

// Outcomes lists all of them but Unfinished.
func Outcomes() []Outcome {
	return []Outcome{
		Done, TargetFailed, NotFound, NotExecutable, SamplerFailed, ProfilerFailed, TimedOut, Cancelled,
	}
}

// ManifestSchema is the version of manifest.json.
const ManifestSchema = "ergon.run/1"

// Run is what is known about a run beside its tree: the content of manifest.json.
type Run struct {
	Schema  string   `json:"schema"`
	ID      string   `json:"id"`
	Project string   `json:"project"`
	Command []string `json:"command"`
	// Folder is the working folder of the command.
	Folder  string  `json:"folder"`
	Outcome Outcome `json:"outcome"`
	// Reason says in words what an outcome other than done means here.
	Reason string `json:"reason,omitempty"`
	// ExitCode is that of the target, nil where a signal ended it or it never started; Signal is then its name
	// ("SIGTERM").
	ExitCode *int   `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
	// Start is just before the target's execve, so that WallTime later it has ended; where it never came to that, or has not
	// yet, it is when ergon was called. The id and the folder have the latter in any case.
	Start time.Time `json:"start"`
	// WallTime is the time from just before the target's execve to just after it was reaped, in seconds; nil before
	// that.
	WallTime *float64 `json:"wall_time"`
	Host     HostInfo `json:"host"`
	// Sources is what was read, and at what cost.
	Sources  []SourceStats     `json:"sources"`
	Missing  []sensors.Absence `json:"missing"`
	Warnings []Warning         `json:"warnings"`
	// Accounting names what gave the target's CPU time.
	Accounting string `json:"accounting,omitempty"`
	// Spark holds at most 60 means over equal parts of the run for the summary's sparklines, by what is drawn
	// ("power", "cpu"); null where a part has no reading.
	Spark map[string][]*float64 `json:"spark,omitempty"`
	// Summary is the metrics of the summary by their names, so that a list of runs needs no other file. It is nil until the
	// result is made.
	Summary map[string]Figure `json:"summary,omitempty"`
	// Baseline is what the machine took idle, nil where that was not asked for.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Estimate is true where an estimate of the processors' energy was asked for.
	Estimate bool `json:"estimate,omitempty"`
	// Version is that of the ergon that measured.
	Version string `json:"version"`
	// Replayed is set where the result was made from a tape, and nothing was measured here.
	Replayed *Replay `json:"replayed,omitempty"`
}

// Figure is a metric in short.
type Figure struct {
	// Value is nil if there is none; Reason then says why.
	Value      *float64           `json:"value"`
	Unit       units.Unit         `json:"unit"`
	Provenance sensors.Provenance `json:"provenance"`
	// Uncertainty is that of the metric, nil if it is not known.
	Uncertainty *float64 `json:"uncertainty,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// Figures is the metrics of a summary by their names.
func Figures(summary []Metric) map[string]Figure {
	known := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	out := make(map[string]Figure, len(summary))
	for _, m := range summary {
		out[m.Name] = Figure{known(m.Value), m.Unit, m.Provenance, known(m.Uncertainty), m.Reason}
	}
	return out
}

// The courses that Run.Spark holds.
const (
	SparkPower = "power"
	SparkCPU   = "cpu"
)

// Replay says what a replayed run was made from and by.
type Replay struct {
	// Tape is the name of the file, without its folder.
	Tape string `json:"tape"`
	// LeftOut is what is not on the tape or not as it was.
	LeftOut []string `json:"left_out"`
	// Version is that of the ergon that replayed it.
	Version string `json:"version"`
}

// HostInfo describes the machine, asked once a run.
type HostInfo = sensors.Machine

// SourceStats is how reading one source went.
type SourceStats struct {
	Name string `json:"name"`
	// Interval is the time between beats in seconds.
	Interval float64 `json:"interval"`
	Sensors  int     `json:"sensors"`
	// Readings is the number of rows, Missed the beats that had to be skipped since the source or the machine was
	// late, Late those that began more than half an interval after their time, Failed the rows with nothing in them.
	Readings int64 `json:"readings"`
	Missed   int64 `json:"missed"`
	Late     int64 `json:"late"`
	Failed   int64 `json:"failed"`
	// ReadTime is the wall time spent in reading, in seconds; Worst the longest single reading.
	ReadTime float64 `json:"read_time"`
	Worst    float64 `json:"worst"`
	// Edges is one for each energy counter that was waited for to move at both ends; nil where that was not asked for.
	Edges []Edge `json:"edges,omitempty"`
	// Hung is true when the source did not answer at the end. The figures above are then those up to its last reading, but for
	// Missed, in which all beats since are.
	Hung bool `json:"hung,omitempty"`
}

// Edge tells how old what a counter showed can have been in the first and in the last row of its source.
type Edge struct {
	// Sensor is its id.
	Sensor string `json:"sensor"`
	// First and Last are the times since the counter was last seen not to have moved yet, in seconds; nil where it did not
	// move within the time that was waited.
	First *float64 `json:"first"`
	Last  *float64 `json:"last"`
}

// Course is a counter that nothing was read of: it follows from others by a model. It has one value at each end of the
// intervals in which the model was applied.
type Course struct {
	Sensor sensors.Sensor
	// At are the times after one fixed moment, and Values one for each.
	At     []time.Duration
	Values []float64
}

// Result is all there is of a run.
type Result struct {
	Run Run
	// Tree is the app node; nil where nothing could be processed.
	Tree *Node
	// Summary is the metrics of the run in the order of the catalogue; nil if nothing could be processed.
	Summary []Metric
	// Processes is the table of the target's processes; nil where they were not looked at.
	Processes []Process
}
