package rule_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/units"
)

func parse(t testing.TB, text string) rule.Rule {
	t.Helper()
	r, err := rule.Parse(text, datamodel.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParse(t *testing.T) {
	f := func(text, want string, value float64, d time.Duration) {
		t.Helper()
		r, err := rule.Parse(text, datamodel.Catalogue())
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		if r.String() != want || r.Limit.Value != value || r.For != d {
			t.Errorf("%q is %q with the limit %v for %v, want %q, %v, %v", text, r.String(), r.Limit.Value, r.For, want, value, d)
		}
	}
	f("energy <= 500 J", "sum(energy) <= 500 J", 500, 0)
	f("energy<=500J", "sum(energy) <= 500 J", 500, 0)
	f("  energy\t<= 0.5 kJ ", "sum(energy) <= 0.5 kJ", 500, 0)
	f("energy <= 3 kWh", "sum(energy) <= 3 kWh", 1.08e7, 0)
	f("max(memory) < 2 GiB", "max(memory) < 2 GiB", 2<<30, 0)
	f("mean ( memory ) < 2 GB", "mean(memory) < 2 GB", 2e9, 0)
	f("memory < 2 GB", "max(memory) < 2 GB", 2e9, 0)
	f("disk.free[/data] > 10 GB", "min(disk.free[/data]) > 10 GB", 1e10, 0)
	f("max(disk.free[ /my data ]) > 10 GB", "max(disk.free[/my data]) > 10 GB", 1e10, 0)
	f(`disk.free["/a]b"] > 10 GB`, `min(disk.free["/a]b"]) > 10 GB`, 1e10, 0)
	f("energy[train] <= 2 kJ", "sum(energy[train]) <= 2 kJ", 2000, 0)
	f("gpu.temperature > 85 °C for 30 s", "max(gpu.temperature) > 85 °C for 30s", 85, 30*time.Second)
	f("gpu.temperature >= -5 Cel for 1h30m", "max(gpu.temperature) >= -5 Cel for 1h30m0s", -5, 90*time.Minute)
	f("cpu_utilization < 80% for 1 min 30 s", "mean(cpu_utilization) < 80 % for 1m30s", 0.8, 90*time.Second)
	f("processes < 1,000", "sum(processes) < 1000", 1000, 0)
	f("processes == 1 process for 5s", "sum(processes) == 1 process for 5s", 1, 5*time.Second)
	f("survivors != 0 for 2 min", "sum(survivors) != 0 for 2m0s", 0, 2*time.Minute)
	f("wall_time < 1 min 30 s", "max(wall_time) < 1 min 30 s", 90, 0)
	f("wall_time < 1e-3 s", "max(wall_time) < 0.001 s", 1e-3, 0)
	f("wall_time < +5 % @main", "max(wall_time) < +5 % @main", 0.05, 0)
	f("wall_time<+5%@main", "max(wall_time) < +5 % @main", 0.05, 0)
	f("energy <= -10 % @last~2", "sum(energy) <= -10 % @last~2", -0.1, 0)
	f("energy <= +0 % @3f9c2ab", "sum(energy) <= +0 % @3f9c2ab", 0, 0)
	f("energy <= -0 % @v1", "sum(energy) <= +0 % @v1", 0, 0)
	f("wall_time < + 1 min 2 s @tag", "max(wall_time) < +1 min 2 s @tag", 62, 0)
	f("cost < 0.10 EUR", "sum(cost) < 0.1 EUR", 0.1, 0)
	f("target_cost < +5 % @main", "sum(target_cost) < +5 % @main", 0.05, 0)
	f("cost < +1 USD @main", "sum(cost) < +1 USD @main", 1, 0)
	f("carbon <= 0.2 kg", "sum(carbon) <= 0.2 kg", 200, 0)
	f("cpu_utilization > -5 % @main", "mean(cpu_utilization) > -5 % @main", -0.05, 0)
}

// The whole error is compared: what is wrong, the way out, and the place.
func TestParseErrors(t *testing.T) {
	f := func(text, problem, carets string) {
		t.Helper()
		_, err := rule.Parse(text, datamodel.Catalogue())
		want := problem + "\n  " + text + "\n  " + carets
		e, ok := errors.AsType[*rule.Error](err)
		if !ok || err.Error() != want || e.Line() != problem || e.Text != text {
			t.Errorf("%q:\n%v\nwant\n%s", text, err, want)
		}
	}
	f("", "the rule is empty (example: energy <= 500 J)", "^")
	f("enrgy <= 500 J", `unknown metric "enrgy" (did you mean "energy"?)`, "^^^^^")
	f("max(memry) <= 500 J", `unknown metric "memry" (did you mean "memory"?)`, "    ^^^^^")
	f("elephants <= 5", `unknown metric "elephants" (docs/metrics.md lists all)`, "^^^^^^^^^")
	f("maxi(memory) < 2 GiB", `unknown function "maxi" (did you mean "max"?)`, "^^^^")
	f("percentile(memory) < 2 GiB", `unknown function "percentile" (known: sum, max, min, mean, last)`, "^^^^^^^^^^")
	f("<= 5 J", "the name of a metric is missing (example: energy <= 500 J)", "^")
	f("max() < 5 J", "the name of a metric is missing (example: energy <= 500 J)", "    ^")
	f("max(memory < 5 B", `")" is missing`, "           ^")
	f("energy", "a comparison is missing (one of < <= > >= == !=)", "      ^")
	f("energy 500 J", "a comparison is missing (one of < <= > >= == !=)", "       ^")
	f("energy = 500 J", `"=" is not a comparison (did you mean "=="?)`, "       ^")
	f("energy =< 500 J", `"=<" is not a comparison (did you mean "<="?)`, "       ^^")
	f("energy ≤ 500 J", `"≤" is not a comparison (did you mean "<="?)`, "       ^")
	f("energy <", "a number is missing (example: 10 J)", "        ^")
	f("energy < much", "a number is missing (example: 10 J)", "         ^")
	f("processes < many", "a number is missing (example: 10)", "            ^")
	f("energy < 500", "energy needs a unit (one of J, kJ, MJ, Wh, kWh)", "            ^")
	f("energy < 500 for 5 s", "energy needs a unit (one of J, kJ, MJ, Wh, kWh)", "             ^")
	f("cpu_utilization < 0.8", "cpu_utilization needs a unit (one of %)", "                     ^")
	f("energy < 500 GiB", "energy is not measured in GiB (one of J, kJ, MJ, Wh, kWh)", "             ^^^")
	f("memory < 2 gb", `unknown unit "gb" (did you mean "GB"?)`, "           ^^")
	f("memory < 2 KB", `unknown unit "KB" (did you mean "kB"?)`, "           ^^")
	f("memory < 2 elephants", `unknown unit "elephants" (one of B, kB, MB, GB, KiB, MiB, GiB)`, "           ^^^^^^^^^")
	f("processes < 2 threads", "processes is not measured in threads (one of processes)", "              ^^^^^^^")
	f("cost < 5", "cost needs a unit (a currency, such as EUR)", "        ^")
	f("cost < 5 J", "cost is not measured in J (a currency, such as EUR)", "         ^")
	f("cost < 5 %", "a percentage of cost needs a baseline (example: +5 % @main)", "       ^^^")
	f("energy < 5 EUR", "energy is not measured in EUR (one of J, kJ, MJ, Wh, kWh)", "           ^^^")
	f("energy < 1e999 J", "the number is too large", "         ^^^^^")
	f("energy < 500 J J", `"J" is too much`, "               ^")
	f("energy < 500 J 3 mJ", `"3 mJ" is too much`, "               ^^^^")
	f("wall_time < 5 s 3 min", `"3 min" is too much`, "                ^^^^^")
	f("disk.free[data] > 1 GB", "a path begins with / (example: disk.free[/data])", "          ^^^^")
	f("disk.free[] > 1 GB", "the name of a path is missing", "          ^")
	f("disk.free[/data > 1 GB", `"]" is missing`, "                      ^")
	f("survivors[train] == 0", "survivors takes no label", "         ^^^^^^^")
	f("wall_time < 5 % @main", "a change to a baseline needs a sign (example: +5 % @main)", "            ^^^")
	f("wall_time < +5 %", "a change needs a baseline (example: +5 % @main)", "            ^^^^")
	f("wall_time < -5 %", "a percentage of wall_time needs a baseline (example: -5 % @main)", "            ^^^^")
	f("wall_time < 5 %", "a percentage of wall_time needs a baseline (example: +5 % @main)", "            ^^^")
	f("wall_time < 5 s @", "the name of the baseline is missing (example: wall_time < +5 % @main)", "                ^")
	f("wall_time < +5 % @main for 5 s", "a comparison with a baseline has no duration", "                       ^^^^^^^")
	f("memory > 2 GB for", `"for" needs a duration (examples: 30 s, 5 min, 1h30m)`, "                 ^")
	f("memory > 2 GB for 5", `"for" needs a duration (examples: 30 s, 5 min, 1h30m)`, "                  ^")
	f("memory > 2 GB for -5s", `"for" needs a duration (examples: 30 s, 5 min, 1h30m)`, "                  ^^^")
	f("memory > 2 GB fro 5 s", `"fro 5 s" is too much`, "              ^^^^^^^")
}

// A text that would move the cursor is shown without doing so.
func TestErrorShowsAnyText(t *testing.T) {
	_, err := rule.Parse("energy\x1b[2J <\n5 \xff", datamodel.Catalogue())
	if err == nil || strings.Contains(err.Error(), "\x1b") || !utf8.ValidString(err.Error()) || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%q", err)
	}
}

// values makes Values of a table: term, then "@baseline" if there is one.
func values(table map[string]datamodel.Metric) rule.Values {
	return func(term rule.Term, baseline string) datamodel.Metric {
		name := term.String()
		if baseline != "" {
			name += " @" + baseline
		}
		return table[name]
	}
}

func TestCheck(t *testing.T) {
	joules := func(v float64) datamodel.Metric { return datamodel.Metric{Value: v, Unit: units.Joule} }
	seconds := func(v float64) datamodel.Metric { return datamodel.Metric{Value: v, Unit: units.Second} }
	get := values(map[string]datamodel.Metric{
		"sum(energy)":          joules(500),
		"sum(energy[train])":   joules(0),
		"max(wall_time)":       seconds(105),
		"max(wall_time) @main": seconds(100),
		"max(wall_time) @zero": seconds(0),
		"max(wall_time) @none": datamodel.Missing(datamodel.WallTime, units.Second, "no run is tagged none"),
		"sum(target_energy)":   datamodel.Missing(datamodel.TargetEnergy, units.Joule, "no energy counter"),
		"sum(net_energy)":      {Value: math.NaN(), Unit: units.Joule},
		"max(peak_memory)":     joules(1),
		"sum(cost)":            {Value: 0.2, Unit: "{EUR}"},
		"sum(cost) @main":      {Value: 0.1, Unit: "{EUR}"},
		"sum(cost) @abroad":    {Value: 0.1, Unit: "{USD}"},
	})
	f := func(text string, verdict rule.Verdict, shown string) {
		t.Helper()
		r := parse(t, text)
		o := r.Check(get)
		if o.Verdict != verdict || o.Show(r) != shown || (o.Reason == "") != (verdict != rule.Unknown) {
			t.Errorf("%s: %v %q %q, want %v %q", text, o.Verdict, o.Reason, o.Show(r), verdict, shown)
		}
	}
	f("energy <= 500 J", rule.Holds, "500 J <= 500 J")
	f("energy < 500 J", rule.Broken, "500 J, not < 500 J")
	f("energy >= 0.5 kJ", rule.Holds, "500 J >= 500 J")
	f("energy > 500 J", rule.Broken, "500 J, not > 500 J")
	f("energy == 500 J", rule.Holds, "500 J == 500 J")
	f("energy != 500 J", rule.Broken, "500 J, not != 500 J")
	f("energy[train] < 1 J", rule.Holds, "0 J < 1.00 J")
	f("wall_time < +5 % @main", rule.Broken, "1 min 45.0 s, not < 1 min 45.0 s")
	f("wall_time <= +5 % @main", rule.Holds, "1 min 45.0 s <= 1 min 45.0 s")
	f("wall_time < +6 s @main", rule.Holds, "1 min 45.0 s < 1 min 46.0 s")
	f("wall_time < -1 % @main", rule.Broken, "1 min 45.0 s, not < 1 min 39.0 s")
	f("wall_time <= +5 % @zero", rule.Broken, "1 min 45.0 s, not <= 0 s")
	f("wall_time <= +5 % @none", rule.Unknown, "unknown: baseline none: no run is tagged none")
	f("target_energy < 1 J", rule.Unknown, "unknown: no energy counter")
	f("net_energy < 1 J", rule.Unknown, "unknown: there is no value")
	f("cost < 0.1 EUR", rule.Broken, "0.200 EUR, not < 0.100 EUR")
	f("cost < +5 % @main", rule.Broken, "0.200 EUR, not < 0.105 EUR")
	f("cost < 0.1 USD", rule.Unknown, `unknown: the value is in "{EUR}", the rule in "{USD}"`)
	f("cost < +5 % @abroad", rule.Unknown, "unknown: baseline abroad: the value is in USD, this one in EUR")
	f("peak_memory < 1 B", rule.Unknown, `unknown: the value is in "J", the rule in "By"`)
}

func TestWatch(t *testing.T) {
	nan := math.NaN()
	f := func(text string, at []int, readings []float64, want string) {
		t.Helper()
		w := parse(t, text).Watch()
		got := ""
		for i, v := range readings {
			got += w.See(time.Duration(at[i])*time.Second, v).String()[:1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	at := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	f("power > 5 W", at, []float64{4, 6, 4, nan, 6}, "bhbuh")
	f("power > 5 W for 2 s", at, []float64{6, 6, 6, 4, 6, 4, 4, 4, 6, 6}, "uuhhhhhbbb")
	f("power > 5 W for 2 s", at, []float64{4, 6, 4, 6, 4, 6}, "uuuuuu")
	f("power > 5 W for 2 s", at, []float64{6, nan, 6, nan, nan, nan, 6, 6, 6}, "uuhhuuuuh") // a gap is bridged, a long one is not
	f("power > 5 W for 2 s", at, []float64{nan, nan, nan, 4, 4, 4}, "uuuuub")
	f("power > 5 W for 2 s", []int{0, 3, 2, 4}, []float64{6, 6, 4, 6}, "uhhh") // a time that goes back is ignored
	f("power > 5 W for 2 s", []int{0, 10}, []float64{6, 6}, "uh")
}

// No rule and no order of readings makes a Watch count a verdict that has not lasted.
func FuzzWatch(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, readings []byte, d uint8) {
		r := parse(t, "power > 5 W")
		r.For = time.Duration(d%8) * time.Second
		w := r.Watch()
		type seen struct {
			at time.Duration
			v  rule.Verdict
		}
		var known []seen
		verdict := rule.Unknown
		for i, b := range readings {
			at := time.Duration(i) * time.Second
			value := map[byte]float64{0: 4, 1: 6, 2: math.NaN()}[b%3]
			now := w.See(at, value)
			if b%3 != 2 {
				known = append(known, seen{at, map[byte]rule.Verdict{0: rule.Broken, 1: rule.Holds}[b%3]})
			}
			if now != verdict && now != rule.Unknown {
				since := at
				for j := len(known) - 1; j >= 0 && known[j].v == now; j-- {
					since = known[j].at
				}
				if at-since < r.For {
					t.Fatalf("%v after %v, for %v", now, at-since, r.For)
				}
			}
			verdict = now
		}
	})
}

// FuzzParse holds that the parser takes any text, shows a place within it, and reads back what it has written.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"energy <= 500 J", "max(memory) < 2 GiB for 30 s", `disk.free["/a]\t"] > 10 GB`, "wall_time < +5 % @main", "energy[",
		"wall_time < 1 min 30 s for 1h", "processes == 1,000", "gpu.temperature > -5 °C", "energy <= -0 % @x", "memory < 1e300 PB",
		"energy[ tr\x1bain] <= 5 µJ", "power<1W for1s", "max(energy]) <",
	} {
		f.Add(text)
	}
	catalogue := datamodel.Catalogue()
	f.Fuzz(func(t *testing.T, text string) {
		r, err := rule.Parse(text, catalogue)
		if err != nil {
			e, ok := errors.AsType[*rule.Error](err)
			if !ok || e.Start < 0 || e.Start > e.End || e.End > len(text) || e.Problem == "" || strings.Count(e.Error(), "\n") != 2 {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		if math.IsNaN(r.Limit.Value) || math.IsInf(r.Limit.Value, 0) || r.For < 0 {
			t.Fatalf("%q: %+v", text, r)
		}
		again, err := rule.Parse(r.String(), catalogue)
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q is %q, which is %+v, %v, want %+v", text, r.String(), again, err, r)
		}
	})
}

// Every metric of the catalogue can be in a rule, by every aggregate, with each way to write its unit.
func TestEveryMetric(t *testing.T) {
	for _, d := range datamodel.Catalogue() {
		label := map[datamodel.LabelKind]string{datamodel.NoLabel: "", datamodel.PathLabel: "[/]"}
		l, ok := label[d.Labels]
		if !ok {
			l = "[x]"
		}
		for _, s := range units.Scales(d.Unit) {
			r := parse(t, d.Name+l+" < 3 "+s.Word)
			if r.Limit.Value != s.Base(3) || r.Unit != d.Unit || r.Aggregate != d.Aggregate {
				t.Errorf("%s in %s: %+v", d.Name, s.Word, r)
			}
		}
	}
}

// Every example of docs/rules.md is read as it says there, and every error is shown word for word.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, failures := 0, 0
	for i, block := range strings.Split(string(page), "```") {
		kind, text, _ := strings.Cut(block, "\n")
		text = strings.TrimSuffix(text, "\n")
		switch {
		case i%2 == 0: // between two blocks
		case kind == "rule":
			for line := range strings.Lines(text) {
				parse(t, strings.TrimSpace(line))
				rules++
			}
		case kind == "error":
			lines := strings.Split(text, "\n")
			if len(lines) != 3 {
				t.Fatalf("%q has not three lines", text)
			}
			if _, err := rule.Parse(strings.TrimPrefix(lines[1], "  "), datamodel.Catalogue()); err == nil || err.Error() != text {
				t.Errorf("the page has\n%s\nbut it is\n%v", text, err)
			}
			failures++
		}
	}
	if rules < 10 || failures < 5 {
		t.Errorf("%d rules, %d errors", rules, failures)
	}
}

func ExampleParse() {
	_, err := rule.Parse("max(memry) < 2 GiB", datamodel.Catalogue())
	fmt.Println(err)
	r, _ := rule.Parse("energy[train] <= 2 kJ", datamodel.Catalogue())
	fmt.Println(r, "means", r.Limit.Value, r.Unit)
	// Output:
	// unknown metric "memry" (did you mean "memory"?)
	//   max(memry) < 2 GiB
	//       ^^^^^
	// sum(energy[train]) <= 2 kJ means 2000 J
}

func ExampleRule_Check() {
	r, _ := rule.Parse("wall_time < +5 % @main", datamodel.Catalogue())
	now := map[string]float64{"": 21.4, "main": 20}
	outcome := r.Check(func(_ rule.Term, baseline string) datamodel.Metric {
		return datamodel.Metric{Value: now[baseline], Unit: units.Second}
	})
	fmt.Println(outcome.Verdict, "-", outcome.Show(r))
	// Output: broken - 21.4 s, not < 21.0 s
}

func ExampleWatch() {
	r, _ := rule.Parse("gpu.temperature > 85 °C for 2 s", datamodel.Catalogue())
	w := r.Watch()
	for second, celsius := range []float64{84, 86, 87, 88, 84} {
		fmt.Print(w.See(time.Duration(second)*time.Second, celsius), " ")
	}
	// Output: unknown unknown unknown holds holds
}
