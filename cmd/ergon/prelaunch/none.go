//go:build !linux || !cgo

package prelaunch

import (
	"errors"
	"os"
	"os/signal"

	"github.com/ergon-energy/ergon/internal/launch"
)

// Ignored reports whether a signal was ignored when this process began.
func Ignored(s os.Signal) bool { return signal.Ignored(s) }

// Words returns nil: nothing looks at the arguments before Go in this build.
func Words([]string) (words []string, off bool) { return nil, false }

// Aside returns false: this build has no C part.
func Aside() ([]string, bool) { return nil, false }

// Stderr is the caller's stderr.
func Stderr() *os.File { return os.Stderr }

// Crash is what the sampler may write a crash to.
func Crash() *os.File { return os.Stderr }

// Launcher is the runner's view of the launcher. There is none in this build.
type Launcher struct{ launch.Direct }

// Take returns nil: nothing runs before the Go runtime in this build.
func Take() *Launcher { return nil }

// Signals relays nothing.
func (*Launcher) Signals(words int) (<-chan launch.Signal, error) { return nil, errors.ErrUnsupported }

// Keep does nothing.
func (*Launcher) Keep(descriptor int) error { return nil }

// Follow does nothing.
func (*Launcher) Follow() {}

// Finish does nothing.
func (*Launcher) Finish(code, signal int) {}

// Unmeasured does nothing.
func (*Launcher) Unmeasured(why string) {}
