//go:build unix

package cgroup

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockDir locks a folder until the returned file is closed or this process ends. If it is locked, the error is errLocked.
func lockDir(dir string) (*os.File, error) {
	f, fd, err := openFile(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // it was only opened
		if err == unix.EWOULDBLOCK {
			err = errLocked
		}
		return nil, err
	}
	return f, nil
}
