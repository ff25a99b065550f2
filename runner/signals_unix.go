//go:build unix

package runner

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminate asks a process to end.
const terminate = syscall.SIGTERM

// ends says whether the signal asks ergon, and with it the target, to end.
func ends(s os.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	}
	return false
}

func number(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}

// nameOf returns the name of a signal for people.
func nameOf(s os.Signal) string { return signalName(number(s)) }

// signalName returns the name in capitals, such as "SIGTERM".
func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}
