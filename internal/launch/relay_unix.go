//go:build unix && (!linux || !cgo)

package launch

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals relays the signals that must reach the target even if they were sent to ergon alone. os/signal does not tell
// where a signal came from, so SIGINT and SIGQUIT count as typed if stdin is a terminal. Signals that were ignored when
// ergon began stay ignored.
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
