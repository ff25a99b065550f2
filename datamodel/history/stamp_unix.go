//go:build unix

package history

import "golang.org/x/sys/unix"

// stampOf returns the stamp of a file. A link is followed, as by whoever reads the file.
func stampOf(path string) (stamp, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return stamp{}, err
	}
	return stamp{uint64(s.Ino), uint64(s.Size), s.Mtim.Nano(), s.Ctim.Nano()}, nil
}
