package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/runner/rounds"
	"github.com/ergon-energy/ergon/units"
)

// part is a part of a whole: 1% or 0.01.
type part struct{ to *float64 }

func (v part) Set(given string) error {
	text, percent := strings.CutSuffix(strings.TrimSpace(given), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0) || f >= 1 || math.IsNaN(f) {
		return fmt.Errorf("invalid part %q (examples: 1%%; 0.01)", given)
	}
	*v.to = f
	return nil
}

func (v part) String() string { return "" }

func (v part) Current() string {
	if *v.to == 0 {
		return ""
	}
	return strconv.FormatFloat(*v.to, 'g', -1, 64)
}

// commands collects commands with their names.
type commands struct{ to *[]namedCommand }

func (v commands) Set(given string) error {
	name, line, ok := strings.Cut(given, wordBreak)
	switch {
	case !ok:
		return errors.New("needs a name and a command: -c NAME 'COMMAND ARG...'")
	case name == "" || strings.TrimSpace(line) == "":
		return errors.New("the name and the command must not be empty")
	}
	*v.to = append(*v.to, namedCommand{name: name, line: line})
	return nil
}

func (v commands) String() string { return "" }

func (v commands) Current() string { return "" }

// parameters collects parameters: a name with its values or, for a scan, with the first and the last of them.
type parameters struct {
	to   *[]parameter
	scan bool
}

// mostValues bounds the values of a scan.
const mostValues = 1000

func (v parameters) Set(given string) error {
	words := strings.Split(given, wordBreak)
	p := parameter{name: words[0]}
	switch {
	case p.name == "":
		return errors.New("no name given")
	case slices.ContainsFunc(*v.to, func(other parameter) bool { return other.name == p.name }):
		return fmt.Errorf("parameter %s is given twice", p.name)
	case !v.scan && len(words) == 2:
		p.values = strings.Split(words[1], ",")
	case v.scan && len(words) == 3:
		first, err := strconv.Atoi(words[1])
		last, wrong := strconv.Atoi(words[2])
		if err != nil || wrong != nil || last < first || last-first >= mostValues {
			return fmt.Errorf("from %s to %s: want two whole numbers, at most %d values", words[1], words[2], mostValues)
		}
		for i := first; i <= last; i++ {
			p.values = append(p.values, strconv.Itoa(i))
		}
	case v.scan:
		return errors.New("needs a name and two numbers: -P VAR FIRST LAST")
	default:
		return errors.New("needs a name and values: -L VAR A,B,C")
	}
	*v.to = append(*v.to, p)
	return nil
}

func (v parameters) String() string { return "" }

func (v parameters) Current() string { return "" }

// benchStatus is the status line of a bench.
type benchStatus struct {
	to       *screen.Screen
	commands []benched
	last     time.Time
	shown    bool
}

// benchProgress returns the status line; nil if there is none to show.
func (p *program) benchProgress(o BenchOptions, commands []benched) *benchStatus {
	if o.Quiet || o.Output == "inherit" || !isTerminal(p.err.File()) || isDumb() {
		return nil
	}
	return &benchStatus{to: p.err, commands: commands}
}

// redraw is the least time between two status lines. Drawing costs CPU time that the rounds would feel.
const redraw = 200 * time.Millisecond

// tell shows which command is measured and how much time is left.
func (s *benchStatus) tell(p rounds.Progress) {
	if s == nil || time.Since(s.last) < redraw || !mayDraw(s.to.File()) {
		return
	}
	s.last = time.Now()
	line := fmt.Sprintf("%d rounds", p.Rounds)
	if p.Warm {
		line = "warm-up"
	}
	if p.Left > 0 {
		line += ", " + units.Format(p.Left.Round(time.Second).Seconds(), units.Second) + " left"
	}
	line += ": " + s.commands[p.Command].name
	runes := []rune(line)
	s.to.DrawBelow(string(runes[:min(len(runes), width(s.to.File())-1)]))
	s.shown = true
}

func (s *benchStatus) erase() {
	if s != nil && s.shown && mayDraw(s.to.File()) {
		s.to.EraseBelow()
	}
}
