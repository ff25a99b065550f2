package main

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/runner"
)

// This file runs a command that is not measured: because nobody wants that, or because a limit leaves no room for it.

// off reports whether the command is only executed. A script that carries the prefix always is switched off by the variable.
func (o RunOptions) off() bool {
	return len(o.Command) > 0 && (o.Off || os.Getenv("ERGON") == "off")
}

// pass executes the command and does nothing else. With glibc the C part has done so before, unless the command has another
// user.
func (p *program) pass(o RunOptions) error {
	as, err := here().chosen(o.User)
	if err != nil {
		return err
	}
	c := launch.Command{Argv: o.Command}
	if as == nil {
		err := launch.Exec(c.Argv, append(os.Environ(), p.aside...))
		if !errors.Is(err, errors.ErrUnsupported) {
			return p.refused(err)
		}
	} else {
		c.User, c.Env = &as.User, as.environment()
	}
	t, err := p.launcher.Hold(c)
	if err != nil {
		return err
	}
	signals, err := p.relaySignals(o.Command)
	if err != nil {
		t.Abandon()
		return err
	}
	if err := t.Start(); err != nil {
		return p.refused(err)
	}
	if first, ok := p.launcher.(*prelaunch.Launcher); ok {
		first.Follow()
		return nil
	}
	go func() {
		for s := range signals {
			if !s.Typed {
				_ = t.Signal(s.Number)
			}
		}
	}()
	if err := t.Exited(); err != nil {
		return err
	}
	state, err := t.Reap()
	switch {
	case err != nil:
		return err
	case state.Signal != 0:
		return died(state.Signal)
	}
	return status(state.ExitCode)
}

// refused says why a command cannot be executed, and returns the exit code.
func (p *program) refused(err error) error {
	p.complain(err)
	if e, ok := errors.AsType[*launch.ExecError](err); ok && e.NotFound() {
		return status(runner.ExitNotFound)
	}
	return status(runner.ExitNotExecutable)
}

// leave lets the launcher become the command, if a limit of this process is why it cannot be measured. It returns false if
// something else is the reason.
func (p *program) leave(o RunOptions, err error) bool {
	first, ok := p.launcher.(*prelaunch.Launcher)
	if !ok || o.User != "" {
		return false
	}
	for _, limit := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EFBIG} {
		if errors.Is(err, limit) {
			first.Unmeasured(strings.ReplaceAll(err.Error(), "\n", "; "))
			p.held = nil // the launcher holds the name until the command has ended
			return true
		}
	}
	return false
}
