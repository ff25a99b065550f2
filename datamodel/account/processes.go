package account

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// processes makes the process table: the rows by start time, then the merged row, then the unseen row. If the run's
// cpu_time is known, the CPU times of the rows add up to it, and their energies add up to target_energy. The table is
// nil if there were no looks at the processes. The input does not change.
func processes(
	seen *datamodel.SeenProcesses, run datamodel.Run, ledger datamodel.Ledger, summary []datamodel.Metric,
) ([]datamodel.Process, []datamodel.Warning) {
	if seen == nil {
		return nil, nil
	}
	start := began(seen, run)
	rows := make([]datamodel.Process, 0, len(seen.Processes)+2)
	for _, p := range seen.Processes {
		clamp(&p, start)
		rows = append(rows, row(&p, seen.Anchor, datamodel.OneProcess))
	}
	slices.SortFunc(rows, func(a, b datamodel.Process) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.PID, b.PID)) })
	adopt(rows)
	finish(rows, ledger, seen.Anchor, start)
	if seen.Merged != nil {
		p := *seen.Merged
		clamp(&p, start)
		row := row(&p, seen.Anchor, datamodel.MergedProcesses)
		row.ID, row.PID, row.Parent, row.PeakMemory = int64(len(rows)), -1, -1, math.NaN()
		rows = append(rows, row)
	}
	var warnings []datamodel.Warning
	if seen.Unnamed > 0 {
		warnings = append(warnings, datamodel.Warning{
			Subject: datamodel.ProcessCount, Text: "all command lines together are too long; the names of some processes are left out", Count: seen.Unnamed,
		})
	}
	if seen.Dropped > 0 {
		warnings = append(warnings, datamodel.Warning{
			Subject: datamodel.ProcessCount, Text: "the records of some processes are lost; they count as unseen", Count: seen.Dropped,
		})
	}
	rows, w := balance(rows, summary)
	return rows, append(warnings, w...)
}

// seen returns what the looks saw. If no process could be looked at, as in the /proc of another PID namespace, it has the
// command's first process alone, as the runner knows it: by its number, its CPU clock and the name of the executed file.
func (h *host) seen() *datamodel.SeenProcesses {
	l := h.Ledger
	used, hasTime := have(l.TargetTime)
	wall, hasWall := have(l.WallTime)
	if h.Seen != nil && len(h.Seen.Processes) > 0 || !h.unlooked() || !hasTime || !hasWall || len(h.run.Command) == 0 {
		return h.Seen
	}
	ended := time.Duration(wall * float64(time.Second))
	return &datamodel.SeenProcesses{Anchor: h.run.Start, Processes: []datamodel.SeenProcess{{
		PID: l.TargetPID, Parent: -1, Count: 1, Name: cmp.Or(l.TargetName, path.Base(h.run.Command[0])),
		LastSeen: ended, Gone: ended, Ended: true, CPU: time.Duration(used * float64(time.Second)),
	}}}
}

// unlooked reports whether the command's processes could not be looked at on this host.
func (h *host) unlooked() bool {
	d, _ := datamodel.Lookup(datamodel.ProcessCount)
	return h.absence(d.Family+"/"+d.Sensor) != why{}
}

// began returns when the target began, by the clock of the looks. The process that becomes the target exists long
// before. It is held back and seen from the first reading on. The run's start and the anchor are wall-clock times. If
// the clock was set between them, or the start is not known well enough, began returns the first reading.
func began(s *datamodel.SeenProcesses, run datamodel.Run) time.Duration {
	const most = 10 * time.Second // the target waits only for first readings, which have time limits
	if began := run.Start.Sub(s.Anchor); began > 0 && began < most {
		return began
	}
	return 0
}

// clamp raises times before the target began to that moment, because no process was the target's until then.
func clamp(p *datamodel.SeenProcess, began time.Duration) {
	p.Start, p.FirstSeen = max(p.Start, began), max(p.FirstSeen, began)
	p.LastSeen, p.Gone = max(p.LastSeen, began), max(p.Gone, began)
}

// row returns the row of a process, without what depends on other rows.
func row(p *datamodel.SeenProcess, anchor time.Time, kind datamodel.ProcessKind) datamodel.Process {
	r := datamodel.Process{
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

// adopt numbers the rows, which are ordered by start time, and finds the row of each one's parent. Of several rows with
// the parent's number, the parent is the one that started last before it.
func adopt(rows []datamodel.Process) {
	latest := make(map[int64]int64, len(rows))
	from := 0
	for i := range rows {
		rows[i].ID = int64(i)
		// Rows that start within the same step of time may be in any order.
		for ; from < len(rows) && !rows[from].Start.After(rows[i].Start); from++ {
			latest[rows[from].PID] = int64(from)
		}
		if at, ok := latest[rows[i].Parent]; ok && at != int64(i) {
			rows[i].ParentID = at
		}
	}
}

// finish gives the command's row the CPU time that the kernel reported after its end, and its last name. If the start
// is known, the row ends when the command was reaped, not at the last look.
func finish(rows []datamodel.Process, l datamodel.Ledger, anchor time.Time, began time.Duration) {
	if l.TargetPID == 0 {
		return
	}
	// An earlier process with that number cannot be in the tree, because this process is its root.
	at := slices.IndexFunc(rows, func(p datamodel.Process) bool { return p.PID == l.TargetPID })
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
	// If no look came after the execve, the row has the name of the process before it.
	if name := l.TargetName; name != "" && (len(rows[at].Name) < len(name) || rows[at].Name[:len(name)] != name) {
		rows[at].Name = name
	}
}

// balance adds the unseen row and shares out the energy by the target's model: a second of CPU time costs the same in
// every process.
func balance(rows []datamodel.Process, summary []datamodel.Metric) ([]datamodel.Process, []datamodel.Warning) {
	total, energy := datamodel.Pick(summary, datamodel.CPUTime), datamodel.Pick(summary, datamodel.TargetEnergy)
	if total.Reason != "" || math.IsNaN(total.Value) {
		return rows, nil
	}
	var warnings []datamodel.Warning
	var cpu, read, written float64
	for _, p := range rows {
		cpu, read, written = cpu+p.CPUTime, read+orZero(p.Read), written+orZero(p.Written)
	}
	if cpu > total.Value {
		// One starts counting a little earlier than the other. A larger difference is a doubt.
		if cpu-total.Value > 0.010 && cpu > 1.01*total.Value {
			warnings = append(warnings, datamodel.Warning{Subject: datamodel.ProcessCount, Text: fmt.Sprintf(
				"the processes were seen to use %.4g s of CPU time, more than the %.4g s of %s; their times are scaled down to it",
				cpu, total.Value, total.Source)})
		}
		for i := range rows {
			rows[i].CPUTime *= total.Value / cpu
		}
		cpu = total.Value
	}
	nan := math.NaN()
	unseen := datamodel.Process{
		Kind: datamodel.UnseenProcesses, ID: int64(len(rows)), ParentID: -1, PID: -1, Parent: -1, FirstSeen: nan, LastSeen: nan, Count: nan,
		CPUTime: total.Value - cpu, Provenance: total.Provenance.Weaker(sensors.Sampled), PeakMemory: nan,
		Read:    excess(datamodel.Pick(summary, datamodel.DiskRead).Value, read),
		Written: excess(datamodel.Pick(summary, datamodel.DiskWrite).Value, written),
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

// excess returns how much a whole exceeds its known parts. It returns NaN if it does not.
func excess(whole, parts float64) float64 {
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
