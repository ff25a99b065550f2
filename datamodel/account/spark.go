package account

import (
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

// sparkPoints is the largest number of means of a sparkline in the manifest.
const sparkPoints = 60

// sparks returns the content of Run.Spark, as means over equal parts of the run. The course "power" is the power of the
// sensors that make up the machine's energy. The course "cpu" is the busy share of the machine's CPUs. A course is
// present only if it was measured.
func sparks(list []*series.Series, energy energyChoice) map[string][]*float64 {
	out := make(map[string][]*float64)
	if power := total(energy.summed(), sparkPoints); power != nil {
		out[datamodel.SparkPower] = power
	}
	for _, s := range list {
		if s.Sensor().Use == sensors.CPUUtilization && s.Sensor().CPUs == "" {
			if cpu := total([]*series.Series{s}, sparkPoints); cpu != nil {
				out[datamodel.SparkCPU] = cpu
			}
		}
	}
	return out
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
