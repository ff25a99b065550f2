//go:build !unix

package cgroup

import (
	"errors"
	"io"
	"os"
)

func readAll(f *os.File, _ int, b []byte) (int, error) {
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
