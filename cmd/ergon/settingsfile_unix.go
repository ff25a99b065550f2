//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// openNow opens a file for reading without waiting for a writer.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// ours reports whether only the caller can have written the file. Under sudo the caller's files are another user's.
func ours(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0 && os.Getenv("SUDO_UID") == ""
}
