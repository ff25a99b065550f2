// Package report shows a result: as the summary a user reads after the command has ended, as the JSON object scripts
// hold on to, and as CSV, Markdown and HTML. All formats are made from the same tree. The package computes nothing but
// rates and sums of what it shows, reads no files and knows no terminal: what it may use of one it is told.
//
// The names of commands, hosts and devices were chosen by others. No control character of theirs reaches an output.
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
	// Doc is one line for people.
	Doc string
	// Write shows the result. Its errors are those of the writer.
	Write func(io.Writer, datamodel.Result, Options) error
}

// Options says what the reader of a report can see. The zero value is a file: no color, any width, ASCII only. JSON and
// CSV need none of it.
type Options struct {
	// Color allows ANSI colors.
	Color bool
	// Width is that of the terminal in columns; 0 is unlimited.
	Width int
	// Unicode allows characters beyond ASCII.
	Unicode bool
	// Results is the folder the run is kept in, for the last line of the text; empty where it is not kept.
	Results string
	// Processes asks for the table of the processes that cost most, where the text has one line of them otherwise.
	Processes bool
	// Setup asks the text for how the machine was set up. Markdown and HTML always tell.
	Setup bool
}

// All lists the formats, the default first.
func All() []Format {
	return []Format{
		{"text", "the summary for people", writeText},
		{"json", "one object, schema ergon.report/2", writeJSON},
		{"csv", "one row for each metric of each node", writeCSV},
		{"markdown", "the summary for a pull request or a job's summary page", writeMarkdown},
		{"html", "a page by itself, with the whole tree", writeHTML},
	}
}

// notMeasured is shown as the reason of a value that is missing without one.
const notMeasured = "not measured"

// reasonOf is the reason of a missing metric for people, "" for one with a value.
func reasonOf(m datamodel.Metric) string {
	if m.Provenance != sensors.Missing {
		return m.Reason
	}
	return cmp.Or(m.Reason, notMeasured)
}

// valueOf is a value for people, with what it is known to be below if no more is known.
func valueOf(m datamodel.Metric) string {
	if c, ok := bound(m); ok {
		return c.value.String()
	}
	return units.FormatUncertain(m.Value, m.Uncertainty, m.Unit)
}

// settled is a metric as it may be shown: a value that is not finite, or whose provenance is not known, is none.
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
		reason = "the value does not say where it comes from"
	}
	if m.Reason == "" {
		m.Reason = reason
	}
	m.Value, m.Uncertainty, m.Provenance = math.NaN(), math.NaN(), sensors.Missing
	return m
}

// summary is the result's summary, settled. Where nothing could be processed the wall time is still known.
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
	return all
}
