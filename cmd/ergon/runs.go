package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/internal/nearest"
)

// runsCommand is the group of the subcommands about many runs. Their words can still be measured: `ergon rm x` measures rm.
func (p *program) runsCommand() *subcommand {
	return &subcommand{
		name: "runs", takes: aWord, usage: "list, show, tag, remove and prune the runs that are kept", arguments: "WORD [OPTIONS] [ARG...]",
		description: runMeaning + " `ergon ls` is `ergon runs ls`.", example: "ergon runs prune --keep 12w --dry-run",
		run: func(_ context.Context, words []string) error {
			var known []string
			for _, c := range of(p.commands(), "runs") {
				known = append(known, strings.TrimPrefix(c.name, "runs "))
			}
			all := strings.Join(known, ", ")
			if len(words) == 0 {
				return misused("runs", "runs: say what to do: %s (`ergon runs --help` has more)", all)
			}
			if word := nearest.Word(words[0], known); word != "" {
				return misused("runs", "runs: no word %q (did you mean `ergon runs %s`?)", words[0], word)
			}
			return misused("runs", "runs: no word %q (one of %s)", words[0], all)
		},
	}
}

// runMeaning says what RUN may be.
const runMeaning = "RUN is an id, its beginning or its end, a tag, a git commit of which runs are kept, the folder of a run, or last; " +
	"last~2 is the second before it, last:PROJECT the latest of a project."

// jsonOption asks for JSON.
func jsonOption(to *bool) *option {
	return &option{name: "json", usage: "write JSON", value: toggle{to}}
}

// yesOption answers the question whether runs shall be removed.
func yesOption(to *bool) *option {
	return &option{name: "yes", short: "y", scope: once, usage: "do not ask", value: toggle{to}}
}

// find finds the runs that words name, each once.
func (p *program) find(results string, words []string) ([]string, error) {
	h := p.history(results)
	var dirs []string
	for _, word := range words {
		dir, err := h.Find(word)
		if err != nil {
			return nil, err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// confirm asks a question on the terminal. Without a terminal nobody can answer, so it is an error that names --yes.
func (p *program) confirm(subcommand, question string) error {
	if !isTerminal(p.in) || !isTerminal(p.err.File()) {
		return misused(subcommand, "%s: %s: nobody can be asked here (--yes says so)", subcommand, question)
	}
	fmt.Fprintf(p.err, "ergon: %s? [y/N] ", question)
	answer, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%s: nothing was removed", subcommand)
}

// plural returns a number with its noun: 1 run, 2 runs.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// known returns nil, which is null, for a value that is not finite.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// choices are several of some words, between commas.
type choices struct {
	to    *[]string
	among []string
}

func (v choices) Set(given string) error {
	return list{v.to, func(part string) error {
		if slices.Contains(v.among, part) {
			return nil
		}
		if word := nearest.Word(part, v.among); word != "" {
			return fmt.Errorf("invalid value %q (did you mean %q?)", part, word)
		}
		return fmt.Errorf("invalid value %q (one of %s)", part, strings.Join(v.among, ", "))
	}}.Set(given)
}

func (v choices) String() string { return "" }

func (v choices) Current() string { return strings.Join(*v.to, ",") }

// metricName is a metric of the summary, or start.
type metricName struct{ to *string }

func (v metricName) Set(given string) error {
	if given != byStart {
		if _, err := history.SummaryMetric(given); err != nil {
			return err
		}
	}
	*v.to = given
	return nil
}

func (v metricName) String() string { return *v.to }

func (v metricName) Current() string { return *v.to }

// age is a length of time up to years.
type age struct{ to *time.Duration }

func (v age) Set(given string) (err error) {
	*v.to, err = parseAge(given)
	return err
}

func (v age) String() string { return "" }

func (v age) Current() string {
	if *v.to == 0 {
		return ""
	}
	return v.to.String()
}

// parseAge reads 90m, 36h, 7d or 12w.
func parseAge(given string) (time.Duration, error) {
	invalid := fmt.Errorf("invalid age %q (examples: 36h, 7d, 12w)", given)
	d, err := time.ParseDuration(given)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(given, unit); ok {
			n, notNumber := strconv.ParseFloat(number, 64)
			if limit := float64(math.MaxInt64 / length); notNumber != nil || !(n >= 0 && n < limit) {
				return 0, invalid
			}
			d, err = time.Duration(n*float64(length)), nil
		}
	}
	if err != nil || d <= 0 {
		return 0, invalid
	}
	return d, nil
}

// since is a time, or how long ago it was.
type since struct{ to *time.Time }

func (v since) Set(given string) error {
	if d, err := parseAge(given); err == nil {
		*v.to = time.Now().Add(-d)
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, given, time.Local); err == nil {
			*v.to = at
			return nil
		}
	}
	return fmt.Errorf("invalid time %q (examples: 36h, 7d, 12w, 2026-11-28, 2026-11-28T12:00:00Z)", given)
}

func (v since) String() string { return "" }

func (v since) Current() string {
	if v.to.IsZero() {
		return ""
	}
	return v.to.Format(time.RFC3339)
}

// commit begins the hash of a git commit.
type commit struct{ to *string }

func (v commit) Set(given string) error {
	if given == "" || strings.Trim(given, "0123456789abcdef") != "" {
		return fmt.Errorf("invalid commit %q (the hash, or its beginning)", given)
	}
	*v.to = given
	return nil
}

func (v commit) String() string { return "" }

func (v commit) Current() string { return *v.to }

// rules are rules that must hold, one for each time the option is given.
type rules struct{ to *[]rule.Rule }

func (v rules) Set(given string) error {
	r, err := rule.Parse(given, datamodel.Catalogue())
	if wrong, ok := errors.AsType[*rule.Error](err); ok {
		return errors.New(wrong.Line()) // this is one line, so the caret has no place
	}
	if err != nil {
		return err
	}
	if err := history.CheckWhere(r); err != nil {
		return err
	}
	*v.to = append(*v.to, r)
	return nil
}

func (v rules) String() string { return "" }

func (v rules) Current() string {
	var all []string
	for _, r := range *v.to {
		all = append(all, r.String())
	}
	return strings.Join(all, ", ")
}
