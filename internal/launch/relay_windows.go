package launch

import (
	"os"
	"os/signal"
	"time"
)

// Signals relays Ctrl-C, which every process of the console receives.
func Signals(func(os.Signal) bool) (<-chan Signal, error) {
	in := make(chan os.Signal, 16)
	signal.Notify(in, os.Interrupt)
	out := make(chan Signal, 16)
	go func() {
		for s := range in {
			out <- Signal{Number: s, Typed: true, At: time.Now()}
		}
	}()
	return out, nil
}

// Deadly is true: the only signal here ends a process.
func (s Signal) Deadly() bool { return true }

// ChildrenEnd returns nil: no process adopts others here.
func ChildrenEnd() (ended <-chan os.Signal, stop func()) { return nil, func() {} }

// Quiet does nothing: there is no SIGPIPE here.
func Quiet(bool) {}

// Die returns: no process ends by a signal here.
func Die(int) {}
