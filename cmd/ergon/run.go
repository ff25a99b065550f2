package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// RunOptions are the options of `ergon run`, which is `ergon COMMAND`.
type RunOptions struct {
	// Command is the command to measure, with its arguments.
	Command []string
	// Results is the results folder. NoSave keeps nothing.
	Results string
	NoSave  bool
	// Project is the name that the run is filed under; if it is empty, the command's name is used.
	Project string
	// RunID is the run's id; if it is empty, the run gets a new one.
	RunID string
	// User is the name of the user who runs the command, or sudo for whoever called sudo. Empty is the user of ergon.
	User string
	// Share says who besides the owner may read the run: nobody, group or all.
	Share string
	SummaryOptions
	// Progress says when there is a status line: auto, off or plain.
	Progress string
	Baseline BaselineOptions
	// Arguments keeps the arguments of processes. NoArguments keeps only the first word of the command. Env names further variables of the environment to keep.
	Arguments   bool
	NoArguments bool
	Env         []string
	// Align begins and ends at an edge of the energy counters.
	Align bool
	// Estimate adds an estimate of the CPUs' energy.
	Estimate bool
	// Factors are for carbon and cost.
	Factors datamodel.Factors
	// Timeout ends the command; 0 does not.
	Timeout time.Duration
	// NoMarks gives the command no socket for marks.
	NoMarks bool
	// Exclusive is a name that only one ergon of this user may hold at a time; empty is none.
	Exclusive string
	// Off executes the command and does nothing else.
	Off bool
	// Replay is a tape. If it is set, the result is made from it and no command is measured.
	Replay string
	BudgetOptions
	WatchOptions
	InventoryOptions
	SensorOptions
}

// shareNobody is the word for store.Private.
const shareNobody = "nobody"

// access says who may read the run, and whom it belongs to: owner, or the user of this process if that is nil.
func (o RunOptions) access(owner *person) store.Access {
	return store.Access{Share: shareOf(o.Share), Owner: owner.account(), Unnamed: o.Results == defaultResults}
}

// shareOf converts the word of --share.
func shareOf(word string) store.Share {
	if word == shareNobody {
		return store.Private
	}
	return store.Share(word)
}

func defaultRunOptions() RunOptions {
	return RunOptions{Results: defaultResults, Progress: "auto", Share: shareNobody, WatchOptions: WatchOptions{OnBudget: budgetFail}, SensorOptions: defaultSensorOptions()}
}

// table lists the options, bound to o.
func (o *RunOptions) table(backends []sensors.Backend) table {
	return slices.Concat(table{
		resultsOption(&o.Results),
		projectOption(&o.Project),
		runIDOption(&o.RunID),
		{
			name: "user", group: forCommand, scope: once, value: required{&o.User, "user"},
			usage: "as root: read the counters as root and run the command as this user: `NAME`, or sudo for who called sudo",
		},
		shareOption(&o.Share),
		noSaveOption(&o.NoSave),
		{
			name: "progress", group: forSummary, value: choice{&o.Progress, []string{"auto", "off", "plain"}},
			usage: "a status line while the command runs, `HOW`: auto, off or plain",
		},
		{
			name: "baseline", group: forEnergy, value: baseline{&o.Baseline},
			usage: "measure the idle machine for `TIME` before the command; TIME,both also after it (1s to 10m)",
		},
		{
			name: "arguments", group: forPrivacy, value: toggle{&o.Arguments},
			usage: "keep the arguments of every process, not only its name; on a tape also those of the command. They may hold secrets",
		},
		noArgumentsOption(&o.NoArguments),
		{name: "env", group: forPrivacy, usage: "also store this variable of the environment: `NAME`", value: list{&o.Env, storable}},
		{
			name: "align", group: forEnergy, value: toggle{&o.Align},
			usage: "take the first and last reading of energy counters just when the counters move; for short commands",
		},
		{
			name: "estimate", group: forEnergy, variable: "ERGON_ESTIMATE", value: toggle{&o.Estimate},
			usage: "also estimate the CPUs' energy from their rated power and load; works without a sensor, but is far less sure",
		},
		{
			name: "no-marks", group: forCommand, variable: "ERGON_NO_MARKS", value: toggle{&o.NoMarks},
			usage: "give the command no ERGON_SOCKET, so that it cannot tell of regions and events",
		},
		{
			name: "exclusive", group: forCommand, scope: once, value: exclusive{&o.Exclusive},
			usage: "one at a time: exit with 125 if another ergon of yours on this machine holds this `NAME`; --off takes no name",
		},
		{
			name: "off", group: forCommand, scope: once, value: toggle{&o.Off},
			usage: "execute the command and measure nothing; ERGON=off does the same",
		},
		{name: "timeout", group: forCommand, usage: "end the command after this `TIME`, with exit code 124", value: limit{&o.Timeout}},
		{
			name: "replay", group: forSettings, scope: once, value: required{&o.Replay, "file"},
			usage: "make the result of a tape instead of measuring a command: `FILE` (see ergon record)",
		},
	}, o.BudgetOptions.table(), o.WatchOptions.table(), factorTable(&o.Factors), o.SummaryOptions.table(), o.InventoryOptions.table(), o.SensorOptions.table(backends))
}

func (p *program) runCommand() *subcommand {
	o := defaultRunOptions()
	c := &subcommand{
		name: "run", example: "ergon run -- make -j8", usage: "measure a command; the word run can be left out", arguments: "[--] COMMAND [ARG...]",
		options: o.table(p.backends), prefix: true,
	}
	c.run = func(ctx context.Context, words []string) error {
		o.Command = words
		switch {
		case o.off():
			return p.pass(o)
		case o.Replay == "":
			return p.run(ctx, o)
		}
		return p.replayInstead(ctx, o, c.options)
	}
	return c
}

// run measures the command and prints its summary to stderr.
func (p *program) run(ctx context.Context, o RunOptions) error {
	rep, err := p.measure(ctx, &o, runner.Tape{})
	return p.conclude(o, rep, err, nil)
}

// measure runs the command. A run without a command is an error of the call.
func (p *program) measure(ctx context.Context, o *RunOptions, tape runner.Tape) (runner.Report, error) {
	if len(o.Command) == 0 {
		return runner.Report{}, &usage{errNoCommand}
	}
	if o.Arguments && o.NoArguments {
		return runner.Report{}, &usage{errors.New("--arguments and --no-arguments contradict each other (--no-arguments=false)")}
	}
	as, err := here().chosen(o.User)
	if err != nil {
		return runner.Report{}, err
	}
	results, err := o.folder()
	if err != nil {
		return runner.Report{}, err
	}
	if err := o.contradicts(o.WatchOptions); err != nil {
		return runner.Report{}, err
	}
	if o.IDFile != "" && o.NoSave {
		return runner.Report{}, &usage{errors.New("--id-file: a run that is not kept has no id (leave out --no-save)")}
	}
	// Before anything is written: a second instance must not touch the files of the first.
	if err := p.takeExclusive(o.Exclusive); err != nil {
		return runner.Report{}, &usage{fmt.Errorf("--exclusive: %w", err)}
	}
	o.as = as
	if err := o.open(); err != nil {
		return runner.Report{}, err
	}
	o.Budgets = p.lookUp(o.Budgets, o.Results, judgedAs{command: cmdline.Line(cmdline.Mask(o.Command)), alone: true})
	owner := as
	if owner == nil {
		owner = here().owner(results, tape.File)
	}
	show := p.progress(o.Progress)
	r := p.runner(ctx, *o, results, tape, show, owner)
	if as != nil {
		r.User, r.Env = &as.User, as.environment()
	}
	_, direct := p.launcher.(launch.Direct)
	launch.Quiet(direct)
	rep, err := runner.Run(ctx, r, o.Command)
	show.erase()
	return rep, err
}

// folder returns the absolute folder that the run is kept below; empty if nothing is kept.
func (o RunOptions) folder() (string, error) {
	if o.NoSave {
		return "", nil
	}
	return filepath.Abs(o.Results)
}

// conclude prints what there is to say after a run, and returns how ergon itself ends. last prints what comes after the
// summary; it may be nil.
func (p *program) conclude(o RunOptions, rep runner.Report, err error, last func()) error {
	if _, ok := errors.AsType[*usage](err); ok {
		return err
	}
	if _, ok := errors.AsType[*runner.SetupError](err); ok {
		if p.leave(o, err) {
			return nil
		}
		return wrongSensors(err)
	}
	for _, e := range []error{rep.Refused, err, rep.NoTape} {
		if e != nil {
			p.complain(e)
		}
	}
	p.summarize(o.SummaryOptions, rep.Result, rep.Dir)
	if last != nil {
		last()
	}
	findings := report.BudgetFindings(rep.Run, o.Strict)
	p.tellFindings(o.SummaryOptions, findings)
	switch {
	case rep.Code != 0:
		return status(rep.Code)
	case rep.State.Signal != 0:
		return died(rep.State.Signal)
	case rep.State.ExitCode != 0:
		return status(rep.State.ExitCode)
	}
	return judged(findings)
}

// wrongSensors names the option if the sampler refused the configuration. All other options were checked before.
func wrongSensors(err error) error {
	if _, ok := errors.AsType[*sampler.ConfigError](err); ok {
		return &usage{fmt.Errorf("--sensors: %s", strings.ReplaceAll(err.Error(), "\n", "; "))}
	}
	return err
}
