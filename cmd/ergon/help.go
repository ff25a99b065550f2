package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"
)

func (p *program) helpCommand() *subcommand {
	return &subcommand{name: "help", usage: "show this help, or the help of a subcommand", arguments: "[SUBCOMMAND]"}
}

// cli runs what urfave/cli does for us: the help, the version, and all subcommands except those that measure. The options are
// parsed already, so cli gets a command line without them.
func (p *program) cli(ctx context.Context, l line) error {
	words := []string{"ergon"}
	if l.word != "" {
		words = append(words, l.word)
	}
	switch {
	case l.help:
		words = append(words, "--help")
	case l.version:
		words = []string{"ergon", "--version"}
	case len(l.words) > 0:
		words = append(append(words, "--"), l.words...)
	}
	return p.app(l).RunContext(ctx, words)
}

// app makes cli's view of the subcommands.
func (p *program) app(l line) *cli.App {
	app := &cli.App{
		Name:            "ergon",
		Usage:           "tells what a command cost: energy, CPU, memory, disk, network, GPU",
		UsageText:       "ergon [OPTIONS] [--] COMMAND [ARG...]\nergon SUBCOMMAND [OPTIONS] [ARG...]",
		Version:         version(),
		Writer:          p.out,
		ErrWriter:       p.err,
		HideHelpCommand: true,
		Flags:           append(named(l.commands, "run").options.flags(), cli.HelpFlag), // cli adds it only if no command is called help
		ExitErrHandler:  func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			_ = cli.ShowAppHelp(c)
			return &usage{errNoCommand}
		},
	}
	for _, sub := range l.commands {
		c := &cli.Command{
			Name: sub.name, Usage: sub.usage, ArgsUsage: sub.arguments, Description: sub.description, Flags: sub.options.flags(),
			HideHelpCommand: true,
			Action: func(c *cli.Context) error {
				if err := p.settle(l, os.LookupEnv); err != nil {
					return err
				}
				return sub.run(c.Context, c.Args().Slice())
			},
		}
		if sub.name == "help" {
			c.Action = showHelp
		}
		app.Commands = append(app.Commands, c)
	}
	return app
}

// showHelp shows the help of the subcommand that the words name, or of ergon.
func showHelp(c *cli.Context) error {
	word := c.Args().First()
	switch {
	case c.NArg() == 0:
		return cli.ShowAppHelp(c)
	case c.NArg() > 1:
		return misused("help", "help: one subcommand at a time, not %d", c.NArg())
	case c.App.Command(word) == nil:
		return misused("help", "help: no subcommand %q: `ergon help` lists them", word)
	}
	return cli.ShowCommandHelp(c, word)
}
