package account

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// condition is something that spoils a measurement. A warning follows if its figure is above a threshold.
type condition struct {
	// name is the subject of the warning. If two conditions have the same name, only the first one that holds is
	// reported.
	name datamodel.Condition
	// above is the threshold, in unit.
	above float64
	unit  units.Unit
	find  func(*surroundings) finding
}

// finding is how far a condition holds. The zero value means not at all.
type finding struct {
	figure float64
	// text describes the finding up to the figure. after is what follows the figure in the sentence. It may be "".
	text, after string
	// count is how often it was seen. It is 0 if counting makes no sense.
	count int64
}

const (
	// leastOther is the smallest CPU time of others that is reported, in s. The counters have steps of 10 ms per
	// processor.
	leastOther = 0.1
	// leastLoad is the number of processors that the command and others must each keep busy on average before they are
	// compared. A daemon that runs while the command sleeps is not worth a warning.
	leastLoad = 0.1
	// leastWait is the shortest wait for a resource that is reported, in s. A short command waits while its own file is
	// read from disk.
	leastWait = 0.05
	// leastBeats is the least number of missed or late beats that is reported. With ten beats, one is already a tenth.
	leastBeats = 3
	// underLoad is the least utilization at which a processor's frequency says something about its speed.
	underLoad = 0.9
)

// conditions returns the table of all conditions with their thresholds. A build on an otherwise idle machine has none
// of them. Daemons and kernel threads take a few thousandths. A governor raises the frequency as soon as there is load.
// A command alone makes tasks wait for processors and disks.
func conditions() []condition {
	return []condition{
		{datamodel.OtherLoad, 0.05, units.Ratio, (*surroundings).otherOfAllowed},
		{datamodel.OtherLoad, 0.10, units.Ratio, (*surroundings).otherBesideTarget},
		{datamodel.CPUPressure, 0.20, units.Ratio, (*surroundings).cpuPressure},
		{datamodel.IOPressure, 0.20, units.Ratio, (*surroundings).ioPressure},
		{datamodel.MemoryPressure, 0.01, units.Ratio, (*surroundings).memoryPressure},
		{datamodel.Swapping, 1 << 20, units.Byte, (*surroundings).swapping},
		{datamodel.Steal, 0.01, units.Ratio, (*surroundings).stolen},
		{datamodel.Quota, 0.01, units.Ratio, (*surroundings).quota},
		{datamodel.Throttling, 0, units.Events, (*surroundings).throttling},
		{datamodel.Settings, 0, units.Events, (*surroundings).settings},
		{datamodel.Frequency, 0.20, units.Ratio, (*surroundings).frequency},
		{datamodel.Beats, 0.01, units.Ratio, (*surroundings).beats},
	}
}

// surroundings is what is known about the machine's other activity during the run.
type surroundings struct {
	h    *host
	busy busyTime
	// used and own are the CPU times of the target and of ergon. moved is the bytes that the target read from and wrote
	// to storage.
	used, own datamodel.Metric
	moved     float64
	// allowed is the number of processors that the target may use, out of cpus.
	allowed, cpus float64
}

// interference warns about the conditions that hold.
func (h *host) interference(busy busyTime, made made, w *doubts) {
	s := &surroundings{
		h: h, busy: busy, used: made[datamodel.CPUTime], own: made[datamodel.ProfilerCPUTime],
		moved: made[datamodel.DiskRead].Value + made[datamodel.DiskWrite].Value, cpus: float64(h.Machine.CPUs),
	}
	s.allowed = s.cpus
	if n, _ := h.Machine.Limits.CPUs(); n > 0 {
		s.allowed = n
	}
	reported := make(map[string]bool)
	for _, c := range conditions() {
		f := c.find(s)
		if reported[c.name] || !(f.figure > c.above) {
			continue
		}
		reported[c.name] = true
		text := f.text
		if c.above > 0 {
			between := ":"
			if f.after != "" {
				between = ""
			}
			text += fmt.Sprintf("%s %s%s (above %s)", between, units.Format(f.figure, c.unit), f.after, units.Format(c.above, c.unit))
		}
		w.list = append(w.list, datamodel.Warning{Subject: c.name, Text: text, Count: f.count})
	}
}

// other returns the CPU time of everything except the target and ergon, in s. It returns NaN if the time is unknown or
// too small for the steps of the counters. The time includes the kernel's work for the target that is charged to no
// process, such as interrupts and writeback.
func (s *surroundings) other() float64 {
	if s.busy.why != (why{}) || s.used.Reason != "" || s.used.Provenance != sensors.FromCounter {
		return math.NaN() // a walk may miss time of the target, which would count as the others'
	}
	other := s.busy.busy - s.used.Value
	if s.own.Reason == "" {
		other -= s.own.Value
	}
	if other < leastOther {
		return math.NaN()
	}
	return other
}

func (s *surroundings) otherOfAllowed() finding {
	other := s.other()
	return finding{
		figure: other / (s.busy.total * s.allowed / s.cpus),
		text:   "others used",
		after:  " of the command's CPUs, " + units.Format(other, units.Second),
	}
}

func (s *surroundings) otherBesideTarget() finding {
	other := s.other()
	least := leastLoad * s.busy.total / s.cpus
	if !(other >= least && s.used.Value >= least) {
		return finding{}
	}
	return finding{
		figure: other / s.used.Value,
		text:   fmt.Sprintf("others used %s of CPU time,", units.Format(other, units.Second)),
		after:  " of the command's " + units.Format(s.used.Value, units.Second),
	}
}

// rose returns the increase of a counter of the whole machine, and the time it took. The increase is NaN if unknown.
func (s *surroundings) rose(use sensors.Use) (by float64, in time.Duration) {
	c := s.h.find(use)
	if c == nil {
		return math.NaN(), 0
	}
	return c.Delta(), c.Span()
}

// waited finds the part of the time in which tasks waited for a resource.
func (s *surroundings) waited(use sensors.Use, text string) finding {
	by, in := s.rose(use)
	if by < leastWait {
		return finding{}
	}
	return finding{figure: by / in.Seconds(), text: text, after: " of the time"}
}

// cpuPressure holds only if other programs competed, because the tasks of one command wait for each other as well.
func (s *surroundings) cpuPressure() finding {
	if other := s.other(); !(other > conditions()[0].above*s.busy.total*s.allowed/s.cpus) {
		return finding{}
	}
	return s.waited(sensors.CPUPressure, "tasks waited for a CPU")
}

// ioPressure holds only if most of the disks' traffic was not the target's. Otherwise the target waited for its own
// traffic.
func (s *surroundings) ioPressure() finding {
	var all float64
	for _, c := range s.h.Series {
		if use := c.Sensor().Use; use == sensors.DiskRead || use == sensors.DiskWritten {
			if d := c.Delta(); !math.IsNaN(d) {
				all += d
			}
		}
	}
	if !(s.moved < all/2) {
		return finding{}
	}
	return s.waited(sensors.DiskPressure, "tasks waited for disks, which others used more than the command,")
}

func (s *surroundings) memoryPressure() finding {
	return s.waited(sensors.MemoryPressure, "tasks waited for memory")
}

func (s *surroundings) swapping() finding {
	in, _ := s.rose(sensors.SwapIn)
	out, _ := s.rose(sensors.SwapOut)
	f := finding{figure: in + out, text: "the machine swapped"}
	if faults, ok := have(s.h.Ledger.MajorFaults); ok && faults > 0 {
		f.text += fmt.Sprintf(" (major faults of the command: %s)", units.Format(faults, units.Faults))
	}
	return f
}

func (s *surroundings) stolen() finding {
	by, _ := s.rose(sensors.CPUSteal)
	if s.busy.why != (why{}) || by < enoughTicks*tick.Seconds() {
		return finding{}
	}
	return finding{figure: by / s.busy.total, text: fmt.Sprintf("the hypervisor gave %s of CPU time to other guests while this one had work",
		units.Format(by, units.Second))}
}

func (s *surroundings) quota() finding {
	l := s.h.Ledger
	periods, ok := have(l.QuotaPeriods)
	stops, also := have(l.QuotaStops)
	q, known := have(l.Quota)
	if !ok || !also || !known || periods <= 0 {
		return finding{}
	}
	of := math.Max(periods, stops)
	f := finding{figure: stops / of, count: int64(stops)}
	f.text = fmt.Sprintf("the quota of %s CPUs in %s throttled processes in part of its %.0f periods",
		strconv.FormatFloat(q, 'g', 3, 64), l.QuotaSource, periods)
	if t, ok := have(l.QuotaTime); ok {
		f.text += ", for " + units.Format(t, units.Second)
	}
	return f
}

// throttling adds up the events of the packages. If there are none, it takes the core with the most events. A core that
// is too hot makes its package count too, and all processors of a core show the same count.
func (s *surroundings) throttling() finding {
	var packages, most float64
	for _, c := range s.h.Series {
		switch d, use := c.Delta(), c.Sensor().Use; {
		case use == sensors.PackageThrottles && !math.IsNaN(d):
			packages += d
		case use == sensors.CoreThrottles:
			most = math.Max(most, d)
		}
	}
	events := packages
	if events == 0 {
		events = most
	}
	return finding{figure: events, text: "processors were slowed down because they were too hot", count: int64(datamodel.Finite(events))}
}

func (s *surroundings) settings() finding {
	change := s.h.Machine.Scaling.Change
	if change == "" {
		return finding{}
	}
	return finding{figure: 1, text: "while the command ran " + change}
}

// mostParts is the largest number of parts of the run that frequency compares.
const mostParts = 30

// frequency compares the seconds in which a processor was busy, for each processor.
func (s *surroundings) frequency() finding {
	utilization := make(map[string]*series.Series)
	for _, c := range s.h.Series {
		if c.Sensor().Use == sensors.CPUUtilization {
			utilization[c.Sensor().CPUs] = c
		}
	}
	var worst finding
	for _, c := range s.h.Series {
		load := utilization[c.Sensor().CPUs]
		if c.Sensor().Use != sensors.CPUFrequency || load == nil || c.Sensor().CPUs == "" {
			continue
		}
		from, to := max(c.From(), load.From()), min(c.End(), load.End())
		parts := min(int((to - from).Seconds()), mostParts)
		if parts < 3 {
			continue
		}
		least, most := math.Inf(1), 0.0
		length := (to - from) / time.Duration(parts)
		for i := range parts {
			begin := from + time.Duration(i)*length
			share, clock := load.Part(begin, begin+length), c.Part(begin, begin+length)
			seen := min(share.Covered, clock.Covered) >= length.Seconds()/2
			if hertz := clock.Mean; seen && share.Mean >= underLoad && hertz > 0 {
				least, most = math.Min(least, hertz), math.Max(most, hertz)
			}
		}
		if drop := (most - least) / most; drop > worst.figure {
			worst = finding{figure: drop, text: fmt.Sprintf("the frequency of %s while busy was between %s and %s",
				c.Sensor().Device, units.Format(least, units.Hertz), units.Format(most, units.Hertz))}
		}
	}
	return worst
}

// beats finds the source that missed the largest part of its beats.
func (s *surroundings) beats() finding {
	var worst finding
	for _, src := range s.h.Sources {
		bad, all := src.Late+src.Missed, src.Readings+src.Missed
		if src.Hung || bad < leastBeats || all <= 0 {
			continue
		}
		if part := float64(bad) / float64(all); part > worst.figure {
			worst = finding{
				figure: part, text: fmt.Sprintf("readings of %s were late or skipped because the machine or the source was late", src.Name), count: bad,
			}
		}
	}
	return worst
}

// doubtContainer warns that energy read in a container covers the whole machine.
func (h *host) doubtContainer(w *doubts) {
	kind := h.Machine.Container
	if kind == "" || len(h.energy.summed()) == 0 {
		return
	}
	w.add(datamodel.Energy, "read in a container (%s): it covers the whole machine, including other containers; target_energy is the command's share", kind)
}
