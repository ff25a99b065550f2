//go:build !unix

package git

import (
	"errors"
	"os"
)

// lockNew makes a file. There are no locks.
func lockNew(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

// lockAgain returns an error: there are no locks.
func lockAgain(string) (*os.File, error) { return nil, errors.ErrUnsupported }
