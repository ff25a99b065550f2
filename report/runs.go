package report

import (
	"cmp"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// Listed is a run in a list. Of Run it needs ID, Project, Command, Outcome, ExitCode, Signal, Start, WallTime, Summary,
// Replayed and Bench.
type Listed struct {
	Run  datamodel.Run
	Tags []string
	// Problem says why the run cannot be read; empty if it can. Then Run has what is known all the same.
	Problem string
}

// listColumn is a column of a list of runs.
type listColumn struct {
	head string
	left bool
	// most bounds the width on a terminal; 0 is no bound.
	most int
	// yields is the order in which columns are left out if the command has too little room; 0 stays.
	yields int
	// known says that a run which cannot be read has the value too.
	known bool
	cell  func(Listed) string
}

const (
	// commandRoom is how many columns the command should have on a terminal.
	commandRoom = 18
	// recently is how long a start is shown with its time rather than its year, as by ls -l.
	recently = 180 * 24 * time.Hour
)

// Runs writes a table of runs, a line each, in the order given. If a width is set, it is for people: ids are short, the times
// have no seconds, columns without a value are left out, and the command is cut. Otherwise all columns are there, in full.
func Runs(w io.Writer, runs []Listed, o Options) error {
	p := &page{Options: o, out: w, width: o.Width}
	return p.list(listColumns(p, time.Now()), runs, "unreadable: ")
}

// Tags writes a table of tags, a line each, in the order given. Each run has one tag here.
func Tags(w io.Writer, tags []Listed, o Options) error {
	p := &page{Options: o, out: w, width: o.Width}
	all := []listColumn{{head: "TAG", left: true, known: true, cell: func(l Listed) string { return strings.Join(l.Tags, " ") }}}
	for _, c := range listColumns(p, time.Now()) {
		if c.head == "RUN" || c.head == "START" || c.head == "COMMAND" {
			all = append(all, c)
		}
	}
	return p.list(all, tags, "")
}

// list writes a table. The last column gets the room that is left. On a terminal before stands before a problem.
func (p *page) list(all []listColumn, runs []Listed, before string) error {
	o := p.Options
	table := make([][]string, len(runs))
	for i, r := range runs {
		table[i] = make([]string, len(all))
		for c := range all {
			table[i][c] = p.plain(printable(all[c].cell(r)))
		}
	}
	width := make([]int, len(all))
	shown := make([]bool, len(all))
	for c := range all {
		shown[c] = o.Width == 0 || all[c].yields == 0
		for _, row := range table {
			if row[c] != "" {
				shown[c] = true
			}
			width[c] = max(width[c], columns(row[c]))
		}
		width[c] = max(width[c], len(all[c].head))
		if all[c].most > 0 && o.Width > 0 {
			width[c] = min(width[c], all[c].most)
		}
	}
	last := len(all) - 1 // the command
	if o.Width > 0 {
		width[last] = p.fitList(all, width, shown)
	}
	line := func(cells func(c int) string, look string) {
		var b strings.Builder
		for c := range all {
			if !shown[c] {
				continue
			}
			cell := cells(c)
			if o.Width > 0 {
				cell = p.cut(cell, width[c])
			}
			if c < last {
				cell = pad(cell, width[c], !all[c].left) + "  "
			}
			b.WriteString(cell)
		}
		text := strings.TrimRight(b.String(), " ")
		if look != "" {
			text = p.look(look, text)
		}
		p.line(text)
	}
	line(func(c int) string { return all[c].head }, dim)
	for i, r := range runs {
		if r.Problem != "" && o.Width > 0 { // the other columns are empty, and the reason needs the room
			var text strings.Builder
			for c := 0; c < last && all[c].known; c++ {
				text.WriteString(pad(table[i][c], width[c], false) + "  ")
			}
			text.WriteString(before + p.plain(printable(r.Problem)))
			p.line(p.look(yellow, p.cut(text.String(), p.width)))
			continue
		}
		look := ""
		switch {
		case r.Problem != "":
			look = yellow
		case r.Run.Outcome != datamodel.Done:
			look = red
		}
		line(func(c int) string {
			if table[i][c] == "" && !all[c].left {
				return p.plain("–")
			}
			return table[i][c]
		}, look)
	}
	return p.err
}

// cut shortens a text to n columns.
func (p *page) cut(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	return p.plain(shorten(s, n-columns(p.plain("…"))+1))
}

// fitList leaves out columns until the command has its room, and returns its width.
func (p *page) fitList(all []listColumn, width []int, shown []bool) int {
	last := len(all) - 1
	room := func() int {
		left := p.width
		for c := range all[:last] {
			if shown[c] {
				left -= width[c] + 2
			}
		}
		return left
	}
	for turn := 1; turn <= len(all) && room() < min(commandRoom, width[last]); turn++ {
		for c := range all {
			if all[c].yields == turn {
				shown[c] = false
			}
		}
	}
	return max(room(), 1)
}

// listColumns lists the columns, the command last.
func listColumns(p *page, now time.Time) []listColumn {
	figure := func(name string) func(Listed) string {
		return func(l Listed) string {
			f := l.Run.Summary[name]
			switch {
			case f.Value == nil:
				return ""
			case f.Bound == datamodel.LowerBound:
				return "≥ " + units.Format(*f.Value, f.Unit)
			case f.Bound == datamodel.UpperBound:
				return "≤ " + units.Format(*f.Value, f.Unit)
			}
			return units.Format(*f.Value, f.Unit)
		}
	}
	return []listColumn{
		{head: "RUN", left: true, known: true, cell: func(l Listed) string {
			if p.Width == 0 {
				return l.Run.ID
			}
			return ShortID(l.Run)
		}},
		{head: "START", left: true, known: true, cell: func(l Listed) string { return started(l.Run.Start, now, p.Width > 0) }},
		{head: "WALL", cell: func(l Listed) string {
			if l.Run.WallTime != nil && l.Run.Bench == nil { // a bench has the median
				return units.Format(*l.Run.WallTime, units.Second)
			}
			return figure(datamodel.WallTime)(l)
		}},
		{head: "CPU", yields: 1, cell: figure(datamodel.CPUTime)},
		{head: "MEMORY", yields: 2, cell: figure(datamodel.PeakMemory)},
		{head: "ENERGY", yields: 5, cell: figure(datamodel.Energy)},
		{head: "OUTCOME", left: true, cell: ending},
		{head: "PROJECT", left: true, most: 16, yields: 3, cell: func(l Listed) string { return l.Run.Project }},
		{head: "TAGS", left: true, most: 20, yields: 4, cell: func(l Listed) string { return strings.Join(l.Tags, " ") }},
		{head: "COMMAND", left: true, cell: func(l Listed) string { return cmp.Or(l.Problem, listedCommand(l.Run)) }},
	}
}

func listedCommand(run datamodel.Run) string {
	if run.Bench != nil {
		return BenchLine(*run.Bench)
	}
	return commandLine(run.Command)
}

// BenchLine describes a bench in a line: how often each command was measured. If there are several, the columns of a list have
// no median, and the line has the median wall time of each.
func BenchLine(b datamodel.Bench) string {
	most := 0
	for _, r := range b.Results {
		most = max(most, r.Rounds)
	}
	var names []string
	for i, c := range b.Commands {
		name := printable(c.Name)
		if len(b.Commands) > 1 && i < len(b.Results) {
			if m := b.Results[i].Medians[datamodel.WallTime].Metric(datamodel.WallTime); !math.IsNaN(m.Value) {
				name += " " + units.Format(m.Value, units.Second)
			}
		}
		names = append(names, name)
	}
	line := strings.Join(names, ", ")
	if most > 0 {
		return strconv.Itoa(most) + " × " + line
	}
	return "bench: " + line
}

// ending returns how a run ended, in a word or two.
func ending(l Listed) string {
	run := l.Run
	switch {
	case l.Problem != "":
		return "unreadable"
	case run.Outcome != datamodel.TargetFailed:
		return string(run.Outcome)
	case run.Signal != "":
		return run.Signal
	case run.ExitCode != nil:
		return "exit " + strconv.Itoa(*run.ExitCode)
	}
	return string(run.Outcome)
}

// started returns a start in local time.
func started(at, now time.Time, short bool) string {
	switch age := now.Sub(at); {
	case at.IsZero():
		return ""
	case !short:
		return at.Local().Format("2006-01-02 15:04:05")
	case age > recently || age < -time.Hour:
		return at.Local().Format("Jan _2  2006")
	}
	return at.Local().Format("Jan _2 15:04")
}
