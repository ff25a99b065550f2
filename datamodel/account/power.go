package account

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// energies returns energy, power and gpu_energy.
func (h *host) energies(w *doubts) []datamodel.Metric {
	c := h.energy
	var energy, gpu datamodel.Metric
	if parts := energies(c.gpus); len(parts) > 0 {
		gpu = datamodel.Total(datamodel.GPUEnergy, units.Joule, parts, c.sourceGPU())
	} else {
		gpu = missing(datamodel.GPUEnergy, units.Joule, h.whyNoGPUEnergy())
	}
	if parts := energies(c.summed()); len(parts) > 0 {
		energy = datamodel.Total(datamodel.Energy, units.Joule, parts, c.source())
		energy.Parts = c.parts()
	} else {
		energy = missing(datamodel.Energy, units.Joule, h.whyNoEnergy())
	}
	power := missing(datamodel.Power, units.Watt, whyOf(energy))
	if energy.Reason == "" {
		power = h.power()
		if wall, ok := h.wall(); ok && wall > 0 {
			energy.Uncertainty += h.energyOutside(wall)
			h.doubtWindow(wall, w)
		}
	}
	return []datamodel.Metric{energy, power, gpu}
}

// power returns the sum of the mean powers of all summed series. Each is an energy divided by the time between its own
// readings. That time differs from the command's: for a command of a millisecond it is twice as long.
func (h *host) power() datamodel.Metric {
	c := h.energy
	parts := make([]datamodel.Metric, 0, len(c.cpu)+len(c.gpus))
	for _, s := range c.summed() {
		m := s.Energy()
		if s.Counted() == 0 {
			return datamodel.Missing(datamodel.Power, units.Watt, "no time passed between the readings")
		}
		m.Value, m.Uncertainty = s.MeanPower(), m.Uncertainty/s.Counted()
		parts = append(parts, m)
	}
	power := datamodel.Total(datamodel.Power, units.Watt, parts, c.source())
	power.Aggregation = "mean"
	return power
}

// energyOutside returns an energy in J, at the greatest power seen. It is the energy of the time by which the readings of the
// summed series span more or less than the command. Whether the command ran in that time is unknown.
func (h *host) energyOutside(wall float64) float64 {
	sum := 0.0
	for _, s := range h.energy.summed() {
		sum += math.Abs(s.Span().Seconds()-wall) * max(s.Greatest(), 0)
	}
	return datamodel.Finite(sum)
}

// whyNoEnergy returns the reason why the machine without its GPUs has no energy. It is the reason of the processors'
// own counters if they were read.
func (h *host) whyNoEnergy() why {
	if y := h.stoodStill(); y != (why{}) {
		return y
	}
	for _, s := range h.Series {
		if s.Sensor().Method == sensors.ByPowercap && isEnergy(s.Sensor()) {
			if m := s.Energy(); m.Reason != "" {
				return whyOf(m)
			}
		}
	}
	return h.whyMissing("rapl")
}

// whyNoGPUEnergy returns the reason why the GPUs have no energy.
func (h *host) whyNoGPUEnergy() why {
	for _, s := range h.Series {
		if isEnergy(s.Sensor()) && ofGPUs(s.Sensor().Domain) {
			if m := s.Energy(); m.Reason != "" {
				return whyOf(m)
			}
		}
	}
	return h.whyMissing("gpu", "nvml")
}

// doubtWindow warns if the energy covers clearly more or less time than the command ran, or if a counter stood still in
// that time. It also warns if the time is so short that the steps of the counters matter.
func (h *host) doubtWindow(wall float64, w *doubts) {
	reported := make(map[sensors.Method]bool) // one warning for all counters with the same method
	for _, s := range h.energy.summed() {
		window := s.Span().Seconds()
		if math.Abs(window-wall) > 0.1*wall {
			w.add(s.Sensor().ID, "its energy covers %.3g s, but the command ran for %.3g s", window, wall)
		}
		if stood := s.Standing(); stood > 0 {
			w.add(s.Sensor().ID, "the counter did not move for %s: the energy of that time is missing", units.Brief(stood))
		}
		update := s.Sensor().Update
		if update == 0 && isOwnCounter(s.Sensor()) {
			update = raplStep
		}
		if reported[s.Sensor().Method] || s.Sensor().Kind != sensors.Counter || window <= 0 || update <= 0 {
			continue
		}
		steps := window / update.Seconds()
		if s.Aligned() || steps >= enoughUpdates && window >= enoughTime.Seconds() {
			continue
		}
		reported[s.Sensor().Method] = true
		part := s.Uncertainty() / s.Delta()
		if math.IsNaN(part) {
			part = 1 / steps
		}
		w.add(s.Sensor().ID, "the counter moves about every %s: over %.3g s its energy is known to ± %.0f %%", update, window, 100*part)
	}
}

// stoodStill returns the reason of a missing energy if none of the counters to be summed moved. The energy is below the
// sum of their bounds. stoodStill returns an empty reason if a counter moved or a bound is unknown.
func (h *host) stoodStill() why {
	var all []*series.Series
	for _, s := range h.Series {
		if isEnergy(s.Sensor()) && !ofGPUs(s.Sensor().Domain) {
			all = append(all, s)
		}
	}
	var still []*series.Series
	most, window := 0.0, time.Duration(0)
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		if !d.Covered {
			continue
		}
		bound := all[i].AtMost()
		if math.IsNaN(bound) {
			return why{}
		}
		still = append(still, all[i])
		most, window = most+bound, max(window, all[i].Span())
	}
	switch len(still) {
	case 0:
		return why{}
	case 1:
		return why{text: still[0].Energy().Reason, atMost: most}
	}
	return why{
		text: fmt.Sprintf("the %d counters did not move in %s", len(still), units.Brief(window)), atMost: most,
	}
}

// energies returns the energy metrics of the series.
func energies(list []*series.Series) []datamodel.Metric {
	out := make([]datamodel.Metric, len(list))
	for i, s := range list {
		out[i] = s.Energy()
	}
	return out
}
