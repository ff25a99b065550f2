package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/runner/rounds"
)

// This file keeps a bench as one run.

// KeepOptions say where a bench is kept, and what it is called.
type KeepOptions struct {
	// Results is the results folder. NoSave keeps nothing.
	Results string
	NoSave  bool
	// Project is the name that the bench is filed under. If it is empty, the name of the first command is used.
	Project string
	// RunID is the id of the run. If it is empty, the run gets a new one.
	RunID string
	// Tags are names that the run gets.
	Tags []string
	// Share says who besides the owner may read the run: nobody, group or all.
	Share string
	// NoArguments keeps only the first word of each command.
	NoArguments bool
}

// table lists the options, bound to o.
func (o *KeepOptions) table() table {
	return table{
		resultsOption(&o.Results),
		projectOption(&o.Project),
		runIDOption(&o.RunID),
		{name: "tag", group: forResults, scope: once, usage: "give the run these `NAMES`, as ergon runs tag does", value: list{&o.Tags, history.CheckTag}},
		noSaveOption(&o.NoSave),
		shareOption(&o.Share),
		noArgumentsOption(&o.NoArguments),
	}
}

// keepBench makes the folder of a bench before its first round, so that what cannot be kept costs no measurement. It is nil if
// nothing is kept.
func (p *program) keepBench(ctx context.Context, o BenchOptions, commands []benched, plan rounds.Plan) (*runner.KeptBench, error) {
	if o.NoSave {
		if len(o.Tags) > 0 || o.RunID != "" {
			return nil, &usage{errors.New("--no-save: a run that is not kept has no id and no tag")}
		}
		return nil, nil //nolint:nilnil // nothing is kept
	}
	results, err := filepath.Abs(o.Results)
	if err != nil {
		return nil, err
	}
	if err := p.freeTags(o); err != nil {
		return nil, err
	}
	owner := here().owner(results)
	setup := o.config().Setup
	host := backend.Describe(setup)
	complete(ctx, setup, append(os.Environ(), p.aside...), nil, gitMost, &host, owner)
	for i := range commands { // the files of the other sides are not ours
		if commands[i].side != "" && commands[i].git == nil {
			commands[i].git = host.Git
		}
	}
	b := datamodel.Bench{Order: plan.Order, Seed: plan.Seed, Warmup: plan.Warmup}
	o.describe(&b, commands)
	return runner.KeepBench(runner.Options{
		Project: cmp.Or(o.Project, projectOf(o, commands)), ID: o.RunID, Results: results, NoArguments: o.NoArguments, Version: version(),
		Access: store.Access{Share: shareOf(o.Share), Owner: owner.account(), Unnamed: o.Results == defaultResults},
	}, b, host)
}

// projectOf returns the name of the first command's program.
func projectOf(o BenchOptions, commands []benched) string {
	first := commands[0].argv[0]
	if words := strings.Fields(commands[0].argv[len(commands[0].argv)-1]); o.Shell != "" && len(words) > 0 {
		first = words[0]
	}
	return filepath.Base(cmdline.Text(first))
}

// freeTags returns an error if another run has one of the tags. The bench would end without them.
func (p *program) freeTags(o BenchOptions) error {
	if len(o.Tags) == 0 {
		return nil
	}
	tags, err := p.history(o.Results).Tags()
	if err != nil {
		return err
	}
	for _, name := range o.Tags {
		if i := slices.IndexFunc(tags, func(t history.Tag) bool { return t.Name == name }); i >= 0 {
			return &usage{fmt.Errorf("--tag %s: run %s has it (`ergon runs tag rm %s` takes it away)", name, tags[i].ID, name)}
		}
	}
	return nil
}

// tagBench gives the run of a bench its tags.
func (p *program) tagBench(o BenchOptions, id string) (err error) {
	h := p.history(o.Results)
	for _, name := range o.Tags {
		err = errors.Join(err, h.AddTag(name, id, false, here().owner(h.Results).account()))
	}
	return err
}

// benchFormats lists the formats that -f takes.
func benchFormats() (names []string) {
	for _, f := range report.BenchFormats() {
		if !f.Tool {
			names = append(names, f.Name)
		}
	}
	return names
}

// benchResult describes a bench. run is the run that it was kept as, if it was.
func benchResult(b datamodel.Bench, run datamodel.Run, detailed bool) report.Bench {
	metrics, asked := benchMetrics(b.Metrics)
	rule := compare.Rule{Confidence: cmp.Or(b.Confidence, stats.Confidence), Threshold: b.Threshold, Thresholds: b.Thresholds}
	return report.Bench{
		Bench: b, Run: run, Sides: rule.Sides(b, metrics, asked), Rule: rule, Version: cmp.Or(run.Version, version()), Asked: asked, Detailed: detailed,
	}
}

// benchMetrics returns the metrics that are shown of a bench, and whether the caller chose them.
func benchMetrics(chosen []string) (metrics []string, asked bool) {
	if len(chosen) > 0 {
		return chosen, true
	}
	return append(compare.DefaultMetrics(), datamodel.EDP), false
}

// exportBench writes a bench to files. shown is how it is shown on the terminal.
func (p *program) exportBench(list []export, b report.Bench, shown report.Options) error {
	options := report.Options{Unicode: true, Results: shown.Results, Again: shown.Again}
	return writeExports(list, func(w io.Writer, e export) error { return b.Write(w, e.format, options) })
}

// keptBench loads a bench that was kept. ok is false if the run is no bench.
func (p *program) keptBench(results, name string, detailed bool) (b report.Bench, dir string, ok bool, err error) {
	if dir, err = p.history(results).Find(name); err != nil {
		return b, "", false, err
	}
	run, err := store.LoadManifest(dir)
	if err != nil || run.Bench == nil {
		return b, dir, false, nil //nolint:nilerr // whoever loads the run says it
	}
	rounds, err := store.LoadBench(dir)
	if err != nil {
		return b, dir, true, fmt.Errorf("run %s: %w%s", run.ID, err, wayOut(dir))
	}
	if run.Outcome == datamodel.Unfinished {
		p.note(fmt.Errorf("run %s%s", run.ID, wayOut(dir)))
	}
	return benchResult(rounds, run, detailed), dir, true, nil
}

// reportBench prints a bench that was kept. done is false if the run is none.
func (p *program) reportBench(ctx context.Context, o ReportOptions) (done bool, err error) {
	b, dir, ok, err := p.keptBench(o.Results, o.Runs[0], o.Verbose)
	if !ok || err != nil {
		return ok, err
	}
	options := reportOptions(p.out.File())
	options.Results, options.Again, options.Verbose = shortest(dir), again(dir, b.Run), o.Verbose
	if len(o.Exports) > 0 {
		for _, e := range o.Exports {
			if !slices.ContainsFunc(ofBench(), func(f fileFormat) bool { return f.name == e.format }) {
				return true, &usage{fmt.Errorf("--export: a bench has no %s (its tables are in %s)", e.format, shortest(dir))}
			}
		}
		if err := p.exportBench(o.Exports, b, options); err != nil || !o.Open {
			return true, err
		}
	}
	if o.Open {
		return true, p.browse(ctx, b.Run, func(w io.Writer) error { return b.Write(w, pageFormat, options) })
	}
	return true, b.Write(p.out.Styled(), o.Format, options)
}
