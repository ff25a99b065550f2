package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dieOf puts the default action back by the system call itself: os/signal.Reset leaves Go's own handler in place,
// which turns a SIGSEGV into a traceback and exit code 2.
func dieOf(s syscall.Signal) {
	// A limit of 0 for core files does not keep the kernel from starting a core handler (core(5)); this does.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	var action [64]byte // a zero struct sigaction is SIG_DFL with no flags and an empty mask on every architecture
	const sigsetSize = 8
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action[0])), 0, sigsetSize, 0, 0)
	set := uint64(1) << (uint(s) - 1)
	const unblock = 1
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unblock, uintptr(unsafe.Pointer(&set)), 0, sigsetSize, 0, 0)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), s)
}
