package datamodel

import "github.com/ergon-energy/ergon/units"

// Budget is a rule about what a run may cost, with the verdict on it.
type Budget struct {
	// Rule is the rule as it was given, such as `energy <= 500 J`. Place is where it stands in a settings file.
	Rule  string `json:"rule"`
	Place Place  `json:"place,omitzero"`
	// Metric, Label and Aggregate say what the rule is about: a name of the catalogue, and which value of several.
	Metric    string    `json:"metric"`
	Label     string    `json:"label,omitempty"`
	Aggregate Aggregate `json:"aggregate"`
	// Comparison is the rule's operator, such as "<=".
	Comparison string `json:"comparison"`
	// For is how long the comparison must be false before the rule is broken, in s. 0 means that it counts at once.
	For     float64       `json:"for,omitempty"`
	Verdict BudgetVerdict `json:"verdict"`
	// Reason says why the verdict is unknown, or why it is not certain. It is empty if there is nothing to say.
	Reason string `json:"reason,omitempty"`
	// Measured is the value with its unit, provenance and bounds. Limit is in the same unit, nil if it is unknown.
	Measured Figure   `json:"measured"`
	Limit    *float64 `json:"limit"`
	// Baseline is the value of the run that the rule compares with. It was looked up before the command was started. It is nil
	// for a fixed limit.
	Baseline *Figure `json:"baseline,omitempty"`
	// Uncertain is true if the truth may lie on the other side of the limit.
	Uncertain bool `json:"uncertain,omitempty"`
	// Breach is when ergon saw the budget broken while the command ran. It is nil if nobody looked, or if it was not broken.
	Breach *Breach `json:"breach,omitempty"`
	// Ignored is true if a broken budget was only to be told (--on-budget warn).
	Ignored bool `json:"ignored,omitempty"`
}

// Breach is the moment at which a budget was seen broken.
type Breach struct {
	// Elapsed is the time since the command was started, in s.
	Elapsed float64 `json:"elapsed"`
	// Ended is true if ergon then ended the command.
	Ended bool `json:"ended,omitempty"`
}

// BudgetVerdict is the verdict on a budget.
type BudgetVerdict string

// The verdicts.
const (
	// BudgetKept means that the rule holds.
	BudgetKept BudgetVerdict = "kept"
	// BudgetBroken means that it does not.
	BudgetBroken BudgetVerdict = "broken"
	// BudgetUnknown means that the value or the limit is not known.
	BudgetUnknown BudgetVerdict = "unknown"
)

// Unit returns the unit of the value and the limit.
func (b Budget) Unit() units.Unit { return b.Measured.Unit }
