//go:build unix

package launch

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// relayed lists the signals that are passed on to the target. SIGTSTP, SIGTTIN and SIGTTOU are left at their default:
// they stop ergon as they stop the target.
func relayed() []syscall.Signal {
	return []syscall.Signal{
		syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGCONT, syscall.SIGWINCH,
	}
}

// Deadly says whether the signal ends a process that has made no provision for it.
func (s Signal) Deadly() bool { return s.Number != syscall.SIGCONT && s.Number != syscall.SIGWINCH }

// Quiet makes writing to a pipe that nobody reads, and beyond the limit of a file's size, an error in place of a
// signal. A child that is started later would inherit that the signals are ignored; where there will be one they are
// caught, which takes a thread.
func Quiet(children bool) {
	if children {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ)
	} else {
		signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	}
}

// Die ends this process by the signal, so that a shell sees what it would have seen without ergon. It writes no core
// file. It returns where that is not possible.
func Die(number int) {
	s := syscall.Signal(number)
	runtime.LockOSThread()
	none := syscall.Rlimit{}
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &none)
	dieOf(s)
}
