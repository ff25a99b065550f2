package compare

import (
	"math"
	"slices"
	"time"

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
		a := Against{New: fresh, Differences: differences(q.Base, fresh), Apart: !q.Paired && apart(q.Base.Bench, fresh.Bench)}
		a.match(q.Base)
		for i := range a.Benchmarks {
			r.figures(q, fresh, &a.Benchmarks[i])
			a.Benchmarks[i].Cause = r.causeOf(q, fresh, a.Benchmarks[i])
		}
		result.Against = append(result.Against, a)
	}
	r.judge(q, result)
	return result
}

// apart reports whether all rounds of one side began before those of the other. Unknown times are not apart.
func apart(a, b datamodel.Bench) bool {
	first, last := span(a)
	from, to := span(b)
	return !first.IsZero() && !from.IsZero() && (last.Before(from) || to.Before(first))
}

// span returns when the first and the last round began. They are zero if that is unknown.
func span(b datamodel.Bench) (first, last time.Time) {
	for _, r := range b.Rounds {
		if r.Start.IsZero() {
			continue
		}
		if first.IsZero() || r.Start.Before(first) {
			first = r.Start
		}
		if r.Start.After(last) {
			last = r.Start
		}
	}
	return first, last
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
	if d, ok := commandDiffers(q.Base.Commands[b.Base], fresh.Commands[b.New]); ok {
		b.Differences = append(b.Differences, d)
	}
	for _, name := range q.Metrics {
		d, ok := datamodel.Lookup(name)
		x, y := columnOf(q.Base, b.Base, name), columnOf(fresh, b.New, name)
		f := Compared{Metric: d, Base: r.described(x), New: r.described(y)}
		if !ok || !q.Asked && f.Base.N == 0 && f.New.N == 0 {
			continue
		}
		if q.Paired {
			n := min(len(x.values), len(y.values))
			f.Change.Comparison = stats.ComparePaired(x.values[:n], y.values[:n], r.Confidence)
		} else {
			f.Change.Comparison = stats.Compare(x.values, y.values, r.Confidence)
		}
		if d, ok := differ(DifferentMeans, name, texts(x.means), texts(y.means)); ok {
			f.Incomparable = disjoint(x.means, y.means)
			b.Differences = append(b.Differences, d)
		}
		b.Figures = append(b.Figures, f)
	}
}

func (r Rule) described(c column) Described {
	return Described{stats.Summarize(c.values, r.Confidence), c.rounds, c.reason}
}

// column is a metric of a command over all rounds.
type column struct {
	// values has the values by block, NaN if there is none.
	values []float64
	rounds int
	// reason is why the last round without a value has none.
	reason string
	// means lists how the values were obtained.
	means []datamodel.Means
}

// columnOf reads a metric of a command from all rounds.
func columnOf(s Set, command int, metric string) (c column) {
	at := 0
	for i := range s.Rounds {
		r := &s.Rounds[i]
		if r.Command != command {
			continue
		}
		c.rounds++
		for len(c.values) <= r.Block {
			c.values = append(c.values, math.NaN())
		}
		if at >= len(r.Metrics) || r.Metrics[at].Name != metric { // mostly it stands where it did before
			at = slices.IndexFunc(r.Metrics, func(m datamodel.Metric) bool { return m.Name == metric })
		}
		var m *datamodel.Metric
		if at >= 0 {
			m = &r.Metrics[at]
		} else { // it may follow from others
			derived := r.Metric(metric)
			m, at = &derived, 0
		}
		if math.IsNaN(m.Value) {
			c.reason = m.Reason
			continue
		}
		c.values[r.Block] = m.Value
		if n := len(c.means); n > 0 && c.means[n-1].Provenance == m.Provenance && len(m.Parts) == 0 && c.means[n-1].Parts == "" {
			continue
		}
		if means := datamodel.MeansOf(*m); !slices.Contains(c.means, means) {
			c.means = append(c.means, means)
		}
	}
	return c
}

// judge sets the verdicts of all changes.
func (r Rule) judge(q Request, result Result) {
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
	comparisons := tests(p)
	for i, corrected := range stats.Holm(p) {
		c := &all[i].Change
		r.decide(c, corrected, all[i].Metric, comparisons, q.Paired)
		if all[i].Incomparable {
			c.Verdict, c.Needed = Inconclusive, 0
		}
	}
}
