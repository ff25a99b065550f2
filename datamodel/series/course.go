package series

import (
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Spark returns the course of a gauge, or of a counter's rate per second. It has the means over n equal parts of the
// time from the first row to the last; n is at most 60. A part is NaN if less than half of it lies between consecutive
// readings. Spark returns nil if no time passed.
func (s *Series) Spark(n int) []float64 { return s.Course(n, s.from, s.Drawn()) }

// Drawn returns the end of the course: the last row, less the pending time of a counter.
func (s *Series) Drawn() time.Duration { return s.End() - time.Duration(s.pending) }

// Course is like Spark for the time from from to to.
func (s *Series) Course(n int, from, to time.Duration) []float64 {
	n = min(n, sparkParts)
	if n <= 0 || to <= from {
		return nil
	}
	out := s.strip.means(n, from, to)
	if s.sensor.Kind == sensors.Counter {
		for i := range out {
			out[i] = datamodel.Finite(out[i] * 1e9)
		}
	}
	return out
}

// Amount returns how much a counter rose in a time, or the integral of a gauge in Unit × s. covered is the nanoseconds
// of that time with readings.
func (s *Series) Amount(from, to time.Duration) (v, covered float64) {
	start := s.strip.start
	v, covered = s.strip.between(float64(from-start), float64(to-start), float64(s.lastAt-start))
	if s.sensor.Kind != sensors.Counter {
		return v / 1e9, covered
	}
	if s.sensor.OfTarget && s.firstAt > s.from { // The target counted this since the first row.
		if w := min(to, s.firstAt) - max(from, s.from); w > 0 {
			v += s.first * (float64(w) / float64(s.firstAt-s.from))
		}
	}
	return v, covered
}

// HasCourse reports whether a course over time is known.
func (s *Series) HasCourse() bool { return !s.strip.empty() }

// Step returns the length of a part of the course.
func (s *Series) Step() time.Duration { return s.strip.resolution() }

// RisesWith reports whether two counters rise alike over many readings, as two views of one counter do.
func (s *Series) RisesWith(o *Series) bool { return s.strip.rises(&o.strip) }

// FirstStep is the initial length of a part of the course. It doubles as the run goes on.
const FirstStep = firstWidth

// MostParts is the largest number of parts of a course.
const MostParts = sparkParts
