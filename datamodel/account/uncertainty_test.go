package account

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// updating returns a zone whose counter moves every millisecond.
func updating(device string) sensors.Sensor {
	s := zone(device)
	s.Update = ms
	return s
}

// TestUncertaintyBoundsTheError reads a counter that moves every millisecond at any two moments, while its power
// changes. The error never exceeds the uncertainty.
func TestUncertaintyBoundsTheError(t *testing.T) {
	const update = ms
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		idle, busy, change := 5+20*r.Float64(), 50+300*r.Float64(), time.Duration(r.Int64N(int64(50*ms)))
		truth := func(at time.Duration) float64 {
			return idle*min(at, change).Seconds() + busy*max(0, at-change).Seconds()
		}
		phase := time.Duration(r.Int64N(int64(update)))
		shown := func(at time.Duration) float64 { // the true value at the last update
			return truth(max(0, (at+phase).Truncate(update)-phase))
		}
		from := time.Duration(r.Int64N(int64(20 * ms)))
		step := time.Duration(1 + r.Int64N(int64(10*ms)))
		var at []time.Duration
		var values []float64
		for i := range 2 + r.IntN(20) {
			at = append(at, from+time.Duration(i)*step)
			values = append(values, shown(at[i]))
		}
		to := at[len(at)-1]
		m := seriesOf(updating("package-0"), at, values).Energy()
		if m.Reason != "" {
			continue // it did not move, which another test covers
		}
		// The power within the first and the last period may differ from the power of the increment there. The bound
		// assumes that the power does not change within a period, so these cases are skipped.
		if d := change - from; d > -2*ms && d < step+ms || change > to-step-ms && change < to+ms {
			continue
		}
		if miss := math.Abs(m.Value - (truth(to) - truth(from))); miss > m.Uncertainty*(1+1e-9) {
			t.Errorf("seed %d: %v J of %v J in %s, ± %v", seed, m.Value, truth(to)-truth(from), to-from, m.Uncertainty)
		}
	}
}

func TestUncertainty(t *testing.T) {
	f := func(name string, m datamodel.Metric, want float64) {
		t.Helper()
		if !isNear(m.Uncertainty, want, 1e-9) && !(math.IsNaN(want) && math.IsNaN(m.Uncertainty)) {
			t.Errorf("%s: %v ± %v, want ± %v", name, m.Value, m.Uncertainty, want)
		}
	}
	nan := math.NaN()
	steady := line(updating("package-0"), 100, 150, sec)
	f("50 W, 1 ms", metricOf(t, steady, "energy"), 0.05)
	f("its power", metricOf(t, steady, "power"), 0.05)
	f("period not known", metricOf(t, line(zone("package-0"), 100, 150, sec), "energy"), nan)
	f("a gauge", metricOf(t, line(watts(), 50, 50, sec), "energy"), nan)
	// 10 W at first and 200 W at the end.
	f("a ramp", seriesOf(updating("package-0"), every(sec, 3), []float64{5, 15, 215}).Energy(), 0.2)
	f("from high to low", seriesOf(updating("package-0"), every(sec, 3), []float64{5, 205, 215}).Energy(), 0.2)
	// A counter that is read more often than it moves stood still at the ends.
	f("stood at both ends", seriesOf(updating("package-0"), every(ms/2, 5), []float64{5, 5, 6, 6, 6}).Energy(), 1)
	f("one increment, shorter than a period", seriesOf(updating("package-0"), every(ms/2, 2), []float64{5, 6}).Energy(), 1)

	both := []*series.Series{steady, line(updating("package-0/dram"), 0, 10, sec)}
	in := input{Ledger: datamodel.Ledger{WallTime: new(1.0)}, Series: both}
	tree, _ := build(t, in)
	f("the sum", tree.First(datamodel.RunLevel).Metric("energy"), 0.06)
	f("the power of the sum", tree.First(datamodel.RunLevel).Metric("power"), 0.06)
	in.Series = append(in.Series, line(watts(), 50, 50, sec))
	tree, _ = build(t, in)
	f("a sum with one that is not known", tree.First(datamodel.RunLevel).Metric("energy"), nan)
}

// TestABoundInPlaceOfZero checks that a counter that did not move gives no energy, but an upper bound.
func TestABoundInPlaceOfZero(t *testing.T) {
	f := func(s sensors.Sensor, window time.Duration, atMost float64, want string) {
		t.Helper()
		tree, _ := build(t, input{Series: []*series.Series{seriesOf(s, every(window, 2), []float64{7, 7})}})
		if m := tree.First(datamodel.RunLevel).Metric("energy"); m.Reason != want || !math.IsNaN(m.Value) ||
			!(m.AtMost == atMost || math.IsNaN(m.AtMost) && math.IsNaN(atMost)) {
			t.Errorf("%+v, want %q, at most %v", m, want, atMost)
		}
	}
	unbound := zone("package-0")
	unbound.MaxRate = 0
	f(zone("package-0"), ms/2, 0.5, "the counter did not move in 500 µs")
	f(unbound, ms/2, math.NaN(), "the counter did not move in 500 µs")
	f(gpu("GPU-a", "energy", sensors.Counter, units.Joule), ms, math.NaN(), "no such sensor was read")
	// If several counters would be summed, the bound is the sum of theirs. A domain inside another does not count.
	still := func(device string) *series.Series { return seriesOf(zone(device), every(ms/2, 2), []float64{7, 7}) }
	whole := input{Series: []*series.Series{still("package-0/core"), still("package-0"), still("package-1")}}
	tree, _ := build(t, whole)
	for _, name := range []string{"energy", "power", "target_energy"} {
		m := tree.First(datamodel.RunLevel).Metric(name)
		if m.Reason != "the 2 counters did not move in 500 µs" || (m.AtMost == 1) != (m.Unit == units.Joule) {
			t.Errorf("%+v", m)
		}
	}
	s := seriesOf(zone("package-0"), []time.Duration{ms, ms}, []float64{7, 7})
	if m := s.Energy(); !strings.HasPrefix(m.Reason, "the counter did not move in 0 s") {
		t.Errorf("%+v", m)
	}
}

// TestUncertaintyOfLosses checks the bounds after losses. A reset loses the count of the time around it. A counter that
// stands still says nothing about that time. The energy is then a lower bound. The greatest rate of 1 kW bounds what may
// be lost.
func TestUncertaintyOfLosses(t *testing.T) {
	f := func(values []float64, want, off, lost float64, warn string) {
		t.Helper()
		list := seriesOf(updating("package-0"), every(sec, len(values)), values)
		m := metricOf(t, list, "energy")
		if !(math.Abs(m.Value-want) < 1e-6 && m.Uncertainty <= off) || (m.Bound == datamodel.LowerBound) != (lost > 0) ||
			lost > 0 && math.Abs(m.AtMost-want-off-lost) > 10 {
			t.Errorf("%v: %v ± %v J (%s, at most %v), want %v, at most %v more", values, m.Value, m.Uncertainty, m.Bound, m.AtMost, want, lost)
		}
		if p := metricOf(t, list, "power"); p.Bound != m.Bound {
			t.Errorf("%v: the power is %v W (%s)", values, p.Value, p.Bound)
		}
		in := input{Series: []*series.Series{list}, Ledger: datamodel.Ledger{WallTime: new(float64(len(values) - 1))}}
		var all strings.Builder
		_, warnings := build(t, in)
		for _, w := range warnings {
			all.WriteString(w.Text + "\n")
		}
		if !strings.Contains(all.String(), warn) || (warn == "") != (len(warnings) == 0) {
			t.Errorf("%v: warns %q, want %q", values, all.String(), warn)
		}
	}
	f([]float64{10_000, 10_100, 10_200, 10, 110, 210}, 400, 100.2, 1000, "in the 1 s before is lost")
	f([]float64{1000, 1100, 1200, 1200, 1200, 1200}, 200, 1.2, 4000, "did not move for 3 s")
	f([]float64{1000, 1100, 1100, 1100, 1200, 1300}, 300, 1.2, 3900, "did not move for 2 s")
	f([]float64{1000, 1100, 1100, 1100, 1400, 1500}, 500, 1.2, 3700, "did not move for 2 s") // it may have caught up
	f([]float64{1000, 1100, 1100, 1100, 2105, 2205}, 1205, 1.2, 0, "")                       // nothing draws 1005 W, so it did
	f([]float64{1000, 1100, 1200, 1300, 1400, 1500}, 500, 1.2, 0, "")
}

// TestBurstAcrossTheWrap checks steep rises across the wrap point. A burst, or a counter that catches up after standing
// still, is a wrap. If it may also have been a reset, the bound includes both cases.
func TestBurstAcrossTheWrap(t *testing.T) {
	const top, calm = 262143.328850, 5.0
	for _, c := range []struct {
		name          string
		before, after float64 // what the burst gave before the wrap point and after it
		sure          bool
	}{
		{"both sides", 50, 60, true},
		{"most of it behind", 1, 109, true},
		{"next to nothing behind", 100, 3, false},
	} {
		sensor := updating("package-0")
		sensor.Wrap = top
		start := top - 4*calm - c.before
		values := []float64{start, start + calm, start + 2*calm, start + 3*calm, start + 4*calm, c.after, c.after + calm, c.after + 2*calm}
		truth := 6*calm + c.before + c.after
		m := metricOf(t, seriesOf(sensor, every(sec, len(values)), values), "energy")
		if c.sure && math.Abs(m.Value-truth) > 1e-6 || c.sure == (m.Bound == datamodel.LowerBound) ||
			!(math.Abs(m.Value-truth) <= m.Uncertainty) && !(truth <= m.AtMost && truth > m.Value) {
			t.Errorf("%s: %v ± %v J (%s, at most %v) of %v", c.name, m.Value, m.Uncertainty, m.Bound, m.AtMost, truth)
		}
	}
	sensor := updating("package-0")
	sensor.Wrap = top
	start := top - 500
	m := metricOf(t, seriesOf(sensor, every(sec, 6), []float64{start, start + 100, start + 100, start + 100, start + 100, 0}), "energy")
	if math.Abs(m.Value-500) > 1e-6 {
		t.Errorf("caught up across the wrap: %v ± %v J of 500", m.Value, m.Uncertainty)
	}
}

// TestPowerOfACounterReadOftenerThanItMoves checks that a counter that is read more often than it moves has its mean
// power, not spikes and zeros.
func TestPowerOfACounterReadOftenerThanItMoves(t *testing.T) {
	sensor := updating("package-0")
	sensor.Update = 100 * ms
	var at []time.Duration
	var values []float64
	for i := range 500 { // 200 W for 5 s, in steps of 100 ms, read every 10 ms
		at = append(at, time.Duration(i)*10*ms)
		values = append(values, 20*float64(i/10))
	}
	s := seriesOf(sensor, at, values)
	m := metricOf(t, s, "power")
	if m.Max > 201 || m.Min < 195 || m.Std > 5 {
		t.Errorf("%+v", m)
	}
	for i := range 20 {
		if v := s.Part(time.Duration(i)*240*ms, time.Duration(i+1)*240*ms).Mean; math.Abs(v-200) > 5 {
			t.Errorf("part %d: %v W", i, v)
		}
	}
	if e := metricOf(t, s, "energy"); e.Value != 980 {
		t.Errorf("%+v", e)
	}
	// A counter that really stands still has a rate of 0.
	s = seriesOf(sensor, every(100*ms, 9), []float64{0, 20, 40, 40, 40, 40, 40, 60, 80})
	if m := metricOf(t, s, "power"); m.Min != 0 {
		t.Errorf("%+v", m)
	}
}

// TestUncertaintyOfAlignedEnds checks that two ends at an edge reduce the uncertainty to what their ages allow, and
// that the bound holds.
func TestUncertaintyOfAlignedEnds(t *testing.T) {
	const update, watts = ms, 80.0
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		shown := func(at time.Duration) float64 { return watts * at.Truncate(update).Seconds() }
		age := func() time.Duration { return time.Duration(1 + r.Int64N(int64(update)/20)) }
		first, last := age(), age()
		from := time.Duration(1+r.Int64N(20))*update + first
		to := from - first + time.Duration(1+r.Int64N(30))*update + last
		at := []time.Duration{from}
		for mid := from + 7*ms; mid < to; mid += 7 * ms {
			at = append(at, mid)
		}
		at = append(at, to)
		values := make([]float64, len(at))
		for i := range at {
			values[i] = shown(at[i])
		}
		s := seriesOf(updating("package-0"), at, values)
		loose := s.Energy().Uncertainty
		s.Align(datamodel.Edge{First: new(first.Seconds()), Last: new(last.Seconds())})
		m := s.Energy()
		if miss := math.Abs(m.Value - watts*(to-from).Seconds()); miss > m.Uncertainty*(1+1e-6) {
			t.Errorf("seed %d: off by %v J, ± %v", seed, miss, m.Uncertainty)
		}
		if m.Uncertainty > loose/10 {
			t.Errorf("seed %d: ± %v, without ± %v", seed, m.Uncertainty, loose)
		}
	}
	for name, e := range map[string]datamodel.Edge{
		"none": {}, "one end": {Last: new(1e-5)}, "no number": {First: new(math.NaN()), Last: new(-1.0)},
	} {
		s := line(updating("package-0"), 100, 150, sec)
		s.Align(e)
		if m := s.Energy(); !isNear(m.Uncertainty, 0.05, 1e-9) || s.Aligned() {
			t.Errorf("%s: ± %v", name, m.Uncertainty)
		}
	}
	// A row without a reading has no edge.
	s := seriesOf(updating("package-0"), every(sec, 3), []float64{math.NaN(), 5, 55})
	s.Align(datamodel.Edge{First: new(1e-5), Last: new(1e-5)})
	if m := s.Energy(); !isNear(m.Uncertainty, 0.05, 1e-9) {
		t.Errorf("± %v", m.Uncertainty)
	}
	// If the period is unknown, the ages give the bound.
	s = line(zone("package-0"), 100, 150, sec)
	s.Align(datamodel.Edge{First: new(1e-4), Last: new(1e-5)})
	if m := s.Energy(); !isNear(m.Uncertainty, 0.005, 1e-6) {
		t.Errorf("± %v", m.Uncertainty)
	}
}
