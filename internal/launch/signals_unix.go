//go:build unix

package launch

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// relayed lists the signals that ergon passes on to the target. SIGTSTP, SIGTTIN and SIGTTOU keep their default action:
// they stop ergon as they stop the target.
func relayed() []syscall.Signal {
	return []syscall.Signal{
		syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGCONT, syscall.SIGWINCH,
	}
}

// Deadly reports whether the signal ends a process that does not handle it.
func (s Signal) Deadly() bool { return s.Number != syscall.SIGCONT && s.Number != syscall.SIGWINCH }

// Quiet makes it an error, not a signal, to write to a closed pipe or beyond the limit of a file's size.
// children says that this process starts the target itself. The target would inherit ignored signals, so they are caught
// then, which costs a thread.
func Quiet(children bool) {
	if children {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ)
	} else {
		signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	}
}

// ChildrenEnd returns a channel that gets a value when a child of this process has ended, until stop is called. Several
// ends may give one value.
func ChildrenEnd() (ended <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCHLD)
	return c, func() { signal.Stop(c) }
}

// Die ends this process by the signal, without a core file, so that a shell sees what it would see without ergon. It
// returns if that is not possible.
func Die(number int) {
	s := syscall.Signal(number)
	runtime.LockOSThread()
	none := syscall.Rlimit{}
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &none)
	dieOf(s)
}
