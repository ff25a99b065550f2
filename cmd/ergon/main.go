// Command ergon is a prefix command like time. `ergon ./train.sh` tells what a command cost in energy, CPU, memory, disk,
// network and GPU: for the whole machine, and the command's own share.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

func main() {
	os.Exit(run(context.Background(), os.Args, stdio{os.Stdin, os.Stdout, os.Stderr}, backend.All()))
}

// stdio holds the files that a command reads and writes.
type stdio struct {
	in       *os.File
	out, err *os.File
}

// program is what the subcommands share.
type program struct {
	stdio
	backends []sensors.Backend
	early    *launch.Early // nil once it has been taken, or if there is none
	argv     []string
	word     int // the index in argv of the command to measure
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, argv []string, std stdio, backends []sensors.Backend) int {
	if launch.IsSampler() || len(argv) == 2 && argv[1] == sampleWord {
		if err := sample(std, backends); err != nil {
			slog.New(slog.NewTextHandler(std.err, nil)).Error("sampler", "error", err)
			return runner.ExitErgon
		}
		return 0
	}
	p := &program{stdio: std, backends: backends, early: launch.TakeEarly(), argv: argv}
	defer p.dropEarly()
	return p.exit(p.dispatch(ctx, argv))
}

// dropEarly closes what was forked for a command that is not measured after all.
func (p *program) dropEarly() {
	if p.early != nil {
		p.early.Close()
		p.early = nil
	}
}

// commands lists the subcommands, in the order of the help.
func (p *program) commands() []*subcommand {
	return []*subcommand{
		p.runCommand(), p.recordCommand(), p.sensorsCommand(), p.doctorCommand(), p.reportCommand(), p.lsCommand(), p.exportCommand(),
		p.recoverCommand(), p.helpCommand(),
	}
}

// dispatch parses the command line and runs the subcommand. A command is measured without cli, whose start takes 0.5 ms.
func (p *program) dispatch(ctx context.Context, argv []string) error {
	l, err := parse(argv, p.commands())
	switch {
	case err != nil:
		return err
	case l.help, l.version, !l.subcommand.prefix, len(argv) < 2:
		return p.cli(ctx, l)
	}
	if err := l.subcommand.options.settle(environmentOf(l.subcommand.options, os.LookupEnv), l.options); err != nil {
		return err
	}
	p.word = l.at
	return l.subcommand.run(ctx, l.words)
}
