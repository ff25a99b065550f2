package account

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// wall returns the wall time of the command, in s.
func (h *host) wall() (float64, bool) {
	if v, ok := have(h.Ledger.WallTime); ok {
		return v, true
	}
	return have(h.run.WallTime)
}

// sizes returns the memory, the processes and the bytes of the command, and the memory of the GPUs.
func (h *host) sizes(w *doubts) []datamodel.Metric {
	l := h.Ledger
	charge := h.charge()
	memory := h.peakMemory(charge, w)
	return []datamodel.Metric{
		memory, charge,
		h.processCount(),
		h.ledgerOr(datamodel.DiskRead, l.ReadBytes, "delta", cmp.Or(l.IOSource, fromIO), sensors.TargetRead),
		h.plausible(h.ledgerOr(datamodel.DiskWrite, l.WriteBytes, "delta", cmp.Or(l.IOSource, fromIO), sensors.TargetWritten), w),
		h.gpuMemory(),
	}
}

// gpuMemory returns the largest memory in use on the GPUs, by any program.
func (h *host) gpuMemory() datamodel.Metric {
	m := h.gpuPeak(sensors.GPUMemory)
	if m.Reason == "" {
		m.Source += ", by any program"
	}
	return m
}

// gpuPeak adds each GPU's own maximum of a gauge of its memory. For one GPU the sum is the peak. For several it is an
// upper bound.
func (h *host) gpuPeak(use sensors.Use) datamodel.Metric {
	const name = datamodel.GPUMemoryPeak
	var parts []datamodel.Metric
	reason := ""
	for _, s := range h.every(use) {
		m := s.Gauge(name)
		if m.Reason != "" {
			reason = m.Reason
			continue
		}
		m.Value = m.Max
		parts = append(parts, m)
	}
	switch len(parts) {
	case 0:
		return missing(name, units.Byte, cmp.Or(because(reason), h.whyMissing("gpu", "nvml")))
	case 1:
		m := parts[0]
		m.Aggregation = "max"
		return m
	}
	m := datamodel.Total(name, units.Byte, parts, fmt.Sprintf("the maxima of %d GPUs added; at one time it may have been less", len(parts)))
	m.Aggregation = "max"
	return m
}

// network adds the interfaces whose sensors have the use: each byte counts once.
func (h *host) network(w *doubts) []datamodel.Metric {
	out := make([]datamodel.Metric, 0, 2)
	for _, of := range []struct {
		name string
		use  sensors.Use
	}{
		{datamodel.NetworkReceive, sensors.NetworkReceived}, {datamodel.NetworkTransmit, sensors.NetworkSent},
	} {
		var parts []datamodel.Metric
		var devices []string
		reason := ""
		for _, s := range h.every(of.use) {
			m := h.ofCommand(s)
			if m.Reason != "" {
				// An interface that came or went during the run may have only one reading.
				reason = m.Reason
				w.add(s.Sensor().ID, "not in %s: %s", of.name, m.Reason)
				continue
			}
			parts, devices = append(parts, m), append(devices, s.Sensor().Device)
		}
		if len(parts) == 0 {
			out = append(out, missing(of.name, units.Byte, cmp.Or(because(reason), h.whyMissing("network"))))
			continue
		}
		out = append(out, datamodel.Total(of.name, units.Byte, parts, strings.Join(devices, ", ")))
	}
	return out
}

// whyNoNetwork is the reason of a command without traffic of its own. Its namespace may also have ended unseen.
const whyNoNetwork = "no network interface of its own was seen: it shares ergon's network, or its own has only lo"

// ownNetwork returns the bytes of the command's own network namespace. They count from when an interface was first seen.
func (h *host) ownNetwork(name string, use sensors.Use) datamodel.Metric {
	s := h.find(use)
	if s == nil || s.Count() == 0 {
		return datamodel.Missing(name, units.Byte, whyNoNetwork)
	}
	m := s.Metrics()[0]
	m.Name = name
	if m.Reason == "" {
		m.Bound = datamodel.LowerBound
	}
	return m
}

// profilerTime returns the CPU time of the runner, from the ledger if known, plus the sampler's.
func (h *host) profilerTime() datamodel.Metric {
	const name = datamodel.ProfilerCPUTime
	part := func(who string, use sensors.Use) datamodel.Metric {
		if v, ok := have(h.Ledger.RunnerTime); ok && use == sensors.RunnerCPU {
			return datamodel.Value(name, v, units.Second, "delta", sensors.FromCounter, who)
		}
		if s := h.find(use); s != nil {
			m := s.Metrics()[0]
			if m.Reason == "" {
				return m
			}
		}
		return datamodel.Missing(name, units.Second, "the CPU time of the "+who+" is unknown")
	}
	parts := []datamodel.Metric{
		part("runner", sensors.RunnerCPU), part("sampler", sensors.SamplerCPU),
	}
	for _, p := range parts {
		if p.Reason != "" {
			return datamodel.Missing(name, units.Second, p.Reason)
		}
	}
	return datamodel.Total(name, units.Second, parts, "getrusage of runner and sampler")
}

// limitUtilization returns the target's part of the processor time that it may use.
func (h *host) limitUtilization(used datamodel.Metric) datamodel.Metric {
	const name = datamodel.CPULimitUtilization
	n, by := h.Machine.Limits.CPUs()
	wall, ok := h.wall()
	switch {
	case n <= 0:
		return datamodel.Missing(name, units.Ratio, "no limit is known: the command may use all processors")
	case used.Reason != "":
		return missing(name, units.Ratio, whyOf(used))
	case !ok || wall <= 0:
		return datamodel.Missing(name, units.Ratio, "the wall time is unknown")
	}
	m := datamodel.Value(name, used.Value/(n*wall), units.Ratio, "share", used.Provenance,
		fmt.Sprintf("%s; of %s CPUs by %s", used.Source, strconv.FormatFloat(n, 'g', 4, 64), by))
	m.Count, m.Gaps = used.Count, used.Gaps
	return m
}

// stealTime returns the CPU time that a hypervisor gave to other guests while this machine had work.
func (h *host) stealTime() datamodel.Metric {
	const name = datamodel.StealTime
	s := h.find(sensors.CPUSteal)
	if s == nil {
		return missing(name, units.Second, h.whyMissing("cpu", "cpu/steal"))
	}
	m := h.ofCommand(s)
	m.Name = name
	return m
}
