package backend

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// covered reports whether something is mounted over a file: lxcfs mounts files of its own over /proc/stat and others.
// A process serves them, and may serve them late or never. The question itself is not passed on to that process.
func covered(path string) bool {
	var file, folder unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, 0, &file) != nil {
		return false
	}
	if file.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 { // since Linux 5.8
		return file.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	if unix.Statx(unix.AT_FDCWD, filepath.Dir(path), unix.AT_STATX_DONT_SYNC, 0, &folder) != nil {
		return false
	}
	return file.Dev_major != folder.Dev_major || file.Dev_minor != folder.Dev_minor
}
