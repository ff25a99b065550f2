//go:build unix && !linux

package inventory

import "golang.org/x/sys/unix"

// blockSize is the unit of the counts of statfs(2).
func blockSize(s *unix.Statfs_t) uint64 { return uint64(s.Bsize) }
