package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

// CompareOptions are the options of `ergon compare`.
type CompareOptions struct {
	Results string
	// Sides name the base and what is compared with it.
	Sides []string
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
}

func defaultJudgeOptions() JudgeOptions {
	return JudgeOptions{Threshold: defaultThreshold, Format: report.CompareFormats()[0]}
}

// table lists the options, bound to o.
func (o *JudgeOptions) table() table {
	return table{
		{name: "metric", usage: "compare these metrics: `NAMES`", value: list{&o.Metrics, summaryMetric}},
		thresholdOption(o),
		{name: "strict", usage: "fail also if the rounds do not decide (122), or if there is no base (122)", value: toggle{&o.Strict}},
		formatOption(&o.Format, report.CompareFormats()),
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
	return compare.Rule{Confidence: stats.Confidence, Threshold: o.Threshold, Thresholds: o.Thresholds}
}

func (p *program) compareCommand() *subcommand {
	o := CompareOptions{Results: defaultResults, JudgeOptions: defaultJudgeOptions()}
	return &subcommand{
		name: "compare", takes: severalRuns, arguments: "BASE NEW...", usage: "compare runs, and tell whether something got worse",
		example:     "ergon compare last~1 last --metric energy --threshold 5%",
		description: runMeaning,
		options:     append(table{resultsOption(&o.Results)}, o.table()...),
		run: func(ctx context.Context, words []string) error {
			if len(words) < 2 {
				return misused("compare", "compare: needs a base and what to compare with it, such as `ergon compare last~1 last`")
			}
			o.Sides = words
			return p.compare(ctx, o)
		},
	}
}

// compare compares runs that were kept.
func (p *program) compare(_ context.Context, o CompareOptions) error {
	var sets []compare.Set
	for _, name := range o.Sides {
		s, err := p.side(o.Results, name)
		if err != nil {
			return err
		}
		sets = append(sets, s)
	}
	return p.judge(o.JudgeOptions, o.request(sets[0], sets[1:]...))
}

// side loads the runs that a name stands for.
func (p *program) side(results, name string) (compare.Set, error) {
	s := compare.Set{Name: name}
	dir, err := p.history(results).Find(name)
	if err != nil {
		return s, err
	}
	run, err := store.LoadManifest(dir)
	if err != nil {
		return s, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	bench, err := store.LoadBench(dir)
	if err != nil {
		return s, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	s.Add(run, bench)
	return s, nil
}

// judge compares sides, prints the result to stdout, and returns the exit code of the verdict. All comparisons end here,
// however their sides were measured.
func (p *program) judge(o JudgeOptions, q compare.Request) error {
	result := report.Comparison{Result: o.rule().Compare(q), Rule: o.rule(), Version: version()}
	if !result.Comparable() {
		return &usage{errors.New("compare: the sides have no command in common")}
	}
	if err := result.Write(p.out.Styled(), o.Format, reportOptions(p.out.File())); err != nil {
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
