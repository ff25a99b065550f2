package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
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
	// Runs name the runs, as history.Find takes them. Only the page shows several.
	Runs []string
	// Format is a name of report.All. All asks JSON and CSV for the tree and the processes too.
	Format string
	All    bool
	// Verbose asks the text for the whole summary and the settings of the machine.
	Verbose bool
	// Exports are files to write instead of stdout.
	Exports []export
	// Open writes the page into a new temporary file and opens it in a browser.
	Open bool
	// Given are factors that replace those of the run. Otherwise are used if the run has none.
	Given, Otherwise datamodel.Factors
}

// pageFormat is the name of the format that shows charts, and several runs.
const pageFormat = "html"

func (p *program) reportCommand() *subcommand {
	names := reportFormats()
	o := ReportOptions{Results: defaultResults, Format: names[0]}
	var of datamodel.Factors
	factors := factorTable(&of)
	return &subcommand{
		name: "report", takes: severalRuns, example: "ergon report last -f html --open", usage: "show a run again", arguments: "[RUN]...",
		description: runMeaning + " Without RUN it is last. -f html shows several runs over each other.",
		options: append(table{
			resultsOption(&o.Results), formatOption(&o.Format, names), allOption(&o.All), verboseOption(&o.Verbose),
			exportOption(&o.Exports, ofEither(), "write the report not to stdout but to", once),
			{name: "open", scope: once, usage: "open the page (-f html) in a browser", value: toggle{&o.Open}},
		}, factors...),
		run: func(ctx context.Context, words []string) error {
			o.Runs = words
			if len(words) > 1 && !o.showsSeveral() {
				return misused("report", "report: one run at a time, not %d: -f html shows several", len(words))
			}
			o.Given, o.Otherwise = splitFactors(factors, of)
			return p.report(ctx, o)
		},
	}
}

// showsSeveral reports whether all that is written are pages, which show several runs.
func (o ReportOptions) showsSeveral() bool {
	if len(o.Exports) > 0 {
		return onlyPages(o.Exports)
	}
	return o.Open || o.Format == pageFormat
}

// report prints runs that were kept.
func (p *program) report(ctx context.Context, o ReportOptions) error {
	if len(o.Runs) == 0 {
		o.Runs = []string{store.Last}
	}
	if len(o.Runs) == 1 {
		if done, err := p.reportBench(ctx, o); done || err != nil {
			return err
		}
	}
	var runs []report.Shown
	for _, name := range o.Runs {
		one, err := p.shown(o.Results, name, o.Open || o.Format == pageFormat || anyPage(o.Exports))
		if err != nil {
			return err
		}
		one.Run.Factors = o.Given.Over(one.Run.Factors).Over(o.Otherwise)
		runs = append(runs, one)
	}
	if len(o.Exports) > 0 {
		if err := p.exportReport(o, runs); err != nil || !o.Open {
			return err
		}
	}
	switch {
	case o.Open:
		return p.browse(ctx, runs[0].Run, func(w io.Writer) error { return report.WritePage(w, runs) })
	case o.Format == pageFormat:
		return report.WritePage(p.out, runs)
	}
	options := reportOptions(p.out.File())
	options.Results, options.Again, options.Processes, options.Setup = runs[0].Results, again(runs[0].Results, runs[0].Run), true, true
	options.All, options.Verbose = o.All, o.Verbose
	return format(o.Format).Write(p.out.Styled(), runs[0].Result, options)
}

// shown loads a run that was kept, with its courses if charts is true.
func (p *program) shown(results, name string, charts bool) (report.Shown, error) {
	dir, err := p.history(results).Find(name)
	if err != nil {
		return report.Shown{}, err
	}
	result, err := store.Load(dir)
	if err != nil {
		return report.Shown{}, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	if result.Run.Bench != nil {
		return report.Shown{}, fmt.Errorf("run %s: a bench has no page and no charts of its readings (`ergon report %s` shows it, and ergon compare compares several)",
			result.Run.ID, shortest(dir))
	}
	if result.Run.Outcome == datamodel.Unfinished {
		p.note(fmt.Errorf("run %s%s", result.Run.ID, wayOut(dir)))
	}
	if charts {
		if result.Charts, err = store.LoadCharts(dir); err != nil {
			return report.Shown{}, fmt.Errorf("run %s: %w", shortest(dir), err)
		}
	}
	return report.Shown{Result: result, Results: shortest(dir)}, nil
}

// browse writes a page about a run into a temporary file and opens it in a browser.
func (p *program) browse(ctx context.Context, of datamodel.Run, page func(io.Writer) error) (err error) {
	f, err := os.CreateTemp("", "ergon-"+report.ShortID(of)+"-*.html")
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = page(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("open %s: %w", f.Name(), errors.Join(err, os.Remove(f.Name())))
	}
	fmt.Fprintln(p.out, f.Name())
	for _, words := range browsers() {
		program, err := exec.LookPath(words[0])
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, program, append(words[1:], f.Name())...)
		cmd.Stdin, cmd.Stderr = os.Stdin, p.err.File()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("open %s: %s: %w", f.Name(), words[0], err)
		}
		return nil
	}
	return fmt.Errorf("open %s: no browser found (set BROWSER, or open the file yourself)", f.Name())
}

// browsers lists the commands that open a file in a browser, the best first.
func browsers() [][]string {
	var all [][]string
	if named := os.Getenv("BROWSER"); named != "" {
		all = append(all, strings.Fields(named))
	}
	return append(all, []string{"xdg-open"}, []string{"open"}, []string{"rundll32", "url.dll,FileProtocolHandler"})
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
		return fmt.Sprintf(": it has not ended, or its ergon was killed: then `ergon recover %s` recovers what it can", run.ID)
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
