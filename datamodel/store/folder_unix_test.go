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
	for name, target := range map[string]string{
		"file": filepath.Join(outside, "precious"), "folder": outside, "nothing": filepath.Join(outside, "new"),
	} {
		dir := t.TempDir()
		f, err := store.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
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
		if err := os.Symlink(target, filepath.Join(dir, "again")); err != nil {
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
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	f, err := store.NewRun(link, "p", at, "id", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(real, project, date, id)); err != nil {
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
	if left, err := os.ReadDir(real); err != nil || len(left) != 0 {
		t.Errorf("left after Discard: %v, %v", left, err)
	}
}
