//go:build unix && !freebsd

package store_test

import "syscall"

func setFileLimit(r *syscall.Rlimit, bytes uint64) error {
	r.Cur = bytes
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, r)
}
