package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// briefWidth is the largest number of columns of the short summary.
	briefWidth = 80
	// leastBars and mostBars are the smallest and the largest number of columns of a course.
	leastBars, mostBars = 8, 20
	// doubtsShown is the number of warnings in the short summary.
	doubtsShown = 2
	// leastWork is the smallest mean number of busy CPUs of a command that did something.
	leastWork = 0.01
	// leastLabel is the smallest number of columns of the labels, so that the figures of most runs begin in the same column.
	leastLabel = 8
	// shortID is the number of characters of a run's id that the short summary shows. An id of up to shortEnough characters,
	// such as one that a user chose, is shown whole.
	shortID, shortEnough = 6, 12
)

// item is one row of the short summary. The figures are the command's. A figure of the machine only qualifies them.
type item struct {
	label, figure, mark string
	// rest qualifies the figure. If the row is too long, its last parts are left out.
	rest []string
	// course is the course of the figure over the run, in unit. It is nil if none is shown. top formats its highest value;
	// nil if the figure says it.
	course []float64
	top    func(float64) string
}

// items returns the rows of the short summary. A row that is 0 or unknown, or that nobody asked for, is left out.
func items(r datamodel.Result, s map[string]datamodel.Metric) []item {
	var out []item
	for _, e := range slices.Concat([]*item{energyItem(r, s)}, factorItems(r, s), []*item{
		estimateItem(r, s), cpuItem(r, s), memoryItem(r, s), diskItem(r, s), filesItem(r), networkItem(r), gpuItem(r, s), stoppedItem(r),
	}) {
		if e != nil {
			out = append(out, *e)
		}
	}
	return out
}

// figured returns a row with the figure of a cell.
func figured(label string, c cell, rest ...string) *item {
	sign, _ := mark(c.from)
	return &item{label: label, figure: c.value.String(), mark: sign, rest: rest}
}

// watts formats the highest value of a course of power.
func watts(v float64) string { return units.Format(v, units.Watt) }

// energyItem returns the command's share of the machine's energy, or the energy of the machine if no share is known.
func energyItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	both := energyRows(r, s, cell{})[0]
	all := s[datamodel.Energy]
	switch {
	case both.command.known():
		e := figured("energy", both.command)
		if both.machine.known() {
			e.rest = []string{"of the machine's " + both.machine.value.String()}
			if n := net(s[datamodel.NetEnergy]); n != "" {
				e.rest = append(e.rest, " ("+n+")")
			}
		}
		e.course, e.top = spark(r.Run, datamodel.SparkTargetPower), watts
		return e
	case !both.machine.known():
		return nil
	}
	e := figured("energy", both.machine, "of the machine")
	switch _, bounded := bound(all); {
	case bounded && both.machine.note != "":
		e.rest = append(e.rest, ": "+both.machine.note)
	case bounded:
	case vague(all):
		e.rest = append(e.rest, ", at most "+units.Format(all.Most(), all.Unit))
	case s[datamodel.Power].Count == 0 || s[datamodel.Power].Count >= leastBars:
		e.course, e.top = spark(r.Run, datamodel.SparkPower), watts
	}
	return e
}

// estimateItem returns the estimate with its range, if one was asked for.
func estimateItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	if !r.Run.Estimate {
		return nil
	}
	m, of := s[datamodel.EstimatedTargetEnergy], ""
	if m.Provenance == sensors.Missing {
		m, of = s[datamodel.EstimatedEnergy], " of the machine"
	}
	if m.Provenance == sensors.Missing {
		return nil
	}
	c := cellOf(m)
	c.value = units.TextOf(m.Value, m.Unit)
	return figured("estimate", c, "from "+units.Format(m.Min, m.Unit)+" to "+units.Format(m.Max, m.Unit)+of)
}

// cpuItem returns the CPU time and the number of CPUs that it kept busy. If the command did next to nothing, the row also has
// the peak memory.
func cpuItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	m, user := s[datamodel.CPUTime], s[datamodel.CPUUserTime].Value
	if !(m.Value > 0) {
		return nil
	}
	e := figured("cpu", cellOf(m))
	e.figure = timeOf(m)
	if rested(s) {
		if c := memory(r.Run.Host, s[datamodel.PeakMemory]); c.known() {
			sign, _ := mark(c.from)
			e.rest = []string{"· memory " + strings.Join(nonEmpty(c.value.String(), sign), " ") + " peak"}
		}
		return e
	}
	if wall := s[datamodel.WallTime].Value; wall > 0 {
		e.rest = append(e.rest, busyOf(m.Value/wall, r.Run.Host))
	}
	if user >= 0 && user <= m.Value {
		e.rest = append(e.rest, " · "+percent(user/m.Value)+" user")
	}
	e.course, e.top = spark(r.Run, datamodel.SparkTargetCPU), func(v float64) string { return decimal(v, 1) }
	return e
}

// rested reports whether the command used next to no CPU time, as sleep does.
func rested(s map[string]datamodel.Metric) bool {
	return s[datamodel.CPUTime].Value < leastWork*s[datamodel.WallTime].Value
}

func memoryItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	c := memory(r.Run.Host, s[datamodel.PeakMemory])
	if !c.known() || rested(s) && s[datamodel.CPUTime].Value > 0 {
		return nil
	}
	e := figured("memory", c, "peak")
	if most := r.Run.Host.Limits.Memory; most > 0 {
		e.rest = append(e.rest, " of "+units.Format(float64(most), units.Byte)+" limit")
	}
	// The charge may be less than the memory: pages that others use as well may be charged to them.
	if charge := s[datamodel.PeakMemoryCharge]; charge.Value > s[datamodel.PeakMemory].Value {
		e.rest = append(e.rest, " ("+textOf(charge).String()+" with page cache)")
	}
	e.course = spark(r.Run, datamodel.SparkTargetMemory)
	return e
}

func diskItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	e := transfer("disk", cellOf(s[datamodel.DiskWrite]), " written", cellOf(s[datamodel.DiskRead]), " read",
		s[datamodel.DiskWrite].Value > 0, s[datamodel.DiskRead].Value > 0)
	if e != nil {
		e.course = spark(r.Run, datamodel.SparkTargetDisk)
	}
	return e
}

func networkItem(r datamodel.Result) *item {
	in, out := ofTarget(r.Tree, datamodel.TargetNetworkReceive), ofTarget(r.Tree, datamodel.TargetNetworkTransmit)
	return transfer("network", in, " received", out, " sent", in.known(), out.known())
}

// transfer returns a row with one or two amounts of bytes.
func transfer(label string, first cell, verb string, second cell, verb2 string, has, has2 bool) *item {
	switch {
	case has && has2:
		sign, _ := mark(second.from)
		return figured(label, first, strings.TrimSpace(verb), " · "+second.value.String()+strings.TrimRight(" "+sign, " ")+verb2)
	case has:
		return figured(label, first, strings.TrimSpace(verb))
	case has2:
		return figured(label, second, strings.TrimSpace(verb2))
	}
	return nil
}

// gpuItem returns the command's share of the GPUs' energy and the GPU memory that it held. If its share is not known, the row
// has the energy of the GPUs, unless the row of the machine's energy has it.
func gpuItem(r datamodel.Result, s map[string]datamodel.Metric) *item {
	held := ""
	if c := gpuMemory(r.Tree); c.known() {
		held = c.value.String() + " of GPU memory"
	}
	share, all := s[datamodel.GPUTargetEnergy], s[datamodel.GPUEnergy]
	switch {
	case share.Value > 0:
		e := figured("gpu", cellOf(share), "of the GPUs' "+cellOf(all).value.String())
		if held != "" {
			e.rest = append(e.rest, " · "+held)
		}
		return e
	case share.Provenance == sensors.Missing && all.Provenance != sensors.Missing && !gpusSummed(s):
		return figured("gpu", cellOf(all), "of the machine's GPUs")
	case held != "":
		return figured("gpu", gpuMemory(r.Tree), "of GPU memory")
	}
	return nil
}

func stoppedItem(r datamodel.Result) *item {
	if c := ofTarget(r.Tree, datamodel.StoppedTime); c.known() {
		return figured("stopped", c, "of the time")
	}
	return nil
}

// known reports whether the cell has a value.
func (c cell) known() bool { return !c.empty() && !c.missing() }

// busyOf formats how many CPUs the command kept busy, of those that it may use: "1.71 of 2 CPUs".
func busyOf(n float64, h datamodel.HostInfo) string {
	s := decimal(n, 2)
	if s == "0.00" {
		s = "<0.01"
	}
	most, _ := h.Limits.CPUs()
	if !(most > 0) {
		most = float64(h.CPUs)
	}
	switch of := strconv.FormatFloat(most, 'g', 3, 64); {
	case !(most > 0):
		return s + " CPUs"
	case of == "1":
		return s + " of 1 CPU"
	default:
		return s + " of " + of + " CPUs"
	}
}

// decimal formats a number with this many decimals, but not more than three digits.
func decimal(v float64, decimals int) string {
	for ; decimals > 0 && math.Abs(v) >= math.Pow10(3-decimals)-0.5/math.Pow10(decimals); decimals-- {
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// timeOf formats a time in three digits: "86.0 s", and from 1000 s on "17 h 10 min". A bound has its sign.
func timeOf(m datamodel.Metric) string {
	t := units.TextOf(m.Value, m.Unit)
	if m.Value >= 59.95 && m.Value < 999.5 {
		t = units.Text{Number: decimal(m.Value, 1), Unit: "s"}
	}
	return bounded(t, m.Bound).String()
}

// percent formats a share without decimals.
func percent(v float64) string {
	if v > 0 && v < 0.005 {
		return "<1 %"
	}
	return strconv.FormatFloat(100*v, 'f', 0, 64) + " %"
}

// lacks returns what the command's rows lack. A GPU counts only if it exists and cannot be read: most machines have none.
func lacks(r datamodel.Result, s map[string]datamodel.Metric) []gap {
	show := func(name string) row { return line(name, cellOf(s[name]), cell{}) }
	list := []row{energyRows(r, s, cell{})[0], show(datamodel.CPUTime), show(datamodel.PeakMemory), show(datamodel.DiskRead), show(datamodel.DiskWrite)}
	gpu := show(datamodel.GPUEnergy)
	if slices.ContainsFunc(r.Run.Missing, func(a sensors.Absence) bool { return a.Present() && a.ID == gpu.command.absence }) {
		list = append(list, gpu)
	}
	list = append(list, factorRows(r, s)...)
	for i := range list {
		list[i].depth = 0
		if c, ok := bound(s[datamodel.PeakMemory]); ok && list[i].command.missing() && list[i].label == show(datamodel.PeakMemory).label {
			list[i].command = c
		}
	}
	return gaps(list)
}

// writeBrief writes the summary in a few lines of at most briefWidth columns: how the command ended, a row for each thing that
// it used, what may have spoiled the figures, and how to see more.
func writeBrief(w io.Writer, r datamodel.Result, o Options) error {
	p := &page{Options: o, out: w, width: briefWidth}
	if o.Width > 0 {
		p.width = min(briefWidth, o.Width)
	}
	s := summary(r)
	p.ended(r.Run, s[datamodel.WallTime])
	p.items(items(r, s), names(r), costliestRegions(r))
	p.budgets(r.Run.Budgets)
	p.doubts(r.Run.Warnings)
	if o.Processes { // a table is as wide as the terminal
		tables := &page{Options: o, out: w, width: o.Width, err: p.err}
		if tables.width <= 0 {
			tables.width = unlimited
		}
		tables.listings(slices.Concat(regions(r), processes(r), inventory(r)))
		p.err = tables.err
	}
	if len(known(rows(r))) > 0 { // else the command did not start
		p.missing(lacks(r, s), r.Run.Missing)
	}
	p.again(r, s)
	return p.err
}

// ended writes the first line: the command, and on the right how it ended and after what time.
func (p *page) ended(run datamodel.Run, wall datamodel.Metric) {
	how := p.plain(middle(verdict(run), max(leastCommand, p.width/2), "…"))
	if wall.Provenance != sensors.Missing {
		how += p.plain(" · " + timeOf(wall))
	}
	if columns(how) > p.width-2 {
		how = middle(how, p.width-2, p.plain("…"))
	}
	command := middle(p.plain(commandLine(run.Command)), max(0, p.width-columns(how)-2), p.plain("…"))
	space := strings.Repeat(" ", max(2, p.width-columns(command)-columns(how)))
	shown := how
	if run.Outcome != datamodel.Done {
		shown = p.look(red, how)
	}
	p.line(p.look(bold, command), space, shown)
	p.wrapped("  ", "  ", yellow, p.plain(why(run)))
	p.wrapped("  ", "  ", dim, p.plain(replayed(run)))
}

// items writes the rows, with the courses in one column, and the names that used most CPU time.
func (p *page) items(all []item, busy, regions []string) {
	const between = 2
	label, figure := leastLabel, 0
	for _, e := range all {
		label, figure = max(label, columns(e.label)), max(figure, columns(p.plain(e.figure)))
	}
	if len(regions) > 0 {
		label = max(label, len("regions"))
	}
	begin := 2 + label + between
	room := p.width - begin
	least := room // columns of the text if a course follows
	if room >= 2*(between+leastBars) {
		least -= between + leastBars
	}
	texts, longest := make([][2]string, len(all)), 0
	for i, e := range all {
		texts[i] = p.text(e, figure, room)
		if e.course != nil {
			texts[i] = p.text(e, figure, least)
			longest = max(longest, columns(texts[i][0])+columns(texts[i][1]))
		}
	}
	tops := 0
	for _, e := range all {
		tops = max(tops, columns(p.max(e)))
	}
	for i, e := range all {
		text := texts[i][0] + p.look(dim, texts[i][1])
		used := columns(texts[i][0]) + columns(texts[i][1])
		p.line("  ", pad(e.label, label, false), "  ", text, p.course(e, longest-used+between, room-longest-between, tops))
	}
	if len(busy) > 0 {
		p.line("  ", pad("top", label, false), "  ", p.look(dim, p.names(busy, room)))
	}
	if len(regions) > 0 {
		p.line("  ", pad("regions", label, false), "  ", p.look(dim, p.first(regions, room)))
	}
}

// text returns the figure of a row and what qualifies it, in at most room columns.
func (p *page) text(e item, figure, room int) [2]string {
	for n := len(e.rest); ; n-- {
		number := p.plain(e.figure)
		rest := p.plain(strings.Join(nonEmpty(e.mark, strings.Join(e.rest[:n], "")), " "))
		if rest != "" {
			number, rest = pad(number, figure, false), " "+rest
		}
		if columns(number)+columns(rest) <= room || n == 0 {
			return [2]string{middle(number, room, p.plain("…")), middle(rest, max(0, room-columns(number)), p.plain("…"))}
		}
	}
}

// max returns what follows the course of a row: "  max 107 W".
func (p *page) max(e item) string {
	if e.course == nil || e.top == nil {
		return ""
	}
	return p.plain("  max " + e.top(highest(e.course)))
}

// course returns the course of a row after this much space, in at most room columns. tops is the width of the longest maximum.
// If there is no room for both, the maximum is left out.
func (p *page) course(e item, space, room, tops int) string {
	if e.course == nil || room < leastBars {
		return ""
	}
	top := p.max(e)
	if room-tops < leastBars {
		tops, top = 0, ""
	}
	n := min(mostBars, room-tops)
	drawn := bars(squeeze(e.course, n), p.Unicode)
	return strings.Repeat(" ", space) + pad(drawn, n, false) + p.look(dim, top)
}

// names joins names that fit into the columns. The last is what no look saw, and stays.
func (p *page) names(list []string, room int) string {
	for n := len(list) - 1; ; n-- {
		s := p.plain(strings.Join(slices.Concat(list[:max(n, 0)], list[len(list)-1:]), " · "))
		if columns(s) <= room || n <= 0 {
			return middle(s, room, p.plain("…"))
		}
	}
}

// first joins as many items of a list as fit into the columns, the first ones.
func (p *page) first(list []string, room int) string {
	for n := len(list); ; n-- {
		s := p.plain(strings.Join(list[:n], " · "))
		if columns(s) <= room || n == 1 {
			return middle(s, room, p.plain("…"))
		}
	}
}

// names returns the names that used most CPU time, with their shares. It returns nil if there was only one process, if the
// command did next to nothing, or if all shown is one name.
func names(r datamodel.Result) []string {
	s := summary(r)
	total := s[datamodel.CPUTime].Value
	if !(total > 0) || len(r.Processes) < 3 || rested(s) { // the command and the row of what was not seen
		return nil
	}
	var out []string
	for _, p := range byName(r.Processes, namedProcesses) {
		switch {
		case p.Kind == datamodel.NamedProcesses && p.CPUTime >= leastNamed*total:
			out = append(out, processName(p, shortName)+" "+percent(p.CPUTime/total))
		case p.Kind == datamodel.UnseenProcesses && p.CPUTime >= leastUnseen*total:
			out = append(out, "short-lived "+percent(p.CPUTime/total))
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// spoiling lists the conditions of the machine that have a warning, the one that spoils most first. A warning with another
// subject says that a figure itself is wrong or incomplete, and spoils more.
func spoiling() []string {
	return []string{
		"other_load", "steal", "quota", "throttling", "memory_pressure", "swapping", "frequency", "settings", "io_pressure",
		"cpu_pressure", "beats", datamodel.Energy,
	}
}

// doubts writes the warnings that spoil most as sentences, and the number of the others.
func (p *page) doubts(all []datamodel.Warning) {
	order := spoiling()
	ranked := slices.Clone(all)
	slices.SortStableFunc(ranked, func(a, b datamodel.Warning) int {
		return slices.Index(order, a.Subject) - slices.Index(order, b.Subject)
	})
	for i, w := range ranked[:min(doubtsShown, len(ranked))] {
		if slices.Contains(order, w.Subject) {
			w.Subject = "" // the sentence says it
		}
		s := warning(w)
		if more := len(ranked) - doubtsShown; more > 0 && i == doubtsShown-1 {
			s += fmt.Sprintf("; and %d more: %s", more, p.more())
		}
		p.wrapped("  ! ", "    ", yellow, p.plain(s))
	}
}

// more returns what shows everything about the run.
func (p *page) more() string {
	if p.Again == "" {
		return "-v"
	}
	return "ergon report -v"
}

// again writes the last line: the run's short id, how to see it again, how often was read, and what that cost.
func (p *page) again(r datamodel.Result, s map[string]datamodel.Metric) {
	parts := []string{"run not kept"}
	if p.Again != "" {
		parts = []string{"run " + printable(ShortID(r.Run)), "ergon report " + printable(p.Again)}
	}
	var cost []string
	for _, src := range r.Run.Sources {
		if src.Interval > 0 && (cost == nil || src.Name == "target") {
			cost = []string{"sampled " + strconv.FormatFloat(1/src.Interval, 'g', 3, 64) + " Hz"}
		}
	}
	switch own, wall := s[datamodel.ProfilerCPUTime].Value, s[datamodel.WallTime].Value; {
	case own > 0 && wall >= leastRate:
		cost = append(cost, "ergon took "+strings.Replace(decimal(max(100*own/wall, 0.05), 1), "0.0", "<0.1", 1)+" %")
	case own > 0:
		cost = append(cost, "ergon took "+units.Format(own, units.Second))
	}
	if len(cost) > 0 {
		parts = append(parts, strings.Join(cost, ", "))
	}
	for n := len(parts); ; n-- {
		if s := p.plain(strings.Join(parts[:n], " · ")); columns(s) <= p.width-2 || n == 1 {
			p.line("  ", p.look(dim, middle(s, p.width-2, p.plain("…"))))
			return
		}
	}
}

// ShortID returns the end of a run's id, from which ergon finds the run. The id is returned whole if it is short, and also
// for a replay, as the ids of replays end alike. The end begins with a letter or a digit, so it is never taken for an option.
func ShortID(run datamodel.Run) string {
	id := run.ID
	if len(id) <= shortEnough || run.Replayed != nil {
		return id
	}
	for n := shortID; n < len(id); n++ {
		if r := rune(id[len(id)-n]); r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return id[len(id)-n:]
		}
	}
	return id
}

// wrapped writes text in lines that end between words. A word that is too long is cut.
func (p *page) wrapped(first, next, look, text string) {
	if text == "" {
		return
	}
	room := max(1, p.width-max(columns(first), columns(next)))
	line := ""
	flush := func() {
		p.line(first, p.look(look, line))
		first, line = next, ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && columns(line)+1+columns(word) > room {
			flush()
		}
		if line != "" {
			line += " "
		}
		for _, r := range word {
			if columns(line)+runeColumns(r) > room {
				flush()
			}
			line += string(r)
		}
	}
	flush()
}

// middle cuts printable text to n columns. If it cuts, the ellipsis stands in the middle.
func middle(s string, n int, ellipsis string) string {
	if columns(s) <= n {
		return s
	}
	room := n - columns(ellipsis)
	if room < 2 {
		return cut(s, n)
	}
	head := cut(s, (room+1)/2)
	runes, used, from := []rune(s), 0, 0
	for from = len(runes); from > 0 && used+runeColumns(runes[from-1]) <= room-columns(head); from-- {
		used += runeColumns(runes[from-1])
	}
	return head + ellipsis + string(runes[from:])
}

// cut returns the beginning of printable text, in at most n columns.
func cut(s string, n int) string {
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n {
			return s[:i]
		}
	}
	return s
}
