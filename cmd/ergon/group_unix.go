//go:build unix

package main

import (
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// groupGrace is how long the processes of a group have to end after a signal.
const groupGrace = 10 * time.Second

// asGroup gives a command a process group of its own, so that all of it ends with the command's context. end ends what is left
// of the group if the context has ended.
func asGroup(cmd *exec.Cmd) (end func()) {
	ended := false
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		ended = true
		return unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
	}
	cmd.WaitDelay = groupGrace
	return func() {
		if ended {
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // usually all have ended
		}
	}
}
