package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/report"
)

// SummaryOptions say what is printed after a run, and where to.
type SummaryOptions struct {
	// Quiet prints nothing.
	Quiet bool
	// Line is a format of GNU time. If it is set, a line in that format is printed instead of the summary.
	Line string
	// To is a file that is written instead of stderr. Append adds to the file.
	To     string
	Append bool
	// file is To after open.
	file *os.File
}

// table lists the options, bound to o.
func (o *SummaryOptions) table() table {
	return table{
		{name: "quiet", group: forSummary, short: "q", usage: "print no summary", value: toggle{&o.Quiet}},
		{
			name: "format", short: "f", group: forSummary, value: lineFormat{&o.Line},
			usage: "print one line in a `FORMAT` of GNU time instead: %e %U %S %P %M …; also %J joules, %W watts, %G joules of GPUs",
		},
		{name: "posix", short: "p", group: forSummary, usage: "print the three lines of time -p instead", value: posix{&o.Line}},
		{name: "summary-to", group: forSummary, scope: inTrusted, usage: "write the summary to `FILE` instead of stderr", value: required{&o.To, "file"}},
		{name: "append", short: "a", group: forSummary, usage: "add to the file of --summary-to, do not replace it", value: toggle{&o.Append}},
	}
}

// open opens the file before the command starts, so that a file that cannot be written costs no measurement.
func (o *SummaryOptions) open() (err error) {
	switch {
	case o.To == "" && o.Append:
		return &usage{errors.New("--append: needs --summary-to FILE")}
	case o.To == "":
		return nil
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.Append {
		how = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	if o.file, err = os.OpenFile(o.To, how, 0o666); err != nil { // the umask decides
		return &usage{fmt.Errorf("--summary-to: %w", err)}
	}
	return nil
}

// summarize prints the summary of a run. dir is its folder; empty if the run was not kept. A file that cannot be written after the
// command has run is an error in a line: the command's verdict still counts.
func (p *program) summarize(o SummaryOptions, result datamodel.Result, dir string) {
	if o.file == nil {
		_ = write(p.err, o, result, dir) // if nobody listens, the target's verdict still counts
		return
	}
	to := screen.New(o.file)
	err := write(to, o, result, dir)
	to.Flush()
	if err := errors.Join(err, o.file.Close()); err != nil {
		p.complain(fmt.Errorf("--summary-to: %w", err))
	}
}

// write writes the summary, or the line that was asked for.
func write(to *screen.Screen, o SummaryOptions, result datamodel.Result, dir string) error {
	if o.Quiet || result.Tree == nil {
		return nil
	}
	if o.Line != "" {
		line, err := report.Line(result, o.Line)
		if err == nil {
			_, err = io.WriteString(to, line+"\n")
		}
		return err
	}
	options := reportOptions(to.File())
	if dir != "" {
		options.Results = shortest(dir)
	}
	return report.All()[0].Write(to.Styled(), result, options)
}
