//go:build !linux

package runner_test

import "github.com/ergon-energy/ergon/sensors"

// joinable is none: the sampler takes the first readings here.
func joinable() []sensors.Backend { return nil }

// killable is not needed here.
func killable(string) int { return 1 }
