package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// cpus is the unit of the axis of CPU time per time. It is shown as a number of CPUs.
const cpuUnit units.Unit = "{cpu}"

// looks is the number of colors that tell lines and names apart.
const looks = 8

// deviceName is the largest number of columns of a device's name in a legend. A GPU's name is a UUID.
const deviceName = 16

// figure is one chart of the page: lines over time with one unit.
type figure struct {
	// id is the chart's name for `ergon plot --metrics` and in the page.
	id, title string
	unit      units.Unit
	// stacked says that each filled line begins at the top of the one before.
	stacked bool
	// limit is a value that the lines cannot exceed, such as the number of CPUs. It is 0 if there is none.
	limit  float64
	curves []curve
	// group is another name for `ergon plot --metrics`, which several charts have. It may be "".
	group string
}

// curve is one line of a chart.
type curve struct {
	name string
	// look is the class of the line, which gives it its color.
	look string
	fill bool
	// sparse says that parts without a reading are usual. The line joins the readings over them.
	sparse bool
	// grid is the length of a part in s. Part i lasts from i × grid to (i+1) × grid.
	grid float64
	// mean, least and most hold a value for each part. A part without a reading is NaN. If each part has one reading, the three
	// slices are the same.
	mean, least, most []float64
	// sum is the label of the integral over time, such as "energy". It is "" if an integral has no meaning. sumUnit is its unit,
	// and mark the sign of its provenance.
	sum     string
	sumUnit units.Unit
	mark    string
}

// courses are what a run has to draw: the courses of its first host and first round.
type courses struct {
	run  datamodel.Run
	grid datamodel.Chart
}

// of returns the sum of the courses with this metric and subject, or false if there is none with a value other than 0.
func (c courses) of(metric string, subject datamodel.CourseSubject) (curve, bool) {
	out := sumOf(c.grid.Course(metric, subject))
	out.grid = c.grid.Step.Seconds()
	return out, !out.empty()
}

// sumOf adds courses. A part is NaN if one of them has no reading in it. Least and most of the sum assume that all courses but
// the one with the highest peak are at their mean.
func sumOf(list []datamodel.Course) curve {
	switch len(list) {
	case 0:
		return curve{}
	case 1:
		return curve{mean: list[0].Values, least: list[0].Least, most: list[0].Most}
	}
	n := len(list[0].Values)
	mean, below, above := make([]float64, n), make([]float64, n), make([]float64, n)
	for _, one := range list {
		for i, v := range one.Values[:min(n, len(one.Values))] {
			mean[i] += v
			below[i], above[i] = max(below[i], v-one.Least[i]), max(above[i], one.Most[i]-v)
		}
	}
	for i, v := range mean {
		below[i], above[i] = v-below[i], v+above[i]
	}
	return curve{mean: mean, least: below, most: above}
}

// empty reports whether no value of the line differs from 0.
func (c curve) empty() bool {
	return !slices.ContainsFunc(c.most, func(v float64) bool { return v != 0 && !math.IsNaN(v) && !math.IsInf(v, 0) })
}

// named returns the line with its name and look.
func (c curve) named(name, look string) curve {
	c.name, c.look = name, look
	return c
}

func (c curve) filled() curve {
	c.fill = true
	return c
}

// summed returns the line with what its integral over time is.
func (c curve) summed(label string, unit units.Unit, mark string) curve {
	c.sum, c.sumUnit, c.mark = label, unit, mark
	return c
}

// figures returns the charts of a run in the order of the page. Charts without any value are left out.
func (c courses) figures() []figure {
	list := slices.Concat(c.power(), []figure{c.cpu(), c.memory(), c.disk(), c.network()}, c.gpus(), c.told(), []figure{c.pressure()})
	return slices.DeleteFunc(list, func(f figure) bool { return len(f.curves) == 0 })
}

// power returns the power of the machine: shared out to command, other and idle, and by domain if there are several.
func (c courses) power() []figure {
	machine, ok := c.of(datamodel.Power, datamodel.MachineCourse)
	if !ok {
		return nil
	}
	domains := c.grid.Course(datamodel.Power, datamodel.MachineCourse)
	shares := figure{id: "power", title: "Power", unit: units.Watt, stacked: true}
	if len(domains) == 1 {
		shares.title = "Power of " + printable(domains[0].Device)
	}
	for _, s := range []struct {
		subject datamodel.CourseSubject
		sum     string
	}{{datamodel.CommandCourse, "energy"}, {datamodel.OtherCourse, ""}, {datamodel.IdleCourse, ""}} {
		if share, ok := c.of(datamodel.Power, s.subject); ok {
			shares.curves = append(shares.curves, share.named(string(s.subject)+" ≈", string(s.subject)).filled().summed(s.sum, units.Joule, "≈"))
		}
	}
	if len(shares.curves) == 0 {
		shares.curves = []curve{machine.named("machine", "c0").filled().summed("energy of the machine", units.Joule, "")}
		shares.stacked = false
	} else {
		shares.curves = append(shares.curves, machine.named("machine", "machine").summed("machine's energy", units.Joule, ""))
	}
	out := []figure{shares}
	if len(domains) < 2 {
		return out
	}
	parts := figure{id: "domains", title: "Power by domain", unit: units.Watt, stacked: true}
	for i, d := range domains {
		one := sumOf([]datamodel.Course{d})
		one.grid = c.grid.Step.Seconds()
		if !one.empty() {
			parts.curves = append(parts.curves, one.named(shorten(printable(d.Device), deviceName), look(i)).filled())
		}
	}
	return append(out, parts)
}

func (c courses) cpu() figure {
	f := figure{id: "cpu", title: "CPU", unit: cpuUnit, limit: float64(c.run.Host.CPUs)}
	if most, _ := c.run.Host.Limits.CPUs(); most > 0 {
		f.limit = most
	}
	if command, ok := c.of(datamodel.CourseCPU, datamodel.CommandCourse); ok {
		f.curves = append(f.curves, command.named("command", "command").filled().summed("CPU time", units.Second, ""))
	}
	if machine, ok := c.of(datamodel.CourseCPU, datamodel.MachineCourse); ok {
		f.curves = append(f.curves, machine.named("machine", "machine"))
	}
	return f
}

func (c courses) memory() figure {
	f := figure{id: "memory", title: "Memory", unit: units.Byte, limit: float64(c.run.Host.Limits.Memory)}
	if held, ok := c.of(datamodel.Memory, datamodel.CommandCourse); ok {
		f.curves = append(f.curves, held.named("command", "command").filled())
	}
	if charge, ok := c.of(datamodel.MemoryCharge, datamodel.CommandCourse); ok {
		f.curves = append(f.curves, charge.named("with page cache", "other"))
	}
	if machine, ok := c.of(datamodel.Memory, datamodel.MachineCourse); ok && len(f.curves) == 0 {
		f.title, f.curves = "Memory of the machine", []curve{machine.named("in use", "machine").filled()}
	}
	return f
}

func (c courses) disk() figure {
	return c.transfer(figure{id: "disk", title: "Disk"}, [2]string{datamodel.DiskWrite, datamodel.DiskRead}, [2]string{"written", "read"})
}

func (c courses) network() figure {
	return c.transfer(figure{id: "network", title: "Network"},
		[2]string{datamodel.NetworkReceive, datamodel.NetworkTransmit}, [2]string{"received", "sent"})
}

// transfer returns a chart of two directions: the command's, or the machine's if nothing is known of the command's.
func (c courses) transfer(f figure, metrics, names [2]string) figure {
	f.unit = units.BytesPerSecond
	for _, s := range []datamodel.CourseSubject{datamodel.CommandCourse, datamodel.MachineCourse} {
		known := false
		for i, metric := range metrics {
			known = known || len(c.grid.Course(metric, s)) > 0
			if one, ok := c.of(metric, s); ok {
				line := one.named(names[i], look(1-i)).summed(names[i], units.Byte, "")
				line.fill = len(f.curves) == 0
				f.curves = append(f.curves, line)
			}
		}
		if known {
			if s == datamodel.MachineCourse {
				f.title += " of the machine"
			}
			return f
		}
	}
	return f
}

func (c courses) gpus() []figure {
	var out []figure
	for _, spec := range []struct {
		metric string
		figure figure
	}{
		{datamodel.CourseGPUUtilization, figure{id: "gpu", title: "GPU use", unit: units.Ratio, limit: 1}},
		{datamodel.CourseGPUMemory, figure{id: "gpu-memory", title: "GPU memory", unit: units.Byte}},
		{datamodel.CourseGPUTemperature, figure{id: "gpu-temperature", title: "GPU temperature", unit: units.Celsius}},
	} {
		f := spec.figure
		for _, s := range []datamodel.CourseSubject{datamodel.CommandCourse, datamodel.MachineCourse} {
			for i, one := range c.grid.Course(spec.metric, s) {
				line, name := sumOf([]datamodel.Course{one}), shorten(printable(one.Device), deviceName)
				line.grid = c.grid.Step.Seconds()
				if s == datamodel.CommandCourse {
					name = "command on " + name
				}
				if !line.empty() {
					line = line.named(name, look(i))
					line.fill = s == datamodel.CommandCourse
					f.curves = append(f.curves, line)
				}
			}
		}
		out = append(out, f)
	}
	return out
}

// ownUnit is the unit of a figure that the command told of. Nobody knows its unit, so it is shown as a plain number.
const ownUnit units.Unit = "{own}"

// ownParts is the largest number of parts of a line of such a figure, because a run may have 100 of them.
const ownParts = 4000

// told returns a chart for each figure that the command told of.
func (c courses) told() []figure {
	var out []figure
	for i, one := range c.grid.Course(datamodel.CourseOwn, datamodel.CommandCourse) {
		line := sumOf([]datamodel.Course{one})
		if line.grid = c.grid.Step.Seconds(); line.empty() {
			continue
		}
		line = line.thin((len(line.mean)+ownParts-1)/ownParts).named("told by the command", look(i))
		line.sparse = true
		out = append(out, figure{
			id: datamodel.CourseOwn + "-" + plainID(one.Device), group: datamodel.CourseOwn, title: shorten(printable(one.Device), 60), unit: ownUnit,
			curves: []curve{line},
		})
	}
	return out
}

// plainID returns a text as a part of a chart's name: other bytes than letters, digits, _ and - are hexadecimal.
func plainID(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			b.WriteString("." + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
		}
	}
	return b.String()
}

func (c courses) pressure() figure {
	f := figure{id: "pressure", title: "Tasks waiting on the machine", unit: units.Ratio}
	for i, spec := range []struct{ metric, name string }{
		{datamodel.CourseCPUPressure, "for a CPU"},
		{datamodel.CourseMemoryPressure, "for memory"},
		{datamodel.CourseDiskPressure, "for a disk"},
	} {
		if one, ok := c.of(spec.metric, datamodel.MachineCourse); ok {
			f.curves = append(f.curves, one.named(spec.name, look(i)))
		}
	}
	return f
}

func look(i int) string { return "c" + strconv.Itoa(i%looks) }

// overlaid lays the charts of several runs over each other: one chart for each quantity, with a line for each run.
func overlaid(all []courses, names []string) []figure {
	var out []figure
	var quantities []string // of out
	for i, c := range all {
		for _, f := range c.figures() {
			if f.id == "domains" || f.id == "pressure" {
				continue
			}
			for k, line := range f.curves {
				switch {
				case k > 0 && (line.look == "machine" || line.look == "other" || line.look == "idle"): // beside the command's
					continue
				case line.sum != "":
					line = line.summed(line.sum+" "+names[i], line.sumUnit, line.mark)
				}
				quantity := f.id + ": " + line.name
				at := slices.Index(quantities, quantity)
				if at < 0 {
					at = len(out)
					quantities = append(quantities, quantity)
					out = append(out, figure{id: f.id + "-" + strconv.Itoa(at), title: f.title + ": " + line.name, unit: f.unit, limit: f.limit})
				}
				out[at].limit = max(out[at].limit, f.limit)
				line = line.named(names[i], look(i))
				line.fill = false
				out[at].curves = append(out[at].curves, line)
			}
		}
	}
	return out
}

// thin returns the line with n parts joined into one. No peak is lost.
func (c curve) thin(n int) curve {
	if n <= 1 {
		return c
	}
	parts := (len(c.mean) + n - 1) / n
	out := c
	out.grid *= float64(n)
	out.mean, out.least, out.most = make([]float64, parts), make([]float64, parts), make([]float64, parts)
	for i := range parts {
		sum, count, least, most := 0.0, 0.0, math.Inf(1), math.Inf(-1)
		for k := i * n; k < min((i+1)*n, len(c.mean)); k++ {
			if math.IsNaN(c.mean[k]) {
				continue
			}
			sum, count = sum+c.mean[k], count+1
			least, most = min(least, c.least[k]), max(most, c.most[k])
		}
		out.mean[i], out.least[i], out.most[i] = sum/count, least, most // NaN without a reading
		if count == 0 {
			out.least[i], out.most[i] = math.NaN(), math.NaN()
		}
	}
	return out
}
