//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal asks the descriptor for a window.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// width is that of the terminal in columns, 80 where there is none or it does not tell.
func width(f *os.File) int {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 {
		return 80
	}
	return int(w.Col)
}

// mayDraw is true while our process group is the terminal's foreground one and the terminal is in line mode: a program
// that reads single keys owns the whole screen.
func mayDraw(f *os.File) bool {
	fd := int(f.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp() && lineMode(fd)
}
