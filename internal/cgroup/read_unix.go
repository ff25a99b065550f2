//go:build unix

package cgroup

import (
	"os"

	"github.com/ergon-energy/ergon/internal/quick"
)

func readAll(_ *os.File, fd int, b []byte) (int, error) {
	n, errno := quick.Pread(fd, b, 0)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}
