package report

import (
	"cmp"
	"html"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

const (
	// drawnCommands is how many commands a chart of a bench shows, the first ones. The tables have all.
	drawnCommands = 12
	// drawnOutliers is how many outliers of a command have a text of their own in a chart.
	drawnOutliers = 60
	// leastCourse is the smallest number of rounds through which a line is drawn. courseParts is how many medians the line joins.
	leastCourse, courseParts = 20, 20
	// mostCommandName is how many characters of a command's name a chart or a heading shows.
	mostCommandName = 60
)

// writePage writes a self-contained page: the verdicts, and for each metric its distribution, its rounds in order and its figures.
// Go draws all pictures, so they need no script.
func (b Bench) writePage(w io.Writer, o Options) error {
	p := &sheet{}
	only := script("")
	p.open(shorten("bench of "+strings.Join(b.names(), ", "), 80), only)
	p.benchHeader(b)
	p.benchDoubts(b)
	p.benchBudgets(b)
	p.benchChanges(b)
	if len(b.Sides) > 0 {
		for i := range b.Sides[0].Figures {
			p.benchMetric(b, i)
		}
	}
	p.benchFolded(b, o)
	p.close(b.Version, only)
	_, err := io.WriteString(w, p.String())
	return err
}

// names lists the names of the commands.
func (b Bench) names() (names []string) {
	for _, s := range b.Sides {
		names = append(names, s.Command.Name)
	}
	return names
}

// endText is why the bench ended early. It is "" if it did not.
func (b Bench) endText() string {
	if b.Ended == datamodel.BenchComplete {
		return ""
	}
	return "the bench ended early (" + strings.ReplaceAll(string(b.Ended), "_", " ") + ")"
}

// benchHeader writes what was measured, when, where, and in which order.
func (p *sheet) benchHeader(b Bench) {
	badge, state := "", "complete"
	if b.Ended != datamodel.BenchComplete {
		badge, state = " bad", strings.ReplaceAll(string(b.Ended), "_", " ")
	}
	p.tag("<header class=\"top\"><div>\n<h1>Bench of %s <span class=\"badge"+badge+"\">%s</span></h1>\n", plural(len(b.Sides), "command"), state)
	var when []string
	if !b.Run.Start.IsZero() {
		when = []string{b.Run.Project, b.Run.Start.UTC().Format("2006-01-02 15:04:05 MST"), b.Run.ID, commit(b.Run.Host)}
	}
	for _, line := range [][]string{when, {named(b.Run.Host), b.Run.Host.CPU}, b.plan()} {
		if s := strings.Join(nonEmpty(line...), " · "); s != "" {
			p.tag("<p class=\"about\">%s</p>\n", s)
		}
	}
	for i, s := range b.Sides {
		count := plural(s.Rounds, "round")
		if s.Failed > 0 {
			count += ", " + strconv.Itoa(s.Failed) + " failed"
		}
		command := ""
		if line := commandLine(s.Command.Command); line != s.Command.Name {
			command = shorten(line, 200)
		}
		p.tag("<p class=\"about run\"><i class=\"sw "+look(i)+"\"></i><b>%s</b> <code>%s</code> %s</p>\n", shorten(s.Command.Name, 120), command, count)
	}
	p.WriteString("</div>" + themeButton + "</header>\n")
}

// plan says how the rounds were measured.
func (b Bench) plan() []string {
	parts := []string{plural(len(b.Rounds), "round")}
	if len(b.Sides) > 1 {
		order := "order " + string(b.Order)
		if b.Order == datamodel.Shuffled {
			order += " (seed " + strconv.FormatUint(b.Seed, 10) + ")"
		}
		parts = append(parts, order)
	}
	if b.Warmup > 0 {
		parts = append(parts, plural(b.Warmup, "warm-up round")+" of each command before")
	}
	if b.Batch > 1 {
		parts = append(parts, strconv.Itoa(b.Batch)+" executions in each round")
	}
	if b.Affinity != nil {
		var list []string
		for _, cpu := range b.Affinity {
			list = append(list, strconv.Itoa(cpu))
		}
		parts = append(parts, "on the CPUs "+strings.Join(list, ","))
	}
	return parts
}

// benchDoubts lists what may have spoiled the rounds, and what the figures cannot tell.
func (p *sheet) benchDoubts(b Bench) {
	list := nonEmpty(b.endText())
	for _, s := range b.Sides {
		name := ""
		if len(b.Sides) > 1 {
			name = shorten(s.Command.Name, mostCommandName) + ": "
		}
		if s.Failed > 0 {
			list = append(list, name+strconv.Itoa(s.Failed)+" of "+plural(s.Rounds, "round")+" failed")
		}
		for _, n := range b.notes(s) {
			list = append(list, name+n.Text)
		}
		if about := conditionsText(s); about != "" {
			list = append(list, name+about)
		}
	}
	conditions := spoiling()
	for _, w := range b.Run.Warnings {
		if !slices.Contains(conditions, w.Subject) { // the rounds tell those
			list = append(list, warning(w))
		}
	}
	if list == nil {
		return
	}
	p.WriteString("<section class=\"doubts\"><h2>Doubts</h2>\n<ul>\n")
	for _, s := range list {
		p.tag("<li>%s</li>\n", s)
	}
	p.WriteString("</ul></section>\n")
}

// benchBudgets writes the budgets of all commands.
func (p *sheet) benchBudgets(b Bench) {
	var all []datamodel.Budget
	for _, s := range b.Sides {
		all = append(all, s.Command.Budgets...)
	}
	p.budgets(datamodel.Run{Budgets: all})
}

// benchChanges compares the commands with the first one. A picture shows each interval beside the threshold.
func (p *sheet) benchChanges(b Bench) {
	if len(b.Sides) < 2 {
		return
	}
	reach := 0.0
	for _, s := range b.Sides[1:] {
		for _, f := range s.Figures {
			if f.Change != nil {
				reach = max(reach, reachOf(*f.Change, b.Rule.For(f.Metric.Name).Threshold))
			}
		}
	}
	p.tag("<section><div class=\"head\"><h2>Against %s</h2><p class=\"hint\">ratio of the medians, with its interval · grey: changes that are too small to matter</p></div>\n",
		shorten(b.Sides[0].Command.Name, mostCommandName))
	p.WriteString("<div class=\"panel\"><table class=\"wide\">\n<thead><tr><th></th><th></th><th class=\"n\">base</th><th class=\"n\">this</th><th class=\"n\">ratio</th>" +
		"<th class=\"n\">interval</th><th></th><th>verdict</th><th></th></tr></thead>\n<tbody>\n")
	for c, s := range b.Sides[1:] {
		for i, f := range s.Figures {
			if f.Change == nil {
				continue
			}
			p.tag("<tr><td class=\"name\"><i class=\"sw "+look(c+1)+"\"></i>%s</td><td>%s</td>", shorten(s.Command.Name, mostCommandName), metricName(f.Metric))
			base, r := b.Sides[0].Figures[i], f.Change.Ratio
			if math.IsNaN(r.Value) {
				p.tag("<td class=\"dim\" colspan=\"7\">%s</td></tr>\n", nonEmpty(f.Reason, base.Reason, notMeasured)[0])
				continue
			}
			interval, needed := "", ""
			if r.Known() {
				interval = ratioText(r.Low) + " … " + ratioText(r.High)
			}
			if f.Change.Needed > 0 {
				needed = "about " + plural(f.Change.Needed, "round") + " would decide"
				if !r.Known() {
					needed = plural(f.Change.Needed, "round") + " are the least that could decide"
				}
			}
			p.tag("<td class=\"n\" data-l=\"base\">%s</td><td class=\"n\" data-l=\"this\">%s</td><td class=\"n\" data-l=\"ratio\">× %s</td><td class=\"n\" data-l=\"interval\">%s</td>",
				units.Format(base.Median.Value, f.Metric.Unit), units.Format(f.Median.Value, f.Metric.Unit), ratioText(r.Value), interval)
			p.WriteString("<td class=\"whisker\">" + whisker(*f.Change, b.Rule.For(f.Metric.Name).Threshold, reach) + "</td>")
			p.tag("<td><span class=\"badge"+verdictBadge(f.Change.Verdict)+"\">%s</span></td><td class=\"dim\">%s</td></tr>\n", string(f.Change.Verdict), needed)
		}
	}
	p.WriteString("</tbody></table></div></section>\n")
}

// benchMetric writes one metric of all commands: its distribution, its rounds in order, and its figures.
func (p *sheet) benchMetric(b Bench, at int) {
	d := b.Sides[0].Figures[at].Metric
	most := 0
	for _, s := range b.Sides {
		most = max(most, s.Figures[at].N)
	}
	p.tag("<section><div class=\"head\"><h2 title=\"%s\">%s</h2></div>\n", d.Doc, metricName(d))
	if most > 1 {
		p.WriteString("<div class=\"pair\">\n<figure class=\"chart\"><figcaption><h3>Distribution</h3>" +
			"<span>a point is a round · box: half of them · line: median · ring: far off</span></figcaption>\n" + b.strips(at) + "</figure>\n")
		p.WriteString("<figure class=\"chart\"><figcaption><h3>In order</h3>")
		for c, s := range b.Sides[:min(len(b.Sides), drawnCommands)] {
			if n := b.Rule.Noises(b.Bench, c, []string{d.Name}); len(n) == 1 && !math.IsNaN(n[0].Drift) {
				p.tag("<span title=\"from the first round to the last one, beside the variation of a round\"><i class=\""+look(c)+"\"></i>%s drift <b>%s</b>, a round ± %s</span>",
					shorten(s.Command.Name, 24), signedPart(n[0].Drift), units.Format(n[0].Variation, units.Ratio))
			}
		}
		p.WriteString("</figcaption>\n" + b.inOrder(at) + "</figure>\n</div>\n")
		if more := len(b.Sides) - drawnCommands; more > 0 {
			p.tag("<p class=\"hint\">%s more only in the tables</p>\n", plural(more, "command"))
		}
	}
	p.WriteString("<div class=\"panel\"><table class=\"wide\">\n<thead><tr><th></th><th class=\"n\">median</th><th class=\"n\">interval</th><th class=\"n\">range</th>" +
		"<th class=\"n\">mean</th><th class=\"n\">σ</th><th class=\"n\">quartiles</th><th class=\"n\">rounds</th><th class=\"n\">far off</th></tr></thead>\n<tbody>\n")
	about := make([]string, len(b.Sides))
	for c, s := range b.Sides {
		f := s.Figures[at]
		p.tag("<tr><td class=\"name\"><i class=\"sw "+look(c)+"\"></i>%s</td>", shorten(s.Command.Name, 120))
		if f.N == 0 {
			p.tag("<td class=\"dim\" colspan=\"8\">%s</td></tr>\n", nonEmpty(f.Reason, notMeasured)[0])
			continue
		}
		show := func(v float64) string { return units.Format(v, d.Unit) }
		interval, spread, quartiles, rounds := "", "", "", strconv.Itoa(f.N)
		if f.Median.Known() {
			interval = show(f.Median.Low) + " … " + show(f.Median.High) + " (± " + plusMinus(f.Median) + ")"
		}
		if f.N > 1 {
			spread, quartiles = show(f.Std), show(f.Lower)+" … "+show(f.Upper)
		}
		if f.N < s.Rounds {
			rounds += " of " + strconv.Itoa(s.Rounds)
		}
		p.tag("<td class=\"n\" data-l=\"median\"><b>%s</b></td><td class=\"n\" data-l=\"interval\">%s</td><td class=\"n\" data-l=\"range\">%s</td>"+
			"<td class=\"n\" data-l=\"mean\">%s</td><td class=\"n\" data-l=\"σ\">%s</td><td class=\"n\" data-l=\"quartiles\">%s</td><td class=\"n\" data-l=\"rounds\">%s</td><td class=\"n\" data-l=\"far off\">%s</td></tr>\n",
			show(f.Median.Value), interval, show(f.Min)+" … "+show(f.Max), show(f.Mean), spread, quartiles, rounds, strconv.Itoa(len(f.Outliers)))
		far := ""
		if len(f.Outliers) > 0 {
			far = "far off: " + strings.Join(namedOutliers(f), ", ")
		}
		about[c] = strings.Join(nonEmpty(far, missingText(f, s), perWork(f, s)), " · ")
	}
	p.WriteString("</tbody></table></div>\n")
	for c, text := range about {
		if text != "" {
			p.tag("<p class=\"about\"><i class=\"sw "+look(c)+"\"></i>%s: %s</p>\n", shorten(b.Sides[c].Command.Name, mostCommandName), text)
		}
	}
	p.WriteString("</section>\n")
}

// missingText says why rounds have no value. It is "" if all have one.
func missingText(f compare.Figure, s compare.Side) string {
	if f.Reason == "" || f.N == s.Rounds {
		return ""
	}
	return "without a value: " + f.Reason
}

// perWork says what a unit of work cost. It is "" if the work is unknown.
func perWork(f compare.Figure, s compare.Side) string {
	w := s.Command.Work
	if w == nil || !isCost(f.Metric) {
		return ""
	}
	return units.Format(f.Median.Value/w.Amount, f.Metric.Unit) + " for each of " + units.Format(w.Amount, "{work}") + " " + w.Unit
}

// The places in the charts of a bench, in px.
const (
	pairWidth, pairRight = 460., 10.
	// A row of the distribution has the name of its command above its points.
	pairName, pairRow = 14., 34.
	orderHeight       = 170.
	orderTop          = 6.
)

// span returns the ends of an axis that shows all values of a metric, with some room.
func (b Bench) span(at int) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range b.Sides[:min(len(b.Sides), drawnCommands)] {
		if f := s.Figures[at]; f.N > 0 {
			low, high = min(low, f.Min), max(high, f.Max)
		}
	}
	if margin := 0.04 * (high - low); margin > 0 {
		return low - margin, high + margin
	}
	return low - 0.5*math.Abs(low) - 1e-12, high + 0.5*math.Abs(high) + 1e-12
}

// axisValues formats the marks of an axis. A text that says the same as the one before it is left out.
func axisValues(marks []float64, unit units.Unit) []string {
	texts := make([]string, len(marks))
	last := ""
	for i, v := range marks {
		if text := axisValue(v, unit); text != last {
			texts[i], last = text, text
		}
	}
	return texts
}

// strips draws the values of a metric, a row for each command, on one axis.
func (b Bench) strips(at int) string {
	sides := b.Sides[:min(len(b.Sides), drawnCommands)]
	low, high := b.span(at)
	unit := sides[0].Figures[at].Metric.Unit
	const left = 10.
	x := func(v float64) float64 { return left + (v-low)/(high-low)*(pairWidth-left-pairRight) }
	bottom := 4 + float64(len(sides))*(pairName+pairRow)
	var out, texts strings.Builder
	out.WriteString(`<svg viewBox="0 0 ` + short(pairWidth) + ` ` + short(bottom+18) + `" role="img" aria-label="the distribution of the rounds"><g class="grid">`)
	marks := ticks(low, high, 5, unit)
	for i, text := range axisValues(marks, unit) {
		out.WriteString(straight(x(marks[i]), x(marks[i]), 4, bottom))
		texts.WriteString(label(min(max(x(marks[i]), 26), pairWidth-26), bottom+13, "middle", text))
	}
	out.WriteString("</g>")
	for c, s := range sides {
		f := s.Figures[at]
		top := 4 + float64(c)*(pairName+pairRow)
		texts.WriteString(label(left, top+10, "start", shorten(printable(s.Command.Name), mostCommandName)))
		if f.N == 0 {
			continue
		}
		top += pairName
		out.WriteString(`<g class="` + look(c) + `">`)
		if f.N > 1 {
			out.WriteString(`<rect class="area" x="` + short(x(f.Lower)) + `" y="` + short(top+3) + `" width="` + short(max(1, x(f.Upper)-x(f.Lower))) +
				`" height="` + short(pairRow-8) + `" rx="3"/>`)
		}
		// Points beside each other are spread by a fixed pattern, so that the page is the same each time.
		place := func(n int) float64 { return top + pairRow/2 - 1 + float64(n*7%13-6)*1.5 }
		var path strings.Builder
		for n, v := range drawn(usual(f)) {
			path.WriteString("M" + short(x(v)) + " " + short(place(n)) + "h0")
		}
		out.WriteString(`<path class="points" d="` + path.String() + `"/>`)
		for _, i := range someOutliers(f) {
			out.WriteString(ring(x(f.Values[i]), place(i), f, i))
		}
		m := x(f.Median.Value)
		out.WriteString(strings.Replace(straight(m, m, top, top+pairRow-2), "<line", `<line class="median"`, 1) + `</g>`)
	}
	out.WriteString(`<g class="axis">` + texts.String() + `</g></svg>`)
	return out.String()
}

// inOrder draws the rounds of all commands in the order in which they were measured, with a line through medians of neighbours. A
// drift of the machine is a slope of all lines.
func (b Bench) inOrder(at int) string {
	sides := b.Sides[:min(len(b.Sides), drawnCommands)]
	low, high := b.span(at)
	unit := sides[0].Figures[at].Metric.Unit
	const left = 54.
	n := float64(max(len(b.Rounds)-1, 1))
	x := func(i int) float64 { return left + float64(i)/n*(pairWidth-left-pairRight) }
	y := func(v float64) float64 { return orderTop + (high-v)/(high-low)*orderHeight }
	bottom := orderTop + orderHeight
	var out, texts strings.Builder
	out.WriteString(`<svg viewBox="0 0 ` + short(pairWidth) + ` ` + short(bottom+18) + `" role="img" aria-label="the rounds in their order"><g class="grid">`)
	marks := ticks(low, high, 4, unit)
	for i, text := range axisValues(marks, unit) {
		out.WriteString(straight(left, pairWidth-pairRight, y(marks[i]), y(marks[i])))
		texts.WriteString(label(left-5, y(marks[i])+4, "end", text))
	}
	texts.WriteString(label(left, bottom+13, "start", "round 1") + label(pairWidth-pairRight, bottom+13, "end", strconv.Itoa(len(b.Rounds))))
	out.WriteString(`</g><g class="axis">` + texts.String() + `</g>`)
	for c, s := range sides {
		f := s.Figures[at]
		var places []int // of the values, among all rounds
		var values []float64
		var rings, lacks strings.Builder
		far := someOutliers(f)
		for i, r := range b.Rounds {
			if r.Command != c || r.Block >= len(f.Values) {
				continue
			}
			v := f.Values[r.Block]
			switch {
			case math.IsNaN(v):
				lacks.WriteString("M" + short(x(i)-3) + " " + short(bottom-8) + "l6 6m0 -6l-6 6")
				continue
			case slices.Contains(far, r.Block):
				rings.WriteString(ring(x(i), y(v), f, r.Block))
			}
			places, values = append(places, i), append(values, v)
		}
		out.WriteString(`<g class="` + look(c) + `">`)
		step := (len(values) + 2*stripPoints - 1) / (2 * stripPoints)
		var path strings.Builder
		for k := 0; k < len(values); k += max(step, 1) {
			path.WriteString("M" + short(x(places[k])) + " " + short(y(values[k])) + "h0")
		}
		out.WriteString(`<path class="points" d="` + path.String() + `"/>` + rings.String())
		if lacks.Len() > 0 {
			out.WriteString(`<path class="lack" d="` + lacks.String() + `"/>`)
		}
		if line := courseOf(values, func(k int) float64 { return x(places[k]) }, y); line != "" {
			out.WriteString(`<path class="line" d="` + line + `"/>`)
		}
		out.WriteString("</g>")
	}
	out.WriteString("</svg>")
	return out.String()
}

// courseOf returns a line through the medians of neighbouring values. It is "" if there are too few.
func courseOf(values []float64, x func(int) float64, y func(float64) float64) string {
	if len(values) < leastCourse {
		return ""
	}
	parts := min(courseParts, len(values)/(leastCourse/4))
	var line strings.Builder
	move := "M"
	for k := range parts {
		from, to := k*len(values)/parts, (k+1)*len(values)/parts
		sorted := slices.Sorted(slices.Values(values[from:to]))
		line.WriteString(move + short((x(from)+x(to-1))/2) + " " + short(y(sorted[len(sorted)/2])))
		move = "L"
	}
	return line.String()
}

// usual returns the values that are not far off.
func usual(f compare.Figure) []float64 {
	list := slices.Clone(f.Values)
	for _, i := range f.Outliers {
		list[i] = math.NaN()
	}
	return list
}

// someOutliers returns the outliers that are drawn: all, or those farthest from the median.
func someOutliers(f compare.Figure) []int {
	if len(f.Outliers) <= drawnOutliers {
		return f.Outliers
	}
	list := slices.Clone(f.Outliers)
	off := func(i int) float64 { return math.Abs(f.Values[i] - f.Median.Value) }
	slices.SortFunc(list, func(a, b int) int { return cmp.Compare(off(b), off(a)) })
	return list[:drawnOutliers]
}

// ring marks a round that is far off.
func ring(x, y float64, f compare.Figure, round int) string {
	text := html.EscapeString("round " + strconv.Itoa(round+1) + ": " + units.Format(f.Values[round], f.Metric.Unit))
	return `<circle class="far" cx="` + short(x) + `" cy="` + short(y) + `" r="3.2"><title>` + text + `</title></circle>`
}

// benchFolded writes what is only looked up, each part closed at first.
func (p *sheet) benchFolded(b Bench, o Options) {
	p.benchRounds(b)
	if b.Run.ID != "" {
		p.fold("Machine and software", "", func() { p.machine(b.Run.Host) })
	}
	if len(b.Run.Missing) > 0 {
		p.fold("Not measured, and why", "", func() {
			p.WriteString("<table class=\"facts\">\n")
			for _, a := range b.Run.Missing {
				p.tag("<tr><td>%s</td><td>%s</td></tr>\n", a.ID, strings.Join(nonEmpty(a.Reason, a.Source), " · "))
			}
			p.WriteString("</table>\n")
		})
	}
	if o.Results != "" {
		p.fold("This bench in Python", "", func() {
			p.tag("<pre>%s\n%s\n%s</pre>\n", "import pandas as pd",
				"rounds = pd.read_parquet("+strconv.QuoteToASCII(path.Join(printable(o.Results), "summary.parquet"))+")",
				`rounds.groupby("name")["wall_time"].describe()`)
		})
	}
}

// benchRounds lists the rounds with their metrics.
func (p *sheet) benchRounds(b Bench) {
	if len(b.Rounds) == 0 || len(b.Sides) == 0 {
		return
	}
	figures := b.Sides[0].Figures
	p.fold("Every round", " first", func() {
		p.WriteString("<table class=\"wide sortable\" id=\"rounds\">\n<thead><tr><th class=\"n\" data-sort=\"number\">round</th><th data-sort=\"text\">command</th>")
		for _, f := range figures {
			p.tag("<th class=\"n\" data-sort=\"number\">%s</th>", metricName(f.Metric))
		}
		p.WriteString("<th class=\"n\" data-sort=\"number\">exit code</th><th>conditions</th></tr></thead>\n<tbody>\n")
		for i, r := range b.Rounds[:min(len(b.Rounds), tabled)] {
			p.tag("<tr><td class=\"n\">%s</td><td class=\"name\">%s</td>", strconv.Itoa(i+1), shorten(b.Sides[r.Command].Command.Name, mostCommandName))
			for _, f := range figures {
				v := r.Metric(f.Metric.Name).Value
				p.tag("<td class=\"n\" data-v=\"%s\" data-l=\"%s\">%s</td>", plainNumber(v), metricName(f.Metric), units.Format(v, f.Metric.Unit))
			}
			p.tag("<td class=\"n\" data-l=\"exit code\">%s</td><td class=\"dim\">%s</td></tr>\n", strconv.Itoa(r.ExitCode),
				strings.ReplaceAll(strings.Join(r.Conditions, ", "), "_", " "))
		}
		p.WriteString("</tbody></table>\n")
		if more := len(b.Rounds) - tabled; more > 0 {
			p.tag("<p class=\"dim\">%s more are in the tables (--export csv=FILE has the figures)</p>\n", plural(more, "round"))
		}
	})
}
