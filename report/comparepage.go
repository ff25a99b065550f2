package report

import (
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// overlaidRuns is how many runs of a side have their courses laid over those of the other sides.
const overlaidRuns = 3

// writePage writes a self-contained page: the verdicts, the distributions, the programs that changed, and the courses over each
// other. Go draws all pictures but the courses, so they need no script.
func (c Comparison) writePage(w io.Writer, _ Options) error {
	p := &sheet{}
	names := make([]string, 0, len(c.Against))
	for _, a := range c.Against {
		names = append(names, a.New.Name)
	}
	title := strings.Join(names, ", ") + " against " + c.Base.Name
	p.open(shorten(string(c.Verdict())+": "+title, 80), script(reportScript))
	p.tag("<header class=\"top\"><div>\n<h1>%s <span class=\"badge"+verdictBadge(c.Verdict())+"\">%s</span></h1>\n", title, string(c.Verdict()))
	p.tag("<p class=\"about run\"><i class=\"sw c0\"></i> <b>base</b> %s</p>\n", sideText(c.Base))
	for i, a := range c.Against {
		p.tag("<p class=\"about run\"><i class=\"sw "+look(i+1)+"\"></i> <b>new</b> %s</p>\n", sideText(a.New))
	}
	p.WriteString("</div>" + themeButton + "</header>\n")
	p.comparisonDoubts(c)
	for i, a := range c.Against {
		for _, b := range a.Benchmarks {
			heading := b.Name
			if len(c.Against) > 1 {
				heading += ", " + a.New.Name
			}
			p.tag("<section><div class=\"head\"><h2>%s</h2><p class=\"hint\">%s</p></div>\n", shorten(printable(heading), 120), strings.Join(c.notes(b), " · "))
			p.verdicts(c, b)
			p.WriteString("</section>\n")
			p.programs(b)
			p.distributions(c, a, b, look(i+1))
		}
	}
	if err := p.sideCourses(c); err != nil {
		return err
	}
	p.close(c.Version, script(reportScript))
	_, err := io.WriteString(w, p.String())
	return err
}

// verdictBadge is the class of a badge besides badge.
func verdictBadge(v compare.Verdict) string {
	switch v {
	case compare.Regressed:
		return " bad"
	case compare.Inconclusive:
		return " unsure"
	case compare.Unchanged, compare.Changed:
		return " plain"
	case compare.Improved:
	}
	return ""
}

// comparisonDoubts lists what differs besides the figures, and what disturbed the rounds.
func (p *sheet) comparisonDoubts(c Comparison) {
	var all []string
	for _, a := range c.Against {
		all = append(all, differencesOf(a)...)
		for _, b := range a.Benchmarks {
			all = append(append(all, doubtsOf(c.Base, b.Base, "base")...), doubtsOf(a.New, b.New, "new")...)
		}
	}
	if all == nil {
		return
	}
	p.WriteString("<section class=\"doubts\"><h2>Not quite the same conditions</h2><ul>\n")
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			p.tag("<li>%s</li>\n", s)
		}
		seen[s] = true
	}
	p.WriteString("</ul></section>\n")
}

// verdicts writes the table of one command. A picture shows each interval beside the threshold.
func (p *sheet) verdicts(c Comparison, b compare.Benchmark) {
	if why := causeText(b, plainName); why != "" {
		p.tag("<p class=\"cause\"><b>why:</b> %s</p>\n", why)
	}
	p.WriteString("<div class=\"panel\"><table class=\"wide\">\n<thead><tr><th></th><th class=\"n\">base</th><th class=\"n\">new</th><th class=\"n\">new/base</th>" +
		"<th class=\"n\">interval</th><th></th><th>verdict</th><th class=\"n\">found from</th></tr></thead>\n<tbody>\n")
	reach := c.reach(b)
	for _, f := range b.Figures {
		p.tag("<tr><td class=\"name\" title=\"%s\">%s</td>", f.Metric.Doc, metricName(f.Metric))
		if math.IsNaN(f.Change.Ratio.Value) {
			p.tag("<td class=\"dim\" colspan=\"7\">%s</td></tr>\n", lackText(f))
			continue
		}
		r := f.Change.Ratio
		interval, seen := "", ""
		if r.Known() {
			interval = ratioText(r.Low) + " … " + ratioText(r.High)
		}
		if d := f.Change.Detectable; !math.IsNaN(d) {
			seen = units.Format(d, units.Ratio)
		}
		p.tag("<td class=\"n\" data-l=\"base\">%s</td><td class=\"n\" data-l=\"new\">%s</td><td class=\"n\" data-l=\"new/base\">× %s</td><td class=\"n\" data-l=\"interval\">%s</td>",
			units.Format(f.Base.Median.Value, f.Metric.Unit), units.Format(f.New.Median.Value, f.Metric.Unit), ratioText(r.Value), interval)
		p.WriteString("<td class=\"whisker\">" + whisker(f.Change, c.Rule.For(f.Metric.Name).Threshold, reach) + "</td>")
		p.tag("<td><span class=\"badge"+verdictBadge(f.Change.Verdict)+"\">%s</span></td><td class=\"n dim\" data-l=\"found from\">%s</td></tr>\n", string(f.Change.Verdict), seen)
	}
	p.WriteString("</tbody></table></div>\n")
}

// reach returns how far from 1 the pictures of the intervals reach: twice the largest threshold at least, and half of the base
// at most.
func (c Comparison) reach(b compare.Benchmark) float64 {
	reach := 0.0
	for _, f := range b.Figures {
		reach = max(reach, reachOf(f.Change, c.Rule.For(f.Metric.Name).Threshold))
	}
	return reach
}

// reachOf is reach for one change.
func reachOf(c compare.Change, threshold float64) float64 {
	reach := 2 * threshold
	for _, v := range []float64{c.Ratio.Value, c.Ratio.Low, c.Ratio.High} {
		if !math.IsNaN(v) {
			reach = max(reach, 1.1*min(math.Abs(v-1), 0.5))
		}
	}
	return reach
}

// whisker draws a ratio with its interval around 1, with the threshold as a band. What lies beyond the picture ends in a tip.
func whisker(c compare.Change, threshold, reach float64) string {
	const width, height, middle = 150., 18., 9.
	at := func(v float64) float64 { return width/2 + min(max((v-1)/reach, -1), 1)*(width/2-4) }
	class := verdictClass(c.Verdict)
	var b strings.Builder
	b.WriteString(`<svg viewBox="0 0 ` + short(width) + ` ` + short(height) + `" class="` + class + `" aria-hidden="true">`)
	b.WriteString(`<rect class="band" x="` + short(at(1-threshold)) + `" y="1" width="` + short(at(1+threshold)-at(1-threshold)) + `" height="` + short(height-2) + `"/>`)
	b.WriteString(strings.Replace(straight(at(1), at(1), 1, height-1), "<line", `<line class="one"`, 1))
	r := c.Ratio
	if r.Known() {
		b.WriteString(strings.Replace(straight(at(r.Low), at(r.High), middle, middle), "<line", `<line class="span"`, 1))
	}
	if off := (r.Value - 1) / reach; math.Abs(off) > 1 {
		x, back := at(r.Value), 6.
		if off < 0 {
			back = -6
		}
		b.WriteString(`<path class="dot" d="M` + short(x) + " " + short(middle) + "L" + short(x-back) + " " + short(middle-4) + "V" + short(middle+4) + `z"/>`)
	} else {
		b.WriteString(`<circle class="dot" cx="` + short(at(r.Value)) + `" cy="` + short(middle) + `" r="3.4"/>`)
	}
	b.WriteString("</svg>")
	return b.String()
}

// verdictClass is the class that gives a picture the color of its verdict.
func verdictClass(v compare.Verdict) string {
	switch v {
	case compare.Regressed:
		return "worse"
	case compare.Improved:
		return "better"
	case compare.Unchanged, compare.Inconclusive, compare.Changed:
	}
	return "neutral"
}

// programs writes the programs that changed.
func (p *sheet) programs(b compare.Benchmark) {
	c := b.Cause
	if len(c.Programs) == 0 {
		return
	}
	about := "beyond their noise"
	if !c.Tested {
		about = "so few rounds cannot tell a change from noise"
	}
	p.tag("<section><div class=\"head\"><h2>Programs that changed</h2><p class=\"hint\">%s</p></div>\n", about)
	p.WriteString("<div class=\"panel\"><table class=\"wide\">\n<thead><tr><th>program</th><th></th><th class=\"n\">base</th><th class=\"n\">new</th><th class=\"n\">difference</th>" +
		"<th class=\"n\">interval</th></tr></thead>\n<tbody>\n")
	for _, program := range c.Programs {
		for i, change := range program.Changes {
			name := ""
			if i == 0 {
				name = programName(program, func(s string) string { return s })
			}
			u, interval := change.Measure.Unit(), ""
			if d := change.Difference; d.Known() {
				interval = signed(d.Low, u) + " … " + signed(d.High, u)
			}
			class := "worse"
			if change.Difference.Value < 0 {
				class = "better"
			}
			p.tag("<tr><td class=\"name\">%s</td><td>%s</td><td class=\"n\" data-l=\"base\">%s</td><td class=\"n\" data-l=\"new\">%s</td><td class=\"n "+class+
				"\" data-l=\"difference\">%s</td><td class=\"n dim\" data-l=\"interval\">%s</td></tr>\n",
				name, measureName(change.Measure), units.Format(change.Base, u), units.Format(change.New, u), signed(change.Difference.Value, u), interval)
		}
	}
	p.tag("</tbody></table><p class=\"hint\">%s did not change</p></div></section>\n", plural(c.Others, "other program"))
}

// measureName names a measure for people.
func measureName(m compare.Measure) string {
	switch m {
	case compare.MeasureCPU:
		return "CPU time"
	case compare.MeasureStarts, compare.MeasureRead, compare.MeasureWritten:
	case compare.MeasureMemory:
		return "peak memory"
	}
	return string(m)
}

// distributions draws the rounds of both sides, metric by metric.
func (p *sheet) distributions(c Comparison, a compare.Against, b compare.Benchmark, fresh string) {
	var list []compare.Compared
	for _, f := range b.Figures {
		if f.Base.N+f.New.N > 2 && f.Base.N > 0 && f.New.N > 0 {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return
	}
	p.WriteString("<section><div class=\"head\"><h2>Rounds</h2><p class=\"hint\">each point is a round · box: half of all rounds · line: median</p></div>\n<div class=\"strips\">\n")
	for _, f := range list {
		p.tag("<figure class=\"chart\"><figcaption><h3>%s</h3><span>× <b>%s</b></span></figcaption>\n", metricName(f.Metric), ratioText(f.Change.Ratio.Value))
		p.WriteString(strip(f, c.Base.Values(b.Base, f.Metric.Name), a.New.Values(b.New, f.Metric.Name), fresh) + "</figure>\n")
	}
	p.WriteString("</div></section>\n")
}

// The places in the picture of a distribution, in px.
const (
	stripWidth, stripHeight = 340., 118.
	stripLeft, stripRight   = 36., 12.
	stripRow                = 42.
	// stripPoints is the largest number of points of a side. Of more rounds, every so many of the sorted ones is drawn.
	stripPoints = 400
)

// strip draws the values of both sides, one above the other, on one axis.
func strip(f compare.Compared, base, fresh []float64, newLook string) string {
	low, high := min(f.Base.Min, f.New.Min), max(f.Base.Max, f.New.Max)
	if margin := 0.04 * (high - low); margin > 0 {
		low, high = low-margin, high+margin
	} else {
		low, high = low-0.5*math.Abs(low)-1e-12, high+0.5*math.Abs(high)+1e-12
	}
	x := func(v float64) float64 { return stripLeft + (v-low)/(high-low)*(stripWidth-stripLeft-stripRight) }
	var b strings.Builder
	b.WriteString(`<svg viewBox="0 0 ` + short(stripWidth) + ` ` + short(stripHeight) + `" role="img" aria-label="` + "the rounds of both sides" + `"><g class="grid">`)
	var texts strings.Builder
	bottom := stripHeight - 20
	for _, v := range ticks(low, high, 4, f.Metric.Unit) {
		b.WriteString(straight(x(v), x(v), 4, bottom))
		texts.WriteString(label(min(max(x(v), 24), stripWidth-24), bottom+14, "middle", axisValue(v, f.Metric.Unit)))
	}
	b.WriteString(`</g><g class="axis">` + label(2, 4+stripRow/2+4, "start", "base") + label(2, 8+stripRow*3/2+4, "start", "new") + texts.String() + `</g>`)
	for i, side := range []struct {
		values []float64
		about  compare.Described
		look   string
	}{{base, f.Base, "c0"}, {fresh, f.New, newLook}} {
		top := 4 + float64(i)*(stripRow+4)
		b.WriteString(`<g class="` + side.look + `">`)
		if side.about.N > 1 {
			b.WriteString(`<rect class="area" x="` + short(x(side.about.Lower)) + `" y="` + short(top+6) + `" width="` +
				short(max(1, x(side.about.Upper)-x(side.about.Lower))) + `" height="` + short(stripRow-12) + `" rx="3"/>`)
		}
		for n, v := range drawn(side.values) {
			// Points beside each other are spread by a fixed pattern, so that the page is the same each time.
			b.WriteString(`<circle cx="` + short(x(v)) + `" cy="` + short(top+stripRow/2+float64(n*7%13-6)*1.7) + `" r="2"/>`)
		}
		m := x(side.about.Median.Value)
		b.WriteString(strings.Replace(straight(m, m, top+2, top+stripRow-2), "<line", `<line class="median"`, 1) + `</g>`)
	}
	b.WriteString("</svg>")
	return b.String()
}

// drawn returns the values to draw.
func drawn(values []float64) []float64 {
	list := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(list) <= stripPoints {
		return list
	}
	slices.Sort(list)
	out := make([]float64, 0, stripPoints)
	for i := range stripPoints {
		out = append(out, list[i*(len(list)-1)/(stripPoints-1)])
	}
	return out
}

// ticks returns round values between two numbers, about n of them. Bytes are round in their binary prefix.
func ticks(low, high float64, n int, u units.Unit) (list []float64) {
	unit := 1.0
	for u == units.Byte && math.Abs(high)/unit >= 1024 {
		unit *= 1024
	}
	least := (high - low) / unit / float64(n)
	scale := math.Pow(10, math.Floor(math.Log10(least)))
	step := 10 * scale
	for _, r := range []float64{1, 2, 2.5, 5} {
		if least <= r*scale {
			step = r * scale
			break
		}
	}
	step *= unit
	for i := math.Ceil(low / step); i*step <= high && len(list) <= n; i++ {
		list = append(list, i*step)
	}
	return list
}

// sideCourses lays the courses of the runs over each other, those of the first runs of each side. A side has one color.
func (p *sheet) sideCourses(c Comparison) error {
	sets := []compare.Set{c.Base}
	for _, a := range c.Against {
		sets = append(sets, a.New)
	}
	var all []courses
	var names []string
	looks := map[string]string{} // by name
	to := 0.0
	for at, s := range sets {
		shown := 0
		for i, run := range s.Runs {
			if shown == overlaidRuns || i >= len(s.Charts) || len(s.Charts[i]) == 0 {
				continue
			}
			name := s.Name
			if len(s.Runs) > 1 {
				name = ShortID(run)
			}
			looks[name] = look(at)
			one := Shown{}
			one.Run, one.Charts = run, s.Charts[i]
			all, names = append(all, courses{run, s.Charts[i][0]}), append(names, name)
			to = max(to, length(one))
			shown++
		}
	}
	if len(all) == 0 {
		return nil
	}
	list := overlaid(all, names)
	for i := range list {
		for k := range list[i].curves {
			list[i].curves[k].look = looks[list[i].curves[k].name]
			if len(all) > 2 {
				list[i].curves[k].sum = "" // the sums of so many lines would be a page of their own
			}
		}
	}
	return p.charts(list, timeline{}, bands{}, to, 0)
}

func writeNoBasePage(w io.Writer, reason, version string) error {
	p := &sheet{}
	p.open("no base", script(reportScript))
	p.tag("<header class=\"top\"><div>\n<h1>no base</h1><p class=\"about\">%s</p></div>", reason)
	p.WriteString(themeButton + "</header>\n")
	p.close(version, script(reportScript))
	_, err := io.WriteString(w, p.String())
	return err
}
