package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

var rule = Rule{Confidence: 0.95, Threshold: 0.03}

// setOf makes a side of one command with a metric's values. NaN is a missing value.
func setOf(name, metric string, values ...float64) Set {
	s := Set{Bench: datamodel.Bench{Commands: []datamodel.BenchCommand{{Name: name, Command: []string{name}}}}}
	d, _ := datamodel.Lookup(metric)
	for i, v := range values {
		m := datamodel.Value(metric, v, d.Unit, "delta", sensors.FromCounter, "clock")
		if math.IsNaN(v) {
			m = datamodel.Missing(metric, d.Unit, "no meter")
		}
		s.Rounds = append(s.Rounds, datamodel.Round{Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{m}})
	}
	return s
}

// sequence returns n values from first on, each a hundredth larger than the one before.
func sequence(first float64, n int) (list []float64) {
	for i := range n {
		list = append(list, first*(1+0.01*float64(i)))
	}
	return list
}

func TestSetAdd(t *testing.T) {
	var s Set
	s.Add(datamodel.Run{ID: "a"}, datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: "x"}, {Name: "y"}}, Rounds: []datamodel.Round{{Command: 0, Block: 0}, {Command: 1, Block: 0}, {Command: 1, Block: 1}},
	})
	s.Add(datamodel.Run{ID: "b"}, datamodel.Bench{Commands: []datamodel.BenchCommand{{Name: "y"}, {Name: "z"}}, Rounds: []datamodel.Round{{Command: 1}, {Command: 0}}})
	var got [][2]int
	for _, r := range s.Rounds {
		got = append(got, [2]int{r.Command, r.Block})
	}
	if want := [][2]int{{0, 0}, {1, 0}, {1, 1}, {2, 2}, {1, 2}}; !slices.Equal(got, want) || len(s.Commands) != 3 || len(s.Runs) != 2 {
		t.Errorf("%v of %d commands", got, len(s.Commands))
	}
}

func TestCompare(t *testing.T) {
	base := setOf("make", datamodel.Energy, sequence(100, 10)...)
	result := rule.Compare(Request{
		Base: base, New: []Set{setOf("make", datamodel.Energy, sequence(120, 8)...), setOf("make -j", datamodel.Energy, sequence(100, 10)...)},
		Metrics: []string{datamodel.WallTime, datamodel.Energy},
	})
	worse, same := result.Against[0].Benchmarks[0], result.Against[1].Benchmarks[0]
	f := worse.Figures[0]
	if len(worse.Figures) != 1 || f.Change.Verdict != Regressed || f.Base.N != 10 || f.New.N != 8 || math.Abs(f.Change.Ratio.Value-1.19) > 0.02 {
		t.Errorf("%+v", worse)
	}
	if c := same.Figures[0].Change; c.Verdict != Unchanged || c.Needed != 0 || !(c.Detectable > 0.04 && c.Detectable < 0.05) {
		t.Errorf("%+v", c)
	}
	if want := []Difference{{What: DifferentCommand, Base: "make", New: "'make -j'"}}; !slices.Equal(same.Differences, want) {
		t.Errorf("%+v", same.Differences)
	}
	if result.Verdict() != Regressed {
		t.Errorf("%s", result.Verdict())
	}
	loose := rule
	loose.Thresholds = map[string]float64{datamodel.Energy: 0.5}
	if v := loose.Compare(Request{Base: base, New: []Set{result.Against[0].New}, Metrics: []string{datamodel.Energy}}).Verdict(); v != Unchanged {
		t.Errorf("with a threshold of its own: %s", v)
	}
}

// TestPairedAgainstGrouped checks that only pairs take out a drift that both sides share.
func TestPairedAgainstGrouped(t *testing.T) {
	base, fresh := setOf("a", datamodel.WallTime, sequence(1, 30)...), setOf("a", datamodel.WallTime, sequence(1.05, 30)...)
	for _, paired := range []bool{false, true} {
		c := rule.Compare(Request{Base: base, New: []Set{fresh}, Paired: paired, Metrics: []string{datamodel.WallTime}}).Against[0].Benchmarks[0].Figures[0].Change
		if width := c.Ratio.High - c.Ratio.Low; (c.Corrected < 0.001) != paired || (width < 0.01) != paired {
			t.Errorf("paired %v: %+v", paired, c)
		}
	}
}

func TestMatch(t *testing.T) {
	bench := func(names ...string) (s Set) {
		for i, name := range names {
			s.Commands = append(s.Commands, datamodel.BenchCommand{Name: name})
			s.Rounds = append(s.Rounds, datamodel.Round{Command: i})
		}
		return s
	}
	a := rule.Compare(Request{Base: bench("a", "b", "c"), New: []Set{bench("c", "d", "a")}}).Against[0]
	if len(a.Benchmarks) != 2 || a.Benchmarks[0].Name != "a" || a.Benchmarks[0].New != 2 || a.Benchmarks[1].Base != 2 || a.Benchmarks[1].New != 0 ||
		!slices.Equal(a.OnlyBase, []string{"b"}) || !slices.Equal(a.OnlyNew, []string{"d"}) {
		t.Errorf("%+v", a)
	}
	if a := rule.Compare(Request{Base: bench("a"), New: []Set{bench("b", "c")}}); a.Against[0].Benchmarks != nil || a.Verdict() != Inconclusive {
		t.Errorf("nothing in common: %+v", a)
	}
}

// TestMissing checks that a metric is compared on the rounds that have it, and that a metric without values is told.
func TestMissing(t *testing.T) {
	nan := math.NaN()
	base := setOf("a", datamodel.Energy, append(sequence(100, 6), nan, nan)...)
	fresh := setOf("a", datamodel.Energy, append([]float64{nan}, sequence(150, 7)...)...)
	q := Request{Base: base, New: []Set{fresh}, Metrics: []string{datamodel.Energy, datamodel.WallTime}, Asked: true}
	all := rule.Compare(q).Against[0].Benchmarks[0].Figures
	if f := all[0]; f.Change.Base != 6 || f.Change.New != 7 || f.Base.Rounds != 8 || f.Base.Reason != "no meter" || f.Change.Verdict != Regressed {
		t.Errorf("%+v", f)
	}
	if f := all[1]; f.Base.N != 0 || f.Change.Verdict != Inconclusive || f.Change.Needed != 0 {
		t.Errorf("%+v", f)
	}
	q.New = []Set{setOf("a", datamodel.Energy, nan, nan)}
	if f := rule.Compare(q).Against[0].Benchmarks[0].Figures[0]; f.Change.Verdict != Inconclusive || f.New.Reason != "no meter" || !math.IsNaN(f.Change.Ratio.Value) {
		t.Errorf("%+v", f)
	}
}

// TestOneRound checks that one round a side has a ratio, but no interval and no verdict, and how many rounds could decide.
func TestOneRound(t *testing.T) {
	c := rule.Compare(Request{Base: setOf("a", datamodel.WallTime, 1), New: []Set{setOf("a", datamodel.WallTime, 2)}, Metrics: []string{datamodel.WallTime}}).
		Against[0].Benchmarks[0].Figures[0].Change
	if c.Ratio.Value != 2 || c.Ratio.Known() || c.Verdict != Inconclusive || c.Needed != 4 || !math.IsNaN(c.Detectable) {
		t.Errorf("%+v", c)
	}
}

func TestDifferences(t *testing.T) {
	on, off := true, false
	run := func(kernel, governor string, turbo *bool) datamodel.Run {
		return datamodel.Run{Version: "1", Host: datamodel.HostInfo{
			Name: "vm", CPU: "Xeon", CPUs: 8, Kernel: kernel, Scaling: sensors.Scaling{Governor: governor, Turbo: turbo},
		}}
	}
	got := differences(Set{Runs: []datamodel.Run{run("6.2", "powersave", &on), run("6.1", "powersave", &on)}}, Set{Runs: []datamodel.Run{run("6.2", "", &off)}})
	want := []Difference{{"kernel", "", "6.1 / 6.2", "6.2"}, {DifferentTurbo, "", "on", "off"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := differences(Set{}, Set{Runs: []datamodel.Run{run("6.2", "", nil)}}); got != nil {
		t.Errorf("nothing is known of one side: %+v", got)
	}
}

// TestIncomparable checks that an energy of other parts of the machine has no verdict.
func TestIncomparable(t *testing.T) {
	of := func(first float64, parts ...string) Set {
		s := setOf("a", datamodel.Energy, sequence(first, 10)...)
		for i := range s.Rounds {
			for _, name := range parts {
				s.Rounds[i].Metrics[0].Parts = append(s.Rounds[i].Metrics[0].Parts, datamodel.Part{Kind: datamodel.CPUPart, Name: name})
			}
		}
		return s
	}
	b := rule.Compare(Request{Base: of(100, "packages", "dram"), New: []Set{of(200, "packages")}, Metrics: []string{datamodel.Energy}}).Against[0].Benchmarks[0]
	want := []Difference{{DifferentMeans, datamodel.Energy, "counter: packages, dram", "counter: packages"}}
	if !slices.Equal(b.Differences, want) || !b.Figures[0].Incomparable || b.Figures[0].Change.Verdict != Inconclusive || b.Figures[0].Change.Needed != 0 {
		t.Errorf("%+v", b)
	}
}

// TestCompareHolds simulates comparisons of two commands on five metrics without a change, and with one of 10 %.
func TestCompareHolds(t *testing.T) {
	testenv.Long(t)
	const trials = 300
	r := rand.New(rand.NewPCG(21, 22))
	metrics := DefaultMetrics()
	side := func(change float64) (s Set) {
		for c := range 2 {
			s.Commands = append(s.Commands, datamodel.BenchCommand{Name: string(rune('a' + c))})
			for i := range 20 {
				round := datamodel.Round{Command: c, Block: i}
				for _, name := range metrics {
					v := max(0.01, 1+0.05*r.NormFloat64())
					if c == 1 && name == datamodel.Energy {
						v *= 1 + change
					}
					round.Metrics = append(round.Metrics, datamodel.Value(name, v, "", "", sensors.FromCounter, ""))
				}
				s.Rounds = append(s.Rounds, round)
			}
		}
		return s
	}
	wrong, found := 0, 0
	for range trials {
		for _, b := range rule.Compare(Request{Base: side(0), New: []Set{side(0)}, Metrics: metrics}).Against[0].Benchmarks {
			if slices.ContainsFunc(b.Figures, func(f Compared) bool { return f.Change.Verdict == Regressed || f.Change.Verdict == Improved }) {
				wrong++
				break
			}
		}
		b := rule.Compare(Request{Base: side(0), New: []Set{side(0.1)}, Metrics: metrics}).Against[0].Benchmarks[1]
		if b.Figures[slices.IndexFunc(b.Figures, func(f Compared) bool { return f.Metric.Name == datamodel.Energy })].Change.Verdict == Regressed {
			found++
		}
	}
	t.Logf("20 rounds, 2 commands, 5 metrics: %.1f %% wrong without a change, +10 %% found in %.1f %%", 100*float64(wrong)/trials, 100*float64(found)/trials)
	if wrong > trials*75/1000 || // 5 % and two standard errors of 300 trials
		found < trials*90/100 {
		t.Errorf("%d wrong, %d found", wrong, found)
	}
}

// TestHostileNames checks that any name of a program comes through as it is, and makes no group with another.
func TestHostileNames(t *testing.T) {
	names := []string{"", "\x1b[2J", "a\nb", "<script>", "|", "\xff", "a\x00", "name", "unseen"}
	side := func(cpu float64) (s Set) {
		s.Commands = []datamodel.BenchCommand{{Name: "x"}}
		for i := range 8 {
			var rows []datamodel.Process
			for j, name := range names {
				rows = append(rows, datamodel.Process{Kind: datamodel.OneProcess, Name: name, Count: 1, CPUTime: cpu * (1 + 0.01*float64(i+j))})
			}
			rows = append(rows, datamodel.Process{Kind: datamodel.UnseenProcesses, Count: math.NaN(), CPUTime: 1})
			s.Rounds = append(s.Rounds, datamodel.Round{Block: i, Processes: rows})
		}
		return s
	}
	c := rule.Compare(Request{Base: side(1), New: []Set{side(2)}}).Against[0].Benchmarks[0].Cause
	var got []string
	for _, p := range c.Programs {
		got = append(got, p.Name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) || c.Others != 1 {
		t.Errorf("%q, %d others", got, c.Others)
	}
}

// BenchmarkCompare compares 1,000 rounds with 1,000 on 20 metrics, with process tables of ten programs.
func BenchmarkCompare(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	var metrics []string
	for _, d := range datamodel.Summary()[:20] {
		metrics = append(metrics, d.Name)
	}
	side := func() (s Set) {
		s.Commands = []datamodel.BenchCommand{{Name: "x"}}
		for i := range 1000 {
			round := datamodel.Round{Block: i}
			for _, name := range metrics {
				round.Metrics = append(round.Metrics, datamodel.Value(name, max(0.01, 1+0.05*r.NormFloat64()), "", "", sensors.FromCounter, ""))
			}
			s.Rounds = append(s.Rounds, round)
		}
		return s
	}
	base, fresh := side(), side()
	for b.Loop() {
		rule.Compare(Request{Base: base, New: []Set{fresh}, Metrics: metrics})
	}
}

// TestApart checks that sides which were measured one after the other are told from sides in turn and from unknown times.
func TestApart(t *testing.T) {
	side := func(minutes ...int) (s Set) {
		s.Commands = []datamodel.BenchCommand{{Name: "a"}}
		for i, m := range minutes {
			r := datamodel.Round{Block: i}
			if m > 0 {
				r.Start = time.Unix(0, 0).Add(time.Duration(m) * time.Minute)
			}
			s.Rounds = append(s.Rounds, r)
		}
		return s
	}
	f := func(base, fresh Set, paired, want bool) {
		t.Helper()
		q := Request{Base: base, New: []Set{fresh}, Paired: paired}
		if got := (Rule{Confidence: 0.95, Threshold: 0.03}).Compare(q).Against[0].Apart; got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(side(1, 2), side(3, 4), false, true)
	f(side(3, 4), side(1, 2), false, true)
	f(side(1, 3), side(2, 4), false, false)
	f(side(1, 9), side(3, 4), false, false)
	f(side(1, 2), side(3, 4), true, false)
	f(side(0, 0), side(3, 4), false, false)
}
