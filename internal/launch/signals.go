package launch

import (
	"os"
	"time"
)

// Signal is one that ergon received.
type Signal struct {
	Number os.Signal
	// Typed is true when it came from the terminal, so that the target has received it as well.
	Typed bool
	At    time.Time
}
