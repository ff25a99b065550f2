package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

// The scripts ask `ergon completion words` what may stand at the end of a line.
var (
	//go:embed completion/bash.sh
	bashScript string
	//go:embed completion/zsh.sh
	zshScript string
	//go:embed completion/fish.fish
	fishScript string
)

// mostRuns bounds how many runs are offered, the latest first.
const mostRuns = 50

func (p *program) completionCommand() *subcommand {
	return &subcommand{
		name: "completion", takes: aShell, usage: "print a script that completes ergon's words: bash, zsh or fish", arguments: "SHELL",
		example: `eval "$(ergon completion bash)"`,
		run: func(_ context.Context, words []string) error {
			scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
			switch {
			case len(words) > 1 && words[0] == "words":
				p.offer(words[1:])
				return nil
			case len(words) != 1 || scripts[words[0]] == "":
				return misused("completion", "completion: want one shell: bash, zsh or fish")
			}
			fmt.Fprint(p.out, scripts[words[0]])
			return nil
		},
	}
}

// offer prints what may stand in the place of the last word. The first line says what the shell shall add by itself: words
// (nothing), files, or "command N": the words from number N on are a command and its arguments. Each further line is a word, and
// after a tab its meaning.
func (p *program) offer(words []string) {
	o := completion{p: p, commands: p.commands(), current: words[len(words)-1], also: "words"}
	o.line(words[:len(words)-1])
	fmt.Fprintln(p.out, o.also)
	for _, w := range o.words {
		fmt.Fprintln(p.out, w)
	}
}

// completion collects what may stand in the place of a word.
type completion struct {
	p        *program
	commands []*subcommand
	current  string
	also     string
	words    []string
}

// add offers a word if the current word is its beginning.
func (c *completion) add(word, meaning string) {
	if strings.HasPrefix(word, c.current) {
		c.words = append(c.words, word+"\t"+meaning)
	}
}

// line looks at the words before the current one.
func (c *completion) line(before []string) {
	sub := named(c.commands, "run")
	rest, typed := scan(before, sub.options)
	first := len(before) - len(rest) // the number of the first word that is no option
	typedWord := false
	if len(rest) > 0 {
		if found, n := leading(c.commands, rest); found != nil {
			sub, typedWord, rest = found, true, rest[n:]
			first += n
			if sub.prefix {
				var more int
				rest, typed = scan(rest, sub.options)
				more = len(before) - first - len(rest)
				first += more
			} else {
				rest, typed = permuted(rest, sub.options)
			}
		}
	}
	if len(typed) > 0 && before[len(before)-1] != "--" {
		last := typed[len(typed)-1]
		o := sub.options.find(last.name)
		if o != nil && !o.isSwitch() && last.alone { // its value is the current word
			c.value(o, "")
			return
		}
	}
	afterDashes := slices.Contains(before, "--")
	switch {
	case sub.prefix && len(rest) > 0:
		if rest[0] == "--" {
			first++
		}
		c.also = fmt.Sprintf("command %d", first)
	case strings.HasPrefix(c.current, "-") && !afterDashes:
		c.options(sub)
	case sub.prefix:
		c.also = fmt.Sprintf("command %d", first)
		if !typedWord {
			for _, s := range of(c.commands, "") {
				c.add(s.name, s.usage)
			}
		}
	case len(rest) == 0 || sub.takes == severalRuns || sub.takes == aTagWord:
		c.argument(sub, rest)
	}
}

// options offers the options of a subcommand, or the values of one: --format=j.
func (c *completion) options(sub *subcommand) {
	if name, given, attached := strings.Cut(c.current, "="); attached {
		if o := sub.options.find(strings.TrimLeft(name, "-")); o != nil && !o.isSwitch() {
			c.current = given
			c.value(o, name+"=")
		}
		return
	}
	for _, o := range sub.options {
		c.add("--"+o.name, o.meaning())
	}
	c.add("--help", "show help")
}

// value offers the values of an option. front is what stands before the value in the same word.
func (c *completion) value(o *option, front string) {
	offer := func(value, meaning string) {
		if strings.HasPrefix(value, c.current) {
			c.words = append(c.words, front+value+"\t"+meaning)
		}
	}
	switch v := o.value.(type) {
	case choice:
		for _, word := range v.among {
			offer(word, "")
		}
	case choices:
		for _, word := range v.among {
			offer(word, "")
		}
	case rules, budgets, metricName:
		for _, d := range datamodel.Summary() {
			offer(d.Name, d.Doc)
		}
	case *intervals:
		for _, b := range v.backends {
			offer(b.Name+"=", "")
		}
	default:
		if o.name == "sensors" {
			for _, b := range c.p.backends {
				offer("+"+b.Name, "only "+b.Name)
				offer("-"+b.Name, "not "+b.Name)
			}
			return
		}
		switch o.name {
		case "project":
			for _, project := range c.projects() {
				offer(project, "")
			}
			return
		case "tag":
			h := c.history()
			tags, _ := h.Tags() // without them there is nothing to offer
			for _, t := range tags[:min(len(tags), mostRuns)] {
				offer(t.Name, "tag of run "+t.ID)
			}
			return
		}
		c.also = "files"
	}
}

// argument offers an argument of a subcommand. before are the arguments before it.
func (c *completion) argument(sub *subcommand, before []string) {
	switch sub.takes {
	case nothing:
	case aRun, severalRuns:
		c.runs()
		c.also = "files"
	case aFile:
		c.also = "files"
	case aTagWord:
		switch {
		case len(before) == 0:
			for _, w := range tagWords() {
				c.add(w.name, w.usage)
			}
		case len(before) == 1 && before[0] == "add":
			c.runs()
		default:
			c.tags()
		}
	case aMarkWord:
		for _, w := range markWords() {
			c.add(string(w.kind), w.usage)
		}
	case aWord:
		for _, s := range of(c.commands, sub.name) {
			c.add(strings.TrimPrefix(s.name, sub.name+" "), s.usage)
		}
	case aSubcommand:
		for _, s := range of(c.commands, "") {
			c.add(s.name, s.usage)
		}
	case aShell:
		for _, shell := range []string{"bash", "zsh", "fish"} {
			c.add(shell, "")
		}
	}
}

// history returns the runs of the default results folder, or of the folder that ERGON_RESULTS or a settings file names.
func (c *completion) history() history.History {
	l := line{commands: c.commands, subcommand: named(c.commands, "ls")}
	if c.p.settle(l, os.LookupEnv) != nil {
		return history.History{}
	}
	return history.History{Results: l.subcommand.options.find("results").value.Current()}
}

// runs offers the tags and the latest runs.
func (c *completion) runs() {
	c.add(history.Last, "the latest run")
	c.tags()
	h := c.history()
	entries, err := h.List()
	if err != nil {
		return
	}
	for i, e := range entries {
		if i == mostRuns {
			return
		}
		c.add(e.Run.ID, cmdline.Line(e.Run.Command))
	}
}

// tags offers the latest tags by name.
func (c *completion) tags() {
	h := c.history()
	tags, err := h.Tags()
	if err != nil {
		return
	}
	for _, t := range tags[:min(len(tags), mostRuns)] {
		c.add(t.Name, "tag of run "+t.ID)
	}
}

// projects offers the projects.
func (c *completion) projects() []string {
	h := c.history()
	entries, err := h.List()
	if err != nil {
		return nil
	}
	return history.Projects(entries)
}
