//go:build unix && (!linux || !cgo)

package launch

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals relays the signals that are to reach the target also when they were sent to ergon alone. os/signal does not
// tell where one came from, so SIGINT and SIGQUIT count as typed when stdin is a terminal. Those that were ignored on
// entry stay ignored.
func Signals(ignored func(os.Signal) bool) (<-chan Signal, error) {
	in := make(chan os.Signal, 16)
	for _, s := range relayed() {
		if !ignored(s) {
			signal.Notify(in, s)
		}
	}
	stat, err := os.Stdin.Stat()
	terminal := err == nil && stat.Mode()&os.ModeCharDevice != 0
	out := make(chan Signal, 16)
	go func() {
		for s := range in {
			out <- Signal{Number: s, Typed: terminal && (s == syscall.SIGINT || s == syscall.SIGQUIT), At: time.Now()}
		}
	}()
	return out, nil
}
