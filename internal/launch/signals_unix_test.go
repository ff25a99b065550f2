//go:build unix

package launch

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestSignals relays signals that are sent to this process.
func TestSignals(t *testing.T) {
	signals, err := Signals(signal.Ignored)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGCONT} {
		if s != syscall.SIGUSR1 && signal.Ignored(s) {
			continue // the caller of the tests, such as nohup, ignores it, so ergon does too
		}
		before := time.Now()
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-signals:
			if got.Number != s || got.Typed || got.At.Before(before) || got.Leader && syscall.Getpgrp() != os.Getpid() {
				t.Errorf("%+v, want %v", got, s)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%v was not relayed", s)
		}
	}
	select {
	case got := <-signals:
		t.Errorf("%v once more", got.Number)
	default:
	}
}
