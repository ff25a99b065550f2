//go:build unix

package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// treasure makes a folder that nothing may change, and returns a check of it.
func treasure(t *testing.T) (dir string, check func()) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		t.Helper()
		if text, err := os.ReadFile(file); err != nil || string(text) != "untouched" {
			t.Errorf("the file outside: %q, %v", text, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("the folder outside: %v, %v", entries, err)
		}
	}
}

// TestFolderFollowsNoLink plants a link at a name and uses the name in every way.
func TestFolderFollowsNoLink(t *testing.T) {
	outside, check := treasure(t)
	for name, to := range map[string]string{
		"file": filepath.Join(outside, "precious"), "folder": outside, "nothing": filepath.Join(outside, "new"),
	} {
		dir := t.TempDir()
		f, err := store.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: create: %v", name, err)
		}
		if _, err := f.Make(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: make: %v", name, err)
		}
		if _, err := f.Read(name); err == nil {
			t.Errorf("%s: read through the link", name)
		}
		if _, err := f.Open(name); err == nil {
			t.Errorf("%s: opened through the link", name)
		}
		file, err := f.Create("new")
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		if err := f.Rename("new", name); err != nil { // it replaces the link
			t.Errorf("%s: rename: %v", name, err)
		}
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: after rename: %v, %v", name, info, err)
		}
		if err := os.Symlink(to, filepath.Join(dir, "again")); err != nil {
			t.Fatal(err)
		}
		if err := f.RemoveTree("again"); err != nil {
			t.Errorf("%s: remove: %v", name, err)
		}
		if names, err := f.List(); err != nil || !slices.Equal(names, []string{name}) {
			t.Errorf("%s: left %v, %v", name, names, err)
		}
		check()
	}
}

// TestFolderStays renames an open folder and puts a link in its place. The handle stays with the folder.
func TestFolderStays(t *testing.T) {
	outside, check := treasure(t)
	dir := t.TempDir()
	above, err := store.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer above.Close()
	f, err := above.Make("run")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Rename(filepath.Join(dir, "run"), filepath.Join(dir, "moved")),
		os.Symlink(outside, filepath.Join(dir, "run"))); err != nil {
		t.Fatal(err)
	}
	file, err := f.Create("new")
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := os.Stat(filepath.Join(dir, "moved", "new")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Remove("new"), above.RemoveTree("run"), above.RemoveTree("moved")); err != nil {
		t.Error(err)
	}
	check()
}

// TestFolderNames holds that a path is no name.
func TestFolderNames(t *testing.T) {
	f, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sub, err := f.Make("sub")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/tmp/x", "a\x00b"} {
		_, create := sub.Create(name)
		_, read := sub.Read(name)
		_, open := sub.Open(name)
		_, folder := sub.Make(name)
		for i, err := range []error{create, read, open, folder, sub.Remove(name), sub.Rename(name, "x"), sub.Rename("x", name), sub.RemoveTree(name)} {
			if err == nil {
				t.Errorf("%q: call %d gives no error", name, i)
			}
		}
	}
}

// TestFolderReadsFilesOnly holds that a FIFO does not block and that a folder is not read as a file.
func TestFolderReadsFilesOnly(t *testing.T) {
	dir := t.TempDir()
	f, err := store.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "sub"} {
		if _, err := f.Read(name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNewRunRefusesLinks plants a link at each level below the results folder. Only the results folder may be one.
func TestNewRunRefusesLinks(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	const project, date, id = "project=p", "date=2026-11-28", "run=id"
	for level, path := range []string{project, project + "/" + date, project + "/" + date + "/" + id} {
		outside, check := treasure(t)
		results := t.TempDir()
		link := filepath.Join(results, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o700), os.Symlink(outside, link)); err != nil {
			t.Fatal(err)
		}
		if f, err := store.NewRun(results, "p", at, "id", store.Access{}); err == nil {
			t.Errorf("level %d: made %s", level, f.Path())
		}
		if f, err := store.OpenRun(filepath.Join(results, project, date, id)); err == nil {
			t.Errorf("level %d: opened %s", level, f.Path())
		}
		check()
	}
	target, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	f, err := store.NewRun(link, "p", at, "id", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(target, project, date, id)); err != nil {
		t.Error(err)
	}
	if again, err := store.OpenRun(f.Path()); err != nil {
		t.Error(err)
	} else if err := again.Lock(); !errors.Is(err, store.ErrLocked) {
		t.Errorf("the lock of a run that goes on: %v", err)
	}
	if _, err := store.NewRun(link, "p", at, "id", store.Access{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same id twice: %v", err)
	}
	if err := errors.Join(f.Discard(), f.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(target); err != nil || len(left) != 0 {
		t.Errorf("left after Discard: %v, %v", left, err)
	}
}

// killedEarly makes the folder of a run as a run leaves it that is killed before its manifest is written.
func killedEarly(t *testing.T, results string) (f *store.Folder, spool *store.Folder) {
	t.Helper()
	f, err := store.NewRun(results, "p", time.Now(), "id", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if spool, err = f.Make(store.SpoolFolder); err != nil {
		t.Fatal(err)
	}
	room, err := store.ReserveState(spool, 0)
	if err != nil {
		t.Fatal(err)
	}
	temp, err := f.Create(".manifest.json.0123456789abcdef.tmp")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(room.Close(), temp.Close()); err != nil {
		t.Fatal(err)
	}
	return f, spool
}

// TestUnused holds that only a folder without a manifest, readings and other files counts as unused.
func TestUnused(t *testing.T) {
	for what, add := range map[string]func(f, spool *store.Folder) error{
		"nothing":            func(_, _ *store.Folder) error { return nil },
		"a manifest":         func(f, _ *store.Folder) error { return store.NoteManifest(f, sampleRun()) },
		"a spool":            func(_, spool *store.Folder) error { _, err := store.CreateSpool(spool, header("cpu", 1)); return err },
		"somebody's file":    func(f, _ *store.Folder) error { _, err := f.Create("notes.txt"); return err },
		"a folder of others": func(f, _ *store.Folder) error { _, err := f.Make("plots"); return err },
	} {
		results := filepath.Join(t.TempDir(), "results")
		f, spool := killedEarly(t, results)
		if err := add(f, spool); err != nil {
			t.Fatal(err)
		}
		if err := spool.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := f.Unused(), what == "nothing"; got != want {
			t.Errorf("%s: unused is %t", what, got)
		}
		if err := f.RemoveTemps(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(f.Path(), ".*.tmp")); len(left) > 0 {
			t.Errorf("%s: left %v", what, left)
		}
		f.Close()
	}
}

// TestSweepTemp removes the temporary folders of killed runs, and nothing else.
func TestSweepTemp(t *testing.T) {
	outside, check := treasure(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	used, err := store.TempFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	killed, err := store.TempFolder()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateSpool(killed, header("cpu", 1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(killed.Close(), os.Symlink(outside, filepath.Join(tmp, "ergon-0123456789abcdef")),
		os.Mkdir(filepath.Join(tmp, "ergon-notes"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if n := store.SweepTemp(); n != 1 {
		t.Errorf("%d were removed, want the one of the killed run", n)
	}
	if _, err := os.Stat(killed.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the killed run: %v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 3 {
		t.Errorf("left: %v, %v", left, err)
	}
	check()
}

// TestUnnamedResults puts a link in the place of the results folder. A caller who has not named the folder follows only a
// link that nobody else can have made.
func TestUnnamedResults(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a link of somebody else's")
	}
	const other = 65534
	for _, c := range []struct {
		name          string
		folder        fs.FileMode
		owner, link   int // of the folder that the link is in, and of the link
		named, follow bool
	}{
		{"mine", 0o755, 0, 0, false, true},
		{"mine, in a sticky folder", 0o777 | fs.ModeSticky, 0, 0, false, true},
		{"mine, in a folder open to all", 0o777, 0, 0, false, false},
		{"mine, in somebody else's folder", 0o755, other, 0, false, false},
		{"somebody else's", 0o777 | fs.ModeSticky, 0, other, false, false},
		{"somebody else's, but named", 0o777 | fs.ModeSticky, 0, other, true, true},
	} {
		dir, target := t.TempDir(), t.TempDir()
		link := filepath.Join(dir, "ergon-results")
		if err := errors.Join(os.Symlink(target, link), os.Lchown(link, c.link, c.link), os.Chown(dir, c.owner, c.owner), os.Chmod(dir, c.folder)); err != nil {
			t.Fatal(err)
		}
		f, err := store.NewRun(link, "p", time.Now(), "id", store.Access{Unnamed: !c.named})
		if (err == nil) != c.follow {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, _ := os.ReadDir(target); (len(left) > 0) != c.follow {
			t.Errorf("%s: the folder that the link leads to has %v", c.name, left)
		}
		if f != nil {
			f.Close()
		}
	}
	// Without a link, and without a folder, it works as before.
	f, err := store.NewRun(filepath.Join(t.TempDir(), "new", "ergon-results"), "p", time.Now(), "id", store.Access{Unnamed: true})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
