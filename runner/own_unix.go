//go:build unix

package runner

import (
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/internal/launch"
)

// ownTime is the CPU time this process has used, in s; nil if it is not known.
func ownTime() *float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return seconds(time.Duration(u.Utime.Nano() + u.Stime.Nano()))
}

// ownPeak is the largest resident set this process has had, in bytes, which a target that was forked from it inherits as
// its own mark; nil if it is not known.
func ownPeak() *float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return count(launch.MaxRSS(u))
}
