package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

const (
	// holderFile is the file in the folder of a name that says who holds the name.
	holderFile = "holder"
	// holderLimit is many times the size of that file.
	holderLimit = 1 << 10
	// exclusiveTries bounds how often a folder is opened again that was removed or replaced before it was locked.
	exclusiveTries = 10
)

// ErrNoLocks means that the system or the file system has no locks that end with their process.
var ErrNoLocks = errors.New("no locks here that end with their process")

// HeldError says who holds a name that was asked for.
type HeldError struct {
	Name string
	// PID is the first process of the ergon that holds the name; 0 if it is not known yet.
	PID int
	// Run is the id of its run; empty if it keeps none, or is not known yet.
	Run string
}

func (e *HeldError) Error() string {
	switch {
	case e.PID == 0:
		return fmt.Sprintf("another ergon holds %q", e.Name)
	case e.Run == "":
		return fmt.Sprintf("another ergon holds %q: process %d", e.Name, e.PID)
	}
	return fmt.Sprintf("another ergon holds %q: process %d, run %s", e.Name, e.PID, e.Run)
}

// Exclusive is a name that one process of this user holds on this machine. The kernel releases it when the last process has
// ended that has its descriptor.
type Exclusive struct {
	dir *Folder // it owns the folder of the locks
	pid int
}

// TakeExclusive takes a name, or returns a *HeldError at once. pid is told to those who ask for the name later.
//
// The name is a folder, and the kernel's lock on the folder counts, not its existence. It stands in the runtime folder of the
// machine: not in a folder that a variable of the environment names, because cron and a shell would then use different ones.
// A cleaner of temporary files leaves a folder alone that is locked.
func TakeExclusive(name string, pid int) (*Exclusive, error) {
	return takeExclusive(name, pid, lockFolders()...)
}

// takeExclusive takes a name below the first of the folders that exists.
func takeExclusive(name string, pid int, folders ...lockFolder) (*Exclusive, error) {
	locks, err := openLocks(folders)
	if err != nil {
		return nil, fmt.Errorf("folder of the locks: %w", err)
	}
	dir, err := locks.take(escape(name))
	if by, ok := errors.AsType[*HeldError](err); ok {
		by.Name = name
	}
	if err != nil {
		return nil, errors.Join(err, locks.Close())
	}
	dir.up = locks
	e := &Exclusive{dir, pid}
	if err := e.Note(""); err != nil {
		return nil, errors.Join(err, e.Release())
	}
	return e, nil
}

// take opens and locks a folder in this one, or returns a *HeldError.
func (f *Folder) take(name string) (*Folder, error) {
	for range exclusiveTries {
		dir, err := f.private(name)
		if err != nil {
			return nil, err
		}
		held, err := dir.lock()
		switch {
		case errors.Is(err, ErrLocked):
			err = holder(dir)
		case !held:
			err = fmt.Errorf("lock %s: %w", dir.Path(), errors.Join(ErrNoLocks, err))
		case f.holds(name, dir.handle):
			return dir, nil
		}
		_ = dir.Close() // nothing was written
		if err != nil {
			return nil, err
		}
		// Its holder has removed it before it was locked here, so somebody else may lock a new one.
	}
	return nil, f.fault("lock", name, errReplaced)
}

// lockFolder is a place for the locks of a user: the folder name in above. above exists on every machine that has it.
type lockFolder struct{ above, name string }

// openLocks opens the folder of the locks, and makes it if it is missing. It must belong to the user of this process.
func openLocks(folders []lockFolder) (*Folder, error) {
	var above *Folder
	var err error
	name := ""
	for _, f := range folders {
		name = f.name
		if above, err = OpenFolder(f.above); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	locks, err := above.private(name)
	if err != nil {
		return nil, errors.Join(err, above.Close())
	}
	locks.up = above
	return locks, nil
}

// private opens a folder in this one that only the user of this process may enter, and makes it if it is missing. If the
// folder is somebody else's, or a link, that is an error.
func (f *Folder) private(name string) (*Folder, error) {
	if err := f.mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, f.fault("make", name, err)
	}
	sub, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	if !sub.own() {
		return nil, errors.Join(f.fault("open", name, errOthers), sub.Close())
	}
	return sub, nil
}

// errOthers means that a folder which must be this user's belongs to somebody else.
var errOthers = errors.New("it belongs to another user")

// Note tells the id of the run to those who ask for the name.
func (e *Exclusive) Note(run string) error {
	w, err := e.dir.write(holderFile, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, e.pid, run)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return w.fail(err)
	}
	return w.name()
}

// Release ends the hold, whoever has the descriptor, and leaves nothing behind. The folder goes before the lock: whoever has
// opened it already finds that it is no longer the one of that name, and takes a new one.
func (e *Exclusive) Release() error {
	return errors.Join(e.dir.up.RemoveTree(filepath.Base(e.dir.path)), e.dir.Close())
}

// holder reads who holds the name of this folder. What cannot be read is not known.
func holder(dir *Folder) *HeldError {
	var by HeldError
	text, err := dir.readLimited(holderFile, holderLimit)
	if err != nil {
		return &by
	}
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return &by
	}
	if _, err := fmt.Sscan(words[0], &by.PID); err != nil || !alive(by.PID) { // it is from a holder before this one
		return &HeldError{}
	}
	if len(words) > 1 {
		by.Run = words[1]
	}
	return &by
}
