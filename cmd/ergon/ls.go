package main

import (
	"context"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
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

// ls prints a line for each run, the earliest first.
func (p *program) ls(_ context.Context, o LsOptions) error {
	entries, err := store.ListRuns(o.Results, p.note)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		p.err.Linef("ergon: no runs in %s", o.Results)
		return nil
	}
	c := newColumns(p.out, "ID", "START", "WALL", "OUTCOME", "PROJECT", "COMMAND")
	for _, e := range entries {
		run := e.Run
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
		c.row(run.ID, run.Start.Local().Format("2006-01-02 15:04:05"), wall, string(run.Outcome), run.Project, strings.Join(run.Command, " "))
	}
	return c.flush()
}
