//go:build unix

package launch

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

func stateOf(ps *os.ProcessState) State {
	status, ok := ps.Sys().(syscall.WaitStatus)
	if !ok {
		return State{ExitCode: ps.ExitCode()}
	}
	var usage syscall.Rusage
	if u, ok := ps.SysUsage().(*syscall.Rusage); ok && u != nil {
		usage = *u
	}
	return StateOf(status, usage)
}

// StateOf converts what wait4(2) gives. The IO and what the process itself used are missing.
func StateOf(status syscall.WaitStatus, u syscall.Rusage) State {
	s := State{
		ExitCode: -1, Rusage: true,
		User:        time.Duration(u.Utime.Nano()),
		System:      time.Duration(u.Stime.Nano()),
		MaxRSS:      MaxRSS(u),
		MinorFaults: int64(u.Minflt), MajorFaults: int64(u.Majflt),
		VoluntarySwitches: int64(u.Nvcsw), InvoluntarySwitches: int64(u.Nivcsw),
	}
	if status.Signaled() {
		s.Signal = int(status.Signal())
	} else {
		s.ExitCode = status.ExitStatus()
	}
	return s
}

// MaxRSS is ru_maxrss in bytes.
func MaxRSS(u syscall.Rusage) int64 { return int64(u.Maxrss) * maxRSSUnit() }

// maxRSSUnit is what ru_maxrss counts in: bytes on macOS, KiB elsewhere (getrusage(2)).
func maxRSSUnit() int64 {
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return 1
	}
	return 1024
}
