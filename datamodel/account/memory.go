package account

import (
	"cmp"
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// charge returns the largest charge of the command's cgroup: its memory, page cache and kernel memory.
func (h *host) charge() datamodel.Metric {
	const name = datamodel.PeakMemoryCharge
	m := h.most(name, sensors.TargetChargePeak)
	switch v, ok := have(h.Ledger.GroupMemoryPeak); {
	case ok:
		m = datamodel.Value(name, v, units.Byte, "max", sensors.FromCounter, cmp.Or(h.Ledger.GroupMemorySource, "cgroup"))
	case m.Reason == "" && m.Provenance != sensors.FromCounter:
		m = m.Least(math.NaN())
	case m.Reason != "" && h.find(sensors.TargetChargePeak) != nil:
		m = missing(name, units.Byte, because("the command had no memory cgroup of its own"))
	}
	// What the target was charged with before it was moved into the cgroup stays outside.
	if m.Reason == "" && (h.left || h.Ledger.GroupLacks != nil) {
		m = m.Least(math.NaN())
	}
	return m
}

// most returns the largest reading of a gauge of the command. It is missing if there is none.
func (h *host) most(name string, use sensors.Use) datamodel.Metric {
	s := h.find(use)
	if s == nil {
		d, _ := datamodel.Lookup(name)
		return missing(name, d.Unit, h.whyMissing("target", d.Family+"/"+d.Sensor))
	}
	m := s.Gauge(name)
	if m.Reason == "" {
		m.Value, m.Aggregation = m.Max, "max"
	}
	return m
}

// peakMemory returns the most memory that the command held at once.
//
// For a single process the kernel keeps it: ru_maxrss of wait4. For several it is the greater of two lower bounds: the
// most that a look saw, and the largest single process. The cgroup's charge bounds it from above, together with the
// pages of files that the command has mapped but that another cgroup is charged with. If the command left its cgroup,
// the charge is no bound.
func (h *host) peakMemory(charge datamodel.Metric, w *doubts) datamodel.Metric {
	const name = datamodel.PeakMemory
	if h.left {
		w.add("target", "the command left the cgroup that ergon made for it: peak_memory, processes and threads come from "+
			"looks at its processes, and peak_memory_charge covers only a part of it")
	}
	m := h.most(name, sensors.TargetMemoryPeak)
	rss, ok := have(h.Ledger.MaxRSS)
	if floor, known := have(h.Ledger.RSSFloor); ok && known && rss <= floor {
		ok = false
		if m.Reason != "" {
			m = datamodel.Missing(name, units.Byte, fmt.Sprintf("not above the %.3g MB of the process that started it", floor/1e6))
		}
	}
	if orphan, known := have(h.Ledger.OrphansMaxRSS); known && !(ok && rss >= orphan) {
		rss, ok = orphan, true
	}
	mapped := rss
	if read := h.most(name, sensors.TargetMapped); read.Reason == "" {
		mapped = read.Value
	}
	switch {
	case ok && h.single() && !(m.Value > rss+h.lag()):
		return datamodel.Value(name, rss, units.Byte, "max", sensors.FromCounter, "wait4 ru_maxrss of the only process")
	case ok && !(m.Value >= rss):
		m = datamodel.Value(name, rss, units.Byte, "max", sensors.Sampled,
			"wait4 ru_maxrss: the largest single process; the tree may have held more")
	}
	most := math.NaN()
	if charge.Reason == "" && charge.Bound == "" {
		most = charge.Value + orZero(mapped)
	}
	if m.Reason != "" {
		m.AtMost = most
		return m
	}
	return m.Least(max(most, m.Value))
}

// single reports whether the command was one process, as far as is known: it waited for no child, nothing that was not
// waited for used CPU time or was left, and no look saw another process.
func (h *host) single() bool {
	if !h.Ledger.Childless || h.unwaited {
		return false
	}
	seen := h.most(datamodel.ProcessCount, sensors.TargetProcessesEver)
	return seen.Reason != "" || seen.Value <= 1
}

// processCount returns how many processes the command had. A process that lives between two looks is not seen, so a count by
// looks is a lower bound.
func (h *host) processCount() datamodel.Metric {
	m := h.ledgerOr(datamodel.ProcessCount, nil, "", "", sensors.TargetProcessesEver)
	if h.single() {
		m.Bound, m.AtMost = "", math.NaN()
	}
	return m
}

// lag is how far the kernel's counts of a process's memory may lie apart, in By: it collects them in batches per CPU.
func (h *host) lag() float64 {
	const batch, page = 64, 4096
	return float64(max(h.Machine.CPUs, 1) * batch * page)
}
