//go:build unix

package main

import (
	"os"
	"slices"
	"syscall"
)

// mayWrite reports whether the user may make files in a folder, by its mode. It does not know of access control lists.
func (p *person) mayWrite(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !ok || !info.IsDir():
		return false
	case st.Uid == p.UID:
		return mode&0o300 == 0o300
	case st.Gid == p.GID || slices.Contains(p.Groups, st.Gid):
		return mode&0o030 == 0o030
	}
	return mode&0o003 == 0o003
}
