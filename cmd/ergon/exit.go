package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/internal/launch"
)

// The exit codes of ergon itself; see the README. The target's own code, or 128+n after signal n, comes before all of
// them: measuring never changes a program's verdict.
const (
	exitTimedOut      = 124
	exitErgon         = 125 // ergon failed or was called wrongly
	exitNotExecutable = 126
	exitNotFound      = 127
)

// status is an exit code that needs no further words.
type status int

func (s status) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// died is a target that was ended by a signal, of which ergon is to die too.
type died int

func (d died) Error() string { return fmt.Sprintf("signal %d", int(d)) }

// usage is a wrong call.
type usage struct{ err error }

func (u *usage) Error() string { return u.err.Error() }

func (u *usage) Unwrap() error { return u.err }

// usageError is called by cli for a wrong option. It prints nothing: exit does, in one line.
func usageError(_ *cli.Context, err error, _ bool) error {
	return &usage{fmt.Errorf("%w (`ergon --help` lists what there is)", err)}
}

// exit says what is wrong in one line and returns the exit code. After a deadly signal of the target it does not
// return.
func (p *program) exit(err error) int {
	var s status
	var d died
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &d):
		p.dropEarly()
		launch.Die(int(d))
		return 128 + int(d)
	default:
		p.complain(err)
	}
	return exitErgon
}

// complain writes an error to stderr.
func (p *program) complain(err error) { fmt.Fprintf(p.err, "ergon: %v\n", err) }

// version is that of the module, as the Go toolchain recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
