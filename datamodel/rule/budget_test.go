package rule_test

import (
	"math"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func budget(t *testing.T, text string) rule.Budget {
	t.Helper()
	r, err := rule.Parse(text, datamodel.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	return rule.Budget{Rule: r, Given: text, Place: datamodel.Place{File: "ergon.yaml", Line: 3, Column: 5}}
}

// judged returns the verdict on a budget about one metric.
func judged(t *testing.T, text string, m datamodel.Metric) datamodel.Budget {
	t.Helper()
	return budget(t, text).Judge(func(rule.Term, string) datamodel.Metric { return m }, nil)
}

func TestJudgeBounds(t *testing.T) {
	nan := math.NaN()
	energy := func(v, uncertainty float64, bound datamodel.Bound, most float64) datamodel.Metric {
		m := datamodel.Value(datamodel.Energy, v, units.Joule, "sum", sensors.FromCounter, "test")
		if math.IsNaN(v) {
			m = datamodel.Missing(datamodel.Energy, units.Joule, "no meter")
		}
		m.Uncertainty, m.Bound, m.AtMost = uncertainty, bound, most
		return m
	}
	const kept, broken, unknown = datamodel.BudgetKept, datamodel.BudgetBroken, datamodel.BudgetUnknown
	for _, c := range []struct {
		text      string
		m         datamodel.Metric
		want      datamodel.BudgetVerdict
		uncertain bool
	}{
		{"energy <= 500 J", energy(500, nan, "", nan), kept, false},
		{"energy < 500 J", energy(500, nan, "", nan), broken, false},
		{"energy <= 500 J", energy(490, 5, "", nan), kept, false},
		{"energy <= 500 J", energy(490, 20, "", nan), kept, true},
		{"energy <= 500 J", energy(510, 20, "", nan), broken, true},
		{"energy <= 500 J", energy(600, 20, "", nan), broken, false},
		{"energy <= 500 J", energy(400, nan, datamodel.LowerBound, nan), kept, true},
		{"energy <= 500 J", energy(400, nan, datamodel.LowerBound, 450), kept, false},
		{"energy <= 500 J", energy(400, nan, datamodel.LowerBound, 550), kept, true},
		{"energy <= 500 J", energy(501, nan, datamodel.LowerBound, nan), broken, false},
		{"energy <= 500 J", energy(400, nan, datamodel.UpperBound, nan), kept, false},
		{"energy <= 500 J", energy(600, nan, datamodel.UpperBound, nan), unknown, true}, // the truth may be below
		{"energy >= 500 J", energy(400, nan, datamodel.LowerBound, nan), unknown, true}, // the truth may be above
		{"energy >= 500 J", energy(600, nan, datamodel.LowerBound, nan), kept, false},
		{"energy >= 500 J", energy(400, nan, "", nan), broken, false},
		{"energy <= 500 J", energy(nan, nan, "", nan), unknown, false},
		{"energy <= 500 J", energy(nan, nan, "", 300), kept, false}, // a bound is enough
		{"energy <= 500 J", energy(nan, nan, "", 600), unknown, false},
		{"energy == 500 J", energy(500, nan, "", nan), kept, false},
		{"energy != 500 J", energy(500, nan, "", nan), broken, false},
		{"energy >= 500 J", energy(400, nan, datamodel.LowerBound, 450), broken, false}, // the truth is surely below
		{"energy == 500 J", energy(400, nan, datamodel.LowerBound, nan), unknown, true},
		{"energy == 500 J", energy(600, nan, datamodel.LowerBound, nan), broken, false},
		{"energy != 500 J", energy(500, nan, datamodel.LowerBound, nan), unknown, true},
	} {
		got := judged(t, c.text, c.m)
		if got.Verdict != c.want || got.Uncertain != c.uncertain || (got.Verdict == unknown) != (got.Reason != "") {
			t.Errorf("%s of %v ± %v %s ≤ %v: %s, uncertain %v (%s)", c.text, c.m.Value, c.m.Uncertainty, c.m.Bound, c.m.AtMost, got.Verdict, got.Uncertain, got.Reason)
		}
		if got.Limit == nil || *got.Limit != 500 || got.Place.Line != 3 || got.Rule != c.text {
			t.Errorf("%s: %+v", c.text, got)
		}
	}
}

func TestJudgeBaseline(t *testing.T) {
	wall := datamodel.Value(datamodel.WallTime, 11, units.Second, "delta", sensors.FromCounter, "test")
	b := budget(t, "wall_time < +5 % @main")
	get := func(rule.Term, string) datamodel.Metric { return wall }
	if got := b.Judge(rule.Of(datamodel.Result{}), nil); got.Verdict != datamodel.BudgetUnknown || got.Reason == "" || got.Limit != nil {
		t.Errorf("nobody looked it up: %+v", got)
	}
	ten := 10.0
	b.Base = &datamodel.Figure{Value: &ten, Unit: units.Second, Provenance: sensors.FromCounter}
	got := b.Judge(get, nil)
	if got.Verdict != datamodel.BudgetBroken || *got.Limit != 10.5 || *got.Baseline.Value != 10 {
		t.Errorf("%+v", got)
	}
	again, err := rule.Again([]datamodel.Budget{got})
	if err != nil || again[0].Judge(get, nil).Verdict != datamodel.BudgetBroken { // what was kept is enough
		t.Errorf("again: %v", err)
	}
	for _, c := range []struct {
		base      datamodel.Figure
		text      string
		value     float64
		want      datamodel.BudgetVerdict
		uncertain bool
	}{
		{datamodel.Figure{Bound: datamodel.LowerBound}, "wall_time < +5 % @main", 10, datamodel.BudgetKept, false},
		{datamodel.Figure{Bound: datamodel.LowerBound}, "wall_time < +5 % @main", 11, datamodel.BudgetUnknown, true}, // the base may be 11, too
		{datamodel.Figure{Bound: datamodel.LowerBound, AtMost: &ten}, "wall_time < +5 % @main", 11, datamodel.BudgetBroken, false},
		{datamodel.Figure{Bound: datamodel.LowerBound}, "wall_time > -5 % @main", 11, datamodel.BudgetKept, true},
		{datamodel.Figure{Bound: datamodel.LowerBound}, "wall_time > -5 % @main", 9, datamodel.BudgetBroken, false},
		{datamodel.Figure{Bound: datamodel.UpperBound}, "wall_time < +5 % @main", 10, datamodel.BudgetKept, true},
		{datamodel.Figure{Bound: datamodel.UpperBound}, "wall_time < +5 % @main", 11, datamodel.BudgetBroken, false},
	} {
		c.base.Value, c.base.Unit, c.base.Provenance = &ten, units.Second, sensors.FromCounter
		wall, b := datamodel.Value(datamodel.WallTime, c.value, units.Second, "delta", sensors.FromCounter, "test"), budget(t, c.text)
		b.Base = &c.base
		got := b.Judge(func(rule.Term, string) datamodel.Metric { return wall }, nil)
		if got.Verdict != c.want || got.Uncertain != c.uncertain || (got.Reason == "") != (got.Verdict != datamodel.BudgetUnknown) {
			t.Errorf("%s of %v, base %s: %s, uncertain %v (%s)", c.text, c.value, c.base.Bound, got.Verdict, got.Uncertain, got.Reason)
		}
	}
	tiny := datamodel.Missing(datamodel.WallTime, units.Second, "no clock")
	tiny.AtMost = 0.01 // less than the number of the rule, which is a part
	b.Base = &datamodel.Figure{Value: &ten, Unit: units.Second, Provenance: sensors.FromCounter}
	if got := b.Judge(func(rule.Term, string) datamodel.Metric { return tiny }, nil); got.Verdict != datamodel.BudgetUnknown || got.Reason != "no clock" {
		t.Errorf("a part was taken for a limit: %+v", got)
	}
	b.Base = &datamodel.Figure{Reason: "no run main"}
	if got := b.Judge(get, nil); got.Verdict != datamodel.BudgetUnknown || got.Reason != "baseline main: no run main" {
		t.Errorf("%+v", got)
	}
}

// result is a run with a summary, a target, two interfaces and a file system.
func result() datamodel.Result {
	value := func(name string, v float64, u units.Unit, how string) datamodel.Metric {
		return datamodel.Value(name, v, u, how, sensors.FromCounter, "test")
	}
	gauge := func(name string, least, mean, most float64, u units.Unit) datamodel.Metric {
		m := value(name, mean, u, "mean")
		m.Min, m.Mean, m.Max = least, mean, most
		return m
	}
	leaf := func(family, device string, m datamodel.Metric) *datamodel.Node {
		s := sensors.Sensor{Family: family, Device: device, Name: m.Name}
		return &datamodel.Node{Name: m.Name, Level: datamodel.SensorLevel, Family: family, Sensor: &s, Metrics: []datamodel.Metric{m}}
	}
	device := func(name, family string, own []datamodel.Metric, leaves ...*datamodel.Node) *datamodel.Node {
		return &datamodel.Node{Name: name, Level: datamodel.DeviceLevel, Family: family, Metrics: own, Children: leaves}
	}
	summary := []datamodel.Metric{
		value(datamodel.WallTime, 10, units.Second, "delta"), value(datamodel.PeakMemory, 3e9, units.Byte, "max"),
		value(datamodel.Power, 50, units.Watt, "mean"), value(datamodel.Energy, 500, units.Joule, "sum"),
	}
	free := gauge("free", 8e9, 9e9, 10e9, units.Byte)
	host := &datamodel.Node{Level: datamodel.HostLevel, Metrics: []datamodel.Metric{value(datamodel.StealTime, 2, units.Second, "delta")}, Children: []*datamodel.Node{
		device("target", "target", []datamodel.Metric{value(datamodel.MinorFaults, 7, units.Faults, "delta"), gauge(datamodel.Threads, 1, 2, 3, units.Threads)},
			leaf("target", "", gauge("threads", 1, 2, 3, units.Threads)), leaf("target", "", gauge("memory", 1e9, 2e9, 2.5e9, units.Byte))),
		device("network/eth0", "network", nil, leaf("network", "eth0", value("receive", 100, units.Byte, "delta"))),
		device("network/eth1", "network", nil, leaf("network", "eth1", value("receive", 50, units.Byte, "delta"))),
		device("cpu", "cpu", nil, leaf("cpu", "", value("user", 8, units.Second, "delta"))),
		device("cpu/cpu0", "cpu", nil, leaf("cpu", "cpu0", value("user", 5, units.Second, "delta"))),
		device("disk/fs:/", "disk", []datamodel.Metric{free}, leaf("disk", "fs:/", free)),
		device("disk/vda", "disk", nil, leaf("disk", "vda", value("read", 5, units.Byte, "delta"))),
		device("gpu/a", "gpu", nil, leaf("gpu", "a", gauge("temperature", 30, 40, 85, units.Celsius))),
		device("gpu/b", "gpu", nil, leaf("gpu", "b", gauge("temperature", 30, 40, 60, units.Celsius))),
	}}
	tree := &datamodel.Node{Level: datamodel.App, Children: []*datamodel.Node{{Level: datamodel.RunLevel, Metrics: summary, Children: []*datamodel.Node{host}}}}
	chart := datamodel.Chart{Step: time.Second, Parts: 4}
	for _, values := range [][]float64{{math.NaN(), 30, 60, 10}, {20, 20, 30, 10}} { // two packages
		course := datamodel.NewCourse(4)
		course.Metric, course.Subject = datamodel.Power, datamodel.MachineCourse
		for i, v := range values {
			if course.Values[i] = v; !math.IsNaN(v) {
				course.Covered[i] = 1
			}
		}
		chart.Courses = append(chart.Courses, course)
	}
	regions := &datamodel.Regions{
		List: []datamodel.Region{{Name: "train", Path: "train"}, {Name: "epoch", Path: "train/epoch"}, {Name: "epoch", Path: "train/epoch"}, {Name: "epoch", Path: "epoch"}},
		Figures: []datamodel.RegionFigure{
			{Name: datamodel.Energy, Unit: units.Joule, Values: []float64{90, 30, 40, 7}, Uncertainty: []float64{1, 1, 2, 1}, Provenance: sensors.FromCounter},
			{Name: datamodel.WallTime, Unit: units.Second, Values: []float64{9, 3, math.NaN(), 1}, Provenance: sensors.FromCounter},
		},
	}
	price := datamodel.Price{Value: 1e-3, Currency: "{EUR}"}
	return datamodel.Result{Run: datamodel.Run{Factors: datamodel.Factors{Price: &price}}, Tree: tree, Summary: summary, Charts: []datamodel.Chart{chart}, Regions: regions}
}

func TestOf(t *testing.T) {
	get := rule.Of(result())
	for text, want := range map[string]float64{
		"wall_time < 1 s":                 10,
		"power < 1 W":                     50,
		"max(power) < 1 W":                90, // of the course
		"min(power) < 1 W":                20,
		"max(memory) < 1 GB":              3e9, // what the kernel counts, not the largest reading
		"memory < 1 GB":                   3e9,
		"mean(memory) < 1 GB":             2e9,
		"min(memory) < 1 GB":              1e9,
		"cost < 1 EUR":                    0.5,
		"disk.free[/tmp] > 1 B":           8e9, // the least over time
		"mean(disk.free[/]) > 1 B":        9e9,
		"energy[train] < 1 J":             90,
		"energy[train/epoch] < 1 J":       70,
		"max(energy[train/epoch]) < 1 J":  40,
		"energy[epoch] < 1 J":             7, // the path counts more than the name
		"wall_time[train] < 1 s":          9,
		"minor_faults < 1":                7,
		"steal_time < 1 s":                2,
		"threads < 1":                     2,
		"max(threads) < 1":                3,
		"network.receive[eth1] < 1 B":     50,
		"max(network.receive) < 1 B":      100,
		"cpu.user < 1 s":                  8, // of all processors, not the sum of parts and whole
		"cpu.user[cpu0] < 1 s":            5,
		"gpu.temperature < 1 °C":          85,
		"gpu.temperature[b] < 1 °C":       60,
		"mean(gpu.temperature[b]) < 1 °C": 40,
	} {
		b := budget(t, text)
		if m := get(b.Term, ""); m.Value != want || m.Name != b.Metric {
			t.Errorf("%s: %v (%s), want %v", text, m.Value, m.Reason, want)
		}
	}
	for _, text := range []string{
		"energy[test] < 1 J", "wall_time[train/epoch] < 1 s", "cpu_time[train] < 1 s", "gpu_energy < 1 J", "network.receive[eth9] < 1 B", "last(gpu.temperature[a]) < 1 °C", "inventory.bytes[x] < 1 B",
		"survivors < 1", "network.receive < 1 B", // interfaces may carry the same bytes
	} {
		if m := get(budget(t, text).Term, ""); !math.IsNaN(m.Value) || m.Reason == "" {
			t.Errorf("%s: %v (%s)", text, m.Value, m.Reason)
		}
	}
	wall := 4.0
	if m := rule.Of(datamodel.Result{Run: datamodel.Run{WallTime: &wall}})(budget(t, "wall_time < 1 s").Term, ""); m.Value != 4 {
		t.Errorf("a run without a result: %+v", m)
	}
}

func TestJudgeCourse(t *testing.T) {
	chart := datamodel.Chart{Step: time.Second, Parts: 8}
	course := datamodel.NewCourse(8)
	course.Metric, course.Subject, course.Unit = datamodel.Power, datamodel.MachineCourse, units.Watt
	for i, v := range []float64{100, 400, 100, 320, 330, 310, 100, 100} {
		course.Values[i], course.Least[i], course.Most[i] = v, v-5, v+5
	}
	chart.Courses = []datamodel.Course{course}
	for text, want := range map[string]datamodel.BudgetVerdict{
		"power < 300 W for 3 s":                  datamodel.BudgetBroken,
		"power < 300 W for 4 s":                  datamodel.BudgetKept, // it lasted for 3 s
		"power < 308 W for 3 s":                  datamodel.BudgetKept, // there were readings below
		"power < 500 W for 1 s":                  datamodel.BudgetKept,
		"power > 104 W for 2 s":                  datamodel.BudgetKept,
		"power > 106 W for 2 s":                  datamodel.BudgetBroken,
		"memory < 1 GB for 2 s":                  datamodel.BudgetUnknown, // there is no such course
		"energy < 1 J for 2 s":                   datamodel.BudgetUnknown, // and there never is
		"gpu.temperature[x] < 90 °C for 2 s":     datamodel.BudgetUnknown,
		"max(memory_mapped) < 90 GB for 1h0m30s": datamodel.BudgetUnknown,
	} {
		got := budget(t, text).Judge(rule.Of(datamodel.Result{}), []datamodel.Chart{chart})
		if got.Verdict != want || (want == datamodel.BudgetUnknown) != (got.Reason != "") || (want == datamodel.BudgetBroken) != (got.Breach != nil) {
			t.Errorf("%s: %s (%s), want %s", text, got.Verdict, got.Reason, want)
		}
	}
	empty := datamodel.NewCourse(8)
	empty.Metric, empty.Subject = datamodel.Memory, datamodel.CommandCourse
	for i := range empty.Values {
		empty.Values[i], empty.Least[i], empty.Most[i] = math.NaN(), math.NaN(), math.NaN()
	}
	unread := datamodel.Chart{Step: time.Second, Parts: 8, Courses: []datamodel.Course{empty}}
	if got := budget(t, "memory < 1 GB for 2 s").Judge(rule.Of(datamodel.Result{}), []datamodel.Chart{unread}); got.Verdict != datamodel.BudgetUnknown || got.Reason == "" {
		t.Errorf("a course without a value: %+v", got)
	}
	if got := budget(t, "power < 300 W for 3 s").Judge(rule.Of(datamodel.Result{}), []datamodel.Chart{chart}); got.Breach.Elapsed != 3 || got.For != 3 {
		t.Errorf("%+v", got)
	}
}

func TestOnlyWorse(t *testing.T) {
	for text, want := range map[string]bool{
		"energy <= 500 J": true, "cpu_time < 1 s": true, "wall_time < 1 s": true, "peak_memory < 1 GB": true, "max(memory) < 1 GB": true, "disk_write < 1 GB": true,
		"processes < 3": true, "min(memory.available) > 1 GB": true, "memory.available > 1 GB": true, "max(power) < 1 W": true, "power < 1 W for 3 s": true,
		"energy >= 500 J": false, "power < 1 W": false, "sum(power) < 1 W": false, "mean(memory) < 1 GB": false, "net_energy < 1 J": false, "energy == 5 J": false,
		"inventory.bytes_made[a] < 1 B": false, "disk.free[/] > 1 GB": true,
	} {
		if got := budget(t, text).OnlyWorse(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestMeasureAndLimits(t *testing.T) {
	for text, want := range map[string]string{"energy < 1 J": "energy", "max(memory) < 1 B": "memory", "mean(memory) < 1 B": "mean(memory)", "energy[ a b] < 1 J": "energy[a b]"} {
		if got := rule.Measure(budget(t, text).Pending("")); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	for text, want := range map[string][2]float64{
		"wall_time < 1 s": {math.NaN(), 1}, "wall_time >= 1 s": {1, math.NaN()}, "wall_time == 1 s": {1, 1}, "wall_time != 1 s": {math.NaN(), math.NaN()},
	} {
		least, most := rule.Limits(judged(t, text, datamodel.Value(datamodel.WallTime, 1, units.Second, "delta", sensors.FromCounter, "")))
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if !same(least, want[0]) || !same(most, want[1]) {
			t.Errorf("%s: %v %v", text, least, most)
		}
	}
}
