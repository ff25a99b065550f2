package report

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// hostileProgram is a name that would change each format if it came through as it is.
const hostileProgram = "<script>x</script>`|**\x1b[2J\n::error::=cmd"

// sides returns a comparison of a build: the energy rises by 20 %, a program takes more CPU time, and the machine differs.
func sides(rounds int, program string) Comparison {
	side := func(name, kernel string, factor float64) (s compare.Set) {
		s = compare.Set{Name: name, Runs: []datamodel.Run{{ID: "20261128T120000-" + name, Host: datamodel.HostInfo{CPU: "Xeon", Kernel: kernel}, Version: "1"}}}
		s.Commands = []datamodel.BenchCommand{{Name: "make " + program, Command: []string{"make", program}}}
		for i := range rounds {
			wobble := 1 + 0.01*float64((i*5)%7)
			m := datamodel.Value(datamodel.TargetEnergy, 155*factor*wobble, units.Joule, "sum", sensors.Attributed, "rapl")
			w := datamodel.Value(datamodel.WallTime, 10*wobble, units.Second, "delta", sensors.FromCounter, "clock")
			if i == 3 {
				m = m.Lacking("the counter stood still")
			}
			s.Rounds = append(s.Rounds, datamodel.Round{
				Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{w, m}, Conditions: []string{"steal"}[:i%2],
				Processes: []datamodel.Process{
					{Kind: datamodel.OneProcess, Name: program, Count: math.Round(170 * factor), CPUTime: 60 * factor * wobble, Energy: 120 * factor * wobble, Read: 1e8 * wobble, Written: math.NaN(), PeakMemory: 1e8},
					{Kind: datamodel.OneProcess, Name: "ld", Count: 3, CPUTime: 5 * wobble, Energy: 10, Read: 1e9 * wobble * factor, Written: math.NaN(), PeakMemory: 2e8},
				},
			})
		}
		return s
	}
	rule := compare.Rule{Confidence: 0.95, Threshold: 0.03, Thresholds: map[string]float64{datamodel.WallTime: 0.05}}
	metrics := []string{datamodel.WallTime, datamodel.TargetEnergy, datamodel.PeakMemory}
	return Comparison{
		Result: rule.Compare(compare.Request{Base: side("main", "6.1", 1), New: []compare.Set{side("new", "6.2", 1.2)}, Metrics: metrics, Asked: true}),
		Rule:   rule, Version: "1",
	}
}

func written(t *testing.T, c Comparison, format string, o Options) string {
	t.Helper()
	var b strings.Builder
	if err := c.Write(&b, format, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestComparisonText(t *testing.T) {
	want := `regressed

base  main, run 0-main, 10 rounds
new   new, run 00-new, 10 rounds

make cc1
                           base       new  new/base  interval
  wall time              10.3 s    10.3 s  × 1.000  0.981 … 1.020 unchanged
  energy                  160 J     192 J  × 1.200  1.176 … 1.224 regressed
  peak memory         not measured on either side
  rounds: 10 and 10; energy in 9 and 9
  a change would be found from wall time 5.84 %, energy 3.85 % on
  why: +31.9 J: ` + "`cc1`" + ` +12.4 s CPU (+24.7 J), 170 → 204 starts; ` + "`ld`" + ` reads +196
       MiB
! base: steal in 5 of 10 rounds
! new: steal in 5 of 10 rounds
! not the same kernel: 6.1 on the base side, 6.2 on the new side
`
	if got := written(t, sides(10, "cc1"), "text", Options{Width: 80, Unicode: true}); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	one := written(t, sides(1, "cc1"), "text", Options{Width: 80, Unicode: true})
	for _, part := range []string{"inconclusive\n", "one round has no interval", "rounds a side needed, at least: wall time 5, energy 5", "too few to know whether this is noise"} {
		if !strings.Contains(strings.Join(strings.Fields(one), " "), strings.Join(strings.Fields(part), " ")) {
			t.Errorf("one round lacks %q:\n%s", part, one)
		}
	}
}

func TestComparisonHostile(t *testing.T) {
	c := sides(10, hostileProgram)
	text := written(t, c, "text", Options{Width: 80})
	for line := range strings.Lines(text) {
		if columns(line) > 81 || strings.ContainsAny(line, "\x1b\r") {
			t.Errorf("text: %q", line)
		}
	}
	for _, r := range text {
		if r > 126 {
			t.Errorf("%q is no ASCII", r)
		}
	}
	if page := written(t, c, "html", Options{}); strings.Contains(page, "<script>x") || strings.Contains(page, "\x1b") || !strings.Contains(page, "&lt;script&gt;x") {
		t.Error("page: the name is not escaped")
	}
	if strings.Contains(written(t, c, "github", Options{}), "\n::error::=cmd") {
		t.Error("github: the name is a command of its own")
	}
	md := written(t, c, "markdown", Options{})
	if strings.Contains(md, "\n::error") || strings.Contains(md, "\x1b") {
		t.Errorf("markdown: %s", md)
	}
	if rows, err := csv.NewReader(strings.NewReader(written(t, c, "csv", Options{}))).ReadAll(); err != nil || len(rows) != 4 {
		t.Errorf("csv: %v, %v", rows, err)
	}
}

// TestComparisonJSON checks the JSON of comparisons with and without intervals, and without a base, against the schema.
func TestComparisonJSON(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("ergon.compare-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var none strings.Builder
	if err := WriteNoBase(&none, "json", "no runs", "1"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{written(t, sides(10, hostileProgram), "json", Options{}), written(t, sides(1, "cc1"), "json", Options{}), none.String()} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	var got struct {
		Verdict     string
		Comparisons []struct {
			Metrics map[string]struct {
				Verdict         string
				Ratio, Low, P   *float64
				N               int
				Base, Threshold float64
			}
			Cause struct {
				Tested   bool
				Programs []struct{ Name string }
			}
		}
	}
	if err := json.Unmarshal([]byte(written(t, sides(10, "cc1"), "json", Options{})), &got); err != nil {
		t.Fatal(err)
	}
	m := got.Comparisons[0].Metrics
	if e := m[datamodel.TargetEnergy]; got.Verdict != "regressed" || e.Verdict != "regressed" || e.N != 9 || math.Abs(*e.Ratio-1.2) > 1e-9 || e.Base < 155 || e.Threshold != 0.03 {
		t.Errorf("%+v", got)
	}
	if m[datamodel.WallTime].Threshold != 0.05 || m[datamodel.PeakMemory].Ratio != nil || !got.Comparisons[0].Cause.Tested || got.Comparisons[0].Cause.Programs[0].Name != "cc1" {
		t.Errorf("%+v", got)
	}
}

func TestComparisonFindings(t *testing.T) {
	c := sides(10, "cc1")
	f := c.Findings()
	if len(f.List) != 3 || f.Worst() != Fails || f.List[1].State != Fails || !strings.Contains(f.List[1].Text, "why: +31.9 J: `cc1`") || f.List[2].State != Undecided {
		t.Errorf("%+v", f)
	}
	for _, format := range CompareFormats() {
		if text := written(t, c, format, Options{Unicode: true}); strings.Contains(text, "NaN") && format != "html" || strings.Contains(text, "NaN\"") {
			t.Errorf("%s has NaN", format)
		}
		var none strings.Builder
		if err := WriteNoBase(&none, format, "no runs", "1"); err != nil || none.Len() == 0 {
			t.Errorf("%s: %v, %q", format, err, none.String())
		}
	}
}
