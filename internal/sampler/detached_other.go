//go:build !unix

package sampler

import "syscall"

func detached() *syscall.SysProcAttr { return nil }
