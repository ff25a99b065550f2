package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Chart makes the course fine enough for a chart: parts of step from time 0 on, at most fineCount of them. After that the
// parts are twice as long, again and again. Chart is called before Add.
func (s *Series) Chart(step time.Duration) {
	if s.rows == 0 && step > 0 {
		s.strip.fine = step
	}
}

// Drawn returns the end of the course: the last row, less the pending time of a counter.
func (s *Series) Drawn() time.Duration { return s.End() - time.Duration(s.pending) }

// Part is the course of a series in a part of the time: of a gauge, or of the rate of a counter per second.
type Part struct {
	// Mean is the mean over the part. Least and Most are the extremes of the readings, or of the rates between them. They
	// are NaN if there are no readings.
	Mean, Least, Most float64
	// Covered is the time in the part between readings, in s. It is 0 if there are none.
	Covered float64
}

// Part returns the course in the time from from to to.
func (s *Series) Part(from, to time.Duration) Part {
	nan := math.NaN()
	amount, covered := s.Amount(from, to)
	if covered <= 0 {
		return Part{nan, nan, nan, 0}
	}
	p := Part{Covered: covered / 1e9}
	p.Mean = datamodel.Finite(amount / p.Covered)
	p.Least, p.Most = p.Mean, p.Mean
	scale := 1.0
	if s.sensor.Kind == sensors.Counter {
		scale = 1e9
	}
	start := float64(s.strip.start)
	if e := s.strip.extremesBetween(float64(from)-start, float64(to)-start); e.least <= e.most {
		p.Least, p.Most = datamodel.Finite(min(p.Mean, float64(e.least)*scale)), datamodel.Finite(max(p.Mean, float64(e.most)*scale))
	}
	return p
}

// Amount returns how much a counter rose in a time, or the integral of a gauge in Unit × s. covered is the nanoseconds
// of that time with readings.
func (s *Series) Amount(from, to time.Duration) (v, covered float64) {
	start := s.strip.start
	v, covered = s.strip.between(float64(from-start), float64(to-start), float64(s.lastAt-start))
	if s.sensor.Kind != sensors.Counter {
		return v / 1e9, covered
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
