package report

import (
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/units"
)

// The places in a drawing, in px: the margins of the plot, its height, and the width of the whole.
const (
	drawLeft, drawRight, drawTop, drawBottom = 66, 10, 6, 18
	drawHeight, drawWidth                    = 104, 1000
	// drawColumns is the number of parts into which a line is thinned for a drawing. Each part shows its least and its most.
	drawColumns = 460
	// slack is how far a line may reach above the end of its axis. A share of the time is a little above 1 if a reading is late.
	slack = 1.02
	// dotted is the largest number of parts without a reading over which a line is dotted.
	dotted = 10
)

// axes are the two scales of a drawing.
type axes struct {
	from, to, low, high float64
	width, height       float64
}

func (a axes) x(t float64) float64 { return drawLeft + (t-a.from)/(a.to-a.from)*a.width }

func (a axes) y(v float64) float64 {
	return drawTop + (a.high-min(max(v, a.low), a.high))/(a.high-a.low)*a.height
}

// drawing writes the parts of an SVG that show a chart from 0 to the time to, in s. It has no texts that somebody else chose.
func (f figure) drawing(to float64, width, height float64) string {
	a := axes{to: to, width: width - drawLeft - drawRight, height: height}
	lines := make([]curve, len(f.curves))
	var below *curve
	for i, c := range f.curves {
		lines[i] = c.thin(int(math.Ceil(float64(len(c.mean)) / drawColumns)))
		if f.stacked && c.fill {
			if below != nil {
				lines[i] = lines[i].on(*below)
			}
			below = &lines[i]
		}
		for k := range lines[i].mean {
			a.high, a.low = max(a.high, or0(lines[i].top(k, f.stacked))), min(a.low, or0(lines[i].least[k]))
		}
	}
	if f.limit > 0 && a.high > f.limit/3 {
		a.high = max(a.high, f.limit)
	}
	a.high = ceiling(a.high, f.unit)
	if a.low < 0 {
		a.low = -ceiling(-a.low, f.unit)
	}
	var b strings.Builder
	b.WriteString(`<g class="grid">`)
	step := timeStep(to / (a.width / 90))
	var texts strings.Builder
	for i := 0; float64(i)*step <= to*(1+1e-9); i++ {
		t := float64(i) * step
		b.WriteString(straight(a.x(t), a.x(t), drawTop, drawTop+a.height))
		at, anchor := a.x(t), "middle"
		if at > width-28 {
			at, anchor = width-2, "end"
		}
		texts.WriteString(label(at, drawTop+a.height+13, anchor, axisTime(t, step)))
	}
	marks := []float64{0, a.high / 2, a.high}
	if a.low < 0 {
		marks[1] = a.low
	}
	for _, v := range marks {
		b.WriteString(straight(drawLeft, drawLeft+a.width, a.y(v), a.y(v)))
		texts.WriteString(label(drawLeft-6, a.y(v)+4, "end", axisValue(v, f.unit)))
	}
	b.WriteString(`</g><g class="axis">` + texts.String() + `</g>`)
	if f.limit > 0 && f.limit <= a.high {
		b.WriteString(strings.Replace(straight(drawLeft, drawLeft+a.width, a.y(f.limit), a.y(f.limit)), "<line", `<line class="limit"`, 1))
	}
	for _, c := range slices.Backward(lines) { // the highest layer first, so that the others cover it
		if c.fill {
			class := "area"
			if f.stacked {
				class = "layer"
			}
			b.WriteString(`<path class="` + class + " " + c.look + `" d="` + c.area(a, f.stacked) + `"/>`)
		}
	}
	for _, c := range lines {
		if !c.fill || !f.stacked {
			line, gaps := c.stroke(a)
			b.WriteString(`<path class="line ` + c.look + `" d="` + line + `"/>`)
			if gaps != "" {
				b.WriteString(`<path class="line gap ` + c.look + `" d="` + gaps + `"/>`)
			}
		}
	}
	return b.String()
}

// timeAxis writes the times below a drawing.
func (a axes) timeAxis() string {
	var b strings.Builder
	step := timeStep(a.to / (a.width / 90))
	for i := 0; float64(i)*step <= a.to*(1+1e-9); i++ {
		at, anchor := a.x(float64(i)*step), "middle"
		if at > drawLeft+a.width+drawRight-28 {
			at, anchor = drawLeft+a.width+drawRight-2, "end"
		}
		b.WriteString(label(at, drawTop+a.height+13, anchor, axisTime(float64(i)*step, step)))
	}
	return `<g class="axis">` + b.String() + `</g>`
}

// on returns a layer with the layer below it added.
func (c curve) on(below curve) curve {
	out := c
	out.mean = make([]float64, len(c.mean))
	for i, v := range c.mean {
		out.mean[i] = math.NaN()
		if i < len(below.mean) {
			out.mean[i] = v + below.mean[i]
		}
	}
	out.least, out.most = out.mean, out.mean
	return out
}

// top returns what a part reaches: the mean of a layer, the most of a line.
func (c curve) top(i int, stacked bool) float64 {
	if stacked && c.fill {
		return c.mean[i]
	}
	return c.most[i]
}

// stroke returns a line through all parts, and what joins it where nothing was read for a short time. In a part with several readings the line goes
// up and down between them.
func (c curve) stroke(a axes) (line, gaps string) {
	var b, between strings.Builder
	move, end, before := "M", "", 0
	last := math.NaN()
	for i, v := range c.mean {
		if math.IsNaN(v) {
			if !c.sparse {
				move = "M"
			}
			continue
		}
		first, second := a.y(c.most[i]), a.y(c.least[i])
		if math.Abs(second-last) < math.Abs(first-last) {
			first, second = second, first
		}
		x := short(c.at(a, i))
		if move == "M" && end != "" && i-before <= dotted {
			between.WriteString("M" + end + "L" + x + " " + short(first))
		}
		b.WriteString(move + x + " " + short(first))
		switch {
		case short(first) != short(second):
			b.WriteString("V" + short(second))
		case c.sparse || move == "M" && (i+1 == len(c.mean) || math.IsNaN(c.mean[i+1])): // a dot
			b.WriteString("h.1")
		}
		move, last, end, before = "L", second, x+" "+short(second), i
	}
	return b.String(), between.String()
}

// area returns the outline of what is below a line.
func (c curve) area(a axes, stacked bool) string {
	var b strings.Builder
	for i := 0; i < len(c.mean); i++ {
		if math.IsNaN(c.mean[i]) {
			continue
		}
		b.WriteString("M" + short(c.at(a, i)) + " " + short(a.y(0)))
		for ; i < len(c.mean) && !math.IsNaN(c.mean[i]); i++ {
			b.WriteString("L" + short(c.at(a, i)) + " " + short(a.y(c.top(i, stacked))))
		}
		b.WriteString("L" + short(c.at(a, i-1)) + " " + short(a.y(0)) + "Z")
	}
	return b.String()
}

// at returns the place of the middle of a part. The middle of the last part may lie after the end of the run.
func (c curve) at(a axes, i int) float64 {
	return a.x(min((float64(i)+0.5)*c.grid, a.to))
}

func or0(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// short formats a place with one decimal at most.
func short(v float64) string { return plainNumber(math.Round(v*10) / 10) }

func straight(x1, x2, y1, y2 float64) string {
	return `<line x1="` + short(x1) + `" x2="` + short(x2) + `" y1="` + short(y1) + `" y2="` + short(y2) + `"/>`
}

func label(x, y float64, anchor, text string) string {
	return `<text x="` + short(x) + `" y="` + short(y) + `" text-anchor="` + anchor + `">` + html.EscapeString(text) + `</text>`
}

// ceiling returns the end of an axis that holds v. Half of it is a round number too.
func ceiling(v float64, unit units.Unit) float64 {
	if !(v > 0) {
		return 1
	}
	scale := 1.0
	if unit == units.Byte || unit == units.BytesPerSecond {
		for v/scale >= 1024 {
			scale *= 1024
		}
	}
	scale *= math.Pow(10, math.Floor(math.Log10(v/scale)))
	for _, round := range []float64{1, 2, 3, 4, 5, 6, 8} {
		if v <= round*scale*slack {
			return round * scale
		}
	}
	return 10 * scale
}

// timeStep returns the smallest round time that is not below least, in s.
func timeStep(least float64) float64 {
	if least > 0.5 {
		for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200} {
			if least <= s {
				return s
			}
		}
		return math.Ceil(least/86400) * 86400
	}
	scale := math.Pow(10, math.Floor(math.Log10(max(least, 1e-9))))
	for _, r := range []float64{1, 2, 5} {
		if least <= r*scale {
			return r * scale
		}
	}
	return 10 * scale
}

// axisTime formats a time since the start of a run: "2.5 s", "3:20", "10 min", "1 h 05". The step decides how many decimals it has.
func axisTime(t, step float64) string {
	digits := 0
	if step < 1 {
		digits = min(6, int(math.Ceil(-math.Log10(step)-1e-9)))
	}
	if t < 99.95 {
		return strconv.FormatFloat(t, 'f', digits, 64) + " s"
	}
	s := int64(math.Round(t))
	two := func(n int64) string { return strconv.FormatInt(100+n, 10)[1:] }
	switch {
	case step >= 60 && s >= 3600:
		return strconv.FormatInt(s/3600, 10) + " h " + two(s/60%60)
	case step >= 60:
		return strconv.FormatInt(s/60, 10) + " min"
	case s >= 3600:
		return strconv.FormatInt(s/3600, 10) + ":" + two(s/60%60) + ":" + two(s%60)
	}
	return strconv.FormatInt(s/60, 10) + ":" + two(s%60)
}

// axisValue formats a value of an axis, without zeros at the end of the number.
func axisValue(v float64, unit units.Unit) string {
	if v == 0 {
		return "0"
	}
	number, symbol, _ := strings.Cut(legendValue(v, unit), " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return strings.Join(nonEmpty(number, symbol), " ")
}

// plainFigure formats a number without a unit in three digits.
func plainFigure(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 0.001 || a >= 1e6) {
		return strings.NewReplacer("e-0", "e-", "e+0", "e+").Replace(strconv.FormatFloat(v, 'e', 2, 64))
	}
	return decimalOf(v)
}

// decimalOf formats a number with three digits or, from 1000 on, all digits before the point.
func decimalOf(v float64) string {
	digits := 0
	switch a := math.Abs(v); {
	case a >= 99.95:
	case a >= 9.995:
		digits = 1
	case a >= 0.9995 || a == 0:
		digits = 2
	default:
		digits = 3
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// legendValue formats a value of a legend.
func legendValue(v float64, unit units.Unit) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return units.None
	}
	switch {
	case unit == cpuUnit:
		s := strconv.FormatFloat(v, 'f', 2, 64)
		if s == "1.00" {
			return s + " CPU"
		}
		return s + " CPUs"
	case unit == ownUnit:
		return plainFigure(v)
	case unit == units.BytesPerSecond:
		return units.FormatRate(v, units.Byte)
	case v == 0 && (unit == units.Joule || unit == units.Watt):
		return "0 " + string(unit)
	}
	return units.Format(v, unit)
}
