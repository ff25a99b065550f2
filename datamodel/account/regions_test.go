package account

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// marked is a run of 20 s whose command told of regions. Counters are read every 100 ms and just after each mark.
type marked struct {
	found  *datamodel.Regions
	series []*series.Series
}

// regionsOf returns the result of marks. rates has the rate per second of each counter, by its sensor's ID.
func (m *marked) regionsOf(t *testing.T, rates map[string]func(t float64) float64, marks []datamodel.Mark) *datamodel.Regions {
	t.Helper()
	const wall, length = 20 * sec, 50 * time.Microsecond
	m.found = datamodel.FindRegions(marks, wall)
	at := every(100*ms, 201)
	for _, mark := range marks {
		at = append(at, mark.At+length)
	}
	slices.Sort(at)
	at = slices.Compact(at)
	at = slices.DeleteFunc(at, func(d time.Duration) bool { return d > wall })
	m.series = nil
	for _, id := range []string{"cpu/user", "cpu/system", "cpu/idle", "target/cpu_time", "target/memory", "package-0"} {
		s := sensor(id, sensors.Counter, units.Second, "cgroup v2 cpu.stat")
		if id == "package-0" {
			s = zone(id)
		}
		if id == "target/memory" {
			s = sensor(id, sensors.Gauge, units.Byte, "cgroup v2")
		}
		s = declared(s)[0]
		out := series.New(s)
		out.Chart(100 * ms)
		if Cuts(s) {
			out.Cut(m.found.Cuts)
		}
		values, sum, before := make([]float64, len(at)), 0.0, time.Duration(0)
		for i, d := range at {
			sum += integral(rates[id], before, d)
			before = d
			values[i] = sum
			if s.Kind == sensors.Gauge {
				values[i] = rates[id](d.Seconds())
			}
		}
		out.Add(at, values)
		m.series = append(m.series, out)
	}
	in := OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(wall.Seconds())}, m.series, nil)
	in.Hosts[0].Regions = m.found
	r := Account(in)
	if r.Regions == nil {
		t.Fatal("no regions")
	}
	for _, f := range r.Regions.Figures {
		whole := datamodel.Pick(r.Summary, f.Name)
		if (f.Reason != "") != (f.Provenance == sensors.Missing) && f.Name != datamodel.PeakMemory {
			t.Errorf("%s: %q with provenance %s", f.Name, f.Reason, f.Provenance)
		}
		if whole.Reason == "" && f.Reason != "" && !strings.Contains(f.Reason, "no reading") {
			t.Errorf("%s: the run has it, the regions do not: %s", f.Name, f.Reason)
		}
	}
	return r.Regions
}

// integral integrates a rate that changes at whole milliseconds only.
func integral(rate func(t float64) float64, from, to time.Duration) (sum float64) {
	for from < to {
		next := min(to, from-from%ms+ms)
		sum += rate((from + (next-from)/2).Seconds()) * (next - from).Seconds()
		from = next
	}
	return sum
}

func figureOf(t *testing.T, r *datamodel.Regions, name string) datamodel.RegionFigure {
	t.Helper()
	for _, f := range r.Figures {
		if f.Name == name {
			if f.Reason != "" {
				t.Fatalf("%s: %s", name, f.Reason)
			}
			return f
		}
	}
	t.Fatalf("no %s", name)
	return datamodel.RegionFigure{}
}

func mark(kind datamodel.MarkKind, name string, at time.Duration) datamodel.Mark {
	return datamodel.Mark{Kind: kind, Name: name, At: at, PID: 1}
}

// TestRegions checks a command that works in one region and sleeps in the other. Its marks lie between the beats.
func TestRegions(t *testing.T) {
	busy := func(t float64) float64 { return 2 * (step(t, 5.037) - step(t, 12.061)) }
	rates := map[string]func(float64) float64{
		"cpu/user": busy, "cpu/system": func(float64) float64 { return 0 }, "cpu/idle": func(t float64) float64 { return 8 - busy(t) },
		"target/cpu_time": busy, "target/memory": func(t float64) float64 { return 1e6 + 1e6*busy(t) },
		"package-0": func(t float64) float64 { return 10 + 20*busy(t) },
	}
	var m marked
	r := m.regionsOf(t, rates, []datamodel.Mark{
		mark(datamodel.BeginMark, "run", 3*sec),
		mark(datamodel.BeginMark, "work", 5037*ms), mark(datamodel.EndMark, "work", 12061*ms),
		mark(datamodel.BeginMark, "sleep", 12061*ms), mark(datamodel.EndMark, "sleep", 15*sec),
		mark(datamodel.EndMark, "run", 17*sec),
	})
	work := 12.061 - 5.037
	f := func(name string, within float64, want ...float64) {
		t.Helper()
		got := figureOf(t, r, name)
		for i, v := range got.Values {
			if math.Abs(v-want[i]) > within {
				t.Errorf("%s of %s: %v, want %v", name, r.List[i].Path, v, want[i])
			}
		}
		if got.Own != nil && math.Abs(got.Own[0]-(want[0]-want[1]-want[2])) > within {
			t.Errorf("%s of run by itself: %v", name, got.Own[0])
		}
	}
	f(datamodel.WallTime, 1e-9, 14, work, 15-12.061)
	f(datamodel.CPUTime, 0.001, 2*work, 2*work, 0)
	f(datamodel.Energy, 0.1, 140+40*work, 50*work, 10*(15-12.061))
	// All the busy time is the command's, so all energy is, while it runs. What the idle machine used at other times of an
	// interval goes with it.
	target := figureOf(t, r, datamodel.TargetEnergy)
	if !(target.Values[1] >= 45*work && target.Values[2] < 0.1*target.Values[1] && target.Values[0] >= target.Values[1]+target.Values[2]-1e-9) {
		t.Errorf("the command's energy: %v", target.Values)
	}
	if memory := figureOf(t, r, datamodel.PeakMemory); memory.Values[0] != 3e6 || memory.Values[1] != 3e6 || memory.Values[2] != 1e6 || memory.Own != nil {
		t.Errorf("memory: %+v", memory)
	}
	if gpu := r.Figures[slices.IndexFunc(r.Figures, func(f datamodel.RegionFigure) bool { return f.Name == datamodel.GPUEnergy })]; gpu.Reason == "" || !math.IsNaN(gpu.Values[0]) {
		t.Errorf("a machine without a GPU: %+v", gpu)
	}
}

// TestRegionsAddUp checks on random loads that regions side by side have the energy and the CPU time of the whole, that the
// true energy of each is within its bound, and that the command's part is never more than the energy.
func TestRegionsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	for range 100 {
		change := make([]float64, 21)
		for i := range change {
			change[i] = 4 * random.Float64()
		}
		busy := func(t float64) float64 { return change[int(t)] }
		ours := random.Float64()
		power := func(t float64) float64 { return 5 + 30*busy(t) }
		rates := map[string]func(float64) float64{
			"cpu/user": busy, "cpu/system": func(float64) float64 { return 0 }, "cpu/idle": func(t float64) float64 { return 8 - busy(t) },
			"target/cpu_time": func(t float64) float64 { return ours * busy(t) }, "target/memory": func(float64) float64 { return 1e6 },
			"package-0": power,
		}
		var marks []datamodel.Mark
		var cuts []time.Duration
		for range 2 + random.IntN(40) {
			cuts = append(cuts, time.Duration(random.Int64N(int64(20*sec))))
		}
		cuts = append(cuts, 0, 20*sec)
		slices.Sort(cuts)
		for i := range len(cuts) - 1 {
			marks = append(marks, mark(datamodel.BeginMark, "part", cuts[i]), mark(datamodel.EndMark, "part", cuts[i+1]))
		}
		var m marked
		r := m.regionsOf(t, rates, marks)
		for _, name := range []string{datamodel.WallTime, datamodel.CPUTime, datamodel.Energy, datamodel.TargetEnergy} {
			f := figureOf(t, r, name)
			in := OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(20.0)}, m.series, nil)
			whole := datamodel.Pick(Account(in).Summary, name).Value
			sum, own := 0.0, 0.0
			for i := range f.Values {
				sum, own = sum+f.Values[i], own+f.Own[i]
			}
			if math.Abs(sum-whole) > 1e-6*whole || math.Abs(own-sum) > 1e-6*whole {
				t.Fatalf("%s: the regions have %v and by themselves %v, the run has %v", name, sum, own, whole)
			}
		}
		energy, target := figureOf(t, r, datamodel.Energy), figureOf(t, r, datamodel.TargetEnergy)
		for i, region := range r.List {
			truth := integral(power, region.Start, region.End)
			if math.Abs(truth-energy.Values[i]) > energy.Uncertainty[i]+1e-3 {
				t.Fatalf("region %v to %v: %v ± %v J, the truth is %v", region.Start, region.End, energy.Values[i], energy.Uncertainty[i], truth)
			}
			if region.End-region.Start > sec && energy.Uncertainty[i] > 0.1*energy.Values[i] {
				t.Errorf("region %v to %v: %v ± %v J", region.Start, region.End, energy.Values[i], energy.Uncertainty[i])
			}
			if target.Values[i] > energy.Values[i]*(1+1e-6)+0.1 {
				t.Fatalf("region %v to %v: the command has %v J of %v J", region.Start, region.End, target.Values[i], energy.Values[i])
			}
		}
	}
}

// TestToldFigures checks the courses of figures that a command told of: only parts with a figure have a value.
func TestToldFigures(t *testing.T) {
	nan := math.NaN()
	load := series.New(declared(sensor("target/memory", sensors.Gauge, units.Byte, "cgroup v2"))[0])
	own := sensors.Sensor{ID: "own/loss", Family: datamodel.OwnFamily, Name: "loss", Unit: units.Ratio, Kind: sensors.Gauge, OfTarget: true, Sparse: true}
	loss := series.New(own)
	load.Chart(100 * ms)
	at := every(100*ms, 11)
	load.Add(at, make([]float64, len(at)))
	told := []datamodel.Mark{
		{Kind: datamodel.MetricMark, Name: "loss", At: 110 * ms, Value: 4},
		{Kind: datamodel.MetricMark, Name: "loss", At: 150 * ms, Value: 1},
		{Kind: datamodel.EventMark, Name: "loss", At: 250 * ms},
		{Kind: datamodel.MetricMark, Name: "unknown", At: 350 * ms, Value: 9},
		{Kind: datamodel.MetricMark, Name: "loss", At: 190 * ms, Value: 1},
		{Kind: datamodel.MetricMark, Name: "loss", At: 910 * ms, Value: -0.5},
		{Kind: datamodel.MetricMark, Name: "loss", At: 5 * sec, Value: 7}, // after the last reading
	}
	in := OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(1.0)}, []*series.Series{load, loss}, nil)
	in.Hosts[0].Told = told
	courses := Account(in).Charts[0].Course(datamodel.CourseOwn, datamodel.CommandCourse)
	if len(courses) != 1 || courses[0].Device != "loss" {
		t.Fatalf("%d courses, want one of loss", len(courses))
	}
	c := courses[0]
	for i := range c.Values {
		want := [4]float64{nan, nan, nan, 0}
		switch i {
		case 1:
			want = [4]float64{2, 1, 4, 0.1}
		case 9:
			want = [4]float64{-0.5, -0.5, -0.5, 0.1}
		}
		for k, got := range []float64{c.Values[i], c.Least[i], c.Most[i], c.Covered[i]} {
			if got != want[k] && !(math.IsNaN(got) && math.IsNaN(want[k])) {
				t.Errorf("part %d, value %d is %g, want %g", i, k, got, want[k])
			}
		}
	}
}
