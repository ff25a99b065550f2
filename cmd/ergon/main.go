// Command ergon is a prefix command like time: `ergon ./train.sh` tells what a command cost in energy, CPU, memory,
// disk, network and GPU; the whole machine's and the command's own share.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/sensors"
)

func main() {
	os.Exit(run(os.Args, stdio{os.Stdin, os.Stdout, os.Stderr}, backend.All()))
}

// stdio is where a command reads and writes.
type stdio struct {
	in       *os.File
	out, err *os.File
}

// program is what the subcommands share.
type program struct {
	stdio
	backends []sensors.Backend
	early    *launch.Early // nil once somebody has taken it, or where there is none
	argv     []string
	word     int // where in argv the command to be measured begins; 0 where there is none
}

// run is the whole program; it returns the exit code.
func run(argv []string, std stdio, backends []sensors.Backend) int {
	if launch.IsSampler() || len(argv) == 2 && argv[1] == sampleWord {
		if err := sample(std, backends); err != nil {
			slog.New(slog.NewTextHandler(std.err, nil)).Error("sampler", "error", err)
			return exitErgon
		}
		return 0
	}
	p := &program{stdio: std, backends: backends, early: launch.TakeEarly(), argv: argv}
	defer p.dropEarly()
	args, err := p.arrange()
	if err == nil {
		err = p.app().Run(args)
	}
	return p.exit(err)
}

// dropEarly lets go of what was forked for a command that is not measured after all.
func (p *program) dropEarly() {
	if p.early != nil {
		p.early.Close()
		p.early = nil
	}
}

// app is the table of subcommands.
func (p *program) app() *cli.App {
	return &cli.App{
		Name:            "ergon",
		Usage:           "tells what a command cost: energy, CPU, memory, disk, network, GPU",
		UsageText:       "ergon [OPTIONS] [--] COMMAND [ARG...]\nergon SUBCOMMAND [OPTIONS] [ARG...]",
		Version:         version(),
		Writer:          p.out,
		ErrWriter:       p.err,
		HideHelpCommand: true,
		Commands:        p.commands(),
		// Shown in the help; arrange gives them to `run`. cli adds its own option of the help only where no command is called help.
		Flags:          append(runFlags(), cli.HelpFlag),
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   usageError,
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return &usage{fmt.Errorf("no command %q", c.Args().First())}
			}
			_ = cli.ShowAppHelp(c)
			return &usage{errors.New("no command to measure: try `ergon sleep 1`")}
		},
	}
}

// commands lists the subcommands.
func (p *program) commands() []*cli.Command {
	list := []*cli.Command{
		p.runCommand(), p.recordCommand(), p.sensorsCommand(), p.doctorCommand(), p.reportCommand(), p.lsCommand(), p.exportCommand(),
		p.recoverCommand(), p.helpCommand(),
	}
	for _, c := range list {
		c.OnUsageError = usageError // the App's is not inherited, and the default prints the whole help
		c.HideHelpCommand = true
	}
	return list
}

func (p *program) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "show this, or the help of a subcommand", ArgsUsage: "[SUBCOMMAND]",
		Action: func(c *cli.Context) error {
			word := c.Args().First()
			switch {
			case c.NArg() == 0:
				return cli.ShowAppHelp(c)
			case c.NArg() > 1:
				return misused("help", "help: one subcommand at a time, not %d", c.NArg())
			case p.subcommand(word) == nil:
				return misused("help", "help: no subcommand %q: `ergon help` lists them", word)
			}
			return cli.ShowCommandHelp(c, word)
		},
	}
}
