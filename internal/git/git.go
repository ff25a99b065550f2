// Package git tells which commit a folder has checked out. It reads the files of the repository itself, which takes some
// hundred microseconds less than starting git, and asks git only whether files differ from the commit.
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

// largest is what is read of a file of the repository: packed-refs has a line of some 60 bytes for each tag and branch.
const largest = 16 << 20

// Tree is a working tree.
type Tree struct {
	// Dir is its uppermost folder, gitdir what is its own of the repository and common what all its trees share.
	Dir            string
	gitdir, common string
}

// Find looks for the working tree that a folder is in; ok is false where it is in none.
func Find(dir string) (t Tree, ok bool) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".git")
		if info, err := os.Stat(path); err == nil {
			t = Tree{Dir: dir, gitdir: path}
			if !info.IsDir() { // of a linked working tree or a submodule: "gitdir: /srv/repo/.git/worktrees/x"
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
			// git takes no folder without these two for a repository.
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

// within is a path that may be relative to a folder.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// word is a small file without the end of its line; empty where it cannot be read.
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

// Head is the commit checked out, as the hash, and the branch, which is empty where none is. The error says why there is
// no hash: nothing has been committed yet, or the references are in a form that is not known here.
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
	// One reference may stand for another, as HEAD does; more than a few are a circle.
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

// inPacked finds a reference in packed-refs, empty where it is not there:
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

// isHash says whether s is a SHA-1 or a SHA-256 in hexadecimal.
func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// Dirty asks git whether tracked files differ from the commit, staged or not, for as long as limit. Files that git does
// not know are no difference: the results of ergon itself are such. Nothing is written to the repository.
func (t Tree) Dirty(ctx context.Context, limit time.Duration) (bool, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return false, errors.New("there is no git to ask")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, git, "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no")
	cmd.Dir = t.Dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), elsewhere), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	cmd.WaitDelay = limit
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

// elsewhere says whether a variable leads git to another tree than the one it is started in, as within a hook.
func elsewhere(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}, name)
}
