package launch

import (
	"os"
	"time"
)

// Signal is a signal that ergon received.
type Signal struct {
	Number os.Signal
	// Typed is true if it came from the terminal, so that the target has received it as well.
	Typed bool
	// Leader is true if the leader of our process group sent it. It may have sent it to the whole group.
	Leader bool
	At     time.Time
}
