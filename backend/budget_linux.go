package backend

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
)

// budget spaces out a costly action so that it takes no more than a share of one processor. After the action it waits
// until the time spent is within that share.
type budget struct {
	share float64
	next  time.Duration
}

func (b *budget) due(now time.Duration) bool { return now >= b.next }

// charge books the CPU time that the action took at the time now.
func (b *budget) charge(now, spent time.Duration) {
	b.next = now + time.Duration(float64(spent)/b.share)
}

// threadTime returns the CPU time of the calling thread. The caller must be locked to the thread.
func threadTime(t *unix.Timespec) time.Duration {
	if errno := quick.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, t); errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

// timed runs f and returns the CPU time it took.
func timed(t *unix.Timespec, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(t)
	f()
	return threadTime(t) - start
}
