//go:build unix

package backend

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO without a writer in place of a sensor's file would block who opens it for ever.
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
