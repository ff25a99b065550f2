package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/units"
)

// The simulated machine: how much its rounds vary, and how much it becomes slower from the first round to the last.
const (
	simulatedVariation = 0.05
	simulatedDrift     = 0.05
	simulatedThreshold = 0.03
	// plantedChange is the change that the rules should find.
	plantedChange = 0.05
)

// simulation makes the rounds of two commands on a machine that varies and drifts.
type simulation struct {
	rand *rand.Rand
	// grouped measures all rounds of the base first. Otherwise the rounds come in pairs, each in a random order.
	grouped bool
}

func (s simulation) rounds(n int, change float64) (base, fresh []float64) {
	at := func(position int, change float64) float64 {
		drift := simulatedDrift * float64(position) / float64(2*n)
		return (1 + drift) * (1 + change) * max(0.01, 1+simulatedVariation*s.rand.NormFloat64())
	}
	for i := range n {
		first, second := 2*i, 2*i+1
		switch {
		case s.grouped:
			first, second = i, n+i
		case s.rand.IntN(2) == 0:
			first, second = second, first
		}
		base, fresh = append(base, at(first, 0)), append(fresh, at(second, change))
	}
	return base, fresh
}

// verdictRule decides whether the new rounds differ from those of the base.
type verdictRule struct {
	name   string
	differ func(base, fresh []float64, grouped bool) bool
}

// verdictRules lists ergon's rule, and what others do.
func verdictRules() []verdictRule {
	rule := compare.Rule{Confidence: stats.Confidence, Threshold: simulatedThreshold}
	const (
		alpha = 0.05
		gate  = 0.10
	)
	return []verdictRule{
		{"ergon", func(base, fresh []float64, grouped bool) bool {
			how := stats.ComparePaired
			if grouped {
				how = stats.Compare
			}
			c := how(base, fresh, rule.Confidence)
			v := rule.Judge(c, c.P, datamodel.Lower)
			return v == compare.Regressed || v == compare.Improved
		}},
		{"Mann–Whitney", func(base, fresh []float64, _ bool) bool { return stats.Compare(base, fresh, rule.Confidence).P < alpha }},
		{"± σ", func(base, fresh []float64, _ bool) bool { // hyperfine prints the ratio of the means with this ±
			a, b := stats.Summarize(base, rule.Confidence), stats.Summarize(fresh, rule.Confidence)
			ratio := b.Mean / a.Mean
			return math.Abs(ratio-1) > ratio*math.Hypot(a.Std/a.Mean, b.Std/b.Mean)
		}},
		{"10 % gate", func(base, fresh []float64, _ bool) bool {
			return math.Abs(stats.Summarize(fresh, rule.Confidence).Mean/stats.Summarize(base, rule.Confidence).Mean-1) > gate
		}},
	}
}

// rates are the parts of the comparisons that find a difference: without a change, and with one.
type rates struct{ wrong, found float64 }

// ratesOf simulates comparisons of n rounds a side by a rule. The same arguments give the same rates.
func ratesOf(rule verdictRule, grouped bool, n, trials int) (r rates) {
	s := simulation{rand.New(rand.NewPCG(uint64(n), 2026)), grouped} //nolint:gosec // not negative
	for range trials {
		if base, fresh := s.rounds(n, 0); rule.differ(base, fresh, grouped) {
			r.wrong++
		}
		if base, fresh := s.rounds(n, plantedChange); rule.differ(base, fresh, grouped) {
			r.found++
		}
	}
	return rates{r.wrong / float64(trials), r.found / float64(trials)}
}

// simulatedRounds are the numbers of rounds a side.
func simulatedRounds() []int { return []int{5, 10, 20, 30, 50} }

// verdicts simulates comparisons on a machine that varies and drifts, by ergon's rule and by those of others. It also measures
// how long the exports of a large bench take.
func verdicts(b *bench) ([]figure, error) {
	trials := 1000
	if b.quick {
		trials = 5
	}
	var table strings.Builder
	fmt.Fprintf(&table, "variation %g %%, drift %g %%, threshold %g %%, %d comparisons each\n", 100*simulatedVariation, 100*simulatedDrift, 100*simulatedThreshold, trials)
	fmt.Fprintf(&table, "    %-10s %-14s %s\n", "order", "rule", "no change, but a verdict (+5 % is found), by rounds a side")
	fmt.Fprintf(&table, "    %-10s %-14s", "", "")
	for _, n := range simulatedRounds() {
		fmt.Fprintf(&table, " %16d", n)
	}
	var figures []figure
	for _, grouped := range []bool{false, true} {
		for _, rule := range verdictRules() {
			order := "shuffled"
			if grouped {
				order = "grouped"
			}
			fmt.Fprintf(&table, "\n    %-10s %-14s", order, rule.name)
			for _, n := range simulatedRounds() {
				r := ratesOf(rule, grouped, n, trials)
				fmt.Fprintf(&table, " %6.1f %% (%4.1f %%)", 100*r.wrong, 100*r.found)
				if !grouped && rule.name == "ergon" && n == 20 {
					f := single("20 rounds without a change: a verdict", units.Ratio, r.wrong)
					f.atMost(0.05)
					figures = append(figures, f)
				}
				if !grouped && rule.name == "ergon" && n == 30 {
					f := single("30 rounds, +5 %: found", units.Ratio, r.found)
					f.atLeast(0.8)
					figures = append(figures, f)
				}
			}
		}
	}
	figures[0].Note = table.String()
	more, err := exportTimes(b)
	return append(figures, more...), err
}

// exportLimit is the most that an export of 10,000 rounds may take, in s.
const exportLimit = 0.2

// exportTimes measures how long each export of a bench of two commands takes.
func exportTimes(b *bench) (figures []figure, err error) {
	n, repeats := 10_000, 5
	if b.quick {
		n, repeats = 100, 1
	}
	made := largeBench(n)
	rule := compare.Rule{Confidence: stats.Confidence, Threshold: simulatedThreshold}
	ready := report.Bench{Bench: made, Sides: rule.Sides(made, compare.DefaultMetrics(), false), Rule: rule, Version: "bench"}
	for _, of := range report.BenchFormats() {
		format := of.Name
		var took []float64
		for range repeats {
			var out bytes.Buffer
			began := time.Now()
			if err := ready.Write(&out, format, report.Options{}); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began).Seconds())
		}
		f := median(fmt.Sprintf("export of %d rounds as %s", n, format), units.Second, took)
		f.atMost(exportLimit)
		figures = append(figures, f)
	}
	return figures, nil
}

// largeBench makes a bench of two commands with n rounds together. Each round has a whole summary.
func largeBench(n int) datamodel.Bench {
	s := simulation{rand: rand.New(rand.NewPCG(1, 2))}
	base, fresh := s.rounds(n/2, plantedChange)
	made := datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: "base", Command: []string{"base"}}, {Name: "new", Command: []string{"new"}}},
		Order:    datamodel.Shuffled, Ended: datamodel.BenchComplete,
	}
	for c, values := range [][]float64{base, fresh} {
		for block, v := range values {
			r := datamodel.Round{Command: c, Block: block, Outcome: datamodel.Done}
			for _, d := range datamodel.Summary() {
				r.Metrics = append(r.Metrics, datamodel.Value(d.Name, v, d.Unit, "", "counter", "made up"))
			}
			made.Rounds = append(made.Rounds, r)
		}
	}
	return made
}
