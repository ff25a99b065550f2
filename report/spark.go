package report

import (
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// leastSpark is the smallest number of values that make a course.
const leastSpark = 3

// spark returns the course with this name. A part of the run without a reading is NaN. It returns nil if there are fewer
// than leastSpark values.
func spark(run datamodel.Run, name string) []float64 {
	values := make([]float64, len(run.Spark[name]))
	n := 0
	for i, v := range run.Spark[name] {
		values[i] = math.NaN()
		if v != nil && !math.IsInf(*v, 0) && !math.IsNaN(*v) {
			values[i] = *v
			n++
		}
	}
	if n < leastSpark {
		return nil
	}
	return values
}

// squeeze reduces the values to at most n. Each result is the mean of the values that it replaces.
func squeeze(values []float64, n int) []float64 {
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		var sum, count float64
		for _, v := range values[i*len(values)/n : (i+1)*len(values)/n] {
			if !math.IsNaN(v) {
				sum, count = sum+v, count+1
			}
		}
		out[i] = sum / count // NaN if all are missing
	}
	return out
}

// highest returns the largest value that is not NaN, or 0 if all are negative.
func highest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if v > top {
			top = v
		}
	}
	return top
}

// bars draws the values as bars, one column each. A gap is a space. The scale begins at 0, so that small changes look small.
func bars(values []float64, unicode bool) string {
	levels := []rune(".:-=+*#@")
	if unicode {
		levels = []rune("▁▂▃▄▅▆▇█")
	}
	top := highest(values)
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case v <= 0:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(len(levels)-1, int(v/top*float64(len(levels))))])
		}
	}
	return b.String()
}
