// Package series folds the readings of one sensor into sums, means, extremes, a coarse course over time, and doubts. It
// keeps no readings and reads no files.
package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Series folds the readings of one sensor, in the order they were made. Its results are available at any time. It
// stores no readings, so its size does not grow with the run. Only this type computes differences of counters.
//
// A counter gives its last reading less its first. Readings that failed in between therefore cost nothing. A wrong
// reading costs nothing either. A reading that steps back (without a wrap point) or rises faster than MaxRate is set
// aside, and the next reading decides. If the next reading fits the last good one, the odd reading was junk. If it fits
// only the odd one, the counter was reset. The counter then counts on from the odd reading. What it counted between the
// last good reading and the odd one is lost, and a warning says so. Both cases add one gap, and never a negative or
// impossible increment.
//
// A gauge is averaged over time by trapezoids: it is assumed to change linearly between two readings. That is exact for
// a ramp. It makes the mean of a power gauge equal to its energy divided by its time, and treats both ends of the run
// alike. Holding each reading until the next would count the first one for a whole interval and the last one for
// nothing. If readings are missing, the line bridges the gap, because leaving it out would drop its energy. A warning
// gives the bridged time if an energy depends on it. Nothing is extended beyond the first and the last reading. A
// reading that spans the time since the reading before is held over that time instead.
//
// All sums are float64 in base units. In joules that resolves 2 µJ at 16 GJ (500 W for a year).
type Series struct {
	sensor sensors.Sensor
	readBy string
	// lowest and highest are the bounds of the readings that are accepted.
	lowest, highest float64
	// wrap is Sensor.Wrap, or 0. maxRate is Sensor.MaxRate per nanosecond, or +Inf. blind is the time in nanoseconds
	// after which a counter may have wrapped unseen.
	wrap, maxRate, blind float64

	tally
	// undo is not nil after a wrap that may not have been one.
	undo *undo

	// firstAge and lastAge bound the age of the counter's value in the first and the last row. 0 means the age that the
	// sensor declares. after is what the counter rose from the last row to its next move. It is NaN if that is unknown.
	firstAge, lastAge time.Duration
	after             float64
	// less is true if the counter showed less than its last reading after it.
	less bool

	clock *clock // nil unless the sensor reads a clock
}

// tally is the result of the readings so far. If a wrap turns out not to be one, the tally before it is restored.
type tally struct {
	// from and to are the times of the first and the last row, with or without a reading.
	rows     int64
	from, to time.Duration

	// The accepted readings. last is the last of them.
	count           int64
	firstAt, lastAt time.Duration
	first, last     float64
	// missed is the number of rows without an accepted reading since the last accepted one. gaps is the number of all
	// such rows before it.
	missed, gaps int64

	// The extremes, the mean and the sum of squared deviations, weighted by nanoseconds. They describe the readings of
	// a gauge or the rates of a counter per nanosecond. West's form of Welford's sums has no cancellation, however far
	// the mean is from 0.
	min, max, mean, m2 float64
	// weight is the nanoseconds that were counted or averaged over. rated is the part of weight behind the sums above.
	//
	// An energy counter delivers the energy between two updates at once. A reader that looks more often would see a
	// spike of power and then none. So the energy is spread over pending, the nanoseconds since the counter last moved.
	weight, rated, pending float64
	// area is the integral of a gauge in unit × ns. areaLow is what rounding lost of it (Neumaier's sum).
	area, areaLow float64
	bridged       time.Duration
	// The first and the last increment of a counter above 0, with the nanoseconds since the rise before it. The field
	// still is the nanoseconds since the last rise, and firstStill those between the first reading and the last one
	// before the first rise.
	firstRise, firstTime, firstStill, lastRise, lastTime, still float64

	// Up to the last reset the counter counted carry. Since then it counted last - origin + wraps × wrap.
	origin, carry float64
	wraps         int64
	// steps is the number of increments. loose is the sum of the increments in which no time passed.
	steps int64
	loose float64
	// lost is the time whose count a reset took away. stuck is the time in which the counter stood still although it
	// must have moved. movedAt is the time of the last reading above the one before, and movedFrom the time of the one
	// before.
	lost, stuck, movedAt, movedFrom time.Duration
	// hidden bounds what was not counted: in resets, in standstills, and in wraps that nobody saw. It is +Inf if the
	// greatest rate is unknown. mistaken bounds what was counted of readings that may have been junk.
	hidden, mistaken float64
	// odd is the reading set aside, if isOdd is true.
	odd   float64
	oddAt time.Duration
	isOdd bool

	doubt doubts
	strip strip
}

// New returns an empty series for the readings of sensor.
func New(sensor sensors.Sensor) *Series {
	inf := math.Inf(1)
	s := &Series{sensor: sensor, maxRate: inf, blind: inf, after: math.NaN(), tally: tally{min: inf, max: -inf}}
	s.clock = clockOf(sensor)
	s.highest = math.MaxFloat64
	if sensor.Kind == sensors.Gauge {
		if s.lowest, s.highest = sensor.Range.Least, sensor.Range.Top(); sensor.Range.Runs {
			s.lowest = max(s.lowest, math.SmallestNonzeroFloat64)
		}
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

// ReadBy sets the source of the readings, a row of Run.Sources.
func (s *Series) ReadBy(source string) { s.readBy = source }

// Sensor returns the sensor that gave the readings. It is large and asked for in every search, so it is not copied. Nobody may
// change it.
func (s *Series) Sensor() *sensors.Sensor { return &s.sensor }

// With returns the same series with more recent knowledge of its sensor. The two share their readings, so neither may
// take more.
func (s *Series) With(sensor sensors.Sensor) *Series {
	other := *s
	other.sensor = sensor
	return &other
}

// Source returns the source of the readings, a row of Run.Sources.
func (s *Series) Source() string { return s.readBy }

// Rows returns the number of rows, with or without a reading.
func (s *Series) Rows() int64 { return s.rows }

// Count returns the number of accepted readings.
func (s *Series) Count() int64 { return s.count }

// Silent reports whether rows without an accepted reading follow the last accepted one.
func (s *Series) Silent() bool { return s.missed > 0 }

// From returns the time of the first row.
func (s *Series) From() time.Duration { return s.from }

// Span returns the time between the first and the last reading.
func (s *Series) Span() time.Duration { return s.lastAt - s.firstAt }

// Counted returns the time that the readings were counted or averaged over, in s. It excludes what a reset lost.
func (s *Series) Counted() float64 { return s.weight / 1e9 }

// Greatest returns the greatest reading of a gauge, or the greatest rate of a counter per second. It returns -Inf if
// there is none.
func (s *Series) Greatest() float64 {
	if s.sensor.Kind == sensors.Counter {
		return s.max * 1e9
	}
	return s.max
}

// Bare returns the time of rows before the first reading and after the last one.
func (s *Series) Bare() time.Duration {
	if s.count == 0 {
		return s.Window()
	}
	return s.firstAt - s.from + s.End() - s.lastAt
}

// PowerAtEnds returns the greater of the powers at the first and the last reading, in W. It returns NaN if none is known.
func (s *Series) PowerAtEnds() float64 {
	if s.sensor.Kind != sensors.Counter {
		return datamodel.Finite(max(s.first, s.last))
	}
	return datamodel.Finite(1e9 * max(s.firstRise/s.firstTime, s.lastRise/s.lastTime))
}

// MeanPower returns the energy of the series divided by the time between its first and last reading, in W. It returns
// NaN if there is none.
func (s *Series) MeanPower() float64 {
	if m := s.Energy(); m.Reason == "" && s.weight > 0 {
		return m.Value / s.Counted()
	}
	return math.NaN()
}

// First returns the first accepted reading and its time. The reading is NaN if there is none.
func (s *Series) First() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.firstAt, s.first
}

// Last returns the last accepted reading and its time. The reading is NaN if there is none.
func (s *Series) Last() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.lastAt, s.last
}

// Window returns the time between the first and the last row, with or without a reading.
func (s *Series) Window() time.Duration { return s.End() - s.from }

// End returns the time of the last row. If that row has an earlier time than the last reading, End returns the time of
// that reading.
func (s *Series) End() time.Duration {
	if s.count == 0 {
		return s.to
	}
	return max(s.to, s.lastAt)
}

// Add adds the readings values[i] made at at[i] after one fixed moment. NaN is a row without a reading. Calls must be
// in the order of time. How readings are spread over calls makes no difference. Add keeps neither slice. If one slice
// is longer, its surplus is ignored.
func (s *Series) Add(at []time.Duration, values []float64) {
	n := min(len(at), len(values))
	if n == 0 {
		return
	}
	at, values = at[:n], values[:n]
	if s.rows == 0 {
		s.from, s.to = at[0], at[0]
		if s.strip.fine == 0 {
			s.strip.start = at[0]
		}
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

// refuse counts a row whose value is not a reading.
func (s *Series) refuse(v float64) {
	s.missed++
	if !math.IsNaN(v) {
		if s.doubt.junk == 0 {
			s.doubt.refused = v
		}
		s.doubt.junk++
	}
}

// begin takes the first reading. Rows of the target before it are not gaps, because there was no target yet.
func (s *Series) begin(t time.Duration, v float64) {
	s.count = 1
	s.first, s.last, s.origin = v, v, v
	s.firstAt, s.lastAt, s.movedAt, s.movedFrom = t, t, t, t
	if !s.sensor.OfTarget {
		s.gaps += s.missed
	} else if s.sensor.Kind == sensors.Counter {
		s.origin = 0
		if w := float64(t - s.from); w > 0 { // the target counted this since the first row
			s.strip.add(s.from, t, v/w, v/w, v/w)
		}
	}
	s.missed = 0
}
