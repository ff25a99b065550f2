package account

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// busyShare of all CPUs, or busyCPUs of them, is more than an idle machine uses.
	busyShare = 0.05
	busyCPUs  = 1
	// driftShare is the largest difference between two baselines without a warning, as a part of their mean. leastDrift
	// is always allowed.
	driftShare = 0.05
	leastDrift = 0.01
)

// BaselineOf makes a baseline from readings of an idle machine, from start on. If they give no energy, Reason says why.
func BaselineOf(list []*series.Series, start time.Time, missing []sensors.Absence) datamodel.Baseline {
	h := &host{Host: Host{Series: list, Missing: missing}, energy: chooseEnergy(list)}
	c := h.energy
	if len(c.summed()) == 0 {
		return datamodel.Baseline{Reason: h.whyNoEnergy().text}
	}
	base := datamodel.Baseline{Cover: c.name, Start: start, GPUs: c.gpuPowers()}
	for _, s := range c.gpus {
		base.Duration = max(base.Duration, s.Span().Seconds())
	}
	for _, s := range c.cpu {
		window := s.Span().Seconds()
		m := s.Energy()
		if window <= 0 {
			return datamodel.Baseline{Reason: "no time passed between the readings"}
		}
		base.Duration = max(base.Duration, window)
		base.Sensors = append(base.Sensors, s.Sensor().ID)
		base.Power += m.Value / window
		base.Spread += m.Std // as if all rose and fell together, which is the worst case
	}
	if !(base.Power <= math.MaxFloat64 && base.Spread <= math.MaxFloat64) {
		return datamodel.Baseline{Reason: "too large for a number"}
	}
	if busy := h.machineCPU().utilization(); busy.Reason == "" {
		base.Busy = &busy.Value
	}
	return base
}

// doubtBaseline warns about a useless baseline: the machine was not idle, or it was not the same before and after.
func (h *host) doubtBaseline(w *doubts) {
	base := h.Baseline
	if base == nil {
		return
	}
	const subject = "baseline"
	if base.Reason != "" {
		w.add(subject, "not measured: %s", base.Reason)
		return
	}
	if busy := base.Busy; busy != nil {
		cpus := *busy * float64(h.Machine.CPUs)
		if *busy > busyShare || cpus > busyCPUs {
			w.add(subject, "the machine was busy during the baseline: %s of its CPUs (above %s, or %d CPU); the idle power is too high",
				units.Format(*busy, units.Ratio), units.Format(busyShare, units.Ratio), busyCPUs)
		}
	}
	if len(base.Parts) != 2 {
		return
	}
	before, after := base.Parts[0], base.Parts[1]
	if after.Reason != "" {
		w.add(subject, "only the baseline before the command counts; there is none after it: %s", after.Reason)
		return
	}
	if after.Cover != before.Cover {
		w.add(subject, "only the baseline before the command counts: it covers %s, but the one after it covers %s", before.Cover, after.Cover)
		return
	}
	drift := math.Abs(after.Power - before.Power)
	spread := max(before.Spread, after.Spread)
	if drift > driftShare*base.Power || drift > spread && drift > leastDrift*base.Power {
		w.add(subject, "it drifted from %s before the command to %s after it (above 5 %%, or its own spread of %s); their mean is used",
			units.Format(before.Power, units.Watt), units.Format(after.Power, units.Watt), units.Format(spread, units.Watt))
	}
}

// idle returns the energy that the machine would have used at idle, in J. It is at most whole.
func (h *host) idle(whole float64, w *doubts) datamodel.Metric {
	const name = datamodel.IdleEnergy
	base := h.Baseline
	switch {
	case base == nil:
		return datamodel.Missing(name, units.Joule, "no baseline was measured (--baseline)")
	case base.Reason != "":
		return datamodel.Missing(name, units.Joule, "no baseline: "+base.Reason)
	case !(base.Power >= 0 && base.Power <= math.MaxFloat64):
		return datamodel.Missing(name, units.Joule, "the baseline gave no power")
	case base.Cover != h.energy.name:
		return datamodel.Missing(name, units.Joule, fmt.Sprintf("the baseline covers %s, but the energy covers %s",
			cmp.Or(base.Cover, "nothing"), h.energy.name))
	}
	var window time.Duration
	var ids []string
	for _, s := range h.energy.cpu {
		window, ids = window+s.Span(), append(ids, s.Sensor().ID)
	}
	if len(base.Sensors) > 0 && !slices.Equal(base.Sensors, ids) {
		return datamodel.Missing(name, units.Joule, fmt.Sprintf("the baseline covers %s, but the energy covers %s",
			strings.Join(base.Sensors, ", "), strings.Join(ids, ", ")))
	}
	length := window.Seconds() / float64(len(h.energy.cpu))
	v := base.Power * length
	if v > whole {
		w.add("run", "the baseline of %s is above the power of the run: all energy counts as idle",
			units.Format(base.Power, units.Watt))
		v = whole
	}
	m := datamodel.Value(name, v, units.Joule, "share", sensors.Attributed,
		fmt.Sprintf("baseline of %.4g W for %.4g s: %s", base.Power, length, base))
	m.Uncertainty = datamodel.Finite(base.Spread * length)
	return m
}

// net returns the energy less the idle energy of everything in it. The difference of two measurements is a model of
// what would have been, so it counts as attributed.
func (h *host) net(energy, idle, gpusIdle datamodel.Metric) datamodel.Metric {
	const name = datamodel.NetEnergy
	var idling []datamodel.Metric
	if len(h.energy.cpu) > 0 {
		idling = append(idling, idle)
	}
	if len(h.energy.gpus) > 0 {
		idling = append(idling, gpusIdle)
	}
	m := energy
	m.Name, m.Aggregation, m.Source = name, "share", fmt.Sprintf("energy less idle_energy: %.6g J", energy.Value)
	m.Min, m.Max, m.Mean, m.Std = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	m.Parts, m.AtMost = nil, math.NaN()
	for _, i := range idling {
		if i.Reason != "" {
			return missing(name, units.Joule, whyOf(i))
		}
		m.Value, m.Uncertainty = m.Value-i.Value, m.Uncertainty+i.Uncertainty
		m.Source += fmt.Sprintf(" less %.6g J", i.Value)
		if i.Name != idle.Name {
			m.Source += " of the GPUs"
		}
	}
	if energy.Reason != "" {
		return missing(name, units.Joule, whyOf(energy))
	}
	m.Provenance = sensors.Attributed.Weaker(energy.Provenance)
	return m.WithValue(max(0, m.Value))
}
