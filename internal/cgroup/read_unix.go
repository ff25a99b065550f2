//go:build unix

package cgroup

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
)

// openFile opens a file or folder of a cgroup. os.Open would add it to the poller, which takes longer than to read it, and
// wakes the thread that waits for the poller.
func openFile(path string) (*os.File, int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), fd, nil
		case unix.EINTR:
		default:
			return nil, -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func readAll(_ *os.File, fd int, b []byte) (int, error) {
	n, errno := quick.Pread(fd, b, 0)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}
