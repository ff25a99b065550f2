package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Trend is how metrics went over many runs, ready to be shown.
type Trend struct {
	trend.Trend
	// Metrics are those that were asked for.
	Metrics []trend.Metric
	// Overdue are the commands whose next run has not come.
	Overdue []trend.Overdue
	// OnlyOverdue leaves out the lines.
	OnlyOverdue bool
	// Since is the earliest start that was asked for. It is zero if all runs were.
	Since time.Time
	// Now is when the runs were looked at.
	Now time.Time
	// Link returns the address of a run's page, relative to the page of the trend. It is "" if the run has none. It may be nil.
	Link func(*trend.Run) string
	// Version is the version of ergon.
	Version string
}

// TrendFormats lists what Write takes, the default first.
func TrendFormats() []string { return []string{"text", "json", "csv", "html"} }

// Write writes the trend in one of the formats.
func (t Trend) Write(w io.Writer, format string, o Options) error {
	switch format {
	case "json":
		return t.writeJSON(w)
	case "csv":
		return t.writeCSV(w)
	case "html":
		return t.writePage(w)
	}
	return t.writeText(w, o)
}

const (
	// listedLines is how many lines of a metric a terminal gets, and listedPoints how many points of a line.
	listedLines, listedPoints = 20, 20
	// listedOverdue is how many overdue commands a terminal gets beside the lines.
	listedOverdue = 10
	// sparkLine is the width of the course of a line in text. If less than shortSpark is left, it gets a line of its own.
	sparkLine, shortSpark = 40, 16
)

// writeText writes a few lines for each line of the trend.
func (t Trend) writeText(w io.Writer, o Options) error {
	p := &page{Options: o, out: w, width: cmp.Or(o.Width, math.MaxInt32)}
	names := t.names()
	first := true
	for _, m := range t.Metrics {
		var of []int
		for i, l := range t.Lines {
			if l.Metric.Name == m.Name && !slices.Contains(of, i) {
				of = append(of, i)
			}
		}
		if t.OnlyOverdue || len(of) == 0 {
			continue
		}
		if !first {
			p.line()
		}
		first = false
		p.line(p.look(bold, p.plain(metricName(m.Definition))))
		left := 0
		if o.Width > 0 && len(of) > listedLines {
			left = len(of) - listedLines
			slices.SortStableFunc(of, func(a, b int) int { return len(t.Lines[b].Points) - len(t.Lines[a].Points) })
			of = of[:listedLines]
			slices.Sort(of)
		}
		for _, i := range of {
			t.lineText(p, &t.Lines[i], names[i])
		}
		if left > 0 {
			p.line("  ", p.look(dim, p.plain(fmt.Sprintf("%d lines more (--project and --command choose; a pipe has all)", left))))
		}
	}
	if len(t.Overdue) > 0 && !t.OnlyOverdue {
		p.line()
		p.line(p.look(bold, "overdue"))
	}
	for i, late := range t.Overdue {
		if i == listedOverdue && !t.OnlyOverdue && o.Width > 0 {
			p.line("  ", p.look(dim, p.plain(fmt.Sprintf("%d more (--overdue names all)", len(t.Overdue)-i))))
			break
		}
		p.wrapped("  ", "    ", yellow, p.plain(printable(t.overdueText(late))))
	}
	return p.err
}

// lineText writes one line of the trend.
func (t Trend) lineText(p *page, l *trend.Line, name string) {
	d := describeLine(l)
	count := plural(d.runs, "run")
	when := t.span(l)
	head := p.plain(printable(name))
	if p.Width > 0 {
		head = p.cut(head, max(leastCommand, p.width-columns(count)-columns(when)-8))
	}
	p.line("  ", head, "  ", p.look(dim, p.plain(count+"  "+when)))
	u := l.Metric.Unit
	sign, _ := mark(l.Means.Provenance)
	switch d.known {
	case 0:
		p.line("    ", p.plain(units.None+"  "+printable(d.reason)))
	case 1:
		p.line("    ", p.plain(strings.Join(nonEmpty(d.bound+units.Format(d.median, u), sign), " ")))
	default:
		text := fmt.Sprintf("median %s%s, %s to %s, last %s", d.bound, units.Format(d.median, u), units.Format(d.least, u), units.Format(d.most, u), units.Format(d.last, u))
		text = p.plain(strings.Join(nonEmpty(text, sign), " "))
		room := p.width - columns(text) - 6
		if room >= shortSpark {
			p.line("    ", reach(squeeze(l.Values(), min(sparkLine, room)), p.Unicode), "  ", text)
			break
		}
		p.line("    ", reach(squeeze(l.Values(), min(2*sparkLine, max(shortSpark, p.width-4))), p.Unicode))
		p.wrapped("    ", "    ", "", text)
	}
	for _, s := range l.Steps {
		look := yellow
		if l.Verdict(s) == trend.Better {
			look = ""
		}
		p.wrapped("    ", "      ", look, p.plain(printable(t.stepText(l, s))))
	}
	if d.missing > 0 && d.known > 0 {
		p.line("    ", p.look(dim, p.plain(fmt.Sprintf("%s without a value: %s", plural(d.missing, "run"), printable(d.reason)))))
	}
	if t.By == trend.ByRun || t.By == trend.ByHost {
		return
	}
	points := l.Points
	if p.Width > 0 && len(points) > listedPoints {
		p.line("    ", p.look(dim, p.plain(fmt.Sprintf("the last %d of %d:", listedPoints, len(points)))))
		points = points[len(points)-listedPoints:]
	}
	for _, pt := range points {
		text := []string{pad(t.keyText(pt.Key), 12, false), pad(plural(len(pt.Runs), "run"), 9, true), pad(boundSign(pt.Bound)+units.Format(pt.Value, u), 11, true)}
		switch {
		case pt.N == 0:
			text = append(text, printable(pt.Reason))
		case pt.N > 1:
			text = append(text, units.Format(pt.Low, u)+" to "+units.Format(pt.High, u))
		}
		p.line("    ", p.plain(strings.Join(text, "  ")))
	}
}

// reach draws values as bars between the least and the most of them, one column each. A gap is a space.
func reach(values []float64, unicode bool) string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			least, most = min(least, v), max(most, v)
		}
	}
	above := make([]float64, len(values))
	for i, v := range values {
		above[i] = v - least
		if most > least {
			above[i] = (v-least)/(most-least) + 1e-9
		}
	}
	return bars(above, unicode)
}

// lineSummary is what a line says in short.
type lineSummary struct {
	// runs, known and missing count runs, and points with a value.
	runs, known, missing      int
	median, least, most, last float64
	bound                     string // a sign if all values are bounds
	reason                    string // why the last missing one is
}

func describeLine(l *trend.Line) lineSummary {
	d := lineSummary{least: math.NaN(), most: math.NaN(), median: math.NaN(), last: math.NaN()}
	var values []float64
	bounds := 0
	for _, p := range l.Points {
		d.runs += len(p.Runs)
		if p.N == 0 {
			d.missing += len(p.Runs)
			d.reason = p.Reason
			continue
		}
		values = append(values, p.Value)
		d.last = p.Value
		d.bound = boundSign(p.Bound)
		if p.Bound != "" {
			bounds++
		}
	}
	if d.known = len(values); d.known == 0 {
		return d
	}
	if bounds < d.known {
		d.bound = ""
	}
	slices.Sort(values)
	d.least, d.most = values[0], values[d.known-1]
	d.median = (values[(d.known-1)/2] + values[d.known/2]) / 2
	return d
}

// boundSign is what stands before a value that is a bound.
func boundSign(b datamodel.Bound) string {
	switch b {
	case datamodel.LowerBound:
		return "≥ "
	case datamodel.UpperBound:
		return "≤ "
	}
	return ""
}

// names returns for each line what tells it apart from the others of its metric. What all of them have in common is left out.
func (t Trend) names() []string {
	facts := make([][]datamodel.Pair, len(t.Lines))
	first := map[string][]datamodel.Pair{} // by metric, of its first line
	differ := map[string]map[string]bool{} // by metric and fact
	for i, l := range t.Lines {
		facts[i] = lineFacts(&l)
		if first[l.Metric.Name] == nil {
			first[l.Metric.Name], differ[l.Metric.Name] = facts[i], map[string]bool{}
		}
		for k, f := range facts[i] {
			if f.Value != first[l.Metric.Name][k].Value {
				differ[l.Metric.Name][f.Key] = true
			}
		}
	}
	names := make([]string, len(t.Lines))
	for i, l := range t.Lines {
		var parts []string
		for _, f := range facts[i] {
			if f.Key == "command" || f.Key == "of" && f.Value != "" || differ[l.Metric.Name][f.Key] {
				parts = append(parts, factText(f))
			}
		}
		if l.Label != "" && len(parts) > 1 { // an area says more than the command
			parts[0], parts[1] = parts[1], parts[0]
		}
		names[i] = strings.Join(nonEmpty(parts...), " · ")
	}
	return names
}

// lineFacts lists what identifies a line.
func lineFacts(l *trend.Line) []datamodel.Pair {
	facts := []datamodel.Pair{{Key: "command", Value: l.Command}, {Key: "of", Value: l.Label}, {Key: "project", Value: l.Project}, {Key: "host", Value: l.Host}}
	facts = append(facts, l.Basis.Facts()...)
	return append(facts, datamodel.Pair{Key: "provenance", Value: string(l.Means.Provenance)}, datamodel.Pair{Key: "parts", Value: l.Means.Parts})
}

// factText is a fact in the name of a line.
func factText(f datamodel.Pair) string {
	switch {
	case f.Value == "" && (f.Key == "of" || f.Key == "host" || f.Key == "parts"):
		return ""
	case f.Value == "":
		return f.Key + " unknown"
	case f.Key == "kernel", f.Key == "governor", f.Key == "project":
		return f.Key + " " + f.Value
	case f.Key == "cpus":
		return f.Value + " CPUs"
	}
	return f.Value
}

// keyText is the key of a group for people.
func (t Trend) keyText(key string) string {
	if t.By != trend.ByCommit {
		return printable(key)
	}
	return commitText(key)
}

// commitText is a commit for people, in 9 digits. A "+" says that files differed.
func commitText(commit string) string {
	hash, differs := strings.CutSuffix(commit, "+")
	hash = printable(hash)
	hash = hash[:min(9, len(hash))]
	if differs {
		hash += "+"
	}
	return hash
}

// span returns the first and the last day of a line.
func (t Trend) span(l *trend.Line) string {
	first, last := dayText(l.Points[0].Start), dayText(l.Points[len(l.Points)-1].Start)
	if first == last {
		return first
	}
	return first + " – " + last
}

func dayText(at time.Time) string {
	if at.IsZero() {
		return "?"
	}
	return at.UTC().Format(time.DateOnly)
}

// sizeText formats a part without its sign.
func sizeText(part float64) string { return units.Format(math.Abs(part), units.Ratio) }

// stepText says what a step is, in a sentence.
func (t Trend) stepText(l *trend.Line, s trend.Step) string {
	u := l.Metric.Unit
	what := "rose"
	if s.After < s.Before {
		what = "fell"
	}
	text := l.Metric.Label + " " + what
	if c := s.Change(); !math.IsNaN(c) {
		text += " " + sizeText(c)
		if s.Ratio.Known() {
			text += " (" + sizeText(s.Ratio.Low-1) + " to " + sizeText(s.Ratio.High-1) + ")"
		}
	}
	text += fmt.Sprintf(" from %s to %s", units.Format(s.Before, u), units.Format(s.After, u))
	p := l.Points[s.At]
	run := t.Runs[p.Runs[0]]
	if commit := run.Commit(); commit != "" {
		before := ""
		if s.At > 0 {
			before = t.Runs[l.Points[s.At-1].Runs[0]].Commit()
		}
		if before == commit {
			text += " within commit " + commitText(commit)
		} else {
			text += " at commit " + commitText(commit)
		}
	}
	if t.By == trend.ByTag {
		text += ", tag " + p.Key
	}
	return text + fmt.Sprintf(" (run %s, %s)", ShortID(run.Run), run.Start.UTC().Format("2006-01-02 15:04 MST"))
}

// overdueText says what is overdue, in a sentence.
func (t Trend) overdueText(o trend.Overdue) string {
	return fmt.Sprintf("%s of project %s: the last run began %s, %s ago; %s came every %s (± %s), so the next was due by %s",
		shorten(o.Command, 60), o.Project, o.Last.UTC().Format("2006-01-02 15:04 MST"), longTime(t.Now.Sub(o.Last)), plural(o.Runs, "run"),
		longTime(o.Mean), longTime(o.Sigma), o.Due.UTC().Format("2006-01-02 15:04 MST"))
}

// longTime formats a length of time up to years.
func longTime(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return strings.TrimSuffix(strconv.FormatFloat(float64(d)/float64(day), 'f', 1, 64), ".0") + " days"
	}
	return units.Format(d.Seconds(), units.Second)
}

// trendSchema is the version of the JSON.
const trendSchema = "ergon.trend/1"

// The JSON of a trend. Every key is always there; null means unknown.
type (
	trendJSON struct {
		Schema  string        `json:"schema"`
		Version string        `json:"version"`
		By      trend.By      `json:"by"`
		Since   *time.Time    `json:"since"`
		Lines   []lineJSON    `json:"lines"`
		Overdue []overdueJSON `json:"overdue"`
		// Ungrouped is the number of runs without a commit or tag to be grouped by.
		Ungrouped int `json:"ungrouped"`
	}
	lineJSON struct {
		Metric  string     `json:"metric"`
		Unit    units.Unit `json:"unit"`
		Better  string     `json:"better"`
		Project string     `json:"project"`
		Command string     `json:"command"`
		Of      *string    `json:"of"`
		Host    *string    `json:"host"`
		datamodel.Basis
		Provenance sensors.Provenance `json:"provenance"`
		Parts      *string            `json:"parts"`
		Runs       int                `json:"runs"`
		Median     *float64           `json:"median"`
		Points     []pointJSON        `json:"points"`
		Steps      []stepJSON         `json:"steps"`
	}
	pointJSON struct {
		Key    *string          `json:"key"`
		Runs   []string         `json:"runs"`
		Start  time.Time        `json:"start"`
		Commit *string          `json:"commit"`
		Host   *string          `json:"host"`
		Value  *float64         `json:"value"`
		N      int              `json:"n"`
		Low    *float64         `json:"low"`
		High   *float64         `json:"high"`
		Bound  *datamodel.Bound `json:"bound"`
		Reason *string          `json:"reason"`
	}
	stepJSON struct {
		// Point is the index of the first point of the new level.
		Point   int           `json:"point"`
		Run     string        `json:"run"`
		Commit  *string       `json:"commit"`
		Before  *float64      `json:"before"`
		After   *float64      `json:"after"`
		Change  *float64      `json:"change"`
		Low     *float64      `json:"low"`
		High    *float64      `json:"high"`
		Verdict trend.Verdict `json:"verdict"`
		Text    string        `json:"text"`
	}
	overdueJSON struct {
		Project string    `json:"project"`
		Command string    `json:"command"`
		LastRun string    `json:"last_run"`
		Last    time.Time `json:"last"`
		Due     time.Time `json:"due"`
		Runs    int       `json:"runs"`
		// Gap and Sigma are the mean and the standard deviation of the gaps, in s.
		Gap   float64 `json:"gap"`
		Sigma float64 `json:"sigma"`
		Text  string  `json:"text"`
	}
)

// orNull returns nil, which is null, for an empty text.
func orNull[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

func (t Trend) writeJSON(w io.Writer) error {
	out := trendJSON{Schema: trendSchema, Version: t.Version, By: t.By, Ungrouped: t.Ungrouped, Lines: []lineJSON{}, Overdue: []overdueJSON{}}
	if !t.Since.IsZero() {
		since := t.Since.UTC()
		out.Since = &since
	}
	for i := range t.Lines {
		if t.OnlyOverdue {
			break
		}
		out.Lines = append(out.Lines, t.lineJSON(&t.Lines[i]))
	}
	for _, o := range t.Overdue {
		out.Overdue = append(out.Overdue, overdueJSON{
			Project: o.Project, Command: o.Command, LastRun: o.LastRun, Last: o.Last.UTC(), Due: o.Due.UTC(), Runs: o.Runs,
			Gap: o.Mean.Seconds(), Sigma: o.Sigma.Seconds(), Text: t.overdueText(o),
		})
	}
	return encoder(w).Encode(out)
}

func (t Trend) lineJSON(l *trend.Line) lineJSON {
	d := describeLine(l)
	out := lineJSON{
		Metric: l.Metric.Name, Unit: l.Metric.Unit, Better: betterWord(l.Metric.Better), Project: l.Project, Command: l.Command, Of: orNull(l.Label),
		Host: orNull(l.Host), Basis: l.Basis, Provenance: l.Means.Provenance, Parts: orNull(l.Means.Parts), Runs: d.runs, Median: number(d.median),
		Points: make([]pointJSON, len(l.Points)), Steps: []stepJSON{},
	}
	for i, p := range l.Points {
		first := t.Runs[p.Runs[0]]
		out.Points[i] = pointJSON{
			Key: orNull(p.Key), Runs: make([]string, len(p.Runs)), Start: p.Start.UTC(), Commit: orNull(first.Commit()), Host: orNull(first.Host.Name),
			Value: number(p.Value), N: p.N, Low: number(p.Low), High: number(p.High), Bound: orNull(p.Bound), Reason: orNull(p.Reason),
		}
		for k, r := range p.Runs {
			out.Points[i].Runs[k] = t.Runs[r].ID
		}
	}
	for _, s := range l.Steps {
		run := t.Runs[l.Points[s.At].Runs[0]]
		out.Steps = append(out.Steps, stepJSON{
			Point: s.At, Run: run.ID, Commit: orNull(run.Commit()), Before: number(s.Before), After: number(s.After), Change: number(s.Change()),
			Low: number(s.Ratio.Low - 1), High: number(s.Ratio.High - 1), Verdict: l.Verdict(s), Text: t.stepText(l, s),
		})
	}
	return out
}

// betterWord names a direction for programs.
func betterWord(d datamodel.Direction) string {
	if d == datamodel.Neither {
		return "neither"
	}
	return d.String()
}

// writeCSV writes one row for each point. The row of a point that begins a new level has the change in its column step.
func (t Trend) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if t.OnlyOverdue {
		if err := out.Write([]string{"project", "command", "last_run", "last", "due", "runs", "gap", "sigma"}); err != nil {
			return err
		}
		for _, o := range t.Overdue {
			if err := out.Write([]string{
				screen.Cell(o.Project), screen.Cell(o.Command), screen.Cell(o.LastRun), o.Last.UTC().Format(time.RFC3339), o.Due.UTC().Format(time.RFC3339),
				strconv.Itoa(o.Runs), plainNumber(o.Mean.Seconds()), plainNumber(o.Sigma.Seconds()),
			}); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}
	header := []string{"metric", "unit", "project", "command", "of", "host", "cpu", "cpus", "kernel", "governor", "provenance", "parts"}
	if err := out.Write(append(header, "key", "run", "runs", "start", "commit", "measured_on", "value", "n", "low", "high", "bound", "step", "reason")); err != nil {
		return err
	}
	for i := range t.Lines {
		l := &t.Lines[i]
		cpus := ""
		if l.Basis.CPUs > 0 {
			cpus = strconv.Itoa(l.Basis.CPUs)
		}
		of := []string{
			l.Metric.Name, string(l.Metric.Unit), screen.Cell(l.Project), screen.Cell(l.Command), screen.Cell(l.Label), screen.Cell(l.Host), screen.Cell(l.Basis.CPU),
			cpus, screen.Cell(l.Basis.Kernel), screen.Cell(l.Basis.Governor), string(l.Means.Provenance), screen.Cell(l.Means.Parts),
		}
		at := 0
		for k, p := range l.Points {
			step := ""
			if at < len(l.Steps) && l.Steps[at].At == k {
				step = plainNumber(l.Steps[at].Change())
				at++
			}
			first := t.Runs[p.Runs[0]]
			if err := out.Write(append(slices.Clip(of), screen.Cell(p.Key), screen.Cell(first.ID), strconv.Itoa(len(p.Runs)), p.Start.UTC().Format(time.RFC3339Nano),
				screen.Cell(first.Commit()), screen.Cell(first.Host.Name), plainNumber(p.Value), strconv.Itoa(p.N), plainNumber(p.Low), plainNumber(p.High),
				string(p.Bound), step, screen.Cell(p.Reason))); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}
