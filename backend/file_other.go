//go:build !unix

package backend

import (
	"errors"
	"io"
	"os"
)

// handle is an open file.
type handle struct{ f *os.File }

// openHandle opens a file, and says whether it is a regular one.
func openHandle(path string) (h handle, regular bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return handle{}, false, errors.Unwrap(err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // nothing was written
		return handle{}, false, err
	}
	return handle{f}, info.Mode().IsRegular(), nil
}

func (h handle) close() error { return h.f.Close() }

// pread reads at an offset. It returns 0 bytes at the end.
func pread(f *file, b []byte, at int64) (int, error) {
	n, err := f.handle.f.ReadAt(b, at)
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
