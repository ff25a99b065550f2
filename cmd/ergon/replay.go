package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
)

// ReplayOptions are the options of `ergon --replay FILE`.
type ReplayOptions struct {
	// File is the tape.
	File string
	// Results is the absolute folder that the run is kept below; empty keeps nothing.
	Results string
	Access  store.Access
	// Factors replace those of the tape.
	Factors datamodel.Factors
	SummaryOptions
}

// replayInstead replays the tape in o. A command, or an option of a measurement, is an error: it would have no effect.
func (p *program) replayInstead(ctx context.Context, o RunOptions, options table) error {
	if len(o.Command) > 0 {
		return &usage{fmt.Errorf("--replay: takes no command, not %q: the tape has one", o.Command[0])}
	}
	for _, option := range options {
		takes := slices.Contains([]string{"replay", "results", "share", "no-save", "quiet", "verbose", "format", "posix", "summary-to", "append", "export", "id-file", "no-ci", "progress"}, option.name) ||
			isFactor(option)
		if option.from.kind == commandLine && !takes {
			return &usage{fmt.Errorf("--replay: takes no %s: the tape has what was measured, and it does not change", option.from.place)}
		}
	}
	results, err := o.folder()
	if err != nil {
		return err
	}
	if err := o.open(); err != nil {
		return err
	}
	return p.replay(ctx, ReplayOptions{File: o.Replay, Results: results, Access: o.access(here().owner(results)), Factors: o.Factors, SummaryOptions: o.SummaryOptions})
}

// replay makes the result of a tape, keeps it and prints its summary.
func (p *program) replay(_ context.Context, o ReplayOptions) error {
	result, dir, err := runner.Replay(o.File, o.Results, version(), o.Factors, o.Access)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	p.summarize(o.SummaryOptions, result, dir)
	return nil
}
