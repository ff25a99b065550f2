//go:build unix

package store

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lockFolders lists where the locks of this user are. root has a place where nobody else can put anything first.
func lockFolders() []lockFolder {
	uid := os.Geteuid()
	temp := lockFolder{"/tmp", tempPrefix + "locks-" + strconv.Itoa(uid)}
	if uid == 0 {
		return []lockFolder{{"/var/run", tempPrefix + "locks"}, temp} // some containers have no /var/run
	}
	return []lockFolder{temp}
}

// Descriptor returns the descriptor that holds the name, to hand it to another process.
func (e *Exclusive) Descriptor() int { return e.dir.Descriptor() }

// alive reports whether a process exists.
func alive(pid int) bool {
	return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
