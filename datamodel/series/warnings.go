package series

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// doubts counts what was strange, by kind.
type doubts struct {
	junk, disorder, back, fast, resets, blind int64
}

// whyNone is the reason why there is not a single reading.
func (s *Series) whyNone() string {
	if s.rows == 0 {
		return "never read"
	}
	return fmt.Sprintf("no reading in %d tries", s.rows)
}

// Gaps is the rows that were missing or refused. For the target those after its end do not count.
func (s *Series) Gaps() int64 {
	if s.sensor.OfTarget {
		return s.gaps
	}
	return s.gaps + s.missed
}

// Unread is the rows without a reading, if that is a sign of a fault, no other warning tells of them, and there are
// readings beside them. What spans time has no value where the kernel counted none.
func (s *Series) Unread() int64 {
	if s.count == 0 || s.sensor.Sparse || s.sensor.Spans || s.bridged > 0 && s.sensor.Unit == units.Watt {
		return 0
	}
	return max(0, s.Gaps()-s.doubt.junk-s.doubt.disorder-s.doubt.back-s.doubt.fast)
}

// Warnings is what is doubtful about the readings, in a fixed order.
func (s *Series) Warnings() []datamodel.Warning {
	var out []datamodel.Warning
	add := func(count int64, format string, args ...any) {
		if count > 0 {
			out = append(out, datamodel.Warning{Subject: s.sensor.ID, Text: fmt.Sprintf(format, args...), Count: count})
		}
	}
	unit := s.sensor.Unit
	if s.sensor.MaxRate <= 0 { // where it is known, blind counts the readings so far apart that one could hide
		add(s.wraps, "the counter wrapped at %g %s; a further wrap between two readings cannot be excluded", s.wrap, unit)
	}
	add(s.doubt.blind, "readings more than %s apart, within which the counter could wrap unseen: it is a lower bound, at most %s more",
		units.Brief(time.Duration(min(s.blind, math.MaxInt64/2))), units.Format(s.hidden, unit))
	if !s.sensor.StepsBack {
		add(s.doubt.back, "the counter stepped back; the reading was set aside")
	}
	add(s.doubt.fast, "the counter rose faster than %g %s/s, which is not possible; the reading was set aside",
		s.sensor.MaxRate, unit)
	add(s.doubt.resets, "the counter started anew; what it counted just before, within %s, is lost", units.Brief(s.lost))
	add(s.doubt.junk, "the reading was infinite or below %g %s and was refused", s.lowest, unit)
	add(s.doubt.disorder, "the reading came with an earlier time than the one before and was refused")
	out = append(out, s.clock.warnings()...)
	if s.bridged > 0 && unit == units.Watt {
		add(s.gaps, "readings are missing; %s are bridged by straight lines", units.Brief(s.bridged))
	}
	return out
}

// Align tells that what the counter showed in the first and the last row was no older than that; nil is not known. Ages
// of a row without a reading are of no use.
func (s *Series) Align(e datamodel.Edge) {
	age := func(known *float64, useful bool) time.Duration {
		if !useful || known == nil || !(*known > 0 && *known < math.MaxInt64/1e9) {
			return 0
		}
		return max(1, time.Duration(*known*1e9))
	}
	s.firstAge, s.lastAge = age(e.First, s.firstAt == s.from), age(e.Last, s.lastAt == s.End())
}

// Alignment says how exact the ends are, "" where nobody waited for an edge.
func (s *Series) Alignment() string {
	switch {
	case s.Aligned():
		return fmt.Sprintf("at an edge: the first reading to %v, the last to %v", s.firstAge, s.lastAge)
	case s.firstAge > 0:
		return fmt.Sprintf("the first reading at an edge, to %v; no edge at the end", s.firstAge)
	case s.lastAge > 0:
		return fmt.Sprintf("the last reading at an edge, to %v; no edge at the start", s.lastAge)
	}
	return ""
}

// Aligned says whether both ends are at an edge.
func (s *Series) Aligned() bool { return s.firstAge > 0 && s.lastAge > 0 }
