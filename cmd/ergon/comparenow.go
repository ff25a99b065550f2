package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/runner/rounds"
)

// NowOptions are the options of a comparison whose rounds are measured now.
type NowOptions struct {
	// BenchOptions are those of `ergon bench` that a comparison shares with it. Prepare runs before each round.
	BenchOptions
	// Base is a commit whose files the command is measured with, too; "" if commands are compared.
	Base string
	// PrepareSide is a line for a shell. It runs once on each side of Base, before the first round.
	PrepareSide string
}

// defaultCompareTime bounds a comparison that nobody bounds. Metrics that vary much would take hours.
const defaultCompareTime = 5 * time.Minute

func defaultNowOptions() NowOptions {
	return NowOptions{BenchOptions: BenchOptions{
		KeepOptions: KeepOptions{Results: defaultResults, Share: shareNobody}, Order: string(datamodel.Shuffled), Output: null, Input: null, MaxTime: defaultCompareTime, SensorOptions: roundSensorOptions(),
	}}
}

// table lists the options, bound to o.
func (o *NowOptions) table(p *program) table {
	list := table{
		{name: "command", short: "c", values: 2, scope: once, usage: "measure this command, at least two of them, the base first: `NAME COMMAND`", value: commands{&o.Named}},
		{name: "base", scope: once, usage: "measure COMMAND here and in a checkout of this git `COMMIT`", value: required{&o.Base, "commit"}},
		{name: "prepare", scope: once, usage: "with --base: run this `SHELL-COMMAND` once on each side, such as make", value: text{&o.PrepareSide}},
		{name: "prepare-round", scope: once, usage: "run this `SHELL-COMMAND` before each round", value: text{&o.Prepare}},
		{name: "runs", usage: "exactly `N` rounds a side, instead of until it is decided", value: count{to: &o.Runs, least: 1}},
		{name: "max-runs", usage: "at most `N` rounds a side", value: count{to: &o.Most, least: 1}},
		{name: "max-time", usage: "measure no further rounds after this `TIME`; 5m unless given", value: limit{&o.MaxTime}},
		{name: "warmup", usage: "`N` rounds a side before that are not counted", value: count{to: &o.Warmup}},
		{name: "cooldown", usage: "wait before each round: `TIME`, or idle", value: &o.Cooldown},
		{name: "affinity", usage: "run the commands on these processors only: `CPUS`, such as 0,2-3", value: processors{&o.Affinity}},
		{name: "seed", scope: once, usage: "`N` that gives the same order again", value: count{to: &o.Seed}},
		{name: "ignore-failure", short: "i", usage: "go on after a round that fails", value: toggle{&o.IgnoreFailure}},
		{name: "shell", scope: once, usage: "run each command by this `SHELL`, such as sh", value: required{&o.Shell, "shell"}},
		{name: "input", scope: once, usage: "the command reads this `FILE`; null is empty", value: required{&o.Input, "file"}},
		{name: "output", scope: once, usage: "the command writes to this `FILE`; null is nowhere, inherit is here", value: required{&o.Output, "file"}},
		{name: "timeout", usage: "end a round after this `TIME`; it has failed then", value: limit{&o.Timeout}},
		{name: "quiet", short: "q", usage: "print no progress", value: toggle{&o.Quiet}},
	}
	for _, row := range list {
		row.group = forNow
	}
	return append(list, slices.Concat(o.KeepOptions.table(), o.SensorOptions.table(p.backends))...)
}

// now reports whether commands are to be measured now.
func (o NowOptions) now() bool { return o.Base != "" || len(o.Named) > 0 }

// check returns the error of options that contradict each other. words are what was typed besides options.
func (o NowOptions) check(words []string) error {
	switch {
	case o.Base != "" && len(o.Named) > 0:
		return misused("compare", "compare: --base and -c contradict each other")
	case o.Base != "" && len(words) == 0:
		return misused("compare", "compare: --base needs a command, such as `ergon compare --base main -- make test`")
	case o.Base == "" && o.PrepareSide != "":
		return misused("compare", "compare: --prepare is for --base (--prepare-round runs before each round)")
	case o.Base == "" && o.now() && len(words) > 0:
		return misused("compare", "compare: runs and -c contradict each other (%q)", words[0])
	case o.Base == "" && len(o.Named) == 1:
		return misused("compare", "compare: needs two commands: -c NAME COMMAND -c NAME COMMAND")
	case !o.now() && (len(o.Tags) > 0 || o.RunID != ""):
		return &usage{errors.New("compare: --tag and --run-id are for what is measured now (`ergon runs tag` gives a kept run a tag)")}
	case !o.now() && len(words) == 0:
		return misused("compare", "compare: needs a base and what to compare with it, such as `ergon compare last~1 last`")
	}
	return nil
}

// compareNow measures commands until their comparison is decided.
func (p *program) compareNow(ctx context.Context, o CompareOptions) error {
	if o.Now.Base != "" {
		return p.compareBase(ctx, o)
	}
	list, err := o.Now.commands()
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	return p.compareMeasured(ctx, o, list, nil)
}

// compareMeasured measures commands in turn, the base first, and judges them. names are those of the sides; nil takes those of
// the commands.
func (p *program) compareMeasured(ctx context.Context, o CompareOptions, list []benched, names []string) error {
	now := o.Now
	now.Metrics, now.Judge = o.Metrics, o.JudgeOptions
	if now.Seed == 0 {
		now.Seed = 1 + rand.IntN(math.MaxInt32) //nolint:gosec // an order, no secret
	}
	looks := compare.DefaultLooks(o.rule())
	switch {
	case now.Runs > 0:
		looks.Rounds = []int{now.Runs}
	case now.Most > 0:
		looks = looks.Upto(now.Most)
	}
	// A request has what was measured so far, and a rule says what all looks so far leave to this one.
	request := func(b datamodel.Bench) compare.Request {
		b.Commands = benchCommands(list)
		measured := compare.Paired(b, names)
		q := o.request(measured.Base, measured.New...)
		q.Paired = true
		return q
	}
	rule, decided := looks.Last(0), false
	plan := rounds.Plan{
		Commands: len(list), Warmup: now.Warmup, Least: looks.Most(), Most: looks.Most(), MaxTime: now.MaxTime,
		Order: datamodel.RoundOrder(now.Order), Seed: uint64(now.Seed), IgnoreFailure: now.IgnoreFailure, //nolint:gosec // not negative
		Decided: func(b datamodel.Bench, blocks int) bool {
			due := false
			if rule, due = looks.Due(blocks); due {
				decided = rule.Compare(request(b)).Decided()
			}
			return decided
		},
	}
	kept, err := p.keepBench(ctx, now.BenchOptions, list, plan)
	if err != nil {
		return err
	}
	plan.Kept = kept.Add
	measured, err := p.measureRounds(ctx, now.BenchOptions, list, plan, kept)
	if !decided {
		rule = looks.Last(len(measured.Of(len(list) - 1)))
	}
	o.Confidence = rule.Confidence
	bench := measured
	now.describe(&bench, list)
	bench.Confidence = rule.Confidence
	var stored storedRun
	var notKept error
	stored.run, stored.dir, notKept = kept.Finish(bench, err)
	if notKept == nil && stored.dir != "" {
		notKept = p.tagBench(now.BenchOptions, stored.run.ID)
	}
	var verdict error
	if len(measured.Rounds) > 0 {
		q := request(measured)
		if stored.dir != "" {
			sides := compare.ByCommand(compare.Set{Bench: bench, Runs: []datamodel.Run{stored.run}})
			q.Base.Runs = sides[0].Runs
			for i := range q.New {
				q.New[i].Runs = sides[i+1].Runs
			}
		}
		if verdict = p.judge(o.JudgeOptions, q, stored); measured.Ended == datamodel.BenchTimeout {
			p.note(fmt.Errorf("the time of %v was up after %d rounds (--max-time TIME)", now.MaxTime, len(measured.Rounds)))
		}
	}
	if notKept != nil {
		p.complain(notKept)
	}
	if err != nil {
		return p.endedEarly(ctx, err)
	}
	if notKept != nil && verdict == nil {
		return status(runner.ExitErgon)
	}
	return verdict
}

// benchCommands returns what is kept of commands.
func benchCommands(list []benched) (kept []datamodel.BenchCommand) {
	for _, c := range list {
		kept = append(kept, datamodel.BenchCommand{Name: c.name, Command: cmdline.Mask(c.argv), Parameters: c.parameters})
	}
	return kept
}

// endedEarly returns the exit code of a comparison that could not be measured to its end.
func (p *program) endedEarly(ctx context.Context, err error) error {
	if s, ok := errors.AsType[signaled](context.Cause(ctx)); ok {
		p.complain(errors.New("compare: interrupted"))
		return status(launch.State{Signal: int(s.Signal)}.Code())
	}
	if failed, ok := errors.AsType[*rounds.FailedError](err); ok { // ergon ends as the command did
		p.complain(fmt.Errorf("compare: %w", err))
		return failedStatus(failed.Round)
	}
	if refused, ok := errors.AsType[*launch.ExecError](err); ok {
		p.complain(fmt.Errorf("compare: %w", err))
		if refused.NotFound() {
			return status(runner.ExitNotFound)
		}
		return status(runner.ExitNotExecutable)
	}
	return err
}
