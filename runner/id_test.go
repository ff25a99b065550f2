package runner

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestIDs gives 100,000 runs of the same second their ids. All ids are different and begin with the time.
func TestIDs(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for range 100_000 {
		id := newID(at)
		if seen[id] || CheckID(id) != nil || !strings.HasPrefix(id, "20261128T120000-") || len(id) != 16+idRandom {
			t.Fatalf("id %q: seen %t, %v", id, seen[id], CheckID(id))
		}
		seen[id] = true
	}
}

// TestFolders starts 1,500 runs of one second at once. Each gets a folder of its own.
func TestFolders(t *testing.T) {
	results, at := t.TempDir(), time.Now()
	fresh := func() string { return newID(at) }
	dirs := make([]string, 1500)
	errs := make([]error, len(dirs))
	var all sync.WaitGroup
	for i := range dirs {
		all.Go(func() {
			run := datamodel.Run{ID: fresh(), Project: "p", Start: at}
			dir, err := newDir(results, &run, fresh, store.Access{})
			if errs[i] = err; err == nil {
				dirs[i], errs[i] = dir.Path(), dir.Close()
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil || seen[dir] {
			t.Fatalf("%s: %v, seen %t", dir, err, seen[dir])
		}
		seen[dir] = true
	}
}

// TestAnotherTry checks that a run whose id is taken gets another one, and that a chosen id is not replaced.
func TestAnotherTry(t *testing.T) {
	results, at := t.TempDir(), time.Now()
	ids := []string{"b", "c", "d"} // the next ids
	fresh := func() string {
		id := ids[0]
		ids = ids[1:]
		return id
	}
	for _, id := range []string{"a", "b"} {
		if _, err := store.NewRun(results, "p", at, id, store.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	run := datamodel.Run{ID: "a", Project: "p", Start: at}
	dir, err := newDir(results, &run, fresh, store.Access{})
	if err != nil || run.ID != "c" || filepath.Base(dir.Path()) != "run=c" {
		t.Errorf("%v, id %q, %v: want c, since a and b are taken", dir, run.ID, err)
	}

	// A chosen id counts in all projects and on all days.
	for _, c := range []struct {
		project string
		at      time.Time
	}{{"p", at}, {"other", at}, {"p", at.AddDate(0, 0, 1)}} {
		chosen := datamodel.Run{ID: "a", Project: c.project, Start: c.at}
		dir, err := newDir(results, &chosen, nil, store.Access{})
		if !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "run id a: ") || dir != nil || chosen.ID != "a" {
			t.Errorf("%s, %v: %v, id %q, %v", c.project, c.at, dir, chosen.ID, err)
		}
	}
	chosen := datamodel.Run{ID: "d", Project: "p", Start: at}
	if dir, err := newDir(results, &chosen, nil, store.Access{}); err != nil || filepath.Base(dir.Path()) != "run=d" {
		t.Errorf("%v, %v", dir, err)
	}

	// Not every error is answered by another id.
	if err := os.WriteFile(filepath.Join(results, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newDir(filepath.Join(results, "file"), &run, fresh, store.Access{}); err == nil || len(ids) != 1 {
		t.Errorf("below a file: %v, %d ids left", err, len(ids))
	}
}

// TestCheckID checks which ids a caller may choose.
func TestCheckID(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "build-42": true, "2026.11_rc1": true, "20261128T120000-abcdef": true, strings.Repeat("x", idLongest): true,
		"": false, "last": false, ".": false, "..": false, "-q": false, "a/b": false, "a b": false, "a\n": false, "ü": false,
		"a.": false, ".a": false, "a~1": false, "last~2": false, "a:b": false, "%41": false, strings.Repeat("x", idLongest+1): false,
	} {
		if err := CheckID(id); (err == nil) != ok {
			t.Errorf("id %q: %v", id, err)
		}
	}
}
