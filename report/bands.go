package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

const (
	// bandLanes is the largest number of lanes of regions. mostBands is the largest number of rectangles in all lanes, and
	// mostEvents the largest number of lines.
	bandLanes, mostBands, mostEvents = 12, 2000, 1000
	// progressParts is the number of parts of the line of progress if the run has no other charts.
	progressParts = 1000
)

// bands are the regions and events of a run over time, in lanes in which regions do not overlap.
type bands struct {
	// paths are the paths of the regions that are drawn. names has the name of each, and looks the color of each name.
	paths, names []string
	looks        map[string]string
	at           map[string]int // the index of a path
	rows         []band
	lanes        int
	// regions is the number of all regions, and left the number of those that are not drawn, because too many overlap.
	regions, left int
	// energy is what the tooltip calls band.energy, and sign the sign of its provenance.
	energy, sign string
	events       []happened
}

// band is a region, or several short ones that are drawn together.
type band struct {
	from, to   time.Duration
	path, lane int
	// count is the number of regions. others says that some of them have another path. longest is the length of the one that
	// gives the path.
	count   int
	others  bool
	longest time.Duration
	// wall, cpu and energy are the sums over the regions. They are NaN if they are unknown.
	wall, cpu, energy float64
	// wide says that it is drawn across all charts.
	wide  bool
	depth int
}

// happened is an event, or the first of several that are drawn as one line.
type happened struct {
	at    time.Duration
	name  string
	count int
}

// newBands puts the regions and events of a run of this length, in s, into lanes.
func newBands(r datamodel.Result, to float64) bands {
	b := bands{looks: make(map[string]string), at: make(map[string]int)}
	b.happen(r.Events, to)
	if r.Regions == nil {
		return b
	}
	b.regions = len(r.Regions.List)
	all := b.placed(r.Regions)
	b.lay(all, to)
	b.widen()
	return b
}

// happen takes the events. Of too many, those in one part of the time become one line.
func (b *bands) happen(events []datamodel.Event, to float64) {
	told := 0
	for _, e := range events {
		if e.Kind == datamodel.ToldEvent {
			told++
		}
	}
	part := time.Duration(0)
	if told > mostEvents {
		part = time.Duration(to / mostEvents * float64(time.Second))
	}
	for _, e := range events {
		if e.Kind != datamodel.ToldEvent {
			continue
		}
		if n := len(b.events); n > 0 && (e.Elapsed < b.events[n-1].at+part || n == mostEvents) {
			b.events[n-1].count++
			continue
		}
		b.events = append(b.events, happened{e.Elapsed, e.Name, 1})
	}
}

// placed returns a band for each region that has a lane, in the order of their starts.
func (b *bands) placed(r *datamodel.Regions) []band {
	cpu, energy := r.Figure(datamodel.CPUTime), r.Figure(datamodel.TargetEnergy)
	b.energy = "energy"
	if energy.Reason != "" {
		energy, b.energy = r.Figure(datamodel.Energy), "machine's energy"
	}
	b.sign, _ = mark(energy.Provenance)
	of := func(f datamodel.RegionFigure, i int) float64 {
		if f.Reason != "" || i >= len(f.Values) {
			return math.NaN()
		}
		return f.Values[i]
	}
	order := make([]int, len(r.List))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, k int) int { return cmp.Compare(r.List[i].Start, r.List[k].Start) })
	depths := make(map[string]int)
	var free [bandLanes]time.Duration // when the last region of each lane ended
	var out []band
	for _, i := range order {
		one := &r.List[i]
		at, known := b.at[one.Path]
		if !known {
			at = len(b.paths)
			b.at[one.Path] = at
			b.paths, b.names = append(b.paths, one.Path), append(b.names, one.Name)
			if _, has := b.looks[one.Name]; !has {
				b.looks[one.Name] = look(len(b.looks))
			}
			if around, within := strings.CutSuffix(one.Path, "/"+one.Name); within {
				depths[one.Path] = depths[around] + 1
			}
		}
		lane := depths[one.Path]
		for lane < bandLanes && free[lane] > one.Start {
			lane++
		}
		if lane >= bandLanes {
			b.left++
			continue
		}
		free[lane] = one.End
		b.lanes = max(b.lanes, lane+1)
		out = append(out, band{
			from: one.Start, to: one.End, path: at, lane: lane, count: 1, longest: one.End - one.Start, depth: depths[one.Path],
			wall: (one.End - one.Start).Seconds(), cpu: of(cpu, i), energy: of(energy, i),
		})
	}
	return out
}

// lay joins short bands of a lane until there are few enough.
func (b *bands) lay(all []band, to float64) {
	b.rows = all
	for part := time.Duration(to / mostBands * float64(time.Second)); len(b.rows) > mostBands && part > 0; part *= 2 {
		var last [bandLanes]int // the number of the last band of each lane, plus 1
		var rows []band
		for _, one := range all {
			if n := last[one.lane]; n > 0 && one.to <= rows[n-1].from+part {
				rows[n-1].join(one)
				continue
			}
			rows = append(rows, one)
			last[one.lane] = len(rows)
		}
		b.rows = rows
	}
}

// join adds a later band of the same lane.
func (b *band) join(o band) {
	b.to = max(b.to, o.to)
	b.count += o.count
	b.others = b.others || o.others || o.path != b.path
	if o.longest > b.longest {
		b.path, b.longest = o.path, o.longest
	}
	b.wall, b.cpu, b.energy = b.wall+o.wall, b.cpu+o.cpu, b.energy+o.energy
}

// widen chooses the bands that are drawn across all charts: the outermost, but not one that is alone around all others.
func (b *bands) widen() {
	var counts [bandLanes]int // by depth
	for _, one := range b.rows {
		counts[one.depth]++
	}
	depth := max(0, slices.IndexFunc(counts[:], func(n int) bool { return n > 1 }))
	for i := range b.rows {
		b.rows[i].wide = b.rows[i].depth == depth
	}
}

// pageBands are the bands for the page's script.
type pageBands struct {
	Paths  []string `json:"paths"`
	Looks  []string `json:"looks"`
	Lanes  int      `json:"lanes"`
	Energy string   `json:"energy,omitempty"`
	Mark   string   `json:"mark,omitempty"`
	// A row holds the index of the path, the lane, begin and end in s, the number of regions, 1 if they have several paths, wall
	// time and CPU time in s, energy in J, and 1 if it is drawn across all charts. An unknown figure is null.
	Rows [][]any `json:"rows"`
	// An event holds its time in s, its name, and how many there are.
	Events [][]any `json:"events"`
}

func (b bands) empty() bool { return len(b.rows)+len(b.events) == 0 }

func (b bands) page() *pageBands {
	out := &pageBands{Paths: []string{}, Looks: []string{}, Lanes: max(1, b.lanes), Energy: b.energy, Mark: b.sign, Rows: [][]any{}, Events: [][]any{}}
	used := make(map[int]int)
	bit := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	for _, one := range b.rows {
		at, known := used[one.path]
		if !known {
			at = len(out.Paths)
			used[one.path] = at
			out.Paths, out.Looks = append(out.Paths, printable(b.paths[one.path])), append(out.Looks, b.looks[b.names[one.path]])
		}
		out.Rows = append(out.Rows, []any{
			at, one.lane, precise(one.from), precise(one.to), one.count, bit(one.others), rounded(one.wall), rounded(one.cpu), rounded(one.energy), bit(one.wide),
		})
	}
	for _, e := range b.events {
		out.Events = append(out.Events, []any{precise(e.at), printable(e.name), e.count})
	}
	return out
}

// precise returns a time in s with six decimals.
func precise(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }

// across writes what lies behind each chart: the wide bands and the events.
func (b bands) across(a axes) string {
	paths, ends := make(map[string]*strings.Builder), make(map[string]float64)
	var looks []string
	for _, one := range b.rows {
		l := b.looks[b.names[one.path]]
		from, to := a.x(min(one.from.Seconds(), a.to)), a.x(min(one.to.Seconds(), a.to))
		if !one.wide || to < ends[l]+0.5 { // it would not be seen
			continue
		}
		d := paths[l]
		if d == nil {
			d = &strings.Builder{}
			paths[l] = d
			looks = append(looks, l)
		}
		ends[l] = to
		d.WriteString("M" + short(from) + " " + short(drawTop) + "H" + short(max(to, from+0.5)) + "V" + short(drawTop+a.height) + "H" + short(from) + "Z")
	}
	var out strings.Builder
	for _, l := range looks {
		out.WriteString(`<path class="region ` + l + `" d="` + paths[l].String() + `"/>`)
	}
	var d strings.Builder
	last := math.Inf(-1)
	for _, e := range b.events {
		if x := a.x(min(e.at.Seconds(), a.to)); x >= last+0.5 {
			d.WriteString("M" + short(x) + " " + short(drawTop) + "v" + short(a.height))
			last = x
		}
	}
	if d.Len() > 0 {
		out.WriteString(`<path class="event" d="` + d.String() + `"/>`)
	}
	return out.String()
}

// about describes a band in one line.
func (b bands) about(one band) string {
	name := b.paths[one.path]
	switch {
	case one.others:
		name += " and others, " + plural(one.count, "region")
	case one.count > 1:
		name += " ×" + strconv.Itoa(one.count)
	}
	parts := []string{name, shown(one.wall, units.Second)}
	if s := shown(one.cpu, units.Second); s != "" {
		parts = append(parts, "CPU time "+s)
	}
	if s := shown(one.energy, units.Joule); s != "" {
		parts = append(parts, strings.Join(nonEmpty(b.energy, s, b.sign), " "))
	}
	return strings.Join(parts, " · ")
}

// strip writes the drawing of the regions and events, with a legend of the names.
func (p *sheet) strip(b bands, to float64) {
	const named = 8
	title := "Regions"
	switch {
	case len(b.rows) == 0:
		title = "Events"
	case len(b.events) > 0:
		title = "Regions and events"
	}
	p.tag("<figure class=\"chart\" id=\"chart-regions\"><figcaption><h3>%s</h3>", title)
	var names []string
	for _, n := range b.names {
		if !slices.Contains(names, n) && len(names) <= named {
			names = append(names, n)
		}
	}
	for _, n := range names[:min(named, len(names))] {
		p.tag("<span><i class=\"stack "+b.looks[n]+"\"></i>%s</span>", shorten(printable(n), widestName))
	}
	if more := len(b.looks) - named; more > 0 {
		p.tag("<span>%s more</span>", strconv.Itoa(more))
	}
	if drawn := b.regions - b.left; drawn > len(b.rows) {
		p.tag("<span>%s regions, short ones drawn together</span>", units.Format(float64(drawn), units.Processes))
	}
	if b.left > 0 {
		p.tag("<span>%s that overlap too many others are not drawn</span>", units.Format(float64(b.left), units.Processes))
	}
	a := axes{to: to, width: drawWidth - drawLeft - drawRight, height: laneHeight * float64(max(1, b.lanes))}
	p.WriteString("</figcaption>\n<svg viewBox=\"0 0 " + short(drawWidth) + " " + short(drawTop+a.height+drawBottom) + "\" role=\"img\" aria-label=\"" + title + "\">" + a.timeAxis())
	var ends [bandLanes]float64
	for _, one := range b.rows {
		from := a.x(min(one.from.Seconds(), to))
		until := max(a.x(min(one.to.Seconds(), to)), from+1)
		if until < ends[one.lane]+0.5 { // it would not be seen
			continue
		}
		ends[one.lane] = until
		p.WriteString(`<rect class="bar ` + b.looks[b.names[one.path]] + `" x="` + short(from) + `" y="` + short(drawTop+float64(one.lane)*laneHeight) +
			`" width="` + short(until-from) + `" height="` + short(laneHeight-1) + `">`)
		p.tag("<title>%s</title></rect>", b.about(one))
	}
	for _, e := range b.events {
		x := a.x(min(e.at.Seconds(), to))
		p.WriteString(strings.Replace(strings.TrimSuffix(straight(x, x, drawTop, drawTop+a.height), "/>"), "<line", `<line class="event"`, 1))
		p.tag("><title>%s</title></line>", e.about())
	}
	p.WriteString("</svg></figure>\n")
}

// about describes an event, or several, in one line.
func (e happened) about() string {
	s := e.name + " at " + shown(e.at.Seconds(), units.Second)
	if e.count > 1 {
		s += ", and " + strconv.Itoa(e.count-1) + " more"
	}
	return s
}

// acrossOnce writes what lies behind a chart. All charts but the first one refer to the first.
func (p *sheet) acrossOnce(b bands, a axes, first bool) {
	if b.empty() {
		return
	}
	if !first {
		p.WriteString(`<use href="#across"/>`)
		return
	}
	p.WriteString(`<g id="across">` + b.across(a) + `</g>`)
}

// progress returns a chart of how much of its work the command said to have done, or nothing. It has the grid of the run's other
// charts.
func progress(r Shown, to float64) []figure {
	step, parts := to/progressParts, progressParts
	if len(r.Charts) > 0 && r.Charts[0].Parts > 0 {
		step, parts = r.Charts[0].Step.Seconds(), r.Charts[0].Parts
	}
	if !(step > 0) {
		return nil
	}
	line := curve{name: "told by the command", look: "command", grid: step, sparse: true, mean: make([]float64, parts)}
	for i := range line.mean {
		line.mean[i] = math.NaN()
	}
	for _, e := range r.Events {
		if i := e.Elapsed.Seconds() / step; e.Kind == datamodel.ProgressEvent && i >= 0 {
			line.mean[min(int(i), parts-1)] = e.Value
		}
	}
	line.least, line.most = line.mean, line.mean
	if line.empty() {
		return nil
	}
	return []figure{{id: "progress", title: "Progress", unit: units.Ratio, limit: 1, curves: []curve{line}}}
}

// regionTable writes what each region cost: a row for each path.
func (p *sheet) regionTable(r datamodel.Result, b bands) {
	groups := r.Regions.Groups()
	if len(groups) == 0 {
		return
	}
	p.WriteString("<section id=\"regions\">\n<div class=\"head\"><h2>What each region cost</h2>")
	if more := len(groups) - tabled; more > 0 {
		p.tag("<p class=\"hint\">the first %s of %s</p>", strconv.Itoa(tabled), strconv.Itoa(len(groups)))
	}
	p.WriteString("</div>\n<div class=\"panel\"><table class=\"sortable wide\">\n<thead><tr><th data-sort=\"text\">region</th>")
	shownGroups := groups[:min(tabled, len(groups))]
	list := slices.DeleteFunc(regionColumns(r, groups), func(c regionColumn) bool { // without any value
		return !slices.ContainsFunc(shownGroups, func(g datamodel.RegionGroup) bool { return c.text(g) != "" })
	})
	for _, c := range list {
		p.tag("<th class=\"n\" data-sort=\"number\">%s</th>", c.header.text())
	}
	p.WriteString("</tr></thead>\n<tbody>\n")
	for _, g := range shownGroups {
		swatch := "idle"
		if at, known := b.at[g.Path]; known {
			swatch = b.looks[b.names[at]]
		}
		p.tag("<tr><td class=\"name\"><i class=\"sw "+swatch+"\"></i>%s</td>", groupName(g))
		for _, c := range list {
			key := ""
			if v := c.value(g); !math.IsNaN(v) && !math.IsInf(v, 0) {
				key = strconv.FormatFloat(v, 'g', 6, 64)
			}
			p.tag("<td class=\"n\" data-v=\""+key+"\" data-l=\"%s\">%s</td>", c.name, c.text(g))
		}
		p.WriteString("</tr>\n")
	}
	p.WriteString("</tbody></table></div></section>\n")
}
