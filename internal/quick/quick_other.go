//go:build unix && !(linux && (amd64 || arm64 || loong64 || ppc64le || riscv64 || s390x))

package quick

import (
	"errors"
	"syscall"
)

// Pread is pread(2). It is called again after a signal.
func Pread(fd int, b []byte, at int64) (int, syscall.Errno) {
	for {
		n, err := syscall.Pread(fd, b, at)
		if err == nil {
			return n, 0
		}
		errno := syscall.EIO
		_ = errors.As(err, &errno)
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
