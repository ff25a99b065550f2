package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// git runs git in a folder, without the configuration of the user and the system.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// repo makes a repository with one commit on the branch topic/x.
func repo(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		testenv.Lacks(t, testenv.Git, err)
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "topic/x")
	write(t, filepath.Join(dir, "a/b"), "one")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	return dir
}

// TestHead checks that Head agrees with git, for every form of a repository.
func TestHead(t *testing.T) {
	dir := repo(t)
	same := func(what, in, branch string) {
		t.Helper()
		tree, ok := Find(in)
		if !ok {
			t.Fatalf("%s: not found", what)
		}
		commit, on, err := tree.Head()
		if want := git(t, in, "rev-parse", "HEAD"); err != nil || commit != want || on != branch {
			t.Errorf("%s: %q on %q, %v; git says %q on %q", what, commit, on, err, want, branch)
		}
		if top := git(t, in, "rev-parse", "--show-toplevel"); filepath.Base(top) != filepath.Base(tree.Dir) {
			t.Errorf("%s: %s, git says %s", what, tree.Dir, top)
		}
	}
	same("a loose reference", filepath.Join(dir, "a"), "topic/x")
	git(t, dir, "pack-refs", "--all")
	same("a packed reference", dir, "topic/x")
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, dir, "worktree", "add", "-q", "-b", "other", linked)
	same("a linked working tree", linked, "other")
	git(t, dir, "pack-refs", "--all")
	same("a linked working tree with packed references", linked, "other")
	git(t, dir, "checkout", "-q", "--detach")
	same("a detached head", dir, "")
	git(t, dir, "symbolic-ref", "refs/heads/alias", "refs/heads/topic/x")
	git(t, dir, "symbolic-ref", "HEAD", "refs/heads/alias")
	same("a reference to a reference", dir, "alias")

	empty := t.TempDir()
	git(t, empty, "init", "-q", "-b", "main")
	tree, ok := Find(empty)
	if commit, branch, err := tree.Head(); !ok || err == nil || commit != "" || branch != "main" {
		t.Errorf("without a commit: %q on %q, %v", commit, branch, err)
	}
}

func TestDirty(t *testing.T) {
	dir := repo(t)
	tree, _ := Find(dir)
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_DIR", "/nowhere") // as in a hook of another repository
	dirty := func(want bool) {
		t.Helper()
		if got, err := tree.Dirty(t.Context(), 10*time.Second, func(*exec.Cmd) {}); err != nil || got != want {
			t.Errorf("dirty: %v, %v", got, err)
		}
	}
	dirty(false)
	write(t, filepath.Join(dir, "ergon-results/x"), "not git's")
	dirty(false)
	write(t, filepath.Join(dir, "a/b"), "two and more")
	dirty(true)
	if _, err := tree.Dirty(t.Context(), time.Nanosecond, func(*exec.Cmd) {}); err == nil || !strings.Contains(err.Error(), "within 1ns") {
		t.Errorf("without time left: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := tree.Dirty(t.Context(), time.Second, func(*exec.Cmd) {}); err == nil || !strings.Contains(err.Error(), "no git") {
		t.Errorf("without git: %v", err)
	}
}

// TestNoRepository checks folders that look like a repository but are not.
func TestNoRepository(t *testing.T) {
	dir := t.TempDir()
	if tree, ok := Find(dir); ok && strings.HasPrefix(tree.Dir, dir) {
		t.Errorf("%+v", tree)
	}
	for _, text := range []string{"", "gitdir: ", "gitdir: /none", "nonsense", "\x00"} {
		write(t, filepath.Join(dir, ".git"), text)
		if tree, ok := Find(dir); ok {
			t.Errorf("%q: %+v", text, tree)
		}
	}
}

// FuzzHead checks that a commit is always a hash from one of the files, and that no file outside the repository is read.
func FuzzHead(f *testing.F) {
	const hash = "2dfc44d6e0b2a64d2e1d3f4c0a1b2c3d4e5f6a7b"
	f.Add("ref: refs/heads/main\n", hash+"\n", "")
	f.Add("ref: refs/heads/x\n", "", "# pack-refs\n"+hash+" refs/heads/x\n^"+hash+"\n")
	f.Add("ref: ../../../etc/passwd\n", "ref: refs/heads/main", hash+" ../../../etc/passwd")
	f.Add(hash, "", "")
	f.Fuzz(func(t *testing.T, head, ref, packed string) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, ".git/HEAD"), head)
		write(t, filepath.Join(dir, ".git/refs/heads/main"), ref)
		write(t, filepath.Join(dir, ".git/packed-refs"), packed)
		tree, ok := Find(dir)
		if !ok {
			return
		}
		commit, _, err := tree.Head()
		if (err == nil) != isHash(commit) || commit != "" && !strings.Contains(head+ref+packed, commit) {
			t.Fatalf("%q, %v", commit, err)
		}
	})
}
