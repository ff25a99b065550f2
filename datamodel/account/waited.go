package account

import (
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

// This file decides about what the kernel adds up along wait4: bytes, page faults, context switches. A process that ends
// passes its counts on to the parent that waits for it. So the ended target has the counts of all descendants only if each
// of them was waited for. Daemons and background jobs of a shell that has ended were not.

const (
	fromWait = "wait4 for the target and the descendants it waited for"
	fromIO   = "/proc/PID/io of the ended target, with the children it waited for"
)

const (
	// unwaitedTime and unwaitedShare bound the CPU time, in s and as a share, by which a cgroup exceeds wait4 although every
	// process was waited for. It is the time before the execve and after the last count: 0.1 to 0.5 ms for 1 to 2000
	// processes. A process that writes 1 MB uses 2 ms.
	unwaitedTime, unwaitedShare = 0.001, 0.002
	// runsOn is the share by which the clock of perf may exceed wait4 in a virtual machine, beyond the time that the
	// hypervisor says it has taken. That clock runs on while another guest has the CPU. Up to 0.36 was seen.
	runsOn = 0.5
	// mostStolen is the largest part of perf's CPU time that interrupts and the hypervisor are believed to have had. 0.06
	// was seen beside processes that wrote to the disk all the time. The rest is CPU time that is in neither mode.
	mostStolen = 0.2
)

// findUnwaited reports whether the ended target's counts leave out a part of the command. It is also true if that cannot be
// excluded, because the command left the cgroup that would show it.
func (h *host) findUnwaited() bool {
	l := h.Ledger
	if n, ok := have(l.Survivors); ok && n > 0 {
		return true
	}
	if t, ok := have(l.OrphansTime); ok && t > 0 {
		return true
	}
	if n, ok := have(l.OrphansLeft); ok && n > 0 {
		return true
	}
	user, hasUser := have(l.UserTime)
	system, hasSystem := have(l.SystemTime)
	if !hasUser || !hasSystem {
		return false
	}
	waited := user + system
	slack := unwaitedTime + unwaitedShare*waited
	counted, ok := have(l.GroupTime)
	if !ok {
		read, how := h.targetTime(datamodel.CPUTime, sensors.TargetCPU)
		if how == sensors.ByWalk {
			return false
		}
		if counted = read.Value; how == sensors.ByPerf {
			slack += h.stolen() + runsOn*waited
		}
	}
	return h.left || counted-waited > slack
}

// stolen returns how much of the command's time on a CPU the hypervisor or interrupts may have had, in s. It is 0 if the
// machine's CPU times were not read. They are in ticks.
func (h *host) stolen() (sum float64) {
	const tick = 0.01
	for _, use := range []sensors.Use{sensors.CPUSteal, sensors.CPUIRQ, sensors.CPUSoftIRQ} {
		if s := h.find(use); s != nil {
			sum += tick + orZero(s.Metrics()[0].Value)
		}
	}
	return sum
}

// findRefused returns the absences of the bytes of the command, if the kernel showed them of none of its processes and the
// runner does not know them either. A process that had no bytes yet may have been read before it was refused.
func (h *host) findRefused() (list []sensors.Absence) {
	if h.Seen == nil || len(h.Seen.Processes) == 0 ||
		slices.ContainsFunc(h.Seen.Processes, func(p datamodel.SeenProcess) bool { return p.HasIO }) {
		return nil
	}
	for _, f := range []struct {
		name  string
		known *float64
	}{{datamodel.DiskRead, h.Ledger.ReadBytes}, {datamodel.DiskWrite, h.Ledger.WriteBytes}} {
		if _, ok := have(f.known); ok {
			continue
		}
		d, _ := datamodel.Lookup(f.name)
		list = append(list, sensors.Absence{
			ID: d.Family + "/" + d.Sensor, Family: d.Family, Source: "/proc/PID/io", Cause: sensors.Denied,
			Reason: "the command runs with the rights of another user or may not be dumped, and then only root may read its bytes",
		})
	}
	return list
}

// ledgerOr returns a metric of the command from the ledger, or from the sensor with this use if the ledger lacks it.
//
// The ledger's count is a counter of the whole command if every process was waited for. Otherwise it is a lower bound, and
// so is the sum over the processes that were seen. The larger of the two is the result.
func (h *host) ledgerOr(name string, known *float64, aggregation, source string, use sensors.Use) datamodel.Metric {
	d, _ := datamodel.Lookup(name)
	var s *series.Series
	if use != "" {
		s = h.find(use)
	}
	v, ok := have(known)
	if !ok {
		if s == nil || h.absence(d.Family+"/"+d.Sensor) != (why{}) {
			return missing(name, d.Unit, h.whyMissing("target", d.Family+"/"+d.Sensor))
		}
		m := h.ofCommand(s)
		m.Name, m.Unit = name, d.Unit
		if m.Reason == "" && s.Sensor().Method == sensors.ByWalk {
			m = m.Least(m.AtMost)
		}
		return m
	}
	counted := datamodel.Value(name, v, d.Unit, aggregation, sensors.FromCounter, source)
	if s != nil {
		// A part of the command's time is enough for a lower bound.
		if seen := s.Metrics()[0]; seen.Reason == "" && seen.Value > v {
			seen.Name, seen.Unit = name, d.Unit
			return seen.Least(seen.AtMost)
		}
	}
	if !h.unwaited {
		return counted
	}
	counted.Source += "; processes that nobody waited for are left out"
	counted.Provenance = counted.Provenance.Weaker(sensors.Sampled)
	return counted.Least(counted.AtMost)
}
