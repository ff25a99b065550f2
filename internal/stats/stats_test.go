package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// near reports whether two numbers are equal but for rounding. NaN equals NaN.
func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || a == b || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

func TestSummarize(t *testing.T) {
	nan := math.NaN()
	s := Summarize([]float64{4, nan, 1, 3, 2, 100, 5, 6}, 0.95)
	want := Summary{
		N: 7, Median: Interval{4, 1, 100}, Mean: 121.0 / 7, Std: 36.51353304, Min: 1, Max: 100, Lower: 2.5, Upper: 5.5, Outliers: []int{5},
	}
	if s.N != want.N || !near(s.Median.Value, 4) || !near(s.Median.Low, 1) || !near(s.Median.High, 100) || !near(s.Mean, want.Mean) ||
		math.Abs(s.Std-want.Std) > 1e-4 || s.Min != 1 || s.Max != 100 || s.Lower != 2.5 || s.Upper != 5.5 || !slices.Equal(s.Outliers, want.Outliers) {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if one := Summarize([]float64{7}, 0.95); one.N != 1 || one.Median.Value != 7 || one.Median.Known() || !math.IsNaN(one.Std) || one.Lower != 7 {
		t.Errorf("one value: %+v", one)
	}
	if five := Summarize([]float64{1, 2, 3, 4, 5}, 0.95); five.Median.Known() {
		t.Errorf("five values have no interval of 0.95: %+v", five)
	}
	if none := Summarize([]float64{nan}, 0.95); none.N != 0 || !math.IsNaN(none.Median.Value) || !math.IsNaN(none.Max) {
		t.Errorf("no values: %+v", none)
	}
	if same := Summarize([]float64{3, 3, 3, 3, 3, 3, 9}, 0.95); len(same.Outliers) != 0 || same.Median.Value != 3 {
		t.Errorf("most values are the same: %+v", same)
	}
}

// TestKnownTests compares with the examples in SciPy's documentation of mannwhitneyu and wilcoxon, and with Holm's procedure
// by hand.
func TestKnownTests(t *testing.T) {
	x := []float64{19, 22, 16, 29, 24}
	y := []float64{20, 11, 17, 12}
	if c := Compare(x, y, 0.95); !near(c.P, 0.1111111111111111) || c.Base != 5 || c.New != 4 {
		t.Errorf("Mann–Whitney: %+v", c)
	}
	d := []float64{6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75}
	if p := signedRank(d); !near(p, 0.041259765625) {
		t.Errorf("signed rank: %v", p)
	}
	got := Holm([]float64{0.01, math.NaN(), 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, math.NaN(), 0.06, 0.06, 0.02} {
		if !near(got[i], want) {
			t.Errorf("Holm: %v", got)
		}
	}
}

// TestAgainstLists compares with the lists of all pairs, which the package never makes.
func TestAgainstLists(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n, m := 1+r.IntN(30), 1+r.IntN(30)
		x, y := sample(r, n, 1, 0.2), sample(r, m, 1.1, 0.2)
		if r.IntN(3) == 0 { // with ties
			for i := range x {
				x[i] = 1 + math.Floor(4*x[i])
			}
			for i := range y {
				y[i] = 1 + math.Floor(4*y[i])
			}
		}
		var ratios []float64
		for _, a := range x {
			for _, b := range y {
				ratios = append(ratios, b/a)
			}
		}
		slices.Sort(ratios)
		c := Compare(x, y, 0.95)
		k := rankOfU(n, m, 0.025)
		check(t, c.Ratio, ratios, k)
		paired := y[:min(n, m)]
		var walsh []float64
		for i := range paired {
			for j := i; j < len(paired); j++ {
				walsh = append(walsh, math.Sqrt(paired[i]/x[i]*paired[j]/x[j]))
			}
		}
		slices.Sort(walsh)
		check(t, ComparePaired(x[:len(paired)], paired, 0.95).Ratio, walsh, rankOfW(len(paired), 0.025))
	}
}

// check compares an interval with the list of all ratios.
func check(t *testing.T, got Interval, sorted []float64, k int) {
	t.Helper()
	n := len(sorted)
	want := Interval{math.Sqrt(sorted[(n-1)/2] * sorted[n/2]), math.NaN(), math.NaN()}
	if k > 0 {
		want.Low, want.High = sorted[k-1], sorted[n-k]
	}
	if !near(got.Value, want.Value) || !near(got.Low, want.Low) || !near(got.High, want.High) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// sample returns values of a normal distribution.
func sample(r *rand.Rand, n int, center, variation float64) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = center * max(0.01, 1+variation*r.NormFloat64())
	}
	return list
}

// TestCoverage checks that an interval holds the true ratio as often as it says, and not much more often.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const trials, truth = 4000, 1.05
	for _, n := range []int{6, 10, 20, 60} {
		held, heldPaired, rejected := 0, 0, 0
		for range trials {
			x, y := sample(r, n, 1, 0.05), sample(r, n, truth, 0.05)
			in := func(i Interval) int {
				if i.Low <= truth && truth <= i.High {
					return 1
				}
				return 0
			}
			held += in(Compare(x, y, 0.95).Ratio)
			heldPaired += in(ComparePaired(x, y, 0.95).Ratio)
			if ComparePaired(x, sample(r, n, 1, 0.05), 0.95).P < 0.05 {
				rejected++
			}
		}
		part := func(n int) float64 { return float64(n) / trials }
		t.Logf("%d rounds: the interval holds the ratio in %.1f %%, of pairs in %.1f %%; %.1f %% of no changes rejected",
			n, 100*part(held), 100*part(heldPaired), 100*part(rejected))
		if part(held) < 0.94 || part(held) > 0.98 || part(heldPaired) < 0.94 || part(heldPaired) > 0.98 || part(rejected) > 0.06 {
			t.Errorf("%d rounds: %v, %v, %v", n, part(held), part(heldPaired), part(rejected))
		}
	}
}

func TestCompareEdges(t *testing.T) {
	nan := math.NaN()
	if c := Compare(nil, []float64{1}, 0.95); !math.IsNaN(c.Ratio.Value) || !math.IsNaN(c.P) || c.New != 1 {
		t.Errorf("no base: %+v", c)
	}
	if c := ComparePaired([]float64{nan, 1, 2}, []float64{1, nan, 3}, 0.95); c.Base != 1 || !near(c.Ratio.Value, 1.5) || c.Ratio.Known() {
		t.Errorf("one pair: %+v", c)
	}
	if c := Compare([]float64{0, 0, 0, 0}, []float64{1, 1, 1, 1}, 0.95); !math.IsNaN(c.Ratio.Value) || !math.IsNaN(c.P) {
		t.Errorf("a base of 0 has no ratio: %+v", c)
	}
	same := slices.Repeat([]float64{5}, 20)
	if c := Compare(same, same, 0.95); c.Ratio != (Interval{1, 1, 1}) || c.P != 1 {
		t.Errorf("equal values: %+v", c)
	}
	if c := ComparePaired(same, same, 0.95); c.Ratio != (Interval{1, 1, 1}) || c.P != 1 {
		t.Errorf("equal pairs: %+v", c)
	}
	// A zero among the values: the differences are set in relation to the median of the base.
	c := Compare([]float64{0, 10, 10, 10, 10, 10}, []float64{20, 20, 20, 20, 20, 20}, 0.95)
	if c.Ratio.Value != 2 || !c.Ratio.Known() {
		t.Errorf("with a zero: %+v", c)
	}
}

// TestLarge checks that the two ways to the distribution meet.
func TestLarge(t *testing.T) {
	for _, n := range []int{exactLimit, exactLimit + 1} {
		x := float64(n)
		if u := rankOfU(n, n, 0.025); math.Abs(float64(u)-(x*x/2-1.959964*math.Sqrt(x*x*(2*x+1)/12))) > 3 {
			t.Errorf("U of %d: %d", n, u)
		}
		if w := rankOfW(n, 0.025); math.Abs(float64(w)-(x*(x+1)/4-1.959964*math.Sqrt(x*(x+1)*(2*x+1)/24))) > 3 {
			t.Errorf("W of %d: %d", n, w)
		}
	}
}

// BenchmarkCompare compares 1,000 rounds with 1,000. 20 metrics of them are to take less than 100 ms.
func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	x, y := sample(r, 1000, 1, 0.05), sample(r, 1000, 1.02, 0.05)
	for b.Loop() {
		Compare(x, y, 0.95)
	}
}

// TestDifference checks the absolute change, also from 0.
func TestDifference(t *testing.T) {
	zeros, fives := slices.Repeat([]float64{0}, 6), []float64{5, 5.5, 6, 4, 4.5, 5}
	if s := Difference(zeros, fives, 0.95); s.Difference.Value != 5 || s.Difference.Low < 4 || s.Difference.High > 6 || s.P > 0.01 || s.Base != 6 {
		t.Errorf("from 0: %+v", s)
	}
	if s := DifferencePaired(sequence(100, 12), sequence(103, 12), 0.95); s.Difference != (Interval{3, 3, 3}) || !near(s.P, s.Least) && s.P > 0.01 {
		t.Errorf("pairs: %+v", s)
	}
	if s := Difference(nil, fives, 0.95); !math.IsNaN(s.Difference.Value) || !math.IsNaN(s.P) || s.New != 6 {
		t.Errorf("no base: %+v", s)
	}
}

func sequence(first float64, n int) (list []float64) {
	for i := range n {
		list = append(list, first+float64(i*i))
	}
	return list
}

// TestLeast compares with what the tests say of samples that do not overlap.
func TestLeast(t *testing.T) {
	for n := 1; n < 12; n++ {
		for m := 1; m < 12; m++ {
			x, y := sequence(1, n), sequence(1000, m)
			if s := Difference(x, y, 0.95); !near(s.P, s.Least) || !near(s.Least, LeastP(m, n)) {
				t.Errorf("%d and %d: %+v", n, m, s)
			}
		}
		if s := DifferencePaired(sequence(1, n), slices.Concat([]float64{5}, sequence(1000, n)[1:]), 0.95); n > 1 && !(s.P >= s.Least*(1-1e-9)) || !near(s.Least, LeastPaired(n)) {
			t.Errorf("%d pairs: %+v", n, s)
		}
	}
}

// TestSignedRankWithTies compares with all combinations of signs.
func TestSignedRankWithTies(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		n := 1 + r.IntN(9)
		d := make([]float64, n)
		for i := range d {
			d[i] = float64(1 + r.IntN(4))
		}
		rankSum := func(signs int) (up float64) {
			for i := range d {
				if signs>>i&1 == 0 {
					continue
				}
				for j := range d {
					switch {
					case d[j] < d[i]:
						up++
					case d[j] == d[i]:
						up += 0.5
					}
				}
				up += 0.5
			}
			return up
		}
		signs := r.IntN(1 << n)
		whole := rankSum(1<<n - 1)
		least, count := min(rankSum(signs), whole-rankSum(signs)), 0.0
		for other := range 1 << n {
			if rankSum(other) <= least {
				count++
			}
		}
		signed := slices.Clone(d)
		for i := range signed {
			if signs>>i&1 == 0 {
				signed[i] = -d[i]
			}
		}
		if got, want := signedRank(signed), min(1, 2*count/float64(int(1)<<n)); !near(got, want) {
			t.Fatalf("%v: %v, want %v", signed, got, want)
		}
	}
}
