package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// helpWidth is the number of columns of the help; helpColumn is where the text beside an option begins.
const (
	helpWidth  = 80
	helpColumn = 26
)

// HelpOptions are the options of `ergon help`.
type HelpOptions struct {
	// Man is a folder that the manual pages are written to; empty writes none.
	Man string
}

func (p *program) helpCommand() *subcommand {
	var o HelpOptions
	c := &subcommand{
		name: "help", takes: aSubcommand, usage: "show this help, or the help of a subcommand", arguments: "[SUBCOMMAND]", example: "ergon help report",
		options: table{{name: "man", scope: once, usage: "write the manual pages to this `DIR` instead: ergon.1, and ergon-NAME.1 for each subcommand", value: required{&o.Man, "folder"}}},
	}
	c.run = func(_ context.Context, words []string) error {
		if len(words) > 0 {
			return misused("help", "help: --man writes all pages: leave out %q", words[0])
		}
		return p.man(o)
	}
	return c
}

// cli runs what urfave/cli does for us: it dispatches to the help, the version, and all subcommands except those that measure. The
// options are parsed already, so cli gets a command line without them.
func (p *program) cli(ctx context.Context, l line) error {
	words := []string{"ergon"}
	if l.word != "" {
		words = append(words, l.word)
	}
	switch {
	case l.help:
		words = append(words, "--help")
	case l.version:
		words = []string{"ergon", "version"}
	case len(l.words) > 0:
		words = append(append(words, "--"), l.words...)
	}
	return p.app(l).RunContext(ctx, words)
}

// asText makes cli print a text of ours as the help.
const asText = "{{.Description}}"

// app makes cli's view of the subcommands.
func (p *program) app(l line) *cli.App {
	app := &cli.App{
		Name:                  "ergon",
		Description:           overview(l.commands),
		CustomAppHelpTemplate: asText,
		Writer:                p.out,
		ErrWriter:             p.err,
		HideHelpCommand:       true,
		Flags:                 []cli.Flag{cli.HelpFlag}, // cli adds it only if no command is called help
		HideVersion:           true,
		ExitErrHandler:        func(*cli.Context, error) {},
		Action: func(*cli.Context) error {
			fmt.Fprint(p.err, introduction)
			return &usage{errNoCommand}
		},
	}
	for _, sub := range l.commands {
		c := &cli.Command{
			Name: sub.name, Description: sub.help(of(l.commands, sub.name)), CustomHelpTemplate: asText, HideHelpCommand: true,
			Action: func(c *cli.Context) error {
				if err := p.settle(l, os.LookupEnv); err != nil {
					return err
				}
				return sub.run(c.Context, c.Args().Slice())
			},
		}
		if sub.name == "help" && len(l.options.settings) == 0 {
			c.Action = showHelp
		}
		app.Commands = append(app.Commands, c)
	}
	return app
}

// showHelp shows the help of the subcommand that the words name, or of ergon.
func showHelp(c *cli.Context) error {
	word := strings.Join(c.Args().Slice(), " ")
	switch {
	case c.NArg() == 0:
		return cli.ShowAppHelp(c)
	case c.NArg() > 1 && c.App.Command(word) == nil:
		return misused("help", "help: one subcommand at a time, not %d", c.NArg())
	case c.App.Command(word) == nil:
		return misused("help", "help: no subcommand %q: `ergon help` lists them", word)
	}
	return cli.ShowCommandHelp(c, word)
}

// introduction is what `ergon` alone prints.
const introduction = `ergon tells what a command cost: energy, CPU, memory, disk, network, GPU.

  ergon make -j8       measure a command
  ergon report         show the last run again; -f json, csv, markdown, html
  ergon ls             list the runs; ergon runs tags, removes, prunes them
  ergon sensors        list what can be read here, and why the rest cannot
  ergon doctor         tell how to get what cannot be read

ergon --help lists all options and subcommands.
`

// purpose says in half a sentence what ergon does; example is a call of it.
const (
	purpose = "tells what a command cost: energy, CPU, memory, disk, network, GPU"
	example = "ergon --project nightly --timeout 10m make -j8 test"
)

// overview returns the help of ergon.
func overview(commands []*subcommand) string {
	var b strings.Builder
	b.WriteString("ergon " + purpose + `.

Usage: ergon [OPTIONS] [--] COMMAND [ARG...]
       ergon SUBCOMMAND [OPTIONS] [ARG...]

Subcommands (ergon help SUBCOMMAND has more):
`)
	for _, c := range of(commands, "") {
		entry(&b, c.name, c.usage)
	}
	b.WriteString(named(commands, "run").options.help())
	b.WriteString("\nExample: " + example + "\n")
	return b.String()
}

// help returns the help of a subcommand. words are its subcommands, if it is a group.
func (c *subcommand) help(words []*subcommand) string {
	var b strings.Builder
	usage := "Usage: ergon " + c.name
	if len(c.options) > 0 {
		usage += " [OPTIONS]"
	}
	if c.arguments != "" {
		usage += " " + c.arguments
	}
	fmt.Fprintf(&b, "%s\n\n", usage)
	paragraph(&b, "ergon "+c.name+": "+c.usage+".", 0)
	if c.description != "" {
		b.WriteString("\n")
		paragraph(&b, c.description, 0)
	}
	if len(words) > 0 {
		fmt.Fprintf(&b, "\nSubcommands (ergon %s WORD --help has more):\n", c.name)
		for _, w := range words {
			entry(&b, strings.TrimSpace(strings.TrimPrefix(w.name, c.name)+" "+w.arguments), w.usage)
		}
	}
	b.WriteString(c.options.help())
	if c.example != "" {
		fmt.Fprintf(&b, "\nExample: %s\n", c.example)
	}
	return b.String()
}

// groups lists the headings in their order.
func groups() []group {
	return []group{ungrouped, forCommand, forSummary, forResults, forNow, forReadings, forEnergy, forBudgets, forPrivacy, forSettings}
}

// help returns the options in their groups.
func (t table) help() string {
	var b strings.Builder
	for _, g := range groups() {
		heading := fmt.Sprintf("\n%s:\n", g)
		for _, o := range t {
			if o.group == g {
				b.WriteString(heading)
				entry(&b, o.form(), o.text())
				heading = ""
			}
		}
	}
	return b.String()
}

// form returns the option as the help shows it: -o, --results DIR.
func (o *option) form() string {
	form := "--" + o.name
	if o.short != "" {
		form = "-" + o.short + ", " + form
	}
	if _, rest, ok := strings.Cut(o.usage, "`"); ok && !o.isSwitch() {
		value, _, _ := strings.Cut(rest, "`")
		form += " " + value
	}
	return form
}

// text returns what the help says about the option: its meaning, its default and its variable.
func (o *option) text() string {
	text := o.meaning()
	if s := o.value.String(); s != "" {
		text += " (default: " + s + ")"
	}
	if o.variable != "" {
		text += " [" + o.variable + "]"
	}
	return text
}

// entry writes a name, and its text beside it.
func entry(b *strings.Builder, name, text string) {
	fmt.Fprintf(b, "  %s", name)
	used := 2 + utf8.RuneCountInString(name)
	if used > helpColumn-2 {
		b.WriteString("\n")
		used = 0
	}
	b.WriteString(strings.Repeat(" ", helpColumn-used))
	paragraph(b, text, helpColumn)
}

// paragraph writes a text from a column on, wrapped at words. The first line is there already, up to that column.
func paragraph(b *strings.Builder, text string, indent int) {
	at := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i > 0 && at+1+n > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		case i > 0:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteString("\n")
}
