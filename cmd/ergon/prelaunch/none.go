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

// Launcher controls a fork server. There is none in this build.
type Launcher struct{}

// Take returns nil: nothing runs before the Go runtime in this build.
func Take() *Launcher { return nil }

// PID is 0.
func (*Launcher) PID() int { return 0 }

// Close does nothing.
func (*Launcher) Close() error { return nil }

// Hold holds nothing.
func (*Launcher) Hold(launch.Command) (launch.Target, error) { return nil, errors.ErrUnsupported }
