//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestTakeExclusive takes, refuses and releases a name, and leaves nothing behind.
func TestTakeExclusive(t *testing.T) {
	dir := t.TempDir()
	places := []lockFolder{{filepath.Join(dir, "none"), "x"}, {dir, "locks"}}
	const name = "../nightly job/1"
	first, err := takeExclusive(name, os.Getpid(), places...)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "locks")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the locks: %v, %v", info, err)
	}
	refused := func() *HeldError {
		t.Helper()
		_, err := takeExclusive(name, 1, places...)
		by, ok := errors.AsType[*HeldError](err)
		if !ok {
			t.Fatalf("second: %v", err)
		}
		return by
	}
	if by := refused(); *by != (HeldError{name, os.Getpid(), ""}) {
		t.Errorf("%+v", by)
	}
	if err := first.Note("20260101T000000-abc"); err != nil {
		t.Fatal(err)
	}
	if by := refused(); *by != (HeldError{name, os.Getpid(), "20260101T000000-abc"}) {
		t.Errorf("%+v", by)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "locks")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	again, err := takeExclusive(name, os.Getpid(), places...)
	if err != nil {
		t.Fatal(err)
	}
	// A holder that was killed leaves its file. It says nothing about the next one.
	if err := errors.Join(os.WriteFile(filepath.Join(again.dir.path, holderFile), []byte("99999999 run\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if by := refused(); *by != (HeldError{Name: name}) {
		t.Errorf("%+v", by)
	}
	// Close, not Release: what a killed holder leaves.
	if err := again.dir.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := takeExclusive(name, os.Getpid(), places...)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Release(); err != nil {
		t.Error(err)
	}
}

// TestTakeExclusiveReplaced removes the folder of a name that is held. The next holder takes a new one, and so does somebody who
// had opened the old one.
func TestTakeExclusiveReplaced(t *testing.T) {
	dir := t.TempDir()
	locks, err := openLocks([]lockFolder{{dir, "locks"}})
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	old, err := locks.private("x")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := locks.Remove("x"); err != nil {
		t.Fatal(err)
	}
	held, err := locks.take("x")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := old.lock(); err != nil || locks.holds("x", old.handle) {
		t.Errorf("the old folder still has the name, or could not be locked: %v", err)
	}
	if _, err := locks.take("x"); err == nil || !strings.Contains(err.Error(), "holds") {
		t.Errorf("taken twice: %v", err)
	}
}

// TestTakeExclusivePlanted puts what another user could in the way: a link, a file, a folder of theirs.
func TestTakeExclusivePlanted(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link")), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "file"} {
		if _, err := takeExclusive("x", 1, lockFolder{dir, name}); !errors.Is(err, errLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("made outside: %v, %v", left, err)
	}
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a folder of somebody else")
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "theirs"), 0o777), os.Chown(filepath.Join(dir, "theirs"), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if _, err := takeExclusive("x", 1, lockFolder{dir, "theirs"}); !errors.Is(err, errOthers) {
		t.Errorf("theirs: %v", err)
	}
}
