// Package report writes a result as text for people, as JSON for scripts, and as CSV, Markdown and HTML. All formats come
// from the same result. The package computes only rates and sums of what it shows. It reads no files. Options tell it what
// the terminal can show.
//
// Commands, hosts and devices have names that somebody else chose. No control character of such a name reaches an output.
package report

import (
	"cmp"
	"io"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Format is one way to show a result.
type Format struct {
	// Name is what -f takes.
	Name string
	// Extension is the end of a file's name that stands for the format, with the dot.
	Extension string
	// Doc is one line for people.
	Doc string
	// Write writes the result. It returns the first error of the writer.
	Write func(io.Writer, datamodel.Result, Options) error
}

// Options says what the reader of a report can see. The zero value is for a file: no color, any width, ASCII only. JSON and
// CSV look at All only.
type Options struct {
	// Color allows ANSI colors.
	Color bool
	// Width is the width of the terminal in columns. 0 means unlimited.
	Width int
	// Unicode allows characters beyond ASCII.
	Unicode bool
	// Verbose asks the text for everything, the machine's figures too. Otherwise it has a few lines about the command, which are
	// at most 80 columns wide.
	Verbose bool
	// Results is the folder of the run, for the last line of the whole text. It is empty if the run is not kept.
	Results string
	// Again is what `ergon report` takes to show the run again, for the last line of the short text. It is empty if the run is
	// not kept.
	Again string
	// Processes asks the text for the table of the most expensive processes. Otherwise the text has one line about them.
	Processes bool
	// All asks JSON and CSV for the whole tree, and CSV for the processes. Otherwise they have the summary, and JSON the processes
	// that cost most.
	All bool
	// Strict lets JUnit show an unknown budget as a failure.
	Strict bool
	// Setup asks the text for the settings of the machine. Markdown and HTML always have them.
	Setup bool
}

// All lists the formats, the default first.
func All() []Format {
	return []Format{
		{"text", ".txt", "the summary for people", writeText},
		{"json", ".json", "one object, schema ergon.report/2", writeJSON},
		{"csv", ".csv", "one row for each metric", writeCSV},
		{"markdown", ".md", "the summary for a pull request or a job's summary page", writeMarkdown},
		{"html", ".html", "a self-contained page with the whole tree", writeHTML},
	}
}

// notMeasured is the reason shown for a missing value that has none.
const notMeasured = "not measured"

// reasonOf returns why a metric is missing, for people. It returns "" if the metric has a value.
func reasonOf(m datamodel.Metric) string {
	if m.Provenance != sensors.Missing {
		return m.Reason
	}
	return cmp.Or(m.Reason, notMeasured)
}

// valueOf formats a value for people. If only an upper bound is known, it formats the bound.
func valueOf(m datamodel.Metric) string {
	if c, ok := bound(m); ok {
		return c.value.String()
	}
	return textOf(m).String()
}

// settled returns a metric as it may be shown. A value that is not finite, or whose provenance is unknown, becomes missing.
func settled(m datamodel.Metric) datamodel.Metric {
	reason := ""
	switch m.Provenance {
	case sensors.FromCounter, sensors.Sampled, sensors.Integrated, sensors.Attributed, sensors.Estimated:
		switch {
		case math.IsInf(m.Value, 0):
			reason = "the value is not finite"
		case !math.IsNaN(m.Value):
			return m
		}
	case sensors.Missing:
	default:
		reason = "the value has no known provenance"
	}
	if m.Reason == "" {
		m.Reason = reason
	}
	m.Value, m.Uncertainty, m.Bound, m.Provenance = math.NaN(), math.NaN(), "", sensors.Missing
	return m
}

// summary returns the metrics of the result's summary by name, settled, and what follows from the run's factors. If nothing
// could be processed, the wall time is still known from the run.
func summary(r datamodel.Result) map[string]datamodel.Metric {
	all := make(map[string]datamodel.Metric)
	for _, d := range datamodel.Summary() {
		all[d.Name] = datamodel.Missing(d.Name, d.Unit, "")
	}
	for _, m := range r.Summary {
		all[m.Name] = settled(m)
	}
	if w := r.Run.WallTime; w != nil && math.IsNaN(all[datamodel.WallTime].Value) {
		all[datamodel.WallTime] = settled(datamodel.Value(datamodel.WallTime, *w, units.Second, "delta", sensors.FromCounter, "runner"))
	}
	for _, m := range r.Run.Factors.Derive(all) {
		all[m.Name] = settled(m)
	}
	return all
}
