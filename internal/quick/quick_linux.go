//go:build linux && (amd64 || arm64 || loong64 || ppc64le || riscv64 || s390x)

package quick

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Each function has its own loop, because the conversion of the pointer must be part of the call of RawSyscall.

// Pread calls pread(2), again if a signal interrupts it.
func Pread(fd int, b []byte, at int64) (int, syscall.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(at), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// Read calls read(2) on a descriptor that does not block, again if a signal interrupts it.
func Read(fd int, b []byte) (int, syscall.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// ClockGettime calls clock_gettime(2).
func ClockGettime(clock int32, t *unix.Timespec) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(t)), 0)
	return errno
}

// Fstat calls fstat(2), for a file in a file system that is in memory.
func Fstat(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// Readable reports whether a descriptor can be read now. It returns false if that is unknown.
func Readable(fd int) bool {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n > 0
}
