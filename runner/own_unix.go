//go:build unix

package runner

import (
	"syscall"
	"time"
)

// ownTime is the CPU time this process has used, in s; nil where it cannot be known.
func ownTime() *float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return seconds(time.Duration(u.Utime.Nano() + u.Stime.Nano()))
}
