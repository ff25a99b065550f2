package datamodel

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Bench is a benchmark: commands that were measured many times, beside each other. The manifest of a kept bench has all but
// Rounds; they are in the tables.
type Bench struct {
	// Commands are the commands, in the order in which they were given.
	Commands []BenchCommand `json:"commands"`
	// Results tell a list of runs what the rounds of each command gave, in the order of Commands. They are nil until the
	// result is made.
	Results []BenchResult `json:"results,omitempty"`
	// Rounds are the measured rounds, in the order in which they were measured. Warm-up rounds are left out.
	Rounds []Round `json:"-"`
	// Metrics are those that the caller chose to see; nil if the caller chose none.
	Metrics []string `json:"metrics,omitempty"`
	// Threshold is the smallest change that matters in a verdict, as a part of the base. Thresholds has it for single metrics.
	Threshold  float64            `json:"threshold"`
	Thresholds map[string]float64 `json:"thresholds,omitempty"`
	// Order says how the rounds of several commands follow each other, Seed is that of its random numbers.
	Order RoundOrder `json:"order"`
	Seed  uint64     `json:"seed"`
	// Warmup is the number of rounds of each command before the first measured one.
	Warmup int `json:"warmup"`
	// Batch is the number of executions in each round, one right after the other. 0 and 1 are one. The metrics of the rounds
	// are those of one execution (Round.Each).
	Batch int `json:"batch,omitempty"`
	// Affinity are the processors that the commands were allowed to run on. Nil stands for all that ergon may use.
	Affinity []int `json:"affinity,omitempty"`
	// Confidence is that of the intervals, if it is another one than usual: the looks of a comparison share the error.
	Confidence float64 `json:"confidence,omitempty"`
	// Ended is why the bench measured no further rounds.
	Ended BenchEnd `json:"ended"`
}

// BenchCommand is one command of a benchmark.
type BenchCommand struct {
	Name string `json:"name"`
	// Command is the command as it is told, its secrets masked.
	Command []string `json:"command"`
	// Git is the state of the files that the command worked in, if the commands worked in different ones.
	Git *sensors.Git `json:"git,omitempty"`
	// Parameters are the values that were put into the command for its parameters.
	Parameters []Parameter `json:"parameters,omitempty"`
	// Work is what one execution of the command does, as the caller says. It is nil if nobody said it.
	Work *Work `json:"work,omitempty"`
	// Budgets are what an execution of the command may cost in the median, with the verdicts.
	Budgets []Budget `json:"budgets,omitempty"`
}

// Parameter is a parameter of a command with the value that was put in for it.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Work is an amount of work in things that the caller counts.
type Work struct {
	Amount float64 `json:"amount"`
	// Unit is the word for the things: "requests".
	Unit string `json:"unit"`
}

// BenchResult is what the rounds of a command gave, in short.
type BenchResult struct {
	// Rounds is the number of measured rounds, Failed that of those which failed.
	Rounds int `json:"rounds"`
	Failed int `json:"failed"`
	// Medians are the medians of the summary's metrics by name, over the rounds that have a value.
	Medians map[string]Figure `json:"medians"`
}

// Round is one measured execution of a command.
type Round struct {
	// Command is the index of the command. Block is the number of the block that the round belongs to, from 0. A block has
	// at most one round of each command, one beside the other, so rounds of the same block are compared as a pair.
	Command int `json:"command"`
	Block   int `json:"block"`
	// Start is when the command was started.
	Start time.Time `json:"start"`
	// ExitCode is the exit code as a shell shows it: 128+n after signal n.
	ExitCode int     `json:"exit_code"`
	Outcome  Outcome `json:"outcome"`
	// Metrics are the metrics of the summary, in the order of the catalogue.
	Metrics []Metric `json:"-"`
	// Processes are the rows of the process table. Programs and what they cost are the cause of a change.
	Processes []Process `json:"-"`
	// Conditions are what spoilt the round.
	Conditions []Condition `json:"conditions,omitempty"`
}

// NotIdle is the condition of a round before which the machine did not become as idle as it was at the beginning, within
// the limit. The others are subjects of warnings.
const NotIdle = "not_idle"

// RoundOrder is the order in which the rounds of several commands are measured.
type RoundOrder string

// The orders. In each block of the first two, every command has one round.
const (
	// Shuffled puts each block into a random order. A drift of the machine then hits all commands alike.
	Shuffled RoundOrder = "shuffled"
	// ABBA reverses the order in every other block.
	ABBA RoundOrder = "abba"
	// Grouped measures all rounds of a command before those of the next one, as hyperfine does.
	Grouped RoundOrder = "grouped"
)

// BenchEnd is why a bench ended.
type BenchEnd string

// The ends.
const (
	BenchComplete    BenchEnd = "complete"    // all rounds were measured
	BenchTimeout     BenchEnd = "max_time"    // the time limit of the bench came first
	BenchInterrupted BenchEnd = "interrupted" // somebody ended it
	BenchFailed      BenchEnd = "failed"      // a round failed, or could not be measured
	BenchUnfinished  BenchEnd = "unfinished"  // it goes on, or ergon was killed
)

// Values returns the values of a metric in the rounds of a command, by block. A round in which the metric is missing and a
// block without a round of the command have NaN.
func (b Bench) Values(command int, metric string) []float64 {
	var list []float64
	for _, r := range b.Rounds {
		if r.Command != command {
			continue
		}
		for len(list) <= r.Block {
			list = append(list, math.NaN())
		}
		list[r.Block] = r.Metric(metric).Value
	}
	return list
}

// Of returns the rounds of a command.
func (b Bench) Of(command int) (list []Round) {
	for _, r := range b.Rounds {
		if r.Command == command {
			list = append(list, r)
		}
	}
	return list
}

// Metric returns a metric of the round. It is missing without a reason if the round lacks it. EDP is computed here, so it
// need not be stored.
func (r Round) Metric(name string) Metric {
	if name == EDP {
		return edp(r.Metric(TargetEnergy), r.Metric(WallTime))
	}
	for _, m := range r.Metrics {
		if m.Name == name {
			return m
		}
	}
	d, _ := Lookup(name)
	return Missing(name, d.Unit, "")
}

// Each returns the round with the metrics of one of n executions: what adds up, and the time, divided by n. Levels such as the
// peak memory are those of all. The processes stay as they were.
func (r Round) Each(n int) Round {
	if n < 2 {
		return r
	}
	return r.scaled(func(v float64) float64 { return v / float64(n) })
}

// Together returns the round with the metrics of all n executions. It reverses Each.
func (r Round) Together(n int) Round {
	if n < 2 {
		return r
	}
	return r.scaled(func(v float64) float64 { return v * float64(n) })
}

// scaled returns the round with what adds up, and the time, scaled.
func (r Round) scaled(by func(float64) float64) Round {
	list := make([]Metric, len(r.Metrics))
	for i, m := range r.Metrics {
		if d, ok := Lookup(m.Name); ok && (d.Adds || m.Name == WallTime) {
			m.Value, m.Uncertainty, m.AtMost = by(m.Value), by(m.Uncertainty), by(m.AtMost)
		}
		list[i] = m
	}
	r.Metrics = list
	return r
}

// edp multiplies an energy by a time.
func edp(energy, time Metric) Metric {
	for _, m := range []Metric{energy, time} {
		if math.IsNaN(m.Value) {
			return Missing(EDP, units.JouleSecond, m.Reason)
		}
	}
	return Value(EDP, energy.Value*time.Value, units.JouleSecond, "", energy.Provenance, energy.Source)
}
