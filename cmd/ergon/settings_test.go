package main

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/backend"
)

// TestLayers settles the options of a run from all layers, with a settings file in memory.
func TestLayers(t *testing.T) {
	o := defaultRunOptions()
	options := o.table(backend.All())
	file := layer{inFile, []setting{
		{option: "project", given: "from-file", place: "ergon.yaml:1"},
		{option: "results", given: "from-file", place: "ergon.yaml:2"},
		{option: "interval", given: "1s", place: "ergon.yaml:3"},
		{option: "env", given: "A", place: "ergon.yaml:4"},
		{option: "env", given: "B", place: "ergon.yaml:5"},
		{option: "timeout", given: "soon", place: "ergon.yaml:6"}, // overridden: it is not looked at
	}}
	variables := map[string]string{"ERGON_RESULTS": "from-environment", "ERGON_ESTIMATE": "", "ERGON_UNKNOWN": "x"}
	line, err := parse([]string{"ergon", "--timeout", "5s", "--interval", "nvml=500ms", "--interval", "cpu=1s", "true"},
		(&program{backends: backend.All()}).commands())
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	if err := options.settle(file, environmentOf(options, lookup), line.options); err != nil {
		t.Fatal(err)
	}
	want := defaultRunOptions()
	want.Project, want.Results, want.Env, want.Timeout = "from-file", "from-environment", []string{"A", "B"}, 5*time.Second
	want.Timed = true // an interval was given
	want.Intervals = map[string]time.Duration{"nvml": 500 * time.Millisecond, "cpu": time.Second}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got  %+v\nwant %+v", o, want)
	}
	for name, from := range map[string]origin{
		"project": {inFile, "ergon.yaml:1"}, "results": {environment, "ERGON_RESULTS"}, "interval": {commandLine, "--interval"},
		"timeout": {commandLine, "--timeout"}, "quiet": {}, "estimate": {},
	} {
		if got := options.find(name).from; got != from {
			t.Errorf("%s comes from %+v, want %+v", name, got, from)
		}
	}
}

// TestWrongSettings: the error begins with the place that the user can change.
func TestWrongSettings(t *testing.T) {
	f := func(l layer, want string) {
		t.Helper()
		o := defaultRunOptions()
		err := o.table(backend.All()).settle(l)
		if _, ok := errors.AsType[*usage](err); !ok || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(layer{inFile, []setting{{option: "timeout", given: "soon", place: "ergon.yaml:6"}}}, `ergon.yaml:6: invalid duration "soon" (examples: 5s, 10m, 1h30m)`)
	f(layer{environment, []setting{{option: "estimate", given: "perhaps", place: "ERGON_ESTIMATE"}}}, `ERGON_ESTIMATE: invalid value "perhaps" (true or false)`)
	f(layer{commandLine, []setting{{option: "results", given: "", place: "-o"}}}, `-o: no folder given`)
	f(layer{commandLine, []setting{{option: "interval", given: "1s", place: "-interval"}, {option: "interval", given: "cpu=2s,3s", place: "-interval"}}},
		`-interval: given twice for all sources (SOURCE=1s sets a single one)`)
	f(layer{commandLine, []setting{{option: "baseline", given: "10s,before", place: "--baseline"}}},
		`--baseline: want TIME or TIME,both, got "10s,before" (examples: 10s; 10s,both)`)
}
