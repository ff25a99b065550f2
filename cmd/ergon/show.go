package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/units"
)

// ShowOptions are the options of `ergon runs show`.
type ShowOptions struct {
	Results string
	// Run names the run, as history.Find takes it.
	Run  string
	JSON bool
}

func (p *program) showCommand() *subcommand {
	o := ShowOptions{Results: defaultResults}
	return &subcommand{
		name: "runs show", takes: aRun, arguments: "[RUN]", usage: "show what a run was: its command, place, commit, tags, and its summary",
		description: runMeaning + " Without RUN it is last. --json writes the object that ergon ls --json has.",
		example:     "ergon runs show last~2", options: table{resultsOption(&o.Results), jsonOption(&o.JSON)},
		run: func(ctx context.Context, words []string) (err error) {
			if o.Run, err = oneRun("runs show", words); err != nil {
				return err
			}
			return p.show(ctx, o)
		},
	}
}

// show prints what a run was, and its summary.
func (p *program) show(_ context.Context, o ShowOptions) error {
	h := p.history(o.Results)
	dir, err := h.Find(o.Run)
	if err != nil {
		return err
	}
	e := h.Read(dir)
	if e.Err != nil {
		return fmt.Errorf("run %s: %w%s", e.Run.ID, e.Err, wayOut(dir))
	}
	if o.JSON {
		return writeJSON(p.out, listedJSON(e))
	}
	run := e.Run
	size, files := history.Size(dir)
	for _, line := range [][2]string{
		{"run", run.ID},
		{"project", run.Project},
		{"tags", strings.Join(e.Tags, " ")},
		{"command", commandOf(run)},
		{"in", run.Folder},
		{"started", run.Start.Local().Format("2006-01-02 15:04:05 -0700")},
		{"outcome", outcomeText(e)},
		{"host", run.Host.Name},
		{"commit", commitText(e)},
		{"ergon", run.Version},
		{"kept in", fmt.Sprintf("%s (%s, %s)", shortest(dir), plural(files, "file"), units.Format(float64(size), units.Byte))},
	} {
		if line[1] != "" {
			fmt.Fprintf(p.out, "%-8s  %s\n", line[0], screen.Clean(line[1]))
		}
	}
	fmt.Fprintln(p.out)
	if b, _, ok, err := p.keptBench(o.Results, dir, false); ok {
		if err != nil {
			return err
		}
		options := reportOptions(p.out.File())
		options.Again = again(dir, b.Run)
		return b.Write(p.out.Styled(), "text", options)
	}
	result, err := store.Load(dir)
	if err != nil {
		return fmt.Errorf("run %s: %w%s", run.ID, err, wayOut(dir))
	}
	options := reportOptions(p.out.File())
	options.Again = again(dir, result.Run)
	return format(reportFormats()[0]).Write(p.out.Styled(), result, options)
}

// commandOf returns the command as one line. A bench has several: each as often as it was measured.
func commandOf(run datamodel.Run) string {
	if run.Bench != nil {
		return report.BenchLine(*run.Bench)
	}
	return cmdline.Line(run.Command)
}

func outcomeText(e history.Entry) string {
	text := string(e.Run.Outcome)
	if e.Run.Reason != "" {
		text += ": " + e.Run.Reason
	}
	return text
}

// commitText returns the commit, the branch, and whether files differed.
func commitText(e history.Entry) string {
	g := e.Run.Host.Git
	if g == nil {
		return ""
	}
	var about []string
	if g.Branch != "" {
		about = append(about, g.Branch)
	}
	if g.Dirty != nil && *g.Dirty {
		about = append(about, "with changes")
	}
	if len(about) == 0 || g.Commit == "" {
		return g.Commit
	}
	return g.Commit + " (" + strings.Join(about, ", ") + ")"
}

// folderOf returns the results folder that holds the folder of a run.
func folderOf(dir string) string { return store.ResultsOf(dir) }
