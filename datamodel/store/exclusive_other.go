//go:build !unix

package store

import "os"

// lockFolders lists where the locks of this user are.
func lockFolders() []lockFolder { return []lockFolder{{os.TempDir(), tempPrefix + "locks"}} }

// Descriptor returns -1: these systems have no locks of folders, so nothing is held.
func (e *Exclusive) Descriptor() int { return -1 }

// alive returns true: these systems do not tell.
func alive(int) bool { return true }
