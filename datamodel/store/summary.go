package store

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

const summarySchema = "ergon.summary/2"

// summaryRow is a row of summary.parquet: a round of a run.
type summaryRow struct {
	round, exitCode                        int64
	host, command, outcome, signal, commit string
	start                                  time.Time
	values                                 []float64 // of the metrics, in the order of the catalogue
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
			"", "how the run ended, as in the manifest"),
		whole("exit_code", func(r *summaryRow) *int64 { return &r.exitCode }).says(
			"a signal ended it, or it never started", "exit code of the command"),
		word("signal", func(r *summaryRow) *string { return &r.signal }).says(
			"no signal ended it", "name of the signal that ended the command"),
		word("host", func(r *summaryRow) *string { return &r.host }).says("unknown", "host"),
		word("commit", func(r *summaryRow) *string { return &r.commit }).says(
			"no git repository", "commit of the working folder"),
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
		exitCode: -1, host: run.Host.Name, command: cmdline.Line(run.Command), outcome: string(run.Outcome), signal: run.Signal,
		start: run.Start,
	}
	if run.ExitCode != nil {
		row.exitCode = int64(*run.ExitCode)
	}
	if run.Host.Git != nil {
		row.commit = run.Host.Git.Commit
	}
	for _, d := range datamodel.Summary() {
		v := datamodel.Pick(summary, d.Name).Value
		if math.IsInf(v, 0) {
			v = math.NaN()
		}
		row.values = append(row.values, v)
	}
	return saveTable(b, SummaryFile, summarySchema, summaryFields(), []summaryRow{row})
}
