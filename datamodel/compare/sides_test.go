package compare

import (
	"math"
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// benchOf makes a bench of two commands, with their wall times. NaN is a missing value.
func benchOf(order datamodel.RoundOrder, base, fresh []float64) datamodel.Bench {
	b := datamodel.Bench{Order: order, Commands: []datamodel.BenchCommand{{Name: "base"}, {Name: "new"}}}
	for c, values := range [][]float64{base, fresh} {
		for block, v := range values {
			m := datamodel.Value(datamodel.WallTime, v, units.Second, "delta", sensors.FromCounter, "clock")
			if math.IsNaN(v) {
				m = datamodel.Missing(datamodel.WallTime, units.Second, "no meter")
			}
			b.Rounds = append(b.Rounds, datamodel.Round{Command: c, Block: block, Outcome: datamodel.Done, Metrics: []datamodel.Metric{m}})
		}
	}
	return b
}

func TestSides(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	var base, fresh []float64
	for i := range 12 {
		base = append(base, 1+0.1*float64(i)) // a drift of 110 %
		fresh = append(fresh, 1.05*base[i])
	}
	metrics := []string{datamodel.WallTime, datamodel.Energy}
	paired := rule.Sides(benchOf(datamodel.Shuffled, base, fresh), metrics, false)
	if len(paired) != 2 || len(paired[1].Figures) != 1 { // nobody asked for the energy, and nobody measured it
		t.Fatalf("%+v", paired)
	}
	f := paired[1].Figures[0]
	if paired[0].Figures[0].Change != nil || f.Change.Verdict != Regressed || math.Abs(f.Change.Ratio.Value-1.05) > 1e-9 || f.Change.Needed != 0 {
		t.Errorf("in pairs the drift says nothing: %+v", f.Change)
	}
	grouped := rule.Sides(benchOf(datamodel.Grouped, base, fresh), metrics, true)
	if f := grouped[1].Figures[0]; f.Change.Verdict != Inconclusive {
		t.Errorf("in groups the drift hides the change: %+v", f.Change)
	}
	if f := grouped[1].Figures[1]; f.N != 0 || !math.IsNaN(f.Change.Ratio.Value) || f.Change.Verdict != Inconclusive {
		t.Errorf("a metric that was asked for and not measured: %+v", f)
	}
}

func TestMissingRounds(t *testing.T) {
	nan := math.NaN()
	b := benchOf(datamodel.Shuffled, []float64{1, nan, 3}, []float64{2, 2})
	b.Rounds[1].Outcome = datamodel.TargetFailed
	b.Rounds[0].Conditions = []string{"steal"}
	b.Rounds[1].Conditions = []string{"other_load", "steal"}
	sides := Rule{Confidence: 0.95, Threshold: 0.03}.Sides(b, []string{datamodel.WallTime}, true)
	base, fresh := sides[0], sides[1]
	if base.Rounds != 3 || base.Failed != 1 || base.Figures[0].N != 2 || base.Figures[0].Reason != "no meter" ||
		!slices.Equal(base.Conditions, []Condition{{"steal", 2}, {"other_load", 1}}) {
		t.Errorf("%+v", base)
	}
	if c := fresh.Figures[0].Change; c.Base != 1 || c.New != 1 || c.Ratio.Value != 2 || c.Ratio.Known() || c.Verdict != Inconclusive {
		t.Errorf("one block has both: %+v", c)
	}
}

// TestHolmOverAll checks that the correction counts all comparisons of a report: the same values decide alone, and do not
// beside 20 others.
func TestHolmOverAll(t *testing.T) {
	base := []float64{1, 1.01, 1.02, 1.03, 1.04, 1.05}
	fresh := []float64{1.1, 1.12, 1.13, 1.14, 1.15, 1.17}
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	b := benchOf(datamodel.Shuffled, base, fresh)
	if v := rule.Sides(b, []string{datamodel.WallTime}, true)[1].Figures[0].Change.Verdict; v != Regressed {
		t.Errorf("alone: %s", v)
	}
	for len(b.Commands) < 22 {
		for i, r := range b.Of(1) {
			r.Command = len(b.Commands)
			r.Metrics = slices.Clone(r.Metrics)
			r.Metrics[0].Value = base[(i+len(b.Commands))%len(base)]
			b.Rounds = append(b.Rounds, r)
		}
		b.Commands = append(b.Commands, datamodel.BenchCommand{Name: "x"})
	}
	if c := rule.Sides(b, []string{datamodel.WallTime}, true)[1].Figures[0].Change; c.Verdict != Inconclusive || c.Corrected <= c.P {
		t.Errorf("beside 20 others: %+v", c)
	}
}
