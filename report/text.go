package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// unlimited is the width of the layout if none is given. It suits a log.
	unlimited = 120
	// leastCommand is the smallest number of columns for the command, however narrow the terminal is.
	leastCommand = 20
)

// page writes the text of a report line by line and remembers the first error.
type page struct {
	Options
	out   io.Writer
	width int
	err   error
}

func (p *page) line(parts ...string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, strings.TrimRight(strings.Join(parts, ""), " "))
	}
}

// plain returns the text in characters that the terminal can show.
func (p *page) plain(s string) string {
	if p.Unicode {
		return s
	}
	return ascii(s)
}

// The looks that a part of a line may have.
const (
	bold   = screen.Bold
	dim    = screen.Dim
	red    = screen.Red
	yellow = screen.Yellow
)

func (p *page) look(code, s string) string {
	if !p.Color || s == "" || code == "" {
		return s
	}
	return screen.Look(code, s)
}

// writeText writes the summary for people, in a few lines or in full.
func writeText(w io.Writer, r datamodel.Result, o Options) error {
	if o.Verbose {
		return writeVerbose(w, r, o)
	}
	return writeBrief(w, r, o)
}

// writeVerbose writes the whole summary: a line with the command and how it ended, one table for the command and the machine,
// and footnotes.
func writeVerbose(w io.Writer, r datamodel.Result, o Options) error {
	p := &page{Options: o, out: w, width: o.Width}
	if p.width <= 0 {
		p.width = unlimited
	}
	p.head(r.Run)
	all := rows(r)
	shown := known(all)
	p.table(shown, r.Run.Host)
	var of []sensors.Provenance
	of = p.listings(regions(r))
	if o.Processes {
		of = append(of, p.listings(processes(r))...)
	} else if s := busiest(r, p.width-2); s != "" {
		p.line("  ", p.plain(s))
	}
	p.listings(inventory(r))
	p.budgets(r.Run.Budgets)
	if s := own(r); s != "" {
		p.line("  ", p.look(dim, p.plain("ergon itself: "+s)))
	}
	if s := legend(shown, of...); s != "" {
		p.line("  ", p.look(dim, p.plain(s)))
	}
	if len(shown) > 0 { // else the command did not start, and the head says so
		p.missing(gaps(all), r.Run.Missing)
	}
	p.warnings(r.Run.Warnings)
	if o.Setup {
		p.setup(r.Run.Host)
	}
	if o.Results != "" {
		p.line("  ", p.look(dim, "kept in "+p.plain(printable(o.Results))))
	}
	return p.err
}

func (p *page) head(run datamodel.Run) {
	how := p.plain(shorten(verdict(run), p.width/2))
	command := p.plain(commandLine(run.Command))
	room := max(leastCommand, p.width-len("ergon:  ()")-columns(how))
	if columns(command) > room {
		command = p.plain(shorten(command, room-columns(p.plain("…"))+1))
	}
	color := ""
	if run.Outcome != datamodel.Done {
		color = red
	}
	if color != "" {
		how = p.look(color, "("+how+")")
	} else {
		how = "(" + how + ")"
	}
	p.line("ergon: ", p.look(bold, command), " ", how)
	if s := why(run); s != "" {
		p.line("  ", p.look(yellow, p.plain(s)))
	}
	if s := replayed(run); s != "" {
		p.line("  ", p.look(dim, p.plain(s)))
	}
}

// column is the layout of one of the two columns of the table: the widths of numbers, units, marks and notes.
type column struct{ number, unit, mark, note int }

func (c column) value() int { return c.number + c.unit + c.mark }

func (c column) width() int {
	if c.note == 0 {
		return c.value()
	}
	return c.value() + 2 + c.note
}

// indented returns the label, indented by the depth of the row.
func (r row) indented() string { return strings.Repeat("  ", r.depth) + r.label }

// texts are the printed parts of a cell.
type texts struct{ number, unit, mark, note string }

func (p *page) texts(c cell) texts {
	if c.empty() {
		return texts{}
	}
	sign, _ := mark(c.from)
	t := texts{number: p.plain(c.value.Number), unit: p.plain(c.value.Unit), mark: p.plain(sign), note: p.plain(c.note)}
	if t.unit != "" {
		t.unit = " " + t.unit
	}
	if t.mark != "" {
		t.mark = " " + t.mark
	}
	return t
}

func (c *column) fit(t texts) {
	c.number = max(c.number, columns(t.number))
	c.unit = max(c.unit, columns(t.unit))
	c.mark = max(c.mark, columns(t.mark))
	c.note = max(c.note, columns(t.note))
}

// cell returns the parts of a cell, padded to the widths of the column.
func (c column) cell(t texts) string {
	return pad(t.number, c.number, true) + pad(t.unit, c.unit, false) + pad(t.mark, c.mark, false)
}

func (p *page) table(rs []row, host datamodel.HostInfo) {
	if len(rs) == 0 {
		return
	}
	const between = 2
	label := 0
	command, machineCol := column{number: len("command")}, column{number: len("machine")}
	for _, r := range rs {
		label = max(label, columns(r.indented()))
		command.fit(p.texts(r.command))
		t := p.texts(r.machine)
		t.note = "" // notes of the last column use the room that is left
		machineCol.fit(t)
	}
	left := 2 + label + between
	if left+command.width()+between+machineCol.value() > p.width {
		command.note = 0
	}
	room := p.width - left - command.width() - between - machineCol.value() - 2

	heading := pad("command", command.number, true)
	heading = pad(heading, command.width(), false) + strings.Repeat(" ", between) + pad("machine", machineCol.number, true)
	about := ""
	for _, s := range []string{named(host), size(host)} {
		if s = p.plain(s); s != "" && left+columns(heading)+2+columns(s) <= p.width {
			about = "  " + s
			break
		}
	}
	p.line(strings.Repeat(" ", left), p.look(bold, heading), p.look(dim, about))
	for _, r := range rs {
		c, m := p.texts(r.command), p.texts(r.machine)
		parts := []string{"  ", pad(r.indented(), label, false), strings.Repeat(" ", between), command.cell(c)}
		if command.note > 0 {
			parts = append(parts, "  ", p.look(dim, c.note), strings.Repeat(" ", command.note-columns(c.note)))
		}
		if !r.machine.empty() {
			parts = append(parts, strings.Repeat(" ", between), machineCol.cell(m))
			parts = append(parts, p.remark(r.machine, m.note, room))
		}
		p.line(parts...)
	}
}

// listings writes tables, with as many columns as fit, and returns the marks that occur in them.
func (p *page) listings(all []listing) (marks []sensors.Provenance) {
	for _, l := range all {
		marks = append(marks, l.marks...)
		heads := make([]string, len(l.columns))
		width := make([]int, len(l.columns))
		for c, head := range l.columns {
			heads[c] = head.text()
		}
		for _, row := range append([][]string{heads}, l.rows...) {
			for c, s := range row {
				width[c] = max(width[c], columns(p.plain(s)))
			}
		}
		shown := p.fit(l.columns, width)
		line := func(row []string) string {
			var b strings.Builder
			for c, s := range row[:shown] {
				s = p.plain(s)
				if columns(s) > width[c] {
					s = p.plain(shorten(s, width[c]-columns(p.plain("…"))+1))
				}
				b.WriteString("  " + pad(s, width[c], !l.columns[c].left))
			}
			return b.String()
		}
		p.line("  ", p.look(bold, l.heading))
		p.line(p.look(dim, line(heads)))
		for _, row := range l.rows {
			p.line(line(row))
		}
	}
	return marks
}

// fit fits the columns to the terminal and returns how many of them are shown. First it narrows the column of text. Then it
// drops columns from the end, but keeps the two after the text. At last it narrows the text further.
func (p *page) fit(heads []header, width []int) int {
	const narrow, narrowest = 24, 12
	text := slices.IndexFunc(heads, func(h header) bool { return h.left })
	rest := func(n int) int {
		left := p.width
		for c, w := range width[:n] {
			if left -= 2; c != text {
				left -= w
			}
		}
		return left
	}
	n := len(width)
	for n > text+3 && rest(n) < min(narrow, width[text]) {
		n--
	}
	width[text] = min(width[text], max(rest(n), narrowest))
	return n
}

// remark returns what follows a value of the last column: its note, and its course with the value of the highest bar.
func (p *page) remark(c cell, note string, room int) string {
	const least = 8 // columns of a readable course
	s := ""
	if note != "" && columns(note) <= room {
		s = "  " + p.look(dim, note)
		room -= 2 + columns(note)
	}
	if c.spark == nil {
		return s
	}
	top := p.plain(" to " + units.Format(highest(c.spark), c.unit))
	free := room - columns(top)
	if free < least {
		return s
	}
	return s + "  " + bars(squeeze(c.spark, free), p.Unicode) + p.look(dim, top)
}

// missing writes one line about what was not measured, with as many reasons as fit. If a sensor is absent, the line names a
// command that tells more. The command is ergon doctor if the sensor exists and only cannot be read. If the run itself gave
// the reason, no command could tell more.
func (p *page) missing(gs []gap, absences []sensors.Absence) {
	const (
		label = "  not measured: "
		least = 16 // columns that a reason needs to be understood
	)
	if len(gs) == 0 {
		return
	}
	command, more, why := "ergon sensors", "tells more", "tells why"
	var absent, ofRun []gap
	longest := 0 // columns of the longest reason that the run gave
	for _, g := range gs {
		about := func(a sensors.Absence) bool { return a.ID == g.absence }
		if slices.ContainsFunc(absences, func(a sensors.Absence) bool { return a.Present() && a.Cause != sensors.TooShort && about(a) }) {
			command, more, why = "ergon doctor", "tells what would help", "tells what would help"
		}
		if g.reason == "" || slices.ContainsFunc(absences, about) {
			absent = append(absent, g)
		} else {
			ofRun = append(ofRun, g)
			longest = max(longest, columns(g.reason))
		}
	}
	full, onward := byReason(gs), labels(absent)
	if len(absent) > 0 {
		if !strings.Contains(full, command) { // some reasons name the command themselves
			full += "; " + command + " " + more
		}
		onward += " (" + command + " " + why + ")"
	}
	lines := []string{full}
	for n := min(longest, p.width); n >= least; n-- {
		short := slices.Clone(ofRun)
		for i, g := range short {
			short[i].reason = shorten(g.reason, n)
		}
		lines = append(lines, strings.Join(nonEmpty(byReason(short), onward), "; "))
	}
	lines = append(lines, strings.Join(nonEmpty(labels(ofRun), onward), "; "), labels(gs))
	for _, s := range lines {
		if s = p.plain(s); len(label)+columns(s) <= p.width {
			p.line(label, s)
			return
		}
	}
	things := fmt.Sprintf("%d things", len(gs))
	if len(ofRun) == 0 {
		things += " (" + command + ")"
	}
	p.line(middle(label+things, p.width, p.plain("…")))
}

// labels returns the labels of the gaps.
func labels(gs []gap) string {
	list := make([]string, len(gs))
	for i, g := range gs {
		list[i] = g.label
	}
	return strings.Join(list, ", ")
}

// setup writes the settings of the machine, in as few lines as possible.
func (p *page) setup(h datamodel.HostInfo) {
	const label = "  machine: "
	between := p.plain(" · ")
	line, begin := "", label
	for _, part := range setup(h) {
		part = p.plain(part)
		switch {
		case line == "":
			line = part
		case columns(begin)+columns(line)+columns(between)+columns(part) <= p.width:
			line += between + part
		default:
			p.line(p.look(dim, begin+line))
			line, begin = part, strings.Repeat(" ", len(label))
		}
	}
	if line != "" {
		p.line(p.look(dim, begin+line))
	}
}

func (p *page) warnings(ws []datamodel.Warning) {
	for _, w := range ws {
		p.line("  ", p.look(yellow, p.plain("warning: "+warning(w))))
	}
}
