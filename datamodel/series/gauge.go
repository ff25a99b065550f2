package series

import (
	"math"
	"time"
)

func (s *Series) addGauge(at []time.Duration, values []float64) {
	for i, v := range values {
		t := at[i]
		if !(v >= s.lowest && v <= s.highest) {
			s.refuse(v)
			continue
		}
		if v < s.min {
			s.min = v
		}
		if v > s.max {
			s.max = v
		}
		s.strip.cuts.note(t, v)
		dt, before := t-s.lastAt, s.last
		switch {
		case s.count == 0 && s.sensor.Spans:
			s.missed = max(0, s.missed-1) // the row that the bridge starts from
			s.begin(t, v)
			dt = t - s.from
		case s.count == 0:
			s.begin(t, v)
			continue
		case dt < 0:
			s.doubt.disorder++
			s.missed++
			continue
		default:
			s.count++
			s.last, s.lastAt = v, t
		}
		if s.sensor.Spans {
			before = v
		}
		w := float64(dt)
		if dt > 0 {
			mid := before*0.5 + v*0.5 // halve first: the sum of two readings may exceed a float64
			a := mid * w
			sum := s.area + a
			if math.Abs(s.area) >= math.Abs(a) {
				s.areaLow += s.area - sum + a
			} else {
				s.areaLow += a - sum + s.area
			}
			s.area = sum
			s.weight, s.rated = s.weight+w, s.rated+w
			off, step := mid-s.mean, v-before
			s.mean += off * (w / s.rated)
			// The second term is the variance along the line between the two readings.
			s.m2 += w * (off*(mid-s.mean) + step*step/12)
			// Looks at processes are spaced out on purpose, so a line leads from one to the next.
			if s.missed == 0 || s.sensor.Spans || s.sensor.Sparse && s.sensor.OfTarget {
				s.strip.add(t-dt, t, mid, min(before, v), max(before, v))
			}
		}
		if s.missed != 0 {
			if !s.sensor.Spans {
				s.bridged += dt
			}
			s.gaps += s.missed
			s.missed = 0
		}
	}
}

// Integral returns the sum of the trapezoids in Unit × s.
//
// If readings are means over a Window before them, the trapezoids sum a time that lies half a window earlier. So half a
// window at the last reading is added, and half a window at the first reading is subtracted. That is exact if the power
// did not change within a window before the start and before the end. If the whole time is shorter than a window, only
// the last reading and the power before the start are used.
func (s *Series) Integral() float64 {
	sum := (s.area + s.areaLow) / 1e9
	window := s.sensor.Window.Seconds()
	if !(window > 0) || s.count < 2 {
		return sum
	}
	shifted := sum + window/2*(s.last-s.first)
	if length := (s.lastAt - s.firstAt).Seconds(); length < window {
		shifted = window*s.last - (window-length)*s.first
	}
	if shifted < 0 { // the power changed just before the start
		return sum
	}
	return shifted
}
