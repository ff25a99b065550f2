package trend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

var start = time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)

// one makes a run with an energy. NaN is a missing one.
func one(i int, energy float64) Run {
	r := Run{Run: datamodel.Run{
		ID: fmt.Sprintf("run%03d", i), Project: "p", Command: []string{"make"}, Outcome: datamodel.Done, Start: start.Add(time.Duration(i) * 24 * time.Hour),
	}, Dir: fmt.Sprintf("results/run%03d", i)}
	r.Host.Name, r.Host.CPU, r.Host.CPUs, r.Host.Kernel = "a", "Xeon", 8, "6.1"
	r.Host.Git = &sensors.Git{Commit: fmt.Sprintf("c%d", i/2)}
	m := datamodel.Value(datamodel.Energy, energy, units.Joule, "delta", sensors.FromCounter, "rapl")
	m.Uncertainty = 1
	if math.IsNaN(energy) {
		m = datamodel.Missing(datamodel.Energy, units.Joule, "no meter")
	}
	r.Summary = func(name string) datamodel.Metric {
		if name == datamodel.Energy {
			return m
		}
		return datamodel.Missing(name, "", "not measured")
	}
	return r
}

// with changes the energy of a run.
func with(r Run, change func(m *datamodel.Metric)) Run {
	m := r.Summary(datamodel.Energy)
	change(&m)
	r.Summary = func(string) datamodel.Metric { return m }
	return r
}

func query(t *testing.T, by By, metrics ...string) Query {
	t.Helper()
	q := Query{By: by}
	for _, text := range metrics {
		m, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		q.Metrics = append(q.Metrics, m)
	}
	return q
}

func TestLines(t *testing.T) {
	nan := math.NaN()
	runs := []Run{one(0, 100), one(1, nan), one(2, 102), one(3, 101), one(4, 104), one(5, nan), one(6, 50)}
	runs[3].Host.Kernel = "6.2"
	runs[4].Command = []string{"make", "-j8"}
	runs[6] = with(runs[6], func(m *datamodel.Metric) { m.Provenance = sensors.Estimated })
	runs[5].Host.Kernel = "6.2"
	slices.Reverse(runs) // the order in which they are given does not count
	tr := Make(runs, query(t, ByRun, "energy"))
	var got []string
	for _, l := range tr.Lines {
		var points []string
		for _, p := range l.Points {
			points = append(points, fmt.Sprintf("%s=%v", tr.Runs[p.Runs[0]].ID, p.Value))
		}
		got = append(got, fmt.Sprintf("%s %s %s: %s", l.Command, l.Basis.Kernel, l.Means.Provenance, strings.Join(points, " ")))
	}
	want := []string{
		"make 6.1 counter: run000=100 run001=NaN run002=102",
		"make 6.2 counter: run003=101 run005=NaN",
		"make 6.1 estimated: run006=50",
		"make -j8 6.1 counter: run004=104",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	p := tr.Lines[0].Points
	if p[0].Low != 99 || p[0].High != 101 || p[0].N != 1 || p[1].N != 0 || p[1].Reason != "no meter" || p[0].Reason != "" {
		t.Errorf("%+v", p)
	}
}

// TestNoValue has a line of runs without any value, and no runs at all.
func TestNoValue(t *testing.T) {
	tr := Make([]Run{one(0, math.NaN()), one(1, math.NaN())}, query(t, ByRun, "energy"))
	if len(tr.Lines) != 1 || len(tr.Lines[0].Points) != 2 || tr.Lines[0].Means.Provenance != sensors.Missing || len(tr.Lines[0].Steps) != 0 {
		t.Errorf("%+v", tr.Lines)
	}
	for _, by := range Ways() {
		if tr := Make(nil, query(t, By(by), "energy", "wall_time")); len(tr.Lines) != 0 {
			t.Errorf("of no runs by %s: %+v", by, tr)
		}
	}
}

func TestGroups(t *testing.T) {
	dirty := true
	runs := []Run{one(0, 100), one(1, 110), one(2, 120), one(3, math.NaN()), one(4, 140), one(5, 150)}
	runs[5].Host.Git = &sensors.Git{Commit: "c2", Dirty: &dirty}
	runs[4].Start = runs[3].Start.Add(time.Hour) // the same day
	runs[2].Host.Git = nil
	runs[0].Tags, runs[4].Tags = []string{"v1", "first"}, []string{"v2"}
	runs[1].Host.Name = "b"
	f := func(by By, ungrouped int, want ...string) {
		t.Helper()
		tr := Make(runs, query(t, by, "energy"))
		var got []string
		for _, l := range tr.Lines {
			for _, p := range l.Points {
				got = append(got, fmt.Sprintf("%s%s %v of %d (%v to %v)", l.Host, p.Key, p.Value, p.N, p.Low, p.High))
			}
		}
		if !slices.Equal(got, want) || tr.Ungrouped != ungrouped {
			t.Errorf("by %s, %d without: got\n%s\nwant\n%s", by, tr.Ungrouped, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f(ByCommit, 1, "c0 105 of 2 (100 to 110)", "c1 NaN of 0 (NaN to NaN)", "c2 140 of 1 (139 to 141)", "c2+ 150 of 1 (149 to 151)")
	f(ByDay, 0, "2026-10-01 100 of 1 (99 to 101)", "2026-10-02 110 of 1 (109 to 111)", "2026-10-03 120 of 1 (119 to 121)",
		"2026-10-04 140 of 1 (139 to 141)", "2026-10-06 150 of 1 (149 to 151)")
	f(ByTag, 4, "v1 100 of 1 (99 to 101)", "first 100 of 1 (99 to 101)", "v2 140 of 1 (139 to 141)")
	f(ByHost, 0, "a 100 of 1 (99 to 101)", "a 120 of 1 (119 to 121)", "a NaN of 0 (NaN to NaN)", "a 140 of 1 (139 to 141)", "a 150 of 1 (149 to 151)",
		"b 110 of 1 (109 to 111)")
}

func TestSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var runs []Run
	for i := range 50 {
		v := 100 * (1 + 0.01*r.NormFloat64())
		if i >= 31 {
			v *= 1.12
		}
		if i == 30 {
			v = math.NaN()
		}
		runs = append(runs, one(i, v))
	}
	l := Make(runs, query(t, ByRun, "energy")).Lines[0]
	if len(l.Steps) != 1 || l.Steps[0].At != 31 || math.Abs(l.Steps[0].Change()-0.12) > 0.01 || l.Verdict(l.Steps[0]) != Worse {
		t.Fatalf("%+v", l.Steps)
	}
	if s := l.Steps[0]; !(s.Ratio.Low < 1.12 && 1.12 < s.Ratio.High) || math.Abs(s.Before-100) > 1 || math.Abs(s.After-112) > 1 {
		t.Errorf("%+v", s)
	}
	// A bound among values does not count. If all are bounds, they have steps, too.
	runs[5] = with(runs[5], func(m *datamodel.Metric) { m.Value, m.Bound = 1, datamodel.LowerBound })
	if l := Make(runs, query(t, ByRun, "energy")).Lines[0]; len(l.Steps) != 1 || l.Points[5].Bound != datamodel.LowerBound {
		t.Errorf("with a bound: %+v", l.Steps)
	}
	for i := range runs {
		runs[i] = with(runs[i], func(m *datamodel.Metric) { m.Bound = datamodel.LowerBound })
	}
	if l := Make(runs, query(t, ByRun, "energy")).Lines[0]; len(l.Steps) != 1 {
		t.Errorf("of bounds: %+v", l.Steps)
	}
	// Half a percent is a step that nobody asked for.
	for i := range runs {
		runs[i] = one(i, 100+0.001*float64(i%3)+0.5*float64(i/25))
	}
	if l := Make(runs, query(t, ByRun, "energy")).Lines[0]; len(l.Steps) != 0 {
		t.Errorf("of half a percent: %+v", l.Steps)
	}
}

func TestBench(t *testing.T) {
	value, half := 2.0, 0.5
	r := one(0, 1)
	r.Bench = &datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: "x", Command: []string{"gzip"}}, {Name: "y", Command: []string{"zstd"}}, {Name: "z", Command: []string{"xz"}}},
		Results: []datamodel.BenchResult{
			{Rounds: 10, Medians: map[string]datamodel.Figure{datamodel.WallTime: {
				Value: &value, Unit: units.Second, Provenance: sensors.FromCounter, Uncertainty: &half,
			}}},
			{Rounds: 10},
		},
	}
	tr := Make([]Run{r}, query(t, ByRun, "wall_time"))
	var got []string
	for _, l := range tr.Lines {
		got = append(got, fmt.Sprintf("%s %v %v…%v %s", l.Command, l.Points[0].Value, l.Points[0].Low, l.Points[0].High, l.Points[0].Reason))
	}
	want := []string{"gzip 2 1.5…2.5 ", "xz NaN NaN…NaN the bench did not end", "zstd NaN NaN…NaN no round measured it"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	q := query(t, ByRun, "wall_time")
	q.Command = "zip"
	if tr := Make([]Run{r}, q); len(tr.Lines) != 1 || tr.Lines[0].Command != "gzip" {
		t.Errorf("the lines of commands with %q are %+v", q.Command, tr.Lines)
	}
	if all := r.Commands(); !slices.Equal(all, []string{"gzip", "zstd", "xz"}) {
		t.Errorf("the commands are %q", all)
	}
	// Each command of a bench has come. The same command twice is no gap.
	r.Bench.Commands[2].Command = []string{"gzip"}
	var runs []Run
	for i := range 4 {
		r.Start = start.AddDate(0, 0, i)
		runs = append(runs, r)
	}
	alone := one(4, 1)
	alone.Command, alone.Start = []string{"gzip"}, start.AddDate(0, 0, 4)
	late := Late(append(runs, alone), start.AddDate(0, 0, 4).Add(time.Hour))
	if len(late) != 1 || late[0].Command != "zstd" || late[0].Mean != 24*time.Hour || late[0].Runs != 4 {
		t.Errorf("overdue: %+v, want zstd", late)
	}
}

// counted makes a run that has counted the files of areas. A negative number is an area that could not be counted.
func counted(i int, areas map[string]map[string]int64) Run {
	r := one(i, 1)
	r.Tree = &datamodel.Node{Level: datamodel.RunLevel}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range areas {
			if !yield(name) {
				return
			}
		}
	}) {
		a := datamodel.Area{Name: name, Path: "/" + name, Groups: []string{"type"}}
		if name == "inner" {
			a.Within = "data"
		}
		n := datamodel.AreaNode(a)
		errors := datamodel.Value(datamodel.FileErrors, 0, units.Errors, "last", sensors.FromCounter, "walk")
		if areas[name] == nil {
			errors = datamodel.Missing(datamodel.FileErrors, units.Errors, "no such folder")
		}
		n.Metrics = []datamodel.Metric{errors}
		r.Tree.Children = append(r.Tree.Children, n)
		for _, word := range []string{"fits", "log"} {
			if files, ok := areas[name][word]; ok {
				of := datamodel.TypeNode(a, datamodel.FileType{Groups: []string{word}})
				of.Metrics = []datamodel.Metric{datamodel.Value(datamodel.Files, float64(files), units.Files, "last", sensors.FromCounter, "walk")}
				r.Tree.Children = append(r.Tree.Children, of)
			}
		}
	}
	return r
}

func TestInventory(t *testing.T) {
	runs := []Run{
		counted(0, map[string]map[string]int64{"data": {"fits": 3, "log": 1}, "inner": {"fits": 5}}),
		counted(1, map[string]map[string]int64{"data": {"fits": 4}, "inner": {"fits": 6}}),
		counted(2, map[string]map[string]int64{"data": nil, "inner": {"fits": 7}}),
		one(3, 1), // has no areas
	}
	f := func(metric string, want ...string) {
		t.Helper()
		var got []string
		for _, l := range Make(runs, query(t, ByRun, metric)).Lines {
			got = append(got, fmt.Sprintf("%s %v", l.Label, l.Values()))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", metric, got, want)
		}
	}
	f("inventory.files", "data/fits [3 4 NaN]", "data/log [1 0 NaN]", "inner/fits [5 6 7]")
	f("inventory.files[data]", "data [9 10 NaN]")
	f("inventory.files[inner]", "inner [5 6 7]")
	f("inventory.files[data/*]", "data/fits [3 4 NaN]", "data/log [1 0 NaN]")
	f("inventory.files[data/log]", "data/log [1 0 NaN]")
	f("inventory.files[all]", "all [9 10 NaN]")
	f("inventory.files[other]")
	f("inventory.errors", "data [0 0 NaN]", "inner [0 0 0]")
}

func TestFileSystems(t *testing.T) {
	r := one(0, 1)
	free := datamodel.Value(datamodel.SpaceFree, 7, units.Byte, "last", sensors.FromCounter, "statfs")
	disk := &datamodel.Node{Name: "disk//data", Level: datamodel.DeviceLevel, Family: "disk", Metrics: []datamodel.Metric{free}}
	vda := &datamodel.Node{Name: "disk/vda", Level: datamodel.DeviceLevel, Family: "disk"}
	r.Tree = &datamodel.Node{Level: datamodel.RunLevel, Children: []*datamodel.Node{disk, vda}}
	lines := Make([]Run{r}, query(t, ByRun, "disk.free")).Lines
	if len(lines) != 1 || lines[0].Label != "/data" || lines[0].Points[0].Value != 7 {
		t.Errorf("%+v", lines)
	}
	if lines := Make([]Run{r}, query(t, ByRun, "disk.free[/home]")).Lines; len(lines) != 0 {
		t.Errorf("%+v", lines)
	}
}

func TestParse(t *testing.T) {
	for _, text := range []string{"energy", "wall_time", "carbon", "inventory.bytes", "inventory.files[data/fits]", "disk.free[/data]"} {
		m, err := Parse(text)
		if err != nil || m.String() != text {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	for text, want := range map[string]string{
		"enrgy":                 `did you mean "energy"?`,
		"inventory.byte":        `did you mean "inventory.bytes"?`,
		"elephant":              "one of wall_time, ",
		"energy[x]":             "has no label",
		"inventory.files[":      "not a metric",
		"inventory.files[]":     "not a metric",
		"inventory.files[a[b]x": "not a metric",
		"inventory.files[[]":    "not a glob",
		"threads":               "no metric",
		"":                      "no metric",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestLate(t *testing.T) {
	at := func(hours ...float64) (runs []Run) {
		for i, h := range hours {
			r := one(i, 1)
			r.Start = start.Add(time.Duration(h * float64(time.Hour)))
			runs = append(runs, r)
		}
		return runs
	}
	f := func(name string, now float64, want bool, hours ...float64) {
		t.Helper()
		late := Late(at(hours...), start.Add(time.Duration(now*float64(time.Hour))))
		if (len(late) == 1) != want || len(late) > 1 {
			t.Errorf("%s: %+v, want %v", name, late, want)
		}
	}
	f("each day, and now is in time", 95, false, 0, 24, 48, 72)
	f("each day, and now is late", 97, true, 0, 24, 48, 72)
	f("in another order", 97, true, 72, 0, 48, 24)
	f("two gaps are no habit", 500, false, 0, 24, 48)
	f("on working days, over a weekend", 24*7, false, 0, 24, 48, 72, 96, 24*7-1)
	f("on working days, after ten days", 24*21, true, 0, 24, 48, 72, 96, 168, 192, 216, 240, 264)
	f("anyhow", 5000, false, 0, 1, 2, 3, 500, 501)
	f("tries", 5000, false, 0, 0.01, 0.02, 0.03, 0.04)
	f("at once", 5000, false, 0, 0, 0, 0)
	f("the clock went back", 97, true, 0, 24, 48, 72, 4000)
	f("all in the future", -1, false, 0, 24, 48, 72)
	runs := at(0, 24, 48, 72)
	other := at(0, 24, 48, 90)
	for i := range other {
		other[i].Command = []string{"other"}
	}
	late := Late(append(other, runs...), start.Add(2000*time.Hour))
	if len(late) != 2 || late[0].Command != "make" || late[1].Command != "other" || late[0].LastRun != "run003" || late[0].Runs != 4 ||
		late[0].Mean != 24*time.Hour || late[0].Sigma != 0 || !late[0].Due.Equal(start.Add(96*time.Hour)) {
		t.Errorf("%+v", late)
	}
}

func BenchmarkMake(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var runs []Run
	for i := range 10_000 {
		run := one(i, 100+r.NormFloat64())
		run.Command = []string{"make", fmt.Sprint(i % 100)}
		runs = append(runs, run)
	}
	m, _ := Parse("energy")
	for b.Loop() {
		Make(runs, Query{Metrics: []Metric{m, m}})
	}
}
