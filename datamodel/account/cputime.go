package account

import (
	"cmp"
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// times is the wall time and the CPU times of the command.
func (h *host) times(w *doubts) []datamodel.Metric {
	wall := datamodel.Missing(datamodel.WallTime, units.Second, "the end of the command was not seen")
	if v, ok := h.wall(); ok {
		wall = datamodel.Value(datamodel.WallTime, v, units.Second, "delta", sensors.FromCounter, "monotonic clock")
	}
	waited := h.waited()
	total := h.trueToRusage(h.cpuTime(waited), waited, w)
	return append([]datamodel.Metric{wall, total}, h.modes(total, waited)...)
}

// modeTimes are CPU times in s and where they are from; NaN where they are not known.
type modeTimes struct {
	total, user, system float64
	source              string
}

// waited is what wait4 said of the target and, where the runner reaps them, of its orphans.
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
		t.source = "wait4, of the target and all its descendants that were waited for, orphans by ergon"
		if user, ok := have(l.OrphansUserTime); ok {
			t.user += user
			t.system += orphans - user
		}
	}
	return t
}

// cpuTime is the best of what the ledger and the target's sensor know of the CPU time: a cgroup, else perf, else rusage,
// else a walk over the processes.
func (h *host) cpuTime(waited modeTimes) datamodel.Metric {
	const name = datamodel.CPUTime
	l := h.Ledger
	read, how := h.targetTime(name, sensors.TargetCPU)
	isRead := read.Reason == ""
	if v, ok := have(l.GroupTime); ok {
		return datamodel.Value(name, v, units.Second, "delta", sensors.FromCounter, cmp.Or(l.GroupTimeSource, "cgroup"))
	}
	if isRead && how == sensors.ByCgroup {
		return read
	}
	if isRead && how == sensors.ByPerf {
		return read
	}
	// Both are lower bounds. The walk sees more only where much was done by processes that nobody has waited for yet.
	if !math.IsNaN(waited.total) && !(isRead && waited.total < 0.95*read.Value && read.Value-waited.total > 0.010) {
		return datamodel.Value(name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source)
	}
	return read
}

// targetTime is what a sensor of the target says of a CPU time, and how it knows.
func (h *host) targetTime(name string, use sensors.Use) (datamodel.Metric, sensors.Method) {
	s := h.find(use)
	if s == nil {
		d, _ := datamodel.Lookup(name)
		return missing(name, units.Second, h.whyMissing("target", d.Family+"/"+d.Sensor)), sensors.ByWalk
	}
	m := s.Metrics()[0]
	m.Name = name
	return m, s.Sensor().Method
}

// trueToRusage is the CPU time that was chosen or, where that is less, what rusage says: that is a lower bound, as a
// process that was waited for did use that time. perf does not see the exits, which makes one part in ten of a tree of
// short processes. Where it is well below, that is told: a process may have moved itself to another cgroup.
func (h *host) trueToRusage(chosen datamodel.Metric, waited modeTimes, w *doubts) datamodel.Metric {
	if chosen.Reason != "" || math.IsNaN(waited.total) || chosen.Value >= waited.total {
		return chosen
	}
	if chosen.Value < 0.95*waited.total && waited.total-chosen.Value > 0.010 {
		w.add("target/cpu_time", "%s gave %.4g s of CPU time, less than the %.4g s of the processes waited for, "+
			"which are given instead", chosen.Source, chosen.Value, waited.total)
	}
	return datamodel.Value(chosen.Name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source)
}

// modes is the CPU time in user mode and in the kernel, by the best source of which the two come to the whole, or nearly:
// wait4 does not know what nobody waited for, nor the walk what ended between its looks, and that would be in neither.
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
	for _, pair := range known {
		if math.Abs(pair[0].Value+pair[1].Value-whole.Value) <= max(0.05*whole.Value, 0.0001) {
			return pair
		}
	}
	reason := whyOf(whole)
	if reason.text == "" {
		best := known[0]
		reason = because(fmt.Sprintf("user and system come to %.3g s by %s, where %.3g s were used",
			best[0].Value+best[1].Value, best[0].Source, whole.Value))
	}
	return []datamodel.Metric{missing(user, units.Second, reason), missing(system, units.Second, reason)}
}
