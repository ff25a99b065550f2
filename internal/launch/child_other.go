//go:build !linux

package launch

import (
	"errors"
	"time"
)

// awaitZombie does nothing on this system: Reap waits, and there is no /proc.
func awaitZombie(int, int) (*IO, *Own, error) { return nil, nil, nil }

// openIO returns -1: this system has no such file.
func openIO(int) int { return -1 }

// CPUTime returns false: this system does not report it.
func CPUTime(int) (time.Duration, bool) { return 0, false }

// Descendants returns an error: this system does not list them.
func Descendants(...int) ([]int, error) { return nil, errors.ErrUnsupported }

// Adopt returns an error: this system cannot do it.
func Adopt() error { return errors.ErrUnsupported }

// Orphans returns nothing: there are none without Adopt.
func Orphans(...int) (n int, user, system time.Duration) { return 0, 0, 0 }
