// Package git tells which commit a folder has checked out. It reads the files of the repository itself, because starting
// git takes several milliseconds, more than many commands. It asks git only whether files differ from the commit.
//
// Sources: gitrepository-layout(5), git-worktree(1), git-pack-refs(1), git-status(1).
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// largest bounds the size of a file that is read: packed-refs has a line of about 60 bytes for each tag and branch.
const largest = 16 << 20

// Tree is a working tree.
type Tree struct {
	// Dir is its top folder. gitdir is the part of the repository that belongs to this tree alone, common the part that
	// all trees share.
	Dir            string
	gitdir, common string
}

// Find returns the working tree that a folder is in; ok is false if it is in none.
func Find(dir string) (t Tree, ok bool) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".git")
		if info, err := os.Stat(path); err == nil {
			t = Tree{Dir: dir, gitdir: path}
			if !info.IsDir() { // a linked working tree or a submodule has a file: "gitdir: /srv/repo/.git/worktrees/x"
				to, ok := strings.CutPrefix(word(path), "gitdir: ")
				if !ok {
					return Tree{}, false
				}
				t.gitdir = within(dir, to)
			}
			t.common = t.gitdir
			if to := word(filepath.Join(t.gitdir, "commondir")); to != "" {
				t.common = within(t.gitdir, to)
			}
			// git accepts no folder without a HEAD as a repository.
			if word(filepath.Join(t.gitdir, "HEAD")) == "" {
				return Tree{}, false
			}
			return t, true
		}
		if dir == filepath.Dir(dir) {
			return Tree{}, false
		}
	}
}

// within joins a folder and a path, unless the path is absolute.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// word returns the text of a small file without the line end, or an empty string if it cannot be read.
func word(path string) string {
	b, err := read(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > largest {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a file of git's")}
	}
	return os.ReadFile(path)
}

// Head returns the hash of the commit that is checked out, and the branch, which is empty if there is none. The error says
// why there is no hash: nothing has been committed, or the references have an unknown form.
func (t Tree) Head() (commit, branch string, err error) {
	head := word(filepath.Join(t.gitdir, "HEAD"))
	ref, symbolic := strings.CutPrefix(head, "ref: ")
	if !symbolic {
		if !isHash(head) {
			return "", "", fmt.Errorf("%s: not a commit", filepath.Join(t.gitdir, "HEAD"))
		}
		return head, "", nil
	}
	branch = strings.TrimPrefix(ref, "refs/heads/")
	// A reference may name another one, as HEAD does. More than a few in a row are a loop.
	for range 5 {
		if !filepath.IsLocal(ref) {
			break
		}
		for _, dir := range []string{t.gitdir, t.common} {
			found := word(filepath.Join(dir, filepath.FromSlash(ref)))
			if isHash(found) {
				return found, branch, nil
			}
			if to, ok := strings.CutPrefix(found, "ref: "); ok {
				ref = to
				break
			}
		}
	}
	packed, err := read(filepath.Join(t.common, "packed-refs"))
	if err == nil {
		if hash := inPacked(packed, ref); hash != "" {
			return hash, branch, nil
		}
	}
	if _, err := os.Stat(filepath.Join(t.common, "reftable")); err == nil {
		return "", "", errors.New("the references are in a reftable, which is not read")
	}
	return "", branch, fmt.Errorf("%s has no commit", branch)
}

// inPacked returns the hash of a reference in packed-refs, or an empty string:
//
//	# pack-refs with: peeled fully-peeled sorted
//	2dfc44d6e0b2a64d2e1d3f4c0a1b2c3d4e5f6a7b refs/heads/main
//	^fdaaac8e8ce3c5eb8dd4d2cde2ee1c42be79f0b1
func inPacked(packed []byte, ref string) string {
	for line := range bytes.Lines(packed) {
		hash, name, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if ok && string(name) == ref && isHash(string(hash)) {
			return string(hash)
		}
	}
	return ""
}

// isHash tells whether s is a SHA-1 or SHA-256 hash in hexadecimal.
func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// Dirty asks git whether tracked files differ from the commit, staged or not. It waits at most for limit. Untracked files
// do not count, because ergon's own results are untracked. Nothing is written to the repository. change may change the
// command before it starts.
func (t Tree) Dirty(ctx context.Context, limit time.Duration, change func(*exec.Cmd)) (bool, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return false, errors.New("look for changed files: no git in PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, git, "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no")
	cmd.Dir = t.Dir
	cmd.Env = append(Environment(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	cmd.WaitDelay = limit
	change(cmd)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("git did not answer within %v", limit)
	case err != nil:
		line, _, _ := bytes.Cut(said.Bytes(), []byte("\n"))
		if line = bytes.TrimPrefix(line, []byte("fatal: ")); len(line) > 0 {
			return false, fmt.Errorf("git: %s", line)
		}
		return false, fmt.Errorf("git: %w", err)
	}
	return len(out) > 0, nil
}

// Environment returns the variables of this process without those that make git use another tree than the one it is started
// in, as a hook does.
func Environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(Elsewhere(), name)
	})
}

// Elsewhere returns the names of these variables.
func Elsewhere() []string {
	return []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
}
