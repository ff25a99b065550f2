//go:build !linux

package sampler

import (
	"errors"
	"time"
)

// toMonotonic returns an error: on these systems the sampler takes the first readings itself.
func toMonotonic(time.Time) (int64, error) { return 0, errors.ErrUnsupported }

// fromMonotonic returns an error.
func fromMonotonic(int64) (time.Time, error) { return time.Time{}, errors.ErrUnsupported }
