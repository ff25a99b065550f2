package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/runner"
)

// exitUnwell is the exit code of doctor if something cannot be read. The codes of a run are in runner.
const exitUnwell = 1

// errNoCommand says that a run needs a command.
var errNoCommand = errors.New("no command to measure: try `ergon sleep 1`")

// status is an exit code that needs no further words.
type status int

func (s status) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// died is the number of the signal that ended the target. ergon dies of the same signal.
type died int

func (d died) Error() string { return fmt.Sprintf("signal %d", int(d)) }

// usage is a wrong call.
type usage struct{ err error }

func (u *usage) Error() string { return u.err.Error() }

func (u *usage) Unwrap() error { return u.err }

// exit prints what is wrong in one line and returns the exit code. If a signal ended the target, it also returns the signal,
// which ergon dies of.
func (p *program) exit(err error) (code, signal int) {
	var s status
	var d died
	switch {
	case err == nil:
		return 0, 0
	case errors.As(err, &s):
		return int(s), 0
	case errors.As(err, &d):
		return launch.State{Signal: int(d)}.Code(), int(d)
	default:
		p.complain(err)
	}
	return runner.ExitErgon, 0
}

// complain writes an error to stderr, joined errors in one line. The error of a rule has the rule and a caret in lines below.
func (p *program) complain(err error) {
	if _, ok := errors.AsType[*rule.Error](err); ok {
		first, below, _ := strings.Cut(err.Error(), "\n")
		p.err.Linef("ergon: %s", first)
		for line := range strings.SplitSeq(below, "\n") {
			p.err.Linef("  %s", line)
		}
		return
	}
	p.err.Linef("ergon: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// note writes to stderr what is left out of an answer, and why.
func (p *program) note(err error) {
	p.err.Linef("ergon: note: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
}
