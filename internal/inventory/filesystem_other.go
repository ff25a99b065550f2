//go:build !unix

package inventory

import (
	"errors"
	"hash/fnv"
	"io/fs"
)

// fileSystem knows nothing here.
func fileSystem(string) FileSystem {
	return FileSystem{Err: errors.New("ergon does not ask this system for the space of a file system")}
}

// vanished reports whether an error says that something is not there any more.
func vanished(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// identityOf returns an identity by name and time, and one name: this system's numbers of files are not cheap to ask for. So
// hard links are not recognised.
func identityOf(info fs.FileInfo) (identity, uint64) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(info.Name())) // it never fails
	return identity{inode: h.Sum64(), made: info.ModTime().UnixNano()}, 1
}
