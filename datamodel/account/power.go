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
	if len(c.gpus) > 0 {
		gpu = h.sum(datamodel.GPUEnergy, c.gpus, c.sourceGPU())
	} else {
		gpu = missing(datamodel.GPUEnergy, units.Joule, h.whyNoGPUEnergy())
	}
	if len(c.summed()) > 0 {
		energy = h.sum(datamodel.Energy, c.summed(), c.source())
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

// sum returns the energy of the series together. It is a lower bound if it lacks a part of the machine, or if readings
// are missing at an end of the command.
func (h *host) sum(name string, list []*series.Series, source string) datamodel.Metric {
	parts := make([]datamodel.Metric, len(list))
	for i, s := range list {
		parts[i] = h.whole(s)
	}
	wall, _ := h.wall()
	return h.short(datamodel.Total(name, units.Joule, parts, source), list, func(s *series.Series) float64 {
		return s.Most(max(s.Window(), time.Duration(wall*1e9)))
	})
}

// short returns a sum over the series as a lower bound if it lacks a part of the machine. most bounds what a sensor of
// such a part would have given.
func (h *host) short(m datamodel.Metric, list []*series.Series, most func(*series.Series) float64) datamodel.Metric {
	for _, l := range h.lacks(list) {
		if m.Reason != "" {
			break
		}
		more := math.NaN()
		if l.series != nil {
			more = most(l.series)
		}
		m = m.Least(m.Most() + more)
	}
	return m
}

// whole returns the energy of a series. If it has no readings for a part of the command's time, its energy is a lower
// bound.
func (h *host) whole(s *series.Series) datamodel.Metric {
	m := s.Energy()
	bare := s.Bare()
	if wall, ok := h.wall(); ok {
		bare = max(bare, time.Duration(wall*1e9)-s.Span())
	}
	if bare <= 0 || m.Reason != "" {
		return m
	}
	return m.Least(m.Most() + s.Most(bare))
}

// power returns the sum of the mean powers of all summed series. Each is an energy divided by the time between its own
// readings. That time differs from the command's: for a command of a millisecond it is twice as long.
func (h *host) power() datamodel.Metric {
	c := h.energy
	parts := make([]datamodel.Metric, 0, len(c.cpu)+len(c.gpus))
	for _, s := range c.summed() {
		m := s.Energy()
		t := s.Counted()
		if t == 0 {
			return datamodel.Missing(datamodel.Power, units.Watt, "no time passed between the readings")
		}
		m.Value, m.Uncertainty, m.AtMost = s.MeanPower(), m.Uncertainty/t, m.AtMost/t
		parts = append(parts, m)
	}
	power := datamodel.Total(datamodel.Power, units.Watt, parts, c.source())
	power = h.short(power, c.summed(), func(s *series.Series) float64 { return s.Sensor().MaxRate })
	power.Aggregation = "mean"
	return power
}

// energyOutside returns an energy in J, at the power of the readings' ends. It is the energy of the time by which the
// readings of the summed series span more than the command. Whether the command ran in that time is unknown.
func (h *host) energyOutside(wall float64) float64 {
	sum := 0.0
	for _, s := range h.energy.summed() {
		sum += max(0, s.Span().Seconds()-wall) * max(s.PowerAtEnds(), 0)
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
				return whyDead(s)
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
				return whyDead(s)
			}
		}
	}
	return h.whyMissing("gpu", "nvml")
}

// whyDead returns why a series gives no energy.
func whyDead(s *series.Series) why {
	y := whyOf(s.Energy())
	if s.Dead() {
		y.absence = s.Sensor().ID
	}
	return y
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

// stoodStill returns the reason of a missing energy if none of the counters to be summed moved. If the counters may
// still be meters, the energy is below the sum of their bounds. A bound for less than the command's time is none.
// stoodStill returns an empty reason if a counter moved or was not read.
func (h *host) stoodStill() why {
	var all []*series.Series
	for _, s := range h.Series {
		if isEnergy(s.Sensor()) && !ofGPUs(s.Sensor().Domain) {
			all = append(all, s)
		}
	}
	var still []*series.Series
	wall, _ := h.wall()
	y := why{}
	most, window := 0.0, time.Duration(0)
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		if !d.Covered {
			continue
		}
		s := all[i]
		if !s.Stood() {
			return why{}
		}
		if s.Dead() && y.absence == "" {
			y.absence = s.Sensor().ID
		}
		still = append(still, s)
		most, window = most+s.AtMost(), max(window, s.Span())
		if s.Span().Seconds() < wall {
			most = math.NaN()
		}
	}
	if len(still) == 0 {
		return why{}
	}
	y.text = still[0].Energy().Reason
	if len(still) > 1 {
		y.text = fmt.Sprintf("the %d counters did not move in %s", len(still), units.Brief(window))
		if y.absence != "" {
			y.text += ": no meters"
		}
	}
	if most > 0 {
		y.atMost = most
	}
	return y
}
