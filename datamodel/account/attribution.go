package account

import (
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// modelLimit is what the model of shares cannot know (Alumet, METRION: the same CPU time differs in energy by that).
const modelLimit = "equal CPU time is not equal energy: it differs by a factor of 2 to 3"

// cpuShares is whose the energy of the CPUs' cover was. If target and other have values, the three add up to it, one that
// is missing left out.
type cpuShares struct {
	target, other, idle datamodel.Metric
	// division is how they came about; it is empty if they are not known.
	division division
}

// shareCPUs divides the energy of the CPUs' cover, without GPUs, into what is the target's, what is others', and what the
// machine takes when idle.
//
// In each interval the target has as much of it as of the CPUs' busy time, which takes a second of CPU time to cost the
// same whoever has it; where the target's time on the CPUs of each package is known, this is done for each package.
// Without a baseline the energy of idling is taken to be caused by what ran, and is shared out with the rest: time in
// which CPUs were idle says nothing of what they took in it. With one, idling is the baseline's power over the time, and
// what is above is shared out. What GPUs used is not shared out: CPU time says nothing of it.
func (h *host) shareCPUs(t busyTime, used datamodel.Metric, w *doubts) cpuShares {
	none := func(y why, idle datamodel.Metric) cpuShares {
		return cpuShares{
			target: missing(datamodel.TargetEnergy, units.Joule, y), other: missing(datamodel.OtherEnergy, units.Joule, y), idle: idle,
		}
	}
	parts := energies(h.energy.cpu)
	if len(parts) == 0 {
		y := h.whyNoEnergy()
		return none(y, missing(datamodel.IdleEnergy, units.Joule, y))
	}
	whole := datamodel.Total("", units.Joule, parts, "")
	if whole.Reason != "" {
		return none(whyOf(whole), missing(datamodel.IdleEnergy, units.Joule, whyOf(whole)))
	}
	share := func(name string, v float64, source string) datamodel.Metric {
		m := whole
		m.Name, m.Value, m.Source, m.Aggregation = name, v, source, "share"
		m.Provenance = sensors.Attributed.Weaker(whole.Provenance)
		return m
	}
	within := fmt.Sprintf("%.6g J of %s", whole.Value, h.energy.sourceCPU())
	idle := h.idle(whole.Value, w)
	idling, open := 0.0, whole.Uncertainty
	if idle.Reason == "" {
		idling = idle.Value
		source, uncertainty := fmt.Sprintf("%s, in %s", idle.Source, within), idle.Uncertainty
		idle = share(idle.Name, idle.Value, source)
		idle.Uncertainty = uncertainty
		open += uncertainty
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
	out := cpuShares{
		target: share(datamodel.TargetEnergy, target, model), other: share(datamodel.OtherEnergy, other, "the rest beside the "+model),
		idle: idle, division: d,
	}
	// What the counters leave open: of each its part of what they leave open of the whole, and what a tick of each CPU too many or
	// too few moves from one to the other. How far the model is off, of which the source tells, is not in it.
	most := whole.Value + whole.Uncertainty
	between := target * tick.Seconds() * float64(max(1, h.Machine.CPUs)) / t.busy
	for _, m := range []*datamodel.Metric{&out.target, &out.other} {
		m.Uncertainty = datamodel.Finite(min(open*m.Value/max(target+other, math.SmallestNonzeroFloat64)+between, most))
	}
	return out
}
