//go:build unix && !linux

package inventory

import (
	"io/fs"
	"syscall"
)

// identityOf returns the identity of a file and the number of its names.
func identityOf(info fs.FileInfo) (identity, uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{device: uint64(st.Dev), inode: uint64(st.Ino)}, uint64(st.Nlink)
	}
	return identity{}, 1
}
