package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/marks"
)

// MarkOptions are the options of `ergon mark`.
type MarkOptions struct {
	// ID tells apart instances of a region that overlap.
	ID string
}

// markWord is one thing that `ergon mark` can tell.
type markWord struct {
	kind             datamodel.MarkKind
	arguments, usage string
}

func markWords() []markWord {
	return []markWord{
		{datamodel.BeginMark, "NAME", "a region begins"},
		{datamodel.EndMark, "NAME", "a region ends"},
		{datamodel.EventMark, "NAME", "something happened"},
		{datamodel.ProgressMark, "PART", "how much is done: 3/10, 0.3 or 30%"},
		{datamodel.MetricMark, "NAME VALUE", "a figure of the command's own"},
	}
}

func (p *program) markCommand() *subcommand {
	const name = "mark"
	o := MarkOptions{}
	var arguments, meanings []string
	for _, w := range markWords() {
		arguments = append(arguments, string(w.kind)+" "+w.arguments)
		meanings = append(meanings, string(w.kind)+": "+w.usage)
	}
	return &subcommand{
		name: name, takes: aMarkWord, arguments: strings.Join(arguments, " | "), usage: "tell ergon what the command is doing, from a script that ergon measures",
		description: "It tells the ergon that measures the script which part of the work runs: " + strings.Join(meanings, "; ") +
			". The run then has the cost of each region. If no ergon measures the script, nothing happens and the exit code is 0. " +
			"Programs send the same to the socket that ERGON_SOCKET names (docs/regions.md).",
		example: "ergon mark begin train",
		options: table{
			{name: "id", scope: once, usage: "tells apart regions of one `NAME` that run at the same time", value: required{&o.ID, "name"}},
		},
		run: func(_ context.Context, words []string) error {
			for _, w := range markWords() {
				if len(words) > 1 && words[0] == string(w.kind) {
					return p.mark(o, w, words[1:])
				}
			}
			return misused(name, "%s: want %s, not %q", name, strings.Join(arguments, ", "), strings.Join(words, " "))
		},
	}
}

// mark sends a mark to the ergon that measures the caller. A script must not fail because of ergon: only wrong words are an error.
func (p *program) mark(o MarkOptions, w markWord, words []string) error {
	shell := os.Getppid() // it is the process that the mark is about
	if first := p.launcher.PID(); first == shell {
		shell = launch.Parent(first)
	}
	datagram, err := marks.Datagram(w.kind, words, datamodel.Mark{ID: o.ID, PID: shell, Rank: -1})
	if err != nil {
		return misused("mark", "mark %s: %w", w.kind, err)
	}
	path := os.Getenv(marks.Variable)
	if path == "" {
		return nil
	}
	err = marks.Send(path, datagram)
	if errors.Is(err, os.ErrNotExist) { // the ergon has ended, and the script goes on
		return nil
	}
	if err != nil {
		p.note(err)
	}
	return nil
}
