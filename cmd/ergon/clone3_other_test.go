//go:build unix && !linux

package main

import "errors"

// refuseClone3 returns an error: this system has no such call.
func refuseClone3([]string) error { return errors.ErrUnsupported }
