//go:build linux && !(amd64 || arm64 || loong64 || ppc64le || riscv64 || s390x)

package quick

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// With 32-bit registers, system calls split 64-bit arguments in several ways. So these are the ordinary calls.

// Read calls read(2) on a descriptor that does not block, again if a signal interrupts it.
func Read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, err := syscall.Read(fd, b)
		if errno := number(err); errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}

// ClockGettime calls clock_gettime(2).
func ClockGettime(clock int32, t *unix.Timespec) syscall.Errno {
	return number(unix.ClockGettime(clock, t))
}

// Fstat calls fstat(2), for a file in a file system that is in memory.
func Fstat(fd int, st *unix.Stat_t) syscall.Errno { return number(unix.Fstat(fd, st)) }

// Readable reports whether a descriptor can be read now. It returns false if that is unknown.
func Readable(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// number returns the number of an error of a system call, 0 for nil.
func number(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	errno := syscall.EIO
	_ = errors.As(err, &errno)
	return errno
}
