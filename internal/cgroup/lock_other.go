//go:build !unix

package cgroup

import (
	"errors"
	"os"
)

// lockDir returns an error: there are no locks, and no cgroups.
func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
