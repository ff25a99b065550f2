//go:build !linux

package runner_test

import "github.com/ergon-energy/ergon/sensors"

// joinable returns nothing: on these systems the sampler takes the first readings.
func joinable() []sensors.Backend { return nil }

// killable is not used on these systems.
func killable(string) int { return 1 }

// attack is not used on these systems.
func attack(_, _ string) int { return 1 }
