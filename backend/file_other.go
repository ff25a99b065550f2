//go:build !unix

package backend

import (
	"errors"
	"io"
)

// nonblock is nothing: a FIFO is not opened as a file here.
const nonblock = 0

// pread reads at an offset, 0 bytes at the end.
func pread(f *file, b []byte, at int64) (int, error) {
	n, err := f.f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
