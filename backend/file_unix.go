//go:build unix

package backend

import (
	"syscall"

	"github.com/ergon-energy/ergon/internal/quick"
)

// nonblock lets the opening of a FIFO return at once.
const nonblock = syscall.O_NONBLOCK

// pread is one call of pread(2). os.File.ReadAt would call it again until it returns 0, twice for each file.
func pread(f *file, b []byte, at int64) (int, error) {
	if f.quick {
		n, errno := quick.Pread(f.fd, b, at)
		if errno != 0 {
			return 0, errno
		}
		return n, nil
	}
	for {
		n, err := syscall.Pread(f.fd, b, at)
		if err == nil {
			return n, nil
		}
		if err != syscall.EINTR {
			return 0, err
		}
	}
}
