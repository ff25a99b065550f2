package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkout checks a commit out and removes the folder after the test.
func checkout(t *testing.T, tree Tree, name string) *Checkout {
	t.Helper()
	commit, err := tree.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tree.CheckOut(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Remove(context.WithoutCancel(t.Context())) })
	return c
}

// noTrace checks that neither a folder nor a record of a checkout is there.
func noTrace(t *testing.T, dir string) {
	t.Helper()
	if list := git(t, dir, "worktree", "list", "--porcelain"); strings.Count(list, "worktree ") != 1 {
		t.Errorf("git still has %s", list)
	}
	if left, _ := filepath.Glob(dir + ".ergon-base-*"); left != nil {
		t.Errorf("left: %v", left)
	}
}

func TestCheckOut(t *testing.T) {
	dir := repo(t)
	hook := filepath.Join(dir, ".git/hooks/post-checkout")
	write(t, hook, "#!/bin/sh\ntouch "+dir+"/hooked\n")
	if err := os.Chmod(hook, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a/b"), "changed, not committed")
	t.Setenv("GIT_DIR", "/nowhere") // as in a hook of another repository
	tree, _ := Find(dir)
	c := checkout(t, tree, "topic/x")
	if b, err := os.ReadFile(filepath.Join(c.Dir, "a/b")); err != nil || string(b) != "one" {
		t.Errorf("%q, %v", b, err)
	}
	if filepath.Dir(c.Dir) != filepath.Dir(dir) {
		t.Errorf("%s is not beside %s", c.Dir, dir)
	}
	if info, err := os.Stat(c.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "hooked")); err == nil {
		t.Error("a hook ran")
	}
	if dirs, _ := tree.Left(); dirs != nil {
		t.Errorf("%v is in use", dirs)
	}
	// What a build leaves: files that git does not know, and folders that nobody may write to.
	write(t, filepath.Join(c.Dir, "cache/x"), "read only")
	if err := os.Chmod(filepath.Join(c.Dir, "cache"), 0o500); err != nil { //nolint:gosec // a folder
		t.Fatal(err)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Unsetenv("GIT_DIR"); err != nil { // Setenv above restores it
		t.Fatal(err)
	}
	noTrace(t, dir)
}

// TestResolve checks what is said of a name that is no commit.
func TestResolve(t *testing.T) {
	origin := repo(t)
	write(t, filepath.Join(origin, "a/b"), "two")
	git(t, origin, "commit", "-q", "-a", "-m", "two")
	git(t, origin, "tag", "v1", "HEAD~1")
	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, origin, "clone", "-q", "--depth=1", "file://"+origin, shallow)
	full := filepath.Join(t.TempDir(), "full")
	git(t, origin, "clone", "-q", origin, full)
	git(t, full, "checkout", "-q", "-b", "mine")
	git(t, full, "branch", "-q", "-D", "topic/x")
	for _, c := range []struct{ in, name, want string }{
		{full, "v1", ""},
		{full, "HEAD~1", ""},
		{full, "topic/x", `no commit "topic/x" here (origin/topic/x is one)`},
		{full, "none", "git branch --all"},
		{full, "--help", `no commit "--help"`},
		{full, "", `no commit ""`},
		{full, "HEAD:a/b", "no commit"},
		{shallow, "HEAD~1", "git fetch --depth=1 origin HEAD~1"},
		{shallow, "v1", "this clone is shallow"},
	} {
		tree, _ := Find(c.in)
		hash, err := tree.Resolve(t.Context(), c.name)
		if c.want == "" {
			if err != nil || hash != git(t, c.in, "rev-parse", c.name) {
				t.Errorf("%s: %s, %v", c.name, hash, err)
			}
			continue
		}
		if _, ok := errors.AsType[*UnknownError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	tree, _ := Find(full)
	if _, err := tree.Resolve(t.Context(), "v1"); !errors.Is(err, ErrNoGit) {
		t.Errorf("without git: %v", err)
	}
}

// TestLacks checks a commit with a submodule and with files of git-lfs, of which a new checkout has neither.
func TestLacks(t *testing.T) {
	part, dir := repo(t), repo(t)
	git(t, dir, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", part, "part")
	pointer := pointerHead + "v1\noid sha256:0\nsize 4\n"
	write(t, filepath.Join(dir, ".gitattributes"), "*.bin filter=lfs\n")
	write(t, filepath.Join(dir, "sub/x.bin"), pointer)
	write(t, filepath.Join(dir, "same.bin"), pointer)
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "with parts")
	write(t, filepath.Join(dir, "sub/x.bin"), "the file itself")
	tree, _ := Find(dir)
	c := checkout(t, tree, "HEAD")
	if l := c.Lacks(); !slices.Equal(l.Submodules, []string{"part"}) || !slices.Equal(l.Pointers, []string{"sub/x.bin"}) {
		t.Errorf("%+v", l)
	}
	write(t, filepath.Join(c.Dir, "part/a/b"), "one")
	write(t, filepath.Join(c.Dir, "sub/x.bin"), "another file")
	if l := c.Lacks(); l.Submodules != nil || l.Pointers != nil {
		t.Errorf("after both came: %+v", l)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	noTrace(t, dir)

	// git-lfs is needed, and fails.
	git(t, dir, "config", "filter.lfs.smudge", "false")
	git(t, dir, "config", "filter.lfs.required", "true")
	if _, err := tree.CheckOut(t.Context(), c.Commit); err == nil || !strings.Contains(err.Error(), "git lfs fetch") {
		t.Errorf("%v", err)
	}
	noTrace(t, dir)
}

// TestInterrupted checks that a checkout that is interrupted leaves nothing.
func TestInterrupted(t *testing.T) {
	dir := repo(t)
	write(t, filepath.Join(dir, ".gitattributes"), "* filter=slow\n")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "a filter")
	started := filepath.Join(t.TempDir(), "started")
	git(t, dir, "config", "filter.slow.smudge", "touch "+started+"; while test -e "+started+"; do sleep 0.05; done")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	tree, _ := Find(dir)
	_, err := tree.CheckOut(ctx, git(t, dir, "rev-parse", "HEAD"))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	noTrace(t, dir)
}

// TestLeft checks that what a killed process left is found, and that the named command removes it.
func TestLeft(t *testing.T) {
	dir := repo(t)
	tree, _ := Find(dir)
	commit := git(t, dir, "rev-parse", "HEAD")
	for range 2 {
		c, err := tree.CheckOut(t.Context(), commit)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.mark.Close(); err != nil { // as the end of the process does it
			t.Fatal(err)
		}
	}
	git(t, dir, "worktree", "add", "-q", filepath.Join(t.TempDir(), "own"))
	dirs, commands := tree.Left()
	if len(dirs) != 2 || len(commands) != 2 {
		t.Fatalf("%q, %q", dirs, commands)
	}
	if err := os.RemoveAll(dirs[0]); err != nil {
		t.Fatal(err)
	}
	_, commands = tree.Left()
	for i, command := range commands {
		if want := []string{"git worktree prune", removeBy(dirs[1])}[i]; command != want {
			t.Errorf("%s, want %s", command, want)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	if dirs, _ := tree.Left(); dirs != nil {
		t.Errorf("still %v", dirs)
	}
	if list := git(t, dir, "worktree", "list"); strings.Count(list, "\n") != 1 {
		t.Errorf("the user's own is gone: %s", list)
	}
}
