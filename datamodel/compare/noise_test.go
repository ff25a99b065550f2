package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// TestRoundsFor simulates comparisons with as many rounds as RoundsFor tells, and with half of them.
func TestRoundsFor(t *testing.T) {
	rule := Rule{Confidence: 0.95}
	r := rand.New(rand.NewPCG(11, 12))
	const trials = 600
	for _, c := range []struct{ variation, change float64 }{{0.05, 0.05}, {0.05, 0.1}, {0.02, 0.02}, {0.02, 0.01}, {0.001, 0.05}} {
		n := rule.RoundsFor(c.variation, c.change)
		found := func(n int) float64 {
			rule := Rule{Confidence: 0.95, Threshold: ThresholdPart * c.change}
			count := 0
			for range trials {
				base, fresh := machine{c.variation, 0.05, c.change, shuffled, r}.rounds(n)
				got := stats.ComparePaired(base, fresh, rule.Confidence)
				if rule.Judge(got, got.P, datamodel.Lower) == Regressed {
					count++
				}
			}
			return float64(count) / trials
		}
		if n < 6 || n > 200 {
			t.Errorf("%+v: %d rounds", c, n)
			continue
		}
		power, half := found(n), found(n/2)
		t.Logf("variation %v, change %v: %d rounds find %.1f %%, half of them %.1f %%", c.variation, c.change, n, 100*power, 100*half)
		if power < 0.75 || n > 6 && power > 0.9 || half > 0.7 {
			t.Errorf("%+v: %d rounds find %.1f %%, half of them %.1f %%", c, n, 100*power, 100*half)
		}
	}
	if n := rule.RoundsFor(math.NaN(), 0.01); n != 0 {
		t.Errorf("an unknown variation needs %d rounds", n)
	}
	if n := rule.RoundsFor(5, 0.01); n != 0 {
		t.Errorf("a variation of 500 %% needs %d rounds", n)
	}
}

// TestNoises finds the variation and the drift that the simulated machine has.
func TestNoises(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	r := rand.New(rand.NewPCG(3, 4))
	var values []float64
	for i := range 300 {
		values = append(values, (1+0.1*float64(i)/299)*(1+0.02*r.NormFloat64()))
	}
	values[7] = 50 // one round that was disturbed
	b := benchOf(datamodel.Grouped, values, nil)
	got := rule.Noises(b, 0, []string{datamodel.WallTime, datamodel.Energy})
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	if n := got[0]; n.N != 300 || math.Abs(n.Variation-0.02) > 0.003 || math.Abs(n.Drift-0.1) > 0.02 || n.Verdict != Unchanged {
		t.Errorf("%+v", n)
	}
	b = benchOf(datamodel.Grouped, []float64{1, 2, math.NaN()}, nil)
	if n := rule.Noises(b, 0, []string{datamodel.WallTime})[0]; n.N != 2 || !math.IsNaN(n.Variation) || !math.IsNaN(n.Drift) || n.Verdict != Inconclusive {
		t.Errorf("two rounds: %+v", n)
	}
	b = benchOf(datamodel.Grouped, []float64{4, 4, 4, 4, 4, 4}, nil)
	if n := rule.Noises(b, 0, []string{datamodel.WallTime})[0]; n.Variation != 0 || n.Drift != 0 || rule.RoundsFor(n.Variation, 0.01) != 6 {
		t.Errorf("equal rounds: %+v", n)
	}
}
