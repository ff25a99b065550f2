package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestMain lets this test binary run as the child that converts.
func TestMain(m *testing.M) {
	if dir := os.Getenv(convertVariable); dir != "" {
		if err := convertChild(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestQuick runs the whole harness on the real program, so that it keeps working between releases. It does not judge the
// values, because it measures only briefly.
func TestQuick(t *testing.T) {
	testenv.Long(t)
	file := filepath.Join(t.TempDir(), "bench.json")
	var out, log strings.Builder
	missed, err := run([]string{"-quick", "-json", file, "-dir", t.TempDir()}, &out, &log)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, log.String(), out.String())
	}
	if missed != 0 {
		t.Errorf("-quick judged the values: %d targets missed", missed)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != resultsSchema || len(r.Groups) != len(groups()) {
		t.Fatalf("schema %q, %d groups of %d", r.Schema, len(r.Groups), len(groups()))
	}
	for i, g := range r.Groups {
		if g.Name != groups()[i].name || len(g.Figures) == 0 {
			t.Errorf("group %d is %q with %d figures", i, g.Name, len(g.Figures))
		}
		for _, f := range g.Figures {
			if !strings.Contains(out.String(), f.Name) {
				t.Errorf("the table lacks %q", f.Name)
			}
			switch {
			case f.Value == nil && f.Note == "":
				t.Errorf("%s, %s: no value and no reason", g.Name, f.Name)
			case f.Value == nil:
				t.Logf("%s, %s: %s", g.Name, f.Name, f.Note)
			case math.IsInf(*f.Value, 0) || *f.Value == 0 && !mayBeNone(f):
				t.Errorf("%s, %s: %v", g.Name, f.Name, *f.Value)
			}
			if f.Ratio != nil && (f.PeerValue == nil || math.Abs(*f.Value / *f.PeerValue - *f.Ratio) > 1e-9) {
				t.Errorf("%s, %s: ratio %v of %v and %v", g.Name, f.Name, *f.Ratio, *f.Value, f.PeerValue)
			}
		}
	}
}

// mayBeNone reports whether 0 is a good value: of beats missed, of growth, and of what has an upper limit.
func mayBeNone(f figure) bool {
	return strings.Contains(f.Name, "missed") || strings.Contains(f.Name, "growth") ||
		slices.ContainsFunc(f.Targets, func(t target) bool { return !t.AtLeast && !t.OfRatio })
}

func TestArguments(t *testing.T) {
	var out, log strings.Builder
	if _, err := run([]string{"sample"}, &out, &log); err == nil {
		t.Error("an argument that is not an option is accepted")
	}
	if _, err := run([]string{"-only", "speed"}, &out, &log); err == nil || !strings.Contains(err.Error(), "processing") {
		t.Errorf("-only speed: %v", err)
	}
}

// TestTargets checks the verdicts at their limits.
func TestTargets(t *testing.T) {
	peer := single("peer", "s", 2)
	f := median("f", "s", []float64{3, 1, 2})
	f.compare(peer)
	f.ratioAtMost(1)
	f.ratioAtMost(0.9)
	f.atMost(2)
	f.atMost(1.9)
	f.atLeast(2)
	f.atLeast(2.1)
	r := results{Groups: []measuredGroup{{Figures: []figure{f, {Name: "unknown"}}}}}
	if r.missed() != 3 {
		t.Errorf("%d of 6 targets missed: %+v", r.missed(), f.Targets)
	}
	for i, met := range []bool{true, false, true, false, true, false} {
		if f.Targets[i].Met != met {
			t.Errorf("target %d: %+v", i, f.Targets[i])
		}
	}
	var unknown figure
	unknown.compare(peer)
	unknown.atMost(1)
	unknown.ratioAtMost(1)
	if unknown.Ratio != nil || unknown.Targets != nil {
		t.Errorf("a figure that was not measured is judged: %+v", unknown)
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{40, 10, 30, 20, 50}
	for q, want := range map[float64]float64{0: 10, 0.5: 30, 0.1: 14, 0.9: 46, 1: 50} {
		if got := *quantile(v, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

// TestRepeat checks that repeated readings continue: times and counters rise by the same steps, and gauges repeat.
func TestRepeat(t *testing.T) {
	all := server()
	for _, r := range all {
		r.at, r.values = r.at[:100], r.values[:100*len(r.sensors)]
	}
	dir := t.TempDir()
	if err := write(dir, all, 100*250); err != nil {
		t.Fatal(err)
	}
	again, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != len(all) {
		t.Fatalf("%d sources of %d", len(again), len(all))
	}
	samples := 0
	for _, r := range again {
		n := len(r.sensors)
		samples += len(r.values)
		for i := 1; i < len(r.at); i++ {
			if r.at[i] <= r.at[i-1] {
				t.Fatalf("%s: reading %d at %v after %v", r.source, i, r.at[i], r.at[i-1])
			}
			for s := 1; s < n; s += 5 { // energy
				if r.values[i*n+s] <= r.values[(i-1)*n+s] && i%100 != 0 {
					t.Fatalf("%s: counter %d falls at %d", r.source, s, i)
				}
			}
		}
		if r.values[4] != r.values[100*n+4] {
			t.Errorf("%s: a gauge does not repeat", r.source)
		}
	}
	if samples != 25_000 {
		t.Errorf("%d samples", samples)
	}
}
