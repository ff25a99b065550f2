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

// arrange finds the first word that is no option. If it names a subcommand, all options are moved between that and its other
// words, where the parser looks for them: `ergon report last -f json`. If not, the command line is that of `run`. Options stop there: `ergon make -j8` gives -j8 to make, and one -- is eaten.
func (p *program) arrange() []string {
	args := p.argv[1:]
	n, _ := firstWord(args, runFlags())
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
		m, _ := firstWord(args[n+1:], flags)
		options, n, measuring = slices.Concat(options, args[n+1:n+1+m]), n+1+m, word
	case word != "--" && p.subcommand(word) != nil:
		more, words := apart(args[n+1:], p.subcommand(word).Flags)
		return slices.Concat([]string{"ergon", word}, options, more, words)
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

// firstWord is the index of the first argument that is neither an option nor the value of one of the flags; and whether there is
// none, as the last one's value is lacking.
func firstWord(args []string, flags []cli.Flag) (n int, lacking bool) {
	valued := map[string]bool{}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			valued[name] = !isBool
		}
	}
	for n < len(args) && len(args[n]) > 1 && args[n][0] == '-' && args[n] != "--" {
		if valued[strings.TrimLeft(args[n], "-")] {
			n++
		}
		n++
	}
	return min(n, len(args)), n > len(args)
}

// apart tells options, with the values of those flags, from words; with the words is what ends the options. Where the last
// option lacks its value there are no words, so that the parser finds that out.
func apart(args []string, flags []cli.Flag) (options, words []string) {
	for {
		n, lacking := firstWord(args, flags)
		options, args = append(options, args[:n]...), args[n:]
		switch {
		case lacking:
			return options, nil
		case len(args) == 0:
			return options, slices.Concat([]string{"--"}, words)
		case args[0] == "--":
			return options, slices.Concat([]string{"--"}, words, args[1:])
		}
		words, args = append(words, args[0]), args[1:]
	}
}

// aboutErgon says whether the options ask for ergon's own help or version.
func aboutErgon(options []string) bool {
	return slices.ContainsFunc(options, func(o string) bool {
		return slices.Contains([]string{"-h", "--help", "-v", "--version"}, o)
	})
}

// subcommand is the one of that name, nil where there is none.
func (p *program) subcommand(word string) *cli.Command {
	list := p.commands()
	if i := slices.IndexFunc(list, func(c *cli.Command) bool { return c.HasName(word) }); i >= 0 {
		return list[i]
	}
	return nil
}
