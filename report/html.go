package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// The style of all pages, and the parts of their scripts.
var (
	//go:embed page/page.css
	pageStyle string
	//go:embed page/common.js
	commonScript string
	//go:embed page/page.js
	reportScript string
)

// script returns the one script of a page: a function with what all pages share, and the part of this page.
func script(part string) string {
	return "'use strict';\n(() => {\n" + commonScript + "\n" + part + "})();\n"
}

// tabled is the largest number of processes and of names in a table of the page. timelined is the largest number of processes in
// the timeline.
const tabled, timelined = 500, 2000

// sheet writes HTML. Only tag adds text that somebody else chose.
type sheet struct{ strings.Builder }

// tag writes markup and escapes its arguments.
func (p *sheet) tag(format string, args ...string) {
	escaped := make([]any, len(args))
	for i, a := range args {
		escaped[i] = html.EscapeString(printable(a))
	}
	fmt.Fprintf(p, format, escaped...)
}

// Shown is a run as the page shows it.
type Shown struct {
	// Result has the courses of the run in Charts. Without them the page has no charts.
	datamodel.Result
	// Results is the folder of the run. It is empty if the run is not kept.
	Results string
}

// writeHTML writes the page of one run.
func writeHTML(w io.Writer, r datamodel.Result, o Options) error {
	return WritePage(w, []Shown{{r, o.Results}})
}

// WritePage writes a self-contained page about a run, or about several runs that are compared with the first. It loads nothing.
// Its content security policy allows one script and one style, which stand in it.
func WritePage(w io.Writer, runs []Shown) error {
	p := &sheet{}
	title := shorten(commandLine(runs[0].Run.Command), 60)
	if len(runs) > 1 {
		title = strconv.Itoa(len(runs)) + " runs: " + title
	}
	p.open(title, script(reportScript))
	var err error
	if len(runs) == 1 {
		err = p.one(runs[0])
	} else {
		err = p.several(runs)
	}
	if err != nil {
		return err
	}
	p.close(runs[0].Run.Version, script(reportScript))
	_, err = io.WriteString(w, p.String())
	return err
}

// close writes the end of the page, with its script.
func (p *sheet) close(version, script string) {
	p.tag("<footer>written by ergon %s</footer>\n", version)
	p.WriteString("</main>\n<div id=\"tip\" class=\"tip\" hidden=\"hidden\"></div>\n<script>" + script + "</script>\n</body>\n</html>\n")
}

// open writes the head of the page. Its policy allows only this script.
func (p *sheet) open(title, script string) {
	digest := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	p.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src " + digest(script) +
		"; style-src " + digest(pageStyle) + "; img-src data:; base-uri 'none'; form-action 'none'\"/>\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n" +
		"<link rel=\"icon\" href=\"data:,\"/>\n")
	p.tag("<title>ergon: %s</title>\n", title)
	p.WriteString("<style>" + pageStyle + "</style>\n</head>\n<body>\n<main>\n")
}

// one writes the page of a single run.
func (p *sheet) one(r Shown) error {
	p.header(r.Run)
	p.cards(cards(r.Result))
	p.budgets(r.Run)
	p.doubts(r.Run.Warnings)
	told := newBands(r.Result, length(r))
	if err := p.overTime(r, told); err != nil {
		return err
	}
	p.regionTable(r.Result, told)
	p.processes(r.Result)
	p.inventory(r.Result)
	p.folded(r)
	return nil
}

const themeButton = "<button id=\"theme\" type=\"button\" class=\"js-only\" title=\"light or dark\" aria-label=\"light or dark\">◐</button>"

// header writes the command, how it ended, and what identifies the run.
func (p *sheet) header(run datamodel.Run) {
	p.tag("<header class=\"top\"><div>\n<h1><code>%s</code> <span class=\"badge"+badge(run)+"\">%s</span></h1>\n", commandLine(run.Command), verdict(run))
	if s := why(run); s != "" {
		p.tag("<p class=\"why\">%s</p>\n", s)
	}
	for _, line := range [][]string{
		{run.Project, run.Start.UTC().Format("2006-01-02 15:04:05 MST"), run.ID, commit(run.Host)},
		{named(run.Host), run.Host.CPU},
		{replayed(run)},
	} {
		if s := strings.Join(nonEmpty(line...), " · "); s != "" {
			p.tag("<p class=\"about\">%s</p>\n", s)
		}
	}
	p.WriteString("</div>" + themeButton + "</header>\n")
}

func badge(run datamodel.Run) string {
	if run.Outcome != datamodel.Done {
		return " bad"
	}
	return ""
}

// commit returns the git commit of the working folder.
func commit(h datamodel.HostInfo) string {
	if h.Git == nil || h.Git.Commit == "" {
		return ""
	}
	s := "commit " + h.Git.Commit[:min(12, len(h.Git.Commit))]
	if h.Git.Dirty != nil && *h.Git.Dirty {
		s += " with changes"
	}
	return s
}

// doubts writes what may have spoiled the measurement, in sentences.
func (p *sheet) doubts(all []datamodel.Warning) {
	if len(all) == 0 {
		return
	}
	heading := strconv.Itoa(len(all)) + " things may have spoiled this measurement"
	if len(all) == 1 {
		heading = "This may have spoiled the measurement"
	}
	p.WriteString("<section class=\"doubts\"><h2>" + heading + "</h2>\n<ul>\n")
	conditions := spoiling()
	for _, w := range all {
		if slices.Contains(conditions, w.Subject) {
			w.Subject = "" // the sentence says it
		}
		p.tag("<li>%s</li>\n", warning(w))
	}
	p.WriteString("</ul></section>\n")
}

// The content of the page for its script.
type (
	pageHead struct {
		From float64 `json:"from"`
		To   float64 `json:"to"`
		CPU  float64 `json:"cpu"`
		// Dropped is the number of bits that the codes of values lack.
		Dropped int          `json:"dropped"`
		Lines   []packedLine `json:"lines"`
		Charts  []pageChart  `json:"charts"`
		Sums    []pageSum    `json:"sums"`
		// Processes is nil if there is no timeline.
		Processes *pageProcesses `json:"processes,omitempty"`
		// Regions is nil if the command told of none, and of no event.
		Regions *pageBands `json:"regions,omitempty"`
	}
	pageChart struct {
		ID        string     `json:"id"`
		Unit      units.Unit `json:"unit"`
		Stacked   bool       `json:"stacked,omitempty"`
		Limit     float64    `json:"limit,omitempty"`
		Lines     []int      `json:"lines"`
		Processes bool       `json:"processes,omitempty"`
		Regions   bool       `json:"regions,omitempty"`
	}
	// pageSum is an integral over the part of the time that is shown: the sum over lines.
	pageSum struct {
		Label string     `json:"label"`
		Unit  units.Unit `json:"unit"`
		Mark  string     `json:"mark"`
		Lines []int      `json:"lines"`
	}
	pageProcesses struct {
		Names []string `json:"names"`
		Looks []string `json:"looks"`
		// Lanes is the number of lanes. A row holds the index of the name, the pid, the lane, begin and end in s, CPU time in s,
		// peak memory, bytes read and written, and energy in J. An unknown figure is null.
		Lanes int     `json:"lanes"`
		Rows  [][]any `json:"rows"`
	}
)

// overTime writes the charts of a run and its processes on one time axis. It writes nothing if there is nothing to draw.
func (p *sheet) overTime(r Shown, told bands) error {
	var list []figure
	if len(r.Charts) > 0 {
		list = courses{r.Run, r.Charts[0]}.figures()
	}
	list = append(progress(r, length(r)), list...)
	if len(list) == 0 && told.empty() && r.Tree != nil {
		p.WriteString("<p class=\"hint first\">Nothing is shown over time: the run was too short for it, or an older ergon kept it.</p>\n")
	}
	return p.charts(list, newTimeline(r.Result), told, length(r), summary(r.Result)[datamodel.CPUTime].Value)
}

// length returns how long the time axis is, in s.
func length(r Shown) float64 {
	if w := r.Run.WallTime; w != nil && *w > 0 && !math.IsInf(*w, 0) {
		return *w
	}
	most := 0.0
	for _, c := range r.Charts {
		most = max(most, c.Step.Seconds()*float64(c.Parts))
	}
	return most
}

// charts writes charts, what the command told of itself, and a timeline on one time axis from 0 to the time to, with their data
// for the script.
func (p *sheet) charts(list []figure, t timeline, told bands, to, cpu float64) error {
	if !(to > 0) || len(list) == 0 && len(t.rows) == 0 && told.empty() {
		return nil
	}
	head := pageHead{To: to, CPU: or0(cpu), Charts: []pageChart{}, Sums: []pageSum{}}
	p.WriteString("<section id=\"over-time\" tabindex=\"0\" aria-label=\"Over time\">\n<div class=\"head\"><h2>Over time</h2>" +
		"<p class=\"hint live-only\"><span class=\"pointer\">drag: zoom · shift and drag: mark · double-click: all · keys: ← → + − Page Enter Esc Home</span></p></div>\n" +
		"<div id=\"window\" class=\"live-only\"><p><span id=\"window-time\"></span> <span id=\"window-sums\"></span></p>" +
		"<span id=\"window-at\"></span><button id=\"all\" type=\"button\">show all</button></div>\n")
	if !told.empty() {
		head.Charts = append(head.Charts, pageChart{ID: "regions", Lines: []int{}, Regions: true})
		head.Regions = told.page()
		p.strip(told, to)
	}
	var all []curve
	for i, f := range list {
		chart := pageChart{ID: f.id, Unit: f.unit, Stacked: f.stacked, Limit: f.limit}
		p.caption(f, len(all))
		p.WriteString("<svg viewBox=\"0 0 " + short(drawWidth) + " " + short(drawTop+drawHeight+drawBottom) + "\" role=\"img\" aria-label=\"" +
			html.EscapeString(printable(f.title)) + "\">")
		p.acrossOnce(told, axes{to: to, width: drawWidth - drawLeft - drawRight, height: drawHeight}, i == 0)
		p.WriteString(f.drawing(to, drawWidth, drawHeight) + "</svg></figure>\n")
		for _, c := range f.curves {
			head.sum(c, len(all))
			chart.Lines = append(chart.Lines, len(all))
			all = append(all, c)
		}
		head.Charts = append(head.Charts, chart)
	}
	if len(t.rows) > 0 {
		head.Charts = append(head.Charts, pageChart{ID: "processes", Lines: []int{}, Processes: true})
		head.Processes = t.page()
		p.timeline(t, to)
	}
	p.WriteString("</section>\n")
	lines, packed, dropped, err := pack(all, to)
	if err != nil {
		return err
	}
	head.Lines, head.Dropped = lines, dropped
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	// JSON has no <, > and & outside of escapes, and base64 has none at all.
	p.WriteString("<script type=\"application/json\" id=\"head\">" + string(text) + "</script>\n" +
		"<script type=\"text/plain\" id=\"values\">" + packed + "</script>\n")
	return nil
}

// sum notes that the integral of line n is of interest.
func (h *pageHead) sum(c curve, n int) {
	if c.sum != "" {
		h.Sums = append(h.Sums, pageSum{c.sum, c.sumUnit, c.mark, []int{n}})
	}
}

// caption begins the figure of a chart and writes its legend, with the mean and the most of each line. first is the number of its
// first line.
func (p *sheet) caption(f figure, first int) {
	p.tag("<figure class=\"chart\" id=\"chart-%s\"><figcaption><h3>%s</h3>", f.id, f.title)
	for i, c := range f.curves {
		class := c.look
		if c.fill {
			class += " stack"
		}
		mean, most := c.extremes()
		p.tag("<span><i class=\""+class+"\"></i>%s <span data-line=\""+strconv.Itoa(first+i)+"\"><b>%s</b> max %s</span></span>",
			c.name, legendValue(mean, f.unit), legendValue(most, f.unit))
	}
	p.WriteString("</figcaption>\n")
}

// extremes returns the mean and the most of a line. Both are NaN if it has no values.
func (c curve) extremes() (mean, most float64) {
	n := 0.0
	most = math.NaN()
	for i, v := range c.mean {
		if math.IsNaN(v) {
			continue
		}
		mean, n = mean+v, n+1
		if !(most >= c.most[i]) {
			most = c.most[i]
		}
	}
	return mean / n, most
}

// folded writes what is only looked up, each part closed at first.
func (p *sheet) folded(r Shown) {
	p.summary(r)
	p.fold("Machine and software", "", func() { p.machine(r.Run.Host) })
	p.notMeasured(r.Result)
	p.tree(r.Tree)
	p.fold("How it was measured", "", func() { p.how(r.Result) })
	if r.Results != "" && len(r.Charts) > 0 {
		p.fold("This run in Python", "", func() {
			p.tag("<pre>%s\n%s\n%s</pre><p class=\"dim\">lines.plot(subplots=True) draws them</p>\n", "import pandas as pd",
				"series = pd.read_parquet("+strconv.QuoteToASCII(path.Join(printable(r.Results), "series.parquet"))+")",
				`lines = series.pivot_table(index="elapsed", columns=["metric", "subject"], values="value", aggfunc="sum")`)
		})
	}
}

func (p *sheet) fold(heading, class string, body func()) {
	p.tag("<details class=\"fold"+class+"\"><summary>%s</summary><div>\n", heading)
	body()
	p.WriteString("</div></details>\n")
}

// summary writes all rows of the summary: the command's figures beside the machine's.
func (p *sheet) summary(r Shown) {
	all := known(rows(r.Result))
	if len(all) == 0 {
		return
	}
	p.fold("All figures of the command and of the machine", " first", func() {
		p.WriteString("<table class=\"wide\">\n<thead><tr><th></th><th class=\"n\">command</th><th></th><th class=\"n\">machine</th><th></th></tr></thead>\n<tbody>\n")
		for _, row := range all {
			p.tag("<tr><td class=\"name in"+strconv.Itoa(min(row.depth, 2))+"\">%s</td>", row.label)
			for i, c := range []cell{row.command, row.machine} {
				if c.empty() {
					p.WriteString("<td></td><td></td>")
					continue
				}
				sign, meaning := mark(c.from)
				if c.missing() {
					meaning = cmp.Or(c.reason, notMeasured)
				}
				p.tag("<td class=\"n\" title=\"%s\" data-l=\"%s\">%s</td>", cmp.Or(meaning, "counted"), []string{"command", "machine"}[i],
					strings.Join(nonEmpty(c.value.String(), sign), " "))
				p.tag("<td class=\"dim\">%s</td>", c.note)
			}
			p.WriteString("</tr>\n")
		}
		p.WriteString("</tbody></table>\n")
		for _, note := range []struct{ label, text string }{{"", legend(all)}, {"not measured: ", byReason(gaps(rows(r.Result)))}, {"kept in ", r.Results}} {
			if note.text != "" {
				p.tag("<p class=\"dim\">%s%s</p>\n", note.label, note.text)
			}
		}
	})
}

// machine writes everything known about the machine and its settings.
func (p *sheet) machine(h datamodel.HostInfo) {
	p.WriteString("<table class=\"facts\">\n")
	if h.Name != "" {
		p.tag("<tr><td>name</td><td>%s</td></tr>\n", h.Name)
	}
	for _, fact := range datamodel.HostFacts(h) {
		label := strings.ReplaceAll(fact.Key, "_", " ")
		if strings.HasPrefix(fact.Key, "env/") { // a variable has its name
			label = fact.Key
		}
		p.tag("<tr><td>%s</td><td>%s</td></tr>\n", label, factValue(fact))
	}
	p.WriteString("</table>\n")
}

// factValue returns the value of a fact for people.
func factValue(fact datamodel.Pair) string {
	if unit := factUnit(fact.Key); unit != "" {
		if v, err := strconv.ParseFloat(fact.Value, 64); err == nil {
			return units.Format(v, unit)
		}
	}
	return fact.Value
}

// factUnit returns the unit of a fact that is a number, or "" for other facts.
func factUnit(key string) units.Unit {
	switch {
	case key == "memory" || key == "swap" || key == "limit/memory":
		return units.Byte
	case key == "frequency_min" || key == "frequency_max":
		return units.Hertz
	case strings.HasPrefix(key, "power_cap/"):
		return units.Watt
	}
	return ""
}

// notMeasured lists what the summary lacks, and the sensors that could not be read, with the reasons.
func (p *sheet) notMeasured(r datamodel.Result) {
	lacking := gaps(rows(r))
	if len(lacking)+len(r.Run.Missing) == 0 {
		return
	}
	p.fold("Not measured, and why", "", func() {
		p.WriteString("<table class=\"facts\">\n")
		for _, g := range lacking {
			p.tag("<tr><td>%s</td><td>%s</td></tr>\n", g.label, cmp.Or(g.reason, notMeasured))
		}
		for _, a := range r.Run.Missing {
			p.tag("<tr><td>%s</td><td>%s</td></tr>\n", a.ID, strings.Join(nonEmpty(a.Reason, a.Source), " · "))
		}
		p.WriteString("</table>\n")
	})
}

// tree writes every metric as a row, with a field that searches them. A metric that a node has from its only child, or hands down
// unchanged, has one row.
func (p *sheet) tree(root *datamodel.Node) {
	if root == nil {
		return
	}
	p.fold("Every metric", "", func() {
		p.WriteString("<p class=\"js-only\"><input type=\"search\" data-table=\"metrics\" placeholder=\"search\" aria-label=\"search the metrics\"/> <span id=\"found\" class=\"dim\"></span></p>\n" +
			"<table id=\"metrics\" class=\"wide\"><thead><tr><th>of</th><th>metric</th><th class=\"n\">value</th><th class=\"n\">least</th>" +
			"<th class=\"n\">mean</th><th class=\"n\">most</th><th>from</th></tr></thead>\n<tbody>\n")
		p.metrics(root, "run", nil)
		p.WriteString("</tbody></table>\n")
	})
}

// metrics writes the metrics of a node and of those below it. of is the name of the node for people. above are the metrics that the
// nodes above have.
func (p *sheet) metrics(n *datamodel.Node, of string, above []datamodel.Metric) {
	for _, m := range n.Metrics {
		m = settled(m)
		if slices.ContainsFunc(above, func(a datamodel.Metric) bool { return same(a, m) }) {
			continue
		}
		above = append(above, m)
		show := units.Format
		if m.Aggregation == "delta" { // least, mean and most of a counter are rates
			show = units.FormatRate
		}
		number := func(v float64) string {
			if math.IsNaN(v) {
				return ""
			}
			return show(v, m.Unit)
		}
		from := string(m.Provenance)
		if reason := reasonOf(m); reason != "" {
			from += ": " + reason
		}
		p.tag("<tr><td>%s</td><td>%s</td><td class=\"n\">%s</td><td class=\"n\" data-l=\"least\">%s</td><td class=\"n\" data-l=\"mean\">%s</td>"+
			"<td class=\"n\" data-l=\"most\">%s</td><td class=\"dim\">%s</td></tr>\n",
			of, m.Name, valueOf(m), number(m.Min), number(m.Mean), number(m.Max), strings.Join(nonEmpty(from, m.Source, readings(m)), " · "))
	}
	for _, child := range n.Children {
		below := child.Name
		switch child.Level {
		case datamodel.MultiRun, datamodel.RunLevel:
			below = of
		case datamodel.SensorLevel:
			below = of + "/" + child.Name
		default:
			if n.Level != datamodel.RunLevel && n.Level != datamodel.HostLevel {
				below = of + "/" + child.Name
			}
		}
		p.metrics(child, below, slices.Clip(above))
	}
}

// readings says how many readings are behind a metric, and how many are missing. It is empty if that is unknown.
func readings(m datamodel.Metric) string {
	var parts []string
	for _, c := range []struct {
		n    int64
		what string
	}{{m.Count, "reading"}, {m.Gaps, "gap"}} {
		if c.n > 0 {
			parts = append(parts, plural(int(c.n), c.what))
		}
	}
	return strings.Join(parts, ", ")
}

// same reports whether two metrics are one figure.
func same(a, b datamodel.Metric) bool {
	return a.Name == b.Name && a.Unit == b.Unit && a.Provenance == b.Provenance && a.Absence == b.Absence &&
		a.Count == b.Count && a.Gaps == b.Gaps && (a.Value == b.Value || math.IsNaN(a.Value) && math.IsNaN(b.Value))
}

// how writes how often each source was read, what that cost, and what the marks mean.
func (p *sheet) how(r datamodel.Result) {
	all := []sensors.Provenance{sensors.Sampled, sensors.Integrated, sensors.Attributed, sensors.Estimated}
	for _, line := range [][2]string{{"marks: ", legend(nil, all...)}, {"ergon itself: ", own(r)}, {"CPU time from ", r.Run.Accounting}} {
		if line[1] != "" {
			p.tag("<p>%s</p>\n", line[0]+line[1])
		}
	}
	if len(r.Run.Sources) == 0 {
		return
	}
	headings := []string{"interval", "sensors", "readings", "missed", "late", "failed", "time reading", "longest"}
	p.WriteString("<table class=\"wide\">\n<thead><tr><th>source</th>")
	for _, h := range headings {
		p.tag("<th class=\"n\">%s</th>", h)
	}
	p.WriteString("<th></th></tr></thead>\n<tbody>\n")
	for _, s := range r.Run.Sources {
		p.tag("<tr><td class=\"name\">%s</td>", s.Name)
		for i, c := range []string{
			units.Format(s.Interval, units.Second), strconv.Itoa(s.Sensors), strconv.FormatInt(s.Readings, 10),
			strconv.FormatInt(s.Missed, 10), strconv.FormatInt(s.Late, 10), strconv.FormatInt(s.Failed, 10),
			units.Format(s.ReadTime, units.Second), units.Format(s.Worst, units.Second),
		} {
			p.tag("<td class=\"n\" data-l=\"%s\">%s</td>", headings[i], c)
		}
		hung := ""
		if s.Hung {
			hung = "did not answer at the end"
		}
		p.tag("<td>%s</td></tr>\n", hung)
	}
	p.WriteString("</tbody></table>\n")
}

// several writes the page of runs that are compared with the first.
func (p *sheet) several(runs []Shown) error {
	names := make([]string, len(runs))
	all := make([]courses, 0, len(runs))
	to, charted := 0.0, []string{}
	p.tag("<header class=\"top\"><div>\n<h1>%s runs</h1>\n", strconv.Itoa(len(runs)))
	for i, r := range runs {
		names[i] = ShortID(r.Run)
		if slices.Contains(names[:i], names[i]) {
			names[i] = r.Run.ID
		}
		about := nonEmpty(r.Run.Start.UTC().Format(time.DateTime), r.Run.Host.Name, commit(r.Run.Host))
		p.tag("<p class=\"about run\"><i class=\"sw "+look(i)+"\"></i> <b>%s</b> <code>%s</code> <span class=\"badge"+badge(r.Run)+"\">%s</span> %s</p>\n",
			names[i], shorten(commandLine(r.Run.Command), 100), verdict(r.Run), strings.Join(about, " · "))
		if len(r.Charts) > 0 {
			all, charted = append(all, courses{r.Run, r.Charts[0]}), append(charted, names[i])
		}
		to = max(to, length(r))
	}
	p.WriteString("</div>" + themeButton + "</header>\n")
	p.differences(runs, names)
	if err := p.charts(overlaid(all, charted), timeline{}, bands{}, to, 0); err != nil {
		return err
	}
	p.machines(runs, names)
	return nil
}

// differences writes the summary of each run, with the difference from the first run.
func (p *sheet) differences(runs []Shown, names []string) {
	p.WriteString("<section><div class=\"head\"><h2>Differences</h2>")
	p.tag("<p class=\"hint\">from %s, run by run: one run of each says nothing about chance</p></div>\n", names[0])
	p.WriteString("<div class=\"panel\"><table class=\"wide\">\n<thead><tr><th></th>")
	for i, n := range names {
		p.tag("<th class=\"n\">%s</th>", n)
		if i > 0 {
			p.WriteString("<th class=\"n\"></th>")
		}
	}
	p.WriteString("</tr></thead>\n<tbody>\n")
	all := make([]map[string]datamodel.Metric, len(runs))
	for i, r := range runs {
		all[i] = summary(r.Result)
	}
	for _, d := range compared(runs) {
		known := slices.ContainsFunc(all, func(s map[string]datamodel.Metric) bool { return s[d.Name].Provenance != sensors.Missing })
		if !known {
			continue
		}
		p.tag("<tr><td class=\"name\" title=\"%s\">%s</td>", d.Doc, strings.ReplaceAll(d.Name, "_", " "))
		for i, s := range all {
			sign, _ := mark(s[d.Name].Provenance)
			p.tag("<td class=\"n\" data-l=\"%s\">%s</td>", names[i], strings.Join(nonEmpty(valueOf(s[d.Name]), sign), " "))
			if i > 0 {
				p.tag("<td class=\"n dim\">%s</td>", difference(s[d.Name], all[0][d.Name]))
			}
		}
		p.WriteString("</tr>\n")
	}
	p.WriteString("</tbody></table></div></section>\n")
}

// compared lists the metrics that runs are compared by.
func compared(runs []Shown) []datamodel.Definition {
	out := slices.Clone(datamodel.Summary())
	for _, r := range runs {
		for _, p := range pricedOf(r.Run.Factors) {
			for _, name := range []string{p.command, p.machine} {
				d, ok := datamodel.Lookup(name)
				if ok && !slices.ContainsFunc(out, func(o datamodel.Definition) bool { return o.Name == name }) {
					out = append(out, d)
				}
			}
		}
	}
	return out
}

// difference returns how much a figure differs from the one before: "+3.2 %", or "× 2.50" from twice on. It is empty if that is
// unknown, because a figure is missing, is a bound, or is not above its uncertainty.
func difference(m, before datamodel.Metric) string {
	part := (m.Value - before.Value) / before.Value
	if math.IsNaN(part) || math.IsInf(part, 0) || m.Bound != "" || before.Bound != "" || vague(m) || vague(before) {
		return ""
	}
	if part >= 1 {
		return "× " + decimal(1+part, 2)
	}
	switch s := strconv.FormatFloat(100*math.Abs(part), 'f', 1, 64); {
	case s == "0.0":
		return "±0 %"
	case part > 0:
		return "+" + s + " %"
	default:
		return "−" + s + " %"
	}
}

// machines lists what differs between the machines and settings of the runs.
func (p *sheet) machines(runs []Shown, names []string) {
	var keys []string
	facts := make([]map[string]string, len(runs))
	for i, r := range runs {
		facts[i] = make(map[string]string)
		for _, f := range append([]datamodel.Pair{{Key: "name", Value: r.Run.Host.Name}, {Key: "ergon", Value: r.Run.Version}}, datamodel.HostFacts(r.Run.Host)...) {
			facts[i][f.Key] = factValue(f)
			if !slices.Contains(keys, f.Key) {
				keys = append(keys, f.Key)
			}
		}
	}
	keys = slices.DeleteFunc(keys, func(k string) bool {
		return !slices.ContainsFunc(facts, func(f map[string]string) bool { return f[k] != facts[0][k] })
	})
	p.fold("What differs between the machines", " first", func() {
		if len(keys) == 0 {
			p.WriteString("<p>nothing that ergon knows of</p>\n")
			return
		}
		p.WriteString("<table class=\"wide\">\n<thead><tr><th></th>")
		for _, n := range names {
			p.tag("<th>%s</th>", n)
		}
		p.WriteString("</tr></thead>\n<tbody>\n")
		for _, k := range keys {
			p.tag("<tr><td class=\"name\">%s</td>", strings.ReplaceAll(k, "_", " "))
			for i, f := range facts {
				p.tag("<td data-l=\"%s\">%s</td>", names[i], cmp.Or(f[k], units.None))
			}
			p.WriteString("</tr>\n")
		}
		p.WriteString("</tbody></table>\n")
	})
}
