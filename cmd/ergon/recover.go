package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
)

// RecoverOptions are the options of `ergon recover`.
type RecoverOptions struct {
	Results string
	// Run names the run; empty is every unfinished one.
	Run string
	// Others also finishes runs in folders of other users.
	Others bool
}

func (p *program) recoverCommand() *subcommand {
	o := RecoverOptions{Results: defaultResults}
	return &subcommand{
		name: "recover", takes: aRun, example: "ergon recover", usage: "finish a run whose ergon was killed", arguments: "[RUN]",
		description: runMeaning + " Without RUN, every unfinished run of the results folder is finished. A run that goes on, or that you may not read, is left out with a note; that is no failure. A run that is damaged is one: exit code 125.",
		options: table{
			resultsOption(&o.Results),
			{name: "others", scope: inTrusted, usage: "also finish runs in folders that belong to other users, who choose what is in them", value: toggle{&o.Others}},
		},
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
		dir, err := p.history(o.Results).Find(o.Run)
		if err != nil {
			return err
		}
		return foreign(p.recoverOne(dir, o.Others))
	}
	runner.Sweep()
	runner.SweepTemp()
	entries, err := p.history(o.Results).List()
	if err != nil {
		return err
	}
	found, failed, others := 0, 0, 0
	for _, e := range slices.Backward(entries) { // the earliest first
		if e.Err == nil && e.Run.Outcome != datamodel.Unfinished && !runner.Leftovers(e.Dir) {
			continue
		}
		if errors.Is(e.Err, fs.ErrNotExist) && runner.Unused(e.Dir, o.Others) {
			p.err.Linef("ergon: removed %s: its ergon was killed before the command was started", e.Dir)
			found++
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
		err := p.recoverOne(e.Dir, o.Others)
		if _, ok := errors.AsType[*runner.ForeignError](err); ok {
			others++
		} else if errors.Is(err, store.ErrLocked) {
			p.note(fmt.Errorf("left out: %w", err))
		} else if err != nil {
			failed++
			p.complain(err)
		}
	}
	if others > 0 {
		p.err.Linef("ergon: recover: %d left out, in folders of other users (--others finishes them too)", others)
	}
	switch {
	case found == 0:
		p.err.Linef("ergon: no unfinished run in %s", o.Results)
	case failed > 0:
		return status(runner.ExitErgon)
	}
	return nil
}

// foreign says how to recover a run in a folder of another user all the same.
func foreign(err error) error {
	if _, ok := errors.AsType[*runner.ForeignError](err); ok {
		return fmt.Errorf("%w: if you trust what is in it, add --others", err)
	}
	return err
}

func (p *program) recoverOne(dir string, others bool) error {
	result, err := runner.Recover(dir, others)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	p.err.Linef("ergon: recovered run %s: `ergon report %s` shows it", result.Run.ID, result.Run.ID)
	return nil
}
