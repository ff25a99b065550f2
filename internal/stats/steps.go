package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// leastLevel is the fewest values that make a level between two steps.
	leastLevel = 3
	// places is the largest number of places at which a step is looked for at first. A longer series is searched in blocks, and
	// then within the levels.
	places = 120
	// sureFactor is how much a probability must be below alpha before no permutations are made to confirm it.
	sureFactor = 0.1
	// ramp is the share of a step's error that a straight line may have at most before it counts as the better description.
	ramp = 0.9
)

// Steps finds where the level of a series changes. It returns the indices of the first values after a change, in order. The
// values are in the order of time, and none is missing.
//
// In a series without a change, Steps finds one with a probability of at most alpha. It works on ranks, so a single value far
// off is no change. The method is circular binary segmentation (Olshen and Venkatraman, 2004): it looks for the stretch whose
// ranks differ most from all others, and asks how often a random order of the values has a stretch that differs as much. It then
// looks within the parts. A change counts only if the Mann–Whitney test separates the levels on its two sides, and if no
// straight line describes both levels better: a slow drift has no step.
//
// The random orders have a fixed seed, so the same series has the same steps.
func Steps(values []float64, alpha float64) []int {
	s := stepper{values: values, alpha: alpha, random: rand.New(rand.NewPCG(1, 2))}
	s.split(0, len(values))
	return s.confirmed()
}

type stepper struct {
	values []float64
	alpha  float64
	random *rand.Rand
	cuts   []int
}

// split looks for changes in the values from low to high, and adds them to the cuts.
func (s *stepper) split(low, high int) {
	if high-low < 2*leastLevel {
		return
	}
	r := ranked(s.values[low:high])
	from, to, z2 := r.arc()
	if z2 == 0 || !s.surprising(r, z2) {
		return
	}
	bounds := []int{low}
	for _, at := range []int{low + from, low + to} {
		if at != low && at != high {
			s.cuts = append(s.cuts, at)
			bounds = append(bounds, at)
		}
	}
	bounds = append(bounds, high)
	for i := range bounds[1:] {
		s.split(bounds[i], bounds[i+1])
	}
}

// ranks are the ranks of some values, less their mean.
type ranks struct {
	of []float64
	// variance is theirs, 0 if all values are equal.
	variance float64
	// places are where a stretch may begin or end.
	places []int
	sums   []float64
	// single leaves out stretches that do not begin with the first value, so that there is one step at most.
	single bool
}

// ranked returns the ranks of values. Equal values share the mean of their ranks.
func ranked(values []float64) *ranks {
	n := len(values)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	r := &ranks{of: make([]float64, n)}
	for i := 0; i < n; {
		j := i
		for j < n && values[order[j]] == values[order[i]] {
			j++
		}
		rank := float64(i+j-1)/2 - float64(n-1)/2
		r.variance += rank * rank * float64(j-i) / float64(n)
		for ; i < j; i++ {
			r.of[order[i]] = rank
		}
	}
	block := (n + places - 1) / places
	for at := 0; at < n; at += block {
		r.places = append(r.places, at)
	}
	r.places = append(r.places, n)
	r.sums = make([]float64, len(r.places))
	return r
}

// arc returns the stretch whose ranks differ most from the others, and the square of how much: of the difference in units of
// its standard deviation in a random order. It is 0 if all values are equal.
func (r *ranks) arc() (from, to int, z2 float64) {
	if r.variance == 0 {
		return 0, 0, 0
	}
	for p := range r.places[1:] {
		sum := r.sums[p]
		for _, v := range r.of[r.places[p]:r.places[p+1]] {
			sum += v
		}
		r.sums[p+1] = sum
	}
	n, last, block := len(r.of), len(r.places)-1, r.places[1]
	try := func(p, q int, d float64) {
		i, j := r.places[p], r.places[q]
		if k := float64(j - i); j-i >= leastLevel && n-j+i >= leastLevel {
			if z := d * d * float64(n-1) / (r.variance * k * (float64(n) - k)); z > z2 {
				from, to, z2 = i, j, z
			}
		}
	}
	margin := (leastLevel + block - 1) / block // in places
	for length := 1; length < last; length++ {
		try(0, length, r.sums[length]) // from the first value on
		if r.single {
			continue
		}
		try(last-length, last, -r.sums[last-length]) // up to the last value
		// Between them all stretches of a length have the same number of values, so the largest difference decides.
		best, at := 0.0, -1
		if end := last - length - margin; end >= margin {
			begins := r.sums[margin : end+1]
			ends := r.sums[margin+length:][:len(begins)]
			for p, before := range begins {
				d := ends[p] - before
				if d < 0 {
					d = -d
				}
				if d > best {
					best, at = d, margin+p
				}
			}
		}
		if at >= 0 {
			try(at, at+length, best)
		}
	}
	return from, to, z2
}

// surprising reports whether less than alpha of all orders of the values have a stretch that differs as much as z2 tells.
func (s *stepper) surprising(r *ranks, z2 float64) bool {
	all := float64(len(r.places)*(len(r.places)-1)) / 2
	if r.single {
		all = float64(len(r.places))
	}
	if all*math.Erfc(math.Sqrt(z2/2)) < s.alpha*sureFactor { // by Bonferroni
		return true
	}
	const most = 10 // exceeding orders of most/alpha
	shuffled := *r
	shuffled.of = slices.Clone(r.of)
	exceeding := 1 // the order as it is
	for range int(most/s.alpha) - 1 {
		s.random.Shuffle(len(shuffled.of), func(i, j int) { shuffled.of[i], shuffled.of[j] = shuffled.of[j], shuffled.of[i] })
		if _, _, other := shuffled.arc(); other >= z2 {
			if exceeding++; exceeding >= most {
				return false
			}
		}
	}
	return true
}

// confirmed moves each cut to the best place between its neighbours, and leaves out the cuts that are none.
func (s *stepper) confirmed() []int {
	slices.Sort(s.cuts)
	cuts := slices.Compact(s.cuts)
	for {
		for i := range cuts {
			low, high := s.around(cuts, i)
			cuts[i] = low + s.best(low, high)
		}
		drop, least := -1, 0.0
		for i, at := range cuts {
			low, high := s.around(cuts, i)
			r := ranked(s.values[low:high])
			r.single = true
			_, _, z2 := r.arc()
			if !r.drifts(at-low) && s.surprising(r, z2) {
				continue
			}
			if p := mannWhitney(s.values[low:at], s.values[at:high]); p >= least {
				drop, least = i, p
			}
		}
		if drop < 0 {
			return cuts
		}
		cuts = slices.Delete(cuts, drop, drop+1)
	}
}

// around returns the values between the neighbours of a cut.
func (s *stepper) around(cuts []int, i int) (low, high int) {
	high = len(s.values)
	if i > 0 {
		low = cuts[i-1]
	}
	if i+1 < len(cuts) {
		high = cuts[i+1]
	}
	return low, high
}

// best returns where two levels describe the values best: first by ranks, then by the distances from the medians of both sides.
// A single value counts at most as much as the step is high.
func (s *stepper) best(low, high int) int {
	values := s.values[low:high]
	at := ranked(values).best()
	for range 3 {
		before, after := middle(values[:at]), middle(values[at:])
		best, sum, least := at, 0.0, math.Inf(1)
		for i, v := range values {
			if i >= leastLevel && len(values)-i >= leastLevel && sum < least {
				best, least = i, sum
			}
			sum += math.Abs(v-before) - math.Abs(v-after)
		}
		if best == at {
			break
		}
		at = best
	}
	return at
}

func middle(values []float64) float64 { return quantile(slices.Sorted(slices.Values(values)), 0.5) }

// best returns where two levels describe the ranks best.
func (r *ranks) best() int {
	n, sum := float64(len(r.of)), 0.0
	at, most := len(r.of)/2, 0.0
	for i, v := range r.of {
		if k := float64(i); i >= leastLevel && len(r.of)-i >= leastLevel {
			if b := sum * sum / (k * (n - k)); b > most {
				at, most = i, b
			}
		}
		sum += v
	}
	return at
}

// drifts reports whether a straight line describes the ranks better than two levels with a step.
func (r *ranks) drifts(step int) bool {
	n := float64(len(r.of))
	before, cross := 0.0, 0.0
	for i, v := range r.of {
		if i < step {
			before += v
		}
		cross += v * (float64(i) - (n-1)/2)
	}
	k, all := float64(step), r.variance*n
	levels := all - before*before*n/(k*(n-k))
	line := all - cross*cross/(n*(n*n-1)/12)
	return line < ramp*levels
}
