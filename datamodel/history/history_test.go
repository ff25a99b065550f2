package history_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// result returns a run that has ended.
func result(project, id string, start time.Time) datamodel.Run {
	code, wall, energy := 0, 1.5, 40.0
	return datamodel.Run{
		ID: id, Project: project, Command: []string{"make", "-j8"}, Outcome: datamodel.Done, ExitCode: &code, Start: start, WallTime: &wall,
		Summary: map[string]datamodel.Figure{
			datamodel.Energy:  {Value: &energy, Unit: units.Joule, Provenance: sensors.FromCounter},
			datamodel.CPUTime: {Unit: units.Second, Provenance: sensors.Missing, Reason: "no cgroup"},

			datamodel.EstimatedEnergy:       {Unit: units.Joule, Provenance: sensors.Missing, Reason: datamodel.NotEstimated},
			datamodel.EstimatedTargetEnergy: {Unit: units.Joule, Provenance: sensors.Missing, Reason: datamodel.NotEstimated},
		},
	}
}

// save keeps a run and returns its folder.
func save(tb testing.TB, results string, run datamodel.Run) string {
	tb.Helper()
	f, err := store.NewRun(results, run.Project, run.Start, run.ID, store.Access{})
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := store.SaveManifest(f, run); err != nil {
		tb.Fatal(err)
	}
	return f.Path()
}

// begin makes the folder of a run that has no manifest yet.
func begin(tb testing.TB, results, project, id string, at time.Time) string {
	tb.Helper()
	f, err := store.NewRun(results, project, at, id, store.Access{})
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return f.Path()
}

func ids(entries []history.Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Run.ID)
	}
	return strings.Join(all, " ")
}

func TestList(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: filepath.Join(root, "none")}
	if runs, err := h.List(); err != nil || len(runs) != 0 {
		t.Errorf("no results: %v, %v", runs, err)
	}
	h.Results = root
	first := result("a/1", "20261128T120000-cc", noon)
	dir := save(t, root, first)
	save(t, root, result("b", "20261128T120000-ca", noon.Add(time.Millisecond))) // in the same second
	save(t, root, result("b", "build-7", noon.Add(30*time.Second)))              // its id has no time
	save(t, root, result("b", "20261128T120100-aa", noon.Add(time.Minute)))
	broken := begin(t, root, "a b", "20261129T000000-broken", noon.Add(12*time.Hour))
	runs, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(runs); got != "20261129T000000-broken 20261128T120100-aa build-7 20261128T120000-ca 20261128T120000-cc" {
		t.Errorf("runs %s", got)
	}
	if e := runs[0]; e.Dir != broken || !errors.Is(e.Err, fs.ErrNotExist) || e.Run.Project != "a b" || !e.Run.Start.Equal(noon.Add(12*time.Hour)) {
		t.Errorf("a run without a manifest: %+v", e)
	}
	e := runs[4]
	first.Schema = ""
	if e.Dir != dir || e.Err != nil || !reflect.DeepEqual(e.Run, first) {
		t.Errorf("%+v\nwant %+v", e, first)
	}
	if m := e.Metric(datamodel.Energy); m.Value != 40 || m.Provenance != sensors.FromCounter {
		t.Errorf("energy %+v", m)
	}
	if m := e.Metric(datamodel.CPUTime); m.Value == m.Value || m.Reason != "no cgroup" { //nolint:gocritic // NaN
		t.Errorf("cpu time %+v", m)
	}
	if m := e.Metric(datamodel.WallTime); m.Value != 1.5 {
		t.Errorf("wall time %+v", m)
	}
	counted, sampled := 1.5, datamodel.Figure{Value: new(1.5), Unit: units.Second, Provenance: sensors.Sampled}
	e.Run.WallTime, e.Run.Summary = &counted, map[string]datamodel.Figure{datamodel.WallTime: sampled}
	if m := e.Metric(datamodel.WallTime); m.Value != 1.5 || m.Provenance != sensors.Sampled {
		t.Errorf("wall time of an imported run %+v", m)
	}
	if got := history.Projects(runs); !slices.Equal(got, []string{"a b", "a/1", "b"}) {
		t.Errorf("projects %q", got)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: root}
	if _, err := h.Find("x"); err == nil || !strings.Contains(err.Error(), "no runs in "+root) {
		t.Errorf("no runs: %v", err)
	}
	dirs := map[string]string{}
	for i, id := range []string{"20261128T120000-aabb", "20261128T120001-aacc", "20261128T120002-ddcc", "bbx", "20261128T120004-zz"} {
		run := result([]string{"b", "a/1"}[i%2], id, noon.Add(time.Duration(i)*time.Second))
		run.Host.Git = &sensors.Git{Commit: []string{"0123456789abcdef", "0123456789abcdef", "01237777", "deadbeef", ""}[i]}
		dirs[id] = save(t, root, run)
	}
	broken := begin(t, root, "a/1", "20261130T000000-broken", noon.AddDate(0, 0, 2))
	if err := errors.Join(h.AddTag("main", "20261128T120001-aacc", false, nil), h.AddTag("gone", "20200101T000000-x", false, nil)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"20261128T120000-aabb": "20261128T120000-aabb", "20261128T120002": "20261128T120002-ddcc", // an id, its beginning
		"aabb": "20261128T120000-aabb", "zz": "20261128T120004-zz", // its end
		"bb":   "bbx",                  // a beginning counts before an end
		"main": "20261128T120001-aacc", // a tag
		"last": "20261128T120004-zz", "last~0": "20261128T120004-zz", "last~": "bbx", "last~2": "20261128T120002-ddcc",
		"last:a/1": "bbx", "last:a/1~1": "20261128T120001-aacc", "last:b~2": "20261128T120000-aabb",
		"0123456789": "20261128T120001-aacc", "dead": "bbx", "01237": "20261128T120002-ddcc", // commits: the latest run
		dirs["bbx"]: "bbx", dirs["bbx"] + "/": "bbx",
	} {
		if got, err := h.Find(name); err != nil || got != dirs[want] {
			t.Errorf("%q: %s, %v, want %s", name, got, err, want)
		}
	}
	if got, err := h.Find("2026113"); err != nil || got != broken {
		t.Errorf("a run without a manifest: %s, %v", got, err)
	}
	for name, want := range map[string][]string{
		"":              {"no name given", "ergon ls"},
		"20261128T1200": {"4 runs begin with it", "20261128T120000-aabb", "20261128T120004-zz"},
		"cc":            {"2 runs end with it", "20261128T120001-aacc", "20261128T120002-ddcc"},
		"0123":          {"2 commits", "0123456789abcdef", "01237777"},
		"nosuch":        {root, "no run in", "ergon ls"},
		"gone":          {"tag", "20200101T000000-x", "not in", "ergon runs tag rm gone"},
		"last~5":        {"only 5 runs", "last~4 is the oldest"},
		"last:b~7":      {"only 3 runs", `project "b"`, "last:b~2 is the oldest"},
		"last:none":     {"no runs in project \"none\""},
		"last:":         {"no run in"},
		"last~x":        {"no run in"},
		"last~-1":       {"no run in"},
		root:            {"neither"},
		"./none":        {"no such folder"},
		filepath.Join(dirs["bbx"], store.ManifestFile): {"not a folder"},
	} {
		got, err := h.Find(name)
		if err == nil {
			t.Errorf("%q: %s", name, got)
			continue
		}
		for _, word := range want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q: error %q does not have %q", name, err, word)
			}
		}
	}
}

// TestLast holds that the newest second decides, and within it the start. A run that cannot be read is passed over.
func TestLast(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: root}
	last := func(want string) {
		t.Helper()
		if got, err := h.Find(history.Last); err != nil || got != want {
			t.Errorf("last is %s, %v, want %s", got, err, want)
		}
		all, err := h.List()
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(e history.Entry) bool { return e.Err != nil })
		for i, e := range all {
			if got, err := h.Find(fmt.Sprintf("last~%d", i)); err != nil || got != e.Dir {
				t.Errorf("last~%d is %s, %v, but the list has %s", i, got, err, e.Dir)
			}
		}
	}
	byHand := save(t, root, result("z", "named-by-hand", noon.Add(time.Hour)))
	last(byHand)
	save(t, root, result("b", "20261128T120000-ff", noon))
	save(t, root, result("a", "20261128T120000-aa", noon.Add(time.Millisecond)))
	last(byHand)
	later := save(t, root, result("a", "20261128T130001-00", noon.Add(time.Hour+time.Second)))
	last(later)
	save(t, root, result("a", "20261128T110000-00-replay", noon.Add(-time.Hour))) // of an older tape
	last(later)
	next := save(t, root, result("a", "20261129T000000-00", noon.Add(12*time.Hour)))
	last(next)
	broken := begin(t, root, "c", "20261130T000000-00", noon.AddDate(0, 0, 2))
	last(next)
	if got, err := h.Find("last:c"); err == nil || !strings.Contains(err.Error(), filepath.Join(broken, store.ManifestFile)) {
		t.Errorf("none can be read: %s, %v", got, err)
	}
}

// TestFoldersThatCannotBeListed puts entries beside the runs of others that are no folders or cannot be listed. Each costs only
// itself.
func TestFoldersThatCannotBeListed(t *testing.T) {
	root := t.TempDir()
	dir := save(t, root, result("shared", "20261128T120000-abcdef", noon))
	day := filepath.Dir(dir)
	for _, err := range []error{
		os.WriteFile(filepath.Join(root, "project=file"), nil, 0o666),
		os.Symlink("nowhere", filepath.Join(root, "project=gone")),
		os.Symlink("project=loop", filepath.Join(root, "project=loop")),
		os.WriteFile(filepath.Join(filepath.Dir(day), "date=2026-11-29"), nil, 0o666),
		os.Mkdir(filepath.Join(root, "project=private"), 0), // root can list it all the same
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := 4
	if os.Getuid() != 0 {
		want++
	}
	notes := 0
	h := history.History{Results: root, Note: func(err error) {
		if notes++; !strings.Contains(err.Error(), "no run below it can be shown") {
			t.Error(err)
		}
	}}
	if runs, err := h.List(); err != nil || len(runs) != 1 || runs[0].Err != nil || notes != want {
		t.Errorf("%+v, %v, %d notes, want %d", runs, err, notes, want)
	}
	for _, name := range []string{history.Last, "20261128T120000-abcdef", "2026"} {
		notes = 0
		if got, err := h.Find(name); err != nil || got != dir || notes == 0 || notes > want {
			t.Errorf("%s: %s, %v, %d notes, want up to %d", name, got, err, notes, want)
		}
	}
	if _, err := (history.History{Results: filepath.Join(root, "project=file")}).List(); err == nil {
		t.Error("a results folder that is a file has runs")
	}
}
