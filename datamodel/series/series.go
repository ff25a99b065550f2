// Package series folds the readings of one sensor into what they come to: sums, means, extremes, a coarse course over
// time and what is doubtful about them. It keeps no readings and reads no files.
package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// absoluteZero is the least temperature, in Cel. Every other quantity here but the time of a clock is at least 0.
const absoluteZero = -273.15

// Series takes in the readings of one sensor, in the order they were made, and knows at any time what they come to.
// It holds no readings, so its size does not grow with the run. It is the one place where counters are differenced.
//
// A counter gives its last reading less its first, so that readings that failed in between cost nothing, and so does
// one that is plain wrong: a reading that steps back (with no wrap point declared) or rises faster than MaxRate is
// set aside, and the next one decides. Where that fits the last good reading, the odd one was junk. Where it only fits
// the odd one, the counter was reset: it counts on from there, and what it counted between the last good reading and
// the odd one is lost and said to be. Either way there is one more gap, and never a negative or impossible increment.
//
// A gauge is averaged over time by trapezoids: between two readings it is taken to go straight from one to the other.
// That is exact for a ramp, makes the mean of a power gauge the same number as its energy over its time, and treats
// both ends of the run alike; holding each reading until the next would count the first one for a whole interval and
// the last one for nothing. Where readings are missing the line bridges them: leaving that time out would drop its
// energy from the total. The bridged time is in a warning where an energy stands on it. Nothing is extended beyond the
// first and the last reading. One that spans the time since the reading before is held over that time instead.
//
// All sums are of float64 in base units. In joules that resolves 2 µJ at 16 GJ (500 W for a year).
type Series struct {
	sensor sensors.Sensor
	readBy string
	// lowest is the least reading that is believed.
	lowest float64
	// wrap is Sensor.Wrap or 0, maxRate Sensor.MaxRate per nanosecond or +Inf, blind the nanoseconds after which a
	// counter may have wrapped unseen.
	wrap, maxRate, blind float64

	tally
	// undo is not nil after a wrap that may have been none.
	undo *undo

	// firstAge and lastAge are how old what a counter showed in the first and the last row can have been; 0 is as old as
	// the sensor says.
	firstAge, lastAge time.Duration

	clock *clock // nil but for the sensors of the clocks
}

// tally is what the readings came to so far. A wrap that turns out to have been none is undone by going back to the
// tally before it.
type tally struct {
	// from and to are the times of the first and last rows, readings or not.
	rows     int64
	from, to time.Duration

	// Readings that were believed; last is the last one of them.
	count           int64
	firstAt, lastAt time.Duration
	first, last     float64
	// missed is the number of rows without a believed reading since the last one with, gaps that of all before.
	missed, gaps int64

	// The readings of a gauge or the rates of a counter, per nanosecond: extremes, and mean and sum of squared
	// deviations weighted by nanoseconds (West's form of Welford's sums: no cancellation however far the mean is
	// from 0).
	min, max, mean, m2 float64
	// weight is the nanoseconds that were counted or averaged over, rated those of them that the sums above stand on. What an
	// energy counter gathers between two updates comes at once: to a reader that looks more often it would be watts upon
	// watts and then none. So it is spread over pending, the nanoseconds since it last moved.
	weight, rated, pending float64
	// area is the integral of a gauge in unit × ns, areaLow what rounding lost of it (Neumaier's sum).
	area, areaLow float64
	bridged       time.Duration
	// The first and the last increment of a counter that was more than 0: by how much it rose, and in how many
	// nanoseconds since it last did; and how many have passed since the last.
	firstRise, firstTime, lastRise, lastTime, still float64

	// A counter counted carry up to the last reset, and since then last - origin + wraps × wrap.
	origin, carry float64
	wraps         int64
	// steps is the number of increments, loose the part of them in which no time passed.
	steps int64
	loose float64
	// lost is the time of which a reset took the count away, stuck that in which it did not move though it must have, movedAt
	// that of the last reading that was above the one before.
	lost, stuck, movedAt time.Duration
	// hidden is how much may have been counted between readings too far apart, in wraps that nobody saw.
	hidden float64
	// odd is the reading set aside, where there is one.
	odd   float64
	oddAt time.Duration
	isOdd bool

	doubt doubts
	strip strip
}

// New is an empty series of the readings of sensor.
func New(sensor sensors.Sensor) *Series {
	inf := math.Inf(1)
	s := &Series{sensor: sensor, maxRate: inf, blind: inf, tally: tally{min: inf, max: -inf}}
	s.clock = clockOf(sensor)
	switch {
	case sensor.Kind != sensors.Gauge:
	case sensor.Unit == units.Celsius:
		s.lowest = absoluteZero
	case s.clock != nil: // it may be set back
		s.lowest = -math.MaxFloat64
	}
	if sensor.Wrap > 0 && sensor.Wrap <= math.MaxFloat64 {
		s.wrap = sensor.Wrap
	}
	if sensor.MaxRate > 0 {
		s.maxRate = sensor.MaxRate / 1e9
		if s.wrap > 0 {
			s.blind = s.wrap / s.maxRate
		}
	}
	return s
}

// ReadBy tells which source, a row of Run.Sources, the readings come from.
func (s *Series) ReadBy(source string) { s.readBy = source }

// Sensor is what the readings are of.
func (s *Series) Sensor() sensors.Sensor { return s.sensor }

// With is the same series with what was learnt of its sensor later. The readings are shared: neither may take in more.
func (s *Series) With(sensor sensors.Sensor) *Series {
	other := *s
	other.sensor = sensor
	return &other
}

// Source is the source that the readings come from, a row of Run.Sources.
func (s *Series) Source() string { return s.readBy }

// Rows is the number of rows, with a reading or without.
func (s *Series) Rows() int64 { return s.rows }

// Count is the number of readings that were believed.
func (s *Series) Count() int64 { return s.count }

// Silent says that no believed reading came after the last one, though there were rows.
func (s *Series) Silent() bool { return s.missed > 0 }

// From is the time of the first row.
func (s *Series) From() time.Duration { return s.from }

// Span is the time between the first and the last reading.
func (s *Series) Span() time.Duration { return s.lastAt - s.firstAt }

// Counted is the time in s that the readings were counted or averaged over, without what a reset lost.
func (s *Series) Counted() float64 { return s.weight / 1e9 }

// Greatest is the greatest reading of a gauge, or the greatest rate of a counter a second; -Inf if there is none.
func (s *Series) Greatest() float64 {
	if s.sensor.Kind == sensors.Counter {
		return s.max * 1e9
	}
	return s.max
}

// MeanPower is the energy of the series over the time between its first and last reading, in W; NaN if there is none.
func (s *Series) MeanPower() float64 {
	if m := s.Energy(); m.Reason == "" && s.weight > 0 {
		return m.Value / s.Counted()
	}
	return math.NaN()
}

// First is the first reading and its time; NaN where there is none.
func (s *Series) First() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.firstAt, s.first
}

// Last is the last reading that was believed and its time; NaN where there is none.
func (s *Series) Last() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.lastAt, s.last
}

// Window is the time between the first and the last row, readings or not.
func (s *Series) Window() time.Duration { return s.End() - s.from }

// End is the time of the last row, or of the last reading where a row came with an earlier time than that.
func (s *Series) End() time.Duration {
	if s.count == 0 {
		return s.to
	}
	return max(s.to, s.lastAt)
}

// Add takes in the readings values[i] made at[i] after one fixed moment, NaN where there was none. Calls go on in the
// order of time; how the readings are spread over them makes no difference. Neither slice is kept. Where one is
// longer, what the other lacks is not looked at.
func (s *Series) Add(at []time.Duration, values []float64) {
	n := min(len(at), len(values))
	if n == 0 {
		return
	}
	at, values = at[:n], values[:n]
	if s.rows == 0 {
		s.from, s.to = at[0], at[0]
		s.strip.start = at[0]
	}
	s.rows += int64(n)
	s.to = at[n-1]
	s.clock.add(at, values)
	if s.sensor.Kind == sensors.Counter {
		s.addCounter(at, values)
	} else {
		s.addGauge(at, values)
	}
}

// refuse counts a row whose value is no reading.
func (s *Series) refuse(v float64) {
	s.missed++
	if !math.IsNaN(v) {
		s.doubt.junk++
	}
}

// begin takes the first reading. Before it the target's readings are not missing: there was no target.
func (s *Series) begin(t time.Duration, v float64) {
	s.count = 1
	s.first, s.last, s.origin = v, v, v
	s.firstAt, s.lastAt, s.movedAt = t, t, t
	if !s.sensor.OfTarget {
		s.gaps += s.missed
	} else if s.sensor.Kind == sensors.Counter {
		s.origin = 0
	}
	s.missed = 0
}
