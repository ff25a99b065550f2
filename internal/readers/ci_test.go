package readers

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// consumers reads the files of CI systems with libraries that read them elsewhere, and prints what they hold.
const consumers = `
import json, sys
import junitparser, nagiosplugin
from prometheus_client.openmetrics.parser import text_string_to_metric_families

out = {"junit": {}, "metrics": {}, "nagios": []}
for path in sys.argv[1:3]:
    suites = junitparser.JUnitXml.fromfile(path)
    suite = suites if isinstance(suites, junitparser.TestSuite) else list(suites)[0]
    counted = {"tests": suite.tests, "failures": suite.failures, "skipped": suite.skipped, "errors": suite.errors}
    suite.update_statistics()
    assert counted == {"tests": suite.tests, "failures": suite.failures, "skipped": suite.skipped, "errors": suite.errors}, counted
    for case in suite:
        result = [type(r).__name__ for r in case.result]
        out["junit"][case.classname + " " + case.name] = result[0] if result else "Passed"
for path in sys.argv[3:5]:
    seen = set()
    with open(path) as f:
        for family in text_string_to_metric_families(f.read()):
            for sample in family.samples:
                key = sample.name + " " + " ".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                assert key not in seen, key
                seen.add(key)
                out["metrics"][key] = sample.value
with open(sys.argv[5]) as f:
    state, data = f.read().strip().split(" | ")
    import re
    for label, value, critical in re.findall(r"'([^'=]*)'=(-?[0-9.]+)(?:s|B|%)?(?:;;([^ ]*))?", data):
        broken = bool(critical) and not nagiosplugin.Range(critical).match(float(value))
        out["nagios"].append([label, float(value), broken])
json.dump(out, sys.stdout)
`

// judged is a run with a budget of each verdict, whose names try to leave their place.
func judged() datamodel.Result {
	const name = "sh -c 'echo \"<&]]>\" \\ | x'\n\x1b[2J"
	value := func(v float64) *float64 { return &v }
	budget := func(rule, metric, comparison string, verdict datamodel.BudgetVerdict, v, limit *float64, u units.Unit) datamodel.Budget {
		return datamodel.Budget{
			Rule: rule, Metric: metric, Aggregate: datamodel.Sum, Comparison: comparison, Verdict: verdict, Limit: limit, Reason: "no \"meter\" <&>\n",
			Measured: datamodel.Figure{Value: v, Unit: u, Provenance: sensors.FromCounter}, Place: datamodel.Place{File: "ergon.yaml", Line: 3, Column: 5},
		}
	}
	wall := 1.25
	return datamodel.Result{
		Run: datamodel.Run{
			ID: "x", Command: []string{"sh", "-c", name}, Outcome: datamodel.Done, WallTime: &wall, ExitCode: new(int),
			Budgets: []datamodel.Budget{
				budget("energy <= 500 J", datamodel.Energy, "<=", datamodel.BudgetBroken, value(512.4), value(500), units.Joule),
				budget("wall_time < 10 s", datamodel.WallTime, "<", datamodel.BudgetKept, value(1.25), value(10), units.Second),
				budget("cpu_utilization > 50 %", datamodel.CPUUtilization, ">", datamodel.BudgetBroken, value(0.2), value(0.5), units.Ratio),
				budget("disk.free[/\"odd' =|] > 1 GB", "disk.free", ">", datamodel.BudgetKept, value(2e9), value(1e9), units.Byte),
				budget("gpu_energy < 1 J", datamodel.GPUEnergy, "<", datamodel.BudgetUnknown, nil, value(1), units.Joule),
			},
		},
		Summary: []datamodel.Metric{datamodel.Value(datamodel.Energy, 512.4, units.Joule, "sum", sensors.FromCounter, "test")},
	}
}

// TestCI checks that libraries of others read what ergon writes for CI systems, and find the same verdicts and values in it.
func TestCI(t *testing.T) {
	interpreter := python(t)
	dir := t.TempDir()
	r := judged()
	findings := report.BudgetFindings(r.Run, false)
	var files []string
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"findings.xml", findings.WriteJUnit},
		{"run.xml", func(w io.Writer) error { return report.WriteJUnit(w, r, report.Options{}) }},
		{"findings.prom", findings.WriteOpenMetrics},
		{"run.prom", func(w io.Writer) error { return report.WriteOpenMetrics(w, r, report.Options{}) }},
		{"nagios.txt", func(w io.Writer) error {
			line, exit := findings.Nagios()
			if exit != 2 || strings.Contains(line, "\n") {
				t.Errorf("nagios: %d %q", exit, line)
			}
			_, err := io.WriteString(w, line+"\n")
			return err
		}},
	} {
		path := filepath.Join(dir, f.name)
		var b strings.Builder
		if err := f.write(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	c := exec.CommandContext(t.Context(), interpreter, append([]string{"-c", consumers}, files...)...)
	text, err := c.Output()
	if err != nil {
		said := ""
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			said = string(e.Stderr)
		}
		t.Fatalf("%v: %s", err, said)
	}
	var got struct {
		JUnit   map[string]string
		Metrics map[string]float64
		Nagios  [][3]any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, word := range got.JUnit {
		count[word]++
	}
	// A case for each of five budgets in both files, which have the same names, and one for the command.
	if count["Failure"] != 2 || count["Skipped"] != 1 || count["Passed"] != 3 {
		t.Errorf("junit: %v", got.JUnit)
	}
	find := func(begin string) float64 {
		for key, v := range got.Metrics {
			if strings.HasPrefix(key, begin) {
				return v
			}
		}
		return math.NaN()
	}
	if find("ergon_energy_joules command=") != 512 || find("ergon_wall_time_seconds ") != 1.25 || find("ergon_disk_free_bytes ") != 2e9 {
		t.Errorf("metrics: %v", got.Metrics)
	}
	if len(got.Nagios) != 4 {
		t.Fatalf("nagios: %v", got.Nagios)
	}
	for i, broken := range []bool{true, false, true, false} {
		if got.Nagios[i][2] != broken {
			t.Errorf("nagios: %v, broken should be %v", got.Nagios[i], broken)
		}
	}
}
