//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// mayDraw reports whether our process group is the terminal's foreground group and the terminal is in line mode. A program that
// reads single keys owns the whole screen.
func mayDraw(f *os.File) bool {
	fd := int(f.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return false
	}
	t, err := unix.IoctlGetTermios(fd, getTermios)
	return err == nil && t.Lflag&unix.ICANON != 0
}
