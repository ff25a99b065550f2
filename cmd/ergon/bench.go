package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-shellwords"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/git"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/runner/rounds"
	"github.com/ergon-energy/ergon/sensors"
)

// BenchOptions are the options of `ergon bench`. They have hyperfine's names where hyperfine has them.
type BenchOptions struct {
	// Words are one command, or several commands as texts.
	Words []string
	// Named are the commands of -c.
	Named []namedCommand
	// Runs is the number of rounds of each command. Least and Most bound it if it is 0.
	Runs, Least, Most, Warmup int
	Precision                 float64
	MaxTime                   time.Duration
	Cooldown                  cooldown
	// Batch is the number of executions in each round.
	Batch int
	// Affinity are the processors that the commands may run on. Nil stands for all.
	Affinity []int
	Order    string
	Seed     int
	// Setup and Cleanup run once, before the first and after the last round. Prepare and Conclude run before and after
	// each round.
	Setup, Prepare, Conclude, Cleanup string
	Parameters                        []parameter
	IgnoreFailure                     bool
	// Shell runs each command by this shell. Empty runs it without one.
	Shell string
	// Input and Output are files. Output may also be inherit.
	Input, Output string
	Metrics       []string
	// Judge has the thresholds for verdicts. Its other fields are not used.
	Judge   JudgeOptions
	Timeout time.Duration
	Format  string
	Exports []export
	Quiet   bool
	// Verbose also shows mean, deviation, quartiles and outliers.
	Verbose bool
	// Work is what one execution does: a number and a word. It may have parameters. Empty is unknown.
	Work string
	BudgetOptions
	// NoCI tells GitHub Actions nothing of the budgets.
	NoCI bool
	KeepOptions
	SensorOptions
}

// namedCommand is a command with the name that the results have it under: a line, or its words if it was given as such.
type namedCommand struct {
	name, line string
	words      []string
	// prepare, conclude and work count instead of the options. parameters are of this command only.
	prepare, conclude, work string
	parameters              []parameter
}

// parameter is a name for which each of several values is put into the commands.
type parameter struct {
	name   string
	values []string
}

// hyperfine's defaults.
const (
	leastRounds = 10
	leastTime   = 3 * time.Second
)

func (p *program) benchCommand() *subcommand {
	o := BenchOptions{
		Least: leastRounds, Order: string(datamodel.Shuffled), Output: "null", Input: "null", Format: "text", Judge: defaultJudgeOptions(),
		KeepOptions: KeepOptions{Results: defaultResults, Share: shareNobody}, SensorOptions: roundSensorOptions(),
	}
	c := &subcommand{
		name: "bench", many: true, usage: "measure commands many times, and compare them", arguments: "[--] COMMAND [ARG...]",
		example: "ergon bench --warmup 3 -c gzip 'gzip -k f' -c zstd 'zstd -k f'",
		description: "Each command has ten rounds and three seconds at least. The rounds of several commands follow each other in a random order, so that " +
			"a drift of the machine hits all alike. Without --shell no shell runs a command. -c takes its words as a shell would, but without variables.",
		options: append(table{
			{name: "command", short: "c", values: 2, scope: once, usage: "a further command: `NAME COMMAND`", value: commands{&o.Named}},
			{name: "runs", usage: "exactly `N` rounds of each command", value: count{to: &o.Runs, least: 1}},
			{name: "min-runs", usage: "at least `N` rounds", value: count{to: &o.Least, least: 1}},
			{name: "max-runs", usage: "at most `N` rounds", value: count{to: &o.Most, least: 1}},
			{name: "warmup", usage: "`N` rounds before that are not counted", value: count{to: &o.Warmup}},
			{name: "precision", usage: "go on until the intervals of the metrics are this narrow: `PART`, such as 1%", value: part{&o.Precision}},
			{name: "max-time", usage: "measure no further rounds after this `TIME`", value: limit{&o.MaxTime}},
			{
				name: "cooldown", usage: "wait before each round: `TIME`, or idle: until the machine is as idle as at the beginning, at most 1 min",
				value: &o.Cooldown,
			},
			{name: "batch", usage: "execute the command `N` times in each round: for commands shorter than the energy counter resolves", value: count{to: &o.Batch, least: 1}},
			{name: "affinity", usage: "run the commands on these processors only: `CPUS`, such as 0,2-3", value: processors{&o.Affinity}},
			{
				name: "order", usage: "the `ORDER` of the rounds: shuffled, abba or grouped",
				value: choice{&o.Order, []string{string(datamodel.Shuffled), string(datamodel.ABBA), string(datamodel.Grouped)}},
			},
			{name: "seed", scope: once, usage: "`N` that gives the same order again", value: count{to: &o.Seed}},
			{name: "setup", scope: once, usage: "run this `SHELL-COMMAND` before the first round", value: text{&o.Setup}},
			{name: "prepare", scope: once, usage: "run this `SHELL-COMMAND` before each round", value: text{&o.Prepare}},
			{name: "conclude", scope: once, usage: "run this `SHELL-COMMAND` after each round", value: text{&o.Conclude}},
			{name: "cleanup", scope: once, usage: "run this `SHELL-COMMAND` after the last round", value: text{&o.Cleanup}},
			{
				name: "parameter-list", short: "L", values: 2, scope: once, value: parameters{to: &o.Parameters},
				usage: "put each of the values in place of {VAR}: `VAR A,B,C`",
			},
			{
				name: "parameter-scan", short: "P", values: 3, scope: once, value: parameters{to: &o.Parameters, scan: true},
				usage: "put each whole number in place of {VAR}: `VAR FIRST LAST`",
			},
			{name: "ignore-failure", short: "i", usage: "go on after a round that fails", value: toggle{&o.IgnoreFailure}},
			{name: "shell", scope: once, usage: "run each command by this `SHELL`, such as sh", value: required{&o.Shell, "shell"}},
			{name: "input", scope: once, usage: "the command reads this `FILE`; null is empty", value: required{&o.Input, "file"}},
			{name: "output", scope: once, usage: "the command writes to this `FILE`; null is nowhere, inherit is here", value: required{&o.Output, "file"}},
			{name: "metric", usage: "compare these metrics: `NAMES`", value: list{&o.Metrics, summaryMetric}},
			thresholdOption(&o.Judge),
			{name: "timeout", usage: "end a round after this `TIME`; it has failed then", value: limit{&o.Timeout}},
			{
				name: benchFileName, short: "f", scope: once, value: benchFile{&o},
				usage: "take commands, parameters and options from this `FILE` (ergon init --bench writes one)",
			},
			{name: "format", usage: "print the result as `FORMAT`: " + strings.Join(benchFormats(), ", "), value: choice{&o.Format, benchFormats()}},
			exportOption(&o.Exports, ofBench(), "also write the result to", once),
			{name: "quiet", short: "q", usage: "print no progress", value: toggle{&o.Quiet}},
			{name: "verbose", short: "v", usage: "also show mean, deviation, quartiles and outliers", value: toggle{&o.Verbose}},
			{name: "work", scope: once, usage: "what one execution does, to tell the cost of one unit: `WORK`, such as 1e6requests", value: required{&o.Work, "work"}},
		}, slices.Concat(o.BudgetOptions.table(), table{noCIOption(&o.NoCI)}, o.KeepOptions.table(), o.SensorOptions.table(p.backends))...),
	}
	c.run = func(ctx context.Context, words []string) error {
		o.Words = words
		return p.bench(ctx, o)
	}
	return c
}

// bench measures the commands and prints the result to stdout.
func (p *program) bench(ctx context.Context, o BenchOptions) error {
	commands, err := o.commands()
	if err != nil {
		return err
	}
	if o.Seed == 0 {
		o.Seed = 1 + rand.IntN(math.MaxInt32) //nolint:gosec // an order, no secret
	}
	metrics, _ := benchMetrics(o.Metrics)
	plan := rounds.Plan{
		Commands: len(commands), Warmup: o.Warmup, Least: o.Least, Most: o.Most, LeastTime: leastTime, Precision: o.Precision,
		Metrics: metrics, MaxTime: o.MaxTime, Order: datamodel.RoundOrder(o.Order), Seed: uint64(o.Seed), IgnoreFailure: o.IgnoreFailure, //nolint:gosec // not negative
	}
	if o.Runs > 0 {
		plan.Least, plan.Most, plan.LeastTime = o.Runs, o.Runs, 0
	}
	if plan.Most > 0 && plan.Most < plan.Least {
		return &usage{fmt.Errorf("--max-runs: %d rounds at most and %d at least contradict each other", plan.Most, plan.Least)}
	}
	if o.Batch > 1 && o.Input == "inherit" {
		return &usage{errors.New("--batch: the first execution would read all of stdin (--input FILE gives each one the file)")}
	}
	for _, e := range o.Exports {
		if err := writable(e.path); err != nil {
			return &usage{fmt.Errorf("--export: %w", err)}
		}
	}
	budgets := p.baselines(o, commands)
	kept, err := p.keepBench(ctx, o, commands, plan)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	plan.Kept = kept.Add
	measured, err := p.measureRounds(ctx, o, commands, plan, kept)
	o.describe(&measured, commands)
	for c, list := range budgets {
		measured.Commands[c].Budgets = judgedCommand(measured.Commands[c].Name, list, rule.OfRounds(measured, c), nil).Budgets
	}
	return p.concludeBench(ctx, o, measured, kept, err)
}

// baselines returns the budgets of each command, with what they compare with.
func (p *program) baselines(o BenchOptions, commands []benched) (list [][]rule.Budget) {
	for _, c := range commands {
		list = append(list, p.lookUp(o.Budgets, o.Results, judgedAs{command: c.name, alone: len(commands) == 1}))
	}
	return list
}

// describe tells what was measured and how, without secrets.
func (o BenchOptions) describe(b *datamodel.Bench, commands []benched) {
	b.Metrics, b.Affinity, b.Batch, b.Threshold, b.Thresholds = o.Metrics, o.Affinity, o.Batch, o.Judge.Threshold, o.Judge.Thresholds
	for _, c := range commands {
		words := cmdline.Mask(c.argv)
		if o.NoArguments {
			words = words[:1]
		}
		b.Commands = append(b.Commands, datamodel.BenchCommand{Name: c.title(), Command: words, Git: c.git, Parameters: c.parameters, Work: c.work})
	}
}

// signaled is the cause that ends a context: a signal came.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return s.String() }

// untilSignal returns a context that ends when a signal asks ergon to end. Its cause is then a signaled. stop stops listening.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case s := <-signals:
			number, _ := s.(syscall.Signal)
			cancel(signaled{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// benched is one command of a bench, ready to be measured.
type benched struct {
	name       string
	argv       []string
	parameters []datamodel.Parameter
	work       *datamodel.Work // nil if unknown
	// prepare and conclude run before and after each round of this command.
	prepare, conclude string
	// dir is the folder that it works in; "" is ours. side is what the folder is called, git the state of its files.
	dir, side string
	git       *sensors.Git
}

// title returns the name of the command, with that of its side. Both sides of a base have the same command.
func (b benched) title() string {
	if b.side == "" {
		return b.name
	}
	return b.side + ": " + b.name
}

// wrap says which side an error is of, if the command has sides.
func (b benched) wrap(err error) error {
	if b.side == "" {
		return err
	}
	return fmt.Errorf("%s: %w", b.side, err)
}

// launched returns the command as it is launched. In another folder than ours, PWD is that one, and no variable makes git use
// the tree that ergon was started in.
func (b benched) launched() launch.Command {
	c := launch.Command{Argv: b.argv, Dir: b.dir}
	if b.dir != "" {
		c.Env = append(git.Elsewhere(), "PWD="+b.dir)
	}
	return c
}

// commands returns the commands, with each combination of the parameters.
func (o BenchOptions) commands() ([]benched, error) {
	given := slices.Clone(o.Named)
	switch first := slices.Concat(o.Words, []string{""})[0]; {
	case len(o.Words) == 0:
	case strings.ContainsAny(first, " \t") && !isProgram(first): // as hyperfine has it: each word is a command
		for _, line := range o.Words {
			given = append(given, namedCommand{line: line})
		}
	default:
		given = append(given, namedCommand{line: strings.Join(o.Words, " "), words: o.Words})
	}
	if len(given) == 0 {
		return nil, &usage{errors.New("no command to measure: try `ergon bench sleep 0.1`")}
	}
	var list []benched
	for _, g := range given {
		for _, parameters := range combinations(slices.Concat(o.Parameters, g.parameters)) {
			b := benched{
				name: put(g.name, parameters), parameters: parameters, prepare: cmp.Or(g.prepare, o.Prepare), conclude: cmp.Or(g.conclude, o.Conclude),
			}
			var err error
			if b.argv, err = o.argv(g, parameters); err != nil {
				return nil, err
			}
			if work := cmp.Or(g.work, o.Work); work != "" {
				if b.work, err = parseWork(put(work, parameters)); err != nil {
					return nil, &usage{fmt.Errorf("--work: %w", err)}
				}
			}
			if b.name == "" {
				b.name = cmdline.Line(cmdline.Mask(b.argv))
				if o.Shell != "" {
					b.name = cmdline.Text(put(g.line, parameters))
				}
			} else if len(parameters) > 0 && b.name == g.name {
				b.name += " " + shown(parameters)
			}
			if slices.ContainsFunc(list, func(other benched) bool { return other.name == b.name }) {
				return nil, &usage{fmt.Errorf("two commands are called %q (-c NAME COMMAND gives another name)", b.name)}
			}
			list = append(list, b)
		}
	}
	return list, nil
}

// combinations returns each combination of the values of parameters. Without parameters there is one, which is empty.
func combinations(list []parameter) [][]datamodel.Parameter {
	all := [][]datamodel.Parameter{nil}
	for _, p := range list {
		var more [][]datamodel.Parameter
		for _, c := range all {
			for _, v := range p.values {
				more = append(more, append(slices.Clone(c), datamodel.Parameter{Name: p.name, Value: v}))
			}
		}
		all = more
	}
	return all
}

// isProgram reports whether a word names a program.
func isProgram(word string) bool {
	_, err := exec.LookPath(word)
	return err == nil
}

// put puts the values of parameters in place of their names.
func put(text string, parameters []datamodel.Parameter) string {
	for _, p := range parameters {
		text = strings.ReplaceAll(text, "{"+p.Name+"}", p.Value)
	}
	return text
}

func shown(parameters []datamodel.Parameter) string {
	var list []string
	for _, p := range parameters {
		list = append(list, p.Name+"="+p.Value)
	}
	return strings.Join(list, " ")
}

// argv returns the words of a command. A line with something that only a shell understands is an error.
func (o BenchOptions) argv(c namedCommand, parameters []datamodel.Parameter) ([]string, error) {
	line := put(c.line, parameters)
	switch {
	case o.Shell != "":
		return []string{o.Shell, "-c", line}, nil
	case c.words != nil:
		argv := make([]string, len(c.words))
		for i, w := range c.words {
			argv[i] = put(w, parameters)
		}
		return argv, nil
	}
	parser := shellwords.NewParser()
	argv, err := parser.Parse(line)
	switch {
	case err != nil:
		return nil, &usage{fmt.Errorf("command %q: %w (--shell sh runs it by a shell)", line, err)}
	case parser.Position >= 0: // the parser stops at an operator
		return nil, &usage{fmt.Errorf("command %q: %q is for a shell (--shell sh runs it by one)", line, line[parser.Position:])}
	case len(argv) == 0:
		return nil, &usage{errors.New("an empty command")}
	}
	return argv, nil
}

// null is the word for no input and no output.
const null = "null"

// file returns the absolute path of a file for a command; empty if the command gets ours.
func file(word string) (string, error) {
	switch word {
	case "inherit":
		return "", nil
	case null:
		return os.DevNull, nil
	}
	return filepath.Abs(word)
}

// measureRounds measures the rounds of all commands.
func (p *program) measureRounds(
	ctx context.Context, o BenchOptions, commands []benched, plan rounds.Plan, kept *runner.KeptBench,
) (b datamodel.Bench, err error) {
	input, err := file(o.Input)
	if err != nil {
		return b, err
	}
	output, err := file(o.Output)
	if err != nil {
		return b, err
	}
	errs, err := os.CreateTemp("", "ergon-bench-*.stderr")
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, errs.Close(), os.Remove(errs.Name())) }()
	said := errs.Name()
	if o.Output == "inherit" {
		said = ""
	}
	session, err := runner.Open(p.benchRunner(o))
	if err != nil {
		return b, err
	}
	defer session.Close()
	if err := hook(ctx, "setup", o.Setup, "", nil); err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, hook(context.WithoutCancel(ctx), "cleanup", o.Cleanup, "", nil)) }()
	cool, err := o.Cooldown.begin(ctx, o.Procfs, o.Sysfs)
	if err != nil {
		return b, fmt.Errorf("--cooldown: %w", err)
	}
	show := p.benchProgress(o, commands)
	defer show.erase()
	measure := func(ctx context.Context, c int, _ bool) (datamodel.Round, error) {
		if err := hook(ctx, "prepare", commands[c].prepare, commands[c].dir, commands[c].parameters); err != nil {
			return datamodel.Round{}, err
		}
		calm, err := cool(ctx)
		if err != nil {
			return datamodel.Round{}, err
		}
		started := commands[c].launched()
		started.Argv = o.batched(started.Argv, input)
		started.Input, started.Output, started.Errors, started.Processors = input, output, said, o.Affinity
		var next *launch.Command
		if o.foreseen(commands, input, output) {
			next = &started
		}
		rep, err := session.Round(ctx, started, next)
		switch {
		case ctx.Err() != nil:
			return datamodel.Round{}, ctx.Err()
		case rep.Refused != nil:
			return datamodel.Round{}, commands[c].wrap(rep.Refused)
		case err != nil:
			return datamodel.Round{}, err
		}
		kept.Saw(rep.Run)
		r := runner.RoundOf(rep).Each(o.Batch)
		if !calm {
			r.Conditions = append(r.Conditions, datamodel.NotIdle)
		}
		return r, hook(ctx, "conclude", commands[c].conclude, commands[c].dir, commands[c].parameters)
	}
	b, err = plan.Run(ctx, measure, show.tell)
	if failed, ok := errors.AsType[*rounds.FailedError](err); ok {
		failing := commands[failed.Command]
		err = failing.wrap(fmt.Errorf("%s: %w%s", failing.name, failed, lastLines(said)))
	}
	return b, err
}

// foreseen says whether the process of the next round may be made while the last one makes its result: if it is known what
// comes next, if nothing is to happen in between, and if no file of the user is opened too early or cut.
func (o BenchOptions) foreseen(commands []benched, input, output string) bool {
	ours := func(path string) bool { return path == "" || path == os.DevNull }
	return len(commands) == 1 && commands[0].prepare == "" && commands[0].conclude == "" && o.Cooldown == (cooldown{}) && ours(input) && ours(output)
}

// benchRunner converts the options to what the runner needs. Nothing of a single round is kept in files.
func (p *program) benchRunner(o BenchOptions) runner.Options {
	config := o.config()
	config.Node, _ = os.Hostname()
	return runner.Options{
		Project: "bench", Brief: true, Alone: o.aloneIn(), Config: config, Backends: p.backends, Launcher: p.launcher, Sampler: p.spawnSampler, Timeout: o.Timeout, Version: version(),
		Host: sync.OnceValue(func() datamodel.HostInfo { return backend.Describe(config.Setup) }),
	}
}

// failedStatus returns the exit code after a round that failed: the command's, as far as the command is what failed.
func failedStatus(r datamodel.Round) error {
	switch {
	case r.Outcome == datamodel.TimedOut:
		return status(runner.ExitTimedOut)
	case r.ExitCode == 0: // ergon's own readings failed
		return status(runner.ExitErgon)
	}
	return status(r.ExitCode)
}

// hook runs a shell command that is not measured, in a folder; "" is ours. Its output is shown only if it fails.
func hook(ctx context.Context, option, line, dir string, parameters []datamodel.Parameter) error {
	if line == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", put(line, parameters))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("--%s: %s: %w%s", option, line, err, tail(string(out)))
	}
	return nil
}

// lastLines returns what a failed command wrote last to stderr.
func lastLines(path string) string {
	if path == "" {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return tail(string(text))
}

// mostSaid is how many lines of a failed command are shown.
const mostSaid = 10

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = lines[max(0, len(lines)-mostSaid):]
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return "; it said: " + strings.Join(lines, "; ")
}

// concludeBench prints the result and writes the exports. err is why the bench ended early.
func (p *program) concludeBench(
	ctx context.Context, o BenchOptions, b datamodel.Bench, kept *runner.KeptBench, err error,
) error {
	run, dir, notKept := kept.Finish(b, err)
	var findings report.Findings
	if len(b.Rounds) > 0 {
		result := benchResult(b, run, o.Verbose)
		options := reportOptions(p.out.File())
		if dir != "" && notKept == nil {
			options.Results, options.Again = shortest(dir), again(dir, run)
		}
		if e := result.Write(p.out.Styled(), o.Format, options); e != nil {
			return e
		}
		findings = result.BudgetFindings(o.Strict)
		if e := p.exportBench(o.Exports, result, options); e != nil {
			p.complain(e)
		}
	}
	if notKept == nil && dir != "" {
		notKept = p.tagBench(o, run.ID)
	}
	if notKept != nil {
		p.complain(notKept)
	}
	refused, notRun := errors.AsType[*launch.ExecError](err)
	failed, hasFailed := errors.AsType[*rounds.FailedError](err)
	switch {
	case hasFailed: // ergon ends as the command did
		p.complain(fmt.Errorf("bench: %w", err))
		return failedStatus(failed.Round)
	case notRun:
		p.complain(err)
		if refused.NotFound() {
			return status(runner.ExitNotFound)
		}
		return status(runner.ExitNotExecutable)
	case b.Ended == datamodel.BenchInterrupted, errors.Is(err, context.Canceled):
		p.complain(errors.New("bench: interrupted; the rounds so far are shown"))
		if s, ok := errors.AsType[signaled](context.Cause(ctx)); ok {
			return status(launch.State{Signal: int(s.Signal)}.Code())
		}
		return status(runner.ExitErgon)
	case err != nil:
		return err
	case notKept != nil:
		return status(runner.ExitErgon)
	}
	if !o.NoCI {
		p.toJobPage(findings.WriteMarkdown)
		p.annotate(findings)
	}
	return judged(findings)
}

// defaultThreshold is the smallest change that matters, as a part of the base.
const defaultThreshold = 0.03

// summaryMetric checks the name of a metric of the summary.
func summaryMetric(name string) error {
	d, ok := datamodel.Lookup(name)
	if !ok || !d.Summary && !d.OfRounds {
		return fmt.Errorf("no metric %q of the summary (ergon report -f csv lists them)", name)
	}
	return nil
}
