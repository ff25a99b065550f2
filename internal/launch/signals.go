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
	// Leader is true when the leader of our process group has sent it, who may have sent it to the whole group.
	Leader bool
	At     time.Time
}
