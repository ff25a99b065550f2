//go:build !linux

package launch

import (
	"errors"
	"time"
)

// Ended holds nothing on this system: there is no /proc.
type Ended struct{}

// Watch returns nothing: this system has no such files.
func Watch(int) Ended { return Ended{} }

// await does nothing: Reap waits.
func (*Ended) await(int) error { return nil }

// Before returns nil: this system does not report it.
func (*Ended) Before(int) *IO { return nil }

// Enter does nothing.
func (*Ended) Enter(*State, int, *IO) {}

// CPUTime returns false: this system does not report it.
func CPUTime(int) (time.Duration, bool) { return 0, false }

// Children returns an error: this system does not list them.
func Children(int) ([]int, error) { return nil, errors.ErrUnsupported }

// Descendants returns an error: this system does not list them.
func Descendants(int, ...int) ([]int, error) { return nil, errors.ErrUnsupported }

// Adopt returns an error: this system cannot do it.
func (Direct) Adopt() error { return errors.ErrUnsupported }

// Orphans returns nothing: there are none without Adopt.
func (Direct) Orphans(...int) Used { return Used{} }

// Parent returns 0: it is unknown on this system.
func Parent(int) int { return 0 }
