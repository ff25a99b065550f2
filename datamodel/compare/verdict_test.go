package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/internal/testenv"
)

func TestJudge(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	nan := math.NaN()
	for _, c := range []struct {
		ratio  stats.Interval
		p      float64
		better datamodel.Direction
		want   Verdict
	}{
		{stats.Interval{Value: 1.05, Low: 1.01, High: 1.09}, 0.01, datamodel.Lower, Regressed},
		{stats.Interval{Value: 1.05, Low: 1.01, High: 1.09}, 0.01, datamodel.Higher, Improved},
		{stats.Interval{Value: 0.95, Low: 0.91, High: 0.99}, 0.01, datamodel.Lower, Improved},
		{stats.Interval{Value: 0.95, Low: 0.91, High: 0.99}, 0.01, datamodel.Higher, Regressed},
		{stats.Interval{Value: 1.05, Low: 1.01, High: 1.09}, 0.2, datamodel.Lower, Inconclusive},
		{stats.Interval{Value: 1.05, Low: 0.99, High: 1.11}, 0.01, datamodel.Lower, Inconclusive},
		{stats.Interval{Value: 1.02, Low: 1.01, High: 1.04}, 0.01, datamodel.Lower, Inconclusive},
		{stats.Interval{Value: 1.02, Low: 1.01, High: 1.03}, 0.01, datamodel.Lower, Unchanged},
		{stats.Interval{Value: 1.00, Low: 0.98, High: 1.02}, 0.9, datamodel.Lower, Unchanged},
		{stats.Interval{Value: 1.00, Low: 0.96, High: 1.02}, 0.9, datamodel.Lower, Inconclusive},
		{stats.Interval{Value: 1.5, Low: nan, High: nan}, 0.3, datamodel.Lower, Inconclusive},
	} {
		if got := rule.Judge(stats.Comparison{Ratio: c.ratio}, c.p, c.better); got != c.want {
			t.Errorf("%v, p %v: %s, want %s", c.ratio, c.p, got, c.want)
		}
	}
}

func TestNeeded(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	f := func(value, half float64, n, want int) {
		t.Helper()
		c := stats.Comparison{Base: n, New: n, Ratio: stats.Interval{Value: value, Low: value - half, High: value + half}}
		if got := rule.Needed(c, 1, true); got != want {
			t.Errorf("%v ± %v after %d: %d, want %d", value, half, n, got, want)
		}
	}
	f(1, 0.0599, 10, 40)
	f(1.06, 0.1199, 10, 40)
	f(1.0299, 0.05, 10, 0) // 5,000 times 5,000
	f(1.04, 0.03, 10, 11)
	f(1, math.NaN(), 10, 11)
	f(1, math.NaN(), 1, 6)
	f(math.NaN(), math.NaN(), 0, 0)
}

// order is the order of the rounds of two commands.
type order string

const (
	grouped  order = "grouped"  // all of the base, then all of the new
	shuffled order = "shuffled" // in pairs, each pair in a random order
)

// machine makes the rounds of two commands on a machine that drifts: its values rise by drift from the first round to the
// last, and vary by variation.
type machine struct {
	variation, drift, change float64
	order                    order
	rand                     *rand.Rand
}

func (m machine) rounds(n int) (base, fresh []float64) {
	at := func(position int, change float64) float64 {
		drift := m.drift * float64(position) / float64(2*n)
		return (1 + drift) * (1 + change) * max(0.01, 1+m.variation*m.rand.NormFloat64())
	}
	for i := range n {
		first, second := 2*i, 2*i+1
		switch {
		case m.order == grouped:
			first, second = i, n+i
		case m.rand.IntN(2) == 0:
			first, second = second, first
		}
		base, fresh = append(base, at(first, 0)), append(fresh, at(second, m.change))
	}
	return base, fresh
}

// TestVerdictsHold simulates comparisons on a noisy machine that drifts, and prints how often each rule decides rightly. The
// variation is 5 %, the drift 5 %, the threshold 3 %.
func TestVerdictsHold(t *testing.T) {
	testenv.Long(t)
	const trials = 1000
	r := rand.New(rand.NewPCG(7, 8))
	var table strings.Builder
	fmt.Fprintf(&table, "%-10s %-12s %6s  %22s  %22s\n", "order", "intervals", "rounds", "no change: a verdict of", "+5 %: regressed, decided")
	fmt.Fprintf(&table, "%-10s %-12s %6s  %22s  %22s\n", "", "", "a side", "regressed or improved", "")
	type cell struct{ wrong, found float64 }
	cells := map[string]cell{}
	for _, o := range []order{grouped, shuffled} {
		for _, confidence := range []float64{0.95, 0.99} {
			for _, n := range []int{10, 20, 30} {
				rule := Rule{Confidence: confidence, Threshold: 0.03}
				judge := func(change float64) Verdict {
					base, fresh := machine{0.05, 0.05, change, o, r}.rounds(n)
					compare := stats.Compare
					if o == shuffled {
						compare = stats.ComparePaired
					}
					c := compare(base, fresh, confidence)
					return rule.Judge(c, c.P, datamodel.Lower)
				}
				wrong, found, decided := 0, 0, 0
				for range trials {
					if v := judge(0); v == Regressed || v == Improved {
						wrong++
					}
					switch judge(0.05) {
					case Regressed:
						found++
						decided++
					case Improved, Unchanged:
						decided++
					case Inconclusive, Changed:
					}
				}
				part := func(n int) float64 { return float64(n) / trials }
				cells[fmt.Sprint(o, confidence, n)] = cell{part(wrong), part(found)}
				fmt.Fprintf(&table, "%-10s %-12v %6d  %20.1f %%  %10.1f %% %7.1f %%\n", o, confidence, n, 100*part(wrong), 100*part(found), 100*part(decided))
			}
		}
	}
	t.Logf("1,000 comparisons each\n%s", table.String())
	if c := cells[fmt.Sprint(shuffled, 0.95, 20)]; c.wrong > 0.05 {
		t.Errorf("without a change %.1f %% of 20 rounds have a verdict", 100*c.wrong)
	}
	if c := cells[fmt.Sprint(shuffled, 0.95, 30)]; c.found < 0.8 {
		t.Errorf("of +5 %%, 30 rounds find %.1f %%", 100*c.found)
	}
	if c := cells[fmt.Sprint(grouped, 0.95, 20)]; c.wrong < 0.2 {
		t.Errorf("grouped rounds are wrong in %.1f %% only: the simulated drift does nothing", 100*c.wrong)
	}
}
