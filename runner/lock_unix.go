//go:build unix

package runner

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mayWrite returns an error if no files can be made in the folder for temporary files.
func mayWrite(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return noTemp(&os.PathError{Op: "access", Path: dir, Err: err})
	}
	return nil
}

// lockFolder locks a folder until the returned file is closed or this process ends, by flock(2). It returns an error if
// another process has the lock. On a file system without locks (some network ones) there is no lock and no error.
func lockFolder(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		_ = f.Close()
		return nil, fmt.Errorf("%s: the run has not ended yet", path)
	}
	return f, nil
}
