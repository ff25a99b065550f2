//go:build unix

package runner

import (
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/internal/launch"
)

// ownTime returns the CPU time that this process has used, in s, or nil if it is unknown.
func ownTime() *float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return seconds(time.Duration(u.Utime.Nano() + u.Stime.Nano()))
}

// ownPeak returns the largest resident memory of this process so far, in bytes, or nil if it is unknown. A target that is
// forked from this process inherits the value as its own peak.
func ownPeak() *float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return count(launch.MaxRSS(u))
}
