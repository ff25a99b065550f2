package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// The heights in the drawing of the processes, in px: of one lane, and the most of all lanes together.
const laneHeight, lanesHeight = 15, 400

// timeline is the processes of a run over time, in lanes in which they do not overlap.
type timeline struct {
	rows  []bar
	lanes int
	// names are the names of the processes, the one that used most CPU time first.
	names []string
	// left is the number of processes that are not drawn.
	left int
}

// bar is one process in the timeline.
type bar struct {
	datamodel.Process
	from, to   float64
	name, lane int
}

// newTimeline puts the processes of a run into lanes. If there are too many, it leaves out those that used least.
func newTimeline(r datamodel.Result) timeline {
	var t timeline
	vagueEnergy := vague(summary(r)[datamodel.Energy])
	list := slices.Clone(r.Processes)
	slices.SortStableFunc(list, func(a, b datamodel.Process) int { return cmp.Compare(b.CPUTime, a.CPUTime) })
	for _, p := range byName(list, len(list)) {
		if p.Kind == datamodel.NamedProcesses {
			t.names = append(t.names, p.Name)
		}
	}
	for _, p := range list {
		if p.Kind != datamodel.OneProcess || math.IsNaN(p.FirstSeen) || math.IsNaN(p.LastSeen) {
			continue
		}
		if len(t.rows) == timelined {
			t.left++
			continue
		}
		if vagueEnergy {
			p.Energy = math.NaN()
		}
		b := bar{Process: p, from: max(0, p.FirstSeen), to: max(0, p.LastSeen), name: slices.Index(t.names, p.Name)}
		if begin := p.Start.Sub(r.Run.Start).Seconds(); !p.Start.IsZero() && begin >= 0 && begin < b.from {
			b.from = begin
		}
		t.rows = append(t.rows, b)
	}
	slices.SortStableFunc(t.rows, func(a, b bar) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	var free []float64 // when the last process of each lane ended
	for i := range t.rows {
		b := &t.rows[i]
		b.lane = slices.IndexFunc(free, func(end float64) bool { return end <= b.from })
		if b.lane < 0 {
			b.lane = len(free)
			free = append(free, 0)
		}
		free[b.lane] = b.to
	}
	t.lanes = len(free)
	return t
}

// page returns the timeline for the page's script.
func (t timeline) page() *pageProcesses {
	out := &pageProcesses{Names: []string{}, Looks: []string{}, Lanes: t.lanes, Rows: [][]any{}}
	for i, n := range t.names {
		out.Names, out.Looks = append(out.Names, cmp.Or(printable(n), "(no name)")), append(out.Looks, look(i))
	}
	for _, b := range t.rows {
		row := []any{b.name, b.PID, b.lane, rounded(b.from), rounded(b.to)}
		for _, v := range []float64{b.CPUTime, b.PeakMemory, b.Read, b.Written, b.Energy} {
			row = append(row, rounded(v))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// rounded returns a number with four digits and at least four decimals, or nil if it is not finite.
func rounded(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	r := math.Round(v*1e4) / 1e4
	return &r
}

// timeline writes the drawing of the processes, with a legend of the names.
func (p *sheet) timeline(t timeline, to float64) {
	const named = 8
	p.WriteString("<figure class=\"chart\" id=\"chart-processes\"><figcaption><h3>Processes</h3>")
	for i, n := range t.names[:min(named, len(t.names))] {
		p.tag("<span><i class=\"stack "+look(i)+"\"></i>%s</span>", shorten(cmp.Or(printable(n), "(no name)"), widestName))
	}
	if t.left > 0 {
		p.tag("<span>%s that used least are not drawn</span>", units.Format(float64(t.left), units.Processes))
	}
	high := min(laneHeight, lanesHeight/float64(t.lanes))
	height := high * float64(t.lanes)
	gap := 0.0
	if high >= 3 {
		gap = 1
	}
	a := axes{to: to, width: drawWidth - drawLeft - drawRight, height: height}
	p.WriteString("</figcaption>\n<svg viewBox=\"0 0 " + short(drawWidth) + " " + short(drawTop+height+drawBottom) + "\" role=\"img\" aria-label=\"Processes\">")
	p.WriteString(a.timeAxis())
	ends := make([]float64, t.lanes)
	for _, b := range t.rows {
		from := a.x(min(b.from, to))
		until := max(a.x(min(b.to, to)), from+1)
		if until < ends[b.lane]+0.5 { // it would not be seen
			continue
		}
		ends[b.lane] = until
		p.WriteString(`<rect class="bar ` + look(b.name) + `" x="` + short(from) + `" y="` + short(drawTop+float64(b.lane)*high) +
			`" width="` + short(until-from) + `" height="` + short(high-gap) + `"/>`)
	}
	p.WriteString("</svg></figure>\n")
}

// byCPUTime is the heading of the column by which the tables of processes are sorted at first.
const byCPUTime = "CPU time"

// processColumn is a column of the tables of processes.
type processColumn struct {
	heading string
	mark    sensors.Provenance
	number  bool
	// text returns what a cell shows. value is what it is sorted by.
	text  func(p datamodel.Process) string
	value func(p datamodel.Process) float64
}

// processes writes where the CPU time went, by name and for each process.
func (p *sheet) processes(r datamodel.Result) {
	if len(r.Processes) == 0 {
		return
	}
	s := summary(r)
	p.WriteString("<section id=\"processes\">\n" +
		"<input class=\"choice\" type=\"radio\" name=\"rows\" id=\"by-name\" checked=\"checked\"/><input class=\"choice\" type=\"radio\" name=\"rows\" id=\"by-process\"/>\n" +
		"<div class=\"head\"><h2>Where the CPU time went</h2><span class=\"tabs\"><label for=\"by-name\">by name</label><label for=\"by-process\">each process</label></span>")
	if n := s[datamodel.ProcessCount]; n.Provenance != sensors.Missing {
		sign, _ := mark(n.Provenance)
		p.tag("<p class=\"hint\">%s</p>", strings.Join(nonEmpty(textOf(n).String(), sign, "processes in all"), " "))
	}
	p.WriteString("</div>\n")
	looks := make(map[string]string)
	for i, n := range newTimeline(r).names {
		looks[n] = look(i)
	}
	p.processTable("of-names", r, byName(r.Processes, tabled), looks, false)
	p.processTable("of-processes", r, costliest(r.Processes, tabled), looks, true)
	p.WriteString("</section>\n")
}

func (p *sheet) processTable(class string, r datamodel.Result, list []datamodel.Process, looks map[string]string, single bool) {
	s := summary(r)
	total, unknown := s[datamodel.CPUTime].Value, vague(s[datamodel.Energy])
	amount := func(heading string, unit units.Unit, from sensors.Provenance, of func(p datamodel.Process) float64) processColumn {
		return processColumn{heading, from, true, func(p datamodel.Process) string { return shown(of(p), unit) }, of}
	}
	columns := []processColumn{
		amount(byCPUTime, units.Second, "", func(p datamodel.Process) float64 { return p.CPUTime }),
		{"share", "", false, nil, func(p datamodel.Process) float64 { return p.CPUTime / total }},
		amount("energy", units.Joule, sensors.Attributed, func(p datamodel.Process) float64 {
			if unknown {
				return math.NaN()
			}
			return p.Energy
		}),
		amount("peak memory", units.Byte, sensors.Sampled, func(p datamodel.Process) float64 { return p.PeakMemory }),
		amount("read", units.Byte, sensors.Sampled, func(p datamodel.Process) float64 { return p.Read }),
		amount("written", units.Byte, sensors.Sampled, func(p datamodel.Process) float64 { return p.Written }),
	}
	count := processColumn{"processes", "", true, func(p datamodel.Process) string {
		if p.Kind == datamodel.UnseenProcesses {
			return ""
		}
		return shown(p.Count, units.Processes)
	}, func(p datamodel.Process) float64 { return p.Count }}
	if single {
		pid := func(p datamodel.Process) float64 { return float64(p.PID) }
		columns = append([]processColumn{{"pid", "", true, func(p datamodel.Process) string {
			if p.PID < 0 {
				return ""
			}
			return strconv.FormatInt(p.PID, 10)
		}, pid}}, columns...)
		columns = append(columns, processColumn{"seen", "", true, span, func(p datamodel.Process) float64 { return p.FirstSeen }})
	} else {
		columns = append([]processColumn{count}, columns...)
	}
	columns = slices.DeleteFunc(columns, func(c processColumn) bool { // without any value
		return !slices.ContainsFunc(list, func(p datamodel.Process) bool { return !math.IsNaN(c.value(p)) })
	})
	p.WriteString("<div class=\"panel " + class + "\"><table class=\"sortable wide\">\n<thead><tr><th data-sort=\"text\">name</th>")
	for _, c := range columns {
		class := ""
		if c.number {
			class = " class=\"n\""
		}
		if c.heading == byCPUTime { // the rows are in its order, but for the last ones
			class += " aria-sort=\"descending\""
		}
		p.tag("<th"+class+" data-sort=\"number\">%s</th>", header{name: c.heading, mark: c.mark}.text())
	}
	p.WriteString("</tr></thead>\n<tbody>\n")
	for _, row := range list {
		rest, name := "", processName(row, unlimited)
		if row.Kind != datamodel.OneProcess && row.Kind != datamodel.NamedProcesses {
			rest = " class=\"rest\""
		}
		if row.Kind == datamodel.UnseenProcesses {
			name = "short-lived, never sampled"
		}
		if row.Kind == datamodel.NamedProcesses {
			name = cmp.Or(printable(row.Name), "(no name)")
		}
		p.tag("<tr"+rest+"><td class=\"name\"><i class=\"sw "+cmp.Or(looks[row.Name], "idle")+"\"></i>%s</td>", name)
		for _, c := range columns {
			v := c.value(row)
			key := ""
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				key = strconv.FormatFloat(v, 'g', 6, 64)
			}
			if c.text == nil { // a bar
				part := min(max(or0(v), 0), 1)
				p.WriteString("<td class=\"share\" data-v=\"" + key + "\" data-l=\"share\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"" +
					short(100*part) + "\" height=\"10\"/></svg>" + shareOf(row.CPUTime, total) + "</td>")
				continue
			}
			p.tag("<td class=\"n\" data-v=\""+key+"\" data-l=\"%s\">%s</td>", c.heading, c.text(row))
		}
		p.WriteString("</tr>\n")
	}
	p.WriteString("</tbody></table></div>\n")
}
