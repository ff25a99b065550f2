package rule

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// Verdict says whether a rule holds.
type Verdict uint8

// The verdicts.
const (
	// Unknown means that the value or the baseline is missing.
	Unknown Verdict = iota
	// Holds means that the comparison is true.
	Holds
	// Broken means that it is false.
	Broken
)

// String names the verdict.
func (v Verdict) String() string {
	switch v {
	case Unknown:
		return "unknown"
	case Holds:
		return "holds"
	case Broken:
		return "broken"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// Outcome is a verdict with what it stands on.
type Outcome struct {
	Verdict Verdict
	// Reason says why the verdict is Unknown; else it is empty.
	Reason string
	// Value is that of the rule's term, Limit what it was compared with; both in the base unit, NaN if not known.
	Value, Limit float64
	// Unit is that of both. For a change of money in percent it is the currency of the value.
	Unit units.Unit
}

// Values tells the value of a term: of the run in question if baseline is empty, else of the named one. A value that is
// missing has a reason.
type Values func(t Term, baseline string) datamodel.Metric

// Check compares the value of the rule's term with its limit, once. It does not regard For.
func (r Rule) Check(get Values) Outcome {
	out := Outcome{Value: math.NaN(), Limit: math.NaN(), Unit: r.Unit}
	value := get(r.Term, "")
	if out.Reason = r.unusable(value); out.Reason != "" {
		return out
	}
	out.Value, out.Unit = value.Value, value.Unit
	limit := r.Limit.Value
	if r.Limit.Baseline != "" {
		base := get(r.Term, r.Limit.Baseline)
		if reason := r.unusable(base); reason != "" {
			out.Reason = "baseline " + r.Limit.Baseline + ": " + reason
			return out
		}
		if base.Unit != value.Unit {
			out.Reason = fmt.Sprintf("baseline %s: the value is in %s, this one in %s", r.Limit.Baseline, base.Unit.Symbol(), value.Unit.Symbol())
			return out
		}
		limit = r.Limit.of(base.Value)
	}
	out.Limit = limit
	out.Verdict = r.verdict(value.Value, limit)
	return out
}

// unusable says why a value cannot be compared; "" if it can.
func (r Rule) unusable(m datamodel.Metric) string {
	switch {
	case math.IsNaN(m.Value) && m.Reason != "":
		return m.Reason
	case math.IsNaN(m.Value):
		return "there is no value"
	case r.Unit == units.AnyCurrency && m.Unit.IsMoney(): // a change in percent
	case m.Unit != r.Unit:
		return fmt.Sprintf("the value is in %q, the rule in %q", m.Unit, r.Unit)
	}
	return ""
}

// verdict compares two values.
func (r Rule) verdict(value, limit float64) Verdict {
	switch {
	case math.IsNaN(value) || math.IsNaN(limit):
		return Unknown
	case r.Op.holds(value, limit):
		return Holds
	}
	return Broken
}

// Show writes what the outcome of a rule stands on: "512 J, not <= 500 J", "483 J <= 500 J", "unknown: no counter".
func (o Outcome) Show(r Rule) string {
	value, limit := units.Format(o.Value, o.Unit), units.Format(o.Limit, o.Unit)
	switch o.Verdict {
	case Holds:
		return value + " " + r.Op.String() + " " + limit
	case Broken:
		return value + ", not " + r.Op.String() + " " + limit
	case Unknown:
	}
	return "unknown: " + o.Reason
}

// Watch evaluates a rule with a fixed limit while readings come. A verdict counts once it has lasted for Rule.For, in
// both directions, so a short excursion changes nothing. The zero Watch is not usable; see Rule.Watch.
type Watch struct {
	rule    Rule
	verdict Verdict // that counts
	next    Verdict // of the last readings
	since   time.Duration
	last    time.Duration // of the last reading, known or not
	begun   bool
	known   time.Duration // of the last known reading
}

// Watch returns a Watch of the rule, which must not have a baseline.
func (r Rule) Watch() *Watch { return &Watch{rule: r} }

// See takes the value of the rule's term at a time and returns the verdict that counts. NaN is a missing value. It
// neither ends nor confirms what has lasted so far, until nothing was known for Rule.For; then the verdict is Unknown. A
// time that goes back is ignored.
func (w *Watch) See(at time.Duration, value float64) Verdict {
	if w.begun && at < w.last {
		return w.verdict
	}
	first := !w.begun
	w.begun, w.last = true, at
	v := w.rule.verdict(value, w.rule.Limit.Value)
	if w.rule.Limit.Baseline != "" {
		v = Unknown
	}
	if v == Unknown {
		if first {
			w.known = at
		}
		if at-w.known >= w.rule.For {
			w.verdict, w.next = Unknown, Unknown
		}
		return w.verdict
	}
	w.known = at
	if v != w.next {
		w.next, w.since = v, at
	}
	if at-w.since >= w.rule.For {
		w.verdict = v
	}
	return w.verdict
}

// Since returns since when the readings have given the same answer, whether that counts yet or not.
func (w *Watch) Since() time.Duration { return w.since }
