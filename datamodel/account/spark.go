package account

import (
	"math"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	// sparkPoints is the largest number of means of a machine's course in the manifest, commandPoints of a command's.
	sparkPoints   = 60
	commandPoints = 20
	// leastReadings is the least number of readings that make a course of the command in the manifest.
	leastReadings = 8
)

// sparks returns the content of Run.Spark: the courses of the chart, as means over equal parts of the run. A course is
// present only if it was measured. The command's courses need leastReadings.
func (h *host) sparks(chart datamodel.Chart, cpus cpuShares, gpus gpuShares) map[string][]*float64 {
	out := make(map[string][]*float64)
	put := func(name string, courses []datamodel.Course, most int, scale float64) {
		if points := points(chart.Means(courses, most), scale); points != nil {
			out[name] = points
		}
	}
	put(datamodel.SparkPower, chart.Course(datamodel.Power, datamodel.MachineCourse), sparkPoints, 1)
	put(datamodel.SparkCPU, chart.Course(datamodel.CourseCPU, datamodel.MachineCourse), sparkPoints, 1/float64(max(h.Machine.CPUs, 1)))
	command := func(name string, metrics ...string) {
		var courses []datamodel.Course
		most := int64(commandPoints)
		for _, metric := range metrics {
			of := chart.Course(metric, datamodel.CommandCourse)
			if len(of) == 0 {
				return
			}
			for _, c := range of {
				if c.Readings < leastReadings {
					return
				}
				most = min(most, c.Readings-1) // no more parts than steps between readings
			}
			courses = append(courses, of...)
		}
		put(name, courses, int(most), 1)
	}
	command(datamodel.SparkTargetCPU, datamodel.CourseCPU)
	command(datamodel.SparkTargetMemory, datamodel.Memory)
	command(datamodel.SparkTargetDisk, datamodel.DiskRead, datamodel.DiskWrite)
	// The command's share of the power is known for whole intervals of the division.
	known := (len(h.energy.cpu) == 0 || cpus.division.isCourse()) && (len(h.energy.gpus) == 0 || gpus.target.Reason == "")
	for _, g := range gpus.each {
		known = known && g.division.isCourse()
	}
	if known {
		command(datamodel.SparkTargetPower, datamodel.Power)
	}
	return out
}

// points returns values times scale with four significant digits, which is more than a bar shows and keeps the manifest small.
// NaN becomes nil. It returns nil if there is no value.
func points(values []float64, scale float64) []*float64 {
	out := make([]*float64, len(values))
	some := false
	for i, v := range values {
		v *= scale
		if math.IsNaN(v) {
			continue
		}
		if v != 0 {
			digits := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
			if r := math.Round(v*digits) / digits; !math.IsNaN(r) && !math.IsInf(r, 0) {
				v = r
			}
		}
		out[i], some = &v, true
	}
	if !some {
		return nil
	}
	return out
}
