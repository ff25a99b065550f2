package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// defaultInterval is the time between readings: at 10 Hz the sampler needs a few thousandths of a core.
const defaultInterval = 100 * time.Millisecond

// maxInterval keeps a slip of the finger (100m) from making a run without readings.
const maxInterval = time.Hour

// sensorFlags are the options of everything that opens sensors.
func sensorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "interval", Usage: "time between readings, or of single sources: `100ms` or nvml=500ms,rapl=10ms (1ms to 1h)",
		},
		&cli.StringSliceFlag{
			Name: "sensors", Usage: "which sensors, as globs in order: `+rapl,-disk*`; the last that matches decides",
		},
		&cli.BoolFlag{Name: "all-gpus", Usage: "also the GPUs that CUDA_VISIBLE_DEVICES hides from the command"},
		&cli.StringFlag{Name: "path.procfs", Usage: "read another tree in place of /proc: `DIR`", EnvVars: variable("ERGON_PROCFS")},
		&cli.StringFlag{Name: "path.sysfs", Usage: "read another tree in place of /sys: `DIR`", EnvVars: variable("ERGON_SYSFS")},
		&cli.StringFlag{Name: "path.nvml", Usage: "load this NVML library: `FILE`", EnvVars: variable("ERGON_NVML")},
	}
}

// variable is where the parser is to look for a value; nowhere if it is empty there, which counts as not set.
func variable(name string) []string {
	if value, set := os.LookupEnv(name); set && value == "" {
		return nil
	}
	return []string{name}
}

// resultsFlag names the results folder.
func resultsFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "results", Aliases: []string{"o"}, Value: "ergon-results", Usage: "the results `DIR`",
		EnvVars: variable("ERGON_RESULTS"),
	}
}

// runFlags are the options before a command to be measured.
func runFlags() []cli.Flag {
	return append([]cli.Flag{
		resultsFlag(),
		&cli.StringFlag{Name: "project", Usage: "`NAME` the run is filed under (default: the command's)"},
		&cli.BoolFlag{Name: "no-save", Usage: "keep nothing"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print no summary"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "a status line while the command runs: `auto`, off or plain"},
		&cli.StringFlag{
			Name: "baseline", Usage: "measure the idle machine for `TIME` before the command, or with TIME,both also after it (1s to 10m)",
		},
		&cli.BoolFlag{Name: "arguments", Usage: "keep the arguments of every process, not only its name, and of the command on a tape: they may hold secrets"},
		&cli.StringSliceFlag{Name: "env", Usage: "store this variable of the environment with the result too: `NAME`"},
		&cli.BoolFlag{Name: "align", Usage: "take the first and last reading of energy counters just when they move: for short commands"},
		&cli.BoolFlag{
			Name: "estimate", Usage: "also estimate the CPUs' energy from their rated power and load, without a sensor and far less sure",
			EnvVars: variable("ERGON_ESTIMATE"),
		},
		&cli.StringFlag{Name: "timeout", Usage: "end the command after this `TIME`, with exit code 124"},
		replayFlag("make the result of a tape in place of a command: `FILE` (see ergon record)"),
	}, sensorFlags()...)
}

// replayFlag names a tape.
func replayFlag(usage string) cli.Flag { return &cli.StringFlag{Name: "replay", Usage: usage} }

// config turns the sensor options into what the sampler is told.
func (p *program) config(c *cli.Context) (sampler.Config, error) {
	config := sampler.Config{
		Host: sensors.Host{
			Proc: "/proc", Sys: "/sys", NVML: c.String("path.nvml"), AllGPUs: c.Bool("all-gpus"),
			Arguments: c.Bool("arguments"),
		},
		Interval:  defaultInterval,
		Intervals: map[string]time.Duration{},
		Select:    c.StringSlice("sensors"),
	}
	for _, path := range []struct {
		option string
		to     *string
		folder bool
	}{
		{"path.procfs", &config.Host.Proc, true},
		{"path.sysfs", &config.Host.Sys, true},
		{"path.nvml", &config.Host.NVML, false},
	} {
		given := c.String(path.option)
		switch {
		case !c.IsSet(path.option):
			continue
		case given == "":
			return config, &usage{fmt.Errorf("--%s: no path given", path.option)}
		}
		abs, err := existing(given, path.folder)
		if err != nil {
			return config, &usage{fmt.Errorf("--%s: %w", path.option, err)}
		}
		*path.to = abs
	}
	given := map[string]bool{}
	for _, part := range c.StringSlice("interval") {
		source, err := p.interval(&config, part)
		switch {
		case err != nil:
			return config, &usage{fmt.Errorf("--interval: %w", err)}
		case given[source] && source == "":
			return config, &usage{errors.New("--interval: given twice: one for all sources, and SOURCE=1s for others")}
		case given[source]:
			return config, &usage{fmt.Errorf("--interval: %s is given twice", source)}
		}
		given[source] = true
	}
	return config, nil
}

// timeLimit reads --timeout; 0 is none.
func timeLimit(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("timeout") {
		return 0, nil
	}
	value := c.String("timeout")
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return 0, &usage{fmt.Errorf("--timeout: %q is no time with its unit: write 5s, 10m or 1h30m", value)}
	case d <= 0:
		return 0, &usage{fmt.Errorf("--timeout: %v is no limit: write 5s, 10m or 1h30m", d)}
	}
	return d, nil
}

// wrongSensors names the option behind the sampler's refusal of a configuration: the others are looked at before.
func wrongSensors(err error) error {
	if _, ok := errors.AsType[*sampler.ConfigError](err); ok {
		return &usage{fmt.Errorf("--sensors: %s", strings.ReplaceAll(err.Error(), "\n", "; "))}
	}
	return err
}

// baseline reads "10s" or "10s,both".
func (p *program) baseline(c *cli.Context) (runner.Baseline, error) {
	if !c.IsSet("baseline") {
		return runner.Baseline{}, nil
	}
	fail := func(format string, args ...any) (runner.Baseline, error) {
		return runner.Baseline{}, &usage{fmt.Errorf("--baseline: "+format, args...)}
	}
	value, both, hasBoth := strings.Cut(c.String("baseline"), ",")
	d, err := time.ParseDuration(strings.TrimSpace(value))
	switch {
	case err != nil:
		return fail("%q is no time: write 10s, or 10s,both", value)
	case hasBoth && strings.TrimSpace(both) != "both":
		return fail("%q: behind the time there may be only both: write 10s,both", both)
	case d < runner.MinBaseline || d > runner.MaxBaseline:
		return fail("%v is out of range: %v to %v are possible", d, runner.MinBaseline, runner.MaxBaseline)
	}
	return runner.Baseline{Duration: d, Both: hasBoth, Sampler: p.spawnSampler}, nil
}

// interval reads "100ms" or "nvml=500ms" and returns whose it is, empty for all.
func (p *program) interval(config *sampler.Config, part string) (source string, err error) {
	name, value, own := strings.Cut(part, "=")
	if !own {
		name, value = "", part
	}
	d, err := time.ParseDuration(strings.TrimSpace(value))
	if err != nil {
		return "", fmt.Errorf("%q is no time: write 10ms, 1s, or SOURCE=1s", value)
	}
	if d < sampler.MinInterval || d > maxInterval {
		return "", fmt.Errorf("%v is out of range: %v to %v are possible", d, sampler.MinInterval, maxInterval)
	}
	if !own {
		config.Interval = d
		return "", nil
	}
	name = strings.TrimSpace(name)
	if !slices.ContainsFunc(p.backends, func(b sensors.Backend) bool { return b.Name == name }) {
		names := make([]string, len(p.backends))
		for i, b := range p.backends {
			names[i] = b.Name
		}
		return "", fmt.Errorf("unknown source %q: there are %s", name, strings.Join(names, ", "))
	}
	config.Intervals[name] = d
	return name, nil
}
