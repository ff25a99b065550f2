// Package compare judges changes between two sides of rounds: a base and something new. It holds the one rule for verdicts.
// It is pure: it uses no files and no clock.
package compare

import (
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// Verdict is the word for a change of one metric.
type Verdict string

const (
	// Regressed is a change for the worse that is beyond the threshold.
	Regressed Verdict = "regressed"
	// Improved is a change for the better that is beyond the threshold.
	Improved Verdict = "improved"
	// Unchanged is a change that is surely within the threshold.
	Unchanged Verdict = "unchanged"
	// Changed is a change beyond the threshold of a metric of which no value is better than another.
	Changed Verdict = "changed"
	// Inconclusive means that the rounds do not decide.
	Inconclusive Verdict = "inconclusive"
)

// Rule has what a verdict depends on.
type Rule struct {
	// Confidence is that of the intervals, such as 0.95.
	Confidence float64
	// Threshold is the smallest change that matters, as a part of the base: 0.03.
	Threshold float64
	// Thresholds has the threshold of single metrics, by name.
	Thresholds map[string]float64
}

// For returns the rule for a metric.
func (r Rule) For(metric string) Rule {
	if t, ok := r.Thresholds[metric]; ok {
		r.Threshold = t
	}
	r.Thresholds = nil
	return r
}

// DefaultMetrics are the metrics that are compared if nobody says which. Those without any value are left out.
func DefaultMetrics() []string {
	return []string{datamodel.WallTime, datamodel.CPUTime, datamodel.TargetEnergy, datamodel.Energy, datamodel.PeakMemory}
}

// Judge returns the verdict on a change. p is the probability that Comparison.P has after its correction for the number of
// comparisons.
//
// A change is regressed or improved if its interval lies beyond no change, its estimate beyond the threshold, and p below
// 1-Confidence. If no direction is better, such a change is changed. It is unchanged if its interval lies within ± the
// threshold. Otherwise it is inconclusive.
func (r Rule) Judge(c stats.Comparison, p float64, better datamodel.Direction) Verdict {
	ratio := c.Ratio
	if !ratio.Known() || math.IsNaN(p) {
		return Inconclusive
	}
	higher, lower := Regressed, Improved
	switch better {
	case datamodel.Higher:
		higher, lower = Improved, Regressed
	case datamodel.Neither:
		higher, lower = Changed, Changed
	case datamodel.Lower:
	}
	significant := p < 1-r.Confidence
	switch {
	case ratio.Low >= 1-r.Threshold && ratio.High <= 1+r.Threshold:
		return Unchanged
	case significant && ratio.Low > 1 && ratio.Value > 1+r.Threshold:
		return higher
	case significant && ratio.High < 1 && ratio.Value < 1-r.Threshold:
		return lower
	}
	return Inconclusive
}

// mostNeeded is the largest number of rounds that Needed tells. More would be no advice.
const mostNeeded = 10_000

// Needed estimates how many rounds a side an inconclusive change needs before it is decided: the interval narrows with the
// root of their number. If there is no interval yet, it is the least number of rounds with which any change can be decided.
// It returns 0 if that is unknown or more than 10,000, as for a change just at the threshold. comparisons is the number of
// comparisons that Holm's correction counts.
func (r Rule) Needed(c stats.Comparison, comparisons int, paired bool) int {
	if math.IsNaN(c.Ratio.Value) {
		return 0
	}
	n := min(c.Base, c.New)
	least := r.LeastRounds(comparisons, paired)
	if !c.Ratio.Known() {
		return max(least, n+1)
	}
	off := math.Abs(c.Ratio.Value - 1)
	wanted := r.Threshold - off // for unchanged
	if off > r.Threshold {
		wanted = off // for regressed and improved
	}
	if half := (c.Ratio.High - c.Ratio.Low) / 2; wanted > 0 && half > 0 {
		if more := math.Ceil(float64(n) * (half / wanted) * (half / wanted)); more <= mostNeeded {
			return max(int(more), n+1, least)
		}
	}
	return 0
}

// LeastRounds returns the least number of rounds a side with which a change can be regressed or improved, however large it is.
// With fewer rounds even the order in which all of one side are worse is too probable without a change.
func (r Rule) LeastRounds(comparisons int, paired bool) int {
	for n := 1; n < mostNeeded; n++ {
		p := stats.LeastP(n, n)
		if paired {
			p = stats.LeastPaired(n)
		}
		if p*float64(max(1, comparisons)) < 1-r.Confidence {
			return n
		}
	}
	return 0
}

// power is the part of all comparisons in which a change of the size of Detectable is found.
const power = 0.8

// Detectable returns the smallest change that the rule would find, as a part of the base: a true change of this size is
// regressed or improved in 80 % of all comparisons that have as many rounds and as much spread as this one. comparisons is
// the number of comparisons that Holm's correction counts. None of the others is taken to be decided, so in truth it may be
// less. The result is NaN if there is no interval, or if so few rounds cannot decide at all.
//
// The rule finds a change if its estimate is beyond the threshold and so many standard errors from 1 that the corrected
// probability is small enough. An estimate is normal, so 80 % of them are above the true change less 0.84 standard errors.
func (r Rule) Detectable(c stats.Comparison, comparisons int) float64 {
	alpha := (1 - r.Confidence) / float64(max(1, comparisons))
	if !c.Ratio.Known() || !(c.Least < alpha) {
		return math.NaN()
	}
	e := (c.Ratio.High - c.Ratio.Low) / 2 / c.Ratio.Value / stats.NormalQuantile(1-(1-r.Confidence)/2)
	return max(stats.NormalQuantile(1-alpha/2)*e, r.Threshold) + stats.NormalQuantile(power)*e
}
