package series

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// updateSlack is how late the value in a counter may be. RAPL moves about every millisecond, the ticks of /proc/stat
// every 10 ms, the energy counter of a GPU every 20 to 100 ms: what a counter gathered during that time may appear at
// once between two close readings, and is no sign of a fault.
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
		if d < 0 || d > s.maxRate*(float64(dt)+float64(updateSlack)) {
			var ok bool
			if d, dt, ok = s.unlikely(t, v); !ok {
				continue
			}
		}
		s.isOdd = false
		if d > 0 {
			s.movedAt = t
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
		// Where it is read more often than it moves, what it gathered while it stood still comes at once.
		if s.still += w; rise > 0 {
			s.stoodFor(s.still-w, w, rise)
			if s.firstTime == 0 {
				s.firstRise, s.firstTime = rise, s.still
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

// spread is how many update periods a counter may stand still without being taken to count nothing.
const spread = 2

// updates is the update period of an energy counter, 0 where it is not known. Other counters may well stand still.
func (s *Series) updates() time.Duration {
	if s.sensor.Unit != units.Joule {
		return 0
	}
	return s.sensor.Update
}

// rate enters that a counter rose by so much per nanosecond in the pending time up to t.
func (s *Series) rate(t time.Duration, rate float64) {
	w := s.pending
	s.pending = 0
	s.min, s.max = min(s.min, rate), max(s.max, rate)
	s.rated += w
	off := rate - s.mean
	s.mean += off * (w / s.rated)
	s.m2 += w * off * (rate - s.mean)
	s.strip.add(t-time.Duration(w), t, rate)
}

// stoodFor takes note of an energy counter that stood still for so many nanoseconds and rose in the w after them. What was used
// while it stood is lost where it does not come with the rise.
func (s *Series) stoodFor(stood, w, rise float64) {
	if stuck := s.stuckAfter(); stuck > 0 && stood >= float64(stuck) && rise < s.max*(w+stood/2) {
		s.stuck += time.Duration(stood)
	}
}

// unlikely decides on a reading of a counter that steps back or rises too fast from the last good one. It is a wrap,
// or it goes on from the reading set aside before it, or it is set aside itself; in the first two cases it gives the
// increment and the time it took.
func (s *Series) unlikely(t time.Duration, v float64) (d float64, dt time.Duration, ok bool) {
	d, dt = v-s.last, t-s.lastAt
	if d < 0 && s.wrap > 0 {
		if d += s.wrap; d >= 0 && s.possible(d, dt) {
			if !s.usual(d, t, 0) {
				before := s.tally
				before.strip = s.strip.copied()
				s.undo = &undo{before, t, v}
			}
			s.wraps++
			return d, dt, true
		}
	}
	if s.isOdd && t >= s.oddAt && v >= s.odd && s.possible(v-s.odd, t-s.oddAt) {
		s.startAnew()
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

// startAnew takes the counter as reset to the odd reading.
func (s *Series) startAnew() {
	s.carry += s.last - s.origin
	s.origin = s.odd
	s.loose = 0
	s.lost += s.oddAt - s.lastAt
	s.doubt.resets++
}

// jump is how many times the greatest power before and after a wrap the power across it may be.
const jump = 4

// undo is what was known before a wrap that may have been none, and the reading behind it. Close to the wrap point a reset,
// or a reading of 0, leaves a rise that MaxRate allows, though it is far above what the counter does as a rule.
type undo struct {
	before tally
	at     time.Duration
	value  float64
}

// usual says whether a rise up to t is not far above those before and the rate, per nanosecond, after it.
func (s *Series) usual(d float64, t time.Duration, after float64) bool {
	return d <= jump*max(s.max, after)*float64(t-s.movedAt+s.sensor.Update)
}

// reconsider decides on the last wrap with the reading after it, if the power across it is far above that before and
// after. A reading that fits the one before the wrap makes what lies between junk. One that only goes on from there
// makes it a reset.
func (s *Series) reconsider(t time.Duration, v float64) {
	u, now := s.undo, s.tally
	if t <= u.at {
		return
	}
	s.undo = nil
	goesOn := v >= u.value && s.possible(v-u.value, t-u.at)
	after := 0.0
	if goesOn {
		after = (v - u.value) / float64(t-u.at)
	}
	s.tally = u.before
	fits := v >= s.last && s.possible(v-s.last, t-s.lastAt)
	rise := u.value - s.last + s.wrap
	// From 0, where a reset begins, it may have had to rise as steeply: then it did, and wrapped.
	if !goesOn && !fits || s.usual(rise, u.at, after) || !fits && !s.usual(u.value, u.at, after) {
		s.tally = now
		return
	}
	s.rows, s.to = now.rows, now.to
	s.missed += 1 + now.missed
	s.doubt.back++
	if !fits {
		s.odd, s.oddAt = u.value, u.at
		s.startAnew()
		s.hidden += rise // should it have wrapped after all
		s.last, s.lastAt, s.movedAt = u.value, u.at, u.at
	}
}

// possible says whether a counter can rise by d in dt.
func (s *Series) possible(d float64, dt time.Duration) bool {
	return d <= s.maxRate*(float64(dt)+float64(updateSlack))
}

// Delta is what a counter counted from its first reading to its last, in Unit; a counter of the target from the
// target's start. It is NaN where that is not known, and for a gauge.
func (s *Series) Delta() float64 {
	if s.WhyNoDelta() != "" {
		return math.NaN()
	}
	return s.delta()
}

func (s *Series) delta() float64 {
	// Every increment is at least 0; rounding of their sum must not make it less.
	return max(0, s.carry+(s.last-s.origin)+float64(s.wraps)*s.wrap)
}

// WhyNoDelta is the reason why a counter has no delta, "" where it has one.
func (s *Series) WhyNoDelta() string {
	switch {
	case s.sensor.Kind != sensors.Counter:
		return "not a counter"
	case s.count == 0:
		return s.whyNone()
	case s.steps == 0 && !s.sensor.OfTarget && s.doubt.back+s.doubt.fast+s.doubt.disorder > 0:
		return "no reading fits the first one"
	case s.steps == 0 && !s.sensor.OfTarget:
		return "only one reading, and a counter needs two"
	case s.delta() > math.MaxFloat64:
		return "too large for a number"
	case s.sensor.Unit == units.Joule && s.delta() == 0:
		// Nothing that is switched on uses no energy: the counter is stuck, or coarser than the run was long.
		return fmt.Sprintf("the counter did not move in %s", units.Brief(s.Span()))
	}
	return ""
}

// AtMost bounds what an energy counter that did not move can have counted, in J: its greatest rate over the time. It is
// NaN if the counter moved, or if no time passed or the rate is not known.
func (s *Series) AtMost() float64 {
	if s.sensor.Kind != sensors.Counter || s.sensor.Unit != units.Joule || s.count == 0 || s.delta() != 0 ||
		s.steps == 0 && !s.sensor.OfTarget || s.Span() <= 0 || !(s.sensor.MaxRate > 0 && s.sensor.MaxRate <= math.MaxFloat64) {
		return math.NaN()
	}
	return s.sensor.MaxRate * s.Span().Seconds()
}
