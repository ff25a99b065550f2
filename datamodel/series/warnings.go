package series

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// doubts counts the anomalies by kind.
type doubts struct {
	junk, disorder, back, fast, resets, blind int64
	// refused is the first value that is not possible.
	refused float64
}

// impossible says why the refused value cannot be a reading.
func (s *Series) impossible() string {
	v := s.doubt.refused
	value := units.Format(v, s.sensor.Unit)
	switch {
	case math.IsInf(v, 0):
		return "it was infinite"
	case v == 0:
		return value + " is no reading of what runs"
	case v < s.lowest:
		return value + " is below " + units.Format(s.sensor.Range.Least, s.sensor.Unit)
	}
	return value + " is above " + units.Format(s.highest, s.sensor.Unit)
}

// whyNone returns the reason why there is no reading at all.
func (s *Series) whyNone() string {
	if s.rows == 0 {
		return "never read"
	}
	if s.doubt.junk > 0 && s.doubt.disorder == 0 {
		return fmt.Sprintf("no possible reading in %d tries: %s", s.rows, s.impossible())
	}
	return fmt.Sprintf("no reading in %d tries", s.rows)
}

// Gaps returns the number of rows that were missing or refused. For the target, rows after its end do not count.
func (s *Series) Gaps() int64 {
	if s.sensor.OfTarget {
		return s.gaps
	}
	return s.gaps + s.missed
}

// Unread returns the number of rows without a reading, if that indicates a fault that no other warning reports. It
// returns 0 if there is no reading at all. A sensor that spans time legitimately has no value if the kernel counted
// nothing.
func (s *Series) Unread() int64 {
	if s.count == 0 || s.sensor.Sparse || s.sensor.Spans || s.bridged > 0 && s.sensor.Unit == units.Watt {
		return 0
	}
	return max(0, s.Gaps()-s.doubt.junk-s.doubt.disorder-s.doubt.back-s.doubt.fast)
}

// Warnings returns the doubts about the readings, in a fixed order.
func (s *Series) Warnings() []datamodel.Warning {
	var out []datamodel.Warning
	add := func(count int64, format string, args ...any) {
		if count > 0 {
			out = append(out, datamodel.Warning{Subject: s.sensor.ID, Text: fmt.Sprintf(format, args...), Count: count})
		}
	}
	unit := s.sensor.Unit
	if s.sensor.MaxRate <= 0 { // if the rate is known, blind counts only the readings far enough apart to hide a wrap
		add(s.wraps, "the counter wrapped at %g %s; another wrap between two readings cannot be excluded", s.wrap, unit)
	}
	if s.doubt.blind > 0 { // the texts of numbers take a good part of the accounting of a short run
		add(s.doubt.blind, "readings more than %s apart, so that the counter could wrap unseen: the value is a lower bound, at most %s too low",
			units.Brief(time.Duration(min(s.blind, math.MaxInt64/2))), units.Format(s.hidden, unit))
	}
	if !s.sensor.StepsBack {
		add(s.doubt.back, "the counter stepped back; the reading was set aside")
	}
	add(s.doubt.fast, "the counter rose faster than %g %s/s, which is not possible; the reading was set aside",
		s.sensor.MaxRate, unit)
	if s.doubt.resets > 0 {
		add(s.doubt.resets, "the counter was reset; what it counted in the %s before is lost", units.Brief(s.lost))
	}
	if s.doubt.junk > 0 {
		add(s.doubt.junk, "the reading was refused: %s", s.impossible())
	}
	add(s.doubt.disorder, "the reading had an earlier time than the one before and was refused")
	out = append(out, s.clock.warnings()...)
	if s.bridged > 0 && unit == units.Watt {
		add(s.gaps, "readings are missing; %s are bridged by straight lines", units.Brief(s.bridged))
	}
	return out
}

// Align sets what is known of the first and the last reading: how stale they may be, and what the counter did after the
// last one. A nil age is unknown. What belongs to a row without a reading is ignored.
func (s *Series) Align(e datamodel.Edge) {
	age := func(known *float64, useful bool) time.Duration {
		if !useful || known == nil || !(*known > 0 && *known < math.MaxInt64/1e9) {
			return 0
		}
		return max(1, time.Duration(*known*1e9))
	}
	last := s.lastAt == s.End()
	s.firstAge, s.lastAge = age(e.First, s.firstAt == s.from), age(e.Last, last)
	if e.After != nil && math.Abs(*e.After) <= math.MaxFloat64 && last && s.count > 0 {
		s.confirm(*e.After)
	}
}

// confirm checks the last reading by how much the counter rose to its next move. The next move may also show that the
// last reading was junk.
func (s *Series) confirm(rise float64) {
	if s.undo != nil {
		at := s.lastAt
		s.reconsider(at+max(1, s.sensor.Update), s.last+rise)
		if s.lastAt != at {
			return
		}
	}
	if rise < 0 && s.wrap > 0 && s.possible(rise+s.wrap, s.sensor.Update) {
		rise += s.wrap
	}
	s.after, s.less = rise, rise < 0
}

// Alignment describes how exact the ends are. It returns "" if no edge was awaited.
func (s *Series) Alignment() string {
	switch {
	case s.Aligned():
		return fmt.Sprintf("at an edge: first reading exact to %s, last to %s", units.Brief(s.firstAge), units.Brief(s.lastAge))
	case s.firstAge > 0:
		return fmt.Sprintf("first reading at an edge, exact to %s; no edge at the end", units.Brief(s.firstAge))
	case s.lastAge > 0:
		return fmt.Sprintf("last reading at an edge, exact to %s; no edge at the start", units.Brief(s.lastAge))
	}
	return ""
}

// Aligned reports whether both ends are at an edge.
func (s *Series) Aligned() bool { return s.firstAge > 0 && s.lastAge > 0 }
