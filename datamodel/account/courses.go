package account

import (
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// leastCourse is the least number of readings that make a course: two parts of the run.
const leastCourse = 3

// drawing is a course that one sensor of each device gives.
type drawing struct {
	metric  string
	subject datamodel.CourseSubject
	unit    units.Unit
	use     sensors.Use
	// whole means that only the sensor of all processors counts.
	whole bool
}

// drawings lists the courses that need no model.
func drawings() []drawing {
	const command, other, machine = datamodel.CommandCourse, datamodel.OtherCourse, datamodel.MachineCourse
	return []drawing{
		{datamodel.CourseCPU, command, units.Ratio, sensors.TargetCPU, false},
		{datamodel.CourseCPU, machine, units.Ratio, sensors.CPUUtilization, true},
		{datamodel.Memory, command, units.Byte, sensors.TargetMemory, false},
		{datamodel.Memory, machine, units.Byte, sensors.MemoryUsed, false},
		{datamodel.MemoryCharge, command, units.Byte, sensors.TargetCharge, false},
		{datamodel.DiskRead, command, units.BytesPerSecond, sensors.TargetRead, false},
		{datamodel.DiskRead, machine, units.BytesPerSecond, sensors.DiskRead, false},
		{datamodel.DiskWrite, command, units.BytesPerSecond, sensors.TargetWritten, false},
		{datamodel.DiskWrite, machine, units.BytesPerSecond, sensors.DiskWritten, false},
		{datamodel.NetworkReceive, command, units.BytesPerSecond, sensors.TargetReceived, false},
		{datamodel.NetworkReceive, machine, units.BytesPerSecond, sensors.NetworkReceived, false},
		{datamodel.NetworkTransmit, command, units.BytesPerSecond, sensors.TargetSent, false},
		{datamodel.NetworkTransmit, machine, units.BytesPerSecond, sensors.NetworkSent, false},
		{datamodel.CourseGPUUtilization, command, units.Ratio, sensors.GPUTargetTime, false},
		{datamodel.CourseGPUUtilization, other, units.Ratio, sensors.GPUOtherTime, false},
		{datamodel.CourseGPUUtilization, machine, units.Ratio, sensors.GPUUtilization, false},
		{datamodel.CourseGPUMemory, command, units.Byte, sensors.GPUTargetMemory, false},
		{datamodel.CourseGPUMemory, machine, units.Byte, sensors.GPUMemory, false},
		{datamodel.CourseGPUTemperature, machine, units.Celsius, sensors.GPUTemperature, false},
		{datamodel.CourseCPUPressure, machine, units.Ratio, sensors.CPUPressure, false},
		{datamodel.CourseMemoryPressure, machine, units.Ratio, sensors.MemoryPressure, false},
		{datamodel.CourseDiskPressure, machine, units.Ratio, sensors.DiskPressure, false},
		{datamodel.ProcessesAlive, command, units.Processes, sensors.TargetProcesses, false},
		{datamodel.Threads, command, units.Threads, sensors.TargetThreads, false},
	}
}

// of reports whether a sensor gives this course of one device.
func (l drawing) of(s *sensors.Sensor) bool { return s.Use == l.use && (!l.whole || s.CPUs == "") }

// Charted returns a function that reports whether charts show what a sensor reads, or need it for the shares of a power. Its
// series then needs a fine course (Series.Chart).
func Charted() func(sensors.Sensor) bool {
	uses := make(map[sensors.Use]bool) // true if only the sensor of all processors counts
	for _, l := range drawings() {
		uses[l.use] = l.whole
	}
	for _, m := range cpuModes() {
		if m.busy {
			uses[m.use] = true
		}
	}
	return func(s sensors.Sensor) bool {
		whole, shown := uses[s.Use]
		return shown && (!whole || s.CPUs == "") || isEnergy(&s)
	}
}

// chart returns the courses of the host. It has none if the run was too short for one.
func (h *host) chart(cpus cpuShares, gpus gpuShares) datamodel.Chart {
	out := datamodel.Chart{Host: h.name()}
	var end time.Duration
	grid := func(s *series.Series) bool {
		if s.Count() < leastCourse || !s.HasCourse() {
			return false
		}
		out.Step, end = max(out.Step, s.Step()), max(end, s.Drawn())
		return true
	}
	var powers, others []*series.Series
	var of []drawing // of the others
	for _, s := range h.energy.summed() {
		if grid(s) {
			powers = append(powers, s)
		}
	}
	for _, l := range drawings() {
		for _, s := range h.Series {
			if l.of(s.Sensor()) && grid(s) {
				others, of = append(others, s), append(of, l)
			}
		}
	}
	if end <= 0 {
		return out
	}
	out.Parts = int((end + out.Step - 1) / out.Step)
	divisions := []division{cpus.division}
	for _, g := range gpus.each {
		divisions = append(divisions, g.division)
	}
	for _, s := range powers {
		machine := drawn(out, s, datamodel.Power, datamodel.MachineCourse, units.Watt, 1)
		out.Courses = append(out.Courses, machine)
		for _, d := range divisions {
			out.Courses = append(out.Courses, d.drawn(out, s, machine)...)
		}
	}
	for i, s := range others {
		scale := 1.0
		if of[i].use == sensors.CPUUtilization { // a share of all CPUs
			scale = float64(max(h.Machine.CPUs, 1))
		}
		out.Courses = append(out.Courses, drawn(out, s, of[i].metric, of[i].subject, of[i].unit, scale))
	}
	out.Courses = append(out.Courses, h.told(out)...)
	return out
}

// told returns the courses of the figures that the command told of. Only the parts in which it told one have a value: nobody
// knows the figure in between.
func (h *host) told(on datamodel.Chart) []datamodel.Course {
	at := make(map[string]int)
	var out []datamodel.Course
	for _, s := range h.Series {
		if s.Sensor().Family != datamodel.OwnFamily {
			continue
		}
		c := blank(on, s, datamodel.CourseOwn, datamodel.CommandCourse, s.Sensor().Unit)
		c.Device = s.Sensor().Name
		at[c.Device] = len(out)
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil
	}
	counts := make(map[[2]int]float64) // of the readings in a part of a course
	for _, m := range h.Told {
		k, known := at[m.Name]
		i := int(m.At / on.Step)
		if m.Kind != datamodel.MetricMark || !known || m.At < 0 || i >= on.Parts {
			continue
		}
		c := out[k]
		n := counts[[2]int{k, i}] + 1
		counts[[2]int{k, i}] = n
		if n == 1 {
			c.Values[i], c.Least[i], c.Most[i], c.Covered[i] = m.Value, m.Value, m.Value, on.Step.Seconds()
			continue
		}
		c.Values[i] += (m.Value - c.Values[i]) / n
		c.Least[i], c.Most[i] = min(c.Least[i], m.Value), max(c.Most[i], m.Value)
	}
	return out
}

// drawn returns the course of a series on the grid of a chart. Its values are multiplied by scale.
func drawn(
	on datamodel.Chart, s *series.Series, metric string, subject datamodel.CourseSubject, unit units.Unit, scale float64,
) datamodel.Course {
	c := blank(on, s, metric, subject, unit)
	for i := range on.Parts {
		from := time.Duration(i) * on.Step
		p := s.Part(from, from+on.Step)
		c.Values[i], c.Least[i], c.Most[i], c.Covered[i] = scale*p.Mean, scale*p.Least, scale*p.Most, p.Covered
	}
	return c
}

// blank returns a course of the series' device without values.
func blank(on datamodel.Chart, s *series.Series, metric string, subject datamodel.CourseSubject, unit units.Unit) datamodel.Course {
	c := datamodel.NewCourse(on.Parts)
	c.Metric, c.Subject, c.Device, c.Unit, c.Readings = metric, subject, s.Sensor().Device, unit, s.Count()
	return c
}

// piece is the time that a part of a grid and an interval of a division have in common.
type piece struct {
	part     int
	from, to time.Duration
}

// pieces returns the pieces of interval k within the grid. The first and the last interval last to its ends.
func (d division) pieces(on datamodel.Chart, k int) []piece {
	from, to := d.edges[k], d.edges[k+1]
	if k == 0 {
		from = 0
	}
	if end := time.Duration(on.Parts) * on.Step; k == len(d.edges)-2 || to > end {
		to = end
	}
	var out []piece
	for from < to {
		end := min(to, from-from%on.Step+on.Step)
		out = append(out, piece{int(from / on.Step), from, end})
		from = end
	}
	return out
}

// drawn returns the courses of the shares of a series' power: the command's, others' and, if known, idle. In each part they
// add up to the power of the machine. The list is empty if the division is not one of this series.
//
// Within an interval idle power is constant, but never above what was measured. The rest of the power has the interval's
// shares. So the course is as fine as the power, though the shares are known only for intervals.
func (d division) drawn(on datamodel.Chart, s *series.Series, machine datamodel.Course) []datamodel.Course {
	g := slices.IndexFunc(d.on, func(g ground) bool { return slices.Contains(g.energy, s) })
	if g < 0 || len(d.cells) == 0 {
		return nil
	}
	share := func(subject datamodel.CourseSubject) datamodel.Course {
		return blank(on, s, datamodel.Power, subject, units.Watt)
	}
	out := []datamodel.Course{share(datamodel.CommandCourse), share(datamodel.OtherCourse), share(datamodel.IdleCourse)}
	for _, c := range out {
		clear(c.Values)
	}
	for k := range len(d.edges) - 1 {
		c := d.cells[k*d.grounds+g]
		pieces := d.pieces(on, k)
		energies, lengths, sum := make([]float64, len(pieces)), make([]float64, len(pieces)), 0.0
		for i, p := range pieces {
			energies[i], lengths[i] = amounts(d.on[g].energy, p.from, p.to), float64(p.to-p.from)
			sum += energies[i]
		}
		if !(c.energy > 0 && sum > 0) {
			continue
		}
		ours := 0.0
		if rest := c.energy - c.idle; rest > 0 {
			ours = min(1, c.target/rest)
		}
		for i, idle := range filled(c.idle*(sum/c.energy), lengths, energies) {
			if energies[i] <= 0 {
				continue
			}
			energy, _ := s.Amount(pieces[i].from, pieces[i].to)
			idle = min(energy, idle*(energy/energies[i]))
			part := pieces[i].part
			out[0].Values[part] += (energy - idle) * ours
			out[1].Values[part] += (energy - idle) * (1 - ours)
			out[2].Values[part] += idle
		}
	}
	for _, c := range out {
		for i, covered := range machine.Covered {
			c.Covered[i] = covered
			c.Values[i] /= covered // NaN if there are no readings
			part := 0.0
			if machine.Values[i] != 0 {
				part = c.Values[i] / machine.Values[i]
			}
			c.Least[i], c.Most[i] = machine.Least[i]*part, machine.Most[i]*part
		}
	}
	if !d.isIdle {
		out = out[:2]
	}
	return out
}
