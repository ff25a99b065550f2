package datamodel

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Input is what a tree is built from.
type Input struct {
	Run    Run
	Ledger Ledger
	// Series is one for each sensor that was opened, in the order they are to appear in; none where the sampler failed.
	Series []*Series
}

// Build makes the tree of one run, app, multi_run, run, host, device and sensor, with the metrics of every node, and
// collects what is doubtful. It does not change its input.
//
// The run, the multi_run and the app carry the metrics of the summary, all of them; as long as a multi_run has one
// run they are the same. The host carries what was measured of the machine, a device what its sensors came to.
func Build(in Input) (*Node, []Warning) {
	b := newBuilder(in)
	in = b.in
	for _, s := range in.Series {
		b.warnings = append(b.warnings, s.Warnings()...)
	}
	b.warnGaps()
	b.warnings = append(b.warnings, b.energy.warnings...)
	b.warnings = append(b.warnings, b.energy.warnUnreadable(in.Run.Missing)...)
	b.doubtBaseline()
	summary := b.summary()

	host := &Node{Name: orElse(in.Run.Host.Name, "localhost"), Level: HostLevel, Meta: b.hostMeta()}
	host.Metrics = b.hostMetrics(summary)
	host.Children = b.devices(summary)
	run := &Node{
		Name: "0", Level: RunLevel, Meta: b.runMeta(), Metrics: summary, Children: []*Node{host},
	}
	multi := &Node{
		Name: orElse(in.Run.ID, "run"), Level: MultiRun, Metrics: slices.Clone(summary), Children: []*Node{run},
	}
	app := &Node{
		Name: orElse(in.Run.Project, "app"), Level: App, Metrics: slices.Clone(summary), Children: []*Node{multi},
	}
	return app, b.warnings
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// warnGaps says of each family how many readings are missing. Each sensor by itself would be a warning too many: where a file
// cannot be read, all that is in it is missing.
func (b *builder) warnGaps() {
	type gap struct {
		sensors, missing, rows int64
		subject                string
		last                   time.Duration // of the last reading, where none came after it
	}
	var families []string
	gaps := make(map[string]*gap)
	for _, s := range b.in.Series {
		n := s.unread()
		if n == 0 {
			continue
		}
		g := gaps[s.sensor.Family]
		if g == nil {
			g = &gap{subject: s.sensor.ID}
			gaps[s.sensor.Family] = g
			families = append(families, s.sensor.Family)
		}
		g.sensors++
		if n > g.missing {
			g.missing, g.rows, g.last = n, s.rows, 0
			if s.missed > 0 {
				g.last = s.lastAt
			}
		}
	}
	for _, family := range families {
		g := gaps[family]
		text := fmt.Sprintf("%d of %d readings are missing", g.missing, g.rows)
		if g.sensors > 1 {
			g.subject, text = family, text+fmt.Sprintf(", of %d sensors", g.sensors)
		}
		if g.last > 0 {
			text += fmt.Sprintf("; none came after %s", brief(g.last))
		}
		b.warnings = append(b.warnings, Warning{Subject: g.subject, Text: text, Count: g.missing})
	}
}

type builder struct {
	in       Input
	energy   energyChoice
	warnings []Warning
	// shared is target_energy, other_energy and idle_energy, division how they came about; it is empty where they are
	// not known.
	shared   []Metric
	division division
	// gpus is whose the energy of each GPU was, gpuWhose what of that is not in the summary, gpusIdle the last of it.
	gpus     []gpuShare
	gpuWhose []Metric
	gpusIdle Metric
}

func newBuilder(in Input) *builder {
	in.Series = learned(in.Series)
	return &builder{in: in, energy: chooseEnergy(in.Series)}
}

func (b *builder) warn(subject, format string, args ...any) {
	b.warnings = append(b.warnings, Warning{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (b *builder) runMeta() []Pair {
	r := b.in.Run
	meta := []Pair{
		{"command", strings.Join(r.Command, " ")},
		{"folder", r.Folder},
		{"outcome", string(r.Outcome)},
	}
	if r.Reason != "" {
		meta = append(meta, Pair{"reason", r.Reason})
	}
	if r.ExitCode != nil {
		meta = append(meta, Pair{"exit_code", strconv.Itoa(*r.ExitCode)})
	}
	if r.Signal != "" {
		meta = append(meta, Pair{"signal", r.Signal})
	}
	return append(meta, Pair{"start", r.Start.UTC().Format(time.RFC3339Nano)}, Pair{"version", r.Version})
}

func (b *builder) hostMeta() []Pair {
	meta := HostFacts(b.in.Run.Host)
	if len(b.energy.summed()) > 0 {
		meta = append(meta, Pair{"energy", b.energy.source()})
	}
	if base := b.in.Run.Baseline; base != nil {
		meta = append(meta, Pair{"baseline", base.String()})
	}
	return meta
}

// hostMetrics is the part of the summary that is of the machine, and whose its energy was.
func (b *builder) hostMetrics(summary []Metric) []Metric {
	var out []Metric
	for _, name := range []string{
		"energy", "power", "gpu_energy", "gpu_memory_peak", "cpu_utilization", "network_receive", "network_transmit",
		"target_energy", "other_energy", "idle_energy", "net_energy", "gpu_target_energy",
		"estimated_energy", "estimated_target_energy",
	} {
		out = append(out, pick(summary, name))
	}
	return append(append(out, b.stealTime()), b.gpuWhose...)
}

// pick is the metric of that name.
func pick(list []Metric, name string) Metric {
	for _, m := range list {
		if m.Name == name {
			return m
		}
	}
	return Missing(name, "", "not measured")
}

// devices groups the series by family and device, in the order they come. The target and the profiler are there even
// without a series.
func (b *builder) devices(summary []Metric) []*Node {
	var out []*Node
	at := make(map[string]*Node)
	device := func(family, name string) *Node {
		full := family
		if name != "" {
			full += "/" + name
		}
		n := at[full]
		if n == nil {
			n = &Node{Name: full, Level: DeviceLevel, Device: family}
			at[full] = n
			out = append(out, n)
		}
		return n
	}
	for _, s := range b.in.Series {
		sensor := s.sensor
		leaf := &Node{
			Name: sensor.Name, Level: SensorLevel, Device: sensor.Family, Sensor: &sensor, Metrics: s.Metrics(),
		}
		leaf.Meta = append(leaf.Meta, b.precision(s)...)
		if said := s.alignment(); said != "" {
			leaf.Meta = append(leaf.Meta, Pair{"aligned", said})
		}
		n := device(sensor.Family, sensor.Device)
		n.Children = append(n.Children, leaf)
		if verdict := b.energy.verdict[s]; verdict != "" {
			leaf.Meta = append(leaf.Meta, Pair{"summed", verdict})
			if verdict == inSum {
				n.Meta = append(n.Meta, Pair{"summed", verdict})
			}
		}
	}
	for i, d := range b.derived() {
		m := b.shared[i]
		m.Name = d.Sensor.Name
		n := device(d.Sensor.Family, "")
		n.Children = append(n.Children, &Node{
			Name: d.Sensor.Name, Level: SensorLevel, Device: d.Sensor.Family, Sensor: &d.Sensor, Metrics: []Metric{m},
		})
	}
	target, profiler := device("target", ""), device("profiler", "")
	for _, n := range out {
		if n != target && n != profiler {
			n.Metrics = b.deviceMetrics(n)
		}
	}
	for _, g := range b.gpus {
		n := device("gpu", g.device)
		n.Metrics = append(n.Metrics, g.target, g.other, g.idle)
	}
	courses, ends := b.gpuDerived()
	for i, d := range courses {
		n := device("gpu", d.Sensor.Device)
		n.Children = append(n.Children, &Node{
			Name: d.Sensor.Name, Level: SensorLevel, Device: "gpu", Sensor: &d.Sensor, Metrics: []Metric{ends[i]},
		})
	}
	target.Metrics = b.targetMetrics(summary)
	profiler.Metrics = b.profilerMetrics(summary)
	return out
}

// precision is how finely and how often a sensor gives another value, and how long reading its source took: numbers in
// base units. What is not known has no line.
func (b *builder) precision(s *Series) []Pair {
	var out []Pair
	add := func(key string, v float64) {
		if v > 0 {
			out = append(out, Pair{key, strconv.FormatFloat(v, 'g', 6, 64)})
		}
	}
	add("resolution", s.sensor.Resolution)
	add("update_period", s.sensor.Update.Seconds())
	for _, src := range b.in.Run.Sources {
		if src.Name == s.readBy && !src.Hung && src.Readings > 0 {
			out = append(out, Pair{"read_by", src.Name})
			add("interval", src.Interval)
			add("read_time_mean", src.ReadTime/float64(src.Readings))
			add("read_time_worst", src.Worst)
		}
	}
	return out
}

// deviceMetrics is what the sensors of a device came to. Where two of them give the same, as the counter and the power
// gauge of a GPU both give energy and power, it is the one that is in the sum, else the one whose name it is.
func (b *builder) deviceMetrics(device *Node) []Metric {
	var out []Metric
	rank := make(map[string]int)
	for _, leaf := range device.Children {
		for _, m := range leaf.Metrics {
			r := 0
			switch {
			case m.Provenance == sensors.Missing:
				r = 3
			case m.Name == "energy" && slices.Contains(leaf.Meta, Pair{"summed", inSum}):
			case m.Name == leaf.Name:
				r = 1
			default:
				r = 2
			}
			old, known := rank[m.Name]
			if known && old <= r {
				continue
			}
			rank[m.Name] = r
			if i := slices.IndexFunc(out, func(o Metric) bool { return o.Name == m.Name }); i >= 0 {
				out[i] = m
			} else {
				out = append(out, m)
			}
		}
	}
	return out
}

// targetMetrics is what is known of the target, in the summary or beside it.
func (b *builder) targetMetrics(summary []Metric) []Metric {
	var out []Metric
	for _, name := range []string{
		"cpu_time", "cpu_user_time", "cpu_system_time", "peak_memory", "processes", "disk_read", "disk_write",
		"target_energy", "gpu_target_energy", "estimated_target_energy",
	} {
		out = append(out, pick(summary, name))
	}
	l := b.in.Ledger
	for _, f := range []struct {
		name   string
		unit   units.Unit
		known  *float64
		source string
	}{
		{"read_chars", units.Byte, l.ReadChars, fromIO},
		{"write_chars", units.Byte, l.WriteChars, fromIO},
		{"read_calls", units.Calls, l.ReadCalls, fromIO},
		{"write_calls", units.Calls, l.WriteCalls, fromIO},
		{"minor_faults", units.Faults, l.MinorFaults, fromWait},
		{"major_faults", units.Faults, l.MajorFaults, fromWait},
		{"voluntary_switches", units.Switches, l.VoluntarySwitches, fromWait},
		{"involuntary_switches", units.Switches, l.InvoluntarySwitches, fromWait},
		{"survivors", units.Processes, l.Survivors, "processes of the tree at the target's end"},
	} {
		aggregation := "delta"
		if f.name == "survivors" {
			aggregation = "last"
		}
		out = append(out, b.ledgerOr(f.name, f.unit, f.known, aggregation, f.source, f.name))
	}
	out = append(out, b.ledgerOr("stopped_time", units.Second, nil, "", "", "stopped_time"))
	if s := b.find("target", "threads"); s != nil {
		out = append(out, s.Metrics()...)
	}
	return append(out, b.gpuPeak("target_memory"))
}

const (
	fromWait = "wait4, of the target and the descendants it waited for"
	fromIO   = "/proc/PID/io of the ended target, with the children it waited for"
)

// ledgerOr is what the ledger knows, else what the target's sensor of that name came to, under the name given.
func (b *builder) ledgerOr(
	name string, unit units.Unit, known *float64, aggregation, source, sensor string,
) Metric {
	if v, ok := have(known); ok {
		return Value(name, v, unit, aggregation, sensors.FromCounter, source)
	}
	if s := b.find("target", sensor); s != nil {
		m := s.Metrics()[0]
		m.Name, m.Unit = name, unit
		return m
	}
	return Missing(name, unit, b.whyMissing("target", "target/"+sensor))
}

// profilerMetrics is what measuring cost: CPU time, memory, and the wall time spent in reading each source.
func (b *builder) profilerMetrics(summary []Metric) []Metric {
	own := pick(summary, "profiler_cpu_time")
	own.Name = "cpu_time"
	out := []Metric{own}
	if s := b.find("profiler", "memory"); s != nil {
		out = append(out, s.Metrics()...)
	}
	var missed, late float64
	for _, src := range b.in.Run.Sources {
		missed += float64(src.Missed)
		late += float64(src.Late)
		name := "read_time/" + src.Name
		if src.Hung {
			out = append(out, Missing(name, units.Second, "the source did not answer at the end"))
			continue
		}
		m := Value(name, src.ReadTime, units.Second, "sum", sensors.FromCounter, "monotonic clock around each reading")
		m.Count, m.Gaps = src.Readings, src.Failed
		out = append(out, m)
	}
	if len(b.in.Run.Sources) > 0 {
		out = append(out,
			Value("missed", missed, units.Beats, "sum", sensors.FromCounter, "sampler"),
			Value("late", late, units.Beats, "sum", sensors.FromCounter, "sampler"))
	}
	return out
}

// find is the series of a sensor of a family as a whole, nil where there is none.
func (b *builder) find(family, name string) *Series {
	for _, s := range b.in.Series {
		if s.sensor.Family == family && s.sensor.Device == "" && s.sensor.Name == name {
			return s
		}
	}
	return nil
}

// whyMissing is the reason why there is nothing of a family: what its backend said of the first of ids that it said
// anything of, then of anything else in the family; failing that, that the readings as a whole are missing.
func (b *builder) whyMissing(family string, ids ...string) string {
	for _, id := range append(ids, family) {
		for _, a := range b.in.Run.Missing {
			if a.ID == id && a.Reason != "" {
				return a.Reason
			}
		}
	}
	for _, a := range b.in.Run.Missing {
		if strings.HasPrefix(a.ID, family+"/") && a.Reason != "" {
			return a.Reason
		}
	}
	if len(b.in.Series) > 0 {
		return "no such sensor was read"
	}
	if b.in.Run.Outcome == SamplerFailed && b.in.Run.Reason != "" {
		return "no readings: " + b.in.Run.Reason
	}
	return "no readings"
}

// have takes a value from the ledger; what is not a number is not known.
func have(p *float64) (float64, bool) {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return math.NaN(), false
	}
	return *p, true
}
