package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
)

// PlotOptions are the options of `ergon plot`.
type PlotOptions struct {
	Results string
	// Run names the run, as history.Find takes it.
	Run string
	// Metrics are names of report.Plots; none means all.
	Metrics []string
	// Export is the SVG to write; empty is stdout.
	Export string
}

func (p *program) plotCommand() *subcommand {
	o := PlotOptions{Results: defaultResults}
	known := strings.Join(report.Plots(), ", ")
	return &subcommand{
		name: "plot", takes: aRun, example: "ergon plot last --metrics power,cpu --export run.svg", usage: "draw charts of a run as SVG", arguments: "[RUN]",
		description: runMeaning + " Without RUN it is last.",
		options: table{
			resultsOption(&o.Results),
			{name: "metrics", scope: once, usage: "which `CHARTS`: " + known, value: choices{&o.Metrics, report.Plots()}},
			{name: "export", scope: once, usage: "write to `FILE`.svg, not to stdout", value: drawing{&o.Export}},
		},
		run: func(ctx context.Context, words []string) (err error) {
			if o.Run, err = oneRun("plot", words); err != nil {
				return err
			}
			return p.plot(ctx, o)
		},
	}
}

// drawing is the name of an SVG.
type drawing struct{ to *string }

func (v drawing) Set(given string) error {
	if given == "" {
		return errors.New("no file given")
	}
	if ext := filepath.Ext(given); ext != ".svg" {
		return fmt.Errorf("cannot draw %q (only .svg)", given)
	}
	*v.to = given
	return nil
}

func (v drawing) String() string { return *v.to }

func (v drawing) Current() string { return *v.to }

// plot draws charts of a run that was kept.
func (p *program) plot(_ context.Context, o PlotOptions) error {
	shown, err := p.shown(o.Results, o.Run, true)
	if err != nil {
		return err
	}
	draw := func(w io.Writer) error { return report.WritePlot(w, shown.Result, o.Metrics) }
	if o.Export != "" {
		err = store.WriteFile(o.Export, here().owner(o.Export).account(), draw)
	} else {
		err = draw(p.out)
	}
	if err != nil {
		return fmt.Errorf("plot run %s: %w", shown.Results, err)
	}
	return nil
}
