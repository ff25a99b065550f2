package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dieOf restores the default action with the system call itself and sends the signal. os/signal.Reset would leave Go's own
// handler in place, which turns a SIGSEGV into a traceback and exit code 2.
func dieOf(s syscall.Signal) {
	// With a limit of 0 for core files the kernel still starts a core handler (core(5)); without this flag it does not.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	var action [64]byte // a zero struct sigaction is SIG_DFL with no flags and an empty mask on every architecture
	const sigsetSize = 8
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action[0])), 0, sigsetSize, 0, 0)
	set := uint64(1) << (uint(s) - 1)
	const unblock = 1
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unblock, uintptr(unsafe.Pointer(&set)), 0, sigsetSize, 0, 0)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), s)
}
