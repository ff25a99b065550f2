//go:build unix

package sampler

import "syscall"

// detached puts the sampler into a session of its own, so that no signal of the terminal reaches it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
