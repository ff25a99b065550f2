//go:build unix

package store

import (
	"errors"
	"syscall"
)

// unsupportedSync reports whether err is how a file system says that it cannot sync a folder (fsync(2): EINVAL).
func unsupportedSync(err error) bool { return errors.Is(err, syscall.EINVAL) }
