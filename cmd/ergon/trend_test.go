package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// keepNights keeps runs of a project, one a night up to the last one, and returns the results folder. From the run at step on
// they take longer.
func keepNights(t *testing.T, results, project string, n, step int, last time.Time) {
	t.Helper()
	for i := range n {
		start := last.AddDate(0, 0, i+1-n)
		wall := 100 + 0.1*float64(i%5)
		if i >= step {
			wall *= 1.2
		}
		id := fmt.Sprintf("%s-%s%04d", start.UTC().Format(store.IDTime), project, i)
		run := datamodel.Run{
			ID: id, Project: project, Command: []string{"./" + project, "-x"}, Outcome: datamodel.Done, Start: start, WallTime: &wall, Version: "v0",
			Summary: map[string]datamodel.Figure{datamodel.WallTime: {Value: &wall, Unit: units.Second, Provenance: sensors.FromCounter}},
		}
		run.Host.Git = &sensors.Git{Commit: strings.Repeat(fmt.Sprintf("%02x", i), 20)}
		if i == 1 {
			run.Outcome = datamodel.TargetFailed
		}
		folder, err := store.NewRun(results, project, start, id, store.Access{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(store.SaveManifest(folder, run), folder.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrend(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	results, now := t.TempDir(), time.Now()
	keepNights(t, results, "nightly", 30, 20, now.Add(-time.Hour))
	keepNights(t, results, "weekly", 8, 99, now.AddDate(0, 0, -20))
	show := func(o TrendOptions) (out, note string, err error) {
		t.Helper()
		p, written := fileProgram(t)
		if o.Results == nil {
			o.Results = []string{results}
		}
		err = p.trend(t.Context(), o)
		out, note = written()
		return out, note, err
	}
	check := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if not, ok := strings.CutPrefix(w, "!"); strings.Contains(text, strings.TrimPrefix(w, "!")) == ok {
				t.Errorf("%q (wanted: %v) in\n%s", not, !ok, text)
			}
		}
	}

	out, note, err := show(TrendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check(out, "./nightly -x", "29 runs", "wall time rose 20.0 %", "./weekly -x", "8 runs", "overdue", "./weekly -x of project weekly", "!nightly -x of project",
		"energy, machine", "not measured")
	check(note, "left out 2 runs that did not end with done (--outcome chooses)")

	out, note, err = show(TrendOptions{Filter: history.Filter{Projects: []string{"week*"}}, Metrics: []string{"wall_time"}, By: "commit"})
	check(out, "!nightly", "./weekly", "000000000         1 run")
	check(note, "left out 1 run that")
	if err != nil {
		t.Error(err)
	}
	out, _, err = show(TrendOptions{Command: "nightly -x", Outcomes: []string{"target_failed"}, Metrics: []string{"wall_time"}})
	check(out, "./nightly", "1 run ", "!weekly")
	if err != nil {
		t.Error(err)
	}

	// The exit code says that something is overdue.
	out, _, err = show(TrendOptions{Overdue: true})
	if !errors.Is(err, status(runner.ExitOverdue)) {
		t.Errorf("overdue: %v", err)
	}
	check(out, "./weekly -x of project weekly: the last run began", "!nightly", "!wall time")
	if out, _, err = show(TrendOptions{Overdue: true, Command: "nightly"}); err != nil || out != "" {
		t.Errorf("nothing is overdue: %v, %q", err, out)
	}

	// Nothing fits, there is no folder, and a run has no manifest that can be read.
	_, note, err = show(TrendOptions{Filter: history.Filter{Since: now.Add(time.Hour)}})
	if err != nil {
		t.Error(err)
	}
	check(note, "no run in "+results+" fits")
	_, note, err = show(TrendOptions{Results: []string{filepath.Join(results, "none")}})
	if err != nil {
		t.Error(err)
	}
	check(note, "fits")
	broken := filepath.Join(results, "project=nightly", "date=2026-01-01", "run=broken")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, store.ManifestFile), []byte(`{"schema":"ergon.run/2","id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, note, err = show(TrendOptions{Metrics: []string{"wall_time"}})
	if err != nil {
		t.Error(err)
	}
	check(out, "29 runs")
	check(note, "left out run broken: manifest.json is damaged or cut off")

	// A run in two folders counts once. Another folder adds its runs.
	other := t.TempDir()
	keepNights(t, other, "nightly", 30, 20, now.Add(-time.Hour))
	keepNights(t, other, "hourly", 3, 99, now)
	out, _, err = show(TrendOptions{Results: []string{results, other}, Metrics: []string{"wall_time"}})
	if err != nil {
		t.Error(err)
	}
	check(out, "./hourly", "29 runs", "!58 runs")

	// Files: a page, and the pages of its runs, to which it links relative to itself.
	dir := t.TempDir()
	page, pages := filepath.Join(dir, "sub", "trend.html"), filepath.Join(dir, "pages of runs")
	if err := os.Mkdir(filepath.Dir(page), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, note, err = show(TrendOptions{Format: "html", Export: page, Pages: pages, Command: "hourly", Results: []string{other}}); err != nil || out != "" {
		t.Errorf("%v, %q, %s", err, out, note)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	check(string(text), "<title>ergon: trend of wall time, energy</title>", `href="./../pages%20of%20runs/20`)
	made, err := filepath.Glob(filepath.Join(pages, "*-hourly000?.html"))
	if err != nil || len(made) != 2 { // one did not end with done
		t.Errorf("%v, %v", made, err)
	}
	if err := os.WriteFile(made[0], []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err = show(TrendOptions{Format: "html", Export: page, Pages: pages, Command: "hourly", Results: []string{other}}); err != nil {
		t.Error(err)
	}
	if kept, err := os.ReadFile(made[0]); string(kept) != "kept" {
		t.Errorf("a page that is there is written again: %v", err)
	}
}

// TestTrendCommandOfBench asks for the second command of a bench, and for its runs that are overdue.
func TestTrendCommandOfBench(t *testing.T) {
	results, last := t.TempDir(), time.Now().AddDate(0, 0, -20)
	wall := 1.5
	for i := range 5 {
		start := last.AddDate(0, 0, -i)
		id := fmt.Sprintf("%s-%04d", start.UTC().Format(store.IDTime), i)
		run := datamodel.Run{ID: id, Project: "p", Command: []string{"gzip"}, Outcome: datamodel.Done, Start: start, Version: "v0"}
		result := datamodel.BenchResult{Rounds: 9, Medians: map[string]datamodel.Figure{datamodel.WallTime: {
			Value: &wall, Unit: units.Second, Provenance: sensors.FromCounter,
		}}}
		run.Bench = &datamodel.Bench{
			Commands: []datamodel.BenchCommand{{Name: "a", Command: []string{"gzip"}}, {Name: "b", Command: []string{"zstd"}}},
			Results:  []datamodel.BenchResult{result, result},
		}
		folder, err := store.NewRun(results, "p", start, id, store.Access{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(store.SaveManifest(folder, run), folder.Close()); err != nil {
			t.Fatal(err)
		}
	}
	p, written := fileProgram(t)
	err := p.trend(t.Context(), TrendOptions{Results: []string{results}, Command: "zstd", Metrics: []string{"wall_time"}})
	out, _ := written()
	if err != nil || !strings.Contains(out, "5 runs") || strings.Contains(out, "gzip") || !strings.Contains(out, "zstd of project p: the last run began") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPageName checks that the id in a manifest does not choose where a page is written.
func TestPageName(t *testing.T) {
	r := trend.Run{Run: datamodel.Run{ID: "../../evil"}, Dir: filepath.Join("results", "project=p", "date=2026-01-01", "run=good")}
	if name := pageName(&r); name != "good.html" {
		t.Errorf("%q", name)
	}
}

// TestTrendValues has what the options of trend take and refuse.
func TestTrendValues(t *testing.T) {
	var o TrendOptions
	if err := (trendMetrics{&o.Metrics}).Set("energy,inventory.bytes[data/*]"); err != nil || len(o.Metrics) != 2 {
		t.Errorf("%v, %q", err, o.Metrics)
	}
	if err := (trendMetrics{&o.Metrics}).Set("enrgy"); err == nil || !strings.Contains(err.Error(), `did you mean "energy"?`) {
		t.Errorf("%v", err)
	}
	f := folders{&o.Results}
	for _, given := range []string{"a", "b", "a"} {
		if err := f.Set(given); err != nil {
			t.Error(err)
		}
	}
	if f.Current() != "a,b" || f.Set("") == nil {
		t.Errorf("%q", o.Results)
	}
}
