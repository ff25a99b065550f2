package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/units"
)

// LsOptions are the options of `ergon ls`.
type LsOptions struct{ Results string }

func (p *program) lsCommand() *subcommand {
	o := LsOptions{Results: defaultResults}
	return &subcommand{
		name: "ls", example: "ergon ls -o /data/results", usage: "list the runs", options: table{resultsOption(&o.Results)},
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused("ls", "ls: takes no argument, not %q: -o DIR names another folder", words[0])
			}
			return p.ls(ctx, o)
		},
	}
}

// ls prints a line for each run, the earliest first. It counts the runs that other users do not share, instead of listing them.
func (p *program) ls(_ context.Context, o LsOptions) error {
	entries, err := p.history(o.Results).List()
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		p.err.Linef("ergon: no runs in %s", o.Results)
		return nil
	}
	c := newColumns(p.out, "ID", "START", "WALL", "OUTCOME", "PROJECT", "COMMAND")
	private := 0
	for _, e := range slices.Backward(entries) {
		run := e.Run
		if errors.Is(e.Err, fs.ErrPermission) {
			private++
			continue
		}
		if e.Err != nil {
			c.row(run.ID, "", "", "unreadable", run.Project, e.Err.Error())
			continue
		}
		wall := "-"
		if run.WallTime != nil {
			wall = units.Format(*run.WallTime, units.Second)
		} else if f := run.Summary[datamodel.WallTime]; f.Value != nil && f.Bound == datamodel.LowerBound {
			wall = "≥ " + units.Format(*f.Value, units.Second) // its end was not seen
		}
		c.row(run.ID, run.Start.Local().Format("2006-01-02 15:04:05"), wall, string(run.Outcome), run.Project, cmdline.Line(run.Command))
	}
	if err := c.flush(); err != nil {
		return err
	}
	if private > 0 {
		p.note(fmt.Errorf("%d more in %s may not be read by you (who measures with --share lets others read)", private, o.Results))
	}
	return nil
}
