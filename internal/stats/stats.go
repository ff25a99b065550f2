// Package stats describes samples of measurements and compares two of them. It makes no assumption about the distribution
// of the values: all of it works on ranks. NaN is a missing value and is left out.
//
// What benchstat's library has comes from there: the median with its interval, and the Mann–Whitney test. Ours is what it
// lacks: the ratio of two samples with its interval, paired rounds, Holm's correction, and the rounds that are still needed.
package stats

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Confidence is the confidence of all intervals that ergon shows.
const Confidence = 0.95

// Interval is an estimate with its confidence interval. Low and High are NaN if there are too few values for an interval.
type Interval struct {
	Value, Low, High float64
}

// Known reports whether there is an interval.
func (i Interval) Known() bool { return !math.IsNaN(i.Low) && !math.IsNaN(i.High) }

// Summary describes one sample.
type Summary struct {
	// N is the number of values that are not missing.
	N int
	// Median has the interval of order statistics, which needs six values at a confidence of 0.95.
	Median Interval
	// Mean, Std and the rest are NaN if N is 0. Std is that of a sample (N-1) and is NaN if N is 1.
	Mean, Std, Min, Max float64
	// Lower and Upper are the quartiles, interpolated between neighbours (type 7 of Hyndman and Fan, 1996).
	Lower, Upper float64
	// Outliers are the indices of the values that are far from the median, in the sample as it was given.
	Outliers []int
}

// farAway is the modified Z-score from which a value is an outlier, as Iglewicz and Hoaglin recommend (1993). It marks one
// value of 2,000 in a normal sample. hyperfine marks values beyond a score of 10.
const farAway = 3.5

// Summarize describes a sample. The interval of the median has the given confidence.
func Summarize(values []float64, confidence float64) Summary {
	sorted := known(values)
	slices.Sort(sorted)
	nan := math.NaN()
	s := Summary{N: len(sorted), Median: Interval{nan, nan, nan}, Mean: nan, Std: nan, Min: nan, Max: nan, Lower: nan, Upper: nan}
	if s.N == 0 {
		return s
	}
	s.Median = median(sorted, confidence)
	s.Min, s.Max = sorted[0], sorted[s.N-1]
	s.Lower, s.Upper = quantile(sorted, 0.25), quantile(sorted, 0.75)
	s.Mean = mean(sorted)
	if s.N > 1 {
		sum := 0.0
		for _, v := range sorted {
			sum += (v - s.Mean) * (v - s.Mean)
		}
		s.Std = math.Sqrt(sum / float64(s.N-1))
	}
	s.Outliers = outliers(values, s.Median.Value)
	return s
}

// median returns the median of sorted values. The interval is between two of the values.
func median(sorted []float64, confidence float64) Interval {
	thresholds := benchmath.DefaultThresholds
	got := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(sorted), &thresholds), confidence)
	if got.Confidence < confidence || math.IsInf(got.Lo, 0) || math.IsInf(got.Hi, 0) {
		return Interval{got.Center, math.NaN(), math.NaN()}
	}
	return Interval{got.Center, got.Lo, got.Hi}
}

// Median returns the median of a sample. It is NaN if all values are missing.
func Median(values []float64) float64 {
	sorted := known(values)
	slices.Sort(sorted)
	return quantile(sorted, 0.5)
}

// outliers returns the indices of the values whose modified Z-score is above farAway. The score is the distance from the
// median in units of the median of these distances.
func outliers(values []float64, center float64) (list []int) {
	distances := make([]float64, 0, len(values))
	for _, v := range known(values) {
		distances = append(distances, math.Abs(v-center))
	}
	slices.Sort(distances)
	unit := quantile(distances, 0.5)
	if unit == 0 {
		return nil
	}
	for i, v := range values {
		if 0.6745*math.Abs(v-center)/unit > farAway {
			list = append(list, i)
		}
	}
	return list
}

// known returns the values that are not missing, as a new slice.
func known(values []float64) []float64 {
	list := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			list = append(list, v)
		}
	}
	return list
}

// mean returns the arithmetic mean. It divides first, so that it does not overflow.
func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// quantile returns the value below which the given part of the sorted values lies.
func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := part * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
