//go:build unix

package history_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// treasure makes a folder with a file outside of all results. check fails the test if it is not there as it was.
func treasure(t *testing.T) (dir string, check func()) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, store.ManifestFile)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		t.Helper()
		if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
			t.Errorf("the file outside: %q, %v", text, err)
		}
	}
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// TestRemove removes a run, the folders that are empty then, and its tags. Everything else stays.
func TestRemove(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: root}
	a := save(t, root, result("p", "20261128T120000-aa", noon))
	b := save(t, root, result("p", "20261129T120000-bb", noon.AddDate(0, 0, 1)))
	c := save(t, root, result("q", "20261128T120000-cc", noon))
	outside, check := treasure(t)
	if err := errors.Join(
		h.AddTag("one", "20261128T120000-aa", false, nil), h.AddTag("two", "20261128T120000-cc", false, nil),
		os.Symlink(outside, filepath.Join(a, "samples.parquet")),
		os.Symlink(outside, filepath.Join(a, store.SpoolFolder)),
		os.MkdirAll(filepath.Join(a, "plots", "deep"), 0o700),
		os.Symlink(outside, filepath.Join(a, "plots", "deep", "link")),
		os.Link(filepath.Join(outside, store.ManifestFile), filepath.Join(a, "nodes.parquet")),
	); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(a); err != nil {
		t.Fatal(err)
	}
	check()
	if !gone(filepath.Dir(a)) || gone(b) || gone(c) {
		t.Error("not only the run and its day were removed")
	}
	if tags, err := h.Tags(); err != nil || len(tags) != 1 || tags[0].Name != "two" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := h.Remove(b); err != nil || !gone(filepath.Dir(filepath.Dir(b))) {
		t.Errorf("%v: the project is empty", err)
	}
	if err := h.Remove(b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run that is gone: %v", err)
	}
}

// TestRemoveRefuses holds that what is no run, what goes on, and what a link leads to stays.
func TestRemoveRefuses(t *testing.T) {
	root := t.TempDir()
	h := history.History{Results: root}
	f, err := store.NewRun(root, "p", noon, "20261128T120000-alive", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run := result("p", "20261128T120000-alive", noon)
	run.Outcome = datamodel.Unfinished
	if err := store.NoteManifest(f, run); err != nil {
		t.Fatal(err)
	}
	alive := f.Path()
	if err := h.Remove(alive); !errors.Is(err, history.ErrAlive) {
		t.Errorf("a run that goes on: %v", err)
	}
	// Its runner has died, but its sampler still writes.
	spool, err := f.Make(store.SpoolFolder)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(spool.Lock(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(alive); !errors.Is(err, history.ErrAlive) {
		t.Errorf("a run whose sampler goes on: %v", err)
	}
	spool.Close()
	if err := h.Remove(alive); err != nil {
		t.Errorf("a run that was killed: %v", err)
	}

	notes := filepath.Join(root, "project=p", "date=2026-11-28", "run=notes")
	copied := filepath.Join(root, "copy")
	if err := errors.Join(os.MkdirAll(notes, 0o700), os.WriteFile(filepath.Join(notes, "n.txt"), nil, 0o600),
		os.CopyFS(copied, os.DirFS(save(t, root, result("q", "20261128T120000-cc", noon))))); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(notes); err == nil || !strings.Contains(err.Error(), "it holds no run") {
		t.Errorf("no run: %v", err)
	}
	if err := h.Remove(copied); err == nil || !strings.Contains(err.Error(), "not in a results folder") {
		t.Errorf("a copy of a run: %v", err)
	}
	if gone(filepath.Join(notes, "n.txt")) || gone(filepath.Join(copied, store.ManifestFile)) {
		t.Error("it was removed all the same")
	}
	for level, path := range []string{"project=l", "project=l/date=2026-11-28", "project=l/date=2026-11-28/run=x"} {
		outside, check := treasure(t)
		root := t.TempDir()
		below := strings.TrimPrefix("project=l/date=2026-11-28/run=x", path)
		if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700), os.MkdirAll(filepath.Join(outside, below), 0o700),
			os.Symlink(outside, filepath.Join(root, path))); err != nil {
			t.Fatal(err)
		}
		if below != "" {
			if err := os.WriteFile(filepath.Join(outside, below, store.ManifestFile), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h := history.History{Results: root}
		dir := filepath.Join(root, "project=l/date=2026-11-28/run=x")
		if err := h.Remove(dir); err == nil {
			t.Errorf("level %d: removed through a link", level)
		}
		if gone(filepath.Join(outside, below, store.ManifestFile)) {
			t.Errorf("level %d: the manifest outside is gone", level)
		}
		check()
	}
}

// TestRemoveUnderAttack removes runs while somebody exchanges their folders for links. Nothing outside is touched.
func TestRemoveUnderAttack(t *testing.T) {
	outside, check := treasure(t)
	root := t.TempDir()
	h := history.History{Results: root}
	run := result("p", "20261128T120000-x", noon)
	dir := filepath.Join(root, "project=p", "date=2026-11-28", "run=20261128T120000-x")
	var attack sync.WaitGroup
	stop := make(chan struct{})
	attack.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			place := []string{dir, filepath.Dir(dir), filepath.Join(dir, "plots"), filepath.Join(dir, store.SpoolFolder)}[i%4]
			aside := filepath.Join(root, "aside")
			if os.Rename(place, aside) == nil || i%4 > 1 {
				_ = os.Symlink(outside, place)
				_ = os.Remove(place)
				_ = os.Rename(aside, place)
			}
		}
	})
	removed := 0
	for range 100 {
		f, err := store.NewRun(root, run.Project, run.Start, run.ID, store.Access{})
		if err != nil {
			_ = os.RemoveAll(filepath.Join(root, "project=p"))
			continue
		}
		_ = store.NoteManifest(f, run)
		if plots, err := f.Make("plots"); err == nil {
			if file, err := plots.Create(store.ManifestFile); err == nil { // called like the one outside
				file.Close()
			}
			plots.Close()
		}
		f.Close()
		if h.Remove(dir) == nil {
			removed++
		}
		check()
		if t.Failed() {
			break
		}
		_ = os.RemoveAll(filepath.Join(root, "project=p"))
	}
	close(stop)
	attack.Wait()
	t.Logf("removed %d of 100", removed)
	check()
}

// TestPlan holds which runs prune keeps.
func TestPlan(t *testing.T) {
	now := noon.AddDate(0, 0, 100)
	entry := func(project string, days int, change ...func(e *history.Entry)) history.Entry {
		at := now.AddDate(0, 0, -days)
		e := history.Entry{Dir: "nowhere", Run: result(project, fmt.Sprintf("%s-%d", at.Format(store.IDTime), days), at)}
		for _, c := range change {
			c(&e)
		}
		return e
	}
	tagged := func(e *history.Entry) { e.Tags = []string{"t"} }
	unfinished := func(e *history.Entry) { e.Run.Outcome = datamodel.Unfinished }
	broken := func(e *history.Entry) { e.Err = store.ErrDamaged }
	entries := []history.Entry{
		entry("a", 1), entry("a", 2), entry("a", 3, tagged), entry("b", 4, unfinished), entry("a", 5), entry("a", 6, broken),
		entry("b", 7), entry("b", 8, tagged), entry("b", 9), entry("c", 90),
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		rules                          history.Rules
		remove                         string // days
		tagged, unfinished, unreadable int
	}{
		{history.Rules{Age: 100 * day}, "", 0, 0, 0},
		{history.Rules{Age: 4 * day}, "5 7 9 90", 1, 0, 1},
		{history.Rules{Age: 3 * day}, "5 7 9 90", 1, 1, 1},
		{history.Rules{Last: 1}, "2 5 9", 2, 1, 1},
		{history.Rules{Last: 2}, "5 9", 1, 1, 1}, // the tagged run of b is one of its latest two
		{history.Rules{Age: 6 * day, Last: 1}, "9", 1, 0, 0},
		{history.Rules{Age: time.Hour}, "1 2 5 7 9 90", 2, 1, 1},
	} {
		p := c.rules.Plan(entries, now)
		var days []string
		for _, e := range p.Remove {
			_, n, _ := strings.Cut(e.Run.ID, "-")
			days = append(days, n)
		}
		if got := strings.Join(days, " "); got != c.remove || p.Tagged != c.tagged || p.Unfinished != c.unfinished || p.Unreadable != c.unreadable {
			t.Errorf("%+v: removes %s; %d tagged, %d unfinished, %d unreadable stay; want %+v", c.rules, got, p.Tagged, p.Unfinished, p.Unreadable, c)
		}
	}
}

// TestPruneLooksAgain changes runs between the plan and their removal.
func TestPruneLooksAgain(t *testing.T) {
	for what, change := range map[string]func(h history.History, dir string) error{
		"": func(history.History, string) error { return nil },
		"it has a tag now": func(h history.History, dir string) error {
			return h.AddTag("t", store.IDOf(dir), false, nil)
		},
		"it may have a tag": func(h history.History, dir string) error {
			tags := filepath.Join(h.Results, "_tags")
			return errors.Join(os.Mkdir(tags, 0o700), os.WriteFile(filepath.Join(tags, "t"), nil, 0o600))
		},
		"it holds mine.parquet": func(_ history.History, dir string) error {
			return os.WriteFile(filepath.Join(dir, "mine.parquet"), nil, 0o600)
		},
		"it holds plot.png": func(_ history.History, dir string) error {
			return os.WriteFile(filepath.Join(dir, "plot.png"), nil, 0o600)
		},
		"another run is in its place": func(_ history.History, dir string) error {
			f, err := store.OpenRun(dir)
			if err != nil {
				return err
			}
			defer f.Close()
			return store.NoteManifest(f, result("p", store.IDOf(dir), noon.Add(time.Second)))
		},
		"damaged": func(_ history.History, dir string) error {
			return os.WriteFile(filepath.Join(dir, store.ManifestFile), []byte(`{"schema":`), 0o600)
		},
		"newer": func(_ history.History, dir string) error {
			return os.WriteFile(filepath.Join(dir, store.ManifestFile), []byte(`{"schema": "ergon.run/99", "start": 5}`), 0o600)
		},
		"belongs to another user (uid 65534)": func(_ history.History, dir string) error {
			if os.Getuid() != 0 {
				return os.ErrPermission
			}
			return os.Chown(dir, 65534, 65534)
		},
	} {
		root := t.TempDir()
		h := history.History{Results: root}
		dir := save(t, root, result("p", "20261128T120000-aa", noon))
		entries, err := h.List()
		if err != nil {
			t.Fatal(err)
		}
		if err := change(h, dir); errors.Is(err, os.ErrPermission) {
			continue // only root can give a folder away
		} else if err != nil {
			t.Fatal(err)
		}
		err = h.Prune(entries[0], history.Rules{Last: 1})
		if (what == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
		if gone(dir) != (what == "") {
			t.Errorf("%s: removed: %t", what, gone(dir))
		}
	}
}

// TestPruneOthers removes a run of another user only if it is asked to.
func TestPruneOthers(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to remove the run of another user")
	}
	root := t.TempDir()
	h := history.History{Results: root}
	dir := save(t, root, result("p", "20261128T120000-aa", noon))
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	entries, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	foreign, ok := errors.AsType[*history.OwnerError](h.Prune(entries[0], history.Rules{}))
	if !ok || foreign.Owner != 65534 || gone(dir) {
		t.Errorf("%+v, removed: %t", foreign, gone(dir))
	}
	if err := h.Prune(entries[0], history.Rules{Others: true}); err != nil || !gone(dir) {
		t.Errorf("with --others: %v", err)
	}
}

// TestTags holds what a tag may be called, and that a folder of links leads nowhere.
func TestTags(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "v1.0": true, "before_x-2": true, "": false, "last": false, "last~2": false, "a/b": false, "..": false, ".a": false,
		"a.": false, "-a": false, "a b": false, "é": false, "a\n": false, strings.Repeat("a", 100): true, strings.Repeat("a", 101): false,
	} {
		if err := history.CheckTag(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	outside, check := treasure(t)
	root := t.TempDir()
	h := history.History{Results: root, Note: func(error) {}}
	dir := save(t, root, result("p", "20261128T120000-aa", noon))
	if err := os.Symlink(outside, filepath.Join(root, "_tags")); err != nil {
		t.Fatal(err)
	}
	if err := h.AddTag("t", "20261128T120000-aa", true, nil); err == nil {
		t.Error("wrote a tag through a link")
	}
	if err := h.RemoveTag(store.ManifestFile, ""); err == nil {
		t.Error("removed through a link")
	}
	if got, err := h.Find("aa"); err != nil || got != dir {
		t.Errorf("a link in the place of the tags hides a run: %s, %v", got, err)
	}
	if all, err := h.List(); err != nil || len(all) != 1 {
		t.Errorf("a link in the place of the tags hides the list: %v, %v", all, err)
	}
	check()
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Errorf("outside there is %v", left)
	}
	// A damaged tag says so and hides nothing.
	if err := errors.Join(os.Remove(filepath.Join(root, "_tags")), os.Mkdir(filepath.Join(root, "_tags"), 0o700),
		os.WriteFile(filepath.Join(root, "_tags", "bad"), []byte("../../x\n"), 0o600), h.AddTag("good", "20261128T120000-aa", false, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Find("bad"); err == nil || !strings.Contains(err.Error(), "not a tag (`ergon runs tag rm bad` removes it)") {
		t.Errorf("a damaged tag: %v", err)
	}
	if tags, err := h.Tags(); err != nil || len(tags) != 1 || tags[0].ID != "20261128T120000-aa" {
		t.Errorf("%v, %v", tags, err)
	}
	if err := h.AddTag("good", "other", false, nil); err == nil {
		t.Error("took a tag from another run")
	}
	if err := errors.Join(h.AddTag("good", "other", true, nil), h.RemoveTag("good", "other"), h.RemoveTag("bad", "")); err != nil {
		t.Error(err)
	}
}
