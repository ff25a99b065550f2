package report

import (
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// BenchNote says what the figures of a command cannot tell, and what to do.
type BenchNote struct {
	// Subject is few_rounds, short or resolution.
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

const (
	// leastForInterval is the smallest number of rounds whose median has an interval of 95 %.
	leastForInterval = 6
	// shortRound is the wall time in s below which the start of a process is most of a round.
	shortRound = 0.001
	// coarse is the uncertainty of an energy, as a part of it, above which a batch is advised. fine is the uncertainty that the
	// advised batch has.
	coarse, fine = 0.05, 0.01
	// mostBatch bounds the advised batch.
	mostBatch = 100_000
)

// notes returns the notes about a command.
func (b Bench) notes(s compare.Side) (list []BenchNote) {
	if 0 < s.Rounds && s.Rounds < leastForInterval {
		list = append(list, BenchNote{"few_rounds", fmt.Sprintf("%s: too few for an interval (%d are enough)", plural(s.Rounds, "round"), leastForInterval)})
	}
	for _, f := range s.Figures {
		if f.Metric.Name == datamodel.WallTime && f.Median.Value < shortRound && b.Batch < 2 {
			list = append(list, BenchNote{"short", fmt.Sprintf("%s is mostly the start of a process: let one execution do more, or see what 100 of them take (--batch 100)",
				units.Format(f.Median.Value, units.Second))})
		}
	}
	for _, f := range s.Figures {
		if f.Metric.Unit != units.Joule || !(f.Uncertainty > coarse*math.Abs(f.Median.Value)) {
			continue
		}
		part := f.Uncertainty / math.Abs(f.Median.Value)
		text := fmt.Sprintf("%s: the counter moves in steps, so a round is known to ± %s", metricName(f.Metric), units.Format(part, units.Ratio))
		if n := float64(max(1, b.Batch)) * math.Ceil(part/fine); n <= mostBatch {
			text += fmt.Sprintf(" (--batch %.0f gives ± %s)", n, units.Format(fine, units.Ratio))
		}
		return append(list, BenchNote{"resolution", text}) // the energies come from the same counter
	}
	return list
}
