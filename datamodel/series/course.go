package series

import (
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Spark is the course of a gauge, or of a counter's rate per second, as the means over n equal parts of the time from
// the first row to the last; n is at most 60. A part of which less than half lies between readings that
// follow each other is NaN. It is nil where no time passed.
func (s *Series) Spark(n int) []float64 { return s.Course(n, s.from, s.Drawn()) }

// Drawn is the end of the course: the last row, less the time of which a counter has not yet told.
func (s *Series) Drawn() time.Duration { return s.End() - time.Duration(s.pending) }

// Course is Spark for a time of its own choice.
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

// Amount is by how much a counter rose from one time to another, or the integral of a gauge in Unit × s, and how many
// nanoseconds of that time it stands on.
func (s *Series) Amount(from, to time.Duration) (v, covered float64) {
	start := s.strip.start
	v, covered = s.strip.between(float64(from-start), float64(to-start), float64(s.lastAt-start))
	if s.sensor.Kind != sensors.Counter {
		return v / 1e9, covered
	}
	if s.sensor.OfTarget && s.firstAt > s.from { // What it had counted when it was first read, it counted since the first row.
		if w := min(to, s.firstAt) - max(from, s.from); w > 0 {
			v += s.first * (float64(w) / float64(s.firstAt-s.from))
		}
	}
	return v, covered
}

// HasCourse says that a course over time is known.
func (s *Series) HasCourse() bool { return !s.strip.empty() }

// Step is the length of a part of the course.
func (s *Series) Step() time.Duration { return s.strip.resolution() }

// RisesWith says that two counters rise alike over many readings, as two views of one counter do.
func (s *Series) RisesWith(o *Series) bool { return s.strip.rises(&o.strip) }

// FirstStep is the length of a part of the course at first. It doubles as the run goes on.
const FirstStep = firstWidth

// MostParts is the most parts that a course can be told in.
const MostParts = sparkParts
