// Package trend makes lines of many runs: how a metric of a command went from run to run, where its level has changed, and
// which runs are overdue. It is pure: it uses no files and no clock.
package trend

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/sensors"
)

// By says which runs make one point of a line.
type By string

// The ways to make points.
const (
	// ByRun makes a point of each run.
	ByRun By = "run"
	// ByCommit makes a point of all runs of a git commit. Runs with changed files are another point than those without.
	ByCommit By = "commit"
	// ByHost makes a point of each run, and a line of each host.
	ByHost By = "host"
	// ByDay makes a point of all runs of a day in UTC.
	ByDay By = "day"
	// ByTag makes a point of each tag.
	ByTag By = "tag"
)

// Ways lists all values of By, the default first.
func Ways() []string {
	return []string{string(ByRun), string(ByCommit), string(ByHost), string(ByDay), string(ByTag)}
}

const (
	// alpha is the probability of a step in a line that has none.
	alpha = 0.01
	// leastStep is the smallest step that is told, as a part of the level before it.
	leastStep = 0.01
)

// Run is a run as a trend needs it.
type Run struct {
	// Run has the fields of history.Entry. If it is a bench, each of its commands counts for itself.
	datamodel.Run
	// Dir is the folder of the run.
	Dir  string
	Tags []string
	// Summary returns a metric of the run's summary.
	Summary func(name string) datamodel.Metric
	// Tree has the metrics of files and file systems. It is needed only if Metric.NeedsTree says so; Unread says why it is nil
	// then.
	Tree   *datamodel.Node
	Unread string
}

// Commit returns the git commit, with a "+" at its end if files differed from it. It is "" if it is unknown.
func (r *Run) Commit() string {
	g := r.Host.Git
	if g == nil || g.Commit == "" {
		return ""
	}
	if g.Dirty != nil && *g.Dirty {
		return g.Commit + "+"
	}
	return g.Commit
}

// Commands returns the command of the run as one line. If the run is a bench, it returns each of its commands once.
func (r *Run) Commands() []string { return r.commands(commandLines{}) }

func (r *Run) commands(of commandLines) []string {
	if r.Bench == nil {
		return []string{of.of(r.Command)}
	}
	var all []string
	for _, c := range r.Bench.Commands {
		if line := of.of(c.Command); !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return all
}

// Query says what lines to make.
type Query struct {
	Metrics []Metric
	By      By
	// Command is a text that the commands of the lines contain. "" fits every command.
	Command string
}

// Trend is the answer.
type Trend struct {
	By    By
	Lines []Line
	// Runs are the runs with a point in a line, the oldest first. Points refer to them by index.
	Runs []*Run
	// Ungrouped is the number of runs that have no commit or tag to be grouped by.
	Ungrouped int
}

// Identity is what all runs of a line have in common.
type Identity struct {
	Project string
	// Command is the command as one line.
	Command string
	// Label is what the metric is of: an area, an area and a type, a file system. It is "" for a metric of the summary.
	Label string
	// Host is the name of the host if lines are by host, else "".
	Host  string
	Basis datamodel.Basis
	Means datamodel.Means
}

// Line is one metric of comparable runs, from run to run.
type Line struct {
	Metric datamodel.Definition
	Identity
	// Points are in the order of time. There is at least one.
	Points []Point
	// Steps are the changes of the level, in the order of time.
	Steps []Step
}

// Point is one run, or the runs of one commit, day or tag.
type Point struct {
	// Key is the commit, the day or the tag. It is "" for a single run.
	Key string
	// Runs are indices of Trend.Runs. There is at least one.
	Runs []int
	// Start is that of the first of the runs.
	Start time.Time
	// Value is the value of the run, or the median of the runs that have one. It is NaN if none has; Reason then says why.
	Value  float64
	Reason string
	// N is the number of runs with a value.
	N int
	// Low and High are the least and the most of several runs. Of one run they are its bounds by the uncertainty. They are NaN
	// if they are unknown.
	Low, High float64
	// Bound tells whether Value is a bound of the quantity.
	Bound datamodel.Bound
}

// Step is a change of the level of a line.
type Step struct {
	// At is the index of the first point of the new level.
	At int
	// Before and After are the medians of the levels.
	Before, After float64
	// Ratio is the new level as a part of the old one, with its interval. It is NaN if the old level is 0.
	Ratio stats.Interval
}

// Change returns the change as a part of the level before: 0.12 is 12 % more. It is NaN if that level is 0.
func (s Step) Change() float64 { return s.Ratio.Value - 1 }

// Verdict is what a step means.
type Verdict string

// The verdicts.
const (
	Better  Verdict = "better"
	Worse   Verdict = "worse"
	Neither Verdict = "neither" // nothing says which values are better
)

// Verdict tells whether a step of the line is for the better.
func (l *Line) Verdict(s Step) Verdict {
	switch {
	case l.Metric.Better == datamodel.Neither:
		return Neither
	case s.After > s.Before == (l.Metric.Better == datamodel.Higher):
		return Better
	}
	return Worse
}

// Values returns the values of the points, NaN for missing ones.
func (l *Line) Values() []float64 {
	out := make([]float64, len(l.Points))
	for i, p := range l.Points {
		out[i] = p.Value
	}
	return out
}

// Make makes the lines of runs. They are sorted by metric, project, command and label, and then by their first run.
func Make(runs []Run, q Query) Trend {
	t := Trend{By: cmp.Or(q.By, ByRun)}
	ordered := make([]*Run, len(runs))
	for i := range runs {
		ordered[i] = &runs[i]
	}
	slices.SortStableFunc(ordered, func(a, b *Run) int { return cmp.Or(a.Start.Compare(b.Start), strings.Compare(a.ID, b.ID)) })
	for _, r := range ordered {
		if t.By == ByCommit && r.Commit() == "" || t.By == ByTag && len(r.Tags) == 0 {
			t.Ungrouped++
			continue
		}
		t.Runs = append(t.Runs, r)
	}
	for _, m := range q.Metrics {
		t.Lines = append(t.Lines, t.lines(m, q.Command)...)
	}
	each(len(t.Lines), func(i int) { t.Lines[i].findSteps() })
	return t
}

// each calls do for each number below n, several at the same time.
func each(n int, do func(i int)) {
	numbers := make(chan int)
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		all.Go(func() {
			for i := range numbers {
				do(i)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
}

// sample is one value of one run.
type sample struct {
	run int // of Trend.Runs
	datamodel.Metric
	low, high float64
}

// lines makes the lines of one metric, those whose command contains a text.
func (t *Trend) lines(m Metric, command string) []Line {
	found := map[Identity][]sample{}
	var order []Identity
	add := func(id Identity, s sample) {
		if _, ok := found[id]; !ok {
			order = append(order, id)
		}
		found[id] = append(found[id], s)
	}
	types := m.types(t.Runs)
	commands := commandLines{}
	type lacking struct {
		id Identity
		sample
	}
	var missing []lacking
	for i, r := range t.Runs {
		id := Identity{Project: r.Project, Basis: datamodel.BasisOf(r.Host)}
		if t.By == ByHost {
			id.Host = r.Host.Name
		}
		for _, f := range m.of(r, types, commands) {
			if !strings.Contains(f.command, command) { // of a bench, other commands may fit
				continue
			}
			id.Command, id.Label = f.command, f.label
			s := sample{run: i, Metric: f.Metric, low: f.Value - f.Uncertainty, high: f.Value + f.Uncertainty}
			if math.IsNaN(f.Value) {
				id.Means = datamodel.Means{Provenance: sensors.Missing}
				missing = append(missing, lacking{id, s})
				continue
			}
			id.Means = datamodel.MeansOf(f.Metric)
			add(id, s)
		}
	}
	// A missing value belongs to the line that the run would continue: the one with the latest value before it, else the next.
	homes := map[Identity][]Identity{}
	for _, id := range order {
		of := id
		of.Means = datamodel.Means{Provenance: sensors.Missing}
		homes[of] = append(homes[of], id)
	}
	for _, l := range missing {
		home := l.id
		latest := -1
		for _, id := range homes[l.id] {
			before, _ := slices.BinarySearchFunc(found[id], l.run, func(s sample, run int) int { return cmp.Compare(s.run, run) })
			switch {
			case before > 0 && found[id][before-1].run > latest:
				home, latest = id, found[id][before-1].run
			case home == l.id:
				home = id
			}
		}
		add(home, l.sample)
	}
	lines := make([]Line, 0, len(order))
	for _, id := range order {
		samples := found[id]
		slices.SortStableFunc(samples, func(a, b sample) int { return cmp.Compare(a.run, b.run) })
		lines = append(lines, Line{Metric: m.Definition, Identity: id, Points: t.points(samples)})
	}
	slices.SortStableFunc(lines, func(a, b Line) int {
		return cmp.Or(strings.Compare(a.Project, b.Project), strings.Compare(a.Command, b.Command), strings.Compare(a.Label, b.Label),
			strings.Compare(a.Host, b.Host), a.Points[0].Start.Compare(b.Points[0].Start))
	})
	return lines
}

// keys returns what a run is grouped by.
func (t *Trend) keys(r *Run) []string {
	switch t.By {
	case ByCommit:
		return []string{r.Commit()}
	case ByDay:
		return []string{r.Start.UTC().Format(time.DateOnly)}
	case ByTag:
		return r.Tags
	case ByRun, ByHost:
	}
	return []string{""}
}

// points groups samples, which are in the order of time.
func (t *Trend) points(samples []sample) []Point {
	var groups [][]sample
	var keys []string
	at := map[string]int{}
	for _, s := range samples {
		for _, key := range t.keys(t.Runs[s.run]) {
			i, known := at[key]
			if !known || key == "" {
				i = len(groups)
				at[key] = i
				groups, keys = append(groups, nil), append(keys, key)
			}
			groups[i] = append(groups[i], s)
		}
	}
	points := make([]Point, len(groups))
	for i, g := range groups {
		points[i] = t.point(keys[i], g)
	}
	return points
}

func (t *Trend) point(key string, group []sample) Point {
	nan := math.NaN()
	p := Point{Key: key, Start: t.Runs[group[0].run].Start, Value: nan, Low: nan, High: nan}
	values := make([]float64, 0, len(group))
	for _, s := range group {
		p.Runs = append(p.Runs, s.run)
		if math.IsNaN(s.Value) {
			p.Reason = s.Reason
			continue
		}
		values = append(values, s.Value)
		p.Bound = cmp.Or(p.Bound, s.Bound)
		p.Low, p.High = s.low, s.high
	}
	p.N = len(values)
	switch p.N {
	case 0:
		p.Reason = cmp.Or(p.Reason, "not measured")
		return p
	case 1:
		p.Value = values[0]
	default:
		d := stats.Summarize(values, stats.Confidence)
		p.Value, p.Low, p.High = d.Median.Value, d.Min, d.Max
	}
	p.Reason = ""
	return p
}

// findSteps finds the changes of the line's level. Values that are bounds count only if all are.
func (l *Line) findSteps() {
	bounds, n := 0, 0
	for _, p := range l.Points {
		if p.N > 0 {
			n++
		}
		if p.N > 0 && p.Bound != "" {
			bounds++
		}
	}
	var values []float64
	var at []int // of the points
	for i, p := range l.Points {
		if p.N > 0 && (p.Bound == "" || bounds == n) {
			values, at = append(values, p.Value), append(at, i)
		}
	}
	steps := stats.Steps(values, alpha)
	for k := 0; k < len(steps); {
		before, after := levels(values, steps, k)
		c := stats.Compare(before, after, stats.Confidence)
		if math.Abs(c.Ratio.Value-1) < leastStep {
			steps = slices.Delete(steps, k, k+1)
			l.Steps, k = nil, 0 // the levels beside it are longer now
			continue
		}
		l.Steps = append(l.Steps, Step{
			At: at[steps[k]], Before: stats.Summarize(before, stats.Confidence).Median.Value,
			After: stats.Summarize(after, stats.Confidence).Median.Value, Ratio: c.Ratio,
		})
		k++
	}
}

// levels returns the values on both sides of a step, up to the next steps.
func levels(values []float64, steps []int, k int) (before, after []float64) {
	low, high := 0, len(values)
	if k > 0 {
		low = steps[k-1]
	}
	if k+1 < len(steps) {
		high = steps[k+1]
	}
	return values[low:steps[k]], values[steps[k]:high]
}

// commandLines remembers commands as lines: many runs have the same.
type commandLines map[string]string

func (c commandLines) of(argv []string) string {
	key := strings.Join(argv, "\x00")
	line, ok := c[key]
	if !ok {
		line = cmdline.Line(argv)
		c[key] = line
	}
	return line
}
