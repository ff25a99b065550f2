//go:build unix

package git

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockNew makes a file and locks it until it is closed or this process ends.
func lockNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // without locks, nobody is told of what is left
	return f, nil
}

// lockAgain locks a file that exists. It is an error if a process has its lock.
func lockAgain(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // it was only opened
		return nil, err
	}
	return f, nil
}
