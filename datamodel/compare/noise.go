package compare

import (
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// Noise describes how much a metric of one command varies on a machine if nothing changes.
type Noise struct {
	Metric datamodel.Definition
	// N is the number of rounds with a value. Reason is why others lack it.
	N      int
	Reason string
	// Median is in the unit of the metric.
	Median float64
	// Variation is the standard deviation of one round, as a part of the median: that of neighbouring rounds, so that a drift
	// is no part of it. It is NaN with less than two pairs of rounds, and for values that are not above 0.
	Variation float64
	// Drift is the change from the first round to the last one, as a part of the median, by the median of all slopes (Theil and
	// Sen). It is NaN if Variation is.
	Drift float64
	// Verdict compares the rounds with even numbers with their neighbours, although nothing differs.
	Verdict Verdict
}

// Noises describes the metrics of a command. Metrics without a value are left out.
func (r Rule) Noises(b datamodel.Bench, command int, metrics []string) (list []Noise) {
	for _, name := range metrics {
		d, ok := datamodel.Lookup(name)
		values := b.Values(command, name)
		if s := stats.Summarize(values, r.Confidence); ok && s.N > 0 {
			list = append(list, r.noise(Noise{Metric: d, N: s.N, Median: s.Median.Value, Reason: reason(b.Of(command), name)}, values))
		}
	}
	return list
}

func (r Rule) noise(n Noise, values []float64) Noise {
	n.Variation, n.Drift, n.Verdict = math.NaN(), math.NaN(), Inconclusive
	var logs, base, fresh, steps []float64
	for _, v := range values {
		if v > 0 {
			logs = append(logs, math.Log(v))
		}
	}
	for i := 0; i+1 < len(logs); i += 2 {
		base, fresh = append(base, math.Exp(logs[i])), append(fresh, math.Exp(logs[i+1]))
		steps = append(steps, logs[i+1]-logs[i])
	}
	if len(steps) < 2 || len(logs) < n.N {
		return n
	}
	n.Variation = spread(steps) / math.Sqrt2
	n.Drift = math.Expm1(slope(logs) * float64(len(logs)-1))
	c := stats.ComparePaired(base, fresh, r.Confidence)
	n.Verdict = r.Judge(c, c.P, n.Metric.Better)
	return n
}

// spread returns the standard deviation of values by their quartiles, so that a few disturbed rounds move it little. If half
// of all values are equal, it is the ordinary standard deviation.
func spread(values []float64) float64 {
	const quartiles = 1.349 // the distance of the quartiles of a normal distribution, in standard deviations
	s := stats.Summarize(values, stats.Confidence)
	if by := (s.Upper - s.Lower) / quartiles; by > 0 {
		return by
	}
	return s.Std
}

// slope returns the median of the slopes between all values and those later, for each step.
func slope(values []float64) float64 {
	const most = 400 // values; more are thinned out, since their pairs grow as the square
	step := (len(values) + most - 1) / most
	var slopes []float64
	for i := 0; i < len(values); i += step {
		for j := i + step; j < len(values); j += step {
			slopes = append(slopes, (values[j]-values[i])/float64(j-i))
		}
	}
	return stats.Median(slopes)
}

// ThresholdPart is the threshold for which RoundsFor counts, as a part of the change: 3 % for a change of 5 %.
const ThresholdPart = 0.6

// RoundsFor returns how many rounds a side, in pairs, find a change of the given size in 80 % of all comparisons of one metric,
// if the threshold is 0.6 of the change. variation is that of Noise. It returns 0 if that is unknown or more than 10,000.
//
// The rule finds a change as Detectable says. The estimate of n pairs has the standard error of a mean, times √(π/3): the
// signed ranks need that much more than a mean if the values are normal. Three rounds more make up for what few rounds lack: their
// probabilities have coarse steps, and their spread is uncertain. TestRoundsFor simulates it.
func (r Rule) RoundsFor(variation, change float64) int {
	r.Threshold = ThresholdPart * change
	const few = 3
	alpha := 1 - r.Confidence
	least := r.LeastRounds(1, true)
	found := func(n int) bool {
		e := variation * math.Sqrt2 * math.Sqrt(math.Pi/3) / math.Sqrt(float64(n-few))
		return max(stats.NormalQuantile(1-alpha/2)*e, r.Threshold)+stats.NormalQuantile(power)*e <= math.Log1p(change)
	}
	if !(variation >= 0) || !found(mostNeeded) {
		return 0
	}
	n := least
	for !found(n) {
		n++
	}
	return n
}
