package compare

import (
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
)

// Set is one side of a comparison before any statistics: the rounds of one or more runs.
type Set struct {
	// Name is what the user calls the side: "last~1", "main", "now".
	Name string
	// Bench has the commands and their rounds.
	datamodel.Bench
	// Runs are the runs that the rounds are from. They say under which conditions the rounds were measured.
	Runs []datamodel.Run
	// Charts are the courses of each run, for a page. They are nil if nobody asked for them.
	Charts [][]datamodel.Chart
}

// Add adds the rounds of a run. Commands of the same name become one command. Each run has blocks of its own.
func (s *Set) Add(run datamodel.Run, b datamodel.Bench) {
	s.Runs = append(s.Runs, run)
	first := 0
	for _, r := range s.Rounds {
		first = max(first, r.Block+1)
	}
	at := make([]int, len(b.Commands))
	for i, c := range b.Commands {
		at[i] = slices.IndexFunc(s.Commands, func(other datamodel.BenchCommand) bool { return other.Name == c.Name })
		if at[i] < 0 {
			at[i] = len(s.Commands)
			s.Commands = append(s.Commands, c)
		}
	}
	for _, r := range b.Rounds {
		r.Command, r.Block = at[r.Command], first+r.Block
		s.Rounds = append(s.Rounds, r)
	}
}

// ByCommand makes a side of each command of a set. A side whose command worked in files of its own has runs with the state of
// these files.
func ByCommand(s Set) (sides []Set) {
	for c, command := range s.Commands {
		one := Set{Name: command.Name, Bench: s.Bench, Runs: s.Runs}
		one.Commands, one.Rounds = []datamodel.BenchCommand{command}, s.Of(c)
		for i := range one.Rounds {
			one.Rounds[i].Command = 0
		}
		if command.Git != nil {
			one.Runs = slices.Clone(s.Runs)
			for i := range one.Runs {
				one.Runs[i].Host.Git = command.Git
			}
		}
		sides = append(sides, one)
	}
	return sides
}

// Request is what is to be compared.
type Request struct {
	Base Set
	// New are the sides that are compared with the base.
	New []Set
	// Paired is true if the rounds of all sides were measured one beside the other, block by block. Rounds of the same block
	// are then compared as a pair.
	Paired bool
	// Metrics are the metrics to compare. A metric without a value on either side is left out, unless Asked is true.
	Metrics []string
	Asked   bool
}

// Result is what a comparison found.
type Result struct {
	Base Set
	// Against has one entry for each new side.
	Against []Against
}

// Against is one new side against the base.
type Against struct {
	New Set
	// Differences are the conditions of the machine that differ.
	Differences []Difference
	// Apart is true if all rounds of one side were measured before those of the other. What drifted on the machine in between looks
	// like a change.
	Apart bool
	// Benchmarks are the commands that both sides have.
	Benchmarks []Benchmark
	// OnlyBase and OnlyNew are the names of commands without a counterpart.
	OnlyBase, OnlyNew []string
}

// Benchmark is a command of both sides.
type Benchmark struct {
	// Base and New are the indices of the command in the sides.
	Base, New int
	Name      string
	Figures   []Compared
	// Differences are the conditions of this command that differ: its words, and how a metric was obtained.
	Differences []Difference
	// Cause tells which programs changed.
	Cause Cause
}

// Compared is one metric of a benchmark.
type Compared struct {
	Metric    datamodel.Definition
	Base, New Described
	Change    Change
	// Incomparable is true if the two sides obtained the metric in different ways. The verdict is then inconclusive.
	Incomparable bool
}

// Verdict is the verdict on all: regressed if any metric regressed. Otherwise it is inconclusive if any metric is, improved if
// any metric is, or unchanged. Without any metric it is inconclusive.
func (r Result) Verdict() Verdict {
	var all []Verdict
	for _, a := range r.Against {
		for _, b := range a.Benchmarks {
			for _, f := range b.Figures {
				all = append(all, f.Change.Verdict)
			}
		}
	}
	for _, v := range []Verdict{Regressed, Inconclusive, Improved, Changed} {
		if slices.Contains(all, v) {
			return v
		}
	}
	if len(all) == 0 {
		return Inconclusive
	}
	return Unchanged
}
