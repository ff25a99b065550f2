package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

func (p *program) runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "measure a command; the word itself can be left out",
		ArgsUsage: "[--] COMMAND [ARG...]", Flags: runFlags(), Action: p.measure,
	}
}

// measure runs the command and prints its summary to stderr.
func (p *program) measure(c *cli.Context) error {
	if c.IsSet("replay") {
		return p.replay(c)
	}
	if p.word == 0 {
		return &usage{errors.New("no command to measure: try `ergon sleep 1`")}
	}
	config, err := p.config(c)
	if err != nil {
		return err
	}
	show, err := p.progress(c.String("progress"))
	if err != nil {
		return err
	}
	limit, err := timeLimit(c)
	if err != nil {
		return err
	}
	config.Align = c.Bool("align")
	baseline, err := p.baseline(c)
	if err != nil {
		return err
	}
	baseline.OnWait = show.idle
	results, err := resultsOf(c)
	if err != nil {
		return err
	}
	tape, err := tapeOf(c)
	if err != nil {
		return err
	}
	if results != "" {
		config.Host.Dirs = []string{standing(results)}
	}
	if err := storable(c.StringSlice("env")); err != nil {
		return err
	}
	command := p.argv[p.word:]
	project := c.String("project")
	if project == "" {
		project = filepath.Base(command[0])
	}
	config.Node, _ = os.Hostname()

	early := p.early
	p.early = nil
	launch.Quiet(early == nil)
	r := runner.Runner{
		Command: command, Project: project, Results: results, Config: config, Signals: launch.Signals,
		Tape: tape, Timeout: limit, Version: version(), OnStatus: show.status,
		Baseline: baseline, Estimate: c.Bool("estimate"),
		Host: func() datamodel.HostInfo { return backend.Describe(config.Host) },
		Complete: func(h *datamodel.HostInfo, wall time.Duration) {
			if results == "" && tape.File == "" && !c.Bool("estimate") {
				backend.CompleteBounds(config.Host, h) // nobody will read the rest
				return
			}
			complete(config.Host, c.StringSlice("env"), wall, h)
		},
		Target:  held(early, p.argv, p.word),
		Sampler: func() (*sampler.Client, error) { return p.startSampler(early) },
	}
	rep, err := r.Run()
	show.erase()
	return p.conclude(c, rep, err)
}

// resultsOf is the folder that the run is to be kept below; empty where nothing is to be kept.
func resultsOf(c *cli.Context) (string, error) {
	results := c.String("results")
	switch {
	case c.Bool("no-save"):
		return "", nil
	case results == "":
		return "", &usage{errors.New("-o: no folder given: keep nothing with --no-save")}
	}
	return filepath.Abs(results)
}

// standing is the folder itself or the nearest one above it that is there: what is made below is on its file system.
func standing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// held is the command, waiting: the launcher where there is one.
func held(early *launch.Early, argv []string, word int) launch.Target {
	if early != nil {
		if t := early.Target(argv, word); t != nil {
			return t
		}
	}
	return launch.Direct(argv[word:])
}

// summarize prints the summary of a run that is kept in dir, if anywhere.
func (p *program) summarize(c *cli.Context, result datamodel.Result, dir string) {
	if c.Bool("quiet") || result.Tree == nil {
		return
	}
	options := p.options(p.err)
	if dir != "" {
		options.Results = shortest(dir)
	}
	_ = report.All()[0].Write(p.err, result, options) // if nobody listens, the target's verdict counts still
}

// conclude says what is to be said after a run and turns it into ergon's own end.
func (p *program) conclude(c *cli.Context, rep runner.Report, err error) error {
	if _, ok := errors.AsType[*runner.SetupError](err); ok {
		return wrongSensors(err)
	}
	for _, e := range []error{rep.Refused, err, rep.NoTape} {
		if e != nil {
			p.complain(e)
		}
	}
	p.summarize(c, rep.Result, rep.Dir)
	if c.Command.Name == recordWord {
		p.tellTape(c, rep)
	}
	switch {
	case rep.Code != 0:
		return status(rep.Code)
	case rep.State.Signal != 0:
		return died(rep.State.Signal)
	case rep.State.ExitCode != 0:
		return status(rep.State.ExitCode)
	}
	return nil
}
