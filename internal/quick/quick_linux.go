//go:build linux && (amd64 || arm64 || loong64 || ppc64le || riscv64 || s390x)

package quick

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The loops stand in each function, as the pointer must be made a number in the call of RawSyscall itself.

// Pread is pread(2). It is called again after a signal.
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

// Read is read(2), for a descriptor that does not block. It is called again after a signal.
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

// ClockGettime is clock_gettime(2), for the CPU time of a thread or a process.
func ClockGettime(clock int32, t *unix.Timespec) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(t)), 0)
	return errno
}

// Fstat is fstat(2), of a file of a file system in memory.
func Fstat(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// Readable says whether a descriptor can be read from now; false where that cannot be known.
func Readable(fd int) bool {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n > 0
}
