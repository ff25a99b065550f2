//go:build !linux

package launch

import (
	"errors"
	"time"
)

// awaitZombie does nothing here: Reap waits, and there is no /proc to read in between.
func awaitZombie(int, int) (*IO, *Own, error) { return nil, nil, nil }

// openIO has nothing to open here.
func openIO(int) int { return -1 }

// CPUTime is not to be had here.
func CPUTime(int) (time.Duration, bool) { return 0, false }

// Descendants finds none here.
func Descendants(...int) ([]int, error) { return nil, errors.ErrUnsupported }

// Adopt is not to be had here.
func Adopt() error { return errors.ErrUnsupported }

// Orphans finds none here.
func Orphans(...int) (n int, user, system time.Duration) { return 0, 0, 0 }
