package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
)

// oneRound is a benchmark of two commands with one round each. The second command lacks the CPU time and the peak memory.
func oneRound(first, second string) Bench {
	metrics := []string{datamodel.WallTime, datamodel.CPUTime, datamodel.CPUUserTime, datamodel.PeakMemory}
	round := func(command int, values ...float64) datamodel.Round {
		r := datamodel.Round{Command: command}
		for i, v := range values {
			r.Metrics = append(r.Metrics, datamodel.Metric{Name: metrics[i], Value: v})
		}
		return r
	}
	b := datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: first}, {Name: second}},
		Rounds:   []datamodel.Round{round(0, 0.5, 0.25, 0.125, 4096), round(1, 2, math.NaN())},
	}
	rule := compare.Rule{Confidence: 0.95}
	return Bench{Bench: b, Sides: rule.Sides(b, metrics, true), Rule: rule, Version: "test"}
}

// TestBenchSchema checks the JSON of a bench against the schema that the program has.
func TestBenchSchema(t *testing.T) {
	file, err := os.ReadFile("ergon.bench-1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema", text); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema")
	if err != nil {
		t.Fatal(err)
	}
	b := oneRound("first", "second")
	b.Order, b.Ended = datamodel.Shuffled, datamodel.BenchComplete
	b.Sides[0].Command.Parameters = []datamodel.Parameter{{Name: "level", Value: "6"}}
	b.Sides[1].Command.Work = &datamodel.Work{Amount: 1e6, Unit: "requests"}
	written := exported(t, b, "json")
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%v\n%s", err, written)
	}
	var got struct {
		Commands []struct{ Parameters []map[string]string }
	}
	if err := json.Unmarshal([]byte(written), &got); err != nil {
		t.Fatal(err)
	}
	if p := got.Commands[0].Parameters; len(p) != 1 || p[0]["name"] != "level" || p[0]["value"] != "6" {
		t.Errorf("the parameters are %v", p)
	}
}

func exported(t *testing.T, b Bench, format string) string {
	t.Helper()
	var out strings.Builder
	if err := b.Write(&out, format, Options{}); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return out.String()
}

// TestBenchExports reads what other tools get of commands with hostile names, one round and missing metrics.
func TestBenchExports(t *testing.T) {
	for _, name := range []string{"sleep 1", "</testsuite>\"'&", "a\nb\x1b[31m\x00", "état", "\xff"} {
		b := oneRound(name, "second")

		var hyperfine struct {
			Results []struct {
				Mean, Stddev, User *float64
				Times              []float64
				Memory             []int64 `json:"memory_usage_byte"`
			}
		}
		if err := json.Unmarshal([]byte(exported(t, b, "hyperfine")), &hyperfine); err != nil || len(hyperfine.Results) != 2 {
			t.Fatalf("%q: hyperfine: %v, %+v", name, err, hyperfine)
		}
		if r := hyperfine.Results[0]; *r.Mean != 0.5 || r.Stddev != nil || *r.User != 0.125 || len(r.Times) != 1 || len(r.Memory) != 1 {
			t.Errorf("%q: hyperfine has %+v", name, r)
		}
		if r := hyperfine.Results[1]; r.User != nil || r.Memory != nil {
			t.Errorf("%q: hyperfine has values of missing metrics: %+v", name, r)
		}

		var lines []string
		for line := range strings.Lines(exported(t, b, "gobench")) {
			if strings.HasPrefix(line, "Benchmark") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if len(lines) != 2 || !strings.HasSuffix(lines[0], " 1 500000000 ns/op 250000000 cpu-ns/op 0.125 cpu-user-time-s/op 4096 peak-B/op") || lines[1] != "BenchmarkSecond 1 2000000000 ns/op" {
			t.Errorf("%q: gobench has %q", name, lines)
		}
		if len(lines) > 0 && len(strings.Fields(lines[0])) != 10 {
			t.Errorf("%q: the name is not one word: %q", name, lines[0])
		}

		var github []struct{ Name, Range string }
		if err := json.Unmarshal([]byte(exported(t, b, "github")), &github); err != nil || len(github) != 5 {
			t.Errorf("%q: github: %v, %+v", name, err, github)
		}
		var bencher map[string]map[string]struct{ Value float64 }
		if err := json.Unmarshal([]byte(exported(t, b, "bencher")), &bencher); err != nil || len(bencher["second"]) != 1 || bencher["second"]["latency"].Value != 2e9 {
			t.Errorf("%q: bencher: %v, %+v", name, err, bencher)
		}
		var junit struct {
			Skipped int `xml:"skipped,attr"`
			Cases   []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		}
		if err := xml.Unmarshal([]byte(exported(t, b, "junit")), &junit); err != nil || len(junit.Cases) != 8 || junit.Skipped != 4 {
			t.Errorf("%q: junit: %v, %+v", name, err, junit)
		}
	}
	if got := benchName("état"); got != "État" {
		t.Errorf("the benchmark is called %q", got)
	}
}
