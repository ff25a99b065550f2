package compare

import (
	"math"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// Side describes all rounds of one command.
type Side struct {
	Command datamodel.BenchCommand
	// Rounds is the number of rounds, Failed that of those that did not end with exit code 0.
	Rounds, Failed int
	Figures        []Figure
	// Conditions tells in how many rounds each condition of the machine held. The most frequent is first.
	Conditions []Condition
}

// Figure describes one metric of a command.
type Figure struct {
	Metric datamodel.Definition
	stats.Summary
	// Values are the values of the rounds, by block; NaN is missing.
	Values []float64
	// Uncertainty bounds how far the value of a round is off because the counters behind it move in steps: the median of the
	// rounds. It is NaN if unknown.
	Uncertainty float64
	// Reason is why the metric has no value, in the last round that lacks it. It is "" if all rounds have one.
	Reason string
	// Change compares with the first command. It is nil for the first command, and if nothing was compared.
	Change *Change
}

// Change is the change of one metric between two sides.
type Change struct {
	stats.Comparison
	// Corrected is P after Holm's correction for all comparisons of the report.
	Corrected float64
	Verdict   Verdict
	// Needed is the number of rounds a side that an inconclusive change needs. It is 0 if that is unknown.
	Needed int
	// Detectable is the smallest change that the rule would have found, as a part of the base. It is NaN if no change can be
	// found with so few rounds.
	Detectable float64
}

// Condition is a condition of the machine, as the subject of a warning.
type Condition struct {
	Subject string
	Rounds  int
}

// Sides describes each command of a bench. The commands are compared with the first one, block by block. Metrics without a
// value in any round are left out, unless the caller asked for them.
func (r Rule) Sides(b datamodel.Bench, metrics []string, asked bool) []Side {
	var sides []Side
	for c, command := range b.Commands {
		s := Side{Command: command, Conditions: Conditions(b.Of(c))}
		for _, round := range b.Of(c) {
			s.Rounds++
			if round.Outcome != datamodel.Done {
				s.Failed++
			}
		}
		for _, name := range metrics {
			d, ok := datamodel.Lookup(name)
			if !ok || !asked && missing(b, name) {
				continue
			}
			values := b.Values(c, name)
			s.Figures = append(s.Figures, Figure{
				Metric: d, Summary: stats.Summarize(values, r.Confidence), Values: values, Uncertainty: uncertainty(b.Of(c), name), Reason: reason(b.Of(c), name),
			})
		}
		sides = append(sides, s)
	}
	r.change(b, sides, asked)
	return sides
}

// Describe describes one metric of a command.
func (r Rule) Describe(b datamodel.Bench, command int, metric string) stats.Summary {
	return stats.Summarize(b.Values(command, metric), r.Confidence)
}

// change compares each side with the first one. A product of two compared metrics has no verdict unless somebody asked for
// it: Holm's correction would count the same change again.
func (r Rule) change(b datamodel.Bench, sides []Side, asked bool) {
	var p []float64
	for c := 1; c < len(sides); c++ {
		for i, f := range sides[c].Figures {
			if f.Metric.OfRounds && !asked {
				continue
			}
			base, fresh := b.Values(0, f.Metric.Name), b.Values(c, f.Metric.Name)
			change := &Change{}
			if b.Order == datamodel.Grouped {
				change.Comparison = stats.Compare(base, fresh, r.Confidence)
			} else {
				n := min(len(base), len(fresh))
				change.Comparison = stats.ComparePaired(base[:n], fresh[:n], r.Confidence)
			}
			sides[c].Figures[i].Change = change
			p = append(p, change.P)
		}
	}
	at := 0
	corrected, comparisons := stats.Holm(p), tests(p)
	for c := 1; c < len(sides); c++ {
		for _, f := range sides[c].Figures {
			if f.Change == nil {
				continue
			}
			r.decide(f.Change, corrected[at], f.Metric, comparisons, b.Order != datamodel.Grouped)
			at++
		}
	}
}

// decide sets what the rule says about a change. p is the corrected probability, comparisons the number of all comparisons.
func (r Rule) decide(c *Change, p float64, d datamodel.Definition, comparisons int, paired bool) {
	rule := r.For(d.Name)
	c.Corrected = p
	c.Detectable = rule.Detectable(c.Comparison, comparisons)
	if c.Verdict = rule.Judge(c.Comparison, p, d.Better); c.Verdict == Inconclusive {
		c.Needed = rule.Needed(c.Comparison, comparisons, paired)
	}
}

// tests counts the comparisons that have a probability.
func tests(p []float64) (n int) {
	for _, v := range p {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// missing reports whether no round has a metric.
func missing(b datamodel.Bench, name string) bool {
	return !slices.ContainsFunc(b.Rounds, func(r datamodel.Round) bool { return !math.IsNaN(r.Metric(name).Value) })
}

// uncertainty returns the median of the uncertainties of a metric.
func uncertainty(rounds []datamodel.Round, name string) float64 {
	var list []float64
	for _, r := range rounds {
		list = append(list, r.Metric(name).Uncertainty)
	}
	return stats.Median(list)
}

// reason returns why the last round without a metric lacks it.
func reason(rounds []datamodel.Round, name string) string {
	for _, r := range slices.Backward(rounds) {
		if m := r.Metric(name); math.IsNaN(m.Value) && m.Reason != "" {
			return m.Reason
		}
	}
	return ""
}

// Conditions counts the conditions of the machine in rounds. The most frequent is first.
func Conditions(rounds []datamodel.Round) (list []Condition) {
	for _, r := range rounds {
		for _, subject := range r.Conditions {
			i := slices.IndexFunc(list, func(c Condition) bool { return c.Subject == subject })
			if i < 0 {
				i = len(list)
				list = append(list, Condition{Subject: subject})
			}
			list[i].Rounds++
		}
	}
	slices.SortStableFunc(list, func(a, b Condition) int { return b.Rounds - a.Rounds })
	return list
}
