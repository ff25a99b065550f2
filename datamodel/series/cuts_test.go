package series_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestCuts checks the amounts at cuts of a counter, between readings and after the last.
func TestCuts(t *testing.T) {
	s := series.New(sensors.Sensor{Kind: sensors.Counter, Unit: units.Second})
	s.Cut([]time.Duration{0, 5, 10, 15, 30, 50})
	s.Add([]time.Duration{0, 10, 20, 40}, []float64{100, 101, 105, math.NaN()})
	for i, want := range []float64{0, 0.5, 1, 3, 5, 5} {
		if got, _ := s.UpTo(i); math.Abs(got-want) > 1e-9 {
			t.Errorf("cut %d: %v, want %v", i, got, want)
		}
	}
	for i, want := range []time.Duration{0, 5, 0, 5, 0, 0} {
		if _, got := s.UpTo(i); got != want {
			t.Errorf("cut %d: %v from a reading, want %v", i, got, want)
		}
	}
}

// TestCutsOfGauge checks the integral and the greatest readings of a gauge.
func TestCutsOfGauge(t *testing.T) {
	second := func(n float64) time.Duration { return time.Duration(n * 1e9) }
	s := series.New(sensors.Sensor{Kind: sensors.Gauge, Unit: units.Watt})
	s.Cut([]time.Duration{second(1), second(2.5), second(3), second(9)})
	s.Add([]time.Duration{0, second(2), second(3), second(4)}, []float64{10, 10, 30, 5})
	for i, want := range []float64{10, 20 + 0.5*20, 40, 57.5} { // the trapezoid from 2 to 3 counts with its mean
		if got, _ := s.UpTo(i); math.Abs(got-want) > 1e-9 {
			t.Errorf("cut %d: %v, want %v", i, got, want)
		}
	}
	p := s.Peaks()
	for _, c := range []struct {
		from, to int
		want     float64
	}{{0, 1, 10}, {0, 2, 30}, {1, 2, 30}, {2, 3, 5}, {0, 3, 30}} {
		if got := p.Between(c.from, c.to); got != c.want {
			t.Errorf("between cuts %d and %d: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	if got := p.Between(1, 1); !math.IsNaN(got) {
		t.Errorf("of no time: %v", got)
	}
}

// TestCutsAgree checks on random counters with junk, resets and wraps that the amounts at the cuts never fall, that the last
// is the amount of the whole, and that they agree with the slices.
func TestCutsAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		s := series.New(sensors.Sensor{Kind: sensors.Counter, Unit: units.Joule, MaxRate: 1000, Wrap: 500, Update: time.Millisecond})
		const n = 200
		var at []time.Duration
		var values []float64
		now, v := time.Duration(0), 0.0
		for range n {
			now += time.Duration(1+random.IntN(20)) * time.Millisecond
			v += random.Float64()
			read := math.Mod(v, 500)
			switch random.IntN(40) {
			case 0:
				read = math.NaN()
			case 1:
				read = 499 * random.Float64() // junk
			}
			at, values = append(at, now), append(values, read)
		}
		var cuts []time.Duration
		for range 50 {
			cuts = append(cuts, time.Duration(random.Int64N(int64(now)+1)))
		}
		cuts = append(cuts, now)
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		s.Cut(cuts)
		s.Add(at, values)
		last := 0.0
		for i := range cuts {
			got, _ := s.UpTo(i)
			if got < last-1e-9 {
				t.Fatalf("cut %d: %v after %v", i, got, last)
			}
			last = got
			// The slices are 16 or 32 ms long by now, and count in proportion.
			whole, _ := s.Amount(at[0], cuts[i])
			if cuts[i] > at[0] && math.Abs(whole-got) > 40 {
				t.Fatalf("cut %d at %v: %v, the slices have %v", i, cuts[i], got, whole)
			}
		}
		if whole, _ := s.Amount(0, now+1); math.Abs(whole-last) > 1e-6*math.Max(1, whole) {
			t.Errorf("the last cut has %v, all slices %v", last, whole)
		}
	}
}
