package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/internal/cmdline"
)

// subcommand holds what the help says about it, its options, and what runs it. A name of two words belongs to a group, which is
// the subcommand with the first word as its name: `ergon runs rm`. So the second word stays one that can be measured.
type subcommand struct {
	name, usage, arguments, description, example string
	options                                      table
	// prefix says that the words are a command to measure, with options of its own: ours end at the first word.
	prefix bool
	// many says the same of a command that is measured many times.
	many bool
	// commandAfter is the option that makes the words a command to measure; "" if none does.
	commandAfter string
	// takes says what the first argument is.
	takes argument
	// run is called with the words once the options are set.
	run func(ctx context.Context, words []string) error
}

// argument is what a subcommand takes as its first argument, for completion.
type argument int

const (
	nothing argument = iota
	aRun
	aSubcommand
	aShell
	aWord // of this group
	severalRuns
	aFile
	aTagWord  // what `runs tag` can do, then a run or a tag
	aMarkWord // what `mark` can tell
)

// line is the command line after its one parse.
type line struct {
	commands []*subcommand
	// subcommand is the one that was typed; `run` if none was.
	subcommand *subcommand
	// word is the subcommand as typed; empty if none was.
	word string
	// options are those typed, in order.
	options layer
	// words are the rest: the command to measure, or the arguments of the subcommand.
	words []string
	// help and version say that one of these options was given.
	help, version bool
}

// typed is one option as it was typed.
type typed struct {
	name, place, given string
	// alone says that no value was typed, neither after = nor as the next argument.
	alone bool
	// late says that it stood after a word, and before any --.
	late bool
}

// parse reads the command line once. The first word that is not an option is the name of a subcommand or a command to
// measure. Options before that word belong to the subcommand. `ergon make -j8` gives -j8 to make. One -- is removed.
// Options of a subcommand may come after its words: `ergon report last -f json`.
func parse(argv []string, commands []*subcommand) (line, error) {
	l := line{commands: commands, subcommand: named(commands, "run"), options: layer{kind: commandLine}}
	rest, all := scan(argv[min(1, len(argv)):], l.subcommand.options)
	if len(rest) > 0 {
		if c, n := leading(commands, rest); c != nil {
			l.subcommand, l.word, rest = c, c.name, rest[n:]
			var more []typed
			if c.prefix || c.many {
				rest, more = scan(rest, c.options)
			} else {
				l.words, more = permuted(rest, c.options)
			}
			all = append(all, more...)
		}
	}
	if l.subcommand.prefix || l.subcommand.many {
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		l.words = rest
	}
	return l, l.take(all)
}

// take keeps the options that were typed. It returns an error if one is unknown or lacks its value.
func (l *line) take(all []typed) error {
	asks := func(names ...string) bool {
		return slices.ContainsFunc(all, func(t typed) bool { return l.subcommand.options.find(t.name) == nil && slices.Contains(names, t.name) })
	}
	l.help = asks("help", "h")
	l.version = !l.help && l.subcommand.prefix && asks("version", "V")
	if l.help || l.version {
		return nil
	}
	if err := l.mistaken(all); err != nil {
		return err
	}
	for _, t := range all {
		o := l.subcommand.options.find(t.name)
		switch {
		case o == nil && l.word == "":
			return &usage{fmt.Errorf("no option %s%s: `ergon --help` lists the options", t.place, l.subcommand.options.meant(t.name))}
		case o == nil:
			return misused(l.word, "%s has no option %s%s: `ergon %[1]s --help` lists its options", l.word, t.place, l.subcommand.options.meant(t.name))
		case t.alone && o.isSwitch():
			t.given = "true"
		case t.alone:
			return &usage{fmt.Errorf("%s: needs a value: %s", t.place, o.meaning())}
		}
		l.options.settings = append(l.options.settings, setting{option: o.name, given: t.given, place: t.place})
	}
	return nil
}

// mistaken returns an error if options stand between the words of a command. Nobody can tell whether they are those of the command.
func (l *line) mistaken(all []typed) error {
	c := l.subcommand
	if c.commandAfter == "" || !slices.ContainsFunc(all, func(t typed) bool { return t.name == c.commandAfter }) {
		return nil
	}
	i := slices.IndexFunc(all, func(t typed) bool { return t.late })
	if i < 0 {
		return nil
	}
	return &usage{fmt.Errorf("%[1]s: %[2]s stands after the command %[3]s: options of ergon go before a --, and the command after it: `ergon %[1]s --%[4]s ... -- %[3]s ...`",
		c.name, all[i].place, cmdline.Text(l.words[0]), c.commandAfter)}
}

// scan reads options up to the first argument that is neither an option nor the value of one in the table.
func scan(args []string, t table) (rest []string, all []typed) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		place, given, attached := strings.Cut(args[0], "=")
		o := typed{name: strings.TrimPrefix(place[1:], "-"), place: place, given: given, alone: !attached}
		args = args[1:]
		if known := t.find(o.name); known != nil && !known.isSwitch() {
			if o.alone && len(args) > 0 {
				o.given, o.alone, args = args[0], false, args[1:]
			}
			for i := 1; i < known.values && len(args) > 0; i++ {
				o.given, args = o.given+wordBreak+args[0], args[1:]
			}
		}
		all = append(all, o)
	}
	return args, all
}

// permuted separates options from words, in any order. What follows -- is words.
func permuted(args []string, t table) (words []string, all []typed) {
	for {
		rest, more := scan(args, t)
		for i := range more {
			more[i].late = words != nil
		}
		all = append(all, more...)
		switch {
		case len(rest) == 0:
			return words, all
		case rest[0] == "--":
			return append(words, rest[1:]...), all
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

// leading returns the subcommand that words begin with, and how many words its name has; nil if they begin with none.
func leading(commands []*subcommand, words []string) (c *subcommand, n int) {
	if len(words) > 1 {
		if c = named(commands, words[0]+" "+words[1]); c != nil && c.group() == words[0] {
			return c, 2
		}
	}
	if len(words) > 0 && !strings.Contains(words[0], " ") {
		c = named(commands, words[0])
	}
	return c, 1
}

// group returns the first word of a name of two words, else an empty string.
func (c *subcommand) group() string {
	first, _, two := strings.Cut(c.name, " ")
	if !two {
		return ""
	}
	return first
}

// of returns the subcommands of a group; of the empty group, those whose name is one word.
func of(commands []*subcommand, group string) (list []*subcommand) {
	for _, c := range commands {
		if c.group() == group {
			list = append(list, c)
		}
	}
	return list
}

// named returns the subcommand of that name; nil if there is none.
func named(commands []*subcommand, name string) *subcommand {
	if i := slices.IndexFunc(commands, func(c *subcommand) bool { return c.name == name }); i >= 0 {
		return commands[i]
	}
	return nil
}

// misused returns the error of a wrong call. The user may have meant the program that has the subcommand's name.
func misused(subcommand, format string, args ...any) error {
	if strings.Contains(subcommand, " ") { // there is no such program
		return &usage{fmt.Errorf("%w; `ergon %s --help` has more", fmt.Errorf(format, args...), subcommand)}
	}
	return &usage{fmt.Errorf("%w; `ergon -- %s ...` measures the program %[2]s", fmt.Errorf(format, args...), subcommand)}
}
