package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
)

// RecoverOptions are the options of `ergon recover`.
type RecoverOptions struct {
	Results string
	// Run names the run; empty is every unfinished one.
	Run string
}

func (p *program) recoverCommand() *subcommand {
	o := RecoverOptions{Results: defaultResults}
	return &subcommand{
		name: "recover", usage: "finish a run whose ergon was killed", arguments: "[RUN]",
		description: "Without RUN, every unfinished run of the results folder is finished.",
		options:     table{resultsOption(&o.Results)},
		run: func(ctx context.Context, words []string) (err error) {
			if len(words) > 0 {
				if o.Run, err = oneRun("recover", words); err != nil {
					return err
				}
			}
			return p.recover(ctx, o)
		},
	}
}

// recover finishes one run, or all that are not finished.
func (p *program) recover(ctx context.Context, o RecoverOptions) error {
	if o.Run != "" {
		dir, err := store.Resolve(o.Results, o.Run, p.note)
		if err != nil {
			return err
		}
		return p.recoverOne(dir)
	}
	runner.Sweep()
	entries, err := store.ListRuns(o.Results, p.note)
	if err != nil {
		return err
	}
	found, failed := 0, 0
	for _, e := range entries {
		if e.Err == nil && e.Run.Outcome != datamodel.Unfinished {
			continue
		}
		if errors.Is(e.Err, fs.ErrPermission) { // somebody else's, in a shared folder
			p.note(fmt.Errorf("left out: %w", e.Err))
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		found++
		if err := p.recoverOne(e.Dir); err != nil {
			failed++
			p.complain(err)
		}
	}
	switch {
	case found == 0:
		p.err.Linef("ergon: no unfinished run in %s", o.Results)
	case failed > 0:
		return status(runner.ExitErgon)
	}
	return nil
}

func (p *program) recoverOne(dir string) error {
	result, err := runner.Recover(dir)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	p.err.Linef("ergon: recovered run %s: `ergon report %s` shows it", result.Run.ID, result.Run.ID)
	return nil
}
