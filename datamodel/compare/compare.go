package compare

import (
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// Described is one metric of one side.
type Described struct {
	stats.Summary
	// Rounds is the number of rounds of the side. N of the summary is smaller if some of them lack the metric. Reason is then
	// why the last of these lacks it.
	Rounds int
	Reason string
}

// Compare compares each new side with the base, command by command and metric by metric. Holm's correction counts all of
// these comparisons.
func (r Rule) Compare(q Request) Result {
	result := Result{Base: q.Base}
	for _, fresh := range q.New {
		a := Against{New: fresh, Differences: differences(q.Base, fresh)}
		a.match(q.Base)
		for i := range a.Benchmarks {
			r.figures(q, fresh, &a.Benchmarks[i])
		}
		result.Against = append(result.Against, a)
	}
	r.judge(result)
	return result
}

// match finds the commands that both sides have, by their names. If each side has one command only, these two are compared
// whatever their names are.
func (a *Against) match(base Set) {
	if len(base.Commands) == 1 && len(a.New.Commands) == 1 {
		a.Benchmarks = []Benchmark{{Name: a.New.Commands[0].Name}}
		return
	}
	taken := make([]bool, len(a.New.Commands))
	for b, c := range base.Commands {
		n := slices.IndexFunc(a.New.Commands, func(other datamodel.BenchCommand) bool { return other.Name == c.Name })
		if n < 0 {
			a.OnlyBase = append(a.OnlyBase, c.Name)
			continue
		}
		taken[n] = true
		a.Benchmarks = append(a.Benchmarks, Benchmark{Base: b, New: n, Name: c.Name})
	}
	for n, c := range a.New.Commands {
		if !taken[n] {
			a.OnlyNew = append(a.OnlyNew, c.Name)
		}
	}
}

// figures compares the metrics of a benchmark.
func (r Rule) figures(q Request, fresh Set, b *Benchmark) {
	for _, name := range q.Metrics {
		d, ok := datamodel.Lookup(name)
		x, y := q.Base.Values(b.Base, name), fresh.Values(b.New, name)
		f := Compared{Metric: d, Base: r.described(q.Base, b.Base, name, x), New: r.described(fresh, b.New, name, y)}
		if !ok || !q.Asked && f.Base.N == 0 && f.New.N == 0 {
			continue
		}
		if q.Paired {
			n := min(len(x), len(y))
			f.Change.Comparison = stats.ComparePaired(x[:n], y[:n], r.Confidence)
		} else {
			f.Change.Comparison = stats.Compare(x, y, r.Confidence)
		}
		b.Figures = append(b.Figures, f)
	}
}

func (r Rule) described(s Set, command int, metric string, values []float64) Described {
	rounds := s.Of(command)
	return Described{stats.Summarize(values, r.Confidence), len(rounds), reason(rounds, metric)}
}

// judge sets the verdicts of all changes.
func (r Rule) judge(result Result) {
	var all []*Compared
	for i := range result.Against {
		for j := range result.Against[i].Benchmarks {
			for k := range result.Against[i].Benchmarks[j].Figures {
				all = append(all, &result.Against[i].Benchmarks[j].Figures[k])
			}
		}
	}
	p := make([]float64, len(all))
	for i, f := range all {
		p[i] = f.Change.P
	}
	for i, corrected := range stats.Holm(p) {
		c := &all[i].Change
		c.Corrected = corrected
		rule := r.For(all[i].Metric.Name)
		if c.Verdict = rule.Judge(c.Comparison, corrected, all[i].Metric.Better); c.Verdict == Inconclusive {
			c.Needed = rule.Needed(c.Comparison)
		}
	}
}

// differences returns the conditions that differ between two sides.
func differences(base, fresh Set) []Difference {
	if len(base.Runs) == 0 || len(fresh.Runs) == 0 {
		return nil
	}
	return Differ(Facts(base.Runs[0]), Facts(fresh.Runs[0]))
}
