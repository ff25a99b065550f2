package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/units"
)

// PruneOptions are the options of `ergon runs prune`.
type PruneOptions struct {
	Results string
	// Projects are globs of the projects to prune; none is all.
	Projects []string
	history.Rules
	// DryRun only says what would be removed. Yes removes without a question.
	DryRun, Yes bool
}

func (p *program) pruneCommand() *subcommand {
	const name = "runs prune"
	o := PruneOptions{Results: defaultResults}
	return &subcommand{
		name: name, usage: "remove the runs that no rule keeps",
		description: "A run stays if --keep or --keep-last says so, if it has a tag, if it goes on, was not finished or cannot be read, " +
			"or if its folder holds files that are not ergon's. It asks, or needs --yes where nobody can be asked.",
		example: "ergon runs prune --keep 12w --keep-last 5 --dry-run",
		options: table{
			resultsOption(&o.Results),
			{name: "keep", scope: inTrusted, usage: "keep the runs that started within this `TIME`: 36h, 7d, 12w", value: age{&o.Age}},
			{name: "keep-last", scope: inTrusted, usage: "keep the `N` latest runs of each project", value: count{to: &o.Last}},
			{name: "project", scope: once, usage: "only runs of these projects, as `GLOBS`: nightly,train-*", value: list{&o.Projects, history.CheckGlob}},
			{name: "dry-run", scope: once, usage: "list what would be removed, and remove nothing", value: toggle{&o.DryRun}},
			yesOption(&o.Yes),
			{name: "others", scope: once, usage: "also remove runs in folders that belong to other users", value: toggle{&o.Others}},
		},
		run: func(ctx context.Context, words []string) error {
			switch {
			case len(words) > 0:
				return misused(name, "%s: takes no argument, not %q (ergon runs rm removes single runs)", name, words[0])
			case o.Age == 0 && o.Last == 0:
				return misused(name, "%s: say what to keep: --keep TIME, --keep-last N, or both", name)
			}
			return p.prune(ctx, o)
		},
	}
}

// prune removes the runs that no rule keeps.
func (p *program) prune(ctx context.Context, o PruneOptions) error {
	h := p.history(o.Results)
	all, err := h.List()
	if err != nil {
		return err
	}
	mine, _ := shared(all) // nobody can tell how old the others are
	entries, _ := history.Filter{Projects: o.Projects}.Select(mine)
	plan := o.Plan(entries, time.Now())
	p.staying(plan)
	if len(plan.Remove) == 0 {
		p.err.Linef("ergon: nothing to remove: the rules keep all other runs in %s", o.Results)
		return nil
	}
	var size int64
	for _, e := range plan.Remove {
		n, _ := history.Size(e.Dir)
		size += n
	}
	what := plural(len(plan.Remove), "run") + " (" + units.Format(float64(size), units.Byte) + ")"
	if o.DryRun || !o.Yes {
		if err := p.table(plan.Remove); err != nil {
			return err
		}
	}
	if o.DryRun {
		p.err.Linef("ergon: would remove %s; nothing was removed", what)
		return nil
	}
	if !o.Yes {
		if err := p.confirm("runs prune", "remove "+what); err != nil {
			return err
		}
	}
	removed, others, failed, joined := 0, 0, 0, false
	for _, e := range plan.Remove {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("runs prune: %w", err)
		}
		err := h.Prune(e, o.Rules)
		if _, foreign := errors.AsType[*history.OwnerError](err); foreign && !o.Others {
			others++
		} else if errors.Is(err, history.ErrAlive) {
			p.note(fmt.Errorf("left out: %w", err))
		} else if err != nil {
			failed++
			p.complain(err)
		} else {
			removed++
			joined = joined || store.InArchive(e.Dir)
		}
	}
	p.err.Linef("ergon: removed %s", plural(removed, "run"))
	p.joinedStay(joined)
	if others > 0 {
		p.err.Linef("ergon: runs prune: %d left out, in folders of other users (--others removes them too)", others)
	}
	if failed > 0 {
		return status(runner.ExitErgon)
	}
	return nil
}

// staying notes the runs that stay although no rule keeps them.
func (p *program) staying(plan history.Plan) {
	var parts []string
	for _, s := range []struct {
		n   int
		why string
	}{
		{plan.Tagged, "with a tag"},
		{plan.Unfinished, "not finished (ergon recover)"},
		{plan.Unreadable, "unreadable"},
		{plan.Foreign, "with files that are not ergon's"},
	} {
		if s.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.why))
		}
	}
	if len(parts) > 0 {
		p.note(errors.New("no rule keeps these, but they stay: " + strings.Join(parts, ", ")))
	}
}
