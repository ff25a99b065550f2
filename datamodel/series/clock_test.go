package series

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestClock checks that a step of the wall clock and a suspension are reported with their size and time. The difference
// between two clocks that are read one after the other is not reported.
func TestClock(t *testing.T) {
	nan := math.NaN()
	offset := sensors.Sensor{ID: "profiler/clock_offset", Use: sensors.ClockOffset, Unit: units.Second, Kind: sensors.Gauge, Range: sensors.Range{Least: -1e10, Most: 1e10}}
	suspended := sensors.Sensor{ID: "profiler/suspended", Use: sensors.Suspended, Unit: units.Second, Kind: sensors.Counter}
	f := func(s sensors.Sensor, values []float64, want ...string) {
		t.Helper()
		series := seriesOf(s, every(sec, len(values)), values)
		var got []string
		for _, w := range series.Warnings() {
			if w.Subject != "clock" {
				t.Errorf("%+v", w)
			}
			got = append(got, w.Text)
		}
		if len(got) != len(want) {
			t.Fatalf("%v: %q, want %q", values, got, want)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%v: %q, want %q", values, got[i], want[i])
			}
		}
		if m := series.Metrics()[0]; m.Gaps != series.rows-m.Count {
			t.Errorf("%v: %d of %d readings, %d gaps", values, m.Count, series.rows, m.Gaps)
		}
	}
	f(offset, []float64{0, 2e-5, -1e-5, 1e-4})
	f(offset, []float64{0, 0, 3600, 3600}, "set forward by 1 h, seen at 2 s")
	f(offset, []float64{0, -0.5, nan, -0.5, 0}, "set back by 500 ms, seen at 1 s", "set forward by 500 ms, seen at 4 s")
	f(offset, []float64{nan, 5, 5})
	f(suspended, []float64{0, 0, 61.2, 61.2}, "suspended for 1 min 01.2 s, seen at 2 s")
	f(suspended, []float64{0})
	many := make([]float64, 12)
	for i := range many {
		many[i] = float64(i)
	}
	f(offset, many, append(slices8("set forward by 1 s"), "or suspensions followed")...)
	if s := seriesOf(suspended, every(sec, 3), []float64{0, 0, 61.2}); s.Delta() != 61.2 {
		t.Errorf("%v", s.Delta())
	}
	if s := seriesOf(joules(0, 0), every(sec, 3), []float64{0, 50, 100}); s.clock != nil || len(s.Warnings()) != 0 {
		t.Errorf("%v", s.Warnings())
	}
}

func slices8(s string) []string { return []string{s, s, s, s, s, s, s, s} }
