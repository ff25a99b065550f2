package readers

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
)

// oddName is a name of a command that tries to leave its place in each format.
const oddName = `zstd "a" <&> 'b', | ]]> {n}`

// exportedBench exports a bench of two commands with twelve rounds each into a folder. The second command takes 10 % longer. Its
// peak memory is missing in a round.
func exportedBench(t *testing.T) (dir string, b report.Bench) {
	t.Helper()
	made := datamodel.Bench{
		Ended: datamodel.BenchComplete, Order: datamodel.Shuffled,
		Commands: []datamodel.BenchCommand{
			{Name: "gzip -k file", Command: []string{"gzip", "-k", "file"}, Parameters: []datamodel.Parameter{{Name: "level", Value: "6"}}},
			{Name: oddName, Command: []string{"zstd"}, Parameters: []datamodel.Parameter{{Name: "level", Value: "9"}}},
		},
	}
	for i := range 12 {
		for c := range made.Commands {
			wall := (1 + 0.01*float64(i%4)) * (1 + 0.1*float64(c))
			memory := datamodel.Value(datamodel.PeakMemory, float64(c+1)*1e6+float64(i), "By", "max", sensors.FromCounter, "test")
			if c == 1 && i == 3 {
				memory = datamodel.Missing(datamodel.PeakMemory, "By", "no counter")
			}
			made.Rounds = append(made.Rounds, datamodel.Round{Command: c, Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{
				datamodel.Value(datamodel.WallTime, wall, "s", "", sensors.FromCounter, "test"),
				datamodel.Value(datamodel.CPUTime, wall/2, "s", "", sensors.FromCounter, "test"),
				datamodel.Value(datamodel.CPUUserTime, wall/4, "s", "", sensors.FromCounter, "test"),
				datamodel.Value(datamodel.CPUSystemTime, wall/4, "s", "", sensors.FromCounter, "test"),
				memory,
			}})
		}
	}
	rule := compare.Rule{Confidence: 0.95, Threshold: 0.03}
	b = report.Bench{Bench: made, Sides: rule.Sides(made, compare.DefaultMetrics(), false), Rule: rule, Version: "test"}
	dir = t.TempDir()
	for _, of := range report.BenchFormats() {
		format := of.Name
		var out bytes.Buffer
		if err := b.Write(&out, format, report.Options{}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, format), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, b
}

// TestBenchstat lets benchstat, of the version that go.mod names, read Go's benchmark text.
func TestBenchstat(t *testing.T) {
	testenv.Long(t)
	dir, _ := exportedBench(t)
	program := filepath.Join(t.TempDir(), "benchstat")
	if out, err := exec.Command("go", "build", "-o", program, "golang.org/x/perf/cmd/benchstat").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(program, "-format", "csv", filepath.Join(dir, "gobench")).Output()
	if err != nil {
		t.Fatal(err)
	}
	// One table a unit. benchstat makes sec of ns.
	for _, want := range []string{",sec/op,CI", ",cpu-sec/op,CI", ",peak-B/op,CI", "Gzip_-k_file,1.015", "Gzip_-k_file,0.5075", "Gzip_-k_file,1.0000055e+06,"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in what benchstat says:\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), "Zstd"); n != 3 {
		t.Errorf("the second command is in %d of 3 tables:\n%s", n, out)
	}
}

// benchConsumers reads exports as the tools do that they are for, and prints what it finds.
const benchConsumers = `
import json, math, sys
import junitparser, numpy, pandas

out = {}
with open("hyperfine") as f:
    results = json.load(f)["results"]
commands = [b["command"] for b in results]
out["commands"] = commands
for b in results:
    times = b["times"]
    assert math.isclose(numpy.mean(times), b["mean"]) and math.isclose(numpy.std(times, ddof=1), b["stddev"])
    assert math.isclose(numpy.median(times), b["median"]) and min(times) == b["min"] and max(times) == b["max"]
    assert len(times) == len(b["exit_codes"]) == 12 and isinstance(b["user"], float) and isinstance(b["system"], float)
    float(b["parameters"]["level"])
table = pandas.read_csv("csv")
out["csv"] = [len(table), sorted(set(table["metric"])), table.loc[table["metric"] == "wall_time", "median"].tolist(), table["ratio"].notna().sum().item()]
suites = junitparser.JUnitXml.fromfile("junit")
suite = suites if isinstance(suites, junitparser.TestSuite) else list(suites)[0]
counted = (suite.tests, suite.failures, suite.skipped)
suite.update_statistics()
assert counted == (suite.tests, suite.failures, suite.skipped), counted
out["junit"] = [suite.tests, suite.failures, sorted({case.classname for case in suite})]
with open("markdown") as f:
    lines = f.read().splitlines()
out["markdown"] = sorted({line.replace("\\|", "").count("|") for line in lines})
json.dump(out, sys.stdout)
`

// TestBenchConsumers reads the exports with pandas, numpy and junitparser. The lines about hyperfine's JSON do what the scripts in
// hyperfine's repository do: they take command, times, mean and so on of each result, and the parameters as numbers.
func TestBenchConsumers(t *testing.T) {
	interpreter := python(t)
	if out, err := exec.Command(interpreter, "-c", "import junitparser").CombinedOutput(); err != nil {
		testenv.Lacks(t, testenv.Readers, "junitparser: "+strings.TrimSpace(string(out)))
	}
	dir, b := exportedBench(t)
	cmd := exec.Command(interpreter, "-c", benchConsumers)
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
			t.Fatalf("%v: %s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var got struct {
		Commands []string
		CSV      []json.RawMessage
		JUnit    []json.RawMessage
		Markdown []int
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	names := []string{b.Commands[0].Name, b.Commands[1].Name}
	if !slices.Equal(got.Commands, names) {
		t.Errorf("hyperfine's JSON has the commands %q", got.Commands)
	}
	if want := `[6, ["cpu_time", "peak_memory", "wall_time"], [1.015, 1.1165], 3]`; !sameJSON(t, got.CSV, want) {
		t.Errorf("pandas finds %s, want %s", got.CSV, want)
	}
	cases, _ := json.Marshal([]any{6, 3, []string{names[0], names[1]}})
	if !sameJSON(t, got.JUnit, string(cases)) {
		t.Errorf("junitparser finds %s, want %s", got.JUnit, cases)
	}
	if len(got.Markdown) != 1 {
		t.Errorf("the lines of the Markdown table have %v bars", got.Markdown)
	}
}

func sameJSON(t *testing.T, got []json.RawMessage, want string) bool {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return equalJSON(a, b)
}

// equalJSON compares what encoding/json has read. Numbers may differ in the last digits.
func equalJSON(a, b any) bool {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equalJSON)
	case float64:
		y, ok := b.(float64)
		return ok && math.Abs(x-y) < 1e-9
	}
	return a == b
}

// TestBenchSchemas holds exports against what their readers document: https://bencher.dev/docs/reference/bencher-metric-format
// (names of at most 1024 characters, measures of at most 64) and the custom benchmarks of github-action-benchmark. No registry
// has a program that reads them without the service.
func TestBenchSchemas(t *testing.T) {
	dir, _ := exportedBench(t)
	number := map[string]any{"type": "number"}
	text := map[string]any{"type": "string"}
	for format, schema := range map[string]any{
		"bencher": map[string]any{
			"type": "object", "minProperties": 2, "propertyNames": map[string]any{"minLength": 1, "maxLength": 1024},
			"additionalProperties": map[string]any{
				"type": "object", "minProperties": 1, "required": []any{"latency"}, "propertyNames": map[string]any{"pattern": "^[a-z][a-z0-9-]{0,63}$"},
				"additionalProperties": map[string]any{
					"type": "object", "required": []any{"value"}, "additionalProperties": false,
					"properties": map[string]any{"value": number, "lower_value": number, "upper_value": number},
				},
			},
		},
		"github": map[string]any{
			"type": "array", "minItems": 6, "items": map[string]any{
				"type": "object", "required": []any{"name", "unit", "value"}, "additionalProperties": false,
				"properties": map[string]any{"name": text, "unit": text, "value": number, "range": text, "extra": text},
			},
		},
	} {
		c := jsonschema.NewCompiler()
		if err := c.AddResource(format, schema); err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile(format)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(dir, format))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", format, err, file)
		}
	}
}

// TestAsHyperfine compares our file for hyperfine's readers with one that hyperfine itself writes: each key of a result is there,
// with the same type.
func TestAsHyperfine(t *testing.T) {
	program, err := exec.LookPath("hyperfine")
	if err != nil {
		testenv.Lacks(t, testenv.Readers, "hyperfine")
	}
	dir, _ := exportedBench(t)
	theirs := filepath.Join(dir, "theirs")
	if out, err := exec.Command(program, "--runs", "2", "--warmup", "1", "-N", "-L", "level", "1,2", "--export-json", theirs, "sleep 0.00{level}").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	results := func(path string) []map[string]any {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Results []map[string]any }
		if err := json.Unmarshal(text, &file); err != nil || len(file.Results) != 2 {
			t.Fatalf("%v: %s", err, text)
		}
		return file.Results
	}
	ours := results(filepath.Join(dir, "hyperfine"))[0]
	for key, value := range results(theirs)[0] {
		if kind(ours[key]) != kind(value) {
			t.Errorf("%s: hyperfine has %v, we have %v", key, value, ours[key])
		}
	}
}

// kind names the type of what encoding/json has read, with that of its elements.
func kind(v any) string {
	switch v := v.(type) {
	case float64:
		return "number"
	case string:
		return "text"
	case []any:
		if len(v) > 0 {
			return "list of " + kind(v[0])
		}
	case map[string]any:
		return "mapping"
	case nil:
		return "nothing"
	}
	return "other"
}
