package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/internal/testenv"
)

func TestLooks(t *testing.T) {
	l := Looks{Rule: Rule{Confidence: 0.95, Threshold: 0.03}, Rounds: []int{10, 20, 40, 80}}
	f := func(what string, got Rule, alpha float64) {
		t.Helper()
		if math.Abs(1-got.Confidence-alpha) > 1e-12 || got.Threshold != 0.03 {
			t.Errorf("%s: %+v, want a probability of %v", what, got, alpha)
		}
	}
	for _, rounds := range []int{10, 20, 40, 80} {
		rule, ok := l.Due(rounds)
		if !ok {
			t.Errorf("no look after %d rounds", rounds)
		}
		f("a look", rule, 0.0125)
	}
	for _, rounds := range []int{0, 9, 11, 79, 81} {
		if _, ok := l.Due(rounds); ok {
			t.Errorf("a look after %d rounds", rounds)
		}
	}
	f("time is up before the first look", l.Last(5), 0.05)
	f("after the first", l.Last(10), 0.0375)
	f("between the second and the third", l.Last(30), 0.025)
	f("after the last", l.Last(80), 0.0125)
	if d := DefaultLooks(l.Rule); d.Most() != 384 || len(d.Rounds) != 10 {
		t.Errorf("%+v", d)
	}
}

func TestUpto(t *testing.T) {
	l := Looks{Rounds: []int{10, 20, 40, 80}}
	for rounds, want := range map[int][]int{5: {5}, 10: {10}, 30: {10, 20, 30}, 80: {10, 20, 40, 80}, 100: {10, 20, 40, 80, 100}} {
		if got := l.Upto(rounds).Rounds; !slices.Equal(got, want) {
			t.Errorf("%d: %v", rounds, got)
		}
	}
	if !slices.Equal(l.Rounds, []int{10, 20, 40, 80}) {
		t.Errorf("changed: %v", l.Rounds)
	}
}

func TestDecided(t *testing.T) {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	base := []float64{1, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06}
	scaled := func(by float64) (list []float64) {
		for _, v := range base {
			list = append(list, by*v)
		}
		return list
	}
	for _, c := range []struct {
		fresh   []float64
		decided bool
		verdict Verdict
	}{
		{scaled(1), true, Unchanged},
		{scaled(1.2), true, Regressed},
		{scaled(0.8), true, Improved},
		{[]float64{1.2, 0.8, 1.1, 0.9, 1.3, 0.7, 1}, false, Inconclusive},
		{scaled(1.2)[:3], false, Inconclusive},
		{[]float64{math.NaN()}, true, Inconclusive}, // more rounds would not help
	} {
		q := Paired(benchOf(datamodel.Shuffled, base, c.fresh), []string{"main", "now"})
		q.Metrics = []string{datamodel.WallTime, datamodel.Energy} // nobody measured the energy
		got := rule.Compare(q)
		if got.Decided() != c.decided || got.Verdict() != c.verdict {
			t.Errorf("%v: decided %v, %s", c.fresh, got.Decided(), got.Verdict())
		}
		if got.Base.Name != "main" || len(got.Against) != 1 || got.Against[0].New.Name != "now" || len(got.Against[0].New.Rounds) != len(c.fresh) {
			t.Errorf("%v: %+v", c.fresh, got)
		}
	}
	three := benchOf(datamodel.Shuffled, base, base)
	three.Commands = append(three.Commands, datamodel.BenchCommand{Name: "third"})
	if q := Paired(three, nil); q.Base.Name != "base" || len(q.New) != 2 || q.New[0].Name != "new" || q.New[1].Name != "third" || len(q.New[1].Rounds) != 0 {
		t.Errorf("%+v", q)
	}
}

// TestLooksHold simulates comparisons that add rounds until they are decided, and prints how often each rule decides rightly
// and after how many rounds. The machine is that of TestVerdictsHold. The rule that looks after every round is there to
// show what the schedule is for.
func TestLooksHold(t *testing.T) {
	testenv.Long(t)
	const trials = 1000
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	l := DefaultLooks(rule)
	always := func(n int) (Rule, bool) { return rule, n >= 6 }
	unscheduled := func(n int) (Rule, bool) {
		_, ok := l.Due(n)
		return rule, ok
	}
	never := func(int) (Rule, bool) { return rule, false }
	type result struct {
		of   map[Verdict]float64
		mean float64
	}
	simulate := func(due func(int) (Rule, bool), last func(int) Rule, most int, change float64) result {
		r := rand.New(rand.NewPCG(9, 10))
		got := result{of: map[Verdict]float64{}}
		for range trials {
			base, fresh := machine{0.05, 0.05, change, shuffled, r}.rounds(most)
			judge := func(n int, with Rule) Verdict {
				c := stats.ComparePaired(base[:n], fresh[:n], with.Confidence)
				return with.Judge(c, c.P, datamodel.Lower)
			}
			verdict, n := Inconclusive, 1
			for ; n <= most && verdict == Inconclusive; n++ {
				if with, ok := due(n); ok {
					verdict = judge(n, with)
				}
			}
			if n--; verdict == Inconclusive {
				verdict = judge(n, last(n))
			}
			got.of[verdict] += 1. / trials
			got.mean += float64(n) / trials
		}
		return got
	}
	plain := func(int) Rule { return rule }
	var table strings.Builder
	fmt.Fprintf(&table, "%-34s %6s  %9s %9s %9s %12s  %11s\n", "rule", "change", "regressed", "improved", "unchanged", "inconclusive", "mean rounds")
	results := map[string]result{}
	for _, c := range []struct {
		name string
		due  func(int) (Rule, bool)
		last func(int) Rule
		most int
	}{
		{"a look after every round", always, plain, l.Most()},
		{"the ten looks, each with 95 %", unscheduled, plain, l.Most()},
		{"20 rounds, one look", never, plain, 20},
		{"the ten looks", l.Due, l.Last, l.Most()},
		{"the ten looks, ended after 20", l.Due, l.Last, 20},
		{"the ten looks, ended after 60", l.Due, l.Last, 60},
	} {
		for _, change := range []float64{0, 0.03, 0.05} {
			got := simulate(c.due, c.last, c.most, change)
			results[fmt.Sprint(c.name, change)] = got
			fmt.Fprintf(&table, "%-34s %+4.0f %%", c.name, 100*change)
			for _, v := range []Verdict{Regressed, Improved, Unchanged, Inconclusive} {
				fmt.Fprintf(&table, " %7.1f %%", 100*got.of[v])
			}
			fmt.Fprintf(&table, "  %11.1f\n", got.mean)
		}
	}
	t.Logf("1,000 comparisons each\n%s", table.String())
	wrong := func(name string) float64 {
		of := results[name+"0"].of
		return of[Regressed] + of[Improved]
	}
	for _, name := range []string{"the ten looks", "the ten looks, ended after 20", "the ten looks, ended after 60"} {
		if w := wrong(name); w > 0.05 {
			t.Errorf("%s: without a change %.1f %% have a verdict", name, 100*w)
		}
	}
	got := results["the ten looks0.05"]
	if found := got.of[Regressed]; found < 0.8 || got.mean > 60 {
		t.Errorf("of +5 %%, %.1f %% are found, after %.1f rounds", 100*found, got.mean)
	}
	if got := results["the ten looks0"]; got.of[Unchanged] < 0.8 {
		t.Errorf("without a change, %.1f %% are unchanged", 100*got.of[Unchanged])
	}
	if w := wrong("a look after every round"); w < 0.1 {
		t.Errorf("a look after every round is wrong in %.1f %% only: the simulation shows nothing", 100*w)
	}
}
