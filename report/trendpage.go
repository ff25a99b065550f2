package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// trendScript is the script of the page of trends.
//
//go:embed page/trend.js
var trendScript string

const (
	// drawnCharts is how many charts the page has, those of the commands with most runs. drawnLines is how many lines a chart has.
	drawnCharts, drawnLines = 40, 16
	// tabledPoints is how many points the page lists in a table, the latest ones.
	tabledPoints = 500
	// dottedPoints is the largest number of points of a line that have marks of their own. More marks would cover the line.
	dottedPoints = 300
	// spare is the part of the time that is left free on both sides of the first and the last run.
	spare = 0.02
)

// trendChart is one chart of the page: the lines of one metric of one command, or of one area.
type trendChart struct {
	id, title, subject string
	unit               units.Unit
	lines              []int // of Trend.Lines
	names              []string
	// more is the number of lines that are not drawn.
	more int
}

// writePage writes a self-contained page. It loads nothing, and its policy is that of the page of a run.
func (t Trend) writePage(w io.Writer) error {
	p := &sheet{}
	p.open(t.title(), script(trendScript))
	p.trendHeader(t)
	p.overdue(t)
	if !t.OnlyOverdue {
		p.changes(t)
		if err := p.trendCharts(t); err != nil {
			return err
		}
		p.trendLines(t)
		p.trendPoints(t)
	}
	p.close(t.Version, script(trendScript))
	_, err := io.WriteString(w, p.String())
	return err
}

// title names the metrics.
func (t Trend) title() string {
	if t.OnlyOverdue {
		return "overdue runs"
	}
	var names []string
	for _, m := range t.Metrics {
		names = append(names, m.Definition.Label)
	}
	return "trend of " + strings.Join(names, ", ")
}

func (p *sheet) trendHeader(t Trend) {
	p.tag("<header class=\"top\"><div>\n<h1>%s</h1>\n", strings.ToUpper(t.title()[:1])+t.title()[1:])
	var about []string
	if len(t.Runs) > 0 {
		first, last := dayText(t.Runs[0].Start), dayText(t.Runs[len(t.Runs)-1].Start)
		about = append(about, plural(len(t.Runs), "run"), first+" – "+last)
	}
	if t.By != trend.ByRun && t.By != "" {
		about = append(about, "by "+string(t.By))
	}
	projects := map[string]bool{}
	for _, r := range t.Runs {
		projects[r.Project] = true
	}
	if len(projects) == 1 {
		about = append(about, "project "+t.Runs[0].Project)
	}
	p.tag("<p class=\"about\">%s</p>\n", strings.Join(about, " · "))
	p.tag("<p class=\"about\">looked at %s; times are UTC</p>\n", t.Now.UTC().Format("2006-01-02 15:04"))
	p.WriteString("</div>" + themeButton + "</header>\n")
}

// overdue names the commands whose next run has not come.
func (p *sheet) overdue(t Trend) {
	if len(t.Overdue) == 0 {
		if t.OnlyOverdue {
			p.WriteString("<p>Nothing is overdue.</p>\n")
		}
		return
	}
	p.WriteString("<section class=\"doubts\" id=\"overdue\"><h2>Overdue</h2>\n<ul>\n")
	for _, o := range t.Overdue {
		p.tag("<li>%s</li>\n", t.overdueText(o))
	}
	p.WriteString("</ul></section>\n")
}

// changes lists the steps of all lines.
func (p *sheet) changes(t Trend) {
	type change struct {
		at   time.Time
		text string
		look string
	}
	names := t.names()
	var all []change
	several := len(t.subjects()) > 1
	for i := range t.Lines {
		l := &t.Lines[i]
		for _, s := range l.Steps {
			c := change{l.Points[s.At].Start, t.stepText(l, s), string(l.Verdict(s))}
			if several {
				c.text = names[i] + ": " + c.text
			}
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return b.at.Compare(a.at) })
	p.WriteString("<section class=\"changes\" id=\"changes\"><h2>What changed</h2>\n")
	if len(all) == 0 {
		p.WriteString("<p class=\"dim\">No step of a line is beyond what chance makes.</p></section>\n")
		return
	}
	p.WriteString("<ul>\n")
	for _, c := range all {
		p.tag("<li class=\""+c.look+"\">%s</li>\n", c.text)
	}
	p.WriteString("</ul></section>\n")
}

// subjects lists what has charts of its own: commands, and areas of files.
func (t Trend) subjects() []string {
	var list []string
	for i := range t.Lines {
		if s := subject(&t.Lines[i]); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// subject returns what a line shares a chart with.
func subject(l *trend.Line) string {
	area := ""
	if l.Metric.Family == datamodel.InventoryFamily {
		area, _, _ = strings.Cut(l.Label, "/")
	}
	return l.Project + "\x00" + l.Command + "\x00" + area
}

// chartsOf lists the charts: metric by metric, those of the commands with most runs.
func (t Trend) chartsOf() (charts []trendChart, left int) {
	subjects := t.subjects()
	runs := make([]int, len(subjects))
	lines := map[[2]string][]int{} // by metric and subject
	for i := range t.Lines {
		s := subject(&t.Lines[i])
		key := [2]string{t.Lines[i].Metric.Name, s}
		lines[key] = append(lines[key], i)
		runs[slices.Index(subjects, s)] += len(t.Lines[i].Points)
	}
	order := make([]int, len(subjects))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return runs[b] - runs[a] })
	for _, s := range order {
		for k, m := range t.Metrics {
			of := lines[[2]string{m.Name, subjects[s]}]
			if len(of) == 0 || slices.ContainsFunc(t.Metrics[:k], func(o trend.Metric) bool { return o.Name == m.Name }) {
				continue
			}
			if len(charts) == drawnCharts {
				left++
				continue
			}
			charts = append(charts, t.chart(len(charts), of, len(subjects) > 1))
		}
	}
	return charts, left
}

func (t Trend) chart(n int, of []int, titled bool) trendChart {
	first := &t.Lines[of[0]]
	c := trendChart{id: "t" + strconv.Itoa(n), title: metricName(first.Metric), unit: first.Metric.Unit}
	if titled {
		c.subject = shorten(first.Command, 60)
		if area, _, ok := strings.Cut(first.Label, "/"); ok && first.Metric.Family == datamodel.InventoryFamily {
			c.subject += " · " + area
		}
	}
	slices.SortStableFunc(of, func(a, b int) int { return len(t.Lines[b].Points) - len(t.Lines[a].Points) })
	if len(of) > drawnLines {
		c.more, of = len(of)-drawnLines, of[:drawnLines]
	}
	c.lines = of
	shown := Trend{}
	for _, i := range of {
		shown.Lines = append(shown.Lines, t.Lines[i])
	}
	for i, name := range shown.names() {
		l := shown.Lines[i]
		// The command is in the title, or the same everywhere.
		rest := strings.TrimPrefix(strings.TrimPrefix(name, l.Label+" · "), l.Command)
		c.names = append(c.names, strings.Join(nonEmpty(l.Label, strings.TrimPrefix(rest, " · ")), " · "))
	}
	return c
}

// The content of the page for its script. Arrays that say nothing are left out.
type (
	trendHead struct {
		From   float64         `json:"from"`
		To     float64         `json:"to"`
		Runs   []trendRun      `json:"runs"`
		Lines  []trendLine     `json:"lines"`
		Charts []trendChartRow `json:"charts"`
	}
	trendRun struct {
		ID     string  `json:"id"`
		At     float64 `json:"at"`
		Commit string  `json:"commit,omitempty"`
		Host   string  `json:"host,omitempty"`
		Tags   string  `json:"tags,omitempty"`
		Link   string  `json:"link,omitempty"`
	}
	trendLine struct {
		Look string `json:"look"`
		// Run is the first run of each point, as an index. Key is the commit, day or tag.
		Run  []int      `json:"run"`
		Key  []string   `json:"key,omitempty"`
		Y    []*float64 `json:"y"`
		Low  []*float64 `json:"low,omitempty"`
		High []*float64 `json:"high,omitempty"`
		N    []int      `json:"n,omitempty"`
		// Why has the reasons of missing values by the index of their point.
		Why   map[int]string `json:"why,omitempty"`
		Bound map[int]string `json:"bound,omitempty"`
		Steps []trendStep    `json:"steps,omitempty"`
		// Levels are the medians between the steps.
		Levels []float64 `json:"levels,omitempty"`
	}
	trendStep struct {
		At   int    `json:"at"`
		Text string `json:"text"`
	}
	trendChartRow struct {
		ID    string     `json:"id"`
		Unit  units.Unit `json:"unit"`
		Lines []int      `json:"lines"`
	}
)

// epoch returns a time in s since 1970, to the millisecond.
func epoch(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// frame returns the time axis of all charts.
func (t Trend) frame() (from, to float64) {
	from, to = math.Inf(1), math.Inf(-1)
	for i := range t.Lines {
		for _, p := range t.Lines[i].Points {
			from, to = min(from, epoch(p.Start)), max(to, epoch(p.Start))
		}
	}
	room := max((to-from)*spare, 60)
	return from - room, to + room
}

// trendCharts writes the charts, with their data for the script.
func (p *sheet) trendCharts(t Trend) error {
	charts, left := t.chartsOf()
	if len(charts) == 0 {
		p.WriteString("<p class=\"hint first\">There is no run to draw.</p>\n")
		return nil
	}
	head := trendHead{Lines: []trendLine{}}
	head.From, head.To = t.frame()
	for _, r := range t.Runs {
		run := trendRun{ID: printable(r.ID), At: epoch(r.Start), Commit: commitText(r.Commit()), Host: printable(r.Host.Name), Tags: printable(strings.Join(r.Tags, " "))}
		if t.Link != nil {
			run.Link = t.Link(r)
		}
		head.Runs = append(head.Runs, run)
	}
	p.WriteString("<section id=\"over-time\" tabindex=\"0\" aria-label=\"Over time\">\n<div class=\"head\"><h2>Over time</h2>" +
		"<p class=\"hint live-only\"><span class=\"pointer\">drag: zoom · double-click: all · keys: ← → + − Page Enter Home</span></p></div>\n" +
		"<div id=\"window\" class=\"live-only\"><p><span id=\"window-time\"></span></p><span id=\"window-at\"></span><button id=\"all\" type=\"button\">show all</button></div>\n")
	for _, c := range charts {
		row := trendChartRow{ID: c.id, Unit: c.unit}
		p.trendCaption(t, c, len(head.Lines))
		p.WriteString("<svg viewBox=\"0 0 " + short(drawWidth) + " " + short(drawTop+trendHeight+drawBottom) + "\" role=\"img\" aria-label=\"" +
			html.EscapeString(printable(c.title)) + "\">" + t.drawing(c, head) + "</svg></figure>\n")
		for k, i := range c.lines {
			row.Lines = append(row.Lines, len(head.Lines))
			head.Lines = append(head.Lines, t.pageLine(&t.Lines[i], look(k)))
		}
		head.Charts = append(head.Charts, row)
	}
	if left > 0 {
		p.tag("<p class=\"hint\">%s more are only in the table (--project and --command choose)</p>\n", plural(left, "chart"))
	}
	p.WriteString("</section>\n")
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	// JSON has no <, > and & outside of escapes.
	p.WriteString("<script type=\"application/json\" id=\"head\">" + string(text) + "</script>\n")
	return nil
}

// trendCaption begins a chart and writes its legend. first is the number of its first line.
func (p *sheet) trendCaption(t Trend, c trendChart, first int) {
	p.tag("<figure class=\"chart\" id=\"chart-"+c.id+"\"><figcaption><h3>%s</h3>", c.title)
	if c.subject != "" {
		p.tag("<span><code>%s</code></span>", c.subject)
	}
	for k, i := range c.lines {
		d := describeLine(&t.Lines[i])
		value := "<b>%s</b>"
		last := units.None
		if d.known > 0 {
			last = boundSign(datamodel.Bound("")) + units.Format(d.last, c.unit)
			value = "last <b>%s</b>"
		}
		sign, _ := mark(t.Lines[i].Means.Provenance)
		p.tag("<span><i class=\""+look(k)+"\"></i>%s <span data-line=\""+strconv.Itoa(first+k)+"\">"+value+"</span> %s</span>", c.names[k], last, sign)
	}
	if c.more > 0 {
		p.tag("<span>and %s only in the table</span>", plural(c.more, "line"))
	}
	p.WriteString("</figcaption>\n")
}

// sixDigits returns a number with six digits, which a chart does not show. It is nil for NaN.
func sixDigits(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return nil
	}
	return &short
}

func (t Trend) pageLine(l *trend.Line, look string) trendLine {
	out := trendLine{Look: look, Why: map[int]string{}, Bound: map[int]string{}}
	keys, ranges, several := false, false, false
	for i, p := range l.Points {
		out.Run, out.Y = append(out.Run, p.Runs[0]), append(out.Y, sixDigits(p.Value))
		out.Low, out.High, out.N = append(out.Low, sixDigits(p.Low)), append(out.High, sixDigits(p.High)), append(out.N, len(p.Runs))
		out.Key = append(out.Key, t.keyText(p.Key))
		keys, ranges, several = keys || p.Key != "", ranges || !math.IsNaN(p.Low), several || len(p.Runs) > 1
		if p.N == 0 {
			out.Why[i] = printable(p.Reason)
		}
		if p.Bound != "" {
			out.Bound[i] = boundSign(p.Bound)
		}
	}
	if !keys {
		out.Key = nil
	}
	if !ranges {
		out.Low, out.High = nil, nil
	}
	if !several {
		out.N = nil
	}
	for _, s := range l.Steps {
		out.Steps = append(out.Steps, trendStep{s.At, stepLabel(s)})
	}
	for _, v := range lineLevels(l) {
		if short := sixDigits(v); short != nil {
			out.Levels = append(out.Levels, *short)
		}
	}
	return out
}

// lineLevels returns the medians of the levels between the steps. It is nil without a step.
func lineLevels(l *trend.Line) (levels []float64) {
	for i, s := range l.Steps {
		if i == 0 {
			levels = append(levels, s.Before)
		}
		levels = append(levels, s.After)
	}
	return levels
}

// stepLabel is the change of a step, for a chart.
func stepLabel(s trend.Step) string {
	sign := "+"
	if s.After < s.Before {
		sign = "−"
	}
	if c := s.Change(); !math.IsNaN(c) {
		return sign + sizeText(c)
	}
	return sign
}

// trendLines writes a table of all lines.
func (p *sheet) trendLines(t Trend) {
	if len(t.Lines) == 0 {
		return
	}
	names := t.names()
	p.WriteString("<section><div class=\"head\"><h2>Lines</h2></div>\n<div class=\"panel\"><table class=\"wide sortable\" id=\"lines\">\n<thead><tr><th data-sort=\"text\">metric</th>" +
		"<th data-sort=\"text\">runs of</th><th class=\"n\" data-sort=\"number\">runs</th><th class=\"n\" data-sort=\"number\">median</th><th class=\"n\">least to most</th>" +
		"<th class=\"n\" data-sort=\"number\">last</th><th class=\"n\" data-sort=\"number\">steps</th><th>not measured</th></tr></thead>\n<tbody>\n")
	for i := range t.Lines {
		l := &t.Lines[i]
		d := describeLine(l)
		u := l.Metric.Unit
		sign, _ := mark(l.Means.Provenance)
		p.tag("<tr><td class=\"name\">%s</td><td>%s</td><td class=\"n\" data-l=\"runs\">%s</td>", metricName(l.Metric), names[i], strconv.Itoa(d.runs))
		span, without := "", ""
		if d.known > 1 {
			span = units.Format(d.least, u) + " to " + units.Format(d.most, u)
		}
		if d.missing > 0 {
			without = plural(d.missing, "run") + ": " + d.reason
		}
		p.tag("<td class=\"n\" data-v=\"%s\" data-l=\"median\">%s</td><td class=\"n\">%s</td><td class=\"n\" data-v=\"%s\" data-l=\"last\">%s</td><td class=\"n\" data-l=\"steps\">%s</td><td class=\"dim\">%s</td></tr>\n",
			plainNumber(d.median), strings.Join(nonEmpty(d.bound+units.Format(d.median, u), sign), " "), span, plainNumber(d.last), units.Format(d.last, u),
			strconv.Itoa(len(l.Steps)), without)
	}
	p.WriteString("</tbody></table></div></section>\n")
}

// trendPoints writes a table of the latest points. A run leads to its page.
func (p *sheet) trendPoints(t Trend) {
	type row struct {
		line  *trend.Line
		name  string
		point trend.Point
	}
	names := t.names()
	var rows []row
	for i := range t.Lines {
		for _, pt := range t.Lines[i].Points {
			rows = append(rows, row{&t.Lines[i], names[i], pt})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return b.point.Start.Compare(a.point.Start) })
	if len(rows) == 0 {
		return
	}
	heading := "Every point"
	if len(rows) > tabledPoints {
		heading = fmt.Sprintf("The latest %d of %d points (-f csv has all)", tabledPoints, len(rows))
		rows = rows[:tabledPoints]
	}
	p.fold(heading, " first", func() {
		p.WriteString("<p class=\"js-only\"><input type=\"search\" data-table=\"points\" placeholder=\"search\" aria-label=\"search the points\"/> <span id=\"found\" class=\"dim\"></span></p>\n" +
			"<table class=\"wide\" id=\"points\">\n<thead><tr><th>start</th><th>run</th><th>commit</th><th>metric</th><th>runs of</th><th class=\"n\">value</th><th></th></tr></thead>\n<tbody>\n")
		for _, r := range rows {
			first := t.Runs[r.point.Runs[0]]
			p.tag("<tr><td class=\"name\">%s</td><td>", r.point.Start.UTC().Format("2006-01-02 15:04"))
			address := ""
			if t.Link != nil {
				address = t.Link(first)
			}
			id := ShortID(first.Run)
			if address != "" {
				p.tag("<a href=\"%s\">%s</a>", address, id)
			} else {
				p.tag("<code>%s</code>", id)
			}
			if n := len(r.point.Runs); n > 1 {
				p.tag(" and %s more", strconv.Itoa(n-1))
			}
			value := boundSign(r.point.Bound) + units.Format(r.point.Value, r.line.Metric.Unit)
			note := ""
			switch {
			case r.point.N == 0:
				note = r.point.Reason
			case !math.IsNaN(r.point.Low):
				note = units.Format(r.point.Low, r.line.Metric.Unit) + " to " + units.Format(r.point.High, r.line.Metric.Unit)
			}
			sign, meaning := mark(r.line.Means.Provenance)
			if r.point.N == 0 {
				sign, meaning = "", string(sensors.Missing)
			}
			p.tag("</td><td>%s</td><td>%s</td><td>%s</td><td class=\"n\" title=\"%s\">%s</td><td class=\"dim\">%s</td></tr>\n", commitText(first.Commit()),
				metricName(r.line.Metric), r.name, cmp.Or(meaning, "counted"), strings.Join(nonEmpty(value, sign), " "), note)
		}
		p.WriteString("</tbody></table>\n")
		if t.Link == nil {
			p.WriteString("<p class=\"dim\">ergon report RUN -f html --open shows a run; ergon trend --pages DIR links to the pages of all runs</p>\n")
		}
	})
}
