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

// head is the first 4 KiB of a file: /proc/cpuinfo of a large machine has hundreds, and the first of it tells all. Empty
// where it cannot be read. os.File would enter a file of sysfs into the poller and take it out again, which is as much
// as reading it; it is on the way to every start.
func head(path string) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|nonblock, 0)
	if err != nil {
		return nil
	}
	buf := make([]byte, firstBuffer)
	n, err := syscall.Read(fd, buf)
	_ = syscall.Close(fd) // only read from
	if err != nil {
		return nil
	}
	return buf[:n]
}
