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
	m = s.described(m, 1e9).WithValue(s.delta())
	if hidden := s.Hidden(); hidden > 0 && m.Reason == "" {
		m = m.Least(m.Value + max(0, m.Uncertainty) + hidden)
	}
	return m
}

// Hidden bounds what an energy counter did not count between its first and its last reading, in J: in resets, in
// standstills, and in wraps that nobody saw. Its greatest rate gives the bound. Hidden is +Inf if that is unknown. It is
// 0 for other sensors, and if nothing was lost.
func (s *Series) Hidden() float64 {
	if s.sensor.Unit != units.Joule || s.sensor.Kind != sensors.Counter {
		return 0
	}
	hidden := s.hidden
	if s.Stands() {
		hidden += s.mostIn(s.lastAt - s.movedFrom)
	}
	if s.wraps > 0 && s.sensor.MaxRate <= 0 {
		hidden = math.Inf(1)
	}
	return hidden
}

// Uncertainty bounds the error of the energy of a counter in both directions, in J. It is NaN if the update period is
// unknown. It excludes what Hidden bounds.
//
// A value may be as old as one update period. So the energy of up to one period may be missing at the end, and as much
// from before the start may be included. The two errors have opposite signs, so the greater one is the bound.
//
// No period holds more than the greatest rate allows. The period before the first reading ends in the first rise. So it
// holds no more than that rise, which is a narrow bound if another reading follows soon. The period at the end holds no
// more than the counter rose from the last reading to its next move, if that was read (Edge.After). If neither helps,
// the power within the period at an end is taken to be the power of the increment at that end, or the mean of the run if
// that is more. If the age of the value at an end is known, it replaces the period.
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
	end := func(rise, w float64, age time.Duration, next float64) float64 {
		part := 1.0
		if age > 0 {
			part = min(1, float64(age)/float64(update))
		}
		most := max(period(rise, w), mean) * part
		if next >= 0 {
			most = next
		}
		return min(most, s.maxRate*float64(update)*part)
	}
	next := math.NaN()
	if s.readSoon() {
		next = s.firstRise
	}
	first := end(s.firstRise, s.firstTime, s.firstAge, next)
	if s.stoodFirst() {
		first = s.firstRise // its first value may be older than a period
	}
	return datamodel.Finite(max(first, end(s.lastRise, s.lastTime, s.lastAge, s.after)) + s.mistaken + s.unconfirmed())
}

// stoodFirst reports whether the counter stood still at the first reading for longer than its usual pauses.
func (s *Series) stoodFirst() bool {
	stuck := s.stuckAfter()
	return stuck > 0 && s.firstStill >= float64(stuck)
}

// unconfirmed returns the last rise if another reading would have to confirm it and did not: it wrapped at an unusual
// power, or the counter then showed less.
func (s *Series) unconfirmed() float64 {
	if s.less || s.isOdd && s.movedAt == s.lastAt || s.undo != nil && s.undo.wrapped && !s.undo.usual && !(s.after >= 0) && s.Span() >= enough {
		return s.lastRise
	}
	return 0
}

// enough is the time from which a run has more readings than the first and the last one.
const enough = 200 * time.Millisecond

// readSoon reports whether the first rise is a useful bound of the period before the first reading: it came soon, or is
// small. A short command has only two readings, so its first rise is all of its energy.
func (s *Series) readSoon() bool {
	const soon, small = 10 * time.Millisecond, 0.01
	return s.Span() >= enough && (s.firstTime <= float64(soon) || s.firstRise <= small*s.delta())
}

// stuckAfter returns how long an energy counter must stand still to count as stuck: 20 of its update periods, at least
// 50 ms. It is 0 if the update period is unknown.
func (s *Series) stuckAfter() time.Duration {
	const least, most = 50 * time.Millisecond, 20
	if s.updates() <= 0 {
		return 0
	}
	return max(least, most*s.updates())
}

// Stands reports whether the counter stands at the last reading for longer than its usual pauses. It is false if
// the counter never moved; WhyNoDelta reports that.
func (s *Series) Stands() bool {
	still, stuck := s.lastAt-s.movedAt, s.stuckAfter()
	return (s.less || stuck > 0 && still >= stuck) && still != s.lastAt-s.firstAt
}

// Standing returns the time in which the counter did not move, if that exceeds its usual pauses. It covers the time up
// to the last reading and earlier.
func (s *Series) Standing() time.Duration {
	if s.Stands() {
		return s.stuck + s.lastAt - s.movedAt
	}
	return s.stuck
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
	m = m.WithValue(m.Mean)
	if hidden := s.Hidden(); hidden > 0 && m.Reason == "" {
		m = m.Least(m.Value + max(0, m.Uncertainty) + hidden/(s.weight/1e9))
	}
	return m
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
	m.Mean = datamodel.Finite(mean * scale)
	if s.sensor.Kind == sensors.Counter && s.steps == 1 {
		return m // one rate has no extremes
	}
	m.Min, m.Max = datamodel.Finite(lo*scale), datamodel.Finite(hi*scale)
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
