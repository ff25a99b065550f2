package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Metrics returns what the readings add up to. The first metric has the sensor's name: the delta of a counter or the
// mean of a gauge. Energy and power follow if the sensor measures one of them and gives the other. A metric that is
// unknown is in the list with its reason.
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

// named returns own, and each of the others that has a different name.
func (s *Series) named(own datamodel.Metric, others ...datamodel.Metric) []datamodel.Metric {
	out := []datamodel.Metric{own}
	for _, m := range others {
		if m.Name != own.Name {
			out = append(out, m)
		}
	}
	return out
}

// Energy returns the energy metric of a joule counter or a power gauge, in J.
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

// Uncertainty bounds the error of the energy of a counter, in J. It is NaN if the update period is unknown.
//
// A value may be as old as one update period. So the energy of up to one period may be missing at the end, and as much
// from before the start may be included. The two errors have opposite signs, so the greater one is the bound. The
// energy of a period is estimated from the increment at that end, but it is at least the mean of the run. The counter
// may not have moved in an increment as short as a period. If the age of the value at an end is known, it replaces the
// period.
//
// The bound also includes energy lost around a reset or while the counter stood still, at the greatest power seen. It
// includes wraps that nobody saw or that were mistaken for a reset.
func (s *Series) Uncertainty() float64 {
	update := s.sensor.Update
	if update <= 0 && s.Aligned() {
		update = max(s.firstAge, s.lastAge)
	}
	if s.sensor.Unit != units.Joule || s.sensor.Kind != sensors.Counter || update <= 0 || s.weight == 0 {
		return math.NaN()
	}
	// A time w holds at least floor(w / update) full periods, and the counter moved on by the energy of each.
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

// stuckAfter returns how long an energy counter must stand still to count as stuck: 100 of its update periods, at least
// 200 ms. That is longer than any pause seen. It is 0 if the update period is unknown.
func (s *Series) stuckAfter() time.Duration {
	const least, most = 200 * time.Millisecond, 100
	if s.updates() <= 0 {
		return 0
	}
	return max(least, most*s.updates())
}

// Standing returns the time in which the counter did not move, if that exceeds its usual pauses. It covers the time up
// to the last reading and earlier. It is 0 if the counter never moved; WhyNoDelta reports that.
func (s *Series) Standing() time.Duration {
	stood, stuck := s.lastAt-s.movedAt, s.stuckAfter()
	if stuck == 0 || stood < stuck || stood == s.lastAt-s.firstAt {
		return s.stuck
	}
	return s.stuck + stood
}

// rateMetric returns the mean rate of a counter over the time that it was counted in.
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

// Gauge returns the mean of a gauge, or its greatest reading if the sensor is a high-water mark, as a metric with this
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

// integralMetric returns a gauge times time. For power this is an energy.
func (s *Series) integralMetric(name string) datamodel.Metric {
	m := s.metric(name, units.Joule, "integral")
	if m.Provenance == sensors.Sampled {
		m.Provenance = sensors.Integrated
	}
	switch {
	case s.count == 0:
		return m.Lacking(s.whyNone())
	case s.weight == 0:
		return m.Lacking("only one reading; energy needs two")
	}
	return s.described(m, 1).WithValue(s.Integral())
}

// described sets the minimum, maximum, mean and standard deviation of the readings or rates in m, each times scale.
func (s *Series) described(m datamodel.Metric, scale float64) datamodel.Metric {
	if s.min > s.max { // a counter without a rate
		return m
	}
	lo, hi := s.min, s.max
	mean := s.last
	switch {
	case s.weight > 0 && s.sensor.Kind == sensors.Counter:
		// The mean of what was counted in that time. s.mean differs only by rounding, and by readings at the same
		// moment.
		mean = (s.delta() - s.loose - s.before()) / s.weight
	case s.weight > 0:
		mean = (s.area + s.areaLow) / s.weight
	}
	if s.pending > 0 { // the energy of the pending time comes later, so the mean excludes it
		lo = min(lo, mean)
	}
	mean = min(max(mean, lo), hi)
	m.Min, m.Max, m.Mean = datamodel.Finite(lo*scale), datamodel.Finite(hi*scale), datamodel.Finite(mean*scale)
	if s.rated > 0 {
		// A standard deviation is at most half the range. Rounding can make it larger.
		m.Std = datamodel.Finite(min(math.Sqrt(max(0, s.m2/s.rated)), hi/2-lo/2) * scale)
	}
	return m
}

// before returns what a counter of the target had counted at its first reading.
func (s *Series) before() float64 {
	if s.sensor.OfTarget {
		return s.first
	}
	return 0
}
