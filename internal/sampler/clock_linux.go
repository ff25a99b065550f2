package sampler

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sameMoment is the longest time between reading two clocks that still counts as one moment. triesAtOnce is the number
	// of tries, because this process may have to wait between the two.
	sameMoment  = 20 * time.Microsecond
	triesAtOnce = 20
)

// monotonicNow returns the same moment twice: as a time.Time, and in ns of CLOCK_MONOTONIC.
func monotonicNow() (now time.Time, ns int64, err error) {
	var spec unix.Timespec
	for range triesAtOnce {
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &spec); err != nil {
			return now, 0, fmt.Errorf("monotonic clock: %w", err)
		}
		ns = spec.Nano()
		apart := time.Since(before)
		now = before.Add(apart / 2)
		if apart <= sameMoment {
			break
		}
	}
	return now, ns, nil
}

// toMonotonic converts a moment to ns of CLOCK_MONOTONIC, which all processes share.
func toMonotonic(t time.Time) (int64, error) {
	now, ns, err := monotonicNow()
	return ns - int64(now.Sub(t)), err
}

// fromMonotonic converts back, also in another process.
func fromMonotonic(ns int64) (time.Time, error) {
	now, at, err := monotonicNow()
	return now.Add(time.Duration(ns - at)), err
}
