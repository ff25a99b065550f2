package report

import (
	"html"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/units"
)

// trendHeight is the height of a plot of a trend, in px.
const trendHeight = 150

// drawing writes the parts of an SVG that show a chart of a trend.
func (t Trend) drawing(c trendChart, head trendHead) string {
	a := axes{from: head.From, to: head.To, width: drawWidth - drawLeft - drawRight, height: trendHeight}
	low, high := math.Inf(1), math.Inf(-1)
	for _, i := range c.lines {
		for _, p := range t.Lines[i].Points {
			if p.N > 0 {
				low, high = min(low, p.Value), max(high, p.Value)
			}
		}
	}
	ticks := trendTicks(low, high, c.unit)
	a.low, a.high = ticks[0], ticks[len(ticks)-1]
	var b, texts strings.Builder
	b.WriteString(`<g class="grid">`)
	for _, tick := range dateTicks(a.from, a.to, a.width/90) {
		at := a.x(tick.at)
		b.WriteString(straight(at, at, drawTop, drawTop+a.height))
		if at < drawLeft+a.width-20 {
			texts.WriteString(label(at, drawTop+a.height+13, "middle", tick.text))
		}
	}
	for _, v := range ticks {
		b.WriteString(straight(drawLeft, drawLeft+a.width, a.y(v), a.y(v)))
		texts.WriteString(label(drawLeft-6, a.y(v)+4, "end", tickText(v, ticks, c.unit)))
	}
	b.WriteString(`</g><g class="axis">` + texts.String() + `</g>`)
	for k, i := range c.lines {
		t.drawLine(&b, a, &t.Lines[i], look(k))
	}
	return b.String()
}

// drawLine draws one line with its points, its steps, and what is missing.
func (t Trend) drawLine(b *strings.Builder, a axes, l *trend.Line, look string) {
	x := func(i int) float64 { return a.x(epoch(l.Points[i].Start)) }
	var path, bars, lacks strings.Builder
	move := "M"
	for i, p := range l.Points {
		if p.N == 0 {
			at, y := x(i), drawTop+a.height-4
			lacks.WriteString("M" + short(at-3) + " " + short(y-3) + "l6 6M" + short(at+3) + " " + short(y-3) + "l-6 6")
			continue
		}
		path.WriteString(move + short(x(i)) + " " + short(a.y(p.Value)))
		move = "L"
		if !math.IsNaN(p.Low) && math.Abs(a.y(p.Low)-a.y(p.High)) > 1 {
			bars.WriteString("M" + short(x(i)) + " " + short(a.y(p.High)) + "V" + short(a.y(p.Low)))
		}
	}
	levels := lineLevels(l)
	for k, v := range levels {
		first, last := 0, len(l.Points)-1
		if k > 0 {
			first = l.Steps[k-1].At
		}
		if k < len(l.Steps) {
			last = l.Steps[k].At
		}
		b.WriteString(`<path class="level ` + look + `" d="M` + short(x(first)) + " " + short(a.y(v)) + "H" + short(x(last)) + `"/>`)
	}
	for _, part := range []struct{ class, d string }{{"bars", bars.String()}, {"line", path.String()}, {"lack", lacks.String()}} {
		if part.d != "" {
			b.WriteString(`<path class="` + part.class + " " + look + `" d="` + part.d + `"/>`)
		}
	}
	if len(l.Points) <= dottedPoints {
		for i, p := range l.Points {
			if p.N == 0 {
				continue
			}
			run := t.Runs[p.Runs[0]]
			text := html.EscapeString(printable(run.ID) + ", " + p.Start.UTC().Format("2006-01-02 15:04") + ": " + units.Format(p.Value, l.Metric.Unit))
			dot := `<circle class="dot ` + look + `" cx="` + short(x(i)) + `" cy="` + short(a.y(p.Value)) + `" r="2.6"><title>` + text + `</title></circle>`
			if t.Link != nil {
				if address := t.Link(run); address != "" {
					dot = `<a href="` + html.EscapeString(address) + `">` + dot + `</a>`
				}
			}
			b.WriteString(dot)
		}
	}
	for _, s := range l.Steps {
		at := x(s.At)
		b.WriteString(`<line class="step ` + look + `" x1="` + short(at) + `" x2="` + short(at) + `" y1="` + short(drawTop) + `" y2="` + short(drawTop+a.height) + `"/>`)
		anchor, off := "start", 4.0
		if at > drawLeft+a.width-60 {
			anchor, off = "end", -4
		}
		b.WriteString(strings.Replace(label(at+off, drawTop+11, anchor, stepLabel(s)), "<text", `<text class="step-label `+look+`"`, 1))
	}
}

// trendTicks returns the marks of an axis that holds values from low to high: the first and the last are its ends. It begins at 0
// if the values reach far down, because a level is compared with its change then.
func trendTicks(low, high float64, unit units.Unit) []float64 {
	if math.IsInf(low, 0) { // no value
		return []float64{0, 1}
	}
	if low > 0 && low < high/2 {
		low = 0
	}
	if high-low <= math.Abs(high)*1e-6 {
		room := max(math.Abs(high)*0.05, 1e-9)
		if high == 0 {
			room = 1
		}
		low, high = low-room, high+room
		if low < 0 && high > 0 && high == room {
			low = 0
		}
	}
	scale := tickScale(math.Max(math.Abs(low), math.Abs(high)), unit)
	step := (high - low) / 4 / scale
	ten := math.Pow(10, math.Floor(math.Log10(step)))
	for _, round := range []float64{1, 2, 5, 10} {
		if step <= round*ten*(1+1e-9) {
			step = round * ten * scale
			break
		}
	}
	var ticks []float64
	for k := math.Floor(low/step + 1e-9); ; k++ {
		ticks = append(ticks, k*step)
		if k*step >= high*(1-1e-12)-step*1e-9 && len(ticks) > 1 {
			return ticks
		}
	}
}

// tickScale returns what the marks of an axis are round numbers of: minutes, hours or binary prefixes of the unit.
func tickScale(most float64, unit units.Unit) float64 {
	scale := 1.0
	switch {
	case unit == units.Byte || unit == units.BytesPerSecond:
		for most/scale >= 1024 {
			scale *= 1024
		}
	case unit == units.Second && most >= 7200:
		return 3600
	case unit == units.Second && most >= 120:
		return 60
	}
	return scale
}

// tickText formats a mark of an axis. Times have one unit, and only the decimals that the marks need.
func tickText(v float64, ticks []float64, unit units.Unit) string {
	most := math.Max(math.Abs(ticks[0]), math.Abs(ticks[len(ticks)-1]))
	scale := tickScale(most, unit)
	if unit != units.Second || scale == 1 {
		return axisValue(v, unit)
	}
	digits := max(0, int(math.Ceil(-math.Log10((ticks[1]-ticks[0])/scale)-1e-9)))
	name := " min"
	if scale == 3600 {
		name = " h"
	}
	return strconv.FormatFloat(v/scale, 'f', digits, 64) + name
}

// dateTick is a mark of an axis of dates.
type dateTick struct {
	at   float64 // in s since 1970
	text string
}

// dateTicks returns about count marks of an axis between two times, in UTC.
func dateTicks(from, to, count float64) (ticks []dateTick) {
	const day = 86400
	least := (to - from) / count
	for _, step := range []float64{60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, day, 2 * day, 7 * day, 14 * day} {
		if least > 1.2*step {
			continue
		}
		origin := 0.0
		if step >= 7*day {
			origin = 4 * day // a Monday
		}
		for k := math.Ceil((from - origin) / step); origin+k*step <= to; k++ {
			at := time.Unix(int64(origin+k*step), 0).UTC()
			layout := "2 Jan"
			if step < day && (at.Hour() != 0 || at.Minute() != 0) {
				layout = "15:04"
			}
			ticks = append(ticks, dateTick{origin + k*step, at.Format(layout)})
		}
		return ticks
	}
	months := 1
	for _, m := range []int{1, 2, 3, 6, 12, 24, 60, 120} {
		if months = m; least <= float64(m)*30*day {
			break
		}
	}
	first := time.Unix(int64(from), 0).UTC()
	for at := time.Date(first.Year(), 1, 1, 0, 0, 0, 0, time.UTC); float64(at.Unix()) <= to; at = at.AddDate(0, months, 0) {
		if float64(at.Unix()) >= from {
			ticks = append(ticks, dateTick{float64(at.Unix()), at.Format("Jan 2006")})
		}
	}
	return ticks
}
