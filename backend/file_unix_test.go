//go:build unix

package backend

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenRefusesFIFO checks that a FIFO is refused. Without a writer, it would block the reader for ever.
func TestOpenRefusesFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := open(path); !errors.Is(err, errNotRegular) {
		t.Errorf("open of a FIFO: %v", err)
	}
	if _, err := open("/dev/null"); !errors.Is(err, errNotRegular) {
		t.Errorf("open of a device: %v", err)
	}
}

// TestFileLongList checks the assumption of file.read: the kernel returns a long list in pieces, and each piece except the
// last has more than surelyWhole bytes. /proc/crypto is a long list on most machines, and does not change.
func TestFileLongList(t *testing.T) {
	const path = "/proc/crypto"
	want, err := os.ReadFile(path)
	if err != nil || len(want) <= 2*os.Getpagesize() {
		t.Skipf("%s has %d bytes: %v", path, len(want), err)
	}
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.close() }()
	if n, err := pread(f, make([]byte, 1<<20), 0); n < surelyWhole || n >= len(want) || err != nil {
		t.Errorf("one pread returns %d of %d bytes, %v", n, len(want), err)
	}
	if got, err := f.read(); string(got) != string(want) || err != nil {
		t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
	}
}
