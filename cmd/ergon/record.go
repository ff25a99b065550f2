package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

// recordWord is the subcommand that measures like run and writes a tape.
const recordWord = "record"

func (p *program) recordCommand() *cli.Command {
	return &cli.Command{
		Name: recordWord, Usage: "measure a command and write the raw readings to a tape as well",
		ArgsUsage: "--tape FILE [--] COMMAND [ARG...]", Flags: recordFlags(), Action: p.measure,
		Description: "A tape is a zip file for an issue or a test: `ergon --replay FILE` makes the same result of it on any machine.",
	}
}

// recordFlags are the options before a command that is measured with a tape.
func recordFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "tape", Usage: "the new `FILE`, say run.tape.zip"},
		&cli.BoolFlag{Name: "names", Usage: "also write the names of machine, user and folders to the tape"},
	}, runFlags()...)
}

// tapeOf is the tape that is asked for; the zero value where none is.
func tapeOf(c *cli.Context) (runner.Tape, error) {
	if c.Command.Name != recordWord {
		return runner.Tape{}, nil
	}
	file := c.String("tape")
	if file == "" {
		return runner.Tape{}, &usage{errors.New("record: no tape given: --tape FILE")}
	}
	file, err := filepath.Abs(file) // the launcher may be anywhere by the end
	if err != nil {
		return runner.Tape{}, err
	}
	if _, err := os.Lstat(file); err == nil {
		return runner.Tape{}, &usage{fmt.Errorf("--tape: %s is there already: name another file", c.String("tape"))}
	}
	if _, err := existing(filepath.Dir(file), true); err != nil {
		return runner.Tape{}, &usage{fmt.Errorf("--tape: %w", err)}
	}
	tape := runner.Tape{File: file, Arguments: c.Bool("arguments"), Names: c.Bool("names")}
	if !tape.Names {
		folder, _ := os.Getwd()
		home, _ := os.UserHomeDir()
		tape.Hide = hidden(folder, home, os.Getenv("USER"), os.Getenv("LOGNAME"), os.Getenv("SUDO_USER"))
	}
	return tape, nil
}

// hidden gives a function that replaces what in a path tells who measured where: the working and the home folder, and the names
// of users. Folders at the root tell nothing and stay.
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

// tellTape says where the tape is and what is in it, since it is to be shown to others.
func (p *program) tellTape(c *cli.Context, rep runner.Report) {
	switch {
	case rep.NoTape != nil:
		return // that has been said
	case rep.Tree == nil:
		p.complain(errors.New("record: no tape: the command was not started"))
		return
	case c.Bool("quiet"):
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
	sort(c.Bool("arguments"), "the command's arguments")
	sort(c.Bool("names"), "the git commit, and the names of machine, user and folders")
	name := report.Clean(c.String("tape"))
	fmt.Fprintf(p.err, "  on the tape %s: %s\n  not on it: %s\n  `ergon --replay %s` makes this result of it\n",
		name, strings.Join(in, ", "), strings.Join(out, ", "), name)
}

// replay makes the result of a tape, prints its summary and keeps it.
func (p *program) replay(c *cli.Context) error {
	if p.word != 0 {
		return &usage{fmt.Errorf("--replay: takes no command, not %q: a tape has one", p.argv[p.word])}
	}
	for _, o := range scan(p.argv[1:], runFlags()).options {
		if o.flag != nil && !slices.Contains([]string{"replay", "results", "no-save", "quiet", "progress"}, o.flag.Names()[0]) {
			return &usage{fmt.Errorf("--replay: takes no %s: what was measured is on the tape, and stays as it is", o.typed)}
		}
	}
	results, err := resultsOf(c)
	if err != nil {
		return err
	}
	result, dir, err := runner.Replay(c.String("replay"), results, version())
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	p.summarize(c, result, dir)
	return nil
}

// tapeSensors is what a sampler would say was there, where the tape was recorded: each sensor with its first reading.
func (p *program) tapeSensors(file string) (ready sampler.Ready, err error) {
	sources, run, err := runner.TapeSensors(file)
	if err != nil {
		return ready, fmt.Errorf("replay: %w", err)
	}
	place := func(name string) int {
		for i, b := range p.backends {
			if b.Name == name {
				return i
			}
		}
		return len(p.backends)
	}
	slices.SortStableFunc(sources, func(a, b store.Readings) int { return cmp.Compare(place(a.Source), place(b.Source)) })
	for _, source := range sources {
		for i, sensor := range source.Sensors {
			listed := sampler.Listed{Sensor: sensor, Backend: source.Source, Interval: source.Interval}
			if v := source.Values[i]; !math.IsNaN(v) {
				listed.Reading = &v
			}
			ready.Sensors = append(ready.Sensors, listed)
		}
	}
	ready.Missing, ready.Accounting = run.Missing, run.Accounting
	return ready, nil
}
