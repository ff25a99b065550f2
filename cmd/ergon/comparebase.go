package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/git"
	"github.com/ergon-energy/ergon/sensors"
)

// hashShown is how many digits of a hash are shown.
const hashShown = 10

// compareBase measures the command in the working tree and in a checkout of the base.
func (p *program) compareBase(ctx context.Context, o CompareOptions) (err error) {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	tree, ok := git.Find(dir)
	if !ok {
		return fmt.Errorf("--base: %s is in no working tree of git (run ergon in one, or compare two commands by -c)", dir)
	}
	below, err := filepath.Rel(tree.Dir, dir)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	commit, err := tree.Resolve(ctx, o.Now.Base)
	if err != nil {
		return p.endedEarly(ctx, fmt.Errorf("--base: %w", err))
	}
	left, commands := tree.Left()
	for i := range left {
		p.note(fmt.Errorf("an ergon that was killed has left %s (%s)", left[i], commands[i]))
	}
	base, err := tree.CheckOut(ctx, commit)
	if err != nil {
		return p.endedEarly(ctx, fmt.Errorf("--base %s: %w", o.Now.Base, err))
	}
	defer func() {
		if e := base.Remove(context.WithoutCancel(ctx)); e != nil {
			p.complain(fmt.Errorf("--base: %w", e))
		}
	}()
	if !o.Now.Quiet {
		p.err.Linef("ergon: %s is %s, checked out into %s", o.Now.Base, commit[:min(hashShown, len(commit))], base.Dir)
	}
	sides := []string{filepath.Join(base.Dir, below), dir}
	if _, err := os.Stat(sides[0]); err != nil {
		return fmt.Errorf("--base %s: it has no folder %s (run ergon in a folder that both sides have)", o.Now.Base, below)
	}
	names := []string{o.Now.Base, "working tree"}
	if names[0] == commit {
		names[0] = commit[:min(hashShown, len(commit))]
	}
	for _, i := range []int{1, 0} { // the user's own first: it fails sooner
		if err := p.prepareSide(ctx, o.Now, names[i], sides[i]); err != nil {
			return p.endedEarly(ctx, err)
		}
	}
	if err := lacking(base.Lacks()); err != nil {
		return fmt.Errorf("--base %s: %w", o.Now.Base, err)
	}
	p.warnSame(tree.Dir, o.Sides)
	argv, err := o.Now.argv(namedCommand{line: strings.Join(o.Sides, " "), words: o.Sides}, nil)
	if err != nil {
		return err
	}
	var list []benched
	for i, side := range sides {
		list = append(list, benched{name: cmdline.Line(cmdline.Mask(o.Sides)), argv: argv, dir: side, side: names[i], prepare: o.Now.Prepare})
	}
	list[0].git = &sensors.Git{Commit: commit, Dirty: new(false)}
	return p.compareMeasured(ctx, o, list, names)
}

// prepareSide runs --prepare in the folder of a side.
func (p *program) prepareSide(ctx context.Context, o NowOptions, name, dir string) (err error) {
	if o.PrepareSide == "" {
		return nil
	}
	if !o.Quiet {
		p.err.Linef("ergon: %s: %s", name, o.PrepareSide)
	}
	out, err := os.CreateTemp("", "ergon-prepare-*") // a pipe would wait for a daemon that the line starts
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close(), os.Remove(out.Name())) }()
	cmd := exec.CommandContext(ctx, "sh", "-c", o.PrepareSide)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(git.Environment(), "PWD="+dir)
	end := asGroup(cmd)
	err = cmd.Run()
	end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: --prepare %q: %w%s", name, o.PrepareSide, err, lastLines(out.Name()))
	}
	return nil
}

// lacking returns an error if the base lacks what the working tree has.
func lacking(l git.Lacks) error {
	switch {
	case len(l.Submodules) > 0:
		return fmt.Errorf("its submodule %s is empty, and that of the working tree is not (--prepare 'git submodule update --init --recursive && ...')", l.Submodules[0])
	case len(l.Pointers) > 0:
		return fmt.Errorf("%s is a pointer of git-lfs, and that of the working tree is not (--prepare 'git lfs pull && ...')", l.Pointers[0])
	}
	return nil
}

// warnSame notes if a word of the command names a file of the working tree by its whole path: then both sides use that file.
func (p *program) warnSame(top string, words []string) {
	for _, w := range words {
		if strings.HasPrefix(w, top+string(filepath.Separator)) {
			p.note(fmt.Errorf("both sides use %s (a relative path is taken on each side)", w))
		}
	}
}
