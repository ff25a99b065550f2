package series

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// updateSlack is how late the value in a counter may be. RAPL moves about every millisecond, the ticks of /proc/stat
// every 10 ms, and the energy counter of a GPU every 20 to 100 ms. What a counter gathered in that time may appear at
// once between two close readings. That is not a fault.
const updateSlack = 100 * time.Millisecond

func (s *Series) addCounter(at []time.Duration, values []float64) {
	for i, v := range values {
		t := at[i]
		if !(v >= 0 && v <= math.MaxFloat64) {
			s.refuse(v)
			continue
		}
		if s.count == 0 {
			s.begin(t, v)
			continue
		}
		dt := t - s.lastAt
		if dt < 0 {
			s.doubt.disorder++
			s.missed++
			continue
		}
		if s.undo != nil {
			s.reconsider(t, v)
			dt = t - s.lastAt
		}
		d := v - s.last
		if d < 0 || !s.possible(d, dt) {
			var ok bool
			if d, dt, ok = s.unlikely(t, v); !ok {
				continue
			}
		} else if s.odd > s.last && s.fitsOdd(t, v) {
			// Both the odd reading and the one before it may be junk. The smaller energy counts.
			s.hidden += s.odd - s.last
			s.reset()
			d, dt = v-s.odd, t-s.oddAt
		} else if s.stuckAfter() > 0 && s.steps > 0 {
			s.mayBe(d, t, v, false)
		}
		s.isOdd = false
		before := s.movedFrom
		if d > 0 {
			s.movedFrom, s.movedAt = s.lastAt, t
		}
		if s.missed != 0 {
			s.gaps += s.missed
			s.missed = 0
		}
		s.count++
		s.steps++
		s.last, s.lastAt = v, t
		if dt == 0 {
			s.loose += d
			continue
		}
		w := float64(dt)
		if w > s.blind {
			s.doubt.blind++
			s.hidden += max(0, math.Floor((s.maxRate*(w+float64(updateSlack))-d)/s.wrap)) * s.wrap
		}
		rise := d + s.loose
		s.weight += w
		// A counter that is read more often than it moves delivers at once what it gathered while it stood still.
		if s.still += w; rise > 0 {
			s.stoodFor(s.still-w, w, rise, t-before)
			if s.firstTime == 0 {
				s.firstRise, s.firstTime, s.firstStill = rise, s.still, s.still-w
			}
			s.lastRise, s.lastTime = rise, s.still
		}
		s.loose = 0
		if s.pending += w; rise > 0 || s.still > spread*float64(s.updates()) {
			s.rate(t, rise/s.pending)
		}
		if rise > 0 {
			s.still = 0
		}
	}
}

// spread is the number of update periods that a counter may stand still before its rate counts as 0.
const spread = 2

// updates returns the update period of an energy counter, or 0 if it is unknown. Other counters may legitimately stand
// still.
func (s *Series) updates() time.Duration {
	if s.sensor.Unit != units.Joule {
		return 0
	}
	return s.sensor.Update
}

// rate records the rate of a counter per nanosecond over the pending time up to t.
func (s *Series) rate(t time.Duration, rate float64) {
	w := s.pending
	s.pending = 0
	s.min, s.max = min(s.min, rate), max(s.max, rate)
	s.rated += w
	off := rate - s.mean
	s.mean += off * (w / s.rated)
	s.m2 += w * off * (rate - s.mean)
	s.strip.add(t-time.Duration(w), t, rate, rate, rate)
}

// stoodFor records that an energy counter stood still for stood nanoseconds and then rose in the next w. The counter may
// have stopped and started again between readings, so since is the whole time from the reading before the standstill. If
// nothing can draw the rise in w, the rise includes the energy of the standstill. Otherwise that energy may be lost.
func (s *Series) stoodFor(stood, w, rise float64, since time.Duration) {
	stuck := s.stuckAfter()
	if stuck == 0 || stood < float64(stuck) || rise > s.mostIn(time.Duration(w)) {
		return
	}
	s.stuck += time.Duration(stood)
	s.hidden += max(0, s.mostIn(since)-rise)
}

// mostIn returns the most that a counter can count in a time, in Unit. Its value may be as old as one update period, so
// the time is longer by that. The result is +Inf if the greatest rate is unknown.
func (s *Series) mostIn(d time.Duration) float64 {
	return s.maxRate * (float64(d) + float64(s.sensor.Update))
}

// unlikely decides on a reading that steps back or rises too fast from the last good one. Either the counter wrapped,
// or the reading goes on from the one set aside before it, or it is set aside itself. In the first two cases unlikely
// returns the increment and its time.
func (s *Series) unlikely(t time.Duration, v float64) (d float64, dt time.Duration, ok bool) {
	d, dt = v-s.last, t-s.lastAt
	if d < 0 && s.wrap > 0 {
		if d += s.wrap; d >= 0 && s.possible(d, dt) && !s.fitsOdd(t, v) {
			s.mayBe(d, t, v, true)
			s.wraps++
			return d, dt, true
		}
	}
	if s.fitsOdd(t, v) {
		if d >= 0 && s.possible(d, dt) {
			s.hidden += d // the reading before the odd one may be junk, or the counter wrapped
		}
		s.reset()
		return v - s.odd, t - s.oddAt, true
	}
	if v < s.last {
		s.doubt.back++
	} else {
		s.doubt.fast++
	}
	s.missed++
	s.odd, s.oddAt, s.isOdd = v, t, true
	return 0, 0, false
}

// fitsOdd reports whether a reading goes on from the odd one.
func (s *Series) fitsOdd(t time.Duration, v float64) bool {
	return s.isOdd && t >= s.oddAt && v >= s.odd && s.possible(v-s.odd, t-s.oddAt)
}

// reset treats the counter as reset to the odd reading.
func (s *Series) reset() {
	s.carry += s.last - s.origin
	s.origin = s.odd
	s.loose = 0
	s.lost += s.oddAt - s.lastAt
	s.hidden += s.mostIn(s.oddAt - s.lastAt)
	if s.movedAt == s.lastAt {
		s.mistaken += s.lastRise // the last good reading may have been junk that was too high
	}
	s.doubt.resets++
}

// jump limits the power across a wrap, as a multiple of the greatest power before and after it.
const jump = 4

// undo is the state before a rise that may not have been one, and the reading after it. A reset or a reading of 0 near
// the wrap point looks like a rise that MaxRate allows, and so may junk. Such a rise is far above the counter's usual
// ones. wrapped is true if the rise passed the wrap point, and usual if its power is not far above the earlier one.
type undo struct {
	before         tally
	at             time.Duration
	value          float64
	wrapped, usual bool
}

// usual reports whether a rise up to t is not far above the earlier rises and the rate after it, per nanosecond.
func (s *Series) usual(d float64, t time.Duration, after float64) bool {
	return d <= jump*max(s.max, after)*float64(t-s.movedAt+s.sensor.Update)
}

// mayBe keeps the state before a rise by d up to the reading v, so that the next reading can undo the rise. It keeps every
// wrap, and of other rises the unusual ones.
func (s *Series) mayBe(d float64, t time.Duration, v float64, wrapped bool) {
	usual := s.usual(d, t, 0)
	if usual && !wrapped {
		return
	}
	before := s.tally
	before.strip = s.strip.copied()
	s.undo = &undo{before, t, v, wrapped, usual}
}

// reconsider decides on the last doubtful rise by the reading after it. If only the reading before the rise fits, the
// reading between them is junk.
//
// A rise across the wrap point is undone as well if its power is far above the power before and after. If the next
// reading fits the one before the wrap, the reading between them is junk. If it fits only the reading after the wrap,
// the counter was reset.
func (s *Series) reconsider(t time.Duration, v float64) {
	u, now := s.undo, s.tally
	if t <= u.at {
		return
	}
	s.undo = nil
	goesOn := v >= u.value && s.possible(v-u.value, t-u.at)
	if !u.wrapped && goesOn {
		return
	}
	after := 0.0
	if goesOn {
		after = (v - u.value) / float64(t-u.at)
	}
	s.tally = u.before
	fits := v >= s.last && s.possible(v-s.last, t-s.lastAt)
	rise := u.value - s.last
	if u.wrapped {
		rise += s.wrap
	}
	// From 0, where a reset begins, the counter might have had to rise as steeply. Then it did rise that steeply, and
	// it wrapped.
	if !goesOn && !fits || goesOn && (s.usual(rise, u.at, after) || !fits && !s.usual(u.value, u.at, after)) {
		s.tally = now
		return
	}
	s.rows, s.to = now.rows, now.to
	s.missed += 1 + now.missed
	s.doubt.back++
	if !fits {
		s.odd, s.oddAt = u.value, u.at
		s.reset()
		s.hidden += rise // in case it wrapped after all
		s.last, s.lastAt, s.movedAt = u.value, u.at, u.at
	}
}

// possible reports whether a counter can rise by d in dt.
func (s *Series) possible(d float64, dt time.Duration) bool {
	return d <= s.maxRate*(float64(dt)+float64(s.slack()))
}

// slack returns how late the value in this counter may be: updateSlack, or ten update periods of an energy counter if
// that is less.
func (s *Series) slack() time.Duration {
	const periods = 10
	if update := s.updates(); update > 0 {
		return min(updateSlack, periods*update)
	}
	return updateSlack
}

// Delta returns what a counter counted from its first reading to its last, in Unit. A counter of the target counts from
// the target's start. Delta returns NaN for a gauge, or if WhyNoDelta gives a reason.
func (s *Series) Delta() float64 {
	if s.WhyNoDelta() != "" {
		return math.NaN()
	}
	return s.delta()
}

func (s *Series) delta() float64 {
	// Every increment is at least 0. Rounding of their sum must not make it negative.
	return max(0, s.carry+(s.last-s.origin)+float64(s.wraps)*s.wrap)
}

// WhyNoDelta returns the reason why a counter has no delta, or "" if it has one.
func (s *Series) WhyNoDelta() string {
	switch {
	case s.sensor.Kind != sensors.Counter:
		return "not a counter"
	case s.count == 0:
		return s.whyNone()
	case s.steps == 0 && !s.sensor.OfTarget && s.doubt.back+s.doubt.fast+s.doubt.disorder > 0:
		return "no reading fits the first one"
	case s.steps == 0 && !s.sensor.OfTarget:
		return "only one reading; a counter needs two"
	case s.delta() > math.MaxFloat64:
		return "too large for a number"
	case s.sensor.Unit == units.Joule && s.delta() == 0 && s.isOdd:
		return "the counter moved in the last reading only, which does not fit the ones before"
	case s.sensor.Unit == units.Joule && s.delta() == 0 && s.Dead():
		return fmt.Sprintf("the counter did not move in %s: no meter", units.Brief(s.Span()))
	case s.sensor.Unit == units.Joule && s.delta() == 0:
		// Everything that is switched on uses energy. So the counter is stuck, or its steps are longer than the run.
		return fmt.Sprintf("the counter did not move in %s", units.Brief(s.Span()))
	}
	return ""
}

// Stood reports whether an energy counter had the time to move and did not. A counter whose last reading was set aside did
// move.
func (s *Series) Stood() bool {
	return s.sensor.Kind == sensors.Counter && s.sensor.Unit == units.Joule && s.count > 0 && s.delta() == 0 && !s.isOdd &&
		(s.steps > 0 || s.sensor.OfTarget) && s.Span() > 0
}

// Dead reports whether an energy counter never moved in a time in which every meter moves. Such a counter is no meter.
// Hypervisors show counters that they do not count.
func (s *Series) Dead() bool { return s.Stood() && s.Span() >= deadAfter(s.sensor.Update) }

// deadAfter returns how long an energy counter with this update period may stand from the first reading on.
func deadAfter(update time.Duration) time.Duration {
	const least, updates, unknown = 100 * time.Millisecond, 5, time.Second
	if update <= 0 {
		return unknown
	}
	return max(least, updates*update)
}

// AtMost bounds what an energy counter that did not move can have counted, in J: its greatest rate times the time. It
// returns NaN if the counter moved or is dead, no time passed or the rate is unknown.
func (s *Series) AtMost() float64 {
	if !s.Stood() || s.Dead() || !(s.sensor.MaxRate > 0 && s.sensor.MaxRate <= math.MaxFloat64) {
		return math.NaN()
	}
	return s.sensor.MaxRate * s.Span().Seconds()
}

// Most bounds what the sensor can have counted in a time without readings, in J. It is NaN if the greatest rate is
// unknown, as for a power gauge.
func (s *Series) Most(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return datamodel.Finite(s.mostIn(d))
}
