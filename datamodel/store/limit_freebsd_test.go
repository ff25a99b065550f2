package store_test

import "syscall"

func setFileLimit(r *syscall.Rlimit, bytes uint64) error {
	r.Cur = int64(bytes)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, r)
}
