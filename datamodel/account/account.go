// Package account makes the result of a run from what was read and from what the runner knows. The result is the tree
// of metrics, the summary, the courses, the process table and the doubts. The package is pure: it uses no
// files and no clock.
//
// Account is called once per run. Each step takes the results of the steps before it and returns its own.
package account

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Input holds everything that a result is made from.
type Input struct {
	Run   datamodel.Run
	Hosts []Host
	// Brief leaves out what a round of many does not need: the tree, the charts and Run.Spark. Everything else is the same.
	Brief bool
}

// Host holds what was read and what is known on one host.
type Host struct {
	Machine datamodel.HostInfo
	Ledger  datamodel.Ledger
	// Series has one entry for each sensor that was opened, in the order of the result. It is empty if the sampler
	// failed.
	Series []*series.Series
	// Seen is what the looks at the command's processes saw. It is nil if there were none.
	Seen *datamodel.SeenProcesses
	// Regions are the parts of its work that the command told. It is nil if there are none.
	Regions *datamodel.Regions
	// Told is what the command said about itself, in the order of time. Its own figures are taken from here for the charts.
	Told     []datamodel.Mark
	Sources  []datamodel.SourceStats
	Missing  []sensors.Absence
	Baseline *datamodel.Baseline
}

// OneHost returns the input of a run on one machine, which the run itself describes.
func OneHost(run datamodel.Run, ledger datamodel.Ledger, list []*series.Series, seen *datamodel.SeenProcesses) Input {
	return Input{Run: run, Hosts: []Host{{
		Machine: run.Host, Ledger: ledger, Series: list, Seen: seen,
		Sources: run.Sources, Missing: run.Missing, Baseline: run.Baseline,
	}}}
}

// Result is the result of the accounting.
type Result struct {
	// Tree is the app node; nil if the result is brief. Below it are multi_run, run, host, device and sensor nodes.
	Tree *datamodel.Node
	// Summary holds all metrics of the summary, in the order of the catalogue.
	Summary []datamodel.Metric
	// Charts holds the courses of each host.
	Charts []datamodel.Chart
	// Processes is the table of the command's processes. It is nil if there were no looks at them.
	Processes []datamodel.Process
	// Regions has the regions of the command, with their metrics. It is nil if there are none.
	Regions *datamodel.Regions
	// Events are what happened during the run. Account leaves them empty: the caller has them.
	Events []datamodel.Event
	// Stopped is the time in s in which every process of the command was stopped. It is 0 if nothing is known of it.
	Stopped float64
	// Spark is the content of Run.Spark.
	Spark    map[string][]*float64
	Warnings []datamodel.Warning
	// Missing lists absences that show only in the readings.
	Missing []sensors.Absence
}

// Account makes the result of a run. It does not change its input.
//
// The run, the multi_run and the app carry all metrics of the summary. They are equal as long as a multi_run has one
// run. A host carries what was measured on the machine. A device carries the results of its sensors.
func Account(in Input) Result {
	var out Result
	var hosts []*datamodel.Node
	var summaries [][]datamodel.Metric
	for _, of := range in.Hosts {
		r := accountHost(in.Run, of, in.Brief)
		hosts, summaries = append(hosts, r.node), append(summaries, r.summary)
		out.Charts = append(out.Charts, r.chart)
		out.Processes = append(out.Processes, r.processes...)
		if out.Regions == nil {
			out.Regions = r.regions
		}
		out.Warnings = append(out.Warnings, r.warnings...)
		out.Missing = append(out.Missing, r.missing...)
		out.Stopped = max(out.Stopped, r.stopped)
		if out.Spark == nil { // from the first host; a sum over hosts would need a chart of its own
			out.Spark = r.spark
		}
	}
	out.Summary = overHosts(hosts, summaries)
	if in.Brief {
		out.Charts = nil
		return out
	}
	out.Tree = tree(in.Run, out.Summary, hosts)
	return out
}

// doubts collects the warnings of a host, in the order of the steps.
type doubts struct{ list []datamodel.Warning }

func (w *doubts) add(subject, format string, args ...any) {
	w.list = append(w.list, datamodel.Warning{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

// host holds what is known about one host before the accounting. Its methods look things up and change nothing.
type host struct {
	Host
	run    datamodel.Run
	energy energyChoice
	// left says that processes of the command ran outside the cgroup that ergon made for it. What the cgroup counted is
	// then only a part.
	left bool
	// unwaited says that wait4's counts of the ended target leave out processes of the command, or may do so.
	unwaited bool
	// refused lists the bytes of the command that the kernel did not show.
	refused []sensors.Absence
}

// hostResult is the result of one host.
type hostResult struct {
	node      *datamodel.Node
	summary   []datamodel.Metric
	chart     datamodel.Chart
	processes []datamodel.Process
	regions   *datamodel.Regions
	spark     map[string][]*float64
	stopped   float64
	warnings  []datamodel.Warning
	missing   []sensors.Absence
}

// accountHost runs all steps of the accounting for one host, from its series to its node of the tree. A brief result has no
// courses, and its node has a name only.
func accountHost(run datamodel.Run, of Host, brief bool) hostResult {
	of.Series = withSeenPeriods(of.Series)
	h := &host{Host: of, run: run, energy: chooseEnergy(of.Series)}
	h.left = h.findLeft()
	h.unwaited = h.findUnwaited()
	h.refused = h.findRefused()
	h.Missing = append(slices.Clip(h.Missing), h.refused...)
	w := &doubts{}
	for _, s := range h.Series {
		w.list = append(w.list, s.Warnings()...)
	}
	h.warnGaps(w)
	w.list = append(w.list, h.energy.warnings...)
	w.list = append(w.list, h.energy.warnUnreadable(h.Missing)...)
	h.doubtBaseline(w)

	made := made{}
	made.add(h.times(w)...)
	made.add(h.sizes(w)...)
	made.add(h.network(w)...)
	made.add(h.energies(w)...)
	busy, used := h.machineCPU(), made[datamodel.CPUTime]
	made.add(busy.utilization())
	made.add(h.estimates(busy, used, w)...)
	cpus := h.shareCPUs(busy, used, w)
	made.add(cpus.target, cpus.other, cpus.idle)
	gpus := h.shareGPUs(made[datamodel.GPUEnergy], w)
	made.add(gpus.target)
	made.add(h.net(made[datamodel.Energy], cpus.idle, gpus.idle))
	made.add(h.profilerTime(), h.limitUtilization(used))
	h.interference(busy, made, w)
	h.unseenEnd(made)
	h.doubtContainer(w)
	h.doubtInventory(w)

	r := hostResult{summary: made.summary(), missing: slices.Concat(h.refused, h.noMeters())}
	if brief {
		r.node = &datamodel.Node{Name: h.name()}
	} else {
		r.chart = h.chart(cpus, gpus)
		r.spark = h.sparks(r.chart, cpus, gpus)
		r.node = h.node(r.summary, cpus, gpus)
	}
	if c := h.find(sensors.TargetStopped); c != nil && c.Delta() > 0 {
		r.stopped = c.Delta()
	}
	r.regions = h.regions(made, cpus, gpus)
	rows, warnings := processes(h.seen(), run, h.Ledger, r.summary)
	r.processes, r.warnings = rows, append(w.list, warnings...)
	return r
}

// unseenEnd makes lower bounds of the metrics that grow with time, if ergon did not see the end of the run.
func (h *host) unseenEnd(made made) {
	if h.Ledger.LeastWallTime == nil {
		return
	}
	for name, m := range made {
		d, _ := datamodel.Lookup(name)
		if m.Reason == "" && m.Bound != datamodel.UpperBound && (d.Adds || d.Aggregate == datamodel.Max) {
			made[name] = m.Least(math.NaN())
		}
	}
}

// made holds the metrics made so far, by name.
type made map[string]datamodel.Metric

func (m made) add(list ...datamodel.Metric) {
	for _, metric := range list {
		m[metric.Name] = metric
	}
}

// summary returns the metrics in the order of the catalogue.
func (m made) summary() []datamodel.Metric {
	fields := datamodel.Summary()
	out := make([]datamodel.Metric, len(fields))
	for i, f := range fields {
		metric, ok := m[f.Name]
		if !ok {
			metric = datamodel.Missing(f.Name, f.Unit, "not measured")
		}
		out[i] = metric
	}
	return out
}

// overHosts returns the summary of all hosts together. Metrics that add up are added. For the others the catalogue says
// how to combine values. A metric that one host lacks is missing, with that host's reason.
func overHosts(hosts []*datamodel.Node, summaries [][]datamodel.Metric) []datamodel.Metric {
	switch len(summaries) {
	case 0:
		return made{}.summary()
	case 1:
		return summaries[0]
	}
	var out []datamodel.Metric
	for i, d := range datamodel.Summary() {
		var parts []datamodel.Metric
		for _, s := range summaries {
			parts = append(parts, s[i])
		}
		at := slices.IndexFunc(parts, func(m datamodel.Metric) bool { return m.Provenance == sensors.Missing })
		if at >= 0 {
			out = append(out, missing(d.Name, d.Unit, whyOf(parts[at]).of(hosts[at].Name)))
			continue
		}
		out = append(out, together(d, parts))
	}
	return out
}

// together combines one metric of several hosts.
func together(d datamodel.Definition, parts []datamodel.Metric) datamodel.Metric {
	source := fmt.Sprintf("%d hosts: %s", len(parts), parts[0].Source)
	m := datamodel.Total(d.Name, d.Unit, parts, source)
	if m.Reason != "" || d.Adds || d.AddsHosts {
		return m
	}
	m.Aggregation = string(d.Aggregate)
	sum := m.Value
	m.Value, m.Uncertainty = parts[0].Value, parts[0].Uncertainty
	for _, p := range parts[1:] {
		if d.Aggregate == datamodel.Max && p.Value > m.Value || d.Aggregate == datamodel.Min && p.Value < m.Value {
			m.Value, m.Uncertainty = p.Value, p.Uncertainty
		}
	}
	if d.Aggregate == datamodel.Mean {
		m.Value, m.Uncertainty = sum/float64(len(parts)), math.NaN()
	}
	return m
}

// why is the reason of a missing metric.
type why struct {
	text string
	// absence is the ID of the absence behind the reason. It is "" if there is none.
	absence string
	// atMost bounds the missing value from above. 0 means unknown.
	atMost float64
}

// because returns a reason without an absence. If the text is empty, there is no reason.
func because(text string) why { return why{text: text} }

// whyOf returns the reason of a missing metric.
func whyOf(m datamodel.Metric) why { return why{text: m.Reason, absence: m.Absence} }

// of returns the reason for something that depends on what is missing: "CPU time of the command: never read".
func (y why) of(what string) why { return why{text: what + ": " + y.text, absence: y.absence} }

// missing returns a metric without a value, for the reason given.
func missing(name string, unit units.Unit, y why) datamodel.Metric {
	m := datamodel.Missing(name, unit, y.text)
	m.Absence = y.absence
	if y.atMost > 0 {
		m.AtMost = y.atMost
	}
	return m
}

// warnGaps reports for each family how many readings are missing. One warning per sensor would be too many: if a file
// cannot be read, all sensors in it have no reading.
func (h *host) warnGaps(w *doubts) {
	type gap struct {
		sensors, missing, rows int64
		subject                string
		last                   time.Duration // of the last reading, if none came after it
	}
	var families []string
	gaps := make(map[string]*gap)
	for _, s := range h.Series {
		n := s.Unread()
		if n == 0 {
			continue
		}
		g := gaps[s.Sensor().Family]
		if g == nil {
			g = &gap{subject: s.Sensor().ID}
			gaps[s.Sensor().Family] = g
			families = append(families, s.Sensor().Family)
		}
		g.sensors++
		if n > g.missing {
			g.missing, g.rows, g.last = n, s.Rows(), 0
			if s.Silent() {
				g.last, _ = s.Last()
			}
		}
	}
	for _, family := range families {
		g := gaps[family]
		text := fmt.Sprintf("%d of %d readings are missing", g.missing, g.rows)
		if g.sensors > 1 {
			g.subject, text = family, text+fmt.Sprintf(", from %d sensors", g.sensors)
		}
		if g.last > 0 {
			text += fmt.Sprintf("; none came after %s", units.Brief(g.last))
		}
		w.list = append(w.list, datamodel.Warning{Subject: g.subject, Text: text, Count: g.missing})
	}
}

// find returns the series with this use that covers the whole machine or command. It returns nil if there is none.
func (h *host) find(use sensors.Use) *series.Series {
	for _, s := range h.Series {
		if sensor := s.Sensor(); sensor.Use == use && sensor.CPUs == "" && sensor.Device == "" {
			return s
		}
	}
	return nil
}

// mostUnread is the part of the command's time that a figure of the command may lack.
const mostUnread = 0.1

// whyPart returns why the result of a series is not a figure of the command: its rows cover only a part of the command's
// time. That happens if the disk fills up. It returns "" if they cover it, or if the wall time is unknown.
func (h *host) whyPart(s *series.Series) string {
	wall, ok := h.wall()
	if read := s.Window(); ok && read.Seconds() < (1-mostUnread)*wall {
		return fmt.Sprintf("read for only %s of the command's %s", units.Format(read.Seconds(), units.Second), units.Format(wall, units.Second))
	}
	return ""
}

// ofCommand returns the first metric of a series as a figure of the command. It is missing if the series covers only a
// part of the command's time.
func (h *host) ofCommand(s *series.Series) datamodel.Metric {
	m := s.Metrics()[0]
	if reason := h.whyPart(s); m.Reason == "" && reason != "" {
		return m.Lacking(reason)
	}
	return m
}

// every returns all series with this use.
func (h *host) every(use sensors.Use) []*series.Series {
	var out []*series.Series
	for _, s := range h.Series {
		if s.Sensor().Use == use {
			out = append(out, s)
		}
	}
	return out
}

// whyMissing returns the reason why a family has no result. It takes the reason of the first of ids that is absent with
// a reason. Failing that, it takes the reason of the whole family's absence, then of any absence in the family. Without
// one, the readings as a whole are missing.
func (h *host) whyMissing(family string, ids ...string) why {
	for _, id := range append(ids, family) {
		for _, a := range h.Missing {
			if a.ID == id && a.Reason != "" {
				return why{text: a.Reason, absence: a.ID}
			}
		}
	}
	for _, a := range h.Missing {
		if a.Family == family && a.Reason != "" {
			return why{text: a.Reason, absence: a.ID}
		}
	}
	if len(h.Series) > 0 {
		return because("no such sensor was read")
	}
	if h.run.Outcome == datamodel.SamplerFailed && h.run.Reason != "" {
		return because("no readings: " + h.run.Reason)
	}
	return because("no readings")
}

// absence returns the reason why there is no sensor with this ID. It is empty if no backend gave one.
func (h *host) absence(id string) why {
	for _, a := range h.Missing {
		if a.ID == id {
			return why{text: a.Reason, absence: a.ID}
		}
	}
	return why{}
}

// have returns a value of the ledger. It returns false if the value is unknown or not a finite number.
func have(p *float64) (float64, bool) {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return math.NaN(), false
	}
	return *p, true
}
