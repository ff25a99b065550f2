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

// Baseline is what the machine took while the command did not run.
type Baseline struct {
	// Reason says why there is none; what follows is then empty.
	Reason string `json:"reason,omitempty"`
	// Cover names what was summed (Resolution.Cover): a baseline of something else is not used.
	Cover string `json:"cover"`
	// Power is the mean of it without GPUs, in W, and Spread the standard deviation of its readings in W.
	Power  float64 `json:"power"`
	Spread float64 `json:"spread"`
	// GPUs is the mean power of each GPU by its device, in W.
	GPUs map[string]float64 `json:"gpus,omitempty"`
	// Duration is how long was measured, in s.
	Duration float64 `json:"duration"`
	// Busy is the busy share of all CPUs meanwhile, 0 to 1; nil where that is not known.
	Busy *float64 `json:"busy"`
	// Start is when measuring it began.
	Start time.Time `json:"start"`
	// Parts are the two it is the mean of where it was measured before and after the command.
	Parts []Baseline `json:"parts,omitempty"`
}

// String says what was measured, in a line.
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

// And is the mean of two baselines, one before the command and one after it; where there is only one of them, that one.
// Their difference is in the spread.
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

// meanOf is the mean of the powers of two baselines, of the GPUs that are in both.
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
