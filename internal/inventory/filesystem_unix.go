//go:build unix

package inventory

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errNoBlocks says why a file system such as procfs has no size.
var errNoBlocks = errors.New("the file system has no blocks")

// fileSystem returns the space of the file system that holds a path, as df shows it. A path that does not exist any more has
// the file system of the nearest folder above it.
func fileSystem(path string) FileSystem {
	path = filepath.Clean(path)
	for {
		if _, err := os.Lstat(path); err == nil || filepath.Dir(path) == path {
			break
		}
		path = filepath.Dir(path)
	}
	if actual, err := filepath.EvalSymlinks(path); err == nil {
		path = actual
	}
	var space unix.Statfs_t
	if err := unix.Statfs(path, &space); err != nil {
		return FileSystem{Err: &os.PathError{Op: "statfs", Path: path, Err: err}}
	}
	if space.Blocks == 0 {
		return FileSystem{Err: errNoBlocks}
	}
	block := blockSize(&space)
	return FileSystem{
		Mount: mountPoint(path), Total: uint64(space.Blocks) * block, Used: (uint64(space.Blocks) - uint64(space.Bfree)) * block,
		Free: uint64(max(0, space.Bavail)) * block, // FreeBSD counts what only root may use as less than nothing
	}
}

// mountPoint returns the highest folder above a path on the same device.
func mountPoint(path string) string {
	var own unix.Stat_t
	if unix.Stat(path, &own) != nil {
		return path
	}
	for {
		up := filepath.Dir(path)
		var st unix.Stat_t
		if up == path || unix.Stat(up, &st) != nil || st.Dev != own.Dev {
			return path
		}
		path = up
	}
}

// vanished reports whether an error says that something is not there any more, or is something else by now.
func vanished(err error) bool {
	for _, gone := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ESTALE} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
