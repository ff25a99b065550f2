package datamodel

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Baseline is what the machine took while the command did not run.
type Baseline struct {
	// Reason says why there is none; what follows is then empty.
	Reason string `json:"reason,omitempty"`
	// Cover names what was summed (Resolution.Cover): a baseline of something else is not used.
	Cover string `json:"cover"`
	// Power is the mean of it without GPUs, in W, and Spread the standard deviation of its readings in W.
	Power  float64 `json:"power"`
	Spread float64 `json:"spread"`
	// GPUs is the mean power of each GPU by its device, in W.
	GPUs map[string]float64 `json:"gpus,omitempty"`
	// Duration is how long was measured, in s.
	Duration float64 `json:"duration"`
	// Busy is the busy share of all CPUs meanwhile, 0 to 1; nil where that is not known.
	Busy *float64 `json:"busy"`
	// Start is when measuring it began.
	Start time.Time `json:"start"`
	// Parts are the two it is the mean of where it was measured before and after the command.
	Parts []Baseline `json:"parts,omitempty"`
}

const (
	// busyShare of all CPUs, or busyCPUs of them, is more than a machine does that waits.
	busyShare = 0.05
	busyCPUs  = 1
	// driftShare is how far two baselines may be apart, in parts of their mean; leastDrift is always allowed.
	driftShare = 0.05
	leastDrift = 0.01
)

// BaselineOf makes a baseline of what was read on an idle machine, from the given moment on. Where no energy came of it
// the Reason says why.
func BaselineOf(list []*Series, start time.Time, missing []sensors.Absence) Baseline {
	b := &builder{in: Input{Series: list, Run: Run{Missing: missing}}, energy: chooseEnergy(list)}
	c := b.energy
	if len(c.summed()) == 0 {
		return Baseline{Reason: b.whyNoEnergy("rapl")}
	}
	base := Baseline{Cover: c.name, Start: start, GPUs: c.gpuPowers()}
	for _, s := range c.gpus {
		base.Duration = max(base.Duration, (s.lastAt - s.firstAt).Seconds())
	}
	for _, s := range c.cpu {
		window := (s.lastAt - s.firstAt).Seconds()
		m := s.energy()
		if window <= 0 {
			return Baseline{Reason: "no time passed between the readings"}
		}
		base.Duration = max(base.Duration, window)
		base.Power += m.Value / window
		base.Spread += m.Std // as if all rose and fell together, which is the most it can be
	}
	if !(base.Power <= math.MaxFloat64 && base.Spread <= math.MaxFloat64) {
		return Baseline{Reason: "too large for a number"}
	}
	if busy := b.machineCPU().utilization(); busy.Reason == "" {
		base.Busy = &busy.Value
	}
	return base
}

// String says what was measured, in a line.
func (b Baseline) String() string {
	if b.Reason != "" {
		return "none: " + b.Reason
	}
	var parts []string
	if b.Cover != "" {
		parts = append(parts, fmt.Sprintf("%.4g W ± %.2g W of %s", b.Power, b.Spread, b.Cover))
	}
	for _, device := range slices.Sorted(maps.Keys(b.GPUs)) {
		parts = append(parts, fmt.Sprintf("%.4g W of %s", b.GPUs[device], device))
	}
	said := fmt.Sprintf("%s, measured for %.4g s", strings.Join(parts, ", "), b.Duration)
	if b.Busy != nil {
		said += fmt.Sprintf(" with %s of the CPUs busy", units.Format(*b.Busy, units.Ratio))
	}
	if len(b.Parts) == 2 && b.Parts[1].Reason == "" {
		said += ", before and after the command"
	}
	return said
}

// And is the mean of two baselines, one before the command and one after it; where there is only one of them, that one.
// Their difference is in the spread.
func (b Baseline) And(after Baseline) Baseline {
	both := b
	both.Parts = []Baseline{b, after}
	if b.Reason != "" || after.Reason != "" || after.Cover != b.Cover {
		return both
	}
	difference := after.Power - b.Power
	both.Power = (b.Power + after.Power) / 2
	both.GPUs = meanOf(b.GPUs, after.GPUs)
	both.Spread = math.Sqrt((b.Spread*b.Spread+after.Spread*after.Spread)/2 + difference*difference/4)
	both.Duration = b.Duration + after.Duration
	both.Busy = nil
	if b.Busy != nil && after.Busy != nil {
		both.Busy = new((*b.Busy*b.Duration + *after.Busy*after.Duration) / both.Duration)
	}
	return both
}

// doubtBaseline warns of a baseline that is none: of a machine that did not idle, or not alike before and after.
func (b *builder) doubtBaseline() {
	base := b.in.Run.Baseline
	if base == nil {
		return
	}
	const subject = "baseline"
	if base.Reason != "" {
		b.warn(subject, "not measured: %s", base.Reason)
		return
	}
	if busy := base.Busy; busy != nil {
		cpus := *busy * float64(b.in.Run.Host.CPUs)
		if *busy > busyShare || cpus > busyCPUs {
			b.warn(subject, "the machine was busy while it was to idle: %s of its CPUs (above %s, or %d CPU); the idle power is too high",
				units.Format(*busy, units.Ratio), units.Format(busyShare, units.Ratio), busyCPUs)
		}
	}
	if len(base.Parts) != 2 {
		return
	}
	before, after := base.Parts[0], base.Parts[1]
	if after.Reason != "" {
		b.warn(subject, "only that before the command counts, there is none after it: %s", after.Reason)
		return
	}
	if after.Cover != before.Cover {
		b.warn(subject, "only that before the command counts: it is of %s, that after it of %s", before.Cover, after.Cover)
		return
	}
	drift := math.Abs(after.Power - before.Power)
	spread := max(before.Spread, after.Spread)
	if drift > driftShare*base.Power || drift > spread && drift > leastDrift*base.Power {
		b.warn(subject, "it drifted from %s before the command to %s after it (above 5 %%, or its own spread of %s); their mean is used",
			units.Format(before.Power, units.Watt), units.Format(after.Power, units.Watt), units.Format(spread, units.Watt))
	}
}

// idle is the energy that the machine would have taken idle, at most all of it.
func (b *builder) idle(whole float64) Metric {
	const name = "idle_energy"
	base := b.in.Run.Baseline
	switch {
	case base == nil:
		return Missing(name, units.Joule, "no baseline was measured (--baseline)")
	case base.Reason != "":
		return Missing(name, units.Joule, "no baseline: "+base.Reason)
	case !(base.Power >= 0 && base.Power <= math.MaxFloat64):
		return Missing(name, units.Joule, "the baseline gave no power")
	case base.Cover != b.energy.name:
		return Missing(name, units.Joule, fmt.Sprintf("the baseline is of %s, the energy of %s",
			orElse(base.Cover, "nothing"), b.energy.name))
	}
	var window time.Duration
	for _, s := range b.energy.cpu {
		window += s.lastAt - s.firstAt
	}
	length := window.Seconds() / float64(len(b.energy.cpu))
	v := base.Power * length
	if v > whole {
		b.warn("run", "the baseline of %s is above the power of the run: it is all counted as idle",
			units.Format(base.Power, units.Watt))
		v = whole
	}
	m := Value(name, v, units.Joule, "share", sensors.Attributed,
		fmt.Sprintf("baseline of %.4g W for %.4g s: %s", base.Power, length, base))
	m.Uncertainty = finite(base.Spread * length)
	return m
}

// net is the energy less that of idling of all that is in it. The difference of two measurements is a model of what would have
// been.
func (b *builder) net(energy, idle Metric) Metric {
	const name = "net_energy"
	var idling []Metric
	if len(b.energy.cpu) > 0 {
		idling = append(idling, idle)
	}
	if len(b.energy.gpus) > 0 {
		idling = append(idling, b.gpusIdle)
	}
	m := energy
	m.Name, m.Aggregation, m.Source = name, "share", fmt.Sprintf("energy less idle_energy: %.6g J", energy.Value)
	m.Min, m.Max, m.Mean, m.Std = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	for _, i := range idling {
		if i.Reason != "" {
			return Missing(name, units.Joule, i.Reason)
		}
		m.Value, m.Uncertainty = m.Value-i.Value, m.Uncertainty+i.Uncertainty
		m.Source += fmt.Sprintf(" less %.6g J", i.Value)
		if i.Name != idle.Name {
			m.Source += " of the GPUs"
		}
	}
	if energy.Reason != "" {
		return Missing(name, units.Joule, energy.Reason)
	}
	m.Provenance = weaker(sensors.Attributed, energy.Provenance)
	return m.withValue(max(0, m.Value))
}
