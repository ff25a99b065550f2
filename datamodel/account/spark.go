package account

import (
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// sparkPoints is the largest number of means of a machine's course in the manifest, commandPoints of a command's.
	sparkPoints   = 60
	commandPoints = 20
	// leastReadings is the least number of readings that make a course of the command.
	leastReadings = 8
)

// sparks returns the content of Run.Spark, as means over equal parts of the run. A course is present only if it was
// measured. The command's courses need leastReadings, so a short command adds nothing to its manifest.
func (h *host) sparks(cpus cpuShares, gpus gpuShares) map[string][]*float64 {
	out := make(map[string][]*float64)
	put := func(name string, course []*float64) {
		if course != nil {
			out[name] = course
		}
	}
	put(datamodel.SparkPower, total(h.energy.summed(), sparkPoints))
	for _, s := range h.of(sensors.CPUUtilization, "") {
		put(datamodel.SparkCPU, total([]*series.Series{s}, sparkPoints))
	}
	put(datamodel.SparkTargetCPU, h.course(sensors.TargetCPU))
	put(datamodel.SparkTargetMemory, h.course(sensors.TargetMemory))
	put(datamodel.SparkTargetDisk, h.course(sensors.TargetRead, sensors.TargetWritten))
	if cpus.target.Reason == "" && (len(h.energy.gpus) == 0 || gpus.target.Reason == "") {
		var shares []share
		for _, list := range append([][]share{cpus.shares()}, gpus.eachShares()...) {
			if len(list) > 0 {
				shares = append(shares, list[0]) // the target's
			}
		}
		put(datamodel.SparkTargetPower, rates(shares))
	}
	return out
}

// course returns the course of the command in the series with these uses, added up. It is nil if there are too few readings.
func (h *host) course(uses ...sensors.Use) []*float64 {
	var list []*series.Series
	n := int64(commandPoints)
	for _, use := range uses {
		s := h.find(use)
		if s == nil || s.Count() < leastReadings {
			return nil
		}
		n = min(n, s.Count()-1) // no more parts than steps between readings
		list = append(list, s)
	}
	return rounded(total(list, int(n)))
}

// rates returns the sum of the rates of shares over time, in W. It is nil if a share has too few intervals.
func rates(shares []share) []*float64 {
	if len(shares) == 0 {
		return nil
	}
	n, from, to := commandPoints, time.Duration(math.MinInt64), time.Duration(math.MaxInt64)
	for _, s := range shares {
		if len(s.At) < leastReadings+1 {
			return nil
		}
		n, from, to = min(n, len(s.At)-1), max(from, s.At[0]), min(to, s.At[len(s.At)-1])
	}
	if to <= from {
		return nil
	}
	out := make([]*float64, n)
	edge := func(i int) time.Duration { return from + time.Duration(float64(to-from)*float64(i)/float64(n)) }
	for i := range out {
		sum := 0.0
		for _, s := range shares {
			sum += valueAt(s.Course, edge(i+1)) - valueAt(s.Course, edge(i))
		}
		out[i] = new(sum / (edge(i+1) - edge(i)).Seconds())
	}
	return rounded(out)
}

// valueAt returns the value of a course at a time, on a straight line between its two nearest values.
func valueAt(c datamodel.Course, at time.Duration) float64 {
	i, exact := slices.BinarySearch(c.At, at)
	switch {
	case exact:
		return c.Values[i]
	case i == 0:
		return c.Values[0]
	case i == len(c.At):
		return c.Values[i-1]
	}
	part := float64(at-c.At[i-1]) / float64(c.At[i]-c.At[i-1])
	return c.Values[i-1] + part*(c.Values[i]-c.Values[i-1])
}

// rounded rounds a course to four significant digits, which is more than a bar shows and keeps the manifest small.
func rounded(course []*float64) []*float64 {
	for i, v := range course {
		if v == nil || *v == 0 {
			continue
		}
		scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(*v))))
		if r := math.Round(*v*scale) / scale; !math.IsNaN(r) && !math.IsInf(r, 0) {
			course[i] = &r
		}
	}
	return course
}

// total returns the sum of the courses over the time that all of them span. A part is nil if one course has no reading
// in it.
func total(list []*series.Series, n int) []*float64 {
	if len(list) == 0 {
		return nil
	}
	from, to := list[0].From(), list[0].Drawn()
	for _, s := range list[1:] {
		from, to = max(from, s.From()), min(to, s.Drawn())
	}
	var sum []float64
	for _, s := range list {
		course := s.Course(n, from, to)
		if sum == nil {
			sum = course
			continue
		}
		for i := range course {
			sum[i] += course[i]
		}
	}
	if sum == nil {
		return nil
	}
	out := make([]*float64, len(sum))
	some := false
	for i := range sum {
		if !math.IsNaN(sum[i]) {
			out[i], some = &sum[i], true
		}
	}
	if !some {
		return nil
	}
	return out
}
