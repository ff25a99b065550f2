package stats

import (
	"math"
	"slices"
	"sort"

	"github.com/aclements/go-moremath/stats"
)

// Comparison is what two samples say about a change.
type Comparison struct {
	// Base and New are the numbers of values that were compared. They are equal if the values are paired.
	Base, New int
	// Ratio is new/base with its interval: the Hodges–Lehmann estimate, the median of the ratios of all pairs. The interval
	// has the values of that ratio that the test does not reject. It is NaN if a sample is empty or its median is 0.
	Ratio Interval
	// P is the probability of a difference at least as large if there is no change: of the Wilcoxon signed-rank test if the
	// values are paired, of the Mann–Whitney test otherwise. It is NaN if there is no ratio.
	P float64
	// Least is the smallest P that so many values can have, however different they are. It is NaN if there is no ratio.
	Least float64
}

// Shift is the absolute change between two samples. It also exists if one of them is all 0.
type Shift struct {
	// Base and New are the numbers of values that were compared.
	Base, New int
	// Difference is new-base with its interval, as Comparison.Ratio for differences. It is NaN if a sample is empty.
	Difference Interval
	// P and Least are those of Comparison. They are NaN if a sample is empty.
	P, Least float64
}

// exactLimit is the largest sample for which the distribution of a rank statistic is computed. Beyond it the normal
// distribution is used, which is then off by less than 0.001.
const exactLimit = 50

// Compare compares two samples that were measured independently.
func Compare(base, fresh []float64, confidence float64) Comparison {
	return ratio(known(base), known(fresh), confidence, independent)
}

// ComparePaired compares two samples of rounds that were measured one beside the other: base[i] and fresh[i] share what the
// machine did at that time. A round with a missing value is left out. Both slices have the same length.
func ComparePaired(base, fresh []float64, confidence float64) Comparison {
	a, b := pairs(base, fresh)
	return ratio(a, b, confidence, paired)
}

// Difference is Compare for the absolute change.
func Difference(base, fresh []float64, confidence float64) Shift {
	return independent(known(base), known(fresh), confidence)
}

// DifferencePaired is ComparePaired for the absolute change.
func DifferencePaired(base, fresh []float64, confidence float64) Shift {
	a, b := pairs(base, fresh)
	return paired(a, b, confidence)
}

// ratio compares on a scale where a ratio is a difference.
func ratio(a, b []float64, confidence float64, test func(a, b []float64, confidence float64) Shift) Comparison {
	nan := math.NaN()
	c := Comparison{Base: len(a), New: len(b), Ratio: Interval{nan, nan, nan}, P: nan, Least: nan}
	if len(a) == 0 || len(b) == 0 {
		return c
	}
	x, y, back := scale(a, b)
	s := test(x, y, confidence)
	c.Ratio = Interval{back(s.Difference.Value), back(s.Difference.Low), back(s.Difference.High)}
	if !math.IsNaN(c.Ratio.Value) {
		c.P, c.Least = s.P, s.Least
	}
	return c
}

// pairs returns the values of the rounds that have both.
func pairs(base, fresh []float64) (a, b []float64) {
	for i := range base {
		if !math.IsNaN(base[i]) && !math.IsNaN(fresh[i]) {
			a, b = append(a, base[i]), append(b, fresh[i])
		}
	}
	return a, b
}

// independent compares two samples without missing values by all differences between them.
func independent(x, y []float64, confidence float64) Shift {
	n, m := len(x), len(y)
	s := unknown(n, m)
	if n == 0 || m == 0 {
		return s
	}
	x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	all := n * m
	kth := func(k int) float64 {
		return bisect(y[0]-x[n-1], y[m-1]-x[0], k, differencesUpTo(x, y), differencesBetween(x, y))
	}
	s.Difference.Value = 0.5 * (kth((all+1)/2) + kth(all/2+1))
	if k := rankOfU(n, m, (1-confidence)/2); k > 0 {
		s.Difference.Low, s.Difference.High = kth(k), kth(all-k+1)
	}
	s.P, s.Least = mannWhitney(x, y), LeastP(n, m)
	return s
}

// paired compares pairs without missing values by the means of all pairs of their differences.
func paired(x, y []float64, confidence float64) Shift {
	n := len(x)
	s := unknown(n, n)
	if n == 0 {
		return s
	}
	d := make([]float64, n)
	for i := range x {
		d[i] = y[i] - x[i]
	}
	slices.Sort(d)
	all := n * (n + 1) / 2
	kth := func(k int) float64 { return bisect(2*d[0], 2*d[n-1], k, sumsUpTo(d), sumsBetween(d)) / 2 }
	s.Difference.Value = 0.5 * (kth((all+1)/2) + kth(all/2+1))
	if k := rankOfW(n, (1-confidence)/2); k > 0 {
		s.Difference.Low, s.Difference.High = kth(k), kth(all-k+1)
	}
	s.P, s.Least = signedRank(d), LeastPaired(n)
	return s
}

// LeastP returns the smallest probability that the Mann–Whitney test can give for samples of n and m values: two of all
// orders of the values.
func LeastP(n, m int) float64 {
	p := 2.0
	for i := 1; i <= n; i++ { // divided by n+m over n
		p *= float64(i) / float64(m+i)
	}
	return min(1, p)
}

// LeastPaired returns the smallest probability that the signed-rank test can give for n pairs: two of all combinations of signs.
func LeastPaired(n int) float64 { return min(1, math.Pow(2, float64(1-n))) }

func unknown(base, fresh int) Shift {
	nan := math.NaN()
	return Shift{Base: base, New: fresh, Difference: Interval{nan, nan, nan}, P: nan, Least: nan}
}

// scale returns the values on a scale where a ratio is a difference, and the way back from a difference to a ratio. That is
// the logarithm if all values are above 0. Otherwise the difference is set in relation to the median of the base.
func scale(base, fresh []float64) (x, y []float64, back func(float64) float64) {
	if slices.Min(base) > 0 && slices.Min(fresh) > 0 {
		return logs(base), logs(fresh), math.Exp
	}
	sorted := slices.Sorted(slices.Values(base))
	whole := quantile(sorted, 0.5)
	if !(whole > 0) {
		return slices.Clone(base), slices.Clone(fresh), func(float64) float64 { return math.NaN() }
	}
	return slices.Clone(base), slices.Clone(fresh), func(d float64) float64 { return 1 + d/whole }
}

func logs(values []float64) []float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		list[i] = math.Log(v)
	}
	return list
}

// fewLeft is how many numbers are listed to find one of them. More are halved first.
const fewLeft = 64

// bisect returns the kth smallest of many numbers between low and high, counted from 1. upTo returns how many of them are at
// most v, and between lists those above low and at most high. Few of the numbers are ever listed: 1,000 rounds on both sides
// have a million differences.
func bisect(low, high float64, k int, upTo func(v float64) int, between func(low, high float64) []float64) float64 {
	below, above := upTo(low), upTo(high)
	if below >= k {
		return low
	}
	for above-below > fewLeft {
		middle := low + (high-low)/2
		if middle <= low || middle >= high {
			return high
		}
		if n := upTo(middle); n >= k {
			high, above = middle, n
		} else {
			low, below = middle, n
		}
	}
	list := between(low, high)
	slices.Sort(list)
	return list[k-below-1]
}

// differencesBetween lists the differences y-x above low and at most high. x and y are sorted.
func differencesBetween(x, y []float64) func(low, high float64) []float64 {
	return func(low, high float64) (list []float64) {
		first := 0
		for _, from := range x {
			for first < len(y) && y[first]-from <= low {
				first++
			}
			for j := first; j < len(y) && y[j]-from <= high; j++ {
				list = append(list, y[j]-from)
			}
		}
		return list
	}
}

// sumsBetween lists the sums d[i]+d[j] with i <= j above low and at most high. d is sorted.
func sumsBetween(d []float64) func(low, high float64) []float64 {
	return func(low, high float64) (list []float64) {
		for i := range d {
			j := i + sort.Search(len(d)-i, func(k int) bool { return d[i]+d[i+k] > low })
			for ; j < len(d) && d[i]+d[j] <= high; j++ {
				list = append(list, d[i]+d[j])
			}
		}
		return list
	}
}

// differencesUpTo counts the pairs with y-x <= v. x and y are sorted.
func differencesUpTo(x, y []float64) func(v float64) int {
	return func(v float64) (count int) {
		j := 0
		for _, from := range x {
			for j < len(y) && y[j]-from <= v {
				j++
			}
			count += j
		}
		return count
	}
}

// sumsUpTo counts the pairs i <= j with d[i]+d[j] <= v. d is sorted.
func sumsUpTo(d []float64) func(v float64) int {
	return func(v float64) (count int) {
		j := len(d) - 1
		for i := range d {
			for j >= i && d[i]+d[j] > v {
				j--
			}
			if j < i {
				break
			}
			count += j - i + 1
		}
		return count
	}
}

// rankOfU returns the largest k for which the Mann–Whitney statistic of samples without a change is below k with at most the
// given probability. It returns 0 if there is none.
func rankOfU(n, m int, tail float64) int {
	if n > exactLimit || m > exactLimit {
		x, y := float64(n), float64(m)
		return max(0, int(x*y/2-NormalQuantile(1-tail)*math.Sqrt(x*y*(x+y+1)/12)))
	}
	d := stats.UDist{N1: n, N2: m}
	low, high := 0, n*m/2+1 // P(U < low) <= tail, and more for high
	for high-low > 1 {
		k := (low + high) / 2
		if d.CDF(float64(k-1)) <= tail {
			low = k
		} else {
			high = k
		}
	}
	return low
}

// rankOfW is rankOfU for the signed-rank statistic of n pairs.
func rankOfW(n int, tail float64) int {
	if n > exactLimit {
		x := float64(n)
		return max(0, int(x*(x+1)/4-NormalQuantile(1-tail)*math.Sqrt(x*(x+1)*(2*x+1)/24)))
	}
	sum := 0.0
	for k, p := range signedRanks(n) {
		if sum += p; sum > tail {
			return k
		}
	}
	return 0
}

// signedRanks returns the probability of each value of the signed-rank statistic of n pairs without ties.
func signedRanks(n int) []float64 {
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	return sumsOf(ranks)
}

// sumsOf returns the probability of each sum of ranks, if every rank is part of the sum with a probability of one half.
func sumsOf(ranks []int) []float64 {
	whole := 0
	for _, rank := range ranks {
		whole += rank
	}
	p := make([]float64, whole+1)
	p[0] = 1
	for most, i := 0, 0; i < len(ranks); i++ {
		most += ranks[i]
		for w := most; w >= 0; w-- {
			p[w] /= 2
			if w >= ranks[i] {
				p[w] += p[w-ranks[i]] / 2
			}
		}
	}
	return p
}

// mannWhitney returns the probability of a difference in ranks at least as large without a change. It is 1 if all values are
// equal.
func mannWhitney(x, y []float64) float64 {
	r, err := stats.MannWhitneyUTest(x, y, stats.LocationDiffers)
	if err != nil {
		return 1
	}
	return min(r.P, 1)
}

// signedRank returns the two-sided probability of Wilcoxon's signed-rank test. Pairs without a difference are left out
// (Wilcoxon, 1945). Equal differences share the mean of their ranks, and the distribution is that of these ranks.
func signedRank(differences []float64) float64 {
	var d []float64
	for _, v := range differences {
		if v != 0 {
			d = append(d, v)
		}
	}
	n := len(d)
	if n == 0 {
		return 1
	}
	slices.SortFunc(d, compareSizes)
	ranks := make([]int, 0, n) // twice the ranks, which are then whole numbers
	up, down, ties := 0, 0, 0.0
	for i := 0; i < n; {
		j := i
		for j < n && compareSizes(d[i], d[j]) == 0 {
			j++
		}
		rank, same := i+j+1, float64(j-i)
		ties += same*same*same - same
		for ; i < j; i++ {
			ranks = append(ranks, rank)
			if d[i] > 0 {
				up += rank
			} else {
				down += rank
			}
		}
	}
	w := min(up, down)
	if n <= exactLimit {
		sum := 0.0
		for _, p := range sumsOf(ranks)[:w+1] {
			sum += p
		}
		return min(1, 2*sum)
	}
	x := float64(n)
	sigma := math.Sqrt(x*(x+1)*(2*x+1)/24 - ties/48)
	return min(1, math.Erfc(max(0, x*(x+1)/4-float64(w)/2-0.5)/sigma/math.Sqrt2))
}

func compareSizes(a, b float64) int {
	switch a, b = math.Abs(a), math.Abs(b); {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// NormalQuantile is the inverse of the standard normal distribution.
func NormalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Holm returns the probabilities corrected for the number of tests (Holm, 1979), in the same order. NaN is no test.
func Holm(p []float64) []float64 {
	order := make([]int, 0, len(p))
	out := slices.Clone(p)
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return compareSizes(p[a], p[b]) })
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, p[i]*float64(len(order)-rank)))
		out[i] = least
	}
	return out
}
