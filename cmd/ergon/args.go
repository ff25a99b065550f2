package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange finds the first word that is no option. If it names a subcommand, all options are moved between that and its other
// words, where the parser looks for them: `ergon report last -f json`. If not, the command line is that of `run`. Options stop
// there: `ergon make -j8` gives -j8 to make, and one -- is eaten. What is wrong with an option is said here as far as it can
// be, since the parser does not know how it was typed, nor what may be given.
func (p *program) arrange() ([]string, error) {
	args := p.argv[1:]
	if len(args) == 0 {
		return p.argv, nil
	}
	n := scan(args, runFlags()).end
	typed, options, words := "", args[:n], []string(nil)
	if n < len(args) {
		typed = args[n]
	}
	c := p.subcommand(typed)
	switch {
	case c == nil:
		c, typed = p.subcommand("run"), ""
	case c.Name == "run" || c.Name == recordWord:
		n++
		more := scan(args[n:], c.Flags).end
		options, n = slices.Concat(options, args[n:n+more]), n+more
	default:
		var more []string
		more, words = apart(args[n+1:], c.Flags)
		options = slices.Concat(options, more)
	}
	front := scan(options, c.Flags)
	switch {
	case front.asks("help", "h") && typed != "":
		return []string{"ergon", typed, "--help"}, nil
	case front.asks("help", "h"):
		return []string{"ergon", "--help"}, nil
	case front.asks("version", "v") && words == nil:
		return []string{"ergon", "--version"}, nil
	}
	if err := front.check(typed); err != nil {
		return nil, err
	}
	if words == nil { // a command is to be measured
		if n < len(args) && args[n] == "--" {
			n++
		}
		if n < len(args) {
			p.word = n + 1
		}
		words = slices.Concat([]string{"--"}, args[n:])
	}
	return slices.Concat([]string{"ergon", c.Name}, options, words), nil
}

// option is one as it was typed, without its value: --interval.
type option struct {
	typed, value string
	flag         cli.Flag // nil where there is none of that name
	lacking      bool     // it needs a value, and there is nothing behind it
}

func (o option) name() string { return strings.TrimLeft(o.typed, "-") }

// scanned is the options before the first word, and where that is.
type scanned struct {
	options []option
	end     int
}

// scan goes up to the first argument that is neither an option nor the value of one of the flags.
func scan(args []string, flags []cli.Flag) (s scanned) {
	for s.end < len(args) && len(args[s.end]) > 1 && args[s.end][0] == '-' && args[s.end] != "--" {
		var o option
		var attached bool
		o.typed, o.value, attached = strings.Cut(args[s.end], "=")
		s.end++
		if i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), o.name()) }); i >= 0 {
			o.flag = flags[i]
		}
		if o.flag != nil && !isBool(o.flag) && !attached {
			if o.lacking = s.end == len(args); !o.lacking {
				o.value = args[s.end]
				s.end++
			}
		}
		s.options = append(s.options, o)
	}
	return s
}

func isBool(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

// asks says whether one of these options, which every command has, is among them.
func (s scanned) asks(names ...string) bool {
	return slices.ContainsFunc(s.options, func(o option) bool { return o.flag == nil && slices.Contains(names, o.name()) })
}

// check says what is wrong with the options of the subcommand that was typed, if any.
func (s scanned) check(subcommand string) error {
	for _, o := range s.options {
		switch {
		case o.flag == nil && subcommand == "":
			return &usage{fmt.Errorf("no option %s: `ergon --help` lists what there is", o.typed)}
		case o.flag == nil:
			return misused(subcommand, "%s takes no %s: `ergon %[1]s --help` lists what it takes", subcommand, o.typed)
		case o.lacking:
			return &usage{fmt.Errorf("%s: needs a value: %s", o.typed, meaning(o.flag))}
		case isBool(o.flag) && o.value != "":
			if _, err := strconv.ParseBool(o.value); err != nil {
				return &usage{fmt.Errorf("%s: %q is neither true nor false", o.typed, o.value)}
			}
		}
	}
	return nil
}

// meaning is what the help says of a flag.
func meaning(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		return strings.ReplaceAll(d.GetUsage(), "`", "")
	}
	return "see `ergon --help`"
}

// misused is a wrong call of a subcommand that a newcomer may have meant as the program of that name.
func misused(subcommand, format string, args ...any) error {
	return &usage{fmt.Errorf("%w; `ergon -- %s ...` measures the program %[2]s", fmt.Errorf(format, args...), subcommand)}
}

// apart tells options, with the values of those flags, from words; with the words is what ends the options.
func apart(args []string, flags []cli.Flag) (options, words []string) {
	words = []string{"--"}
	for {
		n := scan(args, flags).end
		options, args = append(options, args[:n]...), args[n:]
		switch {
		case len(args) == 0:
			return options, words
		case args[0] == "--":
			return options, append(words, args[1:]...)
		}
		words, args = append(words, args[0]), args[1:]
	}
}

// subcommand is the one of that name, nil where there is none.
func (p *program) subcommand(word string) *cli.Command {
	list := p.commands()
	if i := slices.IndexFunc(list, func(c *cli.Command) bool { return c.HasName(word) }); i >= 0 {
		return list[i]
	}
	return nil
}
