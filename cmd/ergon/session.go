package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/ergon-energy/ergon/internal/cmdline"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/git"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// This file is the only place where options become what the runner and the sampler need.

// config converts the options to the sampler's own words.
func (o SensorOptions) config() sampler.Config {
	return sampler.Config{
		Setup:    sensors.Setup{Proc: o.Procfs, Sys: o.Sysfs, NVML: o.NVML, AllGPUs: o.AllGPUs},
		Interval: o.Interval, Intervals: o.Intervals, Select: o.Sensors,
	}
}

// runner converts the options of a run. results is the absolute results folder; empty keeps nothing. The run belongs to owner,
// or to the user of this process if that is nil.
func (p *program) runner(ctx context.Context, o RunOptions, results string, tape runner.Tape, show *progress, owner *person) runner.Options {
	config := o.config()
	config.Align = o.Align
	config.Setup.Arguments = o.Arguments
	config.Node, _ = os.Hostname()
	if results != "" {
		config.Setup.Dirs = []string{standing(results)}
	}
	project := o.Project
	if project == "" {
		project = filepath.Base(cmdline.Text(o.Command[0]))
	}
	return runner.Options{
		Project: project, ID: o.RunID, Results: results, Access: o.access(owner), Config: config, Backends: p.backends,
		Launcher: p.launcher, Sampler: p.spawnSampler,
		Signals: func() (<-chan launch.Signal, error) { return p.relaySignals(o.Command) },
		NoMarks: o.NoMarks,
		Tape:    tape, NoArguments: o.NoArguments, Timeout: o.Timeout, Version: version(), OnStatus: show.status, Estimate: o.Estimate, Factors: o.Factors,
		Baseline: runner.Baseline{
			Duration: o.Baseline.Duration, Both: o.Baseline.Both, Sampler: p.spawnSampler, OnWait: show.idle,
		},
		Inventory: p.inventory(o.InventoryOptions, show),
		KillAfter: o.KillAfter, Budgets: o.Budgets, IgnoreBudgets: o.OnBudget == budgetWarn, OnBreach: p.onBreach(o.WatchOptions, show),
		Unread:  o.unread() && len(o.Budgets) == 0,
		OnKept:  p.noteHeld(),
		Host:    func() datamodel.HostInfo { return backend.Describe(config.Setup) },
		Storage: func() sensors.Storage { return backend.Storage(config.Setup) },
		Complete: func(h *datamodel.HostInfo, wall time.Duration) {
			if results == "" && tape.File == "" && !o.Estimate {
				backend.CompleteBounds(config.Setup, h) // nobody will read the rest
				return
			}
			complete(ctx, config.Setup, append(os.Environ(), p.aside...), o.Env, wall, h, owner)
		},
	}
}

// relaySignals begins to receive the signals that are sent to ergon: to the launcher, or without one to this process.
func (p *program) relaySignals(command []string) (<-chan launch.Signal, error) {
	if l, ok := p.launcher.(*prelaunch.Launcher); ok {
		return l.Signals(len(command))
	}
	return launch.Signals(prelaunch.Ignored)
}

// standing returns the folder itself, or the nearest folder above it that exists. What is made below it is on its file system.
func standing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// git may take as long as the command did to say whether files have changed, but at most gitMost. With less than gitLeast it is
// not asked: its start alone takes some 4 ms, half of what measuring `true` takes.
const (
	gitLeast = 20 * time.Millisecond
	gitMost  = 500 * time.Millisecond
)

// complete adds the slow parts of the machine's description once the command has ended: the repository of the working folder,
// the variables that say how the command was launched, and the variables that were asked for. git runs as owner, unless nil:
// a repository may name programs that git executes.
func complete(ctx context.Context, host sensors.Setup, environ, asked []string, wall time.Duration, m *sensors.Machine, owner *person) {
	dirty := make(chan sensors.Git, 1)
	dir, err := os.Getwd()
	tree, found := git.Find(dir)
	if found = found && err == nil; found {
		go func() { dirty <- gitState(ctx, tree, min(wall, gitMost), owner) }() // git takes the longest of all this
	}
	backend.Complete(host, m)
	m.Environment = launched(environ, asked)
	if found {
		g := <-dirty
		m.Git = &g
	}
}

// gitState returns the commit, and whether files differ from it.
func gitState(ctx context.Context, tree git.Tree, limit time.Duration, owner *person) sensors.Git {
	var g sensors.Git
	var err error
	if g.Commit, g.Branch, err = tree.Head(); err != nil {
		g.Reason = err.Error()
		return g
	}
	if limit < gitLeast {
		g.Reason = "git was not asked for changes after so short a command"
		return g
	}
	dirty, err := tree.Dirty(ctx, limit, owner.become)
	if err != nil {
		g.Reason = err.Error()
		return g
	}
	g.Dirty = &dirty
	return g
}
