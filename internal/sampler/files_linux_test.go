package sampler

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSendFilesWhileClosing: Close may come while descriptors are sent, as at a time limit. Either they are sent or there is an
// error; the number of the closed socket is never used. The race detector watches.
func TestSendFilesWhileClosing(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for range 300 {
		ours, theirs, err := filesPair()
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		var sent error
		both.Go(func() { sent = sendFiles(ours, []int{int(null.Fd())}) })
		both.Go(func() { _ = ours.Close() })
		both.Wait()
		// The receiver has a message if there was no error, and only then.
		var data [1]byte
		n, _, _, _, err := unix.Recvmsg(int(theirs.Fd()), data[:], nil, unix.MSG_DONTWAIT)
		if got := err == nil && n == 1; got != (sent == nil) {
			t.Errorf("sent with %v, received %d bytes with %v", sent, n, err)
		}
		_ = theirs.Close()
	}
	ours, theirs, err := filesPair()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ours.Close(), theirs.Close()
	if err := sendFiles(ours, []int{int(null.Fd())}); err == nil {
		t.Error("a closed socket takes descriptors")
	}
}
