package datamodel

import (
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// modelLimit is what the model of shares cannot know (Alumet, METRION: the same CPU time differs in energy by that).
const modelLimit = "equal CPU time is not equal energy: it differs by a factor of 2 to 3"

// attribution divides the energy of the CPUs' cover, without GPUs, into what is the target's, what is others', and
// what the machine takes when idle: target_energy, other_energy and idle_energy, in this order. They add up to the energy
// of the cover, one that is missing left out, wherever the first two have a value.
//
// In each interval the target has as much of it as of the CPUs' busy time, which takes a second of CPU time to cost the
// same whoever has it; where the target's time on the CPUs of each package is known, this is done for each package.
// Without a baseline the energy of idling is taken to be caused by what ran, and is shared out with the rest: time in
// which CPUs were idle says nothing of what they took in it. With one, idling is the baseline's power over the time, and
// what is above is shared out. What GPUs used is not shared out: CPU time says nothing of it.
func (b *builder) attribution(t busyTime, used Metric) []Metric {
	none := func(target, idle string) []Metric {
		return []Metric{
			Missing("target_energy", units.Joule, target), Missing("other_energy", units.Joule, target),
			Missing("idle_energy", units.Joule, idle),
		}
	}
	parts := energies(b.energy.cpu)
	if len(parts) == 0 {
		reason := b.whyNoEnergy("rapl")
		return none(reason, reason)
	}
	whole := sum("", units.Joule, parts, "")
	if whole.Reason != "" {
		return none(whole.Reason, whole.Reason)
	}
	share := func(name string, v float64, source string) Metric {
		m := whole
		m.Name, m.Value, m.Source, m.Aggregation = name, v, source, "share"
		m.Provenance = weaker(sensors.Attributed, whole.Provenance)
		return m
	}
	within := fmt.Sprintf("%.6g J of %s", whole.Value, b.energy.sourceCPU())
	idle := b.idle(whole.Value)
	idling, open := 0.0, whole.Uncertainty
	if idle.Reason == "" {
		idling = idle.Value
		source, uncertainty := fmt.Sprintf("%s, in %s", idle.Source, within), idle.Uncertainty
		idle = share(idle.Name, idle.Value, source)
		idle.Uncertainty = uncertainty
		open += uncertainty
		within += fmt.Sprintf(" less %.6g J idle", idle.Value)
	}
	reason := ""
	switch {
	case used.Reason != "":
		reason = "CPU time of the target: " + used.Reason
	case t.reason != "":
		reason = "busy time of the CPUs: " + t.reason
	case t.busy <= 0:
		reason = "busy time of the CPUs: none seen"
	}
	if reason != "" {
		out := none(reason, "")
		out[2] = idle
		return out
	}
	b.division = b.divide(t, used.Value, whole.Value, idling)
	b.division.isIdle = idle.Reason == ""
	model := fmt.Sprintf("share of %s, in %s", b.division.model(used.Value, t.busy), within)
	switch {
	case b.energy.gpusBehind:
		model += "; GPUs in it"
	case len(b.energy.gpus) > 0:
		model += "; GPUs not shared out"
	}
	model += "; " + modelLimit
	target, other, summed := b.division.sums(len(b.division.edges) - 1)
	if idle.Reason == "" {
		idle.Value = summed
	}
	shared := []Metric{
		share("target_energy", target, model), share("other_energy", other, "the rest beside the "+model), idle,
	}
	// What the counters leave open: of each its part of what they leave open of the whole, and what a tick of each CPU too many or
	// too few moves from one to the other. How far the model is off, of which the source tells, is not in it.
	most := whole.Value + whole.Uncertainty
	between := target * tick.Seconds() * float64(max(1, b.in.Run.Host.CPUs)) / t.busy
	for i := range shared[:2] {
		m := &shared[i]
		m.Uncertainty = finite(min(open*m.Value/max(target+other, math.SmallestNonzeroFloat64)+between, most))
	}
	return shared
}
