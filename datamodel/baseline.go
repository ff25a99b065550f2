package datamodel

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Baseline is the power of the machine while the command does not run.
type Baseline struct {
	// Reason says why there is no baseline. The other fields are then empty.
	Reason string `json:"reason,omitempty"`
	// Cover names what was summed (Resolution.Cover). A baseline with another cover is not used.
	Cover string `json:"cover"`
	// Sensors are the IDs of what was summed without GPUs. A baseline of other sensors is not used. It is empty in older
	// runs.
	Sensors []string `json:"sensors,omitempty"`
	// Power is the mean power without GPUs, in W. Spread is the standard deviation of its readings, in W.
	Power  float64 `json:"power"`
	Spread float64 `json:"spread"`
	// GPUs is the mean power of each GPU in W, by device.
	GPUs map[string]float64 `json:"gpus,omitempty"`
	// Duration is the length of the measurement, in s.
	Duration float64 `json:"duration"`
	// Busy is the busy share of all CPUs during the measurement, 0 to 1. It is nil if unknown.
	Busy *float64 `json:"busy"`
	// Start is when the measurement began.
	Start time.Time `json:"start"`
	// Parts are the two baselines behind a mean of one before and one after the command.
	Parts []Baseline `json:"parts,omitempty"`
}

// String describes the baseline in one line.
func (b Baseline) String() string {
	if b.Reason != "" {
		return "none: " + b.Reason
	}
	var parts []string
	if b.Cover != "" {
		parts = append(parts, fmt.Sprintf("%.4g W ± %.2g W of %s", b.Power, b.Spread, b.Cover))
	}
	for _, device := range slices.Sorted(maps.Keys(b.GPUs)) {
		parts = append(parts, fmt.Sprintf("%.4g W of %s", b.GPUs[device], device))
	}
	said := fmt.Sprintf("%s, measured for %.4g s", strings.Join(parts, ", "), b.Duration)
	if b.Busy != nil {
		said += fmt.Sprintf(" with %s of the CPUs busy", units.Format(*b.Busy, units.Ratio))
	}
	if len(b.Parts) == 2 && b.Parts[1].Reason == "" {
		said += ", before and after the command"
	}
	return said
}

// And returns the mean of two baselines, one before the command and one after it. If only one has values, And returns
// it. The difference between the two is part of Spread.
func (b Baseline) And(after Baseline) Baseline {
	both := b
	both.Parts = []Baseline{b, after}
	if b.Reason != "" || after.Reason != "" || after.Cover != b.Cover {
		return both
	}
	difference := after.Power - b.Power
	both.Power = (b.Power + after.Power) / 2
	both.GPUs = meanOf(b.GPUs, after.GPUs)
	both.Spread = math.Sqrt((b.Spread*b.Spread+after.Spread*after.Spread)/2 + difference*difference/4)
	both.Duration = b.Duration + after.Duration
	both.Busy = nil
	if b.Busy != nil && after.Busy != nil {
		both.Busy = new((*b.Busy*b.Duration + *after.Busy*after.Duration) / both.Duration)
	}
	return both
}

// meanOf returns the mean power of each GPU that is in both baselines, in W.
func meanOf(a, b map[string]float64) map[string]float64 {
	var out map[string]float64
	for device, p := range a {
		if q, both := b[device]; both {
			if out == nil {
				out = make(map[string]float64)
			}
			out[device] = (p + q) / 2
		}
	}
	return out
}
