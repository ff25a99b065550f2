package series

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

func joules(wrap, maxRate float64) sensors.Sensor {
	return sensors.Sensor{
		ID: "rapl/package-0/energy", Family: "rapl", Device: "package-0", Name: "energy", Unit: units.Joule,
		Kind: sensors.Counter, Wrap: wrap, MaxRate: maxRate, Source: "intel-rapl:0/energy_uj",
	}
}

func watts() sensors.Sensor {
	return sensors.Sensor{
		ID: "gpu/GPU-1/power", Family: "gpu", Device: "GPU-1", Name: "power", Unit: units.Watt, Kind: sensors.Gauge,
		Source: "nvmlDeviceGetPowerUsage",
	}
}

func bytesRead() sensors.Sensor {
	return sensors.Sensor{
		ID: "disk/vda/read", Family: "disk", Device: "vda", Name: "read", Unit: units.Byte, Kind: sensors.Counter,
	}
}

// every returns n times from 0 on, d apart.
func every(d time.Duration, n int) []time.Duration {
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(i) * d
	}
	return at
}

func seriesOf(s sensors.Sensor, at []time.Duration, values []float64) *Series {
	out := New(sensortest.Declared(s))
	out.Add(at, values)
	return out
}

func metricOf(t *testing.T, s *Series, name string) datamodel.Metric {
	t.Helper()
	for _, m := range s.Metrics() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("%s: no metric %s in %v", s.sensor.ID, name, s.Metrics())
	return datamodel.Metric{}
}

func isNear(got, want, share float64) bool { return math.Abs(got-want) <= share*math.Abs(want) }

// A curve is power over time, with its energy known by hand.
type curve struct {
	name   string
	power  func(t float64) float64
	energy func(t float64) float64
	length float64
}

func curves() []curve {
	return []curve{
		{"constant 42.5 W", func(float64) float64 { return 42.5 }, func(t float64) float64 { return 42.5 * t }, 3},
		{
			"ramp 50 to 200 W", func(t float64) float64 { return 50 + 75*t },
			func(t float64) float64 { return 50*t + 37.5*t*t }, 2,
		},
		{
			"busy tail", func(t float64) float64 { return 20 + 80*step(t, 2) },
			func(t float64) float64 { return 20*t + 80*max(0, t-2) }, 2.3,
		},
		{
			"square wave of 1 s", func(t float64) float64 { return 10 + 90*square(t) },
			func(t float64) float64 {
				whole := math.Floor(t)
				return 10*t + 90*(0.5*whole+min(t-whole, 0.5))
			}, 10,
		},
	}
}

func step(t, at float64) float64 {
	if t < at {
		return 0
	}
	return 1
}

func square(t float64) float64 { return 1 - step(t-math.Floor(t), 0.5) }

// TestKnownPowerCurves checks the errors of both kinds of sensors. A counter has none. A gauge at 10 Hz has none while
// power is linear. At each jump it is off by at most half an interval of the jump.
func TestKnownPowerCurves(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.name, func(t *testing.T) {
			n := int(math.Round(c.length*10)) + 1
			at := every(100*ms, n)
			energy, power := make([]float64, n), make([]float64, n)
			jumps := 0.0
			for i, d := range at {
				x := d.Seconds()
				energy[i] = math.Round(1e6*(1000+c.energy(x))) / 1e6
				power[i] = c.power(x)
				if i > 0 && math.Abs(power[i]-power[i-1]) > 50 {
					jumps++
				}
			}
			want := math.Round(1e6*c.energy(at[n-1].Seconds())) / 1e6
			counter := seriesOf(joules(262143.328850, 1000), at, energy)
			if got := counter.Delta(); math.Abs(got-want) > 1e-9 {
				t.Errorf("counter: %v J, want %v J", got, want)
			}
			m := metricOf(t, counter, "power")
			if !isNear(m.Value, want/at[n-1].Seconds(), 1e-12) || m.Provenance != sensors.FromCounter {
				t.Errorf("counter: power is %v W by %s, want %v W", m.Value, m.Provenance, want/at[n-1].Seconds())
			}
			gauge := seriesOf(watts(), at, power)
			m = metricOf(t, gauge, "energy")
			// A jump becomes a line over one interval. In these curves that interval lies at either end of the jump.
			if bound := 1e-9 + jumps*0.5*0.1*90; math.Abs(m.Value-want) > bound {
				t.Errorf("gauge: %v J, want %v J ± %v", m.Value, want, bound)
			}
			if c.name == "ramp 50 to 200 W" && (want != 250 || !isNear(m.Value, 250, 1e-12)) {
				t.Errorf("gauge: %v J, want exactly 250 J", m.Value)
			}
			if m.Provenance != sensors.Integrated || m.Aggregation != "integral" {
				t.Errorf("gauge: energy is %s by %s", m.Provenance, m.Aggregation)
			}
			if p := metricOf(t, gauge, "power"); !isNear(p.Value*at[n-1].Seconds(), m.Value, 1e-12) {
				t.Errorf("gauge: %v W in %v is not %v J", p.Value, at[n-1], m.Value)
			}
		})
	}
}

// TestRampWithUnevenBeats reads ten seconds of a ramp with beats that are late by up to half an interval. Only the
// times of the readings may count.
func TestRampWithUnevenBeats(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	at := every(100*ms, 21)
	values := make([]float64, len(at))
	for i := range at {
		if i > 0 && i < 20 {
			at[i] += time.Duration(r.Int64N(int64(50 * ms)))
		}
		values[i] = 50 + 75*at[i].Seconds()
	}
	if got := metricOf(t, seriesOf(watts(), at, values), "energy").Value; !isNear(got, 250, 1e-12) {
		t.Errorf("%v J, want 250 J", got)
	}
}

func TestCounter(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name   string
		sensor sensors.Sensor
		at     []time.Duration
		values []float64
		want   float64 // NaN: missing
		reason string
		count  int64
		gaps   int64
		warn   string // part of one of the warnings; "" for no warning
		times  int64
	}{
		{"last less first", bytesRead(), every(sec, 3), []float64{100, 150, 400}, 300, "", 3, 0, "", 0},
		{"stands still", bytesRead(), every(sec, 3), []float64{100, 100, 100}, 0, "", 3, 0, "", 0},
		{"failed in the middle", bytesRead(), every(sec, 4), []float64{100, nan, nan, 400}, 300, "", 2, 2, "", 0},
		{"failed at both ends", bytesRead(), every(sec, 4), []float64{nan, 100, 400, nan}, 300, "", 2, 2, "", 0},
		{"one reading", bytesRead(), every(sec, 1), []float64{100}, nan, "only one reading", 1, 0, "", 0},
		{"one reading among failed", bytesRead(), every(sec, 3), []float64{nan, 7, nan}, nan, "only one reading", 1, 2, "", 0},
		{"none", bytesRead(), every(sec, 2), []float64{nan, nan}, nan, "no reading in 2 tries", 0, 2, "", 0},
		{"never read", bytesRead(), nil, nil, nan, "never read", 0, 0, "", 0},
		{"infinite", bytesRead(), every(sec, 3), []float64{1, inf, 5}, 4, "", 2, 1, "infinite", 1},
		{"below 0", bytesRead(), every(sec, 3), []float64{1, -3, 5}, 4, "", 2, 1, "below 0", 1},
		{"a 0 in the middle", bytesRead(), every(sec, 4), []float64{100, 0, 130, 140}, 40, "", 3, 1, "stepped back", 1},
		{"junk, then a reset", bytesRead(), every(sec, 5), []float64{100, 0, 130, 50, 60}, 30 + 10, "", 3, 2, "counter was reset", 1},
		{"reset", bytesRead(), every(sec, 5), []float64{100, 150, 3, 10, 20}, 50 + 17, "", 4, 1, "counter was reset", 1},
		{"reset at the end", bytesRead(), every(sec, 3), []float64{100, 150, 3}, 50, "", 2, 1, "stepped back", 1},
		{"reset twice", bytesRead(), every(sec, 7), []float64{100, 150, 3, 10, 1, 2, 3}, 50 + 7 + 2, "", 5, 2, "counter was reset", 2},
		{"falls all the time", bytesRead(), every(sec, 3), []float64{9, 8, 7}, nan, "no reading fits the first", 1, 2, "stepped back", 2},
		{"wrap", joules(1000, 200), every(sec, 4), []float64{900, 980, 60, 100}, 200, "", 4, 0, "", 0},
		{"wrap of a counter whose greatest rate is not known", joules(1000, 0), every(sec, 4), []float64{900, 980, 60, 100}, 200, "", 4, 0, "wrapped at 1000 J", 1},
		{"wrap across a failed reading", joules(1000, 200), every(sec, 4), []float64{900, 980, nan, 100}, 200, "", 3, 1, "", 0},
		{"wrap, then exactly at 0", joules(1000, 200), every(sec, 3), []float64{900, 0, 50}, 150, "", 3, 0, "", 0},
		{"three wraps seen", joules(1000, 1000), every(sec, 7), []float64{500, 0, 500, 0, 500, 0, 500}, 3000, "", 7, 0, "", 0},
		// Two wraps within one interval look like one. The result is low by the wrap point, and a warning says that the
		// counter could wrap unseen.
		{"two wraps unseen", joules(1000, 200), every(10*sec, 2), []float64{900, 50}, 150, "", 2, 0, "lower bound, at most 1.00 kJ too low", 1},
		{"no wrap but time for one", joules(1000, 200), every(10*sec, 2), []float64{100, 900}, 800, "", 2, 0, "lower bound, at most 1.00 kJ too low", 1},
		{"a 0 in a wrapping counter", joules(262144, 1000), every(sec, 4), []float64{5000, 0, 5100, 5200}, 200, "", 3, 1, "stepped back", 1},
		{"reset close to the wrap", joules(262144, 1000), every(sec, 6), []float64{261800, 261850, 2, 52, 102, 152}, 200, "", 5, 1, "counter was reset", 1},
		{"a reading of 0 close to the wrap", joules(262144, 1000), every(sec, 5), []float64{261800, 261850, 0, 261950, 262000}, 200, "", 4, 1, "stepped back", 1},
		{"a wrap after a jump", joules(262144, 1000), every(sec, 5), []float64{261800, 261801, 256, 856, 1456}, 1800, "", 5, 0, "", 0},
		{"a wrap at once", joules(262144, 1000), every(sec, 2), []float64{261800, 456}, 800, "", 2, 0, "", 0},
		{"reset of a wrapping counter", joules(262144, 1000), every(sec, 5), []float64{5000, 5100, 2, 52, 102}, 200, "", 4, 1, "counter was reset", 1},
		{"impossible rise", joules(262144, 1000), every(sec, 4), []float64{100, 200, 99999, 400}, 300, "", 3, 1, "not possible", 1},
		{"impossible rise that stays", joules(262144, 1000), every(sec, 5), []float64{100, 200, 99900, 99950, 99999}, 199, "", 4, 1, "counter was reset", 1},
		{"rise of one tick in 1 ms", sensors.Sensor{
			ID: "cpu/user", Family: "cpu", Name: "user", Unit: units.Second, Kind: sensors.Counter, MaxRate: 1,
		}, every(ms, 3), []float64{1, 1.015625, 1.03125}, 0.03125, "", 3, 0, "", 0},
		{"stuck energy", joules(262144, 1000), every(sec, 3), []float64{7, 7, 7}, nan, "did not move in 2 s", 3, 0, "", 0},
		{"impossible rise of stuck energy at the end", joules(262144, 1000), every(sec, 4), []float64{7, 7, 7, 99999}, nan, "moved in the last reading only", 3, 1, "not possible", 1},
		{"times that go back", bytesRead(), []time.Duration{0, 5 * sec, sec, 6 * sec}, []float64{0, 5, 6, 7}, 7, "", 3, 1, "earlier time", 1},
		{"two at the same time", bytesRead(), []time.Duration{0, 0, sec}, []float64{0, 5, 6}, 6, "", 3, 0, "", 0},
		{"too large", bytesRead(), every(sec, 4), []float64{0, 1.7e308, 0, 1.7e308}, 1.7e308, "", 3, 1, "stepped back", 1},
		{"idle may step back", sensors.Sensor{
			ID: "cpu/idle", Family: "cpu", Name: "idle", Unit: units.Second, Kind: sensors.Counter,
		}, every(sec, 4), []float64{10, 11, 10.99, 12}, 2, "", 3, 1, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := seriesOf(c.sensor, c.at, c.values)
			m := s.Metrics()[0]
			if got := s.Delta(); m.Value != c.want && !(math.IsNaN(m.Value) && math.IsNaN(c.want)) || m.Value != got && !math.IsNaN(got) {
				t.Errorf("value %v, delta %v, want %v", m.Value, got, c.want)
			}
			if (c.reason == "") != (m.Reason == "") || !strings.Contains(m.Reason, c.reason) {
				t.Errorf("reason %q, want %q", m.Reason, c.reason)
			}
			if (m.Provenance == sensors.Missing) != (c.reason != "") {
				t.Errorf("provenance is %s", m.Provenance)
			}
			if m.Count != c.count || m.Gaps != c.gaps {
				t.Errorf("count %d gaps %d, want %d and %d", m.Count, m.Gaps, c.count, c.gaps)
			}
			warnings := s.Warnings()
			if c.warn == "" {
				if len(warnings) > 0 {
					t.Errorf("warns: %v", warnings)
				}
				return
			}
			for _, w := range warnings {
				if strings.Contains(w.Text, c.warn) && w.Count == c.times && w.Subject == c.sensor.ID {
					return
				}
			}
			t.Errorf("no warning %q × %d in %v", c.warn, c.times, warnings)
		})
	}
}

// TestCounterOfTheTargetCountsFromItsStart checks that counters of the target start with it at 0. A single reading
// after its end is the whole value, and rows before it are not gaps.
func TestCounterOfTheTargetCountsFromItsStart(t *testing.T) {
	nan := math.NaN()
	cpu := sensors.Sensor{ID: "target/cpu_time", Family: "target", Name: "cpu_time", Unit: units.Second, Kind: sensors.Counter}
	for _, c := range []struct {
		values []float64
		want   float64
		mean   float64
		count  int64
		gaps   int64
	}{
		{[]float64{nan, 0.25}, 0.25, nan, 1, 0},
		{[]float64{nan, 0.25, 0.75, nan}, 0.75, 0.5, 2, 0},
		{[]float64{nan, 0.25, nan, 0.75}, 0.75, 0.25, 2, 1},
		{[]float64{0, 0.25, 0.75}, 0.75, 0.375, 3, 0},
	} {
		m := seriesOf(cpu, every(sec, len(c.values)), c.values).Metrics()[0]
		if m.Value != c.want || m.Mean != c.mean && !(math.IsNaN(m.Mean) && math.IsNaN(c.mean)) || m.Count != c.count || m.Gaps != c.gaps {
			t.Errorf("%v: %+v, want %v", c.values, m, c)
		}
	}
}

func TestRatesOfACounter(t *testing.T) {
	s := seriesOf(joules(0, 0), []time.Duration{0, sec, 3 * sec}, []float64{0, 10, 50})
	for _, name := range []string{"energy", "power"} {
		m := metricOf(t, s, name)
		// 10 W for 1 s, 20 W for 2 s: the mean is 50/3, the variance (1 × (20/3)² + 2 × (10/3)²) / 3.
		if m.Min != 10 || m.Max != 20 || !isNear(m.Mean, 50.0/3, 1e-15) || !isNear(m.Std, math.Sqrt(600.0/27), 1e-14) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestWhatComesAtTheSameTimeIsInTheNextRate(t *testing.T) {
	m := seriesOf(joules(0, 0), []time.Duration{0, 0, sec, 2 * sec, 2 * sec}, []float64{0, 5, 6, 7, 9}).Metrics()
	if e := m[0]; e.Value != 9 || e.Min != 1 || e.Max != 6 || e.Mean != 3.5 {
		t.Errorf("%+v", e)
	}
	if m := metricOf(t, seriesOf(joules(0, 0), []time.Duration{0, 0}, []float64{0, 5}), "power"); m.Reason != "no time passed between the readings" {
		t.Errorf("%+v", m)
	}
}

func TestGauge(t *testing.T) {
	nan := math.NaN()
	memory := sensors.Sensor{ID: "memory/used", Family: "memory", Name: "used", Unit: units.Byte, Kind: sensors.Gauge}
	busy := sensors.Sensor{ID: "cpu/utilization", Family: "cpu", Name: "utilization", Unit: units.Ratio, Kind: sensors.Gauge, Spans: true}
	heat := sensors.Sensor{ID: "gpu/0/temperature", Family: "gpu", Name: "temperature", Unit: units.Celsius, Kind: sensors.Gauge, Range: sensors.Range{Least: -50, Most: 200}}
	for _, c := range []struct {
		name                string
		sensor              sensors.Sensor
		at                  []time.Duration
		values              []float64
		mean, min, max, std float64
		count, gaps         int64
	}{
		{"constant", memory, every(sec, 3), []float64{8, 8, 8}, 8, 8, 8, 0, 3, 0},
		{"ramp", memory, every(sec, 3), []float64{0, 6, 12}, 6, 0, 12, math.Sqrt(12), 3, 0},
		{"weighted by time", memory, []time.Duration{0, sec, 10 * sec}, []float64{0, 0, 20}, 9, 0, 20, nan, 3, 0},
		{"one reading", memory, every(sec, 1), []float64{8}, 8, 8, 8, nan, 1, 0},
		{"bridged", memory, every(sec, 4), []float64{0, nan, nan, 12}, 6, 0, 12, math.Sqrt(12), 2, 2},
		{"nothing beyond the ends", memory, every(sec, 4), []float64{nan, 4, 8, nan}, 6, 4, 8, nan, 2, 2},
		{"below freezing", heat, every(sec, 3), []float64{-20, -10, -20}, -15, -20, -10, nan, 3, 0},
		{"colder than possible", heat, every(sec, 3), []float64{20, -300, 20}, 20, 20, 20, 0, 2, 1},
		{"a negative size", memory, every(sec, 3), []float64{20, -300, 20}, 20, 20, 20, 0, 2, 1},
		{"none", memory, every(sec, 2), []float64{nan, nan}, nan, nan, nan, nan, 0, 2},
		{"of the time before", busy, []time.Duration{0, sec, 4 * sec}, []float64{nan, 0.5, 1}, 0.875, 0.5, 1, math.Sqrt(0.75) / 4, 2, 0},
		{"of all the time before", busy, every(sec, 5), []float64{nan, nan, 0.5, nan, 1}, 0.75, 0.5, 1, 0.25, 2, 2},
		{"of no time", busy, every(sec, 1), []float64{nan}, nan, nan, nan, nan, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := seriesOf(c.sensor, c.at, c.values).Metrics()[0]
			same := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Abs(b) || math.IsNaN(a) && math.IsNaN(b) }
			if !same(m.Value, c.mean) || !same(m.Mean, c.mean) || !same(m.Min, c.min) || !same(m.Max, c.max) {
				t.Errorf("%+v, want %v", m, c)
			}
			if !math.IsNaN(c.std) && !same(m.Std, c.std) {
				t.Errorf("std %v, want %v", m.Std, c.std)
			}
			if m.Count != c.count || m.Gaps != c.gaps {
				t.Errorf("count %d gaps %d, want %d and %d", m.Count, m.Gaps, c.count, c.gaps)
			}
		})
	}
}

func TestGaugeThatOnlyRisesGivesItsMaximum(t *testing.T) {
	peak := sensors.Sensor{Family: "target", Name: "memory_peak", Unit: units.Byte, Kind: sensors.Gauge}
	m := seriesOf(peak, every(sec, 3), []float64{5, 9, 9}).Metrics()[0]
	if m.Value != 9 || m.Aggregation != "max" || m.Name != "memory_peak" {
		t.Errorf("%+v", m)
	}
}

func TestBridgedPowerIsSaid(t *testing.T) {
	nan := math.NaN()
	s := seriesOf(watts(), every(sec, 5), []float64{10, 20, nan, 40, 50})
	if m := metricOf(t, s, "energy"); m.Value != 120 || m.Gaps != 1 {
		t.Errorf("%+v", m)
	}
	w := s.Warnings()
	if len(w) != 1 || w[0].Count != 1 || !strings.Contains(w[0].Text, "2 s are bridged") {
		t.Errorf("%v", w)
	}
	if m := metricOf(t, seriesOf(watts(), every(sec, 1), []float64{10}), "energy"); !math.IsNaN(m.Value) || m.Reason == "" {
		t.Errorf("one reading: %+v", m)
	}
}

// TestPrecision checks that a counter at 16 GJ, a year at 500 W, still resolves 10 µJ. A mean far from 0 must not hide
// a small spread.
func TestPrecision(t *testing.T) {
	s := seriesOf(joules(0, 0), every(sec, 2), []float64{16e9, 16e9 + 0.00001})
	if got := s.Delta(); math.Abs(got-0.00001) > 2e-6 {
		t.Errorf("%v J", got)
	}
	memory := sensors.Sensor{Family: "memory", Name: "used", Unit: units.Byte, Kind: sensors.Gauge}
	g := New(memory)
	for i := range 1_000_000 {
		g.Add([]time.Duration{time.Duration(i) * sec}, []float64{1e12 + float64(i%2)})
	}
	m := g.Metrics()[0]
	if !isNear(m.Value, 1e12+0.5, 1e-15) || !isNear(m.Std, math.Sqrt(1.0/12), 1e-3) {
		t.Errorf("mean %v std %v", m.Value, m.Std)
	}
}

// TestSeriesProperties checks random readings of any quality. How they are cut into calls makes no difference. A mean
// lies between minimum and maximum. An energy is its power times its time. Without readings there is no value.
func TestSeriesProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		sensor := []sensors.Sensor{joules(262143.32885, 500), joules(0, 0), watts(), bytesRead()}[seed%4]
		n := r.IntN(400)
		at, values := make([]time.Duration, n), make([]float64, n)
		now, total := time.Duration(0), 262000*r.Float64()
		for i := range at {
			now += time.Duration(r.Int64N(int64(200 * ms)))
			total += 300 * r.Float64() * 0.1
			if sensor.Wrap > 0 && total > sensor.Wrap {
				total -= sensor.Wrap
			}
			at[i], values[i] = now, total
			if sensor.Kind == sensors.Gauge {
				values[i] = 300 * r.Float64()
			}
			switch r.IntN(30) {
			case 0:
				values[i] = math.NaN()
			case 1:
				values[i] = []float64{0, -1, math.Inf(1), 1e30}[r.IntN(4)]
			}
		}
		whole, cut := seriesOf(sensor, at, values), New(sensor)
		for i := 0; i < n; {
			k := min(n, i+r.IntN(20))
			cut.Add(at[i:k], values[i:k])
			i = k
		}
		if !reflect.DeepEqual(printable(whole), printable(cut)) {
			t.Fatalf("seed %d: in one call %v, in pieces %v", seed, printable(whole), printable(cut))
		}
		checkMetrics(t, whole)
		if whole.count == 0 {
			continue
		}
		energy, power := whole.Metrics()[0], whole.Metrics()[len(whole.Metrics())-1]
		if sensor.Unit == units.Watt {
			energy, power = power, energy
		}
		if (sensor.Unit == units.Joule || sensor.Unit == units.Watt) && energy.Reason == "" && whole.doubt.resets == 0 {
			if s := whole.weight / 1e9; !isNear(power.Value*s, energy.Value-whole.loose, 1e-9) {
				t.Errorf("seed %d: %v W in %v s is not %v J", seed, power.Value, s, energy.Value)
			}
		}
	}
}

// printable returns all results of a series in a form in which NaN equals NaN.
func printable(s *Series) []any {
	out := []any{s.Warnings()}
	for _, m := range s.Metrics() {
		for _, p := range []*float64{&m.Value, &m.Min, &m.Max, &m.Mean, &m.Std, &m.Uncertainty, &m.AtMost} {
			if math.IsNaN(*p) {
				*p = -12345
			}
		}
		out = append(out, m)
	}
	for _, p := range parts(s, 60) {
		for _, v := range []float64{p.Mean, p.Least, p.Most, p.Covered} {
			if math.IsNaN(v) {
				v = -12345
			}
			out = append(out, v)
		}
	}
	return out
}

// checkMetrics checks what holds for every series.
func checkMetrics(t *testing.T, s *Series) {
	t.Helper()
	for _, m := range s.Metrics() {
		if math.IsNaN(m.Value) != (m.Reason != "") || (m.Provenance == sensors.Missing) != (m.Reason != "") {
			t.Errorf("value %v by %s for the reason %q", m.Value, m.Provenance, m.Reason)
		}
		for _, v := range []float64{m.Value, m.Min, m.Max, m.Mean, m.Std} {
			if math.IsInf(v, 0) {
				t.Errorf("infinite: %+v", m)
			}
			if v < 0 && s.sensor.Unit != units.Celsius {
				t.Errorf("negative: %+v", m)
			}
		}
		if m.Mean < m.Min || m.Mean > m.Max {
			t.Errorf("the mean is not between minimum and maximum: %+v", m)
		}
		if m.Count < 0 || m.Gaps < 0 || m.Count == 0 && m.Reason == "" {
			t.Errorf("a value of %d readings and %d gaps: %+v", m.Count, m.Gaps, m)
		}
	}
	for _, p := range parts(s, 60) {
		if math.IsInf(p.Mean, 0) || p.Mean < 0 && s.sensor.Unit != units.Celsius || p.Mean < p.Least || p.Mean > p.Most ||
			math.IsNaN(p.Mean) != (p.Covered == 0) {
			t.Errorf("part %+v", p)
		}
	}
	for _, w := range s.Warnings() {
		if w.Count <= 0 || w.Text == "" {
			t.Errorf("warning %+v", w)
		}
	}
}

// parts returns the course of a series in n equal parts.
func parts(s *Series, n int) []Part {
	out := make([]Part, n)
	length := s.Drawn() - s.From()
	for i := range out {
		out[i] = s.Part(s.From()+length*time.Duration(i)/time.Duration(n), s.From()+length*time.Duration(i+1)/time.Duration(n))
	}
	return out
}

func TestPart(t *testing.T) {
	nan := math.NaN()
	fill := func(n int, f func(i int) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	check := func(s *Series, want []float64, tolerance float64) {
		t.Helper()
		for i, p := range parts(s, len(want)) {
			if math.IsNaN(p.Mean) != math.IsNaN(want[i]) || math.Abs(p.Mean-want[i]) > tolerance {
				t.Fatalf("part %d: %+v, want %v", i, p, want[i])
			}
		}
	}
	ramp := seriesOf(watts(), every(100*ms, 21), fill(21, func(i int) float64 { return 50 + 7.5*float64(i) }))
	check(ramp, []float64{68.75, 106.25, 143.75, 181.25}, 4)
	check(ramp, []float64{125}, 1e-9)
	// The third quarter has no readings.
	hole := seriesOf(watts(), every(100*ms, 41), fill(41, func(i int) float64 {
		if i > 20 && i < 30 {
			return nan
		}
		return 10
	}))
	check(hole, []float64{10, 10, 10, 10}, 1e-9)
	if p := parts(hole, 4)[2]; p.Covered > 0.1 {
		t.Errorf("in the gap: %+v", p)
	}
	// A sensor that spans the time before a reading has no gap at the start, and none while the kernel counted nothing.
	busy := sensors.Sensor{Family: "cpu", Unit: units.Ratio, Kind: sensors.Gauge, Spans: true}
	check(seriesOf(busy, every(sec, 5), []float64{nan, 0.25, nan, 0.5, 1}), []float64{0.25, 0.5, 0.5, 1}, 0.01)
	// Looks at processes are spaced out on purpose: a line leads from one look to the next.
	looks := sensors.Sensor{Family: "target", Unit: units.Byte, Kind: sensors.Gauge, OfTarget: true, Sparse: true}
	spaced := seriesOf(looks, every(sec, 5), []float64{4, nan, nan, nan, 12})
	check(spaced, []float64{8}, 1e-9)
	if p := parts(spaced, 4)[1]; p.Covered < 0.99 {
		t.Errorf("between two looks: %+v", p)
	}
	// A counter gives its rate, and its mean over the time without readings.
	check(seriesOf(joules(0, 0), []time.Duration{0, sec, 4 * sec}, []float64{0, 10, 100}), []float64{10, 30, 30, 30}, 0.2)
	for _, s := range []*Series{seriesOf(watts(), every(sec, 1), []float64{10}), New(watts())} {
		if p := s.Part(0, sec); p.Covered != 0 || !math.IsNaN(p.Mean) || !math.IsNaN(p.Most) {
			t.Errorf("%d readings: %+v", s.Count(), p)
		}
	}
	// What a counter of the target counted before its first reading belongs to the time since the first row.
	late := sensors.Sensor{Family: "target", Unit: units.Second, Kind: sensors.Counter, OfTarget: true}
	check(seriesOf(late, every(sec, 3), []float64{nan, 0.5, 1.5}), []float64{0.5, 1}, 0.01)
}

// TestChart tests that a course for a chart keeps each peak and each amount over any time, in bounded memory.
func TestChart(t *testing.T) {
	const day = 864_000 // readings at 10 Hz
	for _, n := range []int{30, 1000, fineCount, 3*fineCount + 17, day} {
		power, energy := New(watts()), New(joules(0, 0))
		power.Chart(100 * ms)
		energy.Chart(100 * ms)
		const chunk = 2048
		count := 0.0
		var at []time.Duration
		var gauge, counter []float64
		for i := range n {
			v := 10.0
			if i == n*2/3 {
				v = 500 // one reading
			}
			count += v * 0.1
			at, gauge, counter = append(at, time.Duration(i)*100*ms+7*time.Microsecond), append(gauge, v), append(counter, count)
			if len(at) == chunk || i == n-1 {
				power.Add(at, gauge)
				energy.Add(at, counter)
				at, gauge, counter = at[:0], gauge[:0], counter[:0]
			}
		}
		for _, s := range []*Series{power, energy} {
			step, amount, most, all := s.Step(), 0.0, 0.0, 0
			for from := time.Duration(0); from < s.End(); from += step {
				p := s.Part(from, from+step)
				amount += p.Mean * p.Covered
				most = max(most, p.Most)
				if all++; p.Least < 9.999 || p.Least > 10.001 && step >= 400*ms {
					t.Fatalf("%d readings: part %d of %v: %+v", n, all, step, p)
				}
			}
			if want := s.Energy().Value; math.Abs(amount-want) > 1e-9*want {
				t.Errorf("%d readings of %s: the parts add up to %v J, want %v", n, s.sensor.Unit, amount, want)
			}
			if want := s.Greatest(); math.Abs(most-want) > 1e-6*want || most < 499 {
				t.Errorf("%d readings of %s: the peak is %v W, want %v", n, s.sensor.Unit, most, want)
			}
			if len(s.strip.slices) > fineCount || n <= fineCount && step != 100*ms || n >= day/2 && all < fineCount/2 {
				t.Errorf("%d readings: %d parts of %v, %d slices", n, all, step, len(s.strip.slices))
			}
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	at, values := every(ms, 1000), make([]float64, 1000)
	s := New(watts())
	s.Add(at[:10], values[:10])
	if got := testing.AllocsPerRun(5, func() { s.Add(at, values) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestRange checks that a value which a gauge cannot have costs itself, and that a gauge with nothing else says why.
func TestRange(t *testing.T) {
	power := sensors.Sensor{
		ID: "hwmon/power_meter/power", Family: "hwmon", Name: "power", Unit: units.Watt, Kind: sensors.Gauge,
		Range: sensors.Range{Most: 100_000, Runs: true},
	}
	f := func(values []float64, mean float64, refused int64, text string) {
		t.Helper()
		s := seriesOf(power, every(sec, len(values)), values)
		m := s.Metrics()[0]
		if m.Value != mean && !(math.IsNaN(m.Value) && math.IsNaN(mean)) || m.Gaps != refused {
			t.Errorf("%v: %v with %d gaps, want %v with %d", values, m.Value, m.Gaps, mean, refused)
		}
		said := m.Reason
		for _, w := range s.Warnings() {
			said += w.Text
		}
		if !strings.Contains(said, text) {
			t.Errorf("%v: %q, want %q", values, said, text)
		}
	}
	f([]float64{50, 50, 50}, 50, 0, "")
	f([]float64{50, 4294967.295, 50}, 50, 1, "the reading was refused: 4.29 MW is above 100 kW")
	f([]float64{50, 0, 50}, 50, 1, "the reading was refused: 0 W is no reading of what runs")
	f([]float64{-1, 50, 50}, 50, 1, "the reading was refused: -1.00 W is below 0 W")
	f([]float64{50, math.Inf(1), 50}, 50, 1, "the reading was refused: it was infinite")
	f([]float64{0, 0, 0}, math.NaN(), 3, "no possible reading in 3 tries: 0 W is no reading of what runs")
	f([]float64{4294967.295, math.NaN()}, math.NaN(), 2, "no possible reading in 2 tries: 4.29 MW is above 100 kW")
	power.Range.Runs = false
	f([]float64{0, 0, 10, 0, 0}, 2.5, 0, "") // batteries take turns
}
