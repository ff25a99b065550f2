package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// Finding is one verdict, ready to be shown by a CI system: of a budget, or of one metric in a comparison.
type Finding struct {
	// Subject is what was measured: a command, or the name of a benchmark.
	Subject string
	// Name says what was judged: the rule of a budget, or the name of a metric for people.
	Name string
	// State says whether the finding fails a build.
	State State
	// Word is the verdict: kept, broken, unknown, regressed, improved, unchanged or inconclusive.
	Word string
	// Text says in one line what the verdict stands on.
	Text string
	// Place is where the rule stands, in a settings file. The zero Place is the command line.
	Place datamodel.Place
	// Metric is the name in the catalogue. Measure is what was measured of it, such as max(memory).
	Metric, Measure string
	// Value is the measured value, NaN if there is none. Least and Most bound the values that keep the rule; NaN is no bound.
	// All are in Unit.
	Value, Least, Most float64
	Unit               units.Unit
}

// State says what a finding means for a build. The order is that of how bad it is.
type State uint8

// The states.
const (
	// Passes means that nothing is wrong.
	Passes State = iota
	// Undecided means that nobody knows. It fails a build only if the caller is strict.
	Undecided
	// Warns means that a rule is broken, but the user wants only to know it.
	Warns
	// Fails means that the build fails.
	Fails
)

// Findings are verdicts that belong together.
type Findings struct {
	// Title is one line that says what was judged, such as the command.
	Title string
	List  []Finding
	// Strict makes what is Undecided fail.
	Strict bool
}

// ChangeFindings returns the findings of a comparison: one for each metric of each side, except the first side, which is the base.
func ChangeFindings(sides []compare.Side) (list []Finding) {
	for _, s := range sides[min(1, len(sides)):] {
		for _, f := range s.Figures {
			if f.Change == nil {
				continue
			}
			one := Finding{
				Subject: s.Command.Name, Name: metricName(f.Metric), Metric: f.Metric.Name, Measure: f.Metric.Name, Word: string(f.Change.Verdict),
				Value: f.Median.Value, Least: math.NaN(), Most: math.NaN(), Unit: f.Metric.Unit, State: changeState(f.Change.Verdict),
			}
			if f.N == 0 || math.IsNaN(f.Change.Ratio.Value) {
				one.Text = cmp.Or(printable(f.Reason), "not measured on both sides")
			} else {
				one.Text = units.Format(f.Median.Value, f.Metric.Unit) + ", " + changeText(*f.Change)
			}
			list = append(list, one)
		}
	}
	return list
}

// state returns the state of a finding, with regard to Strict.
func (f Findings) state(of Finding) State {
	if of.State == Undecided && f.Strict {
		return Fails
	}
	return of.State
}

// Worst returns the worst state of all findings.
func (f Findings) Worst() State {
	worst := Passes
	for _, one := range f.List {
		worst = max(worst, f.state(one))
	}
	return worst
}

// Failing returns the findings that fail a build.
func (f Findings) Failing() (list []Finding) {
	for _, one := range f.List {
		if f.state(one) == Fails {
			list = append(list, one)
		}
	}
	return list
}

// worstFirst returns the findings with the worst first, else in their order.
func (f Findings) worstFirst() []Finding {
	return slices.SortedStableFunc(slices.Values(f.List), func(a, b Finding) int { return cmp.Compare(f.state(b), f.state(a)) })
}

// WriteMarkdown writes a table for a job's page or a comment on a pull request, the worst finding first. Without findings it
// writes nothing.
func (f Findings) WriteMarkdown(w io.Writer) error {
	if len(f.List) == 0 {
		return nil
	}
	var text strings.Builder
	if f.Title != "" {
		fmt.Fprintf(&text, "#### %s\n\n", markdown(printable(f.Title)))
	}
	text.WriteString("| | | verdict | |\n|:---|:---|:---|:---|\n")
	for _, one := range f.worstFirst() {
		sign := map[State]string{Passes: "✅", Undecided: "❔", Warns: "⚠️", Fails: "❌"}[f.state(one)]
		fmt.Fprintf(&text, "| %s | %s | %s %s | %s |\n", markdown(printable(one.Subject)), code(tableText(one.Name)), sign, one.Word, markdown(printable(one.Text)))
	}
	text.WriteByte('\n')
	_, err := io.WriteString(w, text.String())
	return err
}

// tableText returns printable text for the code of a cell: GitHub splits cells at a | even within code.
func tableText(s string) string { return strings.ReplaceAll(printable(s), "|", "¦") }

// WriteGitHub writes a workflow command of GitHub Actions for each finding that is not fine: ::error if it fails the build, else
// ::warning. The runner makes annotations of them, on the line of the settings file that has the rule. It reads them from
// stdout and stderr of a step. GitHub shows ten of each kind, so the worst come first.
func (f Findings) WriteGitHub(w io.Writer) error {
	var text strings.Builder
	for _, one := range f.worstFirst() {
		command := "::warning "
		switch f.state(one) {
		case Passes:
			continue
		case Fails:
			command = "::error "
		case Undecided, Warns:
		}
		text.WriteString(command)
		if p := one.Place; p.File != "" {
			fmt.Fprintf(&text, "file=%s,line=%d,col=%d,", property(p.File), p.Line, p.Column)
		}
		fmt.Fprintf(&text, "title=%s::%s\n", property(one.Word+": "+one.Name), data(one.Subject+": "+one.Text))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// data escapes the text of a workflow command.
func data(s string) string { return strings.ReplaceAll(printable(s), "%", "%25") }

// property escapes the value of a property of a workflow command.
func property(s string) string { return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s)) }

// The exit codes of a monitoring plugin.
const (
	nagiosOK = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

// Nagios returns the line and the exit code of a monitoring plugin: a state, the worst finding, and performance data.
func (f Findings) Nagios() (line string, exit int) {
	exit = map[State]int{Passes: nagiosOK, Undecided: nagiosUnknown, Warns: nagiosWarning, Fails: nagiosCritical}[f.Worst()]
	word := [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[exit]
	label := func(one Finding) string { return one.Measure }
	if slices.ContainsFunc(f.List, func(one Finding) bool { return one.Subject != f.List[0].Subject }) {
		label = func(one Finding) string { return one.Subject + " " + one.Measure }
	}
	worst := f.worstFirst()
	var said, measured, labels []string
	for _, one := range worst {
		if f.state(one) == f.Worst() {
			said = append(said, strings.TrimSuffix(label(one), one.Measure)+one.Name+": "+one.Text)
		}
	}
	for _, one := range f.List { // each label once, with the limit of the worst finding
		of := label(one)
		if math.IsNaN(one.Value) || slices.Contains(labels, of) {
			continue
		}
		one = worst[slices.IndexFunc(worst, func(other Finding) bool { return label(other) == of && !math.IsNaN(other.Value) })]
		labels, measured = append(labels, of), append(measured, performance(of, one))
	}
	if len(said) == 0 {
		said = []string{"there are no budgets"}
		word, exit = "UNKNOWN", nagiosUnknown
	}
	line = "ERGON " + word + " - " + strings.ReplaceAll(printable(strings.Join(said, "; ")), "|", "¦")
	if len(measured) > 0 {
		line += " | " + strings.Join(measured, " ")
	}
	return line, exit
}

// performance returns one item of a plugin's performance data: 'label'=value[unit];;critical.
func performance(label string, f Finding) string {
	unit, factor := "", 1.0
	switch f.Unit {
	case units.Second:
		unit = "s"
	case units.Byte:
		unit = "B"
	case units.Ratio:
		unit, factor = "%", 100
	default: // the guidelines know no others
	}
	label = strings.NewReplacer("'", "_", "=", "_", "|", "¦").Replace(printable(label))
	number := func(v float64) string { return strconv.FormatFloat(v*factor, 'f', -1, 64) }
	limit := ""
	switch {
	case !math.IsNaN(f.Least) && !math.IsNaN(f.Most):
		limit = number(f.Least) + ":" + number(f.Most)
	case !math.IsNaN(f.Most):
		limit = "~:" + number(f.Most)
	case !math.IsNaN(f.Least):
		limit = number(f.Least) + ":"
	}
	text := "'" + label + "'=" + number(f.Value) + unit
	if limit != "" {
		text += ";;" + limit
	}
	return text
}
