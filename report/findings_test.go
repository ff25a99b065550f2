package report_test

import (
	"encoding/xml"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/units"
)

// findings has one finding of each state, with names that try to leave their place.
func findings() report.Findings {
	nan := math.NaN()
	return report.Findings{Title: "a | b\n# c", List: []report.Finding{
		{
			Subject: "make", Name: "wall_time < 10 s", State: report.Passes, Word: "kept", Text: "3.00 s < 10.0 s", Metric: "wall_time",
			Measure: "max(wall_time)", Value: 3.00049, Least: nan, Most: 10, Unit: units.Second,
		},
		{
			Subject: "x\n::error::y", Name: "energy <= 50 %,:|\r'=", State: report.Fails, Word: "broken", Text: "512 J,\nnot <= 500 J 100%", Metric: "energy",
			Measure: "sum(energy['=|\"])", Value: 512, Least: nan, Most: 500, Unit: units.Joule, Place: datamodel.Place{File: "a,b:c.yaml", Line: 12, Column: 5},
		},
		{Subject: "make", Name: "gpu_energy < 1 J", State: report.Undecided, Word: "unknown", Text: "no GPU", Metric: "gpu_energy", Value: nan, Least: nan, Most: 1},
		{
			Subject: "make", Name: "cpu_utilization > 50 %", State: report.Warns, Word: "broken", Text: "20 %", Metric: "cpu_utilization",
			Measure: "mean(cpu_utilization)", Value: 0.2, Least: 0.5, Most: nan, Unit: units.Ratio,
		},
	}}
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFindingsGitHub(t *testing.T) {
	want := `::error file=a%2Cb%3Ac.yaml,line=12,col=5,title=broken%3A energy <= 50 %25%2C%3A|\r'=::x\n::error::y: 512 J,\nnot <= 500 J 100%25
::warning title=broken%3A cpu_utilization > 50 %25::make: 20 %25
::warning title=unknown%3A gpu_energy < 1 J::make: no GPU
`
	if got := written(t, findings().WriteGitHub); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	strict := findings()
	strict.Strict = true
	if got := written(t, strict.WriteGitHub); !strings.Contains(got, "::error title=unknown") {
		t.Errorf("strict: %s", got)
	}
}

func TestFindingsMarkdown(t *testing.T) {
	got := written(t, findings().WriteMarkdown)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 8 { // a title, an empty line, two of the head, four findings
		t.Fatalf("%d lines:\n%s", len(lines), got)
	}
	for _, l := range lines[4:] {
		if n := strings.Count(strings.ReplaceAll(l, `\|`, ""), "|"); n != 5 {
			t.Errorf("%d bars in %s", n, l)
		}
	}
	if !strings.Contains(lines[4], "❌ broken") || !strings.Contains(lines[7], "✅ kept") {
		t.Errorf("the worst is not first:\n%s", got)
	}
	if got := written(t, report.Findings{Title: "x"}.WriteMarkdown); got != "" {
		t.Errorf("nothing found: %q", got)
	}
}

func TestFindingsJUnit(t *testing.T) {
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Type    string `xml:"type,attr"`
				Message string `xml:"message,attr"`
			} `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(written(t, findings().WriteJUnit)), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 4 || suite.Failures != 1 || suite.Skipped != 1 || suite.Cases[1].Failure.Type != "BudgetBroken" || suite.Cases[2].Skipped == nil ||
		!strings.Contains(suite.Cases[1].Failure.Message, "a,b:c.yaml:12") {
		t.Errorf("%+v", suite)
	}
}

func TestFindingsOpenMetrics(t *testing.T) {
	f := findings()
	f.List = append(f.List, f.List[0]) // nothing twice
	want := `# TYPE ergon_wall_time_seconds gauge
# UNIT ergon_wall_time_seconds seconds
ergon_wall_time_seconds{command="make",value="max(wall_time)"} 3
# TYPE ergon_verdict_good gauge
ergon_verdict_good{command="make",name="wall_time < 10 s"} 1
ergon_verdict_good{command="x\\n::error::y",name="energy <= 50 %,:|\\r'="} 0
ergon_verdict_good{command="make",name="cpu_utilization > 50 %"} 0
# TYPE ergon_energy_joules gauge
# UNIT ergon_energy_joules joules
ergon_energy_joules{command="x\\n::error::y",value="sum(energy['=|\"])"} 512
# TYPE ergon_cpu_utilization_ratio gauge
# UNIT ergon_cpu_utilization_ratio ratio
ergon_cpu_utilization_ratio{command="make",value="mean(cpu_utilization)"} 0.2
# EOF
`
	if got := written(t, f.WriteOpenMetrics); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestFindingsNagios(t *testing.T) {
	line, exit := findings().Nagios()
	want := `ERGON CRITICAL - x\n::error::y energy <= 50 %,:¦\r'=: 512 J,\nnot <= 500 J 100% | ` +
		`'make max(wall_time)'=3.00049s;;~:10 'x\n::error::y sum(energy[__¦"])'=512;;~:500 'make mean(cpu_utilization)'=20%;;50:`
	if line != want || exit != 2 {
		t.Errorf("%d\n%s\n%s", exit, line, want)
	}
	one := report.Findings{List: slices.Clone(findings().List[:1])} // a label stands there once, with the limit that is broken
	one.List = append(one.List, one.List[0])
	one.List[1].Most, one.List[1].State, one.List[1].Word = 2, report.Fails, "broken"
	if line, _ := one.Nagios(); line != "ERGON CRITICAL - wall_time < 10 s: 3.00 s < 10.0 s | 'max(wall_time)'=3.00049s;;~:2" {
		t.Error(line)
	}
	for state, want := range map[report.State]struct {
		word string
		exit int
	}{report.Passes: {"OK", 0}, report.Warns: {"WARNING", 1}, report.Fails: {"CRITICAL", 2}, report.Undecided: {"UNKNOWN", 3}} {
		line, exit := report.Findings{List: []report.Finding{{Name: "a", State: state, Text: "b", Value: math.NaN()}}}.Nagios()
		if line != "ERGON "+want.word+" - a: b" || exit != want.exit {
			t.Errorf("%v: %d %s", state, exit, line)
		}
	}
	if line, exit := (report.Findings{}).Nagios(); exit != 3 || !strings.Contains(line, "no budgets") {
		t.Errorf("no budgets: %d %s", exit, line)
	}
}

func TestChangeFindings(t *testing.T) {
	d, _ := datamodel.Lookup(datamodel.WallTime)
	figure := func(v compare.Verdict) compare.Figure {
		f := compare.Figure{Metric: d, Change: &compare.Change{Verdict: v}}
		f.N, f.Median.Value, f.Median.Low, f.Change.Ratio.Value, f.Change.Ratio.Low = 5, 2, math.NaN(), 1.5, math.NaN()
		return f
	}
	unmeasured := figure(compare.Inconclusive)
	unmeasured.N, unmeasured.Reason, unmeasured.Median.Value, unmeasured.Change.Ratio.Value = 0, "no meter", math.NaN(), math.NaN()
	sides := []compare.Side{
		{Command: datamodel.BenchCommand{Name: "base"}, Figures: []compare.Figure{{Metric: d}}},
		{Command: datamodel.BenchCommand{Name: "new"}, Figures: []compare.Figure{
			figure(compare.Regressed), figure(compare.Improved), figure(compare.Unchanged), figure(compare.Inconclusive), unmeasured,
		}},
	}
	var got []string
	for _, f := range report.ChangeFindings(sides) {
		got = append(got, f.Subject+" "+f.Name+" "+f.Word+" "+string(rune('0'+f.State))+" "+f.Text)
	}
	want := []string{
		"new wall time regressed 3 2.00 s, × 1.500  regressed", "new wall time improved 0 2.00 s, × 1.500  improved",
		"new wall time unchanged 0 2.00 s, × 1.500  unchanged", "new wall time inconclusive 1 2.00 s, × 1.500  inconclusive",
		"new wall time inconclusive 1 no meter",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if report.ChangeFindings(nil) != nil {
		t.Error("findings of nothing")
	}
}
