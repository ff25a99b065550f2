//go:build !unix

package cgroup

import (
	"errors"
	"io"
	"os"
)

func openFile(path string) (*os.File, int, error) {
	f, err := os.Open(path)
	return f, 0, err
}

func readAll(f *os.File, _ int, b []byte) (int, error) {
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
