//go:build unix

package runner

import (
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
