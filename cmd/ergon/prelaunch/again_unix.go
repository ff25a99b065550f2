//go:build unix

package prelaunch

import (
	"os"
	"syscall"
)

// again executes this program once more with another environment. It returns if that fails: then ergon obeys what was meant
// for the command, and does no other harm.
func again(environ []string) {
	if self, err := os.Executable(); err == nil {
		_ = syscall.Exec(self, os.Args, environ)
	}
}
