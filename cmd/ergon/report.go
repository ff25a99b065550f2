package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/report"
)

// ReportOptions are the options of `ergon report`.
type ReportOptions struct {
	Results string
	// Run names the run, as history.Find takes it.
	Run string
	// Format is a name of report.All. All asks JSON and CSV for the tree and the processes too.
	Format string
	All    bool
	// Verbose asks the text for the whole summary and the settings of the machine.
	Verbose bool
	// Given are factors that replace those of the run. Otherwise are used if the run has none.
	Given, Otherwise datamodel.Factors
}

func (p *program) reportCommand() *subcommand {
	names := reportFormats()
	o := ReportOptions{Results: defaultResults, Format: names[0]}
	var of datamodel.Factors
	factors := factorTable(&of)
	return &subcommand{
		name: "report", takes: aRun, example: "ergon report last -f markdown", usage: "show a run again", arguments: "[RUN]",
		description: "RUN is a folder, a run id, its beginning or its end, or last (the default).",
		options:     append(table{resultsOption(&o.Results), formatOption(&o.Format, names), allOption(&o.All), verboseOption(&o.Verbose)}, factors...),
		run: func(ctx context.Context, words []string) (err error) {
			if o.Run, err = oneRun("report", words); err != nil {
				return err
			}
			o.Given, o.Otherwise = splitFactors(factors, of)
			return p.report(ctx, o)
		},
	}
}

// report prints a run that was kept.
func (p *program) report(_ context.Context, o ReportOptions) error {
	as := format(o.Format)
	dir, err := p.history(o.Results).Find(o.Run)
	if err != nil {
		return err
	}
	result, err := store.Load(dir)
	if err != nil {
		return fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	result.Run.Factors = o.Given.Over(result.Run.Factors).Over(o.Otherwise)
	options := reportOptions(p.out.File())
	options.Results, options.Again, options.Processes, options.Setup = shortest(dir), again(dir, result.Run), true, true
	options.All, options.Verbose = o.All, o.Verbose
	return as.Write(p.out.Styled(), result, options)
}

func reportFormats() []string {
	var names []string
	for _, f := range report.All() {
		names = append(names, f.Name)
	}
	return names
}

// formatOption chooses one of the formats.
func formatOption(to *string, names []string) *option {
	return &option{name: "format", short: "f", usage: "the `FORMAT`: " + strings.Join(names, ", "), value: choice{to, names}}
}

// allOption asks JSON and CSV for more than the summary.
func allOption(to *bool) *option {
	return &option{name: "all", usage: "in json and csv: also every sensor, as a tree; in csv: also the processes", value: toggle{to}}
}

// verboseOption asks the summary for everything.
func verboseOption(to *bool) *option {
	return &option{name: "verbose", short: "v", group: forSummary, usage: "show the whole summary: all rows, the machine too, what each mark means", value: toggle{to}}
}

// again returns what `ergon report` takes to show the run in this folder again, as a shell would take it. The results folder is
// named only if it is not the one that is searched without an option.
func again(dir string, run datamodel.Run) string {
	id := report.ShortID(run)
	results := filepath.Dir(filepath.Dir(filepath.Dir(dir)))
	searched, err := filepath.Abs(cmp.Or(os.Getenv("ERGON_RESULTS"), defaultResults))
	if at, err2 := filepath.Abs(results); err == nil && err2 == nil && at == searched {
		return id
	}
	return cmdline.Line([]string{"-o", shortest(results), id})
}

// oneRun returns the name of the run among the words; the last run if there is none.
func oneRun(subcommand string, words []string) (string, error) {
	switch len(words) {
	case 0:
		return history.Last, nil
	case 1:
		return words[0], nil
	}
	return "", misused(subcommand, "%s: one run at a time, not %d", subcommand, len(words))
}

// history returns the runs of a results folder. What cannot be read besides them is noted on stderr.
func (p *program) history(results string) history.History {
	return history.History{Results: results, Note: p.note}
}

// wayOut says what to do about a run that cannot be loaded; empty if there is nothing to do.
func wayOut(dir string) string {
	switch run, err := store.LoadManifest(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return ": its ergon was killed early, or files were removed (`ergon recover` clears what is left)"
	case err == nil && run.Outcome == datamodel.Unfinished:
		return fmt.Sprintf(": the run was not finished; `ergon recover %s` recovers what it can", run.ID)
	}
	return ""
}

// shortest returns the path relative to the working folder if it is below that folder, else the path itself.
func shortest(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}
