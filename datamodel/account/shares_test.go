package account

import (
	"fmt"
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

// course returns the series of a counter with the given rate per second, read every 100 ms for 20 s.
func course(s sensors.Sensor, rate func(t float64) float64) *series.Series {
	const n = 200
	at, values := every(100*ms, n+1), make([]float64, n+1)
	values[0] = 7
	if s.Family == "target" {
		values[0] = 0
	}
	for i := range n {
		values[i+1] = values[i] + 0.1*rate((float64(i)+0.5)/10)
	}
	return seriesOf(s, at, values)
}

// halves returns one rate for the first half of 20 s and another for the second.
func halves(a, b float64) func(float64) float64 {
	return func(t float64) float64 { return a + (b-a)*step(t, 10) }
}

// load returns a machine over 20 s from the time its CPUs worked, the target's part of it, and its power.
func load(busy, target, power func(float64) float64) input {
	none := func(float64) float64 { return 0 }
	second := func(id string, rate func(float64) float64) *series.Series {
		return course(sensor(id, sensors.Counter, units.Second, "cgroup v2 cpu.stat"), rate)
	}
	return input{
		Ledger: datamodel.Ledger{WallTime: new(20.0)},
		Series: []*series.Series{
			second("cpu/user", busy), second("cpu/system", none), second("cpu/idle", func(t float64) float64 { return 8 - busy(t) }),
			second("target/cpu_time", target), course(zone("package-0"), power),
		},
	}
}

// checkShares checks what holds for every machine whose energy is shared out. In each interval and in total, target,
// other and idle add up to the measured energy. None is negative, and the target has no more CPU time than there was.
func checkShares(t *testing.T, in input) division {
	t.Helper()
	d := divisionOf(in)
	if len(d.cells) == 0 {
		return d
	}
	whole, cells := 0.0, 0.0
	for _, s := range energyOf(in).cpu {
		whole += s.Energy().Value
	}
	if len(d.cells) != d.grounds*(len(d.edges)-1) {
		t.Fatalf("%d cells for %d grounds and %d edges", len(d.cells), d.grounds, len(d.edges))
	}
	for i, c := range d.cells {
		cells += c.energy
		if !(c.target >= 0 && c.idle >= 0 && c.target+c.idle <= c.energy*(1+1e-12) && c.used >= 0) {
			t.Errorf("cell %d: %+v", i, c)
		}
		if c.used > c.busy*(1+1e-9) && len(d.cells) > 1 {
			t.Errorf("cell %d: the target ran for %v s of %v s", i, c.used, c.busy)
		}
	}
	if !isNear(cells, whole, 1e-12) {
		t.Errorf("the cells have %v J of %v J", cells, whole)
	}
	for k := range len(d.edges) - 1 {
		if k > 0 && d.edges[k+1]-d.edges[k] < leastInterval {
			t.Errorf("interval %d is %v long", k, d.edges[k+1]-d.edges[k])
		}
	}
	tree, _ := buildTree(in)
	for _, share := range []struct{ family, metric string }{{"target", "target_energy"}, {"other", "other_energy"}, {"idle", "idle_energy"}} {
		want := tree.First(datamodel.RunLevel).Metric(share.metric)
		if want.Reason != "" {
			continue
		}
		leaf := tree.Find(datamodel.DeviceLevel, share.family).Find(datamodel.SensorLevel, "energy")
		if leaf == nil || leaf.Metric("energy").Value != want.Value || leaf.Sensor.Origin() != sensors.Attributed || leaf.Sensor.Source != want.Source {
			t.Errorf("%s: the sensor is %+v, the metric is %+v", share.family, leaf, want)
		}
	}
	checkPowers(t, in)
	return d
}

// checkPowers checks that the powers of target, other and idle add up to the power of the machine, in each part of the
// chart and for each device, and that each power over time is the energy of the run.
func checkPowers(t *testing.T, in input) {
	t.Helper()
	r := Account(OneHost(in.Run, in.Ledger, in.Series, nil))
	chart, joules := r.Charts[0], make(map[datamodel.CourseSubject]float64)
	for _, machine := range chart.Course(datamodel.Power, datamodel.MachineCourse) {
		sum := make([]float64, chart.Parts)
		for _, c := range chart.Courses {
			if c.Metric != datamodel.Power || c.Device != machine.Device {
				continue
			}
			for i, v := range c.Values {
				if c.Covered[i] != machine.Covered[i] || math.IsNaN(v) != math.IsNaN(machine.Values[i]) {
					t.Fatalf("%s of %s: part %d covers %v s of %v s with %v W", c.Subject, c.Device, i, c.Covered[i], machine.Covered[i], v)
				}
				if !(c.Covered[i] > 0) {
					continue
				}
				if v < 0 || v > machine.Values[i]*(1+1e-9)+1e-9 {
					t.Fatalf("%s of %s: %v W of %v W in part %d", c.Subject, c.Device, v, machine.Values[i], i)
				}
				joules[c.Subject] += v * c.Covered[i]
				if c.Subject != datamodel.MachineCourse {
					sum[i] += v
				}
			}
		}
		for i, v := range machine.Values {
			if machine.Covered[i] > 0 && math.Abs(sum[i]-v) > 1e-9*v {
				t.Fatalf("%s, part %d: target, other and idle are %v W of %v W", machine.Device, i, sum[i], v)
			}
		}
	}
	for subject, name := range map[datamodel.CourseSubject]string{
		datamodel.MachineCourse: datamodel.Energy, datamodel.CommandCourse: datamodel.TargetEnergy,
		datamodel.OtherCourse: datamodel.OtherEnergy, datamodel.IdleCourse: datamodel.IdleEnergy,
	} {
		want, whole := datamodel.Pick(r.Summary, name).Value, datamodel.Pick(r.Summary, datamodel.Energy).Value
		if got := joules[subject]; got != 0 && math.Abs(got-want) > 1e-9*whole {
			t.Errorf("%s: %v J in the chart, %v J in the summary", subject, got, want)
		}
	}
}

// TestOtherLoadInOneHalfIsNotTheTargets has two halves. In the first the target runs alone at 50 W. In the second
// something else runs on as many CPUs at 150 W. By its share of the whole run's busy time the target would have half of
// that.
func TestOtherLoadInOneHalfIsNotTheTargets(t *testing.T) {
	one := func(float64) float64 { return 1 }
	in := load(one, halves(1, 0), halves(50, 150))
	d := checkShares(t, in)
	tree, _ := build(t, in)
	run := tree.First(datamodel.RunLevel)
	plain := 2000 * run.Metric("cpu_time").Value / 20
	target := run.Metric("target_energy")
	// The change falls into an interval of about 1 s, which is shared out as one. At worst half of it is wrong.
	const edge = 25
	if !isNear(plain, 1000, 1e-9) || math.Abs(target.Value-500) > edge || math.Abs(run.Metric("other_energy").Value-1500) > edge {
		t.Errorf("the target has %v J, by the plain share %v J", target.Value, plain)
	}
	if n := len(d.edges) - 1; n < 15 || n > 20 || !strings.Contains(target.Source, fmt.Sprintf("in each of %d intervals, 10 s of 20 s in all", n)) {
		t.Errorf("%d intervals: %s", n, target.Source)
	}
	// If idle is known, the target has what is above 30 W in its half only.
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 30}
	checkShares(t, in)
	tree, _ = build(t, in)
	if got := tree.First(datamodel.RunLevel).Metric("target_energy").Value; math.Abs(got-200) > edge {
		t.Errorf("above idle the target has %v J, want 200", got)
	}
}

func TestIdleIsAtMostWhatWasMeasured(t *testing.T) {
	// Idle power was 60 W before the run, but only 20 W in its first half. What exceeds the first half moves to the
	// second.
	one := func(float64) float64 { return 1 }
	in := load(one, one, halves(20, 180))
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 60}
	d := checkShares(t, in)
	tree, _ := build(t, in)
	if run := tree.First(datamodel.RunLevel); !isNear(run.Metric("idle_energy").Value, 1200, 1e-9) || !isNear(run.Metric("target_energy").Value, 800, 1e-9) {
		t.Errorf("idle %v J, target %v J", run.Metric("idle_energy").Value, run.Metric("target_energy").Value)
	}
	if c := d.cells[0]; !isNear(c.idle, c.energy, 1e-9) || c.target > 1e-9 {
		t.Errorf("the first interval: %+v", c)
	}
}

// TestTheProfileIsCompleted checks that processes between two readings count, because the total CPU time is exact.
func TestTheProfileIsCompleted(t *testing.T) {
	two := func(float64) float64 { return 2 }
	watts := func(float64) float64 { return 100 }
	f := func(name string, seen func(float64) float64, exact, want float64) {
		t.Helper()
		in := load(two, seen, watts)
		in.Ledger.GroupTime = &exact
		d := checkShares(t, in)
		tree, _ := build(t, in)
		if got := tree.First(datamodel.RunLevel).Metric("target_energy").Value; !isNear(got, want, 1e-9) || len(d.edges) < 10 {
			t.Errorf("%s: the target has %v J, want %v; %d edges", name, got, want, len(d.edges))
		}
	}
	one := func(float64) float64 { return 1 }
	f("all seen", one, 20, 1000)
	f("half of it seen, more than there is room for in the first half", halves(1.5, 0.1), 32, 1600)
	f("nothing seen", func(float64) float64 { return 0 }, 10, 500)
	f("more seen than there was", one, 5, 250)
	f("more than the CPUs were busy", one, 50, 2000)
}

// TestWhatWasCountedBeforeTheFirstReading checks a slow source, whose first reading includes what the target did
// before.
func TestWhatWasCountedBeforeTheFirstReading(t *testing.T) {
	in := load(func(float64) float64 { return 1 }, halves(1, 0), func(float64) float64 { return 50 })
	at, values := every(100*ms, 201), make([]float64, 201)
	for i := range values {
		values[i] = min(float64(i)/10, 10)
		if i < 100 {
			values[i] = math.NaN()
		}
	}
	in.Series[3] = seriesOf(*in.Series[3].Sensor(), at, values)
	d := checkShares(t, in)
	if c := d.cells[0]; !isNear(c.used, c.busy, 1e-6) {
		t.Errorf("the first interval: %+v", c)
	}
	if c := d.cells[len(d.cells)-1]; c.used > 1e-6 {
		t.Errorf("the last interval: %+v", c)
	}
}

// TestIntervalsAreLongEnoughForTicks checks a machine on which almost nothing runs: it has too few ticks for intervals
// of a second.
func TestIntervalsAreLongEnoughForTicks(t *testing.T) {
	rate := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	for _, c := range []struct {
		busy        float64
		least, most int
	}{{4, 17, 20}, {0.25, 4, 5}, {0.04, 1, 1}, {0.001, 1, 1}} {
		d := checkShares(t, load(rate(c.busy), rate(c.busy/2), rate(10)))
		if n := len(d.edges) - 1; n < c.least || n > c.most {
			t.Errorf("%v CPUs busy: %d intervals", c.busy, n)
		}
	}
	// Half a second is one interval, and the target's share is its share of the whole.
	in := load(rate(1), rate(0.5), rate(100))
	in.Ledger.WallTime = new(0.5)
	for i, s := range in.Series {
		at, values := every(100*ms, 6), make([]float64, 6)
		for k := range values {
			values[k] = first(s) + s.Delta()*float64(k)/200
		}
		in.Series[i] = seriesOf(*s.Sensor(), at, values)
	}
	if d := checkShares(t, in); len(d.cells) != 1 || !isNear(d.cells[0].target, 25, 1e-9) {
		t.Errorf("%+v", d)
	}
}

// twoPackages returns a machine of two packages with four CPUs each. The target runs on the first.
func twoPackages(target, other, power0, power1 func(float64) float64) input {
	both := func(t float64) float64 { return target(t) + other(t) }
	in := load(both, target, power0)
	in.Series = append(in.Series, course(zone("package-1"), power1), course(zone("package-0/dram"), func(float64) float64 { return 5 }))
	for i := range 8 {
		rate := func(t float64) float64 { return target(t) / 4 }
		if i >= 4 {
			rate = func(t float64) float64 { return other(t) / 4 }
		}
		in.Series = append(in.Series,
			course(sensor(fmt.Sprintf("cpu/cpu%d/user", i), sensors.Counter, units.Second, "/proc/stat"), rate))
	}
	for i, list := range []string{"0-3", "4,5-7"} {
		s := sensor(fmt.Sprintf("target/package-%d/cpu_time", i), sensors.Counter, units.Second, "cgroup v1 cpuacct")
		s.CPUs = list
		rate := target
		if i == 1 {
			rate = func(float64) float64 { return 0 }
		}
		in.Series = append(in.Series, course(s, rate))
	}
	return in
}

func TestEachPackageIsSharedByWhatRanOnIt(t *testing.T) {
	rate := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	in := twoPackages(rate(2), rate(2), rate(40), rate(120))
	d := checkShares(t, in)
	tree, _ := build(t, in)
	target := tree.First(datamodel.RunLevel).Metric("target_energy")
	if !isNear(target.Value, 20*45, 1e-6) || d.grounds != 2 || !strings.Contains(target.Source, "share of each package's busy CPU time in each of") {
		t.Errorf("target %v J of %s", target.Value, target.Source)
	}
	// Without counters per package the target has half of everything.
	in.Series = in.Series[:len(in.Series)-1]
	d = checkShares(t, in)
	tree, _ = build(t, in)
	if target = tree.First(datamodel.RunLevel).Metric("target_energy"); !isNear(target.Value, 20*165/2, 1e-6) || d.grounds != 1 ||
		!strings.Contains(target.Source, "share of busy CPU time in each of") {
		t.Errorf("target %v J of %s", target.Value, target.Source)
	}
	// Idle energy of the other package is shared by what ran anywhere, because no tick tells who caused it.
	in = twoPackages(rate(2), rate(0), rate(40), rate(30))
	checkShares(t, in)
	tree, _ = build(t, in)
	if target = tree.First(datamodel.RunLevel).Metric("target_energy"); !isNear(target.Value, 20*75, 1e-6) {
		t.Errorf("target %v J", target.Value)
	}
}

// TestSharesProperties checks the identity for any readings.
func TestSharesProperties(t *testing.T) {
	intervals := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		random := func(scale float64) func(float64) float64 {
			phases := make([]float64, 21)
			for i := range phases {
				phases[i] = scale * r.Float64() * float64(r.IntN(3))
			}
			return func(t float64) float64 { return phases[int(t)] }
		}
		target, other := random(1), random(1)
		in := load(func(t float64) float64 { return target(t) + other(t) }, target, random(100))
		if r.IntN(2) == 0 {
			in = twoPackages(target, other, random(100), random(100))
		}
		for i, s := range in.Series { // read at its own times, with gaps
			if r.IntN(3) > 0 {
				continue
			}
			n := 2 + r.IntN(200)
			at, values := make([]time.Duration, n), make([]float64, n)
			for k := range n {
				at[k] = time.Duration(k)*20*sec/time.Duration(n) + time.Duration(r.Int64N(int64(20*sec)/int64(n)))
				amount, _ := s.Amount(0, at[k])
				if values[k] = first(s) + amount; r.IntN(8) == 0 {
					values[k] = math.NaN()
				}
			}
			in.Series[i] = seriesOf(*s.Sensor(), at, values)
		}
		if r.IntN(2) == 0 {
			in.Ledger.GroupTime = new(40 * r.Float64())
		}
		if r.IntN(2) == 0 {
			in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 300 * r.Float64()}
			if r.IntN(4) == 0 {
				in.Run.Baseline.Cover = "packages + dram"
			}
		}
		build(t, in)
		intervals += max(0, len(checkShares(t, in).edges)-2)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if intervals < 300 {
		t.Errorf("only %d intervals in all", intervals)
	}
}

func TestFilled(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 13))
		n := 1 + r.IntN(9)
		parts, bounds := make([]float64, n), make([]float64, n)
		most := 0.0
		for i := range n {
			parts[i], bounds[i] = r.Float64()*float64(r.IntN(2)), r.Float64()*float64(r.IntN(3))
			most += bounds[i]
		}
		total, sum := 1.2*most*r.Float64(), 0.0
		for i, v := range filled(total, parts, bounds) {
			if sum += v; !(v >= 0 && v <= bounds[i]) {
				t.Errorf("seed %d: %v above %v", seed, v, bounds[i])
			}
		}
		if !isNear(sum, min(total, most), 1e-12) {
			t.Errorf("seed %d: %v of %v, bounds %v", seed, sum, total, most)
		}
	}
}

func FuzzHolds(f *testing.F) {
	f.Add("0-15,32-47\n", "12")
	f.Add("0-3:1/2", "")
	f.Fuzz(func(t *testing.T, list, device string) {
		if holds(list, device) && (!strings.ContainsAny(list, "0123456789")) {
			t.Errorf("%q holds %q", list, device)
		}
	})
}

func TestHolds(t *testing.T) {
	for _, c := range []struct {
		list, device string
		want         bool
	}{
		{"0-15,32-47\n", "0", true},
		{"0-15,32-47", "47", true},
		{"0-15,32-47", "16", false},
		{"7", "7", true},
		{"0,2,4", "3", false},
		{"", "0", false},
		{"0-3", "", false},
		{"0-3", "x", false},
	} {
		if got := holds(c.list, c.device); got != c.want {
			t.Errorf("%q has %q: %v", c.list, c.device, got)
		}
	}
}

// TestPieces divides a grid of four parts by intervals, some of which go beyond it. Each part is there once.
func TestPieces(t *testing.T) {
	d := division{edges: []time.Duration{time.Second, 3 * time.Second / 2, 5 * time.Second, 6 * time.Second}}
	on := datamodel.Chart{Step: time.Second, Parts: 4}
	covered := make([]time.Duration, on.Parts)
	for k := range len(d.edges) - 1 {
		for _, p := range d.pieces(on, k) {
			if p.part < 0 || p.part >= on.Parts {
				t.Fatalf("interval %d has part %d of %d", k, p.part, on.Parts)
			}
			covered[p.part] += p.to - p.from
		}
	}
	for i, length := range covered {
		if length != on.Step {
			t.Errorf("part %d: %s of %s", i, length, on.Step)
		}
	}
}
