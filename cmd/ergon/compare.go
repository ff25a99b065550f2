package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

// CompareOptions are the options of `ergon compare`.
type CompareOptions struct {
	// Sides name the base and what is compared with it.
	Sides []string
	// Now says what is measured now, if it says anything. Sides is then empty, or the command of Now.Base. It also has the
	// results folder.
	Now NowOptions
	JudgeOptions
}

// JudgeOptions say how sides are compared, however they were measured, and how the result is shown.
type JudgeOptions struct {
	Metrics []string
	// Threshold is the smallest change that matters, as a part of the base. Thresholds has it for single metrics, by name.
	Threshold  float64
	Thresholds map[string]float64
	// Strict makes an inconclusive comparison and a missing base a failure.
	Strict bool
	Format string
	// Exports are files that the result is also written to.
	Exports []export
	// Confidence is that of the intervals.
	Confidence float64
	// given is true if the caller set the threshold.
	given bool
}

func defaultJudgeOptions() JudgeOptions {
	return JudgeOptions{Threshold: defaultThreshold, Confidence: stats.Confidence, Format: report.CompareFormats()[0]}
}

// table lists the options, bound to o.
func (o *JudgeOptions) table() table {
	return table{
		{name: "metric", usage: "compare these metrics: `NAMES`", value: list{&o.Metrics, summaryMetric}},
		thresholdOption(o),
		{name: "strict", usage: "fail also if the rounds do not decide (122), or if there is no base (122)", value: toggle{&o.Strict}},
		formatOption(&o.Format, report.CompareFormats()),
		exportOption(&o.Exports, ofCompare(), "also write the result to", once),
	}
}

func thresholdOption(o *JudgeOptions) *option {
	return &option{
		name: "threshold", value: thresholds{o},
		usage: "the smallest change that matters: `PART`, such as 3%; energy=5%,3% has another one for energy",
	}
}

// request returns what to compare.
func (o JudgeOptions) request(base compare.Set, fresh ...compare.Set) compare.Request {
	q := compare.Request{Base: base, New: fresh, Metrics: o.Metrics, Asked: len(o.Metrics) > 0}
	if !q.Asked {
		q.Metrics = compare.DefaultMetrics()
	}
	return q
}

func (o JudgeOptions) rule() compare.Rule {
	return compare.Rule{Confidence: o.Confidence, Threshold: o.Threshold, Thresholds: o.Thresholds}
}

func (p *program) compareCommand() *subcommand {
	o := CompareOptions{Now: defaultNowOptions(), JudgeOptions: defaultJudgeOptions()}
	return &subcommand{
		name: "compare", commandAfter: "base", takes: severalRuns, arguments: "BASE [NEW...]", usage: "compare runs, and tell whether something got worse, and why",
		example: "ergon compare last~1 last --metric energy --threshold 5%",
		description: "BASE and NEW are each a RUN, several of them between commas, a glob for tags and ids, or what git calls a commit: main, HEAD~1. " +
			"All runs of a side count together; a commit stands for its runs of the same command. BASE alone is a bench whose commands are compared with the first. " +
			runMeaning + " The exit code is 0, 121 if something regressed, and with --strict 122 if the rounds do not decide or there is no base.",
		options: slices.Concat(o.table(), o.Now.table(p)),
		run: func(ctx context.Context, words []string) error {
			if err := o.Now.check(words); err != nil {
				return err
			}
			for _, e := range o.Exports {
				if err := writable(e.path); err != nil {
					return &usage{fmt.Errorf("--export: %w", err)}
				}
			}
			if o.Sides = words; o.Now.now() {
				return p.compareNow(ctx, o)
			}
			return p.compare(ctx, o)
		},
	}
}

// compare compares runs that were kept.
func (p *program) compare(ctx context.Context, o CompareOptions) error {
	sets, err := p.sides(ctx, o.Now.Results, o.Sides, o.Format == pageFormat)
	if none, ok := errors.AsType[*noBaseError](err); ok {
		return p.withoutBase(o.JudgeOptions, none)
	}
	if err != nil {
		return err
	}
	if len(sets) > 1 {
		return p.judge(o.JudgeOptions, o.request(sets[0], sets[1:]...), storedRun{})
	}
	if len(sets[0].Commands) < 2 {
		return misused("compare", "compare: %s is the base, and nothing is given to compare with it", o.Sides[0])
	}
	sides := compare.ByCommand(sets[0])
	if len(sets[0].Runs) > 1 {
		return p.judge(o.JudgeOptions, o.request(sides[0], sides[1:]...), storedRun{})
	}
	again := o.as(*sets[0].Runs[0].Bench)
	q := again.request(sides[0], sides[1:]...)
	q.Paired = sets[0].Runs[0].Bench.Order != datamodel.Grouped
	return p.judge(again, q, storedRun{})
}

// as returns the options with what a kept bench was judged by, unless the caller asks for something else.
func (o JudgeOptions) as(b datamodel.Bench) JudgeOptions {
	if len(o.Metrics) == 0 {
		o.Metrics = b.Metrics
	}
	if !o.given && b.Threshold > 0 {
		o.Threshold, o.Thresholds = b.Threshold, b.Thresholds
	}
	if b.Confidence > 0 {
		o.Confidence = b.Confidence
	}
	return o
}

// withoutBase tells that there is no base. That fails only if the caller is strict.
func (p *program) withoutBase(o JudgeOptions, why *noBaseError) error {
	p.note(why)
	if err := report.WriteNoBase(p.out.Styled(), o.Format, why.Error(), version()); err != nil {
		return err
	}
	if o.Strict {
		return status(runner.ExitInconclusive)
	}
	return nil
}

// storedRun is a run and its folder. The folder is "" if nothing was kept.
type storedRun struct {
	run datamodel.Run
	dir string
}

// judge compares sides, prints the result to stdout, and returns the exit code of the verdict. All comparisons end here,
// however their sides were measured. kept is the run that the rounds were just kept as, if they were.
func (p *program) judge(o JudgeOptions, q compare.Request, kept storedRun) error {
	result := report.Comparison{Result: o.rule().Compare(q), Rule: o.rule(), Strict: o.Strict, Version: version(), Kept: kept.run}
	if !result.Comparable() {
		return &usage{errors.New("compare: the sides have no command in common")}
	}
	options := reportOptions(p.out.File())
	if kept.dir != "" {
		options.Again = again(kept.dir, kept.run)
	}
	if err := result.Write(p.out.Styled(), o.Format, options); err != nil {
		return err
	}
	if err := writeExports(o.Exports, func(w io.Writer, e export) error { return result.Write(w, e.format, report.Options{Unicode: true}) }); err != nil {
		return err
	}
	switch v := result.Verdict(); {
	case v == compare.Regressed:
		return status(runner.ExitRegressed)
	case v == compare.Inconclusive && o.Strict:
		return status(runner.ExitInconclusive)
	}
	return nil
}
