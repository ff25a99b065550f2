package datamodel

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Chart holds the courses of one host in one round. All courses have the same grid: part i lasts from i × Step to (i+1) ×
// Step on the clock of elapsed in samples.parquet. It is what series.parquet stores and what every chart shows.
type Chart struct {
	// Round counts from 0.
	Round int
	Host  string
	Step  time.Duration
	// Parts is the number of parts, and the length of all slices in the courses.
	Parts   int
	Courses []Course
}

// Course is one line of a chart: a metric of one subject over the time of a run. A counter is unwrapped and shown as its
// rate. A part without readings is NaN.
type Course struct {
	// Metric is the name of a row of ChartMetrics.
	Metric  string
	Subject CourseSubject
	// Device is the device that the course belongs to. It is "" if the course is of the subject as a whole.
	Device string
	Unit   units.Unit
	// Readings is the number of readings behind the course. It is not stored.
	Readings int64
	// Values holds the means over the parts, in Unit. Least and Most are the extremes of the readings in each part, so that
	// no peak is lost if a part holds several readings.
	Values, Least, Most []float64
	// Covered holds the time in each part that has readings, in s. Values × Covered adds up to the whole amount: W to J.
	Covered []float64
}

// NewCourse returns a course of so many parts without readings.
func NewCourse(parts int) Course {
	all := make([]float64, 4*parts)
	part := func(i int) []float64 { return all[i*parts : (i+1)*parts : (i+1)*parts] }
	c := Course{Values: part(0), Least: part(1), Most: part(2), Covered: part(3)}
	for i := range parts {
		c.Values[i], c.Least[i], c.Most[i] = math.NaN(), math.NaN(), math.NaN()
	}
	return c
}

// CourseSubject says whose course it is. These words are stored in series.parquet.
type CourseSubject string

// The subjects. The power of the command, of others and of idle adds up to that of the machine, for each device and in
// each part.
const (
	CommandCourse CourseSubject = "command"
	OtherCourse   CourseSubject = "other"
	IdleCourse    CourseSubject = "idle"
	MachineCourse CourseSubject = "machine"
)

// The metrics of charts that are not in the catalogue. Others have the catalogue's name, such as Power and Memory.
const (
	CourseCPU            = "cpu"
	CourseGPUUtilization = "gpu.utilization"
	CourseGPUMemory      = "gpu.memory_used"
	CourseGPUTemperature = "gpu.temperature"
	CourseCPUPressure    = "cpu.pressure"
	CourseMemoryPressure = "memory.pressure"
	CourseDiskPressure   = "disk.pressure"
	// CourseOwn is a figure that the command told of. The device of the course is the name of the figure.
	CourseOwn = OwnFamily
)

// ChartMetric describes a metric of series.parquet.
type ChartMetric struct {
	Name string
	Unit units.Unit
	// Doc is one sentence without its period.
	Doc string
}

// ChartMetrics lists the metrics of charts, in the order in which they are stored and shown.
func ChartMetrics() []ChartMetric {
	return []ChartMetric{
		{Power, units.Watt, "power of each device in the machine's energy; with shares, each device has the same split into command, other and idle"},
		{CourseCPU, units.Ratio, "number of CPUs kept busy"},
		{Memory, units.Byte, "memory held by the command without page cache; of the machine, memory that cannot be freed without swapping"},
		{MemoryCharge, units.Byte, "charge of the command's cgroup, with page cache and kernel memory"},
		{DiskRead, units.BytesPerSecond, "bytes read from storage; of the machine, for each whole device"},
		{DiskWrite, units.BytesPerSecond, "bytes written to storage; of the machine, for each whole device"},
		{NetworkReceive, units.BytesPerSecond, "bytes received; of the machine, for each interface that counts in its sum"},
		{NetworkTransmit, units.BytesPerSecond, "bytes sent; of the machine, for each interface that counts in its sum"},
		{CourseGPUUtilization, units.Ratio, "share of the time in which the GPU ran a kernel; of command and other, their share of its multiprocessors"},
		{CourseGPUMemory, units.Byte, "memory of the GPU in use"},
		{CourseGPUTemperature, units.Celsius, "temperature of the GPU's die"},
		{CourseCPUPressure, units.Ratio, "share of the time in which some task waited for a CPU"},
		{CourseMemoryPressure, units.Ratio, "share of the time in which some task waited for memory"},
		{CourseDiskPressure, units.Ratio, "share of the time in which some task waited for a disk"},
		{ProcessesAlive, units.Processes, "live processes of the command"},
		{Threads, units.Threads, "threads of the command's live processes"},
		{CourseOwn, units.Ratio, "figure that the command told of, in its own unit; `device` is its name, and only parts in which it was told have rows"},
	}
}

// Course returns the courses with this metric and subject, one for each device.
func (c Chart) Course(metric string, subject CourseSubject) []Course {
	var out []Course
	for _, course := range c.Courses {
		if course.Metric == metric && course.Subject == subject {
			out = append(out, course)
		}
	}
	return out
}

// Span returns the first part that all of the courses have, and the part after the last one. They are equal if there is
// none.
func (c Chart) Span(courses []Course) (from, to int) {
	to = c.Parts
	for _, course := range courses {
		first, end := 0, c.Parts
		for first < end && !(course.Covered[first] > 0) {
			first++
		}
		for end > first && !(course.Covered[end-1] > 0) {
			end--
		}
		from, to = max(from, first), min(to, end)
	}
	return from, max(from, to)
}

// Means returns the sum of courses as means over n equal parts of the time that all of them span. There are fewer if the
// grid has no more. A part in which a course has readings for less than half of the time is NaN. Without courses it returns nil.
func (c Chart) Means(courses []Course, n int) []float64 {
	from, to := c.Span(courses)
	n = min(n, to-from)
	if len(courses) == 0 || n <= 0 {
		return nil
	}
	step := c.Step.Seconds()
	// The first and the last part of the grid are seldom full.
	begin, end := float64(to), float64(from)
	for _, course := range courses {
		begin = min(begin, float64(from+1)-course.Covered[from]/step)
		end = max(end, float64(to-1)+course.Covered[to-1]/step)
	}
	out := make([]float64, n)
	for _, course := range courses {
		for k := range out {
			left, right := begin+(end-begin)*float64(k)/float64(n), begin+(end-begin)*float64(k+1)/float64(n)
			amount, covered := 0.0, 0.0
			for i := int(left); i < to && float64(i) < right; i++ {
				if !(course.Covered[i] > 0) {
					continue
				}
				low, high := max(begin, float64(i)), min(end, float64(i+1))
				share := (min(right, high) - max(left, low)) / (high - low)
				amount += share * course.Covered[i] * course.Values[i]
				covered += share * course.Covered[i]
			}
			if covered > 0 && covered >= (right-left)/2*step {
				out[k] += amount / covered
			} else {
				out[k] = math.NaN()
			}
		}
	}
	return out
}
