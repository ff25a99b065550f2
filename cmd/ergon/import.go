package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/perun"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
)

// ImportOptions are the options of `ergon runs import`.
type ImportOptions struct {
	Results string
	// Project is the project of the runs; empty is the name of perun's application.
	Project string
	// Files are results of perun.
	Files []string
}

func (p *program) importCommand() *subcommand {
	const name = "runs import"
	o := ImportOptions{Results: defaultResults}
	return &subcommand{
		name: name, takes: aFile, arguments: "FILE...", usage: "keep results of perun, in JSON, as runs of ergon",
		description: "Each round of perun becomes a run. ergon makes its figures from perun's readings, so an energy is the last " +
			"reading of a counter minus the first, without perun's factors. What perun does not keep is missing, with the reason. " +
			"A run that was imported before stays as it is. `perun export FILE json` makes JSON of perun's other formats.",
		example: "ergon runs import perun_results/train.json",
		options: table{
			resultsOption(&o.Results),
			{name: "project", group: forResults, scope: once, usage: "`NAME` that the runs are filed under (default: that of perun's application)", value: text{&o.Project}},
		},
		run: func(ctx context.Context, words []string) error {
			if len(words) == 0 {
				return misused(name, "%s: say which files", name)
			}
			o.Files = words
			return p.importRuns(ctx, o)
		},
	}
}

// importRuns imports files one after the other. A file that cannot be read does not keep others from being imported.
func (p *program) importRuns(ctx context.Context, o ImportOptions) error {
	results, err := filepath.Abs(o.Results)
	if err != nil {
		return err
	}
	var made []history.Entry
	failed := false
	for _, file := range o.Files {
		dirs, err := p.importFile(ctx, o, results, file)
		if err != nil {
			p.complain(fmt.Errorf("import %s: %w", file, err))
			failed = true
		}
		for _, dir := range dirs {
			made = append(made, p.history(o.Results).Read(dir))
		}
	}
	if len(made) > 0 {
		err = p.table(made)
	}
	if err == nil && failed {
		return status(runner.ExitErgon)
	}
	return err
}

// importFile imports the runs of a file. It returns the folders of those that are new.
func (p *program) importFile(ctx context.Context, o ImportOptions, results, file string) (made []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, e.Err // the caller names the file
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	runs, err := perun.Read(f)
	if err != nil {
		return nil, err
	}
	access := store.Access{Owner: here().owner(results).account(), Unnamed: o.Results == defaultResults}
	for _, in := range runs {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		if o.Project != "" {
			in.Run.Project = o.Project
		}
		dir, err := runner.Import(results, in, access)
		switch {
		case errors.Is(err, fs.ErrExist):
			p.err.Linef("ergon: run %s is already imported: %s", in.Run.ID, shortest(dir))
		case err != nil:
			return made, fmt.Errorf("run %s: %w", in.Run.ID, err)
		default:
			made = append(made, dir)
		}
	}
	return made, nil
}
