package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestDetectable simulates changes that are as large as Detectable says. Its definition is that 80 % of them are found.
func TestDetectable(t *testing.T) {
	testenv.Long(t)
	const trials = 400
	for _, c := range []struct {
		n, comparisons       int
		variation, threshold float64
		paired               bool
	}{
		{10, 1, 0.05, 0.03, false},
		{20, 1, 0.05, 0.03, false},
		{20, 5, 0.05, 0.03, false},
		{40, 1, 0.01, 0.03, false}, // the threshold decides, not the noise
		{20, 1, 0.05, 0.03, true},
		{30, 5, 0.1, 0.05, true},
	} {
		rule := Rule{Confidence: 0.95, Threshold: c.threshold}
		r := rand.New(rand.NewPCG(11, uint64(c.n)))
		compared := func(change float64) stats.Comparison {
			base, fresh := machine{c.variation, 0, change, shuffled, r}.rounds(c.n)
			if c.paired {
				return stats.ComparePaired(base, fresh, rule.Confidence)
			}
			return stats.Compare(base, fresh, rule.Confidence)
		}
		size := 0.0
		for range trials {
			size += rule.Detectable(compared(0), c.comparisons) / trials
		}
		found := 0
		for range trials {
			got := compared(size)
			if rule.Judge(got, min(1, got.P*float64(c.comparisons)), datamodel.Lower) == Regressed {
				found++
			}
		}
		part := float64(found) / trials
		t.Logf("%d rounds, variation %.0f %%, %d comparisons, threshold %.0f %%, paired %v: detectable %.1f %%, found in %.1f %%", c.n, 100*c.variation,
			c.comparisons, 100*c.threshold, c.paired, 100*size, 100*part)
		if part < 0.7 || part > 0.9 {
			t.Errorf("found in %.1f %%", 100*part)
		}
	}
}

func TestDetectableFewRounds(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	x, y := []float64{1, 1.1, 1.2, 1.3}, []float64{2, 2.1, 2.2, 2.3}
	c := stats.Compare(x, y, 0.95)
	if d := rule.Detectable(c, 1); math.IsNaN(d) {
		t.Errorf("four rounds can decide one comparison: %v", d)
	}
	if d := rule.Detectable(c, 2); !math.IsNaN(d) {
		t.Errorf("four rounds cannot decide two comparisons: %v", d)
	}
	for _, c := range []struct {
		comparisons int
		paired      bool
		want        int
	}{{1, false, 4}, {1, true, 6}, {5, false, 5}, {5, true, 8}, {0, false, 4}} {
		if got := rule.LeastRounds(c.comparisons, c.paired); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
