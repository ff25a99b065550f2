//go:build unix

package runner

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mayWrite says why no files can be made in the folder for temporary ones.
func mayWrite(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return noTemp(&os.PathError{Op: "access", Path: dir, Err: err})
	}
	return nil
}

// lockFolder holds a folder for as long as the file is open and this process lives. It is a lock of flock(2), which
// goes with the process whatever ends it. Where the file system knows no locks (some network ones) it is held by
// nobody.
func lockFolder(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		_ = f.Close()
		return nil, fmt.Errorf("%s: the run still goes on", path)
	}
	return f, nil
}
