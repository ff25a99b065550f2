package datamodel

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// SeenProcesses is what the looks at the target's processes saw, as it comes from the spool.
type SeenProcesses struct {
	// Anchor is the wall-clock time from which the times of the processes count.
	Anchor time.Time
	// Processes are those kept apart, in any order.
	Processes []SeenProcess
	// Merged stands for those that were too many to be kept apart, nil where there are none.
	Merged *SeenProcess
	// Dropped is the number of processes whose record is lost.
	Dropped int64
}

// SeenProcess is one process as last seen, or several merged.
type SeenProcess struct {
	PID, Parent, Count         int64
	Name, CommandLine          string
	Start, FirstSeen, LastSeen time.Duration
	// Gone is when it was first missed, where Ended.
	Gone  time.Duration
	Ended bool
	// CPU is its own CPU time, PeakMemory in By; Read and Written in By, where HasIO.
	CPU           time.Duration
	PeakMemory    uint64
	Read, Written uint64
	HasIO         bool
}

// ProcessKind says what a row of the table of processes stands for.
type ProcessKind string

// The kinds of rows. The words are stored in processes.parquet.
const (
	// OneProcess is a process.
	OneProcess ProcessKind = "process"
	// MergedProcesses are several that used little, where there were too many to keep all apart.
	MergedProcesses ProcessKind = "merged"
	// UnseenProcesses is what no look saw: processes that came and went between two looks, and the last moments of those
	// that were seen. With it the CPU times and energies of the rows add up to the target's.
	UnseenProcesses ProcessKind = "unseen"
)

// Process is one row of the table of processes: what a process used by itself, without its children. What is not known
// is NaN, a zero time, an empty text or, of ParentID, PID and Parent, below 0.
type Process struct {
	Kind ProcessKind
	// ID is the number of the row, ParentID that of the parent's, which unlike PID and Parent are used once only.
	ID, ParentID int64
	// PID is the number of the process, Parent that of its parent when it was first seen.
	PID, Parent int64
	// Name is that of the file it executes, CommandLine all its arguments where they were asked for.
	Name, CommandLine string
	// Start is when it was forked, in steps of 10 ms, or became the command: no time here is before the run's start. End is
	// at the latest: when a look first missed it or found it dead, so that it ended between LastSeen and End, and two that ran
	// one after the other may overlap; of the command itself, when it was reaped. It is zero where the process lived on, as
	// far as is known.
	Start, End time.Time
	// FirstSeen and LastSeen are when it was first and last seen to live, in s of the run's clock.
	FirstSeen, LastSeen float64
	// Count is the number of processes the row stands for.
	Count float64
	// CPUTime is user and system time in s, Provenance how it was obtained: seen until LastSeen, or counted to the end.
	CPUTime    float64
	Provenance sensors.Provenance
	// PeakMemory is the largest resident memory seen since it last executed a file, in By.
	PeakMemory float64
	// Read and Written are bytes from and to storage, in By; those of children too short to be seen are in them.
	Read, Written float64
	// Energy is the share of the target's energy that its part of the target's CPU time makes, in J; NaN where the target
	// has none, which then says why.
	Energy float64
}

// Processes makes the table of processes: the rows in the order of their starts, then the merged, then the unseen. The
// CPU times of the rows add up to cpu_time of the run, if that is known, and their energies to target_energy. nil where
// the processes were not looked at. It does not change what it is given.
func Processes(seen *SeenProcesses, run Run, ledger Ledger, summary []Metric) ([]Process, []Warning) {
	if seen == nil {
		return nil, nil
	}
	began := seen.began(run)
	rows := make([]Process, 0, len(seen.Processes)+2)
	for _, p := range seen.Processes {
		p.since(began)
		rows = append(rows, p.row(seen.Anchor, OneProcess))
	}
	slices.SortFunc(rows, func(a, b Process) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.PID, b.PID)) })
	adopt(rows)
	finish(rows, ledger, seen.Anchor, began)
	if seen.Merged != nil {
		p := *seen.Merged
		p.since(began)
		row := p.row(seen.Anchor, MergedProcesses)
		row.ID, row.PID, row.Parent, row.PeakMemory = int64(len(rows)), -1, -1, math.NaN()
		rows = append(rows, row)
	}
	var warnings []Warning
	if seen.Dropped > 0 {
		warnings = append(warnings, Warning{
			Subject: "processes", Text: "what was seen of some processes is lost and counted as unseen", Count: seen.Dropped,
		})
	}
	rows, w := balance(rows, summary)
	return rows, append(warnings, w...)
}

// began is when the target began, by the clock of the looks. What is to become it is there long before, held back, and is
// looked at from the first reading on. The run's start and the anchor are of the wall clock; where that was set between
// them, or the start is not known so well, it is the first reading.
func (s *SeenProcesses) began(run Run) time.Duration {
	const most = 10 * time.Second // the target waits for first readings alone, which have limits of time
	if began := run.Start.Sub(s.Anchor); began > 0 && began < most {
		return began
	}
	return 0
}

// since takes the times before the target began as that moment: no process was the target's until then.
func (p *SeenProcess) since(began time.Duration) {
	p.Start, p.FirstSeen = max(p.Start, began), max(p.FirstSeen, began)
	p.LastSeen, p.Gone = max(p.LastSeen, began), max(p.Gone, began)
}

// row is a process as a row, without what depends on others.
func (p *SeenProcess) row(anchor time.Time, kind ProcessKind) Process {
	r := Process{
		Kind: kind, ParentID: -1, PID: p.PID, Parent: p.Parent, Name: p.Name, CommandLine: p.CommandLine,
		Start: anchor.Add(p.Start), FirstSeen: p.FirstSeen.Seconds(), LastSeen: p.LastSeen.Seconds(), Count: float64(p.Count),
		CPUTime: p.CPU.Seconds(), Provenance: sensors.Sampled, PeakMemory: float64(p.PeakMemory),
		Read: math.NaN(), Written: math.NaN(), Energy: math.NaN(),
	}
	if p.Ended {
		r.End = anchor.Add(p.Gone)
	}
	if p.HasIO {
		r.Read, r.Written = float64(p.Read), float64(p.Written)
	}
	if p.PeakMemory == 0 { // a zombie when it was first seen
		r.PeakMemory = math.NaN()
	}
	return r
}

// adopt numbers the rows, which are in the order of their starts, and finds the row of each one's parent: of those that
// had its number, the one that started last before it.
func adopt(rows []Process) {
	latest := make(map[int64]int64, len(rows))
	from := 0
	for i := range rows {
		rows[i].ID = int64(i)
		// Those that start within the same step of time may stand in any order.
		for ; from < len(rows) && !rows[from].Start.After(rows[i].Start); from++ {
			latest[rows[from].PID] = int64(from)
		}
		if at, ok := latest[rows[i].Parent]; ok && at != int64(i) {
			rows[i].ParentID = at
		}
	}
}

// finish gives the command itself the CPU time that the kernel said after its end, and the name it had then. It ended when
// it was reaped, where it is known when it began, and not at the last look.
func finish(rows []Process, l Ledger, anchor time.Time, began time.Duration) {
	if l.TargetPID == 0 {
		return
	}
	// An earlier process of that number cannot be of the tree, as this one is its root.
	at := slices.IndexFunc(rows, func(p Process) bool { return p.PID == l.TargetPID })
	if at < 0 {
		return
	}
	if wall, ok := have(l.WallTime); ok && began > 0 && began.Seconds()+wall >= rows[at].LastSeen {
		reaped := anchor.Add(began + time.Duration(wall*float64(time.Second)))
		if reaped.Before(rows[at].End) {
			rows[at].End = reaped
		}
	}
	if v, ok := have(l.TargetTime); ok && v >= rows[at].CPUTime {
		rows[at].CPUTime, rows[at].Provenance = v, sensors.FromCounter
	}
	// Where no look came after the execve, the name is that of what was to become the command.
	if name := l.TargetName; name != "" && (len(rows[at].Name) < len(name) || rows[at].Name[:len(name)] != name) {
		rows[at].Name = name
	}
}

// balance adds the row of what was not seen and shares out the energy, by the same model as the target's: a second of
// CPU time costs the same whoever has it.
func balance(rows []Process, summary []Metric) ([]Process, []Warning) {
	total, energy := pick(summary, "cpu_time"), pick(summary, "target_energy")
	if total.Reason != "" || math.IsNaN(total.Value) {
		return rows, nil
	}
	var warnings []Warning
	var cpu, read, written float64
	for _, p := range rows {
		cpu, read, written = cpu+p.CPUTime, read+orZero(p.Read), written+orZero(p.Written)
	}
	if cpu > total.Value {
		// The one begins to count a little earlier than the other; more than that is a doubt.
		if cpu-total.Value > 0.010 && cpu > 1.01*total.Value {
			warnings = append(warnings, Warning{Subject: "processes", Text: fmt.Sprintf(
				"they were seen to use %.4g s of CPU time, more than the %.4g s of %s; their times are scaled down to it",
				cpu, total.Value, total.Source)})
		}
		for i := range rows {
			rows[i].CPUTime *= total.Value / cpu
		}
		cpu = total.Value
	}
	nan := math.NaN()
	unseen := Process{
		Kind: UnseenProcesses, ID: int64(len(rows)), ParentID: -1, PID: -1, Parent: -1, FirstSeen: nan, LastSeen: nan, Count: nan,
		CPUTime: total.Value - cpu, Provenance: weaker(total.Provenance, sensors.Sampled), PeakMemory: nan,
		Read:    above(pick(summary, "disk_read").Value, read),
		Written: above(pick(summary, "disk_write").Value, written),
		Energy:  nan,
	}
	rows = append(rows, unseen)
	if energy.Reason != "" || math.IsNaN(energy.Value) || total.Value <= 0 {
		return rows, warnings
	}
	for i := range rows {
		rows[i].Energy = energy.Value * (rows[i].CPUTime / total.Value)
	}
	return rows, warnings
}

// above is by how much a whole is greater than its known parts, NaN where it is not.
func above(whole, parts float64) float64 {
	if whole >= parts {
		return whole - parts
	}
	return math.NaN()
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// ProcessColumn says of a figure of Process what it is, for those who read it without this program.
type ProcessColumn struct {
	// Name is that of the column in processes.parquet.
	Name string
	Unit units.Unit
	// Provenance is empty where each row says its own.
	Provenance sensors.Provenance
	// Source is where the figure comes from.
	Source string
}

// The sources of the CPU time of a row. What was not seen has the reason in it.
const (
	whenSeen = "CPU clock of each process when last seen"
	atEnd    = "CPU clock of the command after its end"
	notSeen  = "CPU time of the target less that of the processes seen: that of processes which lived between two looks, as " +
		"looks are spaced out to take 0.2 % of a core at most, and of the last moments of the others"
)

// CPUSource is where the CPU time of a row comes from.
func (p *Process) CPUSource() string {
	switch {
	case p.Kind == UnseenProcesses:
		return notSeen
	case p.Kind == OneProcess && p.Provenance == sensors.FromCounter:
		return atEnd
	}
	return whenSeen
}

// ProcessColumns lists the figures of a table of processes of the run with this summary.
func ProcessColumns(summary []Metric) []ProcessColumn {
	energy := pick(summary, "target_energy")
	from, source := weaker(sensors.Attributed, energy.Provenance), "share of the target's CPU time, in target_energy"
	if energy.Reason != "" || math.IsNaN(energy.Value) {
		from, source = sensors.Missing, energy.Reason
	}
	return []ProcessColumn{
		{"cpu_time", units.Second, "", whenSeen + "; " + atEnd + "; of the row unseen, " + notSeen},
		{"peak_memory", units.Byte, sensors.Sampled, "/proc/PID/stat, VmHWM of /proc/PID/status"},
		{"read", units.Byte, sensors.Sampled, "/proc/PID/io, less that of the children that were seen"},
		{"written", units.Byte, sensors.Sampled, "/proc/PID/io, less that of the children that were seen"},
		{"energy", units.Joule, from, source},
	}
}

// The kinds of rows that Costliest and ByName make.
const (
	// OtherProcesses is all that is not listed by itself.
	OtherProcesses ProcessKind = "others"
	// NamedProcesses is all of one name.
	NamedProcesses ProcessKind = "name"
)

// Costliest is the n processes that used most CPU time, and so energy, the most first; then a row for all others that
// were seen and the row of what was not seen, where there are such.
func Costliest(rows []Process, n int) []Process {
	var single, rest []Process
	for _, p := range rows {
		if p.Kind == OneProcess {
			single = append(single, p)
		} else {
			rest = append(rest, p)
		}
	}
	return most(single, rest, n)
}

// ByName is Costliest with all processes of one name together.
func ByName(rows []Process, n int) []Process {
	var named, rest []Process
	at := make(map[string]int)
	for _, p := range rows {
		if p.Kind != OneProcess {
			rest = append(rest, p)
			continue
		}
		i, ok := at[p.Name]
		if !ok {
			i = len(named)
			at[p.Name] = i
			named = append(named, together(NamedProcesses, p))
			continue
		}
		named[i].join(p)
	}
	return most(named, rest, n)
}

// most lists the n that used most, the others together, and what was not seen.
func most(list, rest []Process, n int) []Process {
	slices.SortStableFunc(list, func(a, b Process) int {
		return cmp.Or(cmp.Compare(b.CPUTime, a.CPUTime), cmp.Compare(a.ID, b.ID))
	})
	out := slices.Clone(list[:min(n, len(list))])
	var others, unseen []Process
	for _, p := range slices.Concat(list[len(out):], rest) {
		switch {
		case p.Kind == UnseenProcesses:
			unseen = append(unseen, p)
		case others == nil:
			others = []Process{together(OtherProcesses, p)}
		default:
			others[0].join(p)
		}
	}
	return slices.Concat(out, others, unseen)
}

// together begins a row for several processes, which has no identity and begins with one.
func together(kind ProcessKind, p Process) Process {
	p.Kind, p.ParentID, p.PID, p.Parent, p.CommandLine = kind, -1, -1, -1, ""
	if kind != NamedProcesses {
		p.ID, p.Name = -1, ""
	}
	return p
}

// join adds a process to a row for several. A figure is that of those of which it is known.
func (p *Process) join(q Process) {
	either := func(a, b float64, both func(a, b float64) float64) float64 {
		switch {
		case math.IsNaN(a):
			return b
		case math.IsNaN(b):
			return a
		}
		return both(a, b)
	}
	plus := func(a, b float64) float64 { return a + b }
	p.Count = either(p.Count, q.Count, plus)
	p.CPUTime += q.CPUTime
	p.Energy = either(p.Energy, q.Energy, plus)
	p.Read, p.Written = either(p.Read, q.Read, plus), either(p.Written, q.Written, plus)
	p.PeakMemory = either(p.PeakMemory, q.PeakMemory, math.Max)
	p.FirstSeen, p.LastSeen = either(p.FirstSeen, q.FirstSeen, math.Min), either(p.LastSeen, q.LastSeen, math.Max)
	p.Provenance = weaker(p.Provenance, q.Provenance)
	if q.Start.Before(p.Start) {
		p.Start = q.Start
	}
	switch {
	case p.End.IsZero() || q.End.IsZero():
		p.End = time.Time{}
	case q.End.After(p.End):
		p.End = q.End
	}
}
