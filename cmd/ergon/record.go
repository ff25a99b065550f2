package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ergon-energy/ergon/runner"
)

// RecordOptions are the options of `ergon record`.
type RecordOptions struct {
	RunOptions
	// Tape is the new file, as typed. Names keeps the names of machine, user and folders on it.
	Tape  string
	Names bool
}

func (p *program) recordCommand() *subcommand {
	o := RecordOptions{RunOptions: defaultRunOptions()}
	c := &subcommand{
		name: "record", example: "ergon record --tape run.tape.zip ./train.sh", usage: "measure a command and also write the raw readings to a tape",
		arguments:   "--tape FILE [--] COMMAND [ARG...]",
		description: "A tape is a zip file for an issue or a test: `ergon --replay FILE` makes the same result of it on any machine.",
		prefix:      true,
		options: append(table{
			{name: "tape", scope: once, usage: "the new `FILE`, such as run.tape.zip", value: required{&o.Tape, "file"}},
			{name: "names", usage: "also write the names of machine, user and folders to the tape", value: toggle{&o.Names}},
		}, o.table(p.backends)...),
	}
	c.run = func(ctx context.Context, words []string) error {
		o.Command = words
		switch {
		case o.off():
			return p.pass(o.RunOptions)
		case o.Replay == "":
			return p.record(ctx, o)
		}
		return p.replayInstead(ctx, o.RunOptions, c.options)
	}
	return c
}

// record measures the command like run, and writes a tape.
func (p *program) record(ctx context.Context, o RecordOptions) error {
	if len(o.Command) == 0 {
		return &usage{errNoCommand}
	}
	tape, err := o.tape()
	if err != nil {
		return err
	}
	rep, err := p.measure(ctx, &o.RunOptions, tape)
	return p.conclude(o.RunOptions, rep, err, func() { p.tellTape(o, rep) })
}

// tape converts the options to what the runner needs. The file must not exist, its folder must.
func (o RecordOptions) tape() (runner.Tape, error) {
	if o.Tape == "" {
		return runner.Tape{}, &usage{errors.New("record: no tape given: --tape FILE")}
	}
	file, err := filepath.Abs(o.Tape) // the launcher may be anywhere by the end
	if err != nil {
		return runner.Tape{}, err
	}
	if _, err := os.Lstat(file); err == nil {
		return runner.Tape{}, &usage{fmt.Errorf("--tape: %s exists already: name another file", o.Tape)}
	}
	if _, err := existing(filepath.Dir(file), true); err != nil {
		return runner.Tape{}, &usage{fmt.Errorf("--tape: %w", err)}
	}
	tape := runner.Tape{File: file, Arguments: o.Arguments, Names: o.Names}
	if !tape.Names {
		folder, _ := os.Getwd()
		home, _ := os.UserHomeDir()
		tape.Hide = hidden(folder, home, os.Getenv("USER"), os.Getenv("LOGNAME"), os.Getenv("SUDO_USER"))
	}
	return tape, nil
}

// hidden returns a function that hides in a path who measured where: the working folder, the home folder, and the names of
// users. Folders at the root reveal nothing and stay.
func hidden(folder, home string, users ...string) func(string) string {
	type rule struct {
		pattern *regexp.Regexp
		by      string
	}
	var rules []rule
	add := func(pattern, by string) { rules = append(rules, rule{regexp.MustCompile(pattern), by}) }
	const end = `(/|[\s:;,"\')]|$)` // of a name within a path
	for _, dir := range []struct{ path, by string }{{folder, "."}, {home, "~"}} {
		if filepath.Dir(filepath.Dir(dir.path)) != filepath.Dir(dir.path) {
			add(regexp.QuoteMeta(dir.path)+end, dir.by+"$1")
			users = append(users, filepath.Base(home))
		}
	}
	for _, user := range users {
		if user != "" && user != "root" {
			add("/"+regexp.QuoteMeta(user)+end, "/user$1")
		}
	}
	return func(s string) string {
		for _, r := range rules {
			s = r.pattern.ReplaceAllString(s, r.by)
		}
		return s
	}
}

// tellTape prints the tape's name and content: the user will show the tape to others.
func (p *program) tellTape(o RecordOptions, rep runner.Report) {
	switch {
	case rep.NoTape != nil:
		return // that has been said
	case rep.Tree == nil:
		p.complain(errors.New("record: no tape: the command was not started"))
		return
	case o.Quiet:
		return
	}
	in := []string{"every reading", "the names of sensors (devices, mount points, serial numbers of GPUs) and of processes", "the machine's make, kernel and settings"}
	out := []string{"the environment"}
	sort := func(asked bool, what string) {
		if asked {
			in = append(in, what)
		} else {
			out = append(out, what)
		}
	}
	sort(o.Arguments, "the command's arguments")
	sort(o.Names, "the git commit, and the names of machine, user and folders")
	p.err.Linef("  on the tape %s: %s", o.Tape, strings.Join(in, ", "))
	p.err.Linef("  not on it: %s", strings.Join(out, ", "))
	p.err.Linef("  `ergon --replay %s` makes this result of it", o.Tape)
}
