package datamodel

import (
	"math"
	"time"
)

// The kinds of rows that stand for a group of processes. They are made for people and stored in no file.
const (
	// OtherProcesses is a row for all processes that have no row of their own.
	OtherProcesses ProcessKind = "others"
	// NamedProcesses is a row for all processes of one name.
	NamedProcesses ProcessKind = "name"
)

// ByName returns one row for all processes of the same name, in the order in which the names come first. rest are the rows that
// stand for no single process, as they are.
func ByName(rows []Process) (named, rest []Process) {
	at := make(map[string]int)
	for _, p := range rows {
		if p.Kind != OneProcess {
			rest = append(rest, p)
			continue
		}
		i, ok := at[p.Name]
		if !ok {
			at[p.Name] = len(named)
			named = append(named, p.Grouped(NamedProcesses))
			continue
		}
		named[i].Join(p)
	}
	return named, rest
}

// Grouped returns p as the first process of a group. The row has no process ID, and a name only if the group has one.
func (p Process) Grouped(kind ProcessKind) Process {
	p.Kind, p.ParentID, p.PID, p.Parent, p.CommandLine = kind, -1, -1, -1, ""
	if kind != NamedProcesses {
		p.ID, p.Name = -1, ""
	}
	return p
}

// Join adds a process to the row of a group. A figure covers only the processes for which it is known.
func (p *Process) Join(q Process) {
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
