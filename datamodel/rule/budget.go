package rule

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// Budget is a rule as it was given, with its place.
type Budget struct {
	Rule
	// Given is the rule as the user wrote it.
	Given string
	Place datamodel.Place
	// Base is the value of the run that the rule compares with. It is nil if there is none, or if nobody has looked it up.
	Base *datamodel.Figure
}

// Pending returns the budget before its verdict. reason says why there is none yet.
func (b Budget) Pending(reason string) datamodel.Budget {
	return datamodel.Budget{
		Rule: b.Given, Place: b.Place, Metric: b.Metric, Label: b.Label, Aggregate: b.Aggregate, Comparison: b.Op.String(), For: b.For.Seconds(),
		Verdict: datamodel.BudgetUnknown, Reason: reason, Measured: datamodel.Figure{Unit: b.Unit, Reason: reason}, Baseline: b.Base,
	}
}

// Again returns budgets that were kept, to be judged again.
func Again(kept []datamodel.Budget) (list []Budget, err error) {
	for _, k := range kept {
		r, err := Parse(k.Rule, datamodel.Catalogue())
		if err != nil {
			return nil, err
		}
		list = append(list, Budget{Rule: r, Given: k.Rule, Place: k.Place, Base: k.Baseline})
	}
	return list, nil
}

// JudgeAgain returns the verdicts on the budgets of a run, from its result. What was seen while the command ran stays.
func JudgeAgain(kept []datamodel.Budget, r datamodel.Result) ([]datamodel.Budget, error) {
	list, err := Again(kept)
	if err != nil {
		return kept, err
	}
	get := Of(r)
	out := make([]datamodel.Budget, len(kept))
	for i, b := range list {
		out[i] = b.Judge(get, r.Charts)
	}
	return Keep(kept, out), nil
}

// Keep returns new verdicts on the same budgets, with what was seen while the command ran.
func Keep(kept, judged []datamodel.Budget) []datamodel.Budget {
	for i := range judged {
		judged[i].Ignored = kept[i].Ignored
		if kept[i].Breach == nil {
			continue
		}
		judged[i].Breach = kept[i].Breach
		if kept[i].Breach.Ended { // what the command was ended for
			judged[i].Verdict = datamodel.BudgetBroken
		}
	}
	return judged
}

// Judge returns the verdict on a budget. charts are the courses of the run, for a budget with a duration; they may be nil.
//
// The verdict is that of the value. If the truth may lie on the other side of the limit, the verdict is kept and Uncertain, or
// unknown: a budget is broken only if the truth surely is, but for the uncertainty of the counters.
func (b Budget) Judge(get Values, charts []datamodel.Chart) datamodel.Budget {
	out := b.Pending("")
	if b.For > 0 {
		b.judgeCourse(charts, &out)
		return out
	}
	m := get(b.Term, "")
	out.Measured = figure(m)
	check := b.Check(func(t Term, baseline string) datamodel.Metric {
		if baseline != "" && b.Base != nil {
			return b.Base.Metric(b.Metric)
		}
		return get(t, baseline)
	})
	out.Reason = check.Reason
	if !math.IsNaN(check.Limit) {
		out.Limit = &check.Limit
	} else if b.Limit.Baseline == "" {
		out.Limit = &b.Limit.Value
	}
	switch {
	case b.Limit.Baseline == "" && math.IsNaN(m.Value) && !math.IsNaN(m.AtMost) && b.surely(m, b.Limit.Value): // only a bound is known, and it is enough
		out.Verdict, out.Reason = datamodel.BudgetKept, ""
	case check.Verdict == Unknown:
	case check.Verdict == Holds:
		out.Verdict = datamodel.BudgetKept
		out.Uncertain = !b.surely(m, check.Limit) || !b.surely(m, b.otherLimit(check.Limit))
	case b.perhaps(m, check.Limit):
		out.Uncertain, out.Reason = true, "only a bound is known, and it is on the other side of the limit"
	case b.Op.holds(m.Value, b.otherLimit(check.Limit)):
		out.Uncertain, out.Reason = true, "baseline "+b.Limit.Baseline+": only a bound is known, and the truth may allow the value"
	default:
		out.Verdict = datamodel.BudgetBroken
		out.Uncertain = m.Uncertainty > 0 && (b.Op.holds(m.Value-m.Uncertainty, check.Limit) || b.Op.holds(m.Value+m.Uncertainty, check.Limit))
	}
	return out
}

// otherLimit returns the limit that is farthest from the one that was computed, if only a bound of the baseline is known; else the
// same limit.
func (b Budget) otherLimit(limit float64) float64 {
	if b.Limit.Baseline == "" || b.Base == nil {
		return limit
	}
	base := b.Base.Metric(b.Metric)
	switch {
	case base.Bound == datamodel.UpperBound:
		return math.Inf(-1)
	case base.Bound == datamodel.LowerBound && !math.IsNaN(base.AtMost):
		return b.Limit.of(base.AtMost)
	case base.Bound == datamodel.LowerBound:
		return math.Inf(1)
	}
	return limit
}

// perhaps reports whether the rule may hold although it is false for the value: only a bound of the truth is known, and the rule
// holds for some values that the bound allows.
func (r Rule) perhaps(m datamodel.Metric, limit float64) bool {
	least, most := m.Value, m.Value
	switch m.Bound {
	case datamodel.UpperBound:
		least = math.Inf(-1)
	case datamodel.LowerBound:
		if most = math.Inf(1); !math.IsNaN(m.AtMost) {
			most = m.AtMost
		}
	default:
		return false
	}
	switch {
	case r.above():
		return r.Op.holds(least, limit)
	case r.below():
		return r.Op.holds(most, limit)
	case r.Op == Equal:
		return least <= limit && limit <= most
	}
	return least < most // of many values, some are others
}

// above reports whether large values break the rule; below whether small ones do.
func (r Rule) above() bool { return r.Op == Less || r.Op == AtMost }

func (r Rule) below() bool { return r.Op == Greater || r.Op == AtLeast }

// surely reports whether the rule holds for all values that the truth may have.
func (r Rule) surely(m datamodel.Metric, limit float64) bool {
	least, most := m.Value, m.Value
	if !math.IsNaN(m.Uncertainty) {
		least, most = m.Value-m.Uncertainty, m.Value+m.Uncertainty
	}
	switch {
	case m.Bound == datamodel.UpperBound, math.IsNaN(m.Value):
		least = math.Inf(-1)
	case m.Bound == datamodel.LowerBound:
		most = math.Inf(1)
	}
	if !math.IsNaN(m.AtMost) {
		most = m.AtMost
	}
	switch {
	case r.above():
		return r.Op.holds(most, limit)
	case r.below():
		return r.Op.holds(least, limit)
	}
	return least == most && r.Op.holds(m.Value, limit)
}

// figure returns the short form of a metric.
func figure(m datamodel.Metric) datamodel.Figure {
	return datamodel.Figures([]datamodel.Metric{m})[m.Name]
}

// judgeCourse judges a budget with a duration: it is broken if the comparison was false for that long at any time.
func (b Budget) judgeCourse(charts []datamodel.Chart, out *datamodel.Budget) {
	d, _ := datamodel.Lookup(b.Metric)
	out.Limit = &b.Limit.Value
	out.Measured = figure(datamodel.Missing(b.Metric, b.Unit, ""))
	metric, subject := courseOf(d)
	if metric == "" {
		out.Reason = fmt.Sprintf("no course over time is kept of %s, so it has no duration", b.Metric)
		return
	}
	found, known := false, false
	var worst datamodel.Metric
	for _, chart := range charts {
		courses := chart.Course(metric, subject)
		if len(courses) > 1 && b.Label == "" && d.Of != datamodel.OfGPUs {
			courses = []datamodel.Course{total(chart, courses)}
		}
		for _, course := range courses {
			if b.Label != "" && course.Device != b.Label {
				continue
			}
			found = true
			w := b.Watch()
			for i, v := range course.Values {
				known = known || !math.IsNaN(v)
				switch { // a peak within a part does not last for the part
				case b.above():
					v = course.Least[i]
				case b.below():
					v = course.Most[i]
				}
				from := time.Duration(i) * chart.Step
				w.See(from, v)
				if w.See(from+chart.Step, v) == Broken && out.Verdict != datamodel.BudgetBroken {
					out.Verdict = datamodel.BudgetBroken
					out.Breach = &datamodel.Breach{Elapsed: w.Since().Seconds()}
					worst = datamodel.Value(b.Metric, v, b.Unit, "", "", "course of "+metric)
				}
			}
		}
	}
	switch {
	case !found || !known:
		out.Reason = fmt.Sprintf("there is no course of %s over time: the run was too short, or it was not measured", b.Metric)
	case out.Verdict == datamodel.BudgetBroken:
		out.Measured = figure(worst)
	default:
		out.Verdict = datamodel.BudgetKept
	}
}

// courseOf names the course that shows a metric.
func courseOf(d datamodel.Definition) (metric string, subject datamodel.CourseSubject) {
	switch d.Name {
	case datamodel.Power:
		return datamodel.Power, datamodel.MachineCourse
	case datamodel.Memory, datamodel.MemoryCharge, datamodel.ProcessesAlive, datamodel.Threads:
		return d.Name, datamodel.CommandCourse
	case "memory.used":
		return datamodel.Memory, datamodel.MachineCourse
	case datamodel.CourseGPUUtilization, datamodel.CourseGPUMemory, datamodel.CourseGPUTemperature:
		return d.Name, datamodel.MachineCourse
	}
	return "", ""
}

// total returns the sum of courses. A part that one of them lacks is missing.
func total(chart datamodel.Chart, courses []datamodel.Course) datamodel.Course {
	out := datamodel.NewCourse(chart.Parts)
	for i := range chart.Parts {
		out.Values[i], out.Least[i], out.Most[i] = 0, 0, 0
		for _, c := range courses {
			out.Values[i] += c.Values[i]
			out.Least[i] += c.Least[i]
			out.Most[i] += c.Most[i]
		}
	}
	return out
}

// NeedsCourse reports whether the rule is judged by the courses of a run.
func (r Rule) NeedsCourse() bool { return r.For > 0 || extremeOfPower(r.Term) }

// OnlyWorse reports whether a rule that is broken stays broken, however the run goes on: what it bounds from above can only
// rise, or what it bounds from below can only fall. Such a rule is decided before the end.
func (r Rule) OnlyWorse() bool {
	d, _ := datamodel.Lookup(r.Metric)
	switch {
	case r.For > 0:
		return true // it is broken once the comparison was false for so long
	case d.Name == datamodel.NetEnergy, d.Labels == datamodel.AreaLabel:
		return false // what idle takes away may be more; files are counted at the end
	case r.above():
		return r.Aggregate == datamodel.Max || r.Aggregate == datamodel.Sum && d.Aggregate == datamodel.Sum
	case r.below():
		return r.Aggregate == datamodel.Min
	}
	return false
}

// Measure writes the term as a person would: without the function that the metric has anyway.
func Measure(b datamodel.Budget) string {
	s := b.Metric
	if b.Label != "" {
		s += "[" + quoteLabel(b.Label) + "]"
	}
	if d, ok := datamodel.Lookup(b.Metric); ok && d.Aggregate != b.Aggregate && b.Aggregate != "" {
		s = string(b.Aggregate) + "(" + s + ")"
	}
	return s
}

// Limits returns the range of values that keep a budget: NaN is no bound, or none that is a range.
func Limits(b datamodel.Budget) (least, most float64) {
	least, most = math.NaN(), math.NaN()
	if b.Limit == nil {
		return least, most
	}
	switch b.Comparison {
	case Less.String(), AtMost.String():
		most = *b.Limit
	case Greater.String(), AtLeast.String():
		least = *b.Limit
	case Equal.String():
		least, most = *b.Limit, *b.Limit
	}
	return least, most
}

// unitOf is the unit of a metric that may be missing.
func unitOf(m datamodel.Metric, u units.Unit) units.Unit {
	if m.Unit == "" {
		return u
	}
	return m.Unit
}
