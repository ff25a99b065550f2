// Package account makes the result of a run of what was read and of what the runner knows: the tree of metrics, the
// summary, the courses that follow by a model, the table of processes and the doubts. It is pure: no files, no clock.
//
// Account is called once a run. Each step takes what the steps before it made and returns what it makes.
package account

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Input is what a result is made of.
type Input struct {
	Run   datamodel.Run
	Hosts []Host
}

// Host is what was read and what is known on one host.
type Host struct {
	Machine datamodel.HostInfo
	Ledger  datamodel.Ledger
	// Series is one for each sensor that was opened, in the order they are to appear in; none if the sampler failed.
	Series []*series.Series
	// Seen is what the looks at the command's processes saw, nil if there were none.
	Seen     *datamodel.SeenProcesses
	Sources  []datamodel.SourceStats
	Missing  []sensors.Absence
	Baseline *datamodel.Baseline
}

// OneHost is the input of a run on one machine, which the run itself describes.
func OneHost(run datamodel.Run, ledger datamodel.Ledger, list []*series.Series, seen *datamodel.SeenProcesses) Input {
	return Input{Run: run, Hosts: []Host{{
		Machine: run.Host, Ledger: ledger, Series: list, Seen: seen,
		Sources: run.Sources, Missing: run.Missing, Baseline: run.Baseline,
	}}}
}

// Result is what the accounting makes.
type Result struct {
	// Tree is the app node with multi_run, run, host, device and sensor below it.
	Tree *datamodel.Node
	// Summary is the metrics of the run in the order of the catalogue, all of them.
	Summary []datamodel.Metric
	// Courses are what the energy was shared out to, over time.
	Courses []datamodel.Course
	// Processes is the table of the command's processes, nil if they were not looked at.
	Processes []datamodel.Process
	// Spark is what Run.Spark holds.
	Spark    map[string][]*float64
	Warnings []datamodel.Warning
}

// Account makes the result of a run. It does not change its input.
//
// The run, the multi_run and the app carry the metrics of the summary, all of them; as long as a multi_run has one run
// they are the same. A host carries what was measured of the machine, a device what its sensors came to.
func Account(in Input) Result {
	var out Result
	var hosts []*datamodel.Node
	var summaries [][]datamodel.Metric
	for _, of := range in.Hosts {
		r := accountHost(in.Run, of)
		hosts, summaries = append(hosts, r.node), append(summaries, r.summary)
		out.Courses = append(out.Courses, r.courses...)
		out.Processes = append(out.Processes, r.processes...)
		out.Warnings = append(out.Warnings, r.warnings...)
		if out.Spark == nil { // of the first host: of several it would be a chart of its own
			out.Spark = r.spark
		}
	}
	out.Summary = overHosts(hosts, summaries)
	out.Tree = tree(in.Run, out.Summary, hosts)
	return out
}

// doubts collects the warnings of a host in the order of the steps.
type doubts struct{ list []datamodel.Warning }

func (w *doubts) add(subject, format string, args ...any) {
	w.list = append(w.list, datamodel.Warning{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

// host is what is known of one host before anything is made of it. Its methods look things up and change nothing.
type host struct {
	Host
	run    datamodel.Run
	energy energyChoice
}

// hostResult is what is made of one host.
type hostResult struct {
	node      *datamodel.Node
	summary   []datamodel.Metric
	courses   []datamodel.Course
	processes []datamodel.Process
	spark     map[string][]*float64
	warnings  []datamodel.Warning
}

// accountHost is the straight road of the accounting: from the series of one host to its node of the tree.
func accountHost(run datamodel.Run, of Host) hostResult {
	of.Series = learned(of.Series)
	h := &host{Host: of, run: run, energy: chooseEnergy(of.Series)}
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
	made.add(h.sizes()...)
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
	h.doubtContainer(w)

	r := hostResult{summary: made.summary(), spark: sparks(h.Series, h.energy)}
	r.node = h.node(r.summary, cpus, gpus)
	r.courses = courses(append(cpus.shares(), gpus.shares()...))
	rows, warnings := processes(h.Seen, run, h.Ledger, r.summary)
	r.processes, r.warnings = rows, append(w.list, warnings...)
	return r
}

// made is the metrics that were made so far, by their names.
type made map[string]datamodel.Metric

func (m made) add(list ...datamodel.Metric) {
	for _, metric := range list {
		m[metric.Name] = metric
	}
}

// summary is the metrics in the order of the catalogue.
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

// overHosts is the summary of all hosts together: what adds up is added, of the rest the catalogue says how one value
// is made of several. A metric that one host lacks is missing, with that host's reason.
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

// together makes the metric of several hosts of the metric of each.
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

// why is why a metric is missing.
type why struct {
	text string
	// absence is the ID of the absence that it comes down to, "" if there is none.
	absence string
	// atMost bounds the missing value from above; 0 is not known.
	atMost float64
}

// because is a reason that no absent sensor explains, none if the text is "".
func because(text string) why { return why{text: text} }

// whyOf is the reason of a missing metric.
func whyOf(m datamodel.Metric) why { return why{text: m.Reason, absence: m.Absence} }

// of is the reason for something that depends on what is missing: "CPU time of the command: never read".
func (y why) of(what string) why { return why{text: what + ": " + y.text, absence: y.absence} }

// missing is a metric without a value for a reason.
func missing(name string, unit units.Unit, y why) datamodel.Metric {
	m := datamodel.Missing(name, unit, y.text)
	m.Absence = y.absence
	if y.atMost > 0 {
		m.AtMost = y.atMost
	}
	return m
}

// warnGaps says of each family how many readings are missing. Each sensor by itself would be a warning too many: where a file
// cannot be read, all that is in it is missing.
func (h *host) warnGaps(w *doubts) {
	type gap struct {
		sensors, missing, rows int64
		subject                string
		last                   time.Duration // of the last reading, where none came after it
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
			g.subject, text = family, text+fmt.Sprintf(", of %d sensors", g.sensors)
		}
		if g.last > 0 {
			text += fmt.Sprintf("; none came after %s", units.Brief(g.last))
		}
		w.list = append(w.list, datamodel.Warning{Subject: g.subject, Text: text, Count: g.missing})
	}
}

// find is the series of a sensor of that use that is of the machine or the command as a whole, nil if there is none.
func (h *host) find(use sensors.Use) *series.Series {
	for _, s := range h.Series {
		if sensor := s.Sensor(); sensor.Use == use && sensor.CPUs == "" && sensor.Device == "" {
			return s
		}
	}
	return nil
}

// every is all series of a use.
func (h *host) every(use sensors.Use) []*series.Series {
	var out []*series.Series
	for _, s := range h.Series {
		if s.Sensor().Use == use {
			out = append(out, s)
		}
	}
	return out
}

// whyMissing is the reason why there is nothing of a family: what its backend said of the first of ids that it said
// anything of, then of anything else in the family; failing that, that the readings as a whole are missing.
func (h *host) whyMissing(family string, ids ...string) why {
	for _, id := range append(ids, family) {
		for _, a := range h.Missing {
			if a.ID == id && a.Reason != "" {
				return why{text: a.Reason, absence: a.ID}
			}
		}
	}
	for _, a := range h.Missing {
		if strings.HasPrefix(a.ID, family+"/") && a.Reason != "" {
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

// absence is why there is no sensor of that ID, empty if nothing was said of it.
func (h *host) absence(id string) why {
	for _, a := range h.Missing {
		if a.ID == id {
			return why{text: a.Reason, absence: a.ID}
		}
	}
	return why{}
}

// have takes a value from the ledger; what is not a number is not known.
func have(p *float64) (float64, bool) {
	if p == nil || math.IsNaN(*p) || math.IsInf(*p, 0) {
		return math.NaN(), false
	}
	return *p, true
}
