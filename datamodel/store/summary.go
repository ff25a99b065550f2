package store

import (
	"math"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

const summarySchema = "ergon.summary/2"

// summaryRow is a row of summary.parquet: a round of a run.
type summaryRow struct {
	round, exitCode, block                       int64
	host, command, outcome, signal, commit, name string
	conditions                                   string
	start                                        time.Time
	values                                       []float64 // of the metrics, in the order of the catalogue
}

// summaryFields lists the columns of summary.parquet. Each metric of the summary is a column.
func summaryFields() []field[summaryRow] {
	out := []field[summaryRow]{
		whole("round", func(r *summaryRow) *int64 { return &r.round }).required().says("", "round, from 0"),
		moment("start", func(r *summaryRow) *time.Time { return &r.start }).says(
			"unknown", "just before the command's execve"),
		word("command", func(r *summaryRow) *string { return &r.command }).says(
			"unknown", "command as one line, with secrets masked"),
		word("outcome", func(r *summaryRow) *string { return &r.outcome }).says(
			"", "how the round ended, as in the manifest"),
		whole("exit_code", func(r *summaryRow) *int64 { return &r.exitCode }).says(
			"a signal ended it, or it never started", "exit code of the command; in a bench 128 + the number of the signal that ended it"),
		word("signal", func(r *summaryRow) *string { return &r.signal }).says(
			"no signal ended it, or the round of a bench", "name of the signal that ended the command"),
		word("host", func(r *summaryRow) *string { return &r.host }).says("unknown", "host"),
		word("commit", func(r *summaryRow) *string { return &r.commit }).says(
			"no git repository", "commit of the working folder"),
		word("command_name", func(r *summaryRow) *string { return &r.name }).says(
			"no bench", "name of the command in the bench; with --batch, the figures are those of all executions of a round together"),
		whole("block", func(r *summaryRow) *int64 { return &r.block }).says(
			"no bench", "block of the bench, from 0; it has at most one round of each command, which are compared as pairs"),
		word("conditions", func(r *summaryRow) *string { return &r.conditions }).says(
			"nothing is known to have", "what spoilt the round, as words with spaces between: other_load throttling swapping steal stopped …"),
	}
	for i, d := range datamodel.Summary() {
		f := figure(d.Name, func(r *summaryRow) *float64 { return &r.values[i] }).in(d.Unit)
		out = append(out, f.says("missing; metrics.parquet has the reason", d.Doc))
	}
	return out
}

// SaveSummary adds the row of a run to the batch, as summary.parquet.
func (b *Files) SaveSummary(run datamodel.Run, summary []datamodel.Metric) error {
	row := summaryRow{
		exitCode: -1, block: -1, host: run.Host.Name, command: cmdline.Line(run.Command), outcome: string(run.Outcome),
		signal: run.Signal, start: run.Start, commit: commitOf(run), conditions: strings.Join(datamodel.ConditionsIn(run.Warnings), " "),
		values: newSummaryValues().of(summary),
	}
	if run.ExitCode != nil {
		row.exitCode = int64(*run.ExitCode)
	}
	return saveTable(b, SummaryFile, summarySchema, summaryFields(), []summaryRow{row})
}

// summaryValues takes the values of the summary's metrics from the lists of several rounds.
type summaryValues struct {
	metrics []datamodel.Definition
	at      []int // where each metric was in the last list
}

func newSummaryValues() *summaryValues {
	metrics := datamodel.Summary()
	return &summaryValues{metrics, make([]int, len(metrics))}
}

// of returns the values in the order of the catalogue; NaN is missing.
func (s *summaryValues) of(list []datamodel.Metric) []float64 {
	out := make([]float64, len(s.metrics))
	for i, d := range s.metrics {
		out[i] = math.NaN()
		if m := metricNamed(list, d.Name, &s.at[i]); m != nil {
			out[i] = datamodel.Finite(m.Value)
		}
	}
	return out
}

func commitOf(run datamodel.Run) string {
	if run.Host.Git == nil {
		return ""
	}
	return run.Host.Git.Commit
}
