package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Metrics is what the readings come to: first one metric named as the sensor is, the delta of a counter or the mean
// of a gauge; then energy and power where the sensor is one of the two and has the other. Those that are not known
// are in it with the reason.
func (s *Series) Metrics() []datamodel.Metric {
	switch {
	case s.sensor.Kind == sensors.Counter && s.sensor.Unit == units.Joule:
		return s.named(s.deltaMetric(s.sensor.Name), s.deltaMetric(datamodel.Energy), s.rateMetric(datamodel.Power, units.Watt))
	case s.sensor.Kind == sensors.Counter:
		return []datamodel.Metric{s.deltaMetric(s.sensor.Name)}
	case s.sensor.Unit == units.Watt:
		return s.named(s.Gauge(s.sensor.Name), s.Gauge(datamodel.Power), s.integralMetric(datamodel.Energy))
	default:
		return []datamodel.Metric{s.Gauge(s.sensor.Name)}
	}
}

// named is own and those of others that have another name.
func (s *Series) named(own datamodel.Metric, others ...datamodel.Metric) []datamodel.Metric {
	out := []datamodel.Metric{own}
	for _, m := range others {
		if m.Name != own.Name {
			out = append(out, m)
		}
	}
	return out
}

// Energy is the energy metric of a joule counter or a power gauge.
func (s *Series) Energy() datamodel.Metric {
	if s.sensor.Kind == sensors.Counter {
		return s.deltaMetric(datamodel.Energy)
	}
	return s.integralMetric(datamodel.Energy)
}

func (s *Series) metric(name string, unit units.Unit, aggregation string) datamodel.Metric {
	m := datamodel.Value(name, math.NaN(), unit, aggregation, s.sensor.Origin(), s.sensor.Source)
	m.Count, m.Gaps = s.count, s.Gaps()
	return m
}

func (s *Series) deltaMetric(name string) datamodel.Metric {
	m := s.metric(name, s.sensor.Unit, "delta")
	if reason := s.WhyNoDelta(); reason != "" {
		m = m.Lacking(reason)
		m.AtMost = s.AtMost()
		return m
	}
	m.Uncertainty = s.Uncertainty()
	return s.described(m, 1e9).WithValue(s.delta())
}

// Uncertainty bounds how far the energy by a counter can be off, in J; NaN where its update period is not known. What
// it shows may be as old as that period: the energy of up to one period is missing at the end, and as much of what was
// before the start may be in it. The two work against each other, so the greater is the bound. What a period takes is
// told from the increment at that end, but is no less than the mean of the run: in an increment as short as a period
// the counter may not have moved. Where the age of what was shown at an end is known, it takes the period's place. To that
// comes what may be lost around a reset, and while it stood still, at the greatest power that was seen, and what may have been
// counted in wraps that nobody saw or that were taken for a reset.
func (s *Series) Uncertainty() float64 {
	update := s.sensor.Update
	if update <= 0 && s.Aligned() {
		update = max(s.firstAge, s.lastAge)
	}
	if s.sensor.Unit != units.Joule || s.sensor.Kind != sensors.Counter || update <= 0 || s.weight == 0 {
		return math.NaN()
	}
	// In a time of w the counter moved on by the energy of at least as many periods as w holds in full.
	period := func(rise, w float64) float64 { return rise / max(1, math.Floor(w/float64(update))) }
	mean := period(s.delta(), s.weight)
	end := func(rise, w float64, age time.Duration) float64 {
		part := 1.0
		if age > 0 {
			part = min(1, float64(age)/float64(update))
		}
		return max(period(rise, w), mean) * part
	}
	ends := max(end(s.firstRise, s.firstTime, s.firstAge), end(s.lastRise, s.lastTime, s.lastAge))
	return datamodel.Finite(ends + s.max*float64(s.lost+s.Standing()) + s.hidden)
}

// stuckAfter is how long an energy counter can stand still while the machine is on, 0 where that is not known: 100 of its
// updates, and more than any pause that was seen.
func (s *Series) stuckAfter() time.Duration {
	const least, most = 200 * time.Millisecond, 100
	if s.updates() <= 0 {
		return 0
	}
	return max(least, most*s.updates())
}

// Standing is the time in which the counter did not move, where that is longer than it ever stands still: at its last reading
// and before. It is 0 where it never moved at all, which is told in another way.
func (s *Series) Standing() time.Duration {
	stood, stuck := s.lastAt-s.movedAt, s.stuckAfter()
	if stuck == 0 || stood < stuck || stood == s.lastAt-s.firstAt {
		return s.stuck
	}
	return s.stuck + stood
}

// rateMetric is the mean rate of a counter over the time it was counted in.
func (s *Series) rateMetric(name string, unit units.Unit) datamodel.Metric {
	m := s.metric(name, unit, "mean")
	if reason := s.WhyNoDelta(); reason != "" {
		return m.Lacking(reason)
	}
	if s.weight == 0 {
		return m.Lacking("no time passed between the readings")
	}
	m = s.described(m, 1e9)
	m.Uncertainty = s.Uncertainty() / (s.weight / 1e9)
	return m.WithValue(m.Mean)
}

// Gauge is the mean of a gauge, or its greatest reading if the sensor is a high-water mark. The metric has the given
// name.
func (s *Series) Gauge(name string) datamodel.Metric {
	m := s.metric(name, s.sensor.Unit, "mean")
	if s.count == 0 {
		return m.Lacking(s.whyNone())
	}
	m = s.described(m, 1)
	if s.sensor.HighWater {
		m.Aggregation = "max"
		return m.WithValue(m.Max)
	}
	if s.sensor.Window > 0 && s.weight > 0 {
		return m.WithValue(s.Integral() / (s.weight / 1e9))
	}
	return m.WithValue(m.Mean)
}

// integralMetric is a gauge times time; for power an energy.
func (s *Series) integralMetric(name string) datamodel.Metric {
	m := s.metric(name, units.Joule, "integral")
	if m.Provenance == sensors.Sampled {
		m.Provenance = sensors.Integrated
	}
	switch {
	case s.count == 0:
		return m.Lacking(s.whyNone())
	case s.weight == 0:
		return m.Lacking("only one reading, and energy needs two")
	}
	return s.described(m, 1).WithValue(s.Integral())
}

// described gives m the minimum, maximum, mean and standard deviation of the readings or rates, each times scale.
func (s *Series) described(m datamodel.Metric, scale float64) datamodel.Metric {
	if s.min > s.max { // a counter without a rate
		return m
	}
	lo, hi := s.min, s.max
	mean := s.last
	switch {
	case s.weight > 0 && s.sensor.Kind == sensors.Counter:
		// Of what was counted in that time; s.mean is the same but for rounding, and for readings at the same moment.
		mean = (s.delta() - s.loose - s.before()) / s.weight
	case s.weight > 0:
		mean = (s.area + s.areaLow) / s.weight
	}
	if s.pending > 0 { // what it was read to gather in that time will come later, and the mean is without it
		lo = min(lo, mean)
	}
	mean = min(max(mean, lo), hi)
	m.Min, m.Max, m.Mean = datamodel.Finite(lo*scale), datamodel.Finite(hi*scale), datamodel.Finite(mean*scale)
	if s.rated > 0 {
		// No spread is more than half the range; rounding can make it so.
		m.Std = datamodel.Finite(min(math.Sqrt(max(0, s.m2/s.rated)), hi/2-lo/2) * scale)
	}
	return m
}

// before is what a counter of the target had counted when it was first read.
func (s *Series) before() float64 {
	if s.sensor.OfTarget {
		return s.first
	}
	return 0
}
