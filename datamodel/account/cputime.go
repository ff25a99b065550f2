package account

import (
	"cmp"
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// times returns the wall time and the CPU times of the command.
func (h *host) times(w *doubts) []datamodel.Metric {
	wall := datamodel.Missing(datamodel.WallTime, units.Second, "the end of the command was not seen")
	if v, ok := h.wall(); ok {
		wall = datamodel.Value(datamodel.WallTime, v, units.Second, "delta", sensors.FromCounter, "monotonic clock")
		if source := h.Ledger.WallTimeSource; source != "" {
			wall.Provenance, wall.Source = sensors.Sampled, source
		}
	} else if v, ok := have(h.Ledger.LeastWallTime); ok {
		wall = datamodel.Value(datamodel.WallTime, v, units.Second, "delta", sensors.FromCounter, "monotonic clock, up to the last reading")
	}
	waited := h.waited()
	chosen, by := h.cpuTime(waited)
	total := h.atLeastRusage(chosen, by, waited, w)
	if h.left && chosen.Reason == "" && !(waited.total > chosen.Value) {
		total = total.Least(math.NaN()) // what ran outside the cgroup and was not waited for is missing
	}
	return append([]datamodel.Metric{wall, total}, h.modes(total, waited)...)
}

// modeTimes holds CPU times in s and their source. An unknown time is NaN.
type modeTimes struct {
	total, user, system float64
	source              string
}

// waited returns what wait4 gave for the target and, if the runner reaped them, for its orphans.
func (h *host) waited() modeTimes {
	l := h.Ledger
	user, hasUser := have(l.UserTime)
	system, hasSystem := have(l.SystemTime)
	if !hasUser || !hasSystem {
		return modeTimes{math.NaN(), math.NaN(), math.NaN(), fromWait}
	}
	t := modeTimes{user + system, user, system, fromWait}
	if orphans, ok := have(l.OrphansTime); ok {
		t.total += orphans
		t.source = "wait4 for the target and all its descendants that were waited for, orphans by ergon"
		if user, ok := have(l.OrphansUserTime); ok {
			t.user += user
			t.system += orphans - user
		}
	}
	return t
}

// cpuTime returns the best CPU time of the ledger and the target's sensor, and its method, which is "" for rusage. A cgroup
// comes first, then perf, then rusage, then a walk over the processes.
func (h *host) cpuTime(waited modeTimes) (datamodel.Metric, sensors.Method) {
	const name = datamodel.CPUTime
	l := h.Ledger
	read, how := h.targetTime(name, sensors.TargetCPU)
	isRead := read.Reason == ""
	if v, ok := have(l.GroupTime); ok {
		return datamodel.Value(name, v, units.Second, "delta", sensors.FromCounter, cmp.Or(l.GroupTimeSource, "cgroup")), sensors.ByCgroup
	}
	if isRead && (how == sensors.ByCgroup || how == sensors.ByPerf) {
		return read, how
	}
	// Both are lower bounds. The walk sees more only if processes that nobody has waited for yet did much of the work.
	if !math.IsNaN(waited.total) && !(isRead && waited.total < 0.95*read.Value && read.Value-waited.total > 0.010) {
		return datamodel.Value(name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source), ""
	}
	return read, how
}

// targetTime returns a CPU time from a sensor of the target, and the sensor's method.
func (h *host) targetTime(name string, use sensors.Use) (datamodel.Metric, sensors.Method) {
	s := h.find(use)
	if s == nil {
		d, _ := datamodel.Lookup(name)
		return missing(name, units.Second, h.whyMissing("target", d.Family+"/"+d.Sensor)), sensors.ByWalk
	}
	m := h.ofCommand(s)
	m.Name = name
	return m, s.Sensor().Method
}

// atLeastRusage returns the chosen CPU time, or the CPU time of rusage if that is larger. The time of rusage is a lower
// bound, because every process that was waited for did use it. A warning follows if the chosen time is well below rusage:
// a process may have moved itself to another cgroup. Events of perf always miss the exits, which are a tenth of the time of
// a tree of short processes. The larger value has them, so that is no doubt.
func (h *host) atLeastRusage(chosen datamodel.Metric, by sensors.Method, waited modeTimes, w *doubts) datamodel.Metric {
	if chosen.Reason != "" || math.IsNaN(waited.total) || chosen.Value >= waited.total {
		return chosen
	}
	if by != sensors.ByPerf && wellBelow(chosen.Value+h.uncounted(), waited.total) {
		w.add("target/cpu_time", "%s gave %.4g s of CPU time, less than the %.4g s of the processes waited for: "+
			"the larger value is used", chosen.Source, chosen.Value, waited.total)
	}
	return datamodel.Value(chosen.Name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source)
}

// wellBelow reports whether a CPU time is below the CPU time of wait4 by more than the error of both.
func wellBelow(cpu, waited float64) bool { return cpu < 0.95*waited && waited-cpu > 0.010 }

// uncounted bounds the CPU time in s that the cgroup did not count, because the target was moved into it after its start.
func (h *host) uncounted() float64 {
	v, _ := have(h.Ledger.GroupLacks)
	return orZero(v)
}

// findLeft reports whether the command, or a part of it, left the cgroup that ergon made for it. Then a look has seen a
// process outside, or the cgroup counted less CPU time than the processes that were waited for used. It is false if
// there was no cgroup.
func (h *host) findLeft() bool {
	if s := h.find(sensors.TargetOutside); s != nil {
		if m := s.Gauge(datamodel.ProcessesOutside); m.Reason == "" && m.Max > 0 {
			return true
		}
	}
	if counted, ok := have(h.Ledger.GroupTime); ok {
		return wellBelow(counted+h.uncounted(), h.waited().total)
	}
	read, how := h.targetTime(datamodel.CPUTime, sensors.TargetCPU)
	return how == sensors.ByCgroup && wellBelow(read.Value, h.waited().total)
}

// modes returns the CPU times in user mode and in the kernel. They come from the best source whose two times add up to
// about the whole. A process that nobody waited for is missing from wait4. A process that ended between two looks is
// missing from the walk. Such a time would be in neither mode.
func (h *host) modes(whole datamodel.Metric, waited modeTimes) []datamodel.Metric {
	const user, system = datamodel.CPUUserTime, datamodel.CPUSystemTime
	l := h.Ledger
	ofLedger := func(userTime, systemTime float64, source string) []datamodel.Metric {
		return []datamodel.Metric{
			datamodel.Value(user, userTime, units.Second, "delta", sensors.FromCounter, source),
			datamodel.Value(system, systemTime, units.Second, "delta", sensors.FromCounter, source),
		}
	}
	var known [][]datamodel.Metric // from the best to the worst
	groupUser, hasUser := have(l.GroupUserTime)
	groupSystem, hasSystem := have(l.GroupSystemTime)
	if hasUser && hasSystem {
		known = append(known, ofLedger(groupUser, groupSystem, cmp.Or(l.GroupTimeSource, "cgroup")))
	}
	readUser, how := h.targetTime(user, sensors.TargetUser)
	readSystem, _ := h.targetTime(system, sensors.TargetSystem)
	read := []datamodel.Metric{readUser, readSystem}
	isRead := readUser.Reason == "" && readSystem.Reason == ""
	if isRead && how == sensors.ByCgroup {
		known = append(known, read)
	}
	if !math.IsNaN(waited.total) {
		known = append(known, ofLedger(waited.user, waited.system, waited.source))
	}
	if isRead && how != sensors.ByCgroup {
		known = append(known, read)
	}
	if len(known) == 0 {
		return read
	}
	_, counted := h.targetTime(datamodel.CPUTime, sensors.TargetCPU)
	for _, pair := range known {
		slack := max(0.05*whole.Value, 0.0001)
		if counted == sensors.ByPerf && !h.unwaited && pair[0].Provenance == sensors.FromCounter {
			// perf also counts interrupts and what the hypervisor took while the command had the CPU. wait4 does not.
			slack += min(h.stolen(), mostStolen*whole.Value)
		}
		if math.Abs(pair[0].Value+pair[1].Value-whole.Value) <= slack {
			return pair
		}
	}
	reason := whyOf(whole)
	if reason.text == "" {
		best := known[0]
		reason = because(fmt.Sprintf("user and system add up to %.3g s by %s, but %.3g s were used",
			best[0].Value+best[1].Value, best[0].Source, whole.Value))
	}
	return []datamodel.Metric{missing(user, units.Second, reason), missing(system, units.Second, reason)}
}
