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
		MayBlock: coveredFiles("stat", "pressure/cpu", "cpuinfo"),
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
	// last is what was read last. shown is what the sensors got last, which keeps idle and iowait from small steps back.
	last, shown [nModes]float64
	seen        bool
	// busy and spare are the times with and without work since the reading before last, 0 after the first reading. back is
	// true if idle or iowait stepped back. ahead is how much more time was counted so far than has passed.
	busy, spare float64
	back        bool
	ahead       float64
}

// read takes a reading and converts the times into those of cpuSensors. A mode that is not counted is NaN. second is the
// number of the source's units in a second.
//
// The kernel computes idle and iowait from two clocks, so they may step back (proc_stat(5)): mostly by a tick, at times by
// 0.1 to 0.3 s. The sensors then keep the previous value, unless the step is of a second and more.
func (p *processor) read(now [nModes]float64, second float64, dst []float64) {
	p.busy, p.spare, p.back = 0, 0, false
	for m := range now {
		shown, rise := now[m], now[m]-p.last[m]
		switch {
		case math.IsNaN(now[m]) && m != idle || !p.seen:
		case m == idle || m == iowait:
			p.spare += rise
			p.back = p.back || rise < 0
		default:
			p.busy += rise
		}
		if back := p.shown[m] - now[m]; (m == idle || m == iowait) && p.seen && back > 0 && back < second {
			shown = p.shown[m]
		}
		p.shown[m], dst[m] = shown, shown/second
	}
	p.last, p.seen = now, true
}

// settle returns how much spare time the counters took back in this interval, and adds it to spare. elapsed is the length of
// the interval.
//
// A step back of idle takes back what was counted twice before. A processor without work would then seem to have had work
// all the time, although only the earlier interval is wrong. The processor was online, so all its time is counted. What is
// missing is spare time, if idle was seen to step back, or if more time than there was had been counted before. A virtual
// machine that loses ticks has neither sign.
func (p *processor) settle(elapsed, second float64) (taken float64) {
	short := elapsed - p.busy - p.spare
	switch {
	case !p.seen || !(elapsed > 0) || math.IsNaN(short):
		return 0
	case short > 0 && p.back:
		taken = short
	case short > 0:
		taken = min(short, p.ahead)
	}
	p.ahead = min(max(p.ahead-short, 0), second)
	p.spare += taken
	return taken
}

// utilization returns the share of the time between the last two readings in which there was work. It is NaN after the first
// reading, and if no time was counted: the kernel's ticks are 10 ms apart.
func (p *processor) utilization() float64 {
	if p.busy >= 0 && p.spare >= 0 && p.busy+p.spare > 0 {
		return p.busy / (p.busy + p.spare)
	}
	return math.NaN()
}
