package main

import (
	"context"
	"errors"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/units"
)

// RmOptions are the options of `ergon runs rm`.
type RmOptions struct {
	Results string
	// Runs name the runs, as history.Find takes them.
	Runs []string
	// Yes removes them without a question.
	Yes bool
}

func (p *program) rmCommand() *subcommand {
	const name = "runs rm"
	o := RmOptions{Results: defaultResults}
	return &subcommand{
		name: name, takes: severalRuns, arguments: "RUN...", usage: "remove runs, with all files in their folders and with their tags",
		description: "It asks, or needs --yes where nobody can be asked. A run that goes on stays. " + runMeaning,
		example:     "ergon runs rm last --yes", options: table{resultsOption(&o.Results), yesOption(&o.Yes)},
		run: func(ctx context.Context, words []string) error {
			if len(words) == 0 {
				return misused(name, "%s: say which runs", name)
			}
			o.Runs = words
			return p.rm(ctx, o)
		},
	}
}

// rm removes runs. If one of them is not found, it removes none.
func (p *program) rm(_ context.Context, o RmOptions) error {
	dirs, err := p.find(o.Results, o.Runs)
	if err != nil {
		return err
	}
	h := p.history(o.Results)
	var entries []history.Entry
	var size int64
	for _, dir := range dirs {
		entries = append(entries, h.Read(dir))
		n, _ := history.Size(dir)
		size += n
	}
	if !o.Yes && isTerminal(p.in) {
		if err := p.table(entries); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if others := history.Strange(e.Dir); len(others) > 0 {
			p.note(errors.New("run " + e.Run.ID + " has files that are not ergon's, which are removed with it: " + strings.Join(others, ", ")))
		}
	}
	if !o.Yes {
		if err := p.confirm("runs rm", "remove "+plural(len(dirs), "run")+" ("+units.Format(float64(size), units.Byte)+")"); err != nil {
			return err
		}
	}
	failed, joined := false, false
	for _, e := range entries {
		joined = joined || store.InArchive(e.Dir)
		h.Results = folderOf(e.Dir)
		if err := h.Remove(e.Dir); err != nil {
			p.complain(err)
			failed = true
			continue
		}
		p.err.Linef("ergon: removed run %s", store.IDOf(e.Dir))
	}
	p.joinedStay(joined)
	if failed {
		return status(runner.ExitErgon)
	}
	return nil
}
