package history

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/internal/nearest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Filter selects runs. The zero value selects all. Each field that is set must fit.
type Filter struct {
	// Projects and Tags are globs (path.Match); one of them must fit the project, or a tag.
	Projects, Tags []string
	// Outcomes lists the outcomes that fit.
	Outcomes []datamodel.Outcome
	// Since is the earliest start.
	Since time.Time
	// Commit begins the hash of the commit.
	Commit string
	// Where are rules, each of which must hold. CheckWhere says which rules can.
	Where []rule.Rule
}

// CheckGlob returns an error if a glob cannot fit anything.
func CheckGlob(glob string) error {
	if _, err := path.Match(glob, ""); err != nil {
		return fmt.Errorf("%q: not a glob (examples: nightly, train-*)", glob)
	}
	return nil
}

// CheckWhere returns an error if a rule cannot be checked against the summary of a single run.
func CheckWhere(r rule.Rule) error {
	d, _ := datamodel.Lookup(r.Metric)
	switch {
	case r.Limit.Baseline != "":
		return fmt.Errorf("%s: a list has no baseline to compare with (give a limit with its unit)", r)
	case r.For > 0:
		return fmt.Errorf("%s: the summary of a run has one value, so it has no duration (leave out the for)", r)
	case r.Label != "":
		return fmt.Errorf("%s: the summary of a run has no label %q (leave it out)", r, r.Label)
	case !d.Summary && !d.Derived:
		return fmt.Errorf("%s: %w", r, notInSummary(r.Metric))
	case r.Aggregate != d.Aggregate:
		return fmt.Errorf("%s: the summary of a run has the %s of %s only (leave out the %s)", r, d.Aggregate, r.Metric, r.Aggregate)
	}
	return nil
}

// SummaryMetric finds a metric of the summary, or one that follows from factors. The error names those that there are.
func SummaryMetric(name string) (datamodel.Definition, error) {
	d, ok := datamodel.Lookup(name)
	if !ok || !d.Summary && !d.Derived {
		return d, notInSummary(name)
	}
	return d, nil
}

func notInSummary(name string) error {
	var names []string
	for _, d := range datamodel.Reported() {
		names = append(names, d.Name)
	}
	if word := nearest.Word(name, names); word != "" {
		return fmt.Errorf("%q is not in the summary of a run (did you mean %q?)", name, word)
	}
	return fmt.Errorf("%q is not in the summary of a run (one of %s)", name, strings.Join(names, ", "))
}

// Select returns the runs that fit, in the same order. unknown is how many of the others lack only a value that a rule is about.
// A run that cannot be read fits if only its path is asked for.
func (f Filter) Select(entries []Entry) (fit []Entry, unknown int) {
	fit = make([]Entry, 0, len(entries))
	for i := range entries {
		switch f.check(&entries[i]) {
		case rule.Holds:
			fit = append(fit, entries[i])
		case rule.Unknown:
			unknown++
		case rule.Broken:
		}
	}
	return fit, unknown
}

func (f Filter) check(e *Entry) rule.Verdict {
	matches := func(globs []string, names ...string) bool {
		return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
			return slices.ContainsFunc(names, func(name string) bool { ok, _ := path.Match(glob, name); return ok || glob == name })
		})
	}
	manifest := len(f.Outcomes) > 0 || f.Commit != "" || len(f.Where) > 0
	switch {
	case !matches(f.Projects, e.Run.Project), !matches(f.Tags, e.Tags...), e.Run.Start.Before(f.Since), e.Err != nil && manifest:
		return rule.Broken
	case len(f.Outcomes) > 0 && !slices.Contains(f.Outcomes, e.Run.Outcome), f.Commit != "" && !strings.HasPrefix(e.Commit(), f.Commit):
		return rule.Broken
	}
	all := rule.Holds
	for _, r := range f.Where {
		switch r.Check(func(t rule.Term, _ string) datamodel.Metric { return e.Metric(t.Metric) }).Verdict {
		case rule.Broken:
			return rule.Broken
		case rule.Unknown:
			all = rule.Unknown
		case rule.Holds:
		}
	}
	return all
}

// Metric returns a metric of the run's summary, or a missing one with the reason. It does not say how the value was aggregated.
func (e Entry) Metric(name string) datamodel.Metric {
	f, ok := e.Run.Summary[name]
	switch {
	case name == datamodel.WallTime && e.Run.WallTime != nil && f.Value == nil && e.Run.Bench == nil:
		return datamodel.Value(name, *e.Run.WallTime, units.Second, "delta", sensors.FromCounter, "runner").WithValue(*e.Run.WallTime)
	case !ok:
		d, _ := datamodel.Lookup(name)
		why := "not measured"
		if e.Err != nil {
			why = "the run cannot be read"
		}
		return datamodel.Missing(name, d.Unit, why)
	}
	return f.Metric(name)
}

// SortBy orders runs by a metric of the summary, the largest value first. Runs without the value come last, in their order.
func SortBy(entries []Entry, metric string) error {
	if _, err := SummaryMetric(metric); err != nil {
		return err
	}
	type place struct {
		value float64
		at    int
	}
	order := make([]place, len(entries))
	for i, e := range entries {
		order[i] = place{e.Metric(metric).Value, i}
	}
	slices.SortFunc(order, func(a, b place) int {
		switch x, y := a.value, b.value; {
		case math.IsNaN(x) && math.IsNaN(y), x == y:
			return cmp.Compare(a.at, b.at)
		case math.IsNaN(y), x > y:
			return -1
		}
		return 1
	})
	before := slices.Clone(entries)
	for i, p := range order {
		entries[i] = before[p.at]
	}
	return nil
}
