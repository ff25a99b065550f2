package main

import "golang.org/x/sys/unix"

func lineMode(fd int) bool {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil && t.Lflag&unix.ICANON != 0
}
