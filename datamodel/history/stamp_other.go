//go:build !unix

package history

import "os"

// stampOf returns the stamp of a file: these systems have no inode here.
func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{size: uint64(info.Size()), modified: info.ModTime().UnixNano()}, nil
}
