package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Checkout is a commit in a temporary working tree of its own. git calls that a linked working tree: it shares the objects of
// the repository, and the repository has a record of it.
type Checkout struct {
	// Dir is its top folder, Commit the hash of what it has.
	Dir, Commit string
	// Submodules are the paths of the commit's submodules, Large the paths of the files that git-lfs keeps elsewhere.
	Submodules, Large []string
	of                Tree
	mark              *os.File
}

// ErrNoGit means that there is no program git.
var ErrNoGit = errors.New("no git in PATH (install git)")

// UnknownError says that a name is no commit of the repository.
type UnknownError struct {
	Name string
	// Shallow says that the repository has only a part of the history. Remote is a name of the same branch that the repository
	// knows from a remote; "" if there is none.
	Shallow bool
	Remote  string
}

func (e *UnknownError) Error() string {
	switch {
	case e.Remote != "":
		return fmt.Sprintf("no commit %q here (%s is one)", e.Name, e.Remote)
	case e.Shallow:
		return fmt.Sprintf("no commit %q here, and this clone is shallow (git fetch --depth=1 origin %s, then FETCH_HEAD is the commit)", e.Name, e.Name)
	}
	return fmt.Sprintf("no commit %q here (git branch --all lists the branches)", e.Name)
}

// Resolve returns the hash of the commit that a name stands for, such as a branch, a tag or HEAD~1.
func (t Tree) Resolve(ctx context.Context, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "-") {
		return "", &UnknownError{Name: name}
	}
	hash, err := t.commit(ctx, name)
	if err != nil || hash != "" {
		return hash, err
	}
	unknown := &UnknownError{Name: name, Shallow: word(filepath.Join(t.common, "shallow")) != ""}
	remotes, err := t.ask(ctx, t.Dir, "remote")
	if err != nil {
		return "", err
	}
	for remote := range strings.FieldsSeq(remotes) {
		if hash, err := t.commit(ctx, remote+"/"+name); err == nil && hash != "" {
			unknown.Remote = remote + "/" + name
			break
		}
	}
	return "", unknown
}

// commit returns the hash of a commit, empty if there is none of that name.
func (t Tree) commit(ctx context.Context, name string) (string, error) {
	hash, err := t.ask(ctx, t.Dir, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if said, ok := errors.AsType[*gitError](err); ok && said.text == "" { // --quiet: there is no such commit
		return "", nil
	}
	return strings.TrimSpace(hash), err
}

// markFile is the file in git's record of a working tree that says that it is a Checkout. Its lock says that the process
// that made the working tree lives.
const markFile = "ergon-checkout"

// CheckOut checks a commit out into a new folder beside the working tree, so that both are on the same file system and a
// relative path that leaves one leads to the same place from the other. If no folder can be made there, it is made where
// temporary files are. No hook of the repository runs. Filters run, because without them the files would be others.
func (t Tree) CheckOut(ctx context.Context, commit string) (c *Checkout, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(t.Dir), filepath.Base(t.Dir)+".ergon-base-*")
	if err != nil {
		if dir, err = os.MkdirTemp("", "ergon-base-*"); err != nil {
			return nil, err
		}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	c = &Checkout{Dir: dir, Commit: commit, of: t}
	if _, err := t.ask(ctx, t.Dir, "worktree", "add", "--quiet", "--no-checkout", "--detach", dir, commit); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	if err := c.fill(ctx); err != nil {
		return nil, errors.Join(err, c.Remove(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// fill writes the files.
func (c *Checkout) fill(ctx context.Context) (err error) {
	record, ok := strings.CutPrefix(word(filepath.Join(c.Dir, ".git")), "gitdir: ")
	if !ok {
		return fmt.Errorf("%s: git made no working tree", c.Dir)
	}
	if c.mark, err = lockNew(filepath.Join(record, markFile)); err != nil {
		return err
	}
	if _, err := c.of.ask(ctx, c.Dir, "read-tree", c.Commit); err != nil {
		return err
	}
	staged, err := c.of.ask(ctx, c.Dir, "ls-files", "-z", "--stage")
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(staged, "\x00") {
		if mode, path, ok := strings.Cut(entry, "\t"); ok && strings.HasPrefix(mode, "160000 ") {
			c.Submodules = append(c.Submodules, filepath.FromSlash(path))
		}
	}
	large, err := c.of.ask(ctx, c.Dir, "ls-files", "-z", ":(attr:filter=lfs)")
	if err != nil {
		return err
	}
	for path := range strings.SplitSeq(strings.TrimRight(large, "\x00"), "\x00") {
		if path != "" {
			c.Large = append(c.Large, filepath.FromSlash(path))
		}
	}
	if _, err := c.of.ask(ctx, c.Dir, "reset", "--quiet", "--hard"); err != nil {
		if len(c.Large) > 0 {
			return fmt.Errorf("%w (git lfs fetch gets the files that git-lfs keeps elsewhere; with GIT_LFS_SKIP_SMUDGE=1 they stay pointers)", err)
		}
		return err
	}
	return nil
}

// removal bounds the time that git may take to remove a working tree.
const removal = time.Minute

// Remove removes the working tree and git's record of it.
func (c *Checkout) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	if c.mark != nil {
		defer func() { _ = c.mark.Close() }() // nothing was written to it
	}
	if _, err := c.of.ask(ctx, c.of.Dir, "worktree", "remove", "--force", "--force", c.Dir); err == nil {
		return nil
	}
	// Folders without the right to write keep git from it: Go's module cache is one.
	_ = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a folder; removing it tells the error
		}
		return nil
	})
	err := os.RemoveAll(c.Dir)
	if err == nil { // not prune: it would also forget the user's own that are on a disk that is away
		_, err = c.of.ask(ctx, c.of.Dir, "worktree", "remove", "--force", "--force", c.Dir)
	}
	if err != nil {
		return fmt.Errorf("%s is left: %w (%s)", c.Dir, err, removeBy(c.Dir))
	}
	return nil
}

func removeBy(dir string) string { return "git worktree remove --force " + dir }

// Lacks are what a Checkout has not and another working tree has: submodules that are empty, and pointers of git-lfs in place
// of files. Both lists have paths.
type Lacks struct{ Submodules, Pointers []string }

// Lacks compares with the working tree that the Checkout was made from.
func (c *Checkout) Lacks() (l Lacks) {
	for _, path := range c.Submodules {
		if isEmpty(filepath.Join(c.Dir, path)) && !isEmpty(filepath.Join(c.of.Dir, path)) {
			l.Submodules = append(l.Submodules, path)
		}
	}
	for _, path := range c.Large {
		if isPointer(filepath.Join(c.Dir, path)) && !isPointer(filepath.Join(c.of.Dir, path)) {
			l.Pointers = append(l.Pointers, path)
		}
	}
	return l
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0
}

// isPointer reports whether a file is a pointer of git-lfs (git-lfs, docs/spec.md).
func isPointer(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, len(pointerHead))
	_, err = f.Read(head)
	return err == nil && string(head) == pointerHead
}

const pointerHead = "version https://git-lfs.github.com/spec/"

// Left returns the folders of Checkouts whose process was killed, with what removes them.
func (t Tree) Left() (dirs, commands []string) {
	records, _ := filepath.Glob(filepath.Join(escaped(t.common), "worktrees", "*", markFile))
	for _, mark := range records {
		f, err := lockAgain(mark)
		if err != nil {
			continue // its process lives, or nobody can tell
		}
		_ = f.Close() // nothing was written to it
		dir := filepath.Dir(word(filepath.Join(filepath.Dir(mark), "gitdir")))
		dirs = append(dirs, dir)
		if _, err := os.Stat(dir); err != nil {
			commands = append(commands, "git worktree prune")
		} else {
			commands = append(commands, removeBy(dir))
		}
	}
	return dirs, commands
}

// escaped escapes what a pattern of filepath.Glob would take for more than itself.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// gitError says what git said.
type gitError struct {
	what, text string
	err        error
}

func (e *gitError) Error() string {
	if e.text != "" {
		return fmt.Sprintf("git %s: %s", e.what, e.text)
	}
	return fmt.Sprintf("git %s: %v", e.what, e.err)
}

func (e *gitError) Unwrap() error { return e.err }

// grace is how long git has to end after a signal.
const grace = 2 * time.Second

// ask runs git in a folder and returns what it writes to stdout. No hook runs, and nothing is asked on the terminal.
func (t Tree) ask(ctx context.Context, dir string, args ...string) (string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return "", ErrNoGit
	}
	cmd := exec.CommandContext(ctx, git, append([]string{"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(Environment(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	cmd.Cancel = func() error { // so that git removes its locks
		if err := cmd.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) && err != nil {
			return cmd.Process.Kill() // a system without signals
		}
		return nil
	}
	cmd.WaitDelay = grace
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		text := strings.TrimPrefix(strings.Join(strings.Fields(said.String()), " "), "fatal: ")
		return "", &gitError{args[0], text, err}
	}
	return string(out), nil
}
