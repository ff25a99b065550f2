package backend

import (
	"math"
	"strconv"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// cpu reads the time in each mode, of each processor and of the whole machine.
func cpu() sensors.Backend {
	return sensors.Backend{
		Name:     "cpu",
		Doc:      "processor time by mode and utilization, of each processor and of the whole machine",
		First:    sensors.AtStart,
		Baseline: true,
		Open:     openCPU,
	}
}

// cpufreq reads the clock frequency of each processor. It is apart from cpu because a reading may wait for another processor or
// the firmware.
func cpufreq() sensors.Backend {
	return sensors.Backend{
		Name:  "cpufreq",
		Doc:   "clock frequency of each processor",
		Alone: true,
		First: sensors.AtBeat,
		Open:  openCPUFreq,
	}
}

// mode is one kind of processor time.
type mode struct {
	name string
	use  sensors.Use
	doc  string
}

// modes returns the fields of a line of /proc/stat in order. User and nice already include the time of guests (proc_stat(5)).
// So the ninth and tenth field, guest and guest_nice, are not read, and the first eight sum up to all time.
func modes() []mode {
	return []mode{
		{"user", sensors.CPUUser, "time in user space, including guests of virtual machines that run here"},
		{"nice", sensors.CPUNice, "time in user space at lowered priority"},
		{"system", sensors.CPUSystem, "time in the kernel"},
		{"idle", sensors.CPUIdle, "time with nothing to do"},
		{"iowait", sensors.CPUIOWait, "idle time while a task of this processor waited for a disk; unreliable, by the kernel's own documentation"},
		{"irq", sensors.CPUIRQ, "time in interrupt handlers"},
		{"softirq", sensors.CPUSoftIRQ, "time in deferred interrupt work"},
		{"steal", sensors.CPUSteal, "time in which the hypervisor ran others although there was work here"},
	}
}

const (
	idle   = 3 // the index of idle in modes
	iowait = 4
	nModes = 8
	// perCPU is the number of sensors of a processor: the modes, and utilization.
	perCPU = nModes + 1
)

// cpuSensors describes processor n, or the whole machine if n is -1.
func cpuSensors(n int, source string) []sensors.Sensor {
	var list []sensors.Sensor
	device, number := "", ""
	if n >= 0 {
		number = strconv.Itoa(n)
		device = "cpu" + number
	}
	for i, m := range modes() {
		list = append(list, placed("cpu", device, m.name, sensors.Sensor{
			Unit: units.Second, Kind: sensors.Counter, Use: m.use, CPUs: number, Source: source, Doc: m.doc,
			StepsBack: i == idle || i == iowait, // proc_stat(5)
		}))
	}
	return append(list, placed("cpu", device, "utilization", sensors.Sensor{
		Unit: units.Ratio, Kind: sensors.Gauge, Use: sensors.CPUUtilization, CPUs: number, Spans: true, Source: source,
		Doc: "share of the time since the previous reading that was neither idle nor iowait",
	}))
}

// processor is the last reading of one processor, in the unit of the source.
type processor struct {
	last [nModes]float64
	seen bool
}

// reading converts the times in each mode into the values of cpuSensors. A mode that is not counted is NaN. Utilization is
// NaN at the first reading, and if no time was counted since the last: the kernel's ticks are 10 ms apart.
func (p *processor) reading(now [nModes]float64, parts float64, dst []float64) {
	var busy, spare float64
	for m := range now {
		dst[m] = now[m] / parts
		if rise := now[m] - p.last[m]; math.IsNaN(now[m]) && m != idle {
			continue
		} else if m == idle || m == iowait {
			spare += rise
		} else {
			busy += rise
		}
	}
	dst[nModes] = math.NaN()
	if p.seen && busy >= 0 && spare >= 0 && busy+spare > 0 {
		dst[nModes] = busy / (busy + spare)
	}
	p.last, p.seen = now, true
}
