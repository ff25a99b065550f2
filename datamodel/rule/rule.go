// Package rule reads and evaluates rules about metrics. One grammar serves budgets, regression gates and alerts:
//
//	rule       = value op limit [ "for" duration ]
//	value      = metric [ "[" label "]" ] | aggregate "(" metric [ "[" label "]" ] ")"
//	aggregate  = "sum" | "max" | "min" | "mean" | "last"
//	op         = "<" | "<=" | ">" | ">=" | "==" | "!="
//	limit      = [ "-" ] quantity | ( "+" | "-" ) quantity "@" baseline
//	quantity   = number [ unit ] { number unit }
//	label      = any characters but "]", or a string in double quotes
//	baseline   = any characters but blanks
//	duration   = quantity of time | a duration of Go: 1h30m
//
// Examples:
//
//	energy <= 500 J
//	max(memory) < 2 GiB
//	disk.free[/data] > 10 GB
//	energy[train] <= 2 kJ
//	wall_time < +5 % @main
//	gpu.temperature > 85 °C for 30 s
//
// Parse checks a rule against the catalogue of metrics: the metric is known, it takes a label, and the unit is one of
// the metric's quantity. A metric that has a unit needs one in the rule. Errors show the place and, if there is one, what
// was probably meant.
//
// Check evaluates a rule once. A Watch evaluates one with "for" as readings come. Neither knows where the values come
// from, and neither acts: exit codes, levels of alerts and who is told are the caller's.
package rule

import (
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// Rule is a rule that was parsed.
type Rule struct {
	Term
	// Op compares the value of Term, on the left, with Limit.
	Op    Op
	Limit Limit
	// For is how long a verdict must last before it counts; 0 if it counts at once.
	For time.Duration
}

// Term names the value that a rule is about.
type Term struct {
	// Aggregate makes one value of several. It is the metric's default if the rule names none.
	Aggregate datamodel.Aggregate
	// Metric is a name of the catalogue.
	Metric string
	// Label says which of several values is meant, as the catalogue says: a path, a device, a region or a group. It is
	// empty if the rule has none.
	Label string
	// Unit is the base unit of the metric.
	Unit units.Unit
}

// String writes the term as a rule has it: "max(memory)", "mean(power[train])".
func (t Term) String() string {
	s := t.Metric
	if t.Label != "" {
		s += "[" + quoteLabel(t.Label) + "]"
	}
	return string(t.Aggregate) + "(" + s + ")"
}

// quoteLabel writes a label so that it is read back as it is.
func quoteLabel(label string) string {
	plain := strings.TrimSpace(label) == label && !strings.ContainsAny(label, "]\"") && strconv.Quote(label) == `"`+label+`"`
	if plain {
		return label
	}
	return strconv.Quote(label)
}

// Op is a comparison.
type Op uint8

// The comparisons.
const (
	Less Op = iota + 1
	AtMost
	Greater
	AtLeast
	Equal
	NotEqual
)

// ops lists how the comparisons are written.
func ops() []string { return []string{"<", "<=", ">", ">=", "==", "!="} }

// String writes the comparison as a rule has it.
func (o Op) String() string {
	if o < Less || o > NotEqual {
		return "Op(" + strconv.Itoa(int(o)) + ")"
	}
	return ops()[o-Less]
}

// holds compares two values, neither of which is NaN.
func (o Op) holds(value, limit float64) bool {
	switch o {
	case Less:
		return value < limit
	case AtMost:
		return value <= limit
	case Greater:
		return value > limit
	case AtLeast:
		return value >= limit
	case Equal:
		return value == limit
	case NotEqual:
		return value != limit
	}
	return false
}

// Limit is what a value is compared with.
type Limit struct {
	// Value is in the base unit. With a Baseline it is a change: a share of the baseline if Share is true, else a
	// difference in the base unit.
	Value float64
	// Share is true for a percentage of the baseline.
	Share bool
	// Baseline names the run or runs to compare with; empty for a fixed limit.
	Baseline string
	written  string // the quantity as it was written, without its sign
}

// String writes the limit as a rule has it: "2 GiB", "+5 % @main".
func (l Limit) String() string {
	s := l.written
	switch {
	case l.Value < 0:
		s = "-" + s
	case l.Baseline != "":
		s = "+" + s
	}
	if l.Baseline != "" {
		s += " @" + l.Baseline
	}
	return s
}

// of returns the limit for a value of the baseline.
func (l Limit) of(baseline float64) float64 {
	if l.Share {
		return baseline * (1 + l.Value)
	}
	return baseline + l.Value
}

// String writes the rule so that it is parsed to the same rule. It names the aggregate always.
func (r Rule) String() string {
	s := r.Term.String() + " " + r.Op.String() + " " + r.Limit.String()
	if r.For > 0 {
		s += " for " + r.For.String()
	}
	return s
}
