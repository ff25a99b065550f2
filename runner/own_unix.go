//go:build unix

package runner

import (
	"bytes"
	"os"
	"strconv"
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

// ownPeak returns the largest resident memory of this process since it executed its program, in bytes, or nil if it is
// unknown. A target that is forked from this process inherits the value as its own peak. The peak of getrusage also
// holds what the process was before: a caller of 300 MB.
func ownPeak() *float64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, peak, _ := bytes.Cut(status, []byte("\nVmHWM:"))
		line, _, _ := bytes.Cut(peak, []byte(" kB\n"))
		if kib, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); err == nil {
			return count(kib << 10)
		}
	}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return count(launch.MaxRSS(u))
}
