package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/idle"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/runner/rounds"
	"github.com/ergon-energy/ergon/units"
)

// NoiseOptions are the options of `ergon noise`.
type NoiseOptions struct {
	// Time bounds the measurement. Runs is the number of rounds of each load; if it is 0, the time decides.
	Time     time.Duration
	Runs     int
	Metrics  []string
	Affinity []int
	Format   string
	Quiet    bool
	SensorOptions
}

// noiseTime is how long the machine is measured unless told otherwise.
const noiseTime = 30 * time.Second

func (p *program) noiseCommand() *subcommand {
	o := NoiseOptions{Time: noiseTime, Format: report.NoiseFormats()[0], SensorOptions: defaultSensorOptions()}
	return &subcommand{
		name: "noise", usage: "measure how much this machine varies, and what disturbs it", example: "ergon noise",
		description: "It measures three loads of its own again and again, though nothing changes: one that computes, one that reads memory, and one " +
			"that sleeps. It tells how many rounds a bench needs here to find a change, and what to do about what disturbs it.",
		options: append(table{
			{name: "time", usage: "measure for this `TIME`", value: limit{&o.Time}},
			{name: "runs", usage: "at most `N` rounds of each load", value: count{to: &o.Runs, least: 1}},
			{name: "metric", usage: "tell about these metrics: `NAMES`", value: list{&o.Metrics, summaryMetric}},
			{name: "affinity", usage: "run the loads on these processors only: `CPUS`, such as 0,2-3", value: processors{&o.Affinity}},
			formatOption(&o.Format, report.NoiseFormats()),
			{name: "quiet", short: "q", usage: "print no progress", value: toggle{&o.Quiet}},
		}, o.table(p.backends)...),
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused("noise", "noise: takes no argument, not %q", words[0])
			}
			return p.noise(ctx, o)
		},
	}
}

// noise measures the loads and prints what they say about the machine.
func (p *program) noise(ctx context.Context, o NoiseOptions) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	metrics := o.Metrics
	if len(metrics) == 0 {
		metrics = compare.DefaultMetrics()
	}
	config := o.config()
	result := report.Noise{Version: version(), Host: backend.Describe(config.Setup)}
	machine := idle.New(o.Procfs, o.Sysfs)
	first, unknown := machine.Measure(ctx)
	if unknown != nil {
		first = idle.State{Busy: math.NaN(), Stolen: math.NaN(), Temperature: math.NaN()}
	}
	counters, _ := machine.Count() // unknown has the error already
	began := time.Now()
	bench, loads, err := p.noiseRounds(ctx, o, metrics)
	if len(bench.Rounds) > 0 {
		last, e := machine.Since(counters)
		if e != nil {
			last = idle.State{Busy: math.NaN(), Stolen: math.NaN(), Temperature: math.NaN()}
		}
		result.Took, result.Busy, result.Stolen, result.Heated = time.Since(began), first.Busy, last.Stolen, last.Temperature-first.Temperature
		result.Rule = compare.Rule{Confidence: stats.Confidence, Threshold: defaultThreshold}
		for c, l := range loads {
			result.Loads = append(result.Loads, report.NoiseLoad{
				Name: l.name, Does: l.does, Rounds: len(bench.Of(c)), Metrics: result.Rule.Noises(bench, c, metrics),
			})
		}
		result.Conditions = compare.Conditions(bench.Rounds)
		result.Measured = len(bench.Rounds)
		if e := result.Write(p.out.Styled(), o.Format, reportOptions(p.out.File())); e != nil {
			return e
		}
	}
	if len(bench.Rounds) == 0 && err == nil {
		err = fmt.Errorf("noise: %s are over before the first round that counts (--time gives more)", units.Brief(o.Time))
	}
	if s, ok := errors.AsType[signaled](context.Cause(ctx)); ok {
		p.complain(errors.New("noise: interrupted"))
		return status(launch.State{Signal: int(s.Signal)}.Code())
	}
	return err
}

// noiseRounds measures rounds of all loads until the time is over.
func (p *program) noiseRounds(ctx context.Context, o NoiseOptions, metrics []string) (b datamodel.Bench, loads []noiseLoad, err error) {
	self, err := os.Executable()
	if err != nil {
		return b, nil, fmt.Errorf("noise: where ergon's program is: %w", err)
	}
	loads = noiseLoads()
	var commands [][]string
	for _, l := range loads {
		commands = append(commands, []string{self, loadWord, l.name, strconv.Itoa(l.perRound())})
	}
	config := o.config()
	session, err := runner.Open(runner.Options{
		Project: "noise", Config: config, Backends: p.backends, Launcher: p.launcher, Sampler: p.spawnSampler, Version: version(),
		Env: []string{"ERGON_EARLY=off", "GOMAXPROCS=1"},
	})
	if err != nil {
		return b, loads, err
	}
	defer session.Close()
	show := &noiseStatus{to: p.err, until: time.Now().Add(o.Time), off: o.Quiet || !isTerminal(p.err.File()) || isDumb()}
	defer show.erase()
	plan := rounds.Plan{
		Commands: len(loads), Warmup: 1, Least: cmp.Or(o.Runs, math.MaxInt32), Most: o.Runs, Metrics: metrics, MaxTime: o.Time, Order: datamodel.Shuffled, Seed: 1,
	}
	b, err = plan.Run(ctx, func(ctx context.Context, c int, _ bool) (datamodel.Round, error) {
		rep, err := session.Round(ctx, launch.Command{Argv: commands[c], Input: os.DevNull, Output: os.DevNull, Errors: os.DevNull, Processors: o.Affinity}, nil)
		switch {
		case ctx.Err() != nil:
			return datamodel.Round{}, ctx.Err()
		case rep.Refused != nil:
			return datamodel.Round{}, rep.Refused
		case err != nil:
			return datamodel.Round{}, err
		}
		return runner.RoundOf(rep), nil
	}, func(rounds.Progress) { show.tell() })
	if failed, ok := errors.AsType[*rounds.FailedError](err); ok {
		err = fmt.Errorf("noise: the load %s ended with exit code %d", loads[failed.Command].name, failed.Round.ExitCode)
	}
	return b, loads, err
}

// noiseStatus is the status line of `ergon noise`.
type noiseStatus struct {
	to    *screen.Screen
	until time.Time
	last  time.Time
	off   bool
	shown bool
}

// tell shows how much time is left.
func (s *noiseStatus) tell() {
	if s.off || time.Since(s.last) < redraw || !mayDraw(s.to.File()) {
		return
	}
	s.last = time.Now()
	s.to.DrawBelow("measuring this machine, " + units.Format(time.Until(s.until).Round(time.Second).Seconds(), units.Second) + " left")
	s.shown = true
}

func (s *noiseStatus) erase() {
	if s.shown && mayDraw(s.to.File()) {
		s.to.EraseBelow()
	}
}
