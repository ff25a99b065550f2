package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// exportFormat is one way to write the readings of a run.
type exportFormat struct {
	name   string
	binary bool
	write  func(w io.Writer, dir string) error
}

// jsonl is the name of the format with an object a line.
const jsonl = "jsonl"

// exportFormats lists the formats. All have the columns of samples.parquet.
func exportFormats() []exportFormat {
	return []exportFormat{
		{"csv", false, exportText(newCSVLines)},
		{"json", false, exportText(newJSONArray)},
		{jsonl, false, exportText(newJSONLines)},
		{"arrow", true, store.ExportArrow},
		{"parquet", true, exportParquet},
	}
}

func exportNames() []string {
	var names []string
	for _, f := range exportFormats() {
		names = append(names, f.name)
	}
	return names
}

// ExportOptions are the options of `ergon export`.
type ExportOptions struct {
	Results string
	// Run names the run, as history.Find takes it.
	Run string
	// Format is a name of exportFormats.
	Format string
	// To is the file to write; empty is stdout.
	To string
	// Follow writes the readings of a run while it goes on.
	Follow bool
}

func (p *program) exportCommand() *subcommand {
	o := ExportOptions{Results: defaultResults, Format: "csv"}
	return &subcommand{
		name: "export", takes: aRun, example: "ergon export last -f csv --to readings.csv", usage: "write all readings of a run to stdout or a file", arguments: "[RUN]",
		description: runMeaning + " Without RUN it is last.",
		options: table{
			resultsOption(&o.Results),
			formatOption(&o.Format, exportNames()),
			{name: "to", scope: inTrusted, usage: "write to `FILE`, not to stdout", value: required{&o.To, "file"}},
			{name: "follow", usage: "while the run goes on, write each reading as it arrives, in csv or jsonl; end with the run", value: toggle{&o.Follow}},
		},
		run: func(ctx context.Context, words []string) (err error) {
			if o.Run, err = oneRun("export", words); err != nil {
				return err
			}
			return p.export(ctx, o)
		},
	}
}

// export writes all readings of a run in one format.
func (p *program) export(ctx context.Context, o ExportOptions) error {
	f := exportFormats()[slices.Index(exportNames(), o.Format)]
	dir, err := p.history(o.Results).Find(o.Run)
	if err != nil {
		return err
	}
	switch {
	case o.Follow && o.Format != "csv" && o.Format != jsonl:
		return &usage{fmt.Errorf("export: --follow writes csv or jsonl, not %s", o.Format)}
	case o.Follow:
		return p.follow(ctx, o, dir)
	}
	if err := measured(dir); err != nil {
		return err
	}
	switch {
	case o.To != "":
		err = store.WriteFile(o.To, here().owner(o.To).account(), func(w io.Writer) error { return f.write(w, dir) })
	case f.binary && isTerminal(p.out.File()):
		return &usage{fmt.Errorf("export: %s is not for a terminal: name a file with --to FILE, or redirect stdout", f.name)}
	case f.binary:
		err = f.write(p.out.File(), dir)
	default:
		err = f.write(p.out, dir)
	}
	if err != nil {
		return fmt.Errorf("export run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	return nil
}

// measured returns an error if the run never had readings: its command was not started, or it is a bench.
func measured(dir string) error {
	run, err := store.LoadManifest(dir)
	if err == nil && run.Bench != nil {
		return fmt.Errorf("export run %s: a bench keeps no readings over time (`ergon report %s -f json` has its rounds)", run.ID, shortest(dir))
	}
	if err == nil && run.WallTime == nil && run.Outcome != datamodel.Unfinished {
		if _, err := os.Stat(filepath.Join(dir, store.SamplesFile)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("export run %s: nothing was measured: %s: %s", run.ID, run.Outcome, run.Reason)
		}
	}
	return nil // if something is wrong with the readings, reading them will tell
}

// exportText returns what writes the readings of a run as text.
func exportText(open func(w io.Writer) (lines, error)) func(w io.Writer, dir string) error {
	return func(w io.Writer, dir string) error {
		out, err := open(w)
		if err != nil {
			return err
		}
		return (&follower{lines: out}).rest(dir)
	}
}

// exportParquet copies the file, after a look whether it can be read.
func exportParquet(w io.Writer, dir string) error {
	for _, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
		break
	}
	f, err := os.Open(filepath.Join(dir, store.SamplesFile))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}
