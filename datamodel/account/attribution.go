package account

import (
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// modelLimit is the limit of a model that shares energy by CPU time (Alumet, METRION: the energy of equal CPU time
// differs by this factor).
const modelLimit = "equal CPU time is not equal energy: it differs by a factor of 2 to 3"

// cpuShares is how the energy of the CPUs' cover was shared out. If target and other have values, the three add up to
// it. A missing idle is left out of the sum.
type cpuShares struct {
	target, other, idle datamodel.Metric
	// division is how the shares were computed. It is empty if they are unknown.
	division division
}

// shareCPUs divides the energy of the CPUs' cover, without GPUs, into the target's, others' and idle energy.
//
// In each interval the target's part of the energy is its part of the CPUs' busy time. This assumes that a second of
// CPU time costs the same in every process. If the target's time on each package's CPUs is known, each package is
// divided by itself.
//
// Without a baseline idle energy is shared out with the rest, as if the running processes caused it. The CPUs' idle
// time does not say how much energy they used in it. With a baseline idle energy is the baseline's power times the
// time, and the rest is shared out. The GPUs' energy is not shared out here, because CPU time says nothing about it.
//
// A share has no uncertainty: the counters' is small, and the model's is a factor of 2 to 3, which the source names.
func (h *host) shareCPUs(t busyTime, used datamodel.Metric, w *doubts) cpuShares {
	none := func(y why, idle datamodel.Metric) cpuShares {
		return cpuShares{
			target: missing(datamodel.TargetEnergy, units.Joule, y), other: missing(datamodel.OtherEnergy, units.Joule, y), idle: idle,
		}
	}
	if len(h.energy.cpu) == 0 {
		y := h.whyNoEnergy()
		return none(y, missing(datamodel.IdleEnergy, units.Joule, y))
	}
	whole := h.sum("", h.energy.cpu, "")
	if whole.Reason != "" {
		return none(whyOf(whole), missing(datamodel.IdleEnergy, units.Joule, whyOf(whole)))
	}
	share := func(name string, v float64, source string) datamodel.Metric {
		m := whole
		m.Name, m.Value, m.Source, m.Aggregation = name, v, source, "share"
		m.Provenance = sensors.Attributed.Weaker(whole.Provenance)
		m.Uncertainty, m.AtMost = math.NaN(), math.NaN() // the model's error, a factor, is not known better
		return m
	}
	within := fmt.Sprintf("%.6g J of %s", whole.Value, h.energy.sourceCPU())
	idle := h.idle(whole.Value, w)
	idling := 0.0
	if idle.Reason == "" {
		idling = idle.Value
		source, uncertainty := fmt.Sprintf("%s, in %s", idle.Source, within), idle.Uncertainty
		idle = share(idle.Name, idle.Value, source)
		idle.Uncertainty = uncertainty
		within += fmt.Sprintf(" less %.6g J idle", idle.Value)
	}
	var y why
	switch {
	case used.Reason != "":
		y = whyOf(used).of("CPU time of the target")
	case t.why != (why{}):
		y = t.why.of("busy time of the CPUs")
	case t.busy <= 0:
		y = because("busy time of the CPUs: none seen")
	}
	if y != (why{}) {
		return none(y, idle)
	}
	d := h.divide(t, used.Value, whole.Value, idling)
	d.isIdle = idle.Reason == ""
	model := fmt.Sprintf("share of %s, in %s", d.model(used.Value, t.busy), within)
	switch {
	case h.energy.gpusBehind:
		model += "; GPUs in it"
	case len(h.energy.gpus) > 0:
		model += "; GPUs not shared out"
	}
	model += "; " + modelLimit
	target, other, summed := d.sums(len(d.edges) - 1)
	if idle.Reason == "" {
		idle.Value = summed
	}
	return cpuShares{
		target: share(datamodel.TargetEnergy, target, model), other: share(datamodel.OtherEnergy, other, "the rest after the "+model),
		idle: idle, division: d,
	}
}
