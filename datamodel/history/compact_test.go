//go:build unix

package history_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// whole keeps a run with tables and returns its folder.
func whole(tb testing.TB, results, project, id string, start time.Time) string {
	tb.Helper()
	run := result(project, id, start)
	tree := &datamodel.Node{Name: project, Level: datamodel.App, Children: []*datamodel.Node{{
		Name: id, Level: datamodel.RunLevel, Metrics: []datamodel.Metric{
			datamodel.Value(datamodel.Energy, 40, units.Joule, "delta", sensors.FromCounter, "made up"),
			datamodel.Missing(datamodel.CPUTime, units.Second, "no cgroup"),
		},
	}}}
	f, err := store.NewRun(results, project, start, id, store.Access{})
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	files := f.Files()
	if err := errors.Join(
		files.SaveTree(run, tree), files.SaveSummary(run, datamodel.SummaryOf(tree)),
		files.SaveProcesses(run, []datamodel.Process{{ParentID: -1, PID: 7, Name: "make"}}, nil),
	); err != nil {
		tb.Fatal(err)
	}
	if err := files.SaveManifest(run); err != nil {
		tb.Fatal(err)
	}
	return f.Path()
}

// many keeps n runs with tables, of two projects and two months, and returns their ids, the newest first.
func many(tb testing.TB, results string, n int) []string {
	tb.Helper()
	var all []string
	for i := range n {
		start := noon.AddDate(0, i%2, 0).Add(time.Duration(i) * time.Hour)
		id := fmt.Sprintf("%s-%02d", start.Format(store.IDTime), i)
		whole(tb, results, []string{"p", "a b/ü"}[i/2%2], id, start)
		all = append(all, id)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// later is after all runs of the tests.
func later() time.Time { return noon.AddDate(1, 0, 0) }

func compact(t *testing.T, h history.History, c history.Compaction) history.Compacted {
	t.Helper()
	done, err := h.Compact(context.Background(), c, later())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// counts says in short what was done.
func counts(c history.Compacted) string {
	return fmt.Sprintf("joined %d, archived %d, deleted %d, kept %d, others %d, left %d", c.Joined, c.Archived, c.Deleted, c.Kept, c.Others, len(c.Left))
}

// expect fails the test unless counts are as they should be.
func expect(t *testing.T, what string, c history.Compacted, want string) {
	t.Helper()
	if got := counts(c); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
		for _, l := range c.Left {
			t.Logf("left: %s: %v", l.Entry.Dir, l.Err)
		}
	}
}

// listed returns the ids of all runs, and checks that each can be read as a whole.
func listed(t *testing.T, h history.History) []string {
	t.Helper()
	entries, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if r, err := store.Load(e.Dir); err != nil || r.Tree == nil {
			t.Errorf("%s: %v", e.Dir, err)
		}
		all = append(all, e.Run.ID)
	}
	return all
}

// filesBelow lists the files below a folder, but for locks.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".lock" {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// TestCompact joins runs. They move to the archive, where every reference finds them. A second time there is nothing to do, and
// later runs of the same month go to a file of their own.
func TestCompact(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	expect(t, "no results", compact(t, h, history.Compaction{}), "joined 0, archived 0, deleted 0, kept 0, others 0, left 0")
	ids := many(t, h.Results, 8)
	old, err := h.Find(ids[0])
	if err := errors.Join(err, h.AddTag("best", ids[3], false, nil)); err != nil {
		t.Fatal(err)
	}
	expect(t, "dry", compact(t, h, history.Compaction{DryRun: true}), "joined 8, archived 8, deleted 0, kept 0, others 0, left 0")
	if !gone(filepath.Join(h.Results, store.TablesFolder)) || !gone(filepath.Join(h.Results, store.ArchiveFolder)) {
		t.Error("a dry run made folders")
	}
	expect(t, "one project", compact(t, h, history.Compaction{Projects: []string{"p"}}), "joined 4, archived 4, deleted 0, kept 0, others 0, left 0")
	expect(t, "the old ones", compact(t, h, history.Compaction{Before: later().Sub(noon.AddDate(0, 0, 15))}), "joined 2, archived 2, deleted 0, kept 0, others 0, left 0")
	expect(t, "the rest", compact(t, h, history.Compaction{}), "joined 2, archived 2, deleted 0, kept 0, others 0, left 0")
	expect(t, "again", compact(t, h, history.Compaction{}), "joined 0, archived 0, deleted 0, kept 0, others 0, left 0")
	if got := listed(t, h); !slices.Equal(got, ids) {
		t.Errorf("listed %v, want %v", got, ids)
	}
	if projects, _ := filepath.Glob(filepath.Join(h.Results, "project=*")); len(projects) > 0 {
		t.Errorf("%v are empty", projects)
	}
	for _, ref := range []string{ids[3], "best", ids[3][len(ids[3])-4:], "last~3", old} {
		want := ids[3]
		if ref == old {
			want = ids[0]
		}
		if dir, err := h.Find(ref); err != nil || store.IDOf(dir) != want || !store.InArchive(dir) || store.ResultsOf(dir) != h.Results {
			t.Errorf("%s is %s: %v", ref, dir, err)
		}
	}
	if dir, err := h.Find("last:p~1"); err != nil || !strings.Contains(dir, "project=p") {
		t.Errorf("last:p~1 is %s: %v", dir, err)
	}
	if r, err := store.Load(old); err != nil || r.Run.ID != ids[0] {
		t.Errorf("by its former folder: %v", err)
	}
	metrics := filepath.Join(h.Results, store.TablesFolder, "metrics")
	if n := len(filesBelow(t, metrics)); n != 4 {
		t.Errorf("%d files of metrics, want one a project and month", n)
	}
	whole(t, h.Results, "p", "20261130T120000-new", noon.AddDate(0, 0, 2))
	expect(t, "one more", compact(t, h, history.Compaction{}), "joined 1, archived 1, deleted 0, kept 0, others 0, left 0")
	if n := len(filesBelow(t, metrics)); n != 5 {
		t.Errorf("%d files of metrics, want one more", n)
	}
	// A run in the archive can be removed.
	dir, err := h.Find("best")
	if err := errors.Join(err, h.Remove(dir)); err != nil {
		t.Error(err)
	}
	if n := len(listed(t, h)); n != 8 {
		t.Errorf("%d runs", n)
	}
}

// TestCompactDelete removes the folders of the runs whose every value is in the joined tables. A run with a tag, and one with another
// file in its folder, stay in the archive.
func TestCompactDelete(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	ids := many(t, h.Results, 8)
	stranger, err := h.Find(ids[5])
	if err := errors.Join(err, h.AddTag("best", ids[3], false, nil), os.WriteFile(filepath.Join(stranger, "notes.txt"), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	expect(t, "the first", compact(t, h, history.Compaction{Projects: []string{"p"}}), "joined 4, archived 4, deleted 0, kept 0, others 0, left 0")
	expect(t, "all", compact(t, h, history.Compaction{Delete: true}), "joined 4, archived 0, deleted 6, kept 2, others 0, left 0")
	if got := listed(t, h); !slices.Equal(got, []string{ids[3], ids[5]}) {
		t.Errorf("listed %v, want %v and %v", got, ids[3], ids[5])
	}
	if text, err := os.ReadFile(store.Moved(stranger) + "/notes.txt"); err != nil || string(text) != "mine" {
		if text, err = os.ReadFile(filepath.Join(stranger, "notes.txt")); err != nil || string(text) != "mine" {
			t.Errorf("notes.txt: %q, %v", text, err)
		}
	}
	if n := len(filesBelow(t, filepath.Join(h.Results, store.ArchiveFolder))); n != 11 {
		t.Errorf("%d files in the archive, want those of two runs", n)
	}
	expect(t, "again", compact(t, h, history.Compaction{Delete: true}), "joined 0, archived 0, deleted 0, kept 2, others 0, left 0")
}

// TestCompactDeleteCopy removes a run of which somebody has made a copy with notes. The copy has the same manifest, and stays.
func TestCompactDeleteCopy(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	dir := whole(t, h.Results, "p", "run", noon)
	compact(t, h, history.Compaction{})
	for _, id := range []string{"a-copy", "z-copy"} {
		to := filepath.Join(filepath.Dir(dir), "run="+id)
		if err := errors.Join(os.CopyFS(to, os.DirFS(store.Moved(dir))), os.WriteFile(filepath.Join(to, "notes.txt"), []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "delete", compact(t, h, history.Compaction{Delete: true}), "joined 0, archived 0, deleted 1, kept 0, others 0, left 2")
	if notes, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "notes.txt")); len(notes) != 2 {
		t.Errorf("of two notes there are %v", notes)
	}
}

// TestCompactVerifies changes a joined table before the runs are removed: then none is.
func TestCompactVerifies(t *testing.T) {
	for _, table := range []string{"metrics", "summary", "manifests", "nodes", "processes"} {
		h := history.History{Results: filepath.Join(t.TempDir(), "results")}
		ids := many(t, h.Results, 2)
		other := history.History{Results: filepath.Join(t.TempDir(), "results")}
		whole(t, other.Results, "p", ids[0], noon.AddDate(0, 1, 0).Add(time.Hour))
		compact(t, h, history.Compaction{})
		run := result("p", ids[0], noon.AddDate(0, 1, 0).Add(time.Hour))
		run.Folder = "/another"
		compact(t, changed(t, other, run), history.Compaction{})
		replaceFile(t, h, other, table)
		done, err := h.Compact(context.Background(), history.Compaction{Delete: true}, later())
		if err == nil && len(done.Left) == 0 {
			t.Errorf("%s: a changed table was not noticed: %s", table, counts(done))
		}
		if got := listed(t, h); !slices.Equal(got, ids[:1]) { // the other one is of another month
			t.Errorf("%s: listed %v, want %v", table, got, ids[:1])
		}
	}
}

// changed keeps a run anew, with other values.
func changed(t *testing.T, h history.History, run datamodel.Run) history.History {
	t.Helper()
	dir, err := h.Find(run.ID)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := store.NewRun(h.Results, run.Project, run.Start, run.ID, store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree := &datamodel.Node{Name: "p", Level: datamodel.App, Children: []*datamodel.Node{{
		Name: "other", Level: datamodel.RunLevel, Metrics: []datamodel.Metric{
			datamodel.Value(datamodel.Energy, 41, units.Joule, "delta", sensors.FromCounter, "made up"),
			datamodel.Missing(datamodel.CPUTime, units.Second, "no cgroup"),
		},
	}}}
	files := f.Files()
	if err := errors.Join(
		files.SaveTree(run, tree), files.SaveSummary(run, datamodel.SummaryOf(tree)),
		files.SaveProcesses(run, []datamodel.Process{{ParentID: -1, PID: 8, Name: "make"}}, nil), files.SaveManifest(run),
	); err != nil {
		t.Fatal(err)
	}
	return h
}

// replaceFile puts the file of a joined table from one results folder in the place of that of the same month in another.
func replaceFile(t *testing.T, h, from history.History, table string) {
	t.Helper()
	const month = "project=p/month=2026-12"
	files := filesBelow(t, filepath.Join(from.Results, store.TablesFolder, table, month))
	into := filesBelow(t, filepath.Join(h.Results, store.TablesFolder, table, month))
	if len(files) != 1 || len(into) != 1 {
		t.Fatalf("%s: %v, %v", table, files, into)
	}
	if err := os.Rename(files[0], into[0]); err != nil {
		t.Fatal(err)
	}
}

// TestCompactLeaves leaves runs alone that cannot be joined, says which and why, and joins the others.
func TestCompactLeaves(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Minute) }
	for i := range 3 {
		whole(t, h.Results, "p", fmt.Sprintf("good%d", i), at(i))
	}
	outside, check := treasure(t)
	want := map[string]string{}
	bad := func(id, why string, spoil func(dir string) error) {
		dir := whole(t, h.Results, "p", id, at(10+len(want)))
		want[id] = why
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
	}
	bad("digest", "its sha256 is not that", func(dir string) error {
		path := filepath.Join(dir, store.MetricsFile)
		text, err := os.ReadFile(path)
		text[len(text)/2] ^= 1
		return errors.Join(err, os.WriteFile(path, text, 0o600))
	})
	bad("cut", "bytes", func(dir string) error { return os.Truncate(filepath.Join(dir, store.NodesFile), 100) })
	bad("lost", "it is missing", func(dir string) error { return os.Remove(filepath.Join(dir, store.SummaryFile)) })
	bad("link", "a link", func(dir string) error {
		path := filepath.Join(dir, store.SummaryFile)
		return errors.Join(os.Rename(path, filepath.Join(outside, "stolen")), os.Symlink(filepath.Join(outside, "stolen"), path))
	})
	bad("spool", "its spool", func(dir string) error { return os.Mkdir(filepath.Join(dir, store.SpoolFolder), 0o700) })
	bad("manifest", "", func(dir string) error { return os.Truncate(filepath.Join(dir, store.ManifestFile), 50) })
	var held *store.Folder
	bad("locked", "has not ended", func(dir string) (err error) {
		if held, err = store.OpenRun(dir); err == nil {
			err = held.Lock()
		}
		return err
	})
	defer func() { held.Close() }()
	bad("copy", "", func(dir string) error { return os.Rename(dir, filepath.Join(filepath.Dir(dir), "run=renamed")) })
	want["renamed"] = "its manifest is that of run copy"
	delete(want, "copy")
	begin(t, h.Results, "p", "begun", at(30))
	want["begun"] = "no manifest"
	linked := whole(t, t.TempDir(), "p", "away", at(31))
	if err := os.Symlink(linked, filepath.Join(h.Results, "project=p", "date=2026-11-28", "run=away")); err != nil {
		t.Fatal(err)
	}
	want["away"] = "a link"
	for range 2 { // they stay as they are
		done, err := h.Compact(context.Background(), history.Compaction{}, later())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]error{}
		for _, l := range done.Left {
			got[store.IDOf(l.Entry.Dir)] = l.Err
		}
		for id, why := range want {
			if got[id] == nil || !strings.Contains(got[id].Error(), why) {
				t.Errorf("%s: %v, want %q", id, got[id], why)
			}
		}
		if len(got) != len(want) {
			t.Errorf("left %v, want %v", got, want)
		}
	}
	if n := len(filesBelow(t, filepath.Join(h.Results, store.ArchiveFolder))); n != 15 {
		t.Errorf("%d files in the archive, want those of three runs", n)
	}
	if _, err := os.Stat(filepath.Join(outside, "stolen")); err != nil {
		t.Error(err)
	}
	check()
}

// TestCompactRefuses holds that nothing happens if a link stands in the place of a folder of ours, or if another process works.
func TestCompactRefuses(t *testing.T) {
	for _, name := range []string{store.TablesFolder, store.ArchiveFolder, store.TablesFolder + "/metrics", store.TablesFolder + "/.lock"} {
		h := history.History{Results: filepath.Join(t.TempDir(), "results")}
		ids := many(t, h.Results, 2)
		outside, check := treasure(t)
		path := filepath.Join(h.Results, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(outside, path)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Compact(context.Background(), history.Compaction{}, later()); err == nil {
			t.Errorf("%s: a link was followed", name)
		}
		check()
		if n := len(filesBelow(t, outside)); n != 1 {
			t.Errorf("%s: %d files outside", name, n)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect(t, name, compact(t, h, history.Compaction{}), "joined 2, archived 2, deleted 0, kept 0, others 0, left 0")
		if got := listed(t, h); !slices.Equal(got, ids) {
			t.Errorf("listed %v", got)
		}
	}
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	many(t, h.Results, 2)
	var second error
	done, err := h.Compact(context.Background(), history.Compaction{Step: func(string) {
		_, second = h.Compact(context.Background(), history.Compaction{}, later())
	}}, later())
	if err != nil || !errors.Is(second, history.ErrCompacting) {
		t.Errorf("two at once: %v, %v", err, second)
	}
	expect(t, "the first", done, "joined 2, archived 2, deleted 0, kept 0, others 0, left 0")
}

// TestCompactBesideOthers has joined files of another user in the same month, one of them without its manifests. They are not read,
// since they may be private, and stay as they are.
func TestCompactBesideOthers(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to give files away")
	}
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	whole(t, h.Results, "p", "theirs", noon)
	expect(t, "theirs", compact(t, h, history.Compaction{}), "joined 1, archived 1, deleted 0, kept 0, others 0, left 0")
	theirs := filesBelow(t, filepath.Join(h.Results, store.TablesFolder))
	for _, file := range theirs {
		if err := errors.Join(os.WriteFile(file, []byte("not to be read"), 0o600), os.Chown(file, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	unfinished := filepath.Join(filepath.Dir(theirs[0]), "runs-unfinished.parquet")
	if err := errors.Join(os.WriteFile(unfinished, []byte("not to be read"), 0o600), os.Chown(unfinished, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	whole(t, h.Results, "p", "mine", noon)
	expect(t, "mine", compact(t, h, history.Compaction{Projects: []string{"p"}, Before: time.Hour}), "joined 1, archived 1, deleted 0, kept 0, others 0, left 0")
	for _, file := range append(theirs, unfinished) {
		if text, err := os.ReadFile(file); string(text) != "not to be read" {
			t.Errorf("%s was changed: %v", file, err)
		}
	}
}

// TestCompactCountsWhatWasDone has a folder in the place of the second run in the archive: one was moved, and the next call goes on.
func TestCompactCountsWhatWasDone(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	whole(t, h.Results, "p", "a", noon)
	second := whole(t, h.Results, "p", "b", noon.Add(time.Second))
	var taken string
	done, err := h.Compact(context.Background(), history.Compaction{Step: func(what string) {
		if what == "move b" {
			taken = filepath.Join(h.Results, store.ArchiveFolder, strings.TrimPrefix(second, h.Results))
			if err := os.MkdirAll(taken, 0o700); err != nil {
				t.Error(err)
			}
		}
	}}, later())
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("%v, want an error about what is there", err)
	}
	expect(t, "the first call", done, "joined 2, archived 1, deleted 0, kept 0, others 0, left 0")
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	expect(t, "the next call", compact(t, h, history.Compaction{}), "joined 0, archived 1, deleted 0, kept 0, others 0, left 0")
}

// TestCompactOvertaken removes two of three runs while they are joined, and before the folders move. A run that is gone did not stay.
func TestCompactOvertaken(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	for _, id := range []string{"a", "b", "c"} {
		whole(t, h.Results, "p", id, noon)
	}
	done := compact(t, h, history.Compaction{Step: func(what string) {
		id, ok := map[string]string{"write summary": "a", "move b": "c"}[what]
		if !ok {
			return
		}
		dir, err := h.Find(id)
		if err := errors.Join(err, h.Remove(dir)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}})
	expect(t, "overtaken", done, "joined 3, archived 1, deleted 0, kept 0, others 0, left 0")
}

// TestCompactStopped stops at each step, as if the user had interrupted it. Nothing is left behind that the next one does not clear.
func TestCompactStopped(t *testing.T) {
	like := t.TempDir()
	ids := many(t, like, 2)
	for stop := 1; ; stop += 2 {
		h := history.History{Results: filepath.Join(t.TempDir(), "results")}
		if err := os.CopyFS(h.Results, os.DirFS(like)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		_, err := h.Compact(ctx, history.Compaction{Delete: true, Step: func(string) {
			if steps++; steps == stop {
				cancel()
			}
		}}, later())
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		done := compact(t, h, history.Compaction{})
		if len(done.Left) > 0 || len(listed(t, h))+joinedOnly(t, h, ids) != len(ids) {
			t.Errorf("step %d: %s %v", stop, counts(done), done.Left)
		}
		if steps < stop {
			return
		}
	}
}

// TestCompactKeepsUnknown leaves a file of a batch that was not joined if it has a run that has no folder: nobody else has its rows.
func TestCompactKeepsUnknown(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	ids := many(t, h.Results, 2)
	expect(t, "delete", compact(t, h, history.Compaction{Delete: true}), "joined 2, archived 0, deleted 2, kept 0, others 0, left 0")
	if err := os.RemoveAll(filepath.Join(h.Results, store.TablesFolder, "manifests")); err != nil {
		t.Fatal(err)
	}
	before := filesBelow(t, filepath.Join(h.Results, store.TablesFolder))
	whole(t, h.Results, "p", "next", noon)
	_, err := h.Compact(context.Background(), history.Compaction{}, later())
	if err == nil || !strings.Contains(err.Error(), ids[0]) {
		t.Errorf("%v, want an error about %s", err, ids[0])
	}
	if after := filesBelow(t, filepath.Join(h.Results, store.TablesFolder)); !slices.Equal(after, before) {
		t.Errorf("the tables had %v, and have %v", before, after)
	}
	if got := listed(t, h); !slices.Equal(got, []string{"next"}) {
		t.Errorf("listed %v", got)
	}
}

// joinedOnly counts the runs that are in no list any more.
func joinedOnly(t *testing.T, h history.History, ids []string) (n int) {
	t.Helper()
	left := listed(t, h)
	for _, id := range ids {
		if !slices.Contains(left, id) {
			n++
		}
	}
	return n
}

// TestCompactLarge joins a run whose samples need two row groups, and some without a value. It removes the run, so every value was
// found in the joined table.
func TestCompactLarge(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	f, err := store.NewRun(h.Results, "p", noon, "large", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	header := store.SpoolHeader{Source: "meters", Host: "node1", Interval: time.Second, Anchor: noon}
	for i := range 20 {
		header.Sensors = append(header.Sensors, sensors.Sensor{ID: fmt.Sprintf("meter/m%d/power", i), Family: "meter", Name: "power", Unit: units.Watt})
	}
	rows := store.Rows{Header: header}
	for tick := range 10_000 {
		values := make([]float64, len(header.Sensors))
		for i := range values {
			if values[i] = float64(tick*i) / 7; (tick+i)%13 == 0 {
				values[i] = math.NaN()
			}
		}
		rows.Append(time.Duration(tick)*time.Second, values)
	}
	files := f.Files()
	samples, err := files.Convert(nil, nil, rows)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := samples.Close(); err != nil || made.Samples != 200_000 {
		t.Fatalf("%d samples: %v", made.Samples, err)
	}
	if err := errors.Join(files.SaveManifest(result("p", "large", noon)), f.Close()); err != nil {
		t.Fatal(err)
	}
	expect(t, "a large run", compact(t, h, history.Compaction{Delete: true}), "joined 1, archived 0, deleted 1, kept 0, others 0, left 0")
	if got := listed(t, h); len(got) > 0 {
		t.Errorf("listed %v", got)
	}
}

// TestCompactWhileRead lists and reads the runs all the time while they are joined, and makes new ones. Each run is always there once.
func TestCompactWhileRead(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	ids := many(t, h.Results, 12)
	end, lists := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { lists <- n }()
		for ; ; n++ {
			seen := map[string]int{}
			entries, err := h.List()
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				seen[e.Run.ID]++
				if r, err := store.Load(e.Dir); (err != nil || r.Tree == nil) && !strings.HasPrefix(e.Run.ID, "new") { // that one may be begun
					t.Errorf("%s: %v", e.Dir, err)
				}
			}
			for _, id := range ids {
				if seen[id] != 1 {
					t.Errorf("list %d: %s is there %d times", n, id, seen[id])
				}
				if dir, err := h.Find(id); err != nil {
					t.Errorf("list %d: %s is %s: %v", n, id, dir, err)
				}
			}
			select {
			case <-end:
				return
			default:
			}
		}
	}()
	joined := 0
	for i := range 4 { // new runs appear in the folders that become empty
		joined += compact(t, h, history.Compaction{}).Joined
		whole(t, h.Results, "p", fmt.Sprintf("new%d", i), noon)
	}
	joined += compact(t, h, history.Compaction{}).Joined
	close(end)
	if n := <-lists; joined != 16 || n == 0 {
		t.Errorf("%d runs were joined, want 16; %d lists", joined, n)
	}
	if got := listed(t, h); len(got) != 16 {
		t.Errorf("listed %v", got)
	}
}

// TestCompactOlder leaves a run of version 1 alone: everything reads it where it is.
func TestCompactOlder(t *testing.T) {
	h := history.History{Results: filepath.Join(t.TempDir(), "results")}
	old, err := filepath.Glob("../../testdata/v1/*/project=*/date=*/run=*")
	if err != nil || len(old) == 0 {
		if old, err = filepath.Glob("../../testdata/v1/project=*/date=*/run=*"); err != nil || len(old) == 0 {
			t.Fatalf("%v: no runs of version 1", err)
		}
	}
	day := filepath.Join(h.Results, "project=p", "date=2026-01-02")
	if err := errors.Join(os.MkdirAll(day, 0o700), os.CopyFS(filepath.Join(day, filepath.Base(old[0])), os.DirFS(old[0]))); err != nil {
		t.Fatal(err)
	}
	done := compact(t, h, history.Compaction{})
	if len(done.Left) != 1 || done.Joined > 0 || !strings.Contains(done.Left[0].Err.Error(), "version 1") {
		t.Errorf("%s: %v", counts(done), done.Left)
	}
}
