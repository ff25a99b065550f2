// Command ergon is a prefix command like time: `ergon ./train.sh` tells what a command cost in energy, CPU, memory,
// disk, network and GPU; the whole machine's and the command's own share.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

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
	return p.exit(p.app().Run(p.arrange()))
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
		Flags:           runFlags(), // shown in the help; arrange gives them to `run`
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    usageError,
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
		p.runCommand(), p.recordCommand(), p.sensorsCommand(), p.doctorCommand(), p.reportCommand(), p.lsCommand(), p.exportCommand(), p.recoverCommand(),
	}
	for _, c := range list {
		c.OnUsageError = usageError // the App's is not inherited, and the default prints the whole help
		c.HideHelpCommand = true
	}
	return list
}

// arrange finds the first word that is no option. If it names a subcommand, options before it are moved behind it; if
// not, the command line is that of `run`. Options stop there: `ergon make -j8` gives -j8 to make, and one -- is eaten.
func (p *program) arrange() []string {
	args := p.argv[1:]
	n := firstWord(args, runFlags())
	options, word, measuring := args[:n], "", "run"
	if n < len(args) {
		word = args[n]
	}
	switch {
	case word == "run" || word == recordWord:
		flags := runFlags()
		if word == recordWord {
			flags = recordFlags()
		}
		m := n + 1 + firstWord(args[n+1:], flags)
		options, n, measuring = slices.Concat(options, args[n+1:m]), m, word
	case word != "--" && p.isSubcommand(word):
		return slices.Concat([]string{"ergon", word}, options, args[n+1:])
	case word == "" && (len(options) == 0 || aboutErgon(options)):
		return p.argv
	}
	if n < len(args) && args[n] == "--" {
		n++
	}
	if n < len(args) {
		p.word = n + 1
	}
	return slices.Concat([]string{"ergon", measuring}, options, []string{"--"}, args[n:])
}

// firstWord is the index of the first argument that is neither an option nor the value of one of the flags.
func firstWord(args []string, flags []cli.Flag) int {
	valued := map[string]bool{}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			valued[name] = !isBool
		}
	}
	i := 0
	for i < len(args) && len(args[i]) > 1 && args[i][0] == '-' && args[i] != "--" {
		if valued[strings.TrimLeft(args[i], "-")] {
			i++
		}
		i++
	}
	return min(i, len(args)) // an option without its value: the parser says so
}

// aboutErgon says whether the options ask for ergon's own help or version.
func aboutErgon(options []string) bool {
	return slices.ContainsFunc(options, func(o string) bool {
		return slices.Contains([]string{"-h", "--help", "-v", "--version"}, o)
	})
}

func (p *program) isSubcommand(word string) bool {
	return slices.ContainsFunc(p.commands(), func(c *cli.Command) bool { return c.HasName(word) })
}
