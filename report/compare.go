package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// Comparison is the result of a comparison, ready to be shown.
type Comparison struct {
	compare.Result
	// Rule is what the verdicts were made by.
	Rule compare.Rule
	// Strict makes an inconclusive verdict a failure for CI systems.
	Strict bool
	// Version is the version of ergon.
	Version string
	// Kept is the run that the rounds were just kept as, empty if they were not measured now or not kept.
	Kept datamodel.Run
}

// compareFormat is a format of a comparison.
type compareFormat struct {
	name  string
	write func(c Comparison, w io.Writer, o Options) error
}

func compareFormats() []compareFormat {
	findings := func(write func(f Findings, w io.Writer) error) func(c Comparison, w io.Writer, o Options) error {
		return func(c Comparison, w io.Writer, _ Options) error { return write(c.Findings(), w) }
	}
	return []compareFormat{
		{"text", Comparison.writeText},
		{"json", Comparison.writeJSON},
		{"csv", Comparison.writeCSV},
		{"markdown", Comparison.writeMarkdown},
		{"html", Comparison.writePage},
		{"github", findings(Findings.WriteGitHub)},
		{"gitlab", findings(Findings.WriteOpenMetrics)},
		{"junit", findings(Findings.WriteJUnit)},
	}
}

// CompareFormats lists what Comparison.Write takes, the default first.
func CompareFormats() (names []string) {
	for _, f := range compareFormats() {
		names = append(names, f.name)
	}
	return names
}

// Comparable reports whether anything could be compared.
func (c Comparison) Comparable() bool {
	return slices.ContainsFunc(c.Against, func(a compare.Against) bool { return len(a.Benchmarks) > 0 })
}

// Write writes the result in one of the formats.
func (c Comparison) Write(w io.Writer, format string, o Options) error {
	for _, f := range compareFormats() {
		if f.name == format {
			return f.write(c, w, o)
		}
	}
	return fmt.Errorf("format %q: not a format of a comparison", format)
}

// compareWidth is the number of columns of the text, if the terminal has no fewer.
const compareWidth = 80

// writeText writes the verdict's word in the first line, then what it stands on.
func (c Comparison) writeText(w io.Writer, o Options) error {
	p := page{Options: o, out: w, width: compareWidth}
	if o.Width > 0 {
		p.width = min(o.Width, compareWidth)
	}
	p.line(p.look(verdictLook(c.Verdict()), string(c.Verdict())))
	for _, a := range c.Against {
		p.line()
		p.wrapped("base  ", "      ", "", sideText(c.Base))
		p.wrapped("new   ", "      ", "", sideText(a.New))
		for _, b := range a.Benchmarks {
			p.benchmark(c, a, b)
		}
		for _, d := range differencesOf(a) {
			p.wrapped("! ", "  ", "", p.plain(d))
		}
	}
	if o.Again != "" {
		p.line()
		p.line(p.look(dim, p.plain("run "+ShortID(c.Kept)+" · ergon compare "+o.Again)))
	}
	return p.err
}

// benchmark writes the table of one command, and what its numbers mean.
func (p *page) benchmark(c Comparison, a compare.Against, b compare.Benchmark) {
	p.line()
	p.line(p.look(bold, p.end(p.plain(printable(b.Name)), p.width)))
	p.line(p.look(dim, p.plain(pad("", 21, false)+pad("base", 10, true)+pad("new", 10, true)+"  new/base  interval")))
	for _, f := range b.Figures {
		p.compared(f)
	}
	for _, note := range c.notes(b) {
		p.wrapped("  ", "  ", "", p.plain(note))
	}
	if why := causeText(b, plainName); why != "" {
		p.wrapped("  why: ", "       ", "", p.plain(why))
	}
	for _, s := range doubtsOf(c.Base, b.Base, "base") {
		p.wrapped("! ", "  ", "", p.plain(s))
	}
	for _, s := range doubtsOf(a.New, b.New, "new") {
		p.wrapped("! ", "  ", "", p.plain(s))
	}
}

// compared shows one metric: the medians, the ratio with its interval, and the verdict.
func (p *page) compared(f compare.Compared) {
	name := "  " + pad(shorten(metricName(f.Metric), 19), 19, false)
	if math.IsNaN(f.Change.Ratio.Value) {
		p.line(p.plain(name), " ", p.end(p.plain(lackText(f)), p.width-22))
		return
	}
	interval := ""
	if r := f.Change.Ratio; r.Known() {
		interval = ratioText(r.Low) + " … " + ratioText(r.High)
	}
	value := func(v float64) string { return " " + pad(units.Format(v, f.Metric.Unit), 9, true) }
	p.line(p.plain(name+value(f.Base.Median.Value)+value(f.New.Median.Value)+"  "+pad("× "+ratioText(f.Change.Ratio.Value), 8, false)+" "+
		pad(interval, 13, false)+" "), p.look(verdictLook(f.Change.Verdict), string(f.Change.Verdict)))
}

// ratioText formats a ratio with four digits or so.
func ratioText(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 1e5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func verdictLook(v compare.Verdict) string {
	switch v {
	case compare.Regressed:
		return red
	case compare.Inconclusive:
		return yellow
	case compare.Improved, compare.Changed:
		return bold
	case compare.Unchanged:
	}
	return dim
}

// lackText says why a metric could not be compared.
func lackText(f compare.Compared) string {
	side := func(name string, d compare.Described) string {
		if d.Reason == "" {
			return "not measured on the " + name + " side"
		}
		return "no value on the " + name + " side: " + printable(d.Reason)
	}
	switch {
	case f.Base.N == 0 && f.New.N == 0 && f.Base.Reason == "" && f.New.Reason == "":
		return "not measured on either side"
	case f.Base.N == 0 && f.New.N == 0:
		return "no value on either side: " + printable(cmp.Or(f.Base.Reason, f.New.Reason))
	case f.Base.N == 0:
		return side("base", f.Base)
	case f.New.N == 0:
		return side("new", f.New)
	case f.Change.Base == 0:
		return "no pair of rounds has a value on both sides"
	}
	return "the base is 0, so there is no ratio (" + units.Format(f.New.Median.Value, f.Metric.Unit) + " on the new side)"
}

// notes say how many rounds there are, which metrics lack some of them, and what so many rounds can see.
func (c Comparison) notes(b compare.Benchmark) (notes []string) {
	var fewer, seen, needed, unknown, other []string
	base, fresh, single := 0, 0, len(b.Figures) > 0
	for _, f := range b.Figures {
		name := f.Metric.Label
		base, fresh = max(base, f.Base.Rounds), max(fresh, f.New.Rounds)
		single = single && (f.Base.N <= 1 || f.New.N <= 1)
		switch {
		case f.Incomparable:
			other = append(other, name)
			continue
		case math.IsNaN(f.Change.Ratio.Value):
			continue
		case f.Base.N < f.Base.Rounds || f.New.N < f.New.Rounds:
			fewer = append(fewer, fmt.Sprintf("%s in %d and %d", name, f.Base.N, f.New.N))
		}
		if !math.IsNaN(f.Change.Detectable) {
			seen = append(seen, name+" "+units.Format(f.Change.Detectable, units.Ratio))
		}
		switch {
		case f.Change.Verdict != compare.Inconclusive:
		case f.Change.Needed > 0:
			needed = append(needed, fmt.Sprintf("%s %d", name, f.Change.Needed))
		default:
			unknown = append(unknown, name)
		}
	}
	count := fmt.Sprintf("rounds: %d and %d", base, fresh)
	if fewer != nil {
		count += "; " + strings.Join(fewer, ", ")
	}
	notes = append(notes, count)
	if single && base+fresh > 0 {
		notes = append(notes, "one round has no interval: it says nothing about chance")
	}
	if seen != nil {
		notes = append(notes, "a change would be found from "+strings.Join(seen, ", ")+" on")
	}
	if needed != nil {
		about := "about"
		if single {
			about = "at least"
		}
		notes = append(notes, "not decided; rounds a side needed, "+about+": "+strings.Join(needed, ", "))
	}
	if unknown != nil {
		notes = append(notes, "not decided, and too close to the threshold to say how many rounds would: "+strings.Join(unknown, ", "))
	}
	if other != nil {
		notes = append(notes, "measured in another way, so not decided: "+strings.Join(other, ", "))
	}
	return notes
}

// doubtsOf says which rounds of a side failed, and what disturbed the machine.
func doubtsOf(s compare.Set, command int, name string) (doubts []string) {
	rounds := s.Of(command)
	failed := 0
	for _, r := range rounds {
		if r.Outcome != datamodel.Done {
			failed++
		}
	}
	if failed > 0 {
		doubts = append(doubts, fmt.Sprintf("%s: %d of %s failed", name, failed, plural(len(rounds), "round")))
	}
	if about := conditionsText(compare.Side{Rounds: len(rounds), Conditions: compare.Conditions(rounds)}); about != "" {
		doubts = append(doubts, name+": "+about)
	}
	return doubts
}

// apartText warns of sides that were not measured in turn.
const apartText = "the sides were measured at different times: a change that is smaller than what varies between sessions cannot be told " +
	"(ergon compare --base COMMIT -- COMMAND, or -c, measures both in turn)"

// differencesOf says in sentences what differs between the sides besides the figures.
func differencesOf(a compare.Against) (list []string) {
	if a.Apart {
		list = append(list, apartText)
	}
	for _, d := range a.Differences {
		list = append(list, differenceText(d, ""))
	}
	for _, b := range a.Benchmarks {
		name := ""
		if len(a.Benchmarks) > 1 {
			name = b.Name
		}
		for _, d := range b.Differences {
			list = append(list, differenceText(d, name))
		}
	}
	if a.OnlyBase != nil {
		list = append(list, "only on the base side: "+printable(strings.Join(a.OnlyBase, ", ")))
	}
	if a.OnlyNew != nil {
		list = append(list, "only on the new side: "+printable(strings.Join(a.OnlyNew, ", ")))
	}
	return list
}

// differenceText is a sentence about a condition that differs.
func differenceText(d compare.Difference, benchmark string) string {
	what := strings.ReplaceAll(string(d.What), "_", " ")
	if m, ok := datamodel.Lookup(d.Metric); ok {
		what = "the way of measuring " + metricName(m)
	}
	text := fmt.Sprintf("not the same %s: %s on the base side, %s on the new side", what, printable(d.Base), printable(d.New))
	if benchmark != "" {
		return printable(benchmark) + ": " + text
	}
	return text
}

// sideText says in one line which rounds a side has.
func sideText(s compare.Set) string {
	parts := []string{printable(s.Name)}
	if n := len(s.Runs); n == 1 {
		run := s.Runs[0]
		if id := ShortID(run); id != "" && id != s.Name {
			parts = append(parts, "run "+id)
		}
	} else if n > 1 {
		parts = append(parts, plural(n, "run"))
	}
	parts = append(parts, plural(len(s.Rounds), "round"))
	if when := whenText(s.Rounds); when != "" {
		parts = append(parts, when)
	}
	if c := commitsText(s.Runs); c != "" {
		parts = append(parts, c)
	}
	return strings.Join(parts, ", ")
}

// whenText is when the rounds were measured.
func whenText(rounds []datamodel.Round) string {
	var first, last time.Time
	for _, r := range rounds {
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
	if first.IsZero() {
		return ""
	}
	from, to := first.Local().Format("2006-01-02 15:04"), last.Local().Format("2006-01-02 15:04")
	switch {
	case from == to:
		return from
	case from[:10] == to[:10]:
		return from + " … " + to[11:]
	}
	return from[:10] + " … " + to[:10]
}

// commitsText names the commits of runs, if there are few.
func commitsText(runs []datamodel.Run) string {
	var commits []string
	for _, run := range runs {
		g := run.Host.Git
		if g == nil || g.Commit == "" {
			continue
		}
		text := fmt.Sprintf("%.7s", g.Commit)
		if g.Dirty != nil && *g.Dirty {
			text += " with changes"
		}
		if !slices.Contains(commits, text) {
			commits = append(commits, text)
		}
	}
	switch {
	case len(commits) == 0:
		return ""
	case len(commits) > 2:
		return plural(len(commits), "commit")
	case len(commits) == 1:
		return "commit " + printable(commits[0])
	}
	return "commits " + printable(strings.Join(commits, ", "))
}

// Findings returns the verdicts for CI systems: one for each metric of each command on each new side.
func (c Comparison) Findings() Findings {
	f := Findings{Strict: c.Strict, Title: string(c.Verdict()) + ": against " + printable(c.Base.Name)}
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			for _, one := range b.Figures {
				f.List = append(f.List, finding(b, one))
			}
		}
	}
	return f
}

func finding(b compare.Benchmark, f compare.Compared) Finding {
	one := Finding{
		Subject: b.Name, Name: metricName(f.Metric), Metric: f.Metric.Name, Measure: f.Metric.Name, Word: string(f.Change.Verdict),
		Value: f.New.Median.Value, Least: math.NaN(), Most: math.NaN(), Unit: f.Metric.Unit, State: changeState(f.Change.Verdict),
	}
	if math.IsNaN(f.Change.Ratio.Value) {
		one.Text = lackText(f)
		return one
	}
	one.Text = fmt.Sprintf("%s → %s, %s", units.Format(f.Base.Median.Value, f.Metric.Unit), units.Format(f.New.Median.Value, f.Metric.Unit), changeText(f.Change))
	if why := causeText(b, plainName); why != "" && f.Change.Verdict == compare.Regressed {
		one.Text += "; why: " + why
	}
	return one
}

// changeState returns what a verdict means for a build.
func changeState(v compare.Verdict) State {
	switch v {
	case compare.Regressed:
		return Fails
	case compare.Inconclusive:
		return Undecided
	case compare.Improved, compare.Unchanged, compare.Changed:
	}
	return Passes
}
