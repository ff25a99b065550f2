//go:build linux && !(amd64 || arm64 || loong64 || ppc64le || riscv64 || s390x)

package quick

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where registers have 32 bits the calls take their 64-bit arguments apart in several ways: these are the ordinary ones.

// Read is read(2), for a descriptor that does not block. It is called again after a signal.
func Read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, err := syscall.Read(fd, b)
		if errno := number(err); errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}

// ClockGettime is clock_gettime(2), for the CPU time of a thread or a process.
func ClockGettime(clock int32, t *unix.Timespec) syscall.Errno {
	return number(unix.ClockGettime(clock, t))
}

// Fstat is fstat(2), of a file of a file system in memory.
func Fstat(fd int, st *unix.Stat_t) syscall.Errno { return number(unix.Fstat(fd, st)) }

// Readable says whether a descriptor can be read from now; false where that cannot be known.
func Readable(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// number is the number of an error of a system call, 0 of none.
func number(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	errno := syscall.EIO
	_ = errors.As(err, &errno)
	return errno
}
