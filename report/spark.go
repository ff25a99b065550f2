package report

import (
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// leastSpark is the least number of values that have a course.
const leastSpark = 3

// spark is the course of what is named, NaN where a part of the run has no reading; nil where there is too little of it.
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

// squeeze makes at most n values of them, each the mean of those it stands for.
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
		out[i] = sum / count // NaN where all are missing.
	}
	return out
}

// highest is the greatest value that is not NaN, at least 0.
func highest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if v > top {
			top = v
		}
	}
	return top
}

// bars draws the values from 0 to their highest, one column each, a gap as a space. Beginning at 0 a change of a tenth
// looks like one.
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
