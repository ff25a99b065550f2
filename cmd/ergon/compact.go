package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// CompactOptions are the options of `ergon runs compact`.
type CompactOptions struct {
	Results string
	history.Compaction
	// Yes removes without a question.
	Yes bool
}

func (p *program) compactCommand() *subcommand {
	const name = "runs compact"
	o := CompactOptions{Results: defaultResults}
	return &subcommand{
		name: name, usage: "join the tables of finished runs by month, for DuckDB, Spark and others",
		description: "The rows go to " + store.TablesFolder + "/TABLE/project=P/month=YYYY-MM below the results folder, and the folders of the runs to " +
			store.ArchiveFolder + ". ls, report and all others find the runs there. A run that goes on, was not finished, is damaged or belongs to " +
			"another user stays as it is. If compact is interrupted, nothing is lost: call it again.",
		example: "ergon runs compact --before 30d",
		options: table{
			resultsOption(&o.Results),
			{name: "before", scope: inTrusted, usage: "only runs that started longer than this `TIME` ago: 36h, 7d, 12w", value: age{&o.Before}},
			{name: "project", scope: once, usage: "only runs of these projects, as `GLOBS`: nightly,train-*", value: list{&o.Projects, history.CheckGlob}},
			{
				name: "delete", scope: once,
				usage: "remove the folders instead, after every value was found in the tables; ls no longer shows these runs", value: toggle{&o.Delete},
			},
			{name: "dry-run", scope: once, usage: "say what would be done, and change nothing", value: toggle{&o.DryRun}},
			yesOption(&o.Yes),
		},
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused(name, "%s: takes no argument, not %q (--project and --before choose runs)", name, words[0])
			}
			return p.compact(ctx, o)
		},
	}
}

// compact joins finished runs.
func (p *program) compact(ctx context.Context, o CompactOptions) error {
	h := p.history(o.Results)
	if o.Delete && !o.DryRun && !o.Yes {
		dry := o.Compaction
		dry.DryRun = true
		would, err := h.Compact(ctx, dry, time.Now())
		if err != nil {
			return fmt.Errorf("runs compact: %w", err)
		}
		if would.Deleted == 0 {
			p.compacted(o, would, false)
			return nil
		}
		if err := p.confirm("runs compact", "remove the folders of "+plural(would.Deleted, "run")+" once their rows are in "+store.TablesFolder); err != nil {
			return err
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a run is read and forgotten
	done, err := h.Compact(ctx, o.Compaction, time.Now())
	p.compacted(o, done, err != nil)
	if err != nil {
		return fmt.Errorf("runs compact: %w", err)
	}
	return nil
}

// compacted says what was done, and which runs were left alone. stopped says that an error follows.
func (p *program) compacted(o CompactOptions, done history.Compacted, stopped bool) {
	for _, left := range done.Left {
		p.note(fmt.Errorf("run %s stays as it is: %w", store.IDOf(left.Entry.Dir), left.Err))
	}
	if done.Others > 0 {
		p.note(errors.New(plural(done.Others, "run") + " in folders of other users stay as they are"))
	}
	if done.Kept > 0 {
		p.note(errors.New(plural(done.Kept, "run") + " with a tag, or with files that are not ergon's, stay in " + store.ArchiveFolder))
	}
	var parts []string
	for _, d := range []struct {
		n          int
		what, does string
	}{
		{done.Joined, "joined ", "join "},
		{done.Archived, "moved to " + store.ArchiveFolder + " ", "move to " + store.ArchiveFolder + " "},
		{done.Deleted, "removed ", "remove "},
	} {
		if d.n > 0 && o.DryRun {
			parts = append(parts, d.does+plural(d.n, "run"))
		} else if d.n > 0 {
			parts = append(parts, d.what+plural(d.n, "run"))
		}
	}
	switch {
	case len(parts) == 0 && stopped:
	case len(parts) == 0:
		p.err.Linef("ergon: nothing to compact in %s", o.Results)
	case o.DryRun:
		p.err.Linef("ergon: would %s; nothing was changed", strings.Join(parts, ", "))
	default:
		p.err.Linef("ergon: %s", strings.Join(parts, ", "))
	}
}

// joinedStay notes that the rows of runs that were removed stay, if some of the runs were joined.
func (p *program) joinedStay(joined bool) {
	if joined {
		p.note(errors.New("the joined tables in " + store.TablesFolder + " keep the rows of removed runs"))
	}
}
