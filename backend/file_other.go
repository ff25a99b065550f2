//go:build !unix

package backend

import (
	"errors"
	"io"
	"os"
)

// nonblock has no meaning here.
const nonblock = 0

// pread reads at an offset. It returns 0 bytes at the end.
func pread(f *file, b []byte, at int64) (int, error) {
	n, err := f.f.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// head returns the first 4 KiB of a file, empty if it cannot be read.
func head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, firstBuffer)
	n, _ := f.Read(buf)
	return buf[:n]
}
