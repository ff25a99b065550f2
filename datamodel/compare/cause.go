package compare

import (
	"cmp"
	"math"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/units"
)

// Cause tells which programs changed between two sides. It comes from the process tables of their rounds.
type Cause struct {
	// Base and New are the numbers of rounds with a process table. If one is 0, nothing is known about the programs.
	Base, New int
	// Tested is true if a change must be beyond its noise to be listed. Otherwise there are too few rounds to know the noise. A
	// change is then listed if it is larger than the threshold times what all programs together have, and all values of one
	// side are above all values of the other.
	Tested bool
	// Programs are the programs that changed, the one with the largest change first.
	Programs []Program
	// Others is the number of programs that did not change.
	Others int
}

// Program is a program that changed. All its processes count together.
type Program struct {
	// Name is the name of the file that its processes execute. If Kind is not datamodel.NamedProcesses, Name is "", and the row
	// stands for processes that have no name: those that were not seen, or that were merged.
	Name string
	Kind datamodel.ProcessKind
	// Changes has at most one entry for each measure, in the order of the measures.
	Changes []ProgramChange
	// Energy is the change of the program's share of the energy, in J. It is NaN if that is unknown. The share is in proportion
	// to CPU time, so it is no finding of its own.
	Energy float64
}

// ProgramChange is the change of one measure of a program.
type ProgramChange struct {
	Measure Measure
	// Base and New are the medians, in the unit of the measure. A round without the program counts as 0.
	Base, New float64
	stats.Shift
	// Corrected is P after Holm's correction for all programs and measures of the benchmark.
	Corrected float64
}

// Measure is what is compared of a program.
type Measure string

// The measures. These words are stored in files.
const (
	MeasureCPU     Measure = "cpu_time"
	MeasureStarts  Measure = "starts"
	MeasureRead    Measure = "read"
	MeasureWritten Measure = "written"
	MeasureMemory  Measure = "peak_memory"
)

// measure says how a measure is taken from a group of processes.
type measure struct {
	Measure
	unit  units.Unit
	value func(p datamodel.Process) float64
	// largest is true if the whole is the largest of the parts, not their sum.
	largest bool
}

func measures() []measure {
	return []measure{
		{MeasureCPU, units.Second, func(p datamodel.Process) float64 { return p.CPUTime }, false},
		{MeasureStarts, units.Processes, func(p datamodel.Process) float64 { return p.Count }, false},
		{MeasureRead, units.Byte, func(p datamodel.Process) float64 { return p.Read }, false},
		{MeasureWritten, units.Byte, func(p datamodel.Process) float64 { return p.Written }, false},
		{MeasureMemory, units.Byte, func(p datamodel.Process) float64 { return p.PeakMemory }, true},
	}
}

// Unit returns the unit of a measure.
func (m Measure) Unit() units.Unit {
	for _, known := range measures() {
		if known.Measure == m {
			return known.unit
		}
	}
	return ""
}

// program identifies a group of processes over all rounds.
type program struct {
	kind datamodel.ProcessKind
	name string
}

// tables holds the process tables of one side.
type tables struct {
	rounds int
	// of has the group of each program in each block. A block without a process table has none.
	of []map[program]datamodel.Process
}

// tablesOf groups the processes of each round of a command by name.
func tablesOf(s Set, command int) (t tables) {
	for _, r := range s.Rounds {
		if r.Command != command {
			continue
		}
		for len(t.of) <= r.Block {
			t.of = append(t.of, nil)
		}
		if len(r.Processes) == 0 {
			continue
		}
		t.rounds++
		groups := map[program]datamodel.Process{}
		named, rest := datamodel.ByName(r.Processes)
		for _, p := range named {
			groups[program{p.Kind, p.Name}] = p
		}
		for _, p := range rest {
			key := program{kind: p.Kind}
			if known, ok := groups[key]; ok {
				known.Join(p)
				p = known
			}
			groups[key] = p
		}
		t.of[r.Block] = groups
	}
	return t
}

// values returns a figure of a program by block. It is 0 in a round without the program, and NaN in a block without a round.
func (t tables) values(of program, value func(p datamodel.Process) float64) []float64 {
	list := make([]float64, len(t.of))
	for i, groups := range t.of {
		p, ok := groups[of]
		switch {
		case groups == nil:
			list[i] = math.NaN()
		case ok:
			list[i] = value(p)
		}
	}
	return list
}

// whole returns the median of what all programs together have.
func (t tables) whole(m measure) float64 {
	var list []float64
	for _, groups := range t.of {
		if groups == nil {
			continue
		}
		all := 0.0
		for _, p := range groups {
			switch v := m.value(p); {
			case math.IsNaN(v):
			case m.largest:
				all = max(all, v)
			default:
				all += v
			}
		}
		list = append(list, all)
	}
	return stats.Median(list)
}

// causeOf finds the programs that changed.
//
// A program is looked at if it has at least a third of the threshold of what all programs of a side have: so little that three
// such programs make a change that matters, and so much that there are few tests. That does not depend on the change, so the
// tests hold.
func (r Rule) causeOf(q Request, fresh Set, b Benchmark) Cause {
	base, after := tablesOf(q.Base, b.Base), tablesOf(fresh, b.New)
	c := Cause{Base: base.rounds, New: after.rounds}
	if base.rounds == 0 || after.rounds == 0 {
		return c
	}
	all := programs(base, after)
	var found []tested
	for _, m := range measures() {
		whole := max(base.whole(m), after.whole(m))
		for _, of := range all {
			x, y := base.values(of, m.value), after.values(of, m.value)
			before, now := stats.Median(x), stats.Median(y)
			if !(max(before, now) >= whole*r.Threshold/smallParts) || max(before, now) == 0 {
				continue
			}
			change := ProgramChange{Measure: m.Measure, Base: before, New: now, Shift: r.shift(q.Paired, x, y)}
			if !math.IsNaN(change.Difference.Value) {
				found = append(found, tested{of, change, math.Abs(change.Difference.Value) / whole})
			}
		}
	}
	found, c.Tested = r.beyondNoise(found)
	c.Programs = together(found)
	for i, p := range c.Programs {
		of := program{p.Kind, p.Name}
		energy := func(p datamodel.Process) float64 { return p.Energy }
		c.Programs[i].Energy = r.shift(q.Paired, base.values(of, energy), after.values(of, energy)).Difference.Value
	}
	c.Others = len(all) - len(c.Programs)
	return c
}

// rounding allows for the rounding of probabilities that were computed in two ways.
const rounding = 1 + 1e-9

// smallParts is how many changes that are looked at make up one that matters.
const smallParts = 3

// tested is a change of a program, with its size as a part of the whole.
type tested struct {
	of program
	ProgramChange
	part float64
}

// programs lists the programs of both sides, in a fixed order.
func programs(sides ...tables) (all []program) {
	seen := map[program]bool{}
	for _, t := range sides {
		for _, groups := range t.of {
			for of := range groups {
				if !seen[of] {
					seen[of] = true
					all = append(all, of)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b program) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return all
}

// shift returns the absolute change.
func (r Rule) shift(paired bool, x, y []float64) stats.Shift {
	if !paired {
		return stats.Difference(x, y, r.Confidence)
	}
	n := min(len(x), len(y))
	return stats.DifferencePaired(x[:n], y[:n], r.Confidence)
}

// beyondNoise keeps the changes that are beyond their noise and large enough. ok is false if there are too few rounds for that.
// Then the changes beyond the threshold are kept whose sides do not overlap.
func (r Rule) beyondNoise(found []tested) (kept []tested, ok bool) {
	alpha := 1 - r.Confidence
	p := make([]float64, len(found))
	for i, f := range found {
		p[i] = f.P
		if f.Least*float64(len(found)) < alpha {
			ok = true
		}
	}
	for i, corrected := range stats.Holm(p) {
		f := &found[i]
		f.Corrected = corrected
		if ok && corrected < alpha && f.part >= r.Threshold/smallParts || !ok && f.P < f.Least*rounding && f.part > r.Threshold {
			kept = append(kept, *f)
		}
	}
	return kept, ok || len(found) == 0
}

// together joins the changes of the same program, and sorts the programs by their largest change.
func together(found []tested) (list []Program) {
	var parts []float64
	for _, f := range found {
		i := slices.IndexFunc(list, func(p Program) bool { return p.Kind == f.of.kind && p.Name == f.of.name })
		if i < 0 {
			i = len(list)
			list, parts = append(list, Program{Name: f.of.name, Kind: f.of.kind}), append(parts, 0)
		}
		list[i].Changes = append(list[i].Changes, f.ProgramChange)
		parts[i] = max(parts[i], f.part)
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[b], parts[a]) })
	sorted := make([]Program, len(list))
	for i, at := range order {
		sorted[i] = list[at]
	}
	return sorted
}
