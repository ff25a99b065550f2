package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/git"
)

// This file finds the kept runs that `ergon compare` compares.

// noBaseError says that there is nothing to compare with. That is no failure: the first run of a project has no base.
type noBaseError struct{ err error }

func (e *noBaseError) Error() string { return "no base to compare with: " + e.err.Error() }

func (e *noBaseError) Unwrap() error { return e.err }

// keptSide is one side before its rounds are read.
type keptSide struct {
	name string
	// commit is the commit whose runs these are, "" if the runs were named one by one.
	commit string
	dirs   []string
	runs   []datamodel.Run
}

// sides loads the sides that the names stand for, with their courses if charts is true. The first one is the base.
func (p *program) sides(ctx context.Context, results string, names []string, charts bool) ([]compare.Set, error) {
	var kept []keptSide
	for i, name := range names {
		s, err := p.keptSide(ctx, results, name)
		if none, ok := errors.AsType[*history.NotFoundError](err); ok && i == 0 {
			return nil, &noBaseError{none}
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, s)
	}
	for i := range kept {
		if kept[i].commit == "" {
			continue
		}
		if kept[i].alike(slices.Concat(kept[:i], kept[i+1:])); len(kept[i].dirs) > 0 {
			continue
		}
		err := fmt.Errorf("run %q: no run of commit %.10s has the same project and command as the other side", kept[i].name, kept[i].commit)
		if i == 0 {
			return nil, &noBaseError{err}
		}
		return nil, err
	}
	for _, k := range kept[1:] {
		for _, dir := range k.dirs {
			if slices.Contains(kept[0].dirs, dir) {
				p.note(fmt.Errorf("run %s is on both sides", store.IDOf(dir)))
			}
		}
	}
	var sets []compare.Set
	for _, k := range kept {
		s, err := k.load(charts)
		if err != nil {
			return nil, err
		}
		sets = append(sets, s)
	}
	return sets, nil
}

// keptSide finds the runs that a name stands for.
func (p *program) keptSide(ctx context.Context, results, name string) (keptSide, error) {
	found, err := p.history(results).FindAll(name, func(name string) (string, error) { return commitOf(ctx, name) })
	if err != nil {
		return keptSide{}, err
	}
	if found.Dirty > 0 {
		p.note(fmt.Errorf("%s: left out %s with uncommitted changes", name, plural(found.Dirty, "run")))
	}
	s := keptSide{name: name, commit: found.Commit, dirs: found.Dirs}
	for _, dir := range found.Dirs {
		run, err := store.LoadManifest(dir)
		if err != nil {
			return s, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
		}
		s.runs = append(s.runs, run)
	}
	return s, nil
}

// commitOf returns the commit that git means by a name in the working folder, "" if there is none.
func commitOf(ctx context.Context, name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", nil //nolint:nilerr // then there is no repository to ask
	}
	tree, ok := git.Find(dir)
	if !ok {
		return "", nil
	}
	hash, err := tree.Resolve(ctx, name)
	if _, unknown := errors.AsType[*git.UnknownError](err); unknown || errors.Is(err, git.ErrNoGit) {
		return "", nil
	}
	return hash, err
}

// alike keeps the runs that have the project and a command of a run of the other sides. If all other sides are of commits, too,
// they are filtered in the same way, so what is left is common to all.
func (k *keptSide) alike(others []keptSide) {
	var dirs []string
	var runs []datamodel.Run
	for i, run := range k.runs {
		if slices.ContainsFunc(others, func(o keptSide) bool {
			return slices.ContainsFunc(o.runs, func(other datamodel.Run) bool {
				return run.Project == other.Project && slices.ContainsFunc(commandsOf(run), func(c string) bool { return slices.Contains(commandsOf(other), c) })
			})
		}) {
			dirs, runs = append(dirs, k.dirs[i]), append(runs, run)
		}
	}
	k.dirs, k.runs = dirs, runs
}

// commandsOf lists the names of the commands that a run measured.
func commandsOf(run datamodel.Run) (names []string) {
	if run.Bench == nil {
		return []string{cmdline.Line(run.Command)}
	}
	for _, c := range run.Bench.Commands {
		names = append(names, c.Name)
	}
	return names
}

// load reads the rounds of all runs of a side, and their courses if charts is true.
func (k keptSide) load(charts bool) (compare.Set, error) {
	s := compare.Set{Name: k.name}
	for i, dir := range k.dirs {
		bench, err := store.LoadBench(dir)
		if err != nil {
			return s, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
		}
		s.Add(k.runs[i], bench)
		if !charts {
			continue
		}
		list, err := store.LoadCharts(dir)
		if err != nil {
			return s, fmt.Errorf("run %s: %w", store.IDOf(dir), err)
		}
		s.Charts = append(s.Charts, list)
	}
	return s, nil
}
