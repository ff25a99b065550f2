//go:build unix

package backend

import (
	"syscall"

	"github.com/ergon-energy/ergon/internal/quick"
)

// nonblock keeps open from waiting for the other end of a FIFO.
const nonblock = syscall.O_NONBLOCK

// pread calls pread(2) once. os.File.ReadAt would call it until it returns 0: twice for each file.
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

// head returns the first 4 KiB of a file, empty if it cannot be read. /proc/cpuinfo of a large machine has hundreds of
// KiB, and its beginning is enough. Every start of ergon calls head. os.File would add a file of sysfs to the poller and
// remove it, which costs as much as reading the file.
//
// If a process serves the file, as with lxcfs, head waits for it only for a short time.
func head(path string) []byte {
	if covered(path) {
		return served(path)
	}
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
