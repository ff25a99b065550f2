package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

// The kinds of rows that costliest and byName make.
const (
	// groupOthers is a row for all processes that have no row of their own.
	groupOthers datamodel.ProcessKind = "others"
	// groupName is a row for all processes of one name.
	groupName datamodel.ProcessKind = "name"
)

// costliest returns the n processes that used most CPU time, and so energy, in descending order. A row for all others that
// were seen and the row of what was not seen follow, if they exist.
func costliest(rows []datamodel.Process, n int) []datamodel.Process {
	var single, rest []datamodel.Process
	for _, p := range rows {
		if p.Kind == datamodel.OneProcess {
			single = append(single, p)
		} else {
			rest = append(rest, p)
		}
	}
	return most(single, rest, n)
}

// byName is costliest with one row for all processes of the same name.
func byName(rows []datamodel.Process, n int) []datamodel.Process {
	var named, rest []datamodel.Process
	at := make(map[string]int)
	for _, p := range rows {
		if p.Kind != datamodel.OneProcess {
			rest = append(rest, p)
			continue
		}
		i, ok := at[p.Name]
		if !ok {
			i = len(named)
			at[p.Name] = i
			named = append(named, together(groupName, p))
			continue
		}
		join(&named[i], p)
	}
	return most(named, rest, n)
}

// most returns the n rows with most CPU time, a row for the others, and the row of what was not seen.
func most(list, rest []datamodel.Process, n int) []datamodel.Process {
	slices.SortStableFunc(list, func(a, b datamodel.Process) int {
		return cmp.Or(cmp.Compare(b.CPUTime, a.CPUTime), cmp.Compare(a.ID, b.ID))
	})
	out := slices.Clone(list[:min(n, len(list))])
	var others, unseen []datamodel.Process
	for _, p := range slices.Concat(list[len(out):], rest) {
		switch {
		case p.Kind == datamodel.UnseenProcesses:
			unseen = append(unseen, p)
		case others == nil:
			others = []datamodel.Process{together(groupOthers, p)}
		default:
			join(&others[0], p)
		}
	}
	return slices.Concat(out, others, unseen)
}

// together returns a row for several processes, of which p is the first. The row has no process ID.
func together(kind datamodel.ProcessKind, p datamodel.Process) datamodel.Process {
	p.Kind, p.ParentID, p.PID, p.Parent, p.CommandLine = kind, -1, -1, -1, ""
	if kind != groupName {
		p.ID, p.Name = -1, ""
	}
	return p
}

// join adds a process to a row for several. A figure covers only the processes for which it is known.
func join(p *datamodel.Process, q datamodel.Process) {
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
	p.Provenance = p.Provenance.Weaker(q.Provenance)
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
