//go:build !linux

package runner_test

import (
	"context"
	"errors"

	"github.com/ergon-energy/ergon/sensors"
)

// joinable returns nothing: on these systems the sampler takes the first readings.
func joinable() []sensors.Backend { return nil }

// poison is not used on these systems.
func poison() sensors.Backend {
	return sensors.Backend{Name: "poison", Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		return nil, nil, errors.New("not on this system")
	}}
}

// killable is not used on these systems.
func killable(string) int { return 1 }

// attack is not used on these systems.
func attack(_, _ string) int { return 1 }
