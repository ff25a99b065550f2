package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/report"
)

// LsOptions are the options of `ergon ls`.
type LsOptions struct {
	Results string
	Filter  history.Filter
	// Outcomes are those that fit; none is all.
	Outcomes []string
	// Sort is a metric of the summary; start is the order of time.
	Sort string
	// Most bounds how many runs are listed. 0 is no bound. It is auto without -n.
	Most int
	// JSON writes an array of objects.
	JSON bool
}

const (
	// byStart is the order that ls has without --sort.
	byStart = "start"
	// auto is a number that was not given.
	auto = -1
	// onTerminal is how many runs a terminal gets without -n.
	onTerminal = 20
)

func (p *program) lsCommand(name string) *subcommand {
	o := LsOptions{Results: defaultResults, Sort: byStart, Most: auto}
	return &subcommand{
		name: name, usage: "list the runs, the newest first", example: "ergon " + name + " --project nightly --where 'energy > 1 kJ' --sort energy",
		description: "A run that cannot be read has its line too, and the exit code is 0 all the same. " +
			"With --json it is an array of objects; a missing value is null, times are UTC, units are base units.",
		options: append(table{resultsOption(&o.Results)}, append(filterOptions(&o.Filter, &o.Outcomes),
			&option{name: "sort", usage: "the largest `METRIC` first, one of the summary, or start", value: metricName{&o.Sort}},
			&option{name: "limit", short: "n", usage: "at most `N` runs; 0 is all (default: 20 on a terminal, otherwise all)", value: count{to: &o.Most}},
			jsonOption(&o.JSON))...),
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused(name, "%s: takes no argument, not %q: -o DIR names another folder", name, words[0])
			}
			return p.ls(ctx, o)
		},
	}
}

// filterOptions select runs. They are of one call, since a run has options of the same name.
func filterOptions(f *history.Filter, outcome *[]string) table {
	outcomes := []string{string(datamodel.Unfinished)}
	for _, o := range datamodel.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	return table{
		{name: "project", scope: once, usage: "only runs of these projects, as `GLOBS`: nightly,train-*", value: list{&f.Projects, history.CheckGlob}},
		{name: "tag", scope: once, usage: "only runs with a tag that fits one of these `GLOBS`", value: list{&f.Tags, history.CheckGlob}},
		{name: "outcome", scope: once, usage: "only runs that ended like one of these `WORDS`: done,target_failed", value: choices{outcome, outcomes}},
		{name: "since", scope: once, usage: "only runs that started since a `TIME`: 36h, 7d, 12w, 2026-11-28, 2026-11-28T12:00:00Z", value: since{&f.Since}},
		{name: "commit", scope: once, usage: "only runs of a git `COMMIT`, or of those that begin like that", value: commit{&f.Commit}},
		{name: "where", scope: once, usage: "only runs for which a `RULE` about the summary holds: 'energy > 1 kJ'; it may be given again", value: rules{&f.Where}},
	}
}

// ls prints the runs, the newest first unless they are sorted. It counts the runs that other users do not share, instead of
// listing them.
func (p *program) ls(_ context.Context, o LsOptions) error {
	all, err := p.history(o.Results).List()
	if err != nil {
		return err
	}
	for _, word := range o.Outcomes {
		o.Filter.Outcomes = append(o.Filter.Outcomes, datamodel.Outcome(word))
	}
	readable, private := shared(all)
	entries, unknown := o.Filter.Select(readable)
	if o.Sort != byStart && o.Sort != "" {
		if err := history.SortBy(entries, o.Sort); err != nil {
			return err
		}
	}
	most, left := o.Most, 0
	if most == auto && !o.JSON && isTerminal(p.out.File()) {
		most = onTerminal
	}
	if most > 0 && len(entries) > most {
		entries, left = entries[:most], len(entries)-most
	}
	switch {
	case o.JSON:
		err = p.listJSON(entries)
	case len(entries) > 0:
		err = p.table(entries)
	case len(all) > 0:
		p.err.Linef("ergon: none of the %d runs in %s fits", len(all), o.Results)
	default:
		p.err.Linef("ergon: no runs in %s", o.Results)
	}
	if err != nil {
		return err
	}
	if left > 0 && o.Most == auto {
		p.note(fmt.Errorf("%d more (-n 0 lists all)", left))
	}
	if unknown > 0 {
		p.note(fmt.Errorf("left out %s without a value that --where is about", plural(unknown, "run")))
	}
	if private > 0 {
		p.note(fmt.Errorf("%d more in %s may not be read by you (who measures with --share lets others read)", private, o.Results))
	}
	return nil
}

// shared leaves out the runs that this user may not read, and counts them.
func shared(all []history.Entry) (readable []history.Entry, private int) {
	readable = slices.DeleteFunc(all, func(e history.Entry) bool { return errors.Is(e.Err, fs.ErrPermission) })
	return readable, len(all) - len(readable)
}

// table prints runs for people.
func (p *program) table(entries []history.Entry) error {
	listed := make([]report.Listed, len(entries))
	for i, e := range entries {
		listed[i] = report.Listed{Run: e.Run, Tags: e.Tags, Problem: e.Problem()}
	}
	return report.Runs(p.out.Styled(), listed, reportOptions(p.out.File()))
}

// listedRun is a run in `ergon ls --json`. Every key is always there; null means unknown.
type listedRun struct {
	ID      string   `json:"id"`
	Project string   `json:"project"`
	Command []string `json:"command"`
	// Start is RFC 3339 in UTC. Outcome is null if the run cannot be read; then Reason says why.
	Start      *time.Time `json:"start"`
	Outcome    *string    `json:"outcome"`
	Reason     *string    `json:"reason"`
	ExitCode   *int       `json:"exit_code"`
	Signal     *string    `json:"signal"`
	WallTime   *float64   `json:"wall_time"`
	CPUTime    *float64   `json:"cpu_time"`
	Energy     *float64   `json:"energy"`
	PeakMemory *float64   `json:"peak_memory"`
	// Bounds says "lower" or "upper" for each of the values that is only a bound.
	Bounds map[string]string `json:"bounds"`
	Tags   []string          `json:"tags"`
	Host   *string           `json:"host"`
	Commit *string           `json:"commit"`
	// Bench is null if the run is no bench. The values above are the medians of its command, and null if it has several.
	Bench *listedBench `json:"bench"`
	// Folder is where the run is kept.
	Folder string `json:"folder"`
}

// listedBench is a bench in `ergon ls --json`.
type listedBench struct {
	Ended    string          `json:"ended"`
	Commands []listedCommand `json:"commands"`
}

// listedCommand is a command of a bench, with the medians of its rounds.
type listedCommand struct {
	Name       string   `json:"name"`
	Command    []string `json:"command"`
	Rounds     int      `json:"rounds"`
	Failed     int      `json:"failed"`
	WallTime   *float64 `json:"wall_time"`
	CPUTime    *float64 `json:"cpu_time"`
	Energy     *float64 `json:"energy"`
	PeakMemory *float64 `json:"peak_memory"`
}

func listedBenchOf(b *datamodel.Bench) *listedBench {
	if b == nil {
		return nil
	}
	out := &listedBench{Ended: string(b.Ended), Commands: []listedCommand{}}
	for i, c := range b.Commands {
		one := listedCommand{Name: c.Name, Command: c.Command}
		if i < len(b.Results) {
			r := b.Results[i]
			one.Rounds, one.Failed = r.Rounds, r.Failed
			one.WallTime, one.CPUTime = r.Medians[datamodel.WallTime].Value, r.Medians[datamodel.CPUTime].Value
			one.Energy, one.PeakMemory = r.Medians[datamodel.Energy].Value, r.Medians[datamodel.PeakMemory].Value
		}
		out.Commands = append(out.Commands, one)
	}
	return out
}

// listJSON writes the runs as one array.
func (p *program) listJSON(entries []history.Entry) error {
	list := make([]listedRun, len(entries))
	for i, e := range entries {
		list[i] = listedJSON(e)
	}
	return writeJSON(p.out, list)
}

func listedJSON(e history.Entry) listedRun {
	run := e.Run
	out := listedRun{
		ID: run.ID, Project: run.Project, Command: run.Command, Reason: orNull(run.Reason), ExitCode: run.ExitCode, Signal: orNull(run.Signal),
		Bounds: map[string]string{}, Tags: append([]string{}, e.Tags...), Host: orNull(run.Host.Name), Commit: orNull(e.Commit()), Folder: e.Dir,
		Bench: listedBenchOf(run.Bench),
	}
	if !run.Start.IsZero() {
		start := run.Start.UTC()
		out.Start = &start
	}
	if e.Err != nil {
		out.Reason = orNull(e.Problem())
	} else {
		out.Outcome = orNull(string(run.Outcome))
	}
	for _, f := range []struct {
		name string
		to   **float64
	}{
		{datamodel.WallTime, &out.WallTime},
		{datamodel.CPUTime, &out.CPUTime},
		{datamodel.Energy, &out.Energy},
		{datamodel.PeakMemory, &out.PeakMemory},
	} {
		m := e.Metric(f.name)
		if *f.to = known(m.Value); *f.to != nil && m.Bound != "" {
			out.Bounds[f.name] = string(m.Bound)
		}
	}
	return out
}
