//go:build unix

package backend

import (
	"syscall"

	"github.com/ergon-energy/ergon/internal/quick"
)

// handle is a descriptor. os.File would add a file of sysfs or of a cgroup to the poller and remove it, which costs as much
// as reading the file, and wakes the thread that waits for the poller.
type handle struct{ fd int }

// openHandle opens a file, and says whether it is a regular one. It does not wait for the other end of a FIFO.
func openHandle(path string) (h handle, regular bool, err error) {
	for {
		h.fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return handle{}, false, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(h.fd, &st); err != nil {
		_ = syscall.Close(h.fd) // nothing was written
		return handle{}, false, err
	}
	return h, st.Mode&syscall.S_IFMT == syscall.S_IFREG, nil
}

func (h handle) close() error { return syscall.Close(h.fd) }

// pread calls pread(2) once. os.File.ReadAt would call it until it returns 0: twice for each file.
func pread(f *file, b []byte, at int64) (int, error) {
	if f.quick {
		n, errno := quick.Pread(f.handle.fd, b, at)
		if errno != 0 {
			return 0, errno
		}
		return n, nil
	}
	for {
		n, err := syscall.Pread(f.handle.fd, b, at)
		if err == nil {
			return n, nil
		}
		if err != syscall.EINTR {
			return 0, err
		}
	}
}

// head returns the first 4 KiB of a file, empty if it cannot be read. /proc/cpuinfo of a large machine has hundreds of
// KiB, and its beginning is enough. Every start of ergon calls head.
//
// If a process serves the file, as with lxcfs, head waits for it only for a short time.
func head(path string) []byte {
	if covered(path) {
		return served(path)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
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
