package account

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// trueCases is the number of random machines in TestTheTruthIsWithinTheBound.
const trueCases = 10_000

// TestTheTruthIsWithinTheBound measures random machines whose energy is known. Their power jumps and ramps at random
// times, and their counters fail in all the ways that we know of. In every case the truth is within what the result
// states: value ± uncertainty, or from a lower bound to its upper bound. If nothing was lost in a run of a second and
// more, the bound is below 2 %. ERGON_TEST_SEED=N runs only case N.
func TestTheTruthIsWithinTheBound(t *testing.T) {
	from, to := uint64(0), uint64(trueCases)
	if s := os.Getenv("ERGON_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		from, to = n, n+1
	}
	var seen tally
	for seed := from; seed < to; seed++ {
		m := randomMachine(rand.New(rand.NewPCG(seed, 8)))
		if err := m.judge(&seen); err != nil {
			t.Errorf("seed %d (%s): %v", seed, m, err)
		}
		if to-from == 1 {
			m.log(t)
		}
	}
	t.Logf("%d cases: %d with a value ± a bound, %d of them of a second and more without a loss, at most ± %.2f %%; %d lower bounds, %d of them with an upper bound; %d without a value",
		to-from, seen.exact, seen.whole, 100*seen.widest, seen.lower, seen.closed, seen.none)
	if to-from == trueCases && (seen.exact < trueCases/4 || seen.whole < trueCases/10 || seen.lower < trueCases/4 || seen.none == 0) {
		t.Errorf("the cases are one-sided: %+v", seen)
	}
}

// tally counts the kinds of results.
type tally struct {
	exact, whole, lower, closed, none int
	widest                            float64
}

// trueMachine is a machine with a known energy.
type trueMachine struct {
	counters []*trueCounter
	at       []time.Duration
	wall     time.Duration
	// sockets is the number of packages, of which hidden have no counter.
	sockets, hidden int
}

func (m trueMachine) String() string {
	parts := []string{fmt.Sprintf("%v, %d readings, %d sockets", m.wall, len(m.at), m.sockets)}
	for _, c := range m.counters {
		parts = append(parts, c.sensor.Device+": "+strings.Join(c.faults, ", "))
	}
	return strings.Join(parts, "; ")
}

// trueCounter is a counter and what happens to it.
type trueCounter struct {
	sensor sensors.Sensor
	curve  trueCurve
	start  float64
	// period is how often the counter moves, and phase when.
	period, phase time.Duration
	faults        []string
	// lost is true if a fault may cost energy, and not only a reading between others.
	lost bool
	// unread is true if the sensor cannot be opened.
	unread bool
	// frozen are the times in which the counter does not count. caught is true if it makes up for them afterwards.
	frozen []frozen
	// resets are the times at which the counter starts anew from 0.
	resets []time.Duration
	// spoil changes a reading.
	spoil []func(at time.Duration, v float64) float64
}

type frozen struct {
	from, to time.Duration
	caught   bool
}

// trueCurve is a power over time, in straight pieces.
type trueCurve struct {
	at    []time.Duration
	power []float64
	sum   []float64 // the energy up to at
}

func (c trueCurve) energy(t time.Duration) float64 {
	i, _ := slices.BinarySearch(c.at, t+1)
	i = min(max(i-1, 0), len(c.at)-2)
	x := (t - c.at[i]).Seconds()
	slope := (c.power[i+1] - c.power[i]) / (c.at[i+1] - c.at[i]).Seconds()
	return c.sum[i] + c.power[i]*x + slope*x*x/2
}

// randomCurve returns a curve from −1 s to 1 s after the run. Its greatest power is at most eight times its least, as of
// a processor that is busy and idle.
func randomCurve(r *rand.Rand, length time.Duration) trueCurve {
	idle := 5 + 55*r.Float64()
	peak := idle * (1 + 7*r.Float64())
	var c trueCurve
	add := func(t time.Duration, p float64) {
		if n := len(c.at); n > 0 {
			c.sum = append(c.sum, c.sum[n-1]+(p+c.power[n-1])/2*(t-c.at[n-1]).Seconds())
		} else {
			c.sum = []float64{0}
		}
		c.at, c.power = append(c.at, t), append(c.power, p)
	}
	longest := max(float64(2*ms)*math.Pow(1000, r.Float64()), float64(length)/500)
	p := idle
	for t := -sec; t < length+sec; {
		add(t, p)
		if r.IntN(3) > 0 { // a jump
			p = idle + (peak-idle)*r.Float64()
			t++
			add(t, p)
		} else {
			p = idle + (peak-idle)*r.Float64() // a ramp
		}
		t += time.Duration(1 + r.Float64()*longest)
	}
	add(length+2*sec, p)
	return c
}

func randomMachine(r *rand.Rand) trueMachine {
	m := trueMachine{sockets: 1 + r.IntN(4)}
	length := time.Duration(float64(300*ms) * math.Pow(100, r.Float64()))
	interval := max([]time.Duration{10 * ms, 50 * ms, 100 * ms, 250 * ms, sec}[r.IntN(5)], length/200)
	m.at = []time.Duration{0, time.Duration(float64(ms) * (3 + r.Float64()))} // the runner reads again soon
	for t := interval; t < length; t += interval {
		if late := t + time.Duration(r.Int64N(int64(interval)/4)); late < length && late > m.at[len(m.at)-1] {
			m.at = append(m.at, late)
		}
	}
	m.at = append(m.at, length)
	m.wall = length - time.Duration(r.Int64N(int64(2*ms)))
	dram, faulty := r.IntN(3) == 0, r.IntN(5) > 1
	add := func(device string) {
		faults := 0
		if faulty {
			faults = r.IntN(3)
		}
		m.counters = append(m.counters, randomCounter(r, device, m.at, interval, faults))
	}
	for i := range m.sockets {
		add("package-" + strconv.Itoa(i))
		if dram {
			add(fmt.Sprintf("package-%d/dram", i))
		}
	}
	if !dram && m.sockets > 1 && r.IntN(20) == 0 { // a package of which the kernel shows no counter
		m.counters[len(m.counters)-1].faults, m.counters[len(m.counters)-1].lost = []string{"no counter"}, true
		m.hidden = 1
	}
	return m
}

func randomCounter(r *rand.Rand, device string, at []time.Duration, interval time.Duration, faults int) *trueCounter {
	length := at[len(at)-1]
	c := &trueCounter{sensor: updating(device), curve: randomCurve(r, length), period: ms, phase: time.Duration(r.Int64N(int64(ms)))}
	c.sensor.Wrap = []float64{262143.328850, 65536, 5000}[r.IntN(3)]
	c.start = c.sensor.Wrap * r.Float64()
	some := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Float64()*float64(to-from)) }
	between := func(least time.Duration) (from, to time.Duration) {
		from = some(-min(length/10, sec/2), length)
		return from, from + least + some(0, length/2)
	}
	fault := func(name string, lost bool) { c.faults, c.lost = append(c.faults, name), c.lost || lost }
	kinds := r.Perm(10)[:faults]
	without := func(kind int, others ...int) {
		if slices.Contains(kinds, kind) {
			kinds = slices.DeleteFunc(kinds, func(k int) bool { return slices.Contains(others, k) })
		}
	}
	without(0, 3, 4)          // nobody sees a counter stand while it cannot be read
	without(1, 0, 2, 3, 4, 7) // two faults in readings close to each other may look like none
	without(2, 0, 3, 4, 7)
	for _, kind := range kinds {
		switch kind {
		case 0: // readings fail
			from, to := between(0)
			hidden := (to - from + 2*interval).Seconds() > c.sensor.Wrap/zone("").MaxRate // long enough for a wrap
			fault(fmt.Sprintf("fails from %v to %v", from, to), from <= 0 || to >= length || hidden)
			c.spoil = append(c.spoil, func(at time.Duration, v float64) float64 {
				if at >= from && at <= to {
					return math.NaN()
				}
				return v
			})
		case 1, 2: // single readings are junk
			junk := []float64{math.NaN(), -1, 0, math.Inf(1), 1e30, c.sensor.Wrap * r.Float64(), c.sensor.Wrap}[r.IntN(7)]
			moment := at[r.IntN(len(at))]
			fault(fmt.Sprintf("reads %g at %v", junk, moment), true)
			c.spoil = append(c.spoil, func(at time.Duration, v float64) float64 {
				if at == moment {
					return junk
				}
				return v
			})
		case 3, 4: // it stands, long enough that two readings see it
			if len(c.frozen) > 0 {
				continue
			}
			from, to := between(3*interval + 100*ms)
			from = max(-sec/2, min(from, length-2*interval-100*ms))
			to = max(to, 3*interval+100*ms)
			f := frozen{from, to, r.IntN(3) == 0}
			fault(fmt.Sprintf("stands from %v to %v, makes up for it: %t", from, to, f.caught), true)
			c.frozen = append(c.frozen, f)
		case 5: // it never moves
			fault("dead", true)
			c.frozen = append(c.frozen, frozen{-sec, length + sec, false})
		case 6: // it cannot be opened
			fault("cannot be opened", true)
			c.unread = true
		case 7:
			// A counter that is reset close to its wrap point, or soon after another reset, seems to wrap or to go on.
			c.sensor.Wrap = 262143.328850
			c.start = c.sensor.Wrap * (0.2 + 0.2*r.Float64())
			at := some(interval, length)
			fault(fmt.Sprintf("reset at %v", at), true)
			c.resets = append(c.resets, at)
		}
	}
	slices.Sort(c.resets)
	return c
}

// counted is what the hardware has counted at a time, which excludes what it lost.
func (c *trueCounter) counted(t time.Duration) float64 {
	t = (t + c.phase + sec).Truncate(c.period) - c.phase - sec // its last update
	e := c.curve.energy(t)
	for _, f := range c.frozen {
		switch {
		case t < f.from:
		case t < f.to:
			e = min(e, c.curve.energy(f.from))
		case !f.caught:
			e -= c.curve.energy(f.to) - c.curve.energy(f.from)
		}
	}
	return e
}

// reading is what the counter shows.
func (c *trueCounter) reading(t time.Duration) float64 {
	v := c.start + c.counted(t) - c.counted(-sec/2)
	for _, at := range c.resets {
		if t >= at {
			v = c.counted(t) - c.counted(at)
		}
	}
	v = math.Floor(v/6.103515625e-5) * 6.103515625e-5
	if c.sensor.Wrap > 0 {
		v = math.Mod(v, c.sensor.Wrap)
	}
	for _, spoil := range c.spoil {
		v = spoil(t, v)
	}
	return v
}

// series reads the counter.
func (c *trueCounter) series(at []time.Duration) *series.Series {
	values := make([]float64, len(at))
	for i, t := range at {
		values[i] = c.reading(t)
	}
	s := seriesOf(c.sensor, at, values)
	if c.period > 5*ms {
		return s
	}
	// After the last reading the counter is read until it moves.
	length, last := at[len(at)-1], values[len(at)-1]
	for t := length; t <= length+3*ms; t += ms / 4 {
		if v := c.reading(t); v != last && !math.IsNaN(v-last) && !math.IsInf(v-last, 0) {
			s.Align(datamodel.Edge{After: new(v - last)})
			return s
		}
	}
	return s
}

// log tells of each counter what it gave and what it should have given.
func (m trueMachine) log(t *testing.T) {
	length := m.at[len(m.at)-1]
	for _, c := range m.counters {
		e := c.series(m.at).Energy()
		t.Logf("%s: %v ± %v J (%s, at most %v) %s, truth %v J; wrap %v J", c.sensor.Device, e.Value, e.Uncertainty, e.Bound, e.AtMost, e.Reason,
			c.curve.energy(length)-c.curve.energy(0), c.sensor.Wrap)
		for _, at := range m.at {
			t.Logf("    %v: %v J, truly %v J", at, c.reading(at), c.curve.energy(at)-c.curve.energy(0))
		}
	}
}

// judge compares the truth with what the result states.
func (m trueMachine) judge(seen *tally) error {
	in := OneHost(datamodel.Run{Host: datamodel.HostInfo{Sockets: m.sockets}}, datamodel.Ledger{WallTime: new(m.wall.Seconds())}, nil, nil)
	host := &in.Hosts[0]
	length := m.at[len(m.at)-1]
	counters, lost := m.counters[:len(m.counters)-m.hidden], m.hidden > 0
	for _, c := range counters {
		if c.unread {
			host.Missing = append(host.Missing, sensors.Absence{ID: c.sensor.ID, Family: "rapl", Cause: sensors.Denied, Reason: "denied", Domain: seriesOf(c.sensor, nil, nil).Sensor().Domain})
		} else {
			host.Series = append(host.Series, c.series(m.at))
		}
		lost = lost || c.lost
	}
	r := Account(in)
	e := datamodel.Pick(r.Summary, datamodel.Energy)
	truth := 0.0
	for _, c := range m.counters {
		// What a sum covers is its own choice. Of what it covers, nothing may be missing unsaid.
		if dram := strings.HasSuffix(c.sensor.Device, "dram"); !dram || strings.Contains(e.Source, "dram") {
			truth += c.curve.energy(length) - c.curve.energy(0)
		}
	}
	const rounding = 1e-3
	switch {
	case e.Reason != "":
		seen.none++
		if e.AtMost < truth {
			return fmt.Errorf("below %v J, but the truth is %v J", e.AtMost, truth)
		}
		return nil
	case math.IsNaN(e.Uncertainty):
		return fmt.Errorf("%v J without an uncertainty", e.Value)
	case truth < e.Value-e.Uncertainty-rounding:
		return fmt.Errorf("%v ± %v J (%s), but the truth is only %v J", e.Value, e.Uncertainty, e.Bound, truth)
	case e.Bound == datamodel.LowerBound:
		seen.lower++
		if e.AtMost > 0 {
			seen.closed++
		}
		if truth > e.AtMost+rounding {
			return fmt.Errorf("from %v to %v J, but the truth is %v J", e.Value, e.AtMost, truth)
		}
	case truth > e.Value+e.Uncertainty+rounding:
		return fmt.Errorf("%v ± %v J, but the truth is %v J", e.Value, e.Uncertainty, truth)
	default:
		seen.exact++
	}
	if !lost && e.Bound != "" {
		return fmt.Errorf("a lower bound, but nothing was lost")
	}
	if !lost && m.wall >= sec {
		seen.whole++
		part := e.Uncertainty / e.Value
		seen.widest = max(seen.widest, part)
		if part >= 0.02 {
			return fmt.Errorf("%v ± %v J: %v %%", e.Value, e.Uncertainty, units.Format(part, units.Ratio))
		}
	}
	return nil
}

// TestASumThatLacksAPackage checks that the energy is a lower bound if a package is dead, cannot be read, or has no
// counter, and whether its upper bound is known.
func TestASumThatLacksAPackage(t *testing.T) {
	zones := func(devices ...string) (list []*series.Series) {
		for _, d := range devices {
			list = append(list, line(updating(d), 100, 150, sec))
		}
		return list
	}
	dead := func(device string) *series.Series { return line(updating(device), 7, 7, sec) }
	unreadable := func(device string) sensors.Absence {
		s := seriesOf(zone(device), nil, nil).Sensor()
		return sensors.Absence{ID: s.ID, Family: s.Family, Device: s.Device, Domain: s.Domain, Cause: sensors.Denied, Reason: "permission denied"}
	}
	for _, c := range []struct {
		name    string
		series  []*series.Series
		missing []sensors.Absence
		sockets int
		value   float64
		bound   datamodel.Bound
		atMost  float64 // 0 if unknown
	}{
		{"both", zones("package-0", "package-1"), nil, 2, 100, "", 0},
		{"one is dead", append(zones("package-0"), dead("package-1")), nil, 2, 50, datamodel.LowerBound, 1051},
		{"one cannot be read", zones("package-0"), []sensors.Absence{unreadable("package-1")}, 2, 50, datamodel.LowerBound, 0},
		{"one has no counter", zones("package-0"), nil, 2, 50, datamodel.LowerBound, 0},
		{"one of three", append(zones("package-0", "package-1"), dead("package-2")), nil, 3, 100, datamodel.LowerBound, 1101},
		{"dead memory of all", append(zones("package-0"), dead("package-0/dram")), nil, 1, 50, "", 0},
		{"dead memory of one", append(zones("package-0", "package-1", "package-0/dram"), dead("package-1/dram")), nil, 2, 150, datamodel.LowerBound, 1151},
		{"a dead part of a package", append(zones("package-0"), dead("package-0/core")), nil, 1, 50, "", 0},
		{"a dead platform", append(zones("package-0"), dead("psys")), nil, 1, 50, "", 0},
		{"its twin counts", append(zones("package-0", "mmio/package-1"), dead("package-1")), nil, 2, 100, "", 0},
	} {
		in := OneHost(datamodel.Run{Host: datamodel.HostInfo{Sockets: c.sockets}}, datamodel.Ledger{WallTime: new(1.0)}, c.series, nil)
		in.Hosts[0].Missing = c.missing
		r := Account(in)
		m, p := datamodel.Pick(r.Summary, datamodel.Energy), datamodel.Pick(r.Summary, datamodel.Power)
		if m.Value != c.value || m.Bound != c.bound || p.Bound != c.bound ||
			math.Abs(m.AtMost-c.atMost) > 1 && !(c.atMost == 0 && math.IsNaN(m.AtMost)) {
			t.Errorf("%s: %v J (%q, at most %v), %v W (%q), want %v J (%q, at most %v)", c.name, m.Value, m.Bound, m.AtMost, p.Value, p.Bound, c.value, c.bound, c.atMost)
		}
	}
}

// TestNoMeter checks that a counter that never moves is absent, as a dead platform meter of a hypervisor, and that it
// gives neither an energy nor a bound.
func TestNoMeter(t *testing.T) {
	f := func(name string, d time.Duration, dead, bound bool) {
		t.Helper()
		psys := seriesOf(updating("psys"), every(d, 2), []float64{0, 0})
		r := Account(OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(d.Seconds() * 0.9)}, []*series.Series{psys}, nil))
		m := datamodel.Pick(r.Summary, datamodel.Energy)
		if m.Reason == "" || (m.AtMost > 0) != bound || (m.Absence != "") != dead {
			t.Errorf("%s: %+v", name, m)
		}
		if (len(r.Missing) == 1) != dead || dead && (r.Missing[0].Cause != sensors.NoMeter || r.Missing[0].ID != m.Absence || r.Missing[0].Reason == "") {
			t.Errorf("%s: absent are %+v", name, r.Missing)
		}
		for _, name := range []string{datamodel.Power, datamodel.TargetEnergy, datamodel.OtherEnergy, datamodel.NetEnergy} {
			if m := datamodel.Pick(r.Summary, name); !math.IsNaN(m.Value) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if b := BaselineOf([]*series.Series{psys}, time.Time{}, nil); b.Reason == "" || b.Power != 0 {
			t.Errorf("%s: the baseline is %+v", name, b)
		}
		if p := (&Live{}).Now([]*series.Series{psys}, 0).Power; !math.IsNaN(p) {
			t.Errorf("%s: live %v W", name, p)
		}
	}
	f("a millisecond, in which a meter need not move", ms, false, true)
	f("2 s", 2*sec, true, false)
	f("100 ms", 100*ms, true, false)
	// A bound for less than the command's time is none.
	psys := seriesOf(updating("psys"), every(5*ms, 2), []float64{0, 0})
	r := Account(OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(0.01)}, []*series.Series{psys}, nil))
	if m := datamodel.Pick(r.Summary, datamodel.Energy); m.AtMost > 0 {
		t.Errorf("%+v", m)
	}
}

// TestUnseenEnd checks a run whose end ergon did not see. What grows with time is a lower bound, and a mean is not.
func TestUnseenEnd(t *testing.T) {
	in := input{Ledger: datamodel.Ledger{LeastWallTime: new(5.0)}, Series: []*series.Series{line(updating("package-0"), 100, 600, 5*sec)}}
	r := Account(OneHost(in.Run, in.Ledger, in.Series, nil))
	for name, want := range map[string]float64{datamodel.WallTime: 5, datamodel.Energy: 500} {
		if m := datamodel.Pick(r.Summary, name); m.Value != want || m.Bound != datamodel.LowerBound || !math.IsNaN(m.AtMost) {
			t.Errorf("%+v", m)
		}
	}
	if m := datamodel.Pick(r.Summary, datamodel.Power); m.Value != 100 || m.Bound != "" {
		t.Errorf("%+v", m)
	}
}

// TestTheTruthOfGPUs measures random GPUs whose energy is known. Their counters move every 20 to 100 ms, which nobody
// waits for. So the power at either end changes little within that time, as the bound assumes. A counter may be reset,
// fail for a while, or be dead.
func TestTheTruthOfGPUs(t *testing.T) {
	const cases = 2000
	widest := 0.0
	for seed := range uint64(cases) {
		r := rand.New(rand.NewPCG(seed, 9))
		length := time.Duration(float64(sec) * math.Pow(60, r.Float64()))
		interval := []time.Duration{100 * ms, 250 * ms}[r.IntN(2)]
		at := []time.Duration{0}
		for t := interval; t < length; t += interval {
			at = append(at, t)
		}
		at = append(at, length)
		var list []*series.Series
		truth, lost := 0.0, false
		for i := range 1 + r.IntN(3) {
			c := &trueCounter{sensor: gpuCounter(), period: time.Duration(20+r.IntN(81)) * ms, start: 1e6 * r.Float64()}
			c.sensor.ID, c.sensor.Device, c.sensor.Domain = fmt.Sprintf("gpu/GPU-%d/energy", i), fmt.Sprintf("GPU-%d", i), sensors.Domain{Kind: sensors.GPUDomain, GPU: fmt.Sprintf("GPU-%d", i)}
			c.phase = time.Duration(r.Int64N(int64(c.period)))
			// The power is constant at both ends, for an interval and two periods.
			ends := interval + 200*ms
			low, high, mid := 60+100*r.Float64(), 200+500*r.Float64(), 100+300*r.Float64()
			c.curve = stepped([]time.Duration{-sec, ends, max(ends, length-ends), length + 2*sec}, []float64{low, high, mid}[r.IntN(3)], high, low)
			switch r.IntN(8) {
			case 0:
				c.resets, lost = []time.Duration{length / 2}, true
			case 1:
				c.spoil = append(c.spoil, func(at time.Duration, v float64) float64 {
					if at > length/3 && at < length/2 {
						return math.NaN()
					}
					return v
				})
			case 2:
				if i > 0 {
					c.frozen, lost = []frozen{{-sec, length + sec, false}}, true
				}
			}
			truth += c.curve.energy(length) - c.curve.energy(0)
			list = append(list, c.series(at))
		}
		m := datamodel.Pick(Account(OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(length.Seconds())}, list, nil)).Summary, datamodel.GPUEnergy)
		most := m.Value + m.Uncertainty
		if m.Bound == datamodel.LowerBound {
			most = m.AtMost
		}
		if !(truth >= m.Value-m.Uncertainty-1e-3) || truth > most+1e-3 || lost != (m.Bound == datamodel.LowerBound) {
			t.Errorf("seed %d: %v of %d GPUs: %v ± %v J (%s, at most %v), but the truth is %v J", seed, length, len(list), m.Value, m.Uncertainty, m.Bound, m.AtMost, truth)
		}
		if !lost && length >= 10*sec {
			widest = max(widest, m.Uncertainty/m.Value)
		}
	}
	if widest > 0.05 {
		t.Errorf("± %.1f %% in a run of 10 s", 100*widest)
	}
	t.Logf("%d cases; at most ± %.2f %% in runs of 10 s and more without a loss", cases, 100*widest)
}

// stepped returns a curve with constant power between the times.
func stepped(at []time.Duration, power ...float64) trueCurve {
	var c trueCurve
	sum := 0.0
	for i, p := range power {
		from, to := at[i], max(at[i]+1, at[i+1]-1)
		c.at, c.power, c.sum = append(c.at, from, to), append(c.power, p, p), append(c.sum, sum, sum+p*(to-from).Seconds())
		sum += p * (at[i+1] - from).Seconds()
	}
	return c
}
