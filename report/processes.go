package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// shownProcesses is the number of processes and of names in a report for people and in JSON. keptProcesses is the number in
	// CSV and JSON with Options.All.
	shownProcesses = 10
	keptProcesses  = 100
	// namedProcesses is the number of names in the summary. A name needs leastNamed of the CPU time to be in it. The share
	// that was not seen needs leastUnseen.
	namedProcesses          = 3
	leastNamed, leastUnseen = 0.01, 0.1
	// widestName is the largest number of columns of a name or command line.
	widestName = 40
	// shortName is the largest number of columns of a name in the summary.
	shortName = 16
)

// listing is a table of text for people.
type listing struct {
	heading string
	columns []header
	rows    [][]string
	marks   []sensors.Provenance
}

// header is the header of a column.
type header struct {
	name string
	// left says that the column has text, aligned to the left. Each listing has one such column.
	left bool
	// mark is the provenance of all values of the column. It is "" if they need no mark or have their own.
	mark sensors.Provenance
}

// text returns the header as it is printed.
func (h header) text() string {
	sign, _ := mark(h.mark)
	return strings.Join(nonEmpty(h.name, sign), " ")
}

// processes returns the tables of the most expensive processes. The first lists single processes. If several have the same
// name, the second lists names. Columns without any value are left out.
func processes(r datamodel.Result) []listing {
	if len(r.Processes) == 0 {
		return nil
	}
	out := []listing{processTable("processes that cost most", r, costliest(r.Processes, shownProcesses))}
	names := make(map[string]bool)
	for _, p := range r.Processes {
		if p.Kind == datamodel.OneProcess && names[p.Name] {
			return append(out, processTable("by name", r, byName(r.Processes, shownProcesses)))
		}
		names[p.Name] = true
	}
	return out
}

func processTable(heading string, r datamodel.Result, rows []datamodel.Process) listing {
	s := summary(r)
	total, unknown := s[datamodel.CPUTime].Value, vague(s[datamodel.Energy])
	all := listing{
		heading: heading,
		columns: []header{
			{name: "pid"},
			{name: "name", left: true},
			{name: "cpu time"},
			{name: "share"},
			{name: "energy", mark: sensors.Attributed},
			{name: "memory", mark: sensors.Sampled},
			{name: "read", mark: sensors.Sampled},
			{name: "written", mark: sensors.Sampled},
			{name: "seen"},
		},
	}
	for _, p := range rows {
		pid := ""
		if p.PID >= 0 {
			pid = strconv.FormatInt(p.PID, 10)
		}
		if unknown { // shares of an energy of which no digit is known
			p.Energy = math.NaN()
		}
		from, _ := mark(p.Provenance)
		if p.Provenance == sensors.FromCounter {
			from = " " // keeps the numbers aligned
		}
		all.marks = append(all.marks, p.Provenance)
		all.rows = append(all.rows, []string{
			pid, processName(p, widestName), shown(p.CPUTime, units.Second) + " " + from, shareOf(p.CPUTime, total),
			shown(p.Energy, units.Joule), shown(p.PeakMemory, units.Byte), shown(p.Read, units.Byte), shown(p.Written, units.Byte),
			span(p),
		})
	}
	return all.filled()
}

// filled returns the listing without its empty columns.
func (l listing) filled() listing {
	out := listing{heading: l.heading, rows: make([][]string, len(l.rows)), marks: l.marks}
	for c, head := range l.columns {
		some := false
		for _, row := range l.rows {
			some = some || strings.TrimSpace(row[c]) != ""
		}
		if !some {
			continue
		}
		out.columns = append(out.columns, head)
		if head.mark != "" {
			out.marks = append(out.marks, head.mark)
		}
		for i, row := range l.rows {
			out.rows[i] = append(out.rows[i], row[c])
		}
	}
	return out
}

// processName returns the name of a row for people, cut to the given number of columns.
func processName(p datamodel.Process, most int) string {
	name := printable(p.Name)
	if p.CommandLine != "" {
		name = printable(p.CommandLine) // only with --arguments
	}
	switch p.Kind {
	case datamodel.OneProcess, datamodel.NamedProcesses:
		if name == "" {
			name = "(no name)"
		}
		if p.Count > 1 {
			times := " ×" + units.Format(p.Count, "{process}")
			return shorten(name, most-columns(times)) + times
		}
		return shorten(name, most)
	case datamodel.OtherProcesses, datamodel.MergedProcesses:
		return units.Format(p.Count, "{process}") + " others"
	case datamodel.UnseenProcesses:
		return "not seen"
	}
	return name
}

// shown formats a value with its unit. The text is empty if the value is not finite.
func shown(v float64, unit units.Unit) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return units.Format(v, unit)
}

func shareOf(part, whole float64) string {
	if !(whole > 0) || math.IsNaN(part) {
		return ""
	}
	return units.Format(part/whole, units.Ratio)
}

// span returns when a process was first and last seen, in seconds since the start of the run.
func span(p datamodel.Process) string {
	if p.Kind == datamodel.UnseenProcesses {
		return "never sampled"
	}
	if math.IsNaN(p.FirstSeen) || math.IsNaN(p.LastSeen) {
		return ""
	}
	return fmt.Sprintf("%.1f – %.1f s", max(p.FirstSeen, 0), max(p.LastSeen, 0))
}

// busiest returns one line with the names that used most CPU time, and their shares. It lists as many names as fit into the
// columns. The line is empty if there was only one process.
func busiest(r datamodel.Result, width int) string {
	total := summary(r)[datamodel.CPUTime].Value
	if !(total > 0) || len(r.Processes) < 3 { // the command and the row of what was not seen
		return ""
	}
	var names, unseen []string
	for _, p := range byName(r.Processes, namedProcesses) {
		switch {
		case p.Kind == datamodel.NamedProcesses && p.CPUTime >= leastNamed*total:
			names = append(names, processName(p, shortName)+" "+shareOf(p.CPUTime, total))
		case p.Kind == datamodel.UnseenProcesses && p.CPUTime >= leastUnseen*total:
			unseen = []string{"not seen " + shareOf(p.CPUTime, total)}
		}
	}
	if len(names)+len(unseen) == 0 {
		return ""
	}
	for n := len(names); ; n-- {
		line := "most CPU time: " + strings.Join(slices.Concat(names[:n], unseen), ", ")
		if n <= 1 || columns(line) <= width {
			return shorten(line, width)
		}
	}
}

// The tables of processes in JSON.
type (
	jsonProcesses struct {
		Seen    float64       `json:"seen"`
		Figures []jsonFigure  `json:"figures"`
		Rows    []jsonProcess `json:"rows"`
		Names   []jsonProcess `json:"names"`
	}
	jsonFigure struct {
		Name       string  `json:"name"`
		Unit       string  `json:"unit"`
		Provenance *string `json:"provenance"`
		Source     string  `json:"source"`
	}
	jsonProcess struct {
		Kind        string     `json:"kind"`
		PID         *int64     `json:"pid"`
		Parent      *int64     `json:"parent"`
		Name        *string    `json:"name"`
		CommandLine *string    `json:"command_line"`
		Processes   *float64   `json:"processes"`
		Start       *time.Time `json:"start"`
		End         *time.Time `json:"end"`
		FirstSeen   *float64   `json:"first_seen"`
		LastSeen    *float64   `json:"last_seen"`
		CPUTime     *float64   `json:"cpu_time"`
		Provenance  string     `json:"provenance"`
		PeakMemory  *float64   `json:"peak_memory"`
		Read        *float64   `json:"read"`
		Written     *float64   `json:"written"`
		Energy      *float64   `json:"energy"`
	}
)

// processesJSON returns nil if the processes of the command were not read.
func processesJSON(r datamodel.Result, o Options) *jsonProcesses {
	if r.Processes == nil {
		return nil
	}
	most := shownProcesses
	if o.All {
		most = keptProcesses
	}
	out := &jsonProcesses{Figures: []jsonFigure{}, Rows: []jsonProcess{}, Names: []jsonProcess{}}
	for _, p := range r.Processes {
		if !math.IsNaN(p.Count) {
			out.Seen += p.Count
		}
	}
	for _, c := range datamodel.ProcessColumns(r.Summary) {
		out.Figures = append(out.Figures, jsonFigure{c.Name, string(c.Unit), text(string(c.Provenance)), c.Source})
	}
	for _, p := range costliest(r.Processes, most) {
		out.Rows = append(out.Rows, processJSON(p))
	}
	for _, p := range byName(r.Processes, most) {
		out.Names = append(out.Names, processJSON(p))
	}
	return out
}

func processJSON(p datamodel.Process) jsonProcess {
	id := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return jsonProcess{
		Kind: string(p.Kind), PID: id(p.PID), Parent: id(p.Parent), Name: text(p.Name), CommandLine: text(p.CommandLine),
		Processes: number(p.Count), Start: at(p.Start), End: at(p.End), FirstSeen: number(p.FirstSeen), LastSeen: number(p.LastSeen),
		CPUTime: number(p.CPUTime), Provenance: string(p.Provenance), PeakMemory: number(p.PeakMemory), Read: number(p.Read),
		Written: number(p.Written), Energy: number(p.Energy),
	}
}

// processMetrics calls f for each figure of the most expensive processes, as a metric of a node for that process.
func processMetrics(r datamodel.Result, f func(path string, m datamodel.Metric)) {
	about := datamodel.ProcessColumns(r.Summary)
	for _, p := range costliest(r.Processes, keptProcesses) {
		path := "processes/" + strings.ReplaceAll(strings.TrimSpace(strings.TrimPrefix(strconv.FormatInt(p.PID, 10), "-1")+" "+processName(p, unlimited)), "/", "|")
		for i, v := range []float64{p.CPUTime, p.PeakMemory, p.Read, p.Written, p.Energy} {
			from, source := about[i].Provenance, about[i].Source
			if i == 0 {
				from, source = p.Provenance, p.CPUSource()
			}
			m := datamodel.Value(about[i].Name, v, about[i].Unit, "last", from, source)
			if math.IsNaN(v) {
				m = datamodel.Missing(about[i].Name, about[i].Unit, "not seen")
				if from == sensors.Missing {
					m.Reason = about[i].Source
				}
			}
			f(path, m)
		}
	}
}
