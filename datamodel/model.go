// Package datamodel defines the stored result of a run: the run itself, the tree of its metrics, its processes and its
// warnings. It also holds the catalogue that defines each metric.
// Package series folds readings. Package account builds the tree from them. Package store writes the result, and
// package report shows it.
package datamodel

import (
	"cmp"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Level is the depth of a node in the tree, from the project down to one sensor.
type Level string

// The levels, top down. These words are stored in nodes.parquet.
const (
	App         Level = "app"
	MultiRun    Level = "multi_run"
	RunLevel    Level = "run"
	HostLevel   Level = "host"
	DeviceLevel Level = "device"
	SensorLevel Level = "sensor"
)

// Node is one node of the tree. Its path joins the names from the root with '/'. A '/' within a name is written as '|'.
type Node struct {
	Name  string
	Level Level
	// Family is the sensor family of the node ("cpu", "gpu", "target"). It is empty above the device level.
	Family string
	// Sensor describes a leaf. It is nil for other nodes.
	Sensor   *sensors.Sensor
	Meta     []Pair
	Metrics  []Metric
	Children []*Node
}

// Pair is one line of metadata. A slice of pairs keeps its order when printed and stored.
type Pair struct{ Key, Value string }

// Metric is one result on a node.
type Metric struct {
	Name string
	// Value is NaN if it is missing. Then Reason says why, and Provenance is sensors.Missing.
	Value float64
	Unit  units.Unit
	// Aggregation says how Value was made from the readings or the children: "delta", "mean", "sum", "max", "last",
	// "integral", "share".
	Aggregation string
	Provenance  sensors.Provenance
	// Source names the sensor, file, call or model that gave the value.
	Source string
	Reason string
	// Count is the number of readings behind the value. Gaps is the number of readings that were missing or refused.
	Count, Gaps int64
	// Min, Max, Mean and Std describe the readings of a gauge. For a counter they describe its rate per second between
	// readings. They are NaN without readings. Mean and Std (of the population) are weighted by time. For an estimate,
	// Min and Max are the range that may hold the truth.
	Min, Max, Mean, Std float64
	// Uncertainty bounds the error of Value in both directions, in Unit. It covers how long the counters behind Value
	// take to move on. It excludes systematic errors of a counter or a model. NaN means unknown.
	Uncertainty float64
	// Bound tells whether Value is a bound of the quantity. It is "" if Value is the quantity itself.
	Bound Bound
	// AtMost bounds the quantity from above, in Unit, if Value is missing or a lower bound. It includes the
	// uncertainty. NaN means that no bound is known.
	AtMost float64
	// Parts are the parts of the machine that an energy or power covers, in the order in which Source names them.
	Parts []Part
	// Absence is the ID of the row in Run.Missing that explains a missing Value. It is "" for any other reason.
	Absence string
}

// Bound tells on which side of a value the truth may lie beyond the uncertainty.
type Bound string

// The bounds. These words are stored in files.
const (
	// LowerBound means that the truth may be larger: something was not seen or not counted.
	LowerBound Bound = "lower"
	// UpperBound means that the truth may be smaller.
	UpperBound Bound = "upper"
)

// Part is a part of the machine whose energy was measured.
type Part struct {
	Kind PartKind `json:"kind"`
	// Name is the name for people: "packages + dram", "GPUs".
	Name string `json:"name"`
}

// PartKind is the kind of a part of the machine.
type PartKind string

// The kinds of parts.
const (
	// CPUPart is the processors, with their memory if it is counted.
	CPUPart PartKind = "cpus"
	// PlatformPart is more than the processors: the platform or the whole machine.
	PlatformPart PartKind = "platform"
	// GPUPart is the GPUs.
	GPUPart PartKind = "gpus"
)

// HasPart reports whether an energy or power covers a part of this kind.
func (m Metric) HasPart(kind PartKind) bool {
	return slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Kind == kind })
}

// Missing returns a metric without a value.
func Missing(name string, unit units.Unit, reason string) Metric {
	nan := math.NaN()
	return Metric{
		Name: name, Value: nan, Unit: unit, Provenance: sensors.Missing, Reason: reason,
		Min: nan, Max: nan, Mean: nan, Std: nan, Uncertainty: nan, AtMost: nan,
	}
}

// Value returns a metric that is known as a whole, not from a series of readings.
func Value(name string, v float64, unit units.Unit, aggregation string, from sensors.Provenance, source string) Metric {
	m := Missing(name, unit, "")
	m.Value, m.Aggregation, m.Provenance, m.Source = v, aggregation, from, source
	return m
}

// Lacking returns m without its value, for the reason given.
func (m Metric) Lacking(reason string) Metric {
	out := Missing(m.Name, m.Unit, reason)
	out.Source, out.Count, out.Gaps = m.Source, m.Count, m.Gaps
	return out
}

// WithValue returns m with the value v. If v is not finite, the value is missing.
func (m Metric) WithValue(v float64) Metric {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return m.Lacking("too large for a number")
	}
	m.Value = v
	return m
}

// WithExtreme returns m with the value of one of its extremes. What bounds the value does not bound an extreme.
func (m Metric) WithExtreme(v float64) Metric {
	out := m.WithValue(v)
	out.Uncertainty, out.Bound, out.AtMost = math.NaN(), "", math.NaN()
	if math.IsNaN(v) {
		out.Reason = "no readings over time"
	}
	return out
}

// Least returns m as a lower bound. most is what is known of its upper bound, NaN if nothing is.
func (m Metric) Least(most float64) Metric {
	m.Bound, m.AtMost = LowerBound, Finite(most)
	return m
}

// Most returns the largest value that the quantity can have, or NaN if that is unknown. If the uncertainty is unknown, it
// returns the value.
func (m Metric) Most() float64 {
	if m.Bound == LowerBound {
		return m.AtMost
	}
	if math.IsNaN(m.Uncertainty) {
		return m.Value
	}
	return m.Value + m.Uncertainty
}

// Total adds metrics that have values. The sum has the weakest provenance of the parts. Its uncertainty is the sum of
// their uncertainties, and unknown if one of them is unknown. The sum is a bound if a part is one. If the parts bound
// it from both sides, its uncertainty is unknown.
func Total(name string, unit units.Unit, parts []Metric, source string) Metric {
	m := Value(name, 0, unit, "sum", sensors.FromCounter, source)
	m.Uncertainty = 0
	most := 0.0
	for _, p := range parts {
		switch {
		case p.Bound == "" || p.Bound == m.Bound:
		case m.Bound == "":
			m.Bound = p.Bound
		default:
			m.Uncertainty = math.NaN()
		}
		most += p.Most()
		m.Value += p.Value
		m.Uncertainty += p.Uncertainty
		m.Count += p.Count
		m.Gaps += p.Gaps
		m.Provenance = m.Provenance.Weaker(p.Provenance)
	}
	m.Uncertainty = Finite(m.Uncertainty)
	if m.Bound == LowerBound {
		m.AtMost = Finite(most)
	}
	return m.WithValue(m.Value)
}

// Finite returns v, or NaN if v is infinite.
func Finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// Pick returns the metric with this name from a list, or a missing metric with a reason.
func Pick(list []Metric, name string) Metric {
	for _, m := range list {
		if m.Name == name {
			return m
		}
	}
	return Missing(name, "", "not measured")
}

// Metric returns the node's metric with this name, or a missing metric with a reason.
func (n *Node) Metric(name string) Metric { return Pick(n.Metrics, name) }

// Find returns the first node with this level and name, at or below n, depth first. It returns nil if there is none.
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

// First returns the first node with this level, at or below n, depth first. It returns nil if there is none.
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
	// Subject is the ID of the sensor or source, the name of a condition of the machine ("other_load"), or "run".
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Count is how often the problem was seen. It is 0 if counting makes no sense.
	Count int64 `json:"count,omitempty"`
	// Cause says for programs what is wrong. It is "" if Subject says it.
	Cause WarningCause `json:"cause,omitempty"`
}

// WarningCause is what is wrong, as a word that is stored in files.
type WarningCause string

// KernelCount means that a counter of the kernel contradicts other counters of the kernel.
const KernelCount WarningCause = "kernel_count"

// Outcome is how a run ended. It is data: the result says what failed, not only the exit code.
type Outcome string

// The outcomes. A run can reach each of them. A run folder says Unfinished until another outcome is known. If ergon was
// killed, it stays Unfinished until ergon recover finds it.
const (
	Done           Outcome = "done"
	TargetFailed   Outcome = "target_failed"
	NotFound       Outcome = "not_found"
	NotExecutable  Outcome = "not_executable"
	SamplerFailed  Outcome = "sampler_failed"
	ProfilerFailed Outcome = "profiler_failed"
	TimedOut       Outcome = "timed_out"
	OverBudget     Outcome = "over_budget"
	Cancelled      Outcome = "cancelled"
	Unfinished     Outcome = "unfinished"
)

// Outcomes lists all outcomes except Unfinished.
func Outcomes() []Outcome {
	return []Outcome{
		Done, TargetFailed, NotFound, NotExecutable, SamplerFailed, ProfilerFailed, TimedOut, OverBudget, Cancelled,
	}
}

// ManifestSchema is the version of manifest.json.
const ManifestSchema = "ergon.run/2"

// ReadsManifest reports whether this ergon reads manifests of a version. Version 1 has longer figures in its summary.
func ReadsManifest(schema string) bool { return schema == ManifestSchema || schema == "ergon.run/1" }

// Run is everything known about a run except its tree. It is the content of manifest.json.
type Run struct {
	Schema  string `json:"schema"`
	ID      string `json:"id"`
	Project string `json:"project"`
	// Command is the command with its arguments. What looked like a secret was masked before it got here. In JSON a byte
	// that is not UTF-8 becomes U+FFFD; CommandBytes then holds all arguments as they are. SetCommand sets both.
	Command      []string `json:"command"`
	CommandBytes [][]byte `json:"command_bytes,omitempty"`
	// NoArguments is true if the arguments were left out: Command is the program alone.
	NoArguments bool `json:"no_arguments,omitempty"`
	// Folder is the working folder of the command.
	Folder  string  `json:"folder"`
	Outcome Outcome `json:"outcome"`
	// Reason explains an outcome other than done, in words.
	Reason string `json:"reason,omitempty"`
	// ExitCode is the target's exit code. It is nil if a signal ended the target or it never started. Signal is then
	// the name of the signal ("SIGTERM").
	ExitCode *int   `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
	// Start is just before the target's execve. The target ended WallTime later. If there was no execve, or not yet,
	// Start is when ergon was called. The ID and the folder always use the time of the call.
	Start time.Time `json:"start"`
	// WallTime is the time from just before the target's execve to just after it was reaped, in seconds. It is nil
	// until then.
	WallTime *float64 `json:"wall_time"`
	Host     HostInfo `json:"host"`
	// Sources lists what was read, and at what cost.
	Sources  []SourceStats     `json:"sources"`
	Missing  []sensors.Absence `json:"missing"`
	Warnings []Warning         `json:"warnings"`
	// Accounting names the source of the target's CPU time.
	Accounting string `json:"accounting,omitempty"`
	// Spark holds the points of the summary's sparklines, by course ("power", "target_cpu"). Each has at most 60 means
	// over equal parts of the run, in base units. A part without a reading is null.
	Spark map[string][]*float64 `json:"spark,omitempty"`
	// Summary holds the metrics of the summary by name, so that a list of runs needs no other file. It is nil until the
	// result is made.
	Summary map[string]Figure `json:"summary,omitempty"`
	// Bench describes a bench: many rounds of one command or several. It is nil for a plain run. In a bench Command is the
	// first command, Start the time of the call, and WallTime the time of the whole bench. Summary has the medians of its
	// only command, and is nil if there are several.
	Bench *Bench `json:"bench,omitempty"`
	// Baseline is the machine's power at idle. It is nil if no baseline was requested.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Estimate is true if an estimate of the processors' energy was requested.
	Estimate bool `json:"estimate,omitempty"`
	// Factors are the factors for carbon and cost that were given with the command.
	Factors Factors `json:"factors,omitzero"`
	// Version is the version of the ergon that measured.
	Version string `json:"version"`
	// Files lists the other files in the run's folder, as they were written. It is nil if the run was made by an ergon that
	// kept no digests, and empty if there are no files yet.
	Files []File `json:"files"`
	// Recovered is true if ergon recover made the result, from the readings that a killed ergon had left.
	Recovered bool `json:"recovered,omitempty"`
	// Budgets are what the run was allowed to cost, with the verdicts.
	Budgets []Budget `json:"budgets,omitempty"`
	// Replayed is set if the result was made from a tape. Then nothing was measured here.
	Replayed *Replay `json:"replayed,omitempty"`
}

// SetCommand sets Command, and CommandBytes if an argument is not UTF-8.
func (r *Run) SetCommand(argv []string) {
	r.Command, r.CommandBytes = argv, nil
	if slices.ContainsFunc(argv, func(a string) bool { return !utf8.ValidString(a) }) {
		for _, a := range argv {
			r.CommandBytes = append(r.CommandBytes, []byte(a))
		}
	}
}

// RestoreCommand brings back the arguments that JSON could not hold, after a Run was read from JSON.
func (r *Run) RestoreCommand() {
	if len(r.CommandBytes) != len(r.Command) {
		r.CommandBytes = nil // not from SetCommand
		return
	}
	for i, b := range r.CommandBytes {
		r.Command[i] = string(b)
	}
}

// File is a file in a run's folder.
type File struct {
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the digest of its content, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// Figure is a metric in its short form.
type Figure struct {
	// Value is nil if it is missing. Then Reason says why.
	Value *float64 `json:"value"`
	// The manifest leaves Unit out if it is the catalogue's, and Provenance if the value is missing.
	Unit       units.Unit         `json:"unit,omitempty"`
	Provenance sensors.Provenance `json:"provenance,omitempty"`
	// Uncertainty is the metric's uncertainty in Unit. It is nil if unknown.
	Uncertainty *float64 `json:"uncertainty,omitempty"`
	// Absence is the ID of the row in Run.Missing that explains a missing value. If that row has the same reason, the
	// manifest leaves Reason out.
	Absence string `json:"absence,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Bound and AtMost are the metric's. AtMost is nil if unknown.
	Bound  Bound    `json:"bound,omitempty"`
	AtMost *float64 `json:"at_most,omitempty"`
	// Parts are the metric's, of an energy or power.
	Parts []Part `json:"parts,omitempty"`
}

// Metric returns the figure as a metric of this name. It does not say how the value was aggregated, nor where it came from.
func (f Figure) Metric(name string) Metric {
	orNaN := func(v *float64) float64 {
		if v == nil {
			return math.NaN()
		}
		return *v
	}
	if f.Value == nil {
		m := Missing(name, f.Unit, cmp.Or(f.Reason, "not measured"))
		m.AtMost, m.Absence = orNaN(f.AtMost), f.Absence
		return m
	}
	m := Value(name, *f.Value, f.Unit, "", f.Provenance, "")
	m.Uncertainty, m.Bound, m.AtMost, m.Reason, m.Parts = orNaN(f.Uncertainty), f.Bound, orNaN(f.AtMost), f.Reason, f.Parts
	return m.WithValue(m.Value)
}

// Figures returns the metrics of a summary by name.
func Figures(summary []Metric) map[string]Figure {
	known := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	out := make(map[string]Figure, len(summary))
	for _, m := range summary {
		out[m.Name] = Figure{known(m.Value), m.Unit, m.Provenance, known(m.Uncertainty), m.Absence, m.Reason, m.Bound, known(m.AtMost), m.Parts}
	}
	return out
}

// The courses in Run.Spark. The first two are the machine's: the power in W of the sensors that make up its energy, and
// the busy share of its CPUs. The others are the command's, with at most 20 points: its share of the power in W, the CPUs
// that it kept busy, its memory in bytes, and what it read from and wrote to storage in bytes per second. A course of the
// command needs 8 readings.
const (
	SparkPower        = "power"
	SparkCPU          = "cpu"
	SparkTargetPower  = "target_power"
	SparkTargetCPU    = "target_cpu"
	SparkTargetMemory = "target_memory"
	SparkTargetDisk   = "target_disk"
)

// NotEstimated is the reason of an estimate that nobody asked for.
const NotEstimated = "not requested (--estimate)"

// Replay describes how a replayed run was made.
type Replay struct {
	// Tape is the name of the tape's file, without its folder.
	Tape string `json:"tape"`
	// LeftOut lists what the tape lacks or does not hold as it was.
	LeftOut []string `json:"left_out"`
	// Version is the version of the ergon that replayed the tape.
	Version string `json:"version"`
}

// HostInfo describes the machine. It is queried once per run.
type HostInfo = sensors.Machine

// SourceStats describes how reading one source went.
type SourceStats struct {
	Name string `json:"name"`
	// Interval is the time between beats, in seconds.
	Interval float64 `json:"interval"`
	Sensors  int     `json:"sensors"`
	// Readings is the number of rows. Missed counts the beats that were skipped because the source or the machine was
	// late. Late counts the beats that began more than half an interval after their time. Failed counts the empty rows.
	Readings int64 `json:"readings"`
	Missed   int64 `json:"missed,omitempty"`
	Late     int64 `json:"late,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
	// ReadTime is the wall time spent reading, in seconds. Worst is the longest single reading.
	ReadTime float64 `json:"read_time"`
	Worst    float64 `json:"worst"`
	// Edges has one entry for each energy counter whose next step was awaited at both ends. It is nil if this was not
	// requested.
	Edges []Edge `json:"edges,omitempty"`
	// Hung is true if the source did not answer at the end. The figures above then end at its last reading. Missed
	// alone counts all beats since.
	Hung bool `json:"hung,omitempty"`
}

// Edge bounds the age of a counter's value in the first and in the last row of its source.
type Edge struct {
	// Sensor is the sensor's ID.
	Sensor string `json:"sensor"`
	// First and Last are the times since the counter was last seen not yet moved, in seconds. They are nil if it did
	// not move while ergon waited.
	First *float64 `json:"first"`
	Last  *float64 `json:"last"`
	// After is how much the counter rose from the last row to its next move, in J. So it bounds what the counter had not
	// yet shown in that row. It is below 0 if the counter wrapped, or if the last row was wrong. It is nil if nobody
	// waited for that move.
	After *float64 `json:"after,omitempty"`
}

// Result is everything that is known about a run.
type Result struct {
	Run Run
	// Tree is the app node. It is nil if nothing could be processed.
	Tree *Node
	// Summary holds the metrics of the run in the order of the catalogue. It is nil if nothing could be processed.
	Summary []Metric
	// Processes is the table of the target's processes. It is nil if they were not tracked.
	Processes []Process
	// Regions are the parts of its work that the command told, with what each cost. It is nil if there are none.
	Regions *Regions
	// Events are what happened during the run, in the order of their times.
	Events []Event
	// Charts holds the courses of each host and round. It is nil if they were not read.
	Charts []Chart
}
