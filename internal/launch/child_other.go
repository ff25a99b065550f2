//go:build !linux

package launch

import (
	"errors"
	"time"
)

// ended holds nothing on this system: there is no /proc.
type ended struct{}

func watch(int) ended { return ended{} }

// await does nothing: Reap waits.
func (*ended) await(int) error { return nil }

func (*ended) before() *IO { return nil }

func (*ended) enter(*State, *IO) {}

// CPUTime returns false: this system does not report it.
func CPUTime(int) (time.Duration, bool) { return 0, false }

// Descendants returns an error: this system does not list them.
func Descendants(...int) ([]int, error) { return nil, errors.ErrUnsupported }

// Adopt returns an error: this system cannot do it.
func Adopt() error { return errors.ErrUnsupported }

// Orphans returns nothing: there are none without Adopt.
func Orphans(...int) (n int, user, system time.Duration) { return 0, 0, 0 }
