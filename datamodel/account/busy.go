package account

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// tick is the step of the times in /proc/stat (USER_HZ, 100 per second on every Linux system).
	tick = 10 * time.Millisecond
	// enoughTicks is the number of ticks needed before a share computed from them is useful. With 5 ticks its error is
	// a fifth.
	enoughTicks = 5
	// raplStep is how often the RAPL counters move if their sensor does not say so.
	raplStep = time.Millisecond
	// enoughUpdates of a counter and enoughTime must pass before its steps no longer matter.
	enoughUpdates = 10
	enoughTime    = 20 * time.Millisecond
)

// busyTime is how long the machine's CPUs worked, in s, by the counters of the whole machine. One reading of /proc/stat
// gives them together.
type busyTime struct {
	busy, total float64
	count, gaps int64
	from        sensors.Provenance
	source      string
	why         why
	// mean is the utilization as a gauge, if there are no counters.
	mean *datamodel.Metric
}

// cpuMode is one of the times that /proc/stat counts for a processor.
type cpuMode struct {
	name string
	use  sensors.Use
	// busy is true if the processor works in this mode. required is true if every kernel has the mode.
	busy, required bool
}

// cpuModes lists the modes. Idle and iowait are idle. Steal is time that other guests had: part of the whole, but not
// busy here. The time of virtual machines that run here is already in user.
func cpuModes() []cpuMode {
	return []cpuMode{
		{"user", sensors.CPUUser, true, true},
		{"nice", sensors.CPUNice, true, false},
		{"system", sensors.CPUSystem, true, true},
		{"idle", sensors.CPUIdle, false, true},
		{"iowait", sensors.CPUIOWait, false, false},
		{"irq", sensors.CPUIRQ, true, false},
		{"softirq", sensors.CPUSoftIRQ, true, false},
		{"steal", sensors.CPUSteal, false, false},
	}
}

// machineCPU adds the times by mode.
func (h *host) machineCPU() busyTime {
	t := busyTime{from: sensors.FromCounter}
	if s := h.find(sensors.CPUUtilization); s != nil {
		if m := s.Gauge(datamodel.CPUUtilization); m.Reason == "" && h.whyPart(s) == "" {
			t.mean = &m
		}
	}
	var window time.Duration
	for _, mode := range cpuModes() {
		s := h.find(mode.use)
		if s == nil {
			if mode.required {
				t.why = h.whyMissing("cpu", "cpu/"+mode.name)
				return t
			}
			continue
		}
		if reason := cmp.Or(s.WhyNoDelta(), h.whyPart(s)); reason != "" {
			t.why = because(mode.name + ": " + reason)
			return t
		}
		d := s.Delta()
		t.total += d
		if mode.busy {
			t.busy += d
		}
		if mode.use == sensors.CPUIdle {
			window = s.Span()
			t.count, t.source = s.Count(), s.Sensor().Source
		}
		t.from = t.from.Weaker(s.Sensor().Origin())
		t.gaps = max(t.gaps, s.Gaps())
	}
	if window < enoughTicks*tick || t.total <= 0 {
		t.mean = nil
		t.why = because(fmt.Sprintf("%s is too short for counters with steps of %s", units.Brief(window), units.Brief(tick)))
	}
	return t
}

func (t busyTime) utilization() datamodel.Metric {
	const name = datamodel.CPUUtilization
	switch {
	case t.why == (why{}):
		m := datamodel.Value(name, min(max(t.busy/t.total, 0), 1), units.Ratio, "share", t.from, t.source)
		m.Count, m.Gaps = t.count, t.gaps
		if t.mean != nil {
			m.Min, m.Max, m.Mean, m.Std = t.mean.Min, t.mean.Max, t.mean.Mean, t.mean.Std
		}
		return m
	case t.mean != nil:
		return *t.mean
	}
	return missing(name, units.Ratio, t.why)
}
