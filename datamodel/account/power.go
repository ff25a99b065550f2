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

// energies is energy, power and gpu_energy.
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
			energy.Uncertainty += h.beside(wall)
			h.doubtWindow(wall, w)
		}
	}
	return []datamodel.Metric{energy, power, gpu}
}

// power is the sum of the mean powers of what is summed. Each is its energy over the time between its own readings, which is
// not quite the time the command took: of a command of a millisecond it is twice that.
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

// beside is the energy, at the greatest power that was seen, of the time by which the readings of what is summed span more or
// less than the command: whether it was used while the command ran is not known.
func (h *host) beside(wall float64) float64 {
	sum := 0.0
	for _, s := range h.energy.summed() {
		sum += math.Abs(s.Span().Seconds()-wall) * max(s.Greatest(), 0)
	}
	return datamodel.Finite(sum)
}

// whyNoEnergy is the reason why the machine but for its GPUs gave no energy: that of its own counters, if they were read.
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

// whyNoGPUEnergy is the reason why the GPUs gave no energy.
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

// doubtWindow warns where the energy is of clearly more or less time than the command ran for, where a counter stood still in
// it, and where it is of so little that the steps of the counters count.
func (h *host) doubtWindow(wall float64, w *doubts) {
	told := make(map[sensors.Method]bool) // one warning for all counters that are read in one way
	for _, s := range h.energy.summed() {
		window := s.Span().Seconds()
		if math.Abs(window-wall) > 0.1*wall {
			w.add(s.Sensor().ID, "its energy is that of %.3g s, the command ran for %.3g s", window, wall)
		}
		if stood := s.Standing(); stood > 0 {
			w.add(s.Sensor().ID, "the counter did not move for %s: what was used then is missing", units.Brief(stood))
		}
		update := s.Sensor().Update
		if update == 0 && isOwnCounter(s.Sensor()) {
			update = raplStep
		}
		if told[s.Sensor().Method] || s.Sensor().Kind != sensors.Counter || window <= 0 || update <= 0 {
			continue
		}
		steps := window / update.Seconds()
		if s.Aligned() || steps >= enoughUpdates && window >= enoughTime.Seconds() {
			continue
		}
		told[s.Sensor().Method] = true
		part := s.Uncertainty() / s.Delta()
		if math.IsNaN(part) {
			part = 1 / steps
		}
		w.add(s.Sensor().ID, "the counter moves about every %s: in %.3g s it is known to ± %.0f %%", update, window, 100*part)
	}
}

// stoodStill is the reason of the machine's energy if every counter that would be summed did not move: it was less than
// what they allow together. It is empty if that is not so.
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

// energies is the energy metrics of the series.
func energies(list []*series.Series) []datamodel.Metric {
	out := make([]datamodel.Metric, len(list))
	for i, s := range list {
		out[i] = s.Energy()
	}
	return out
}
