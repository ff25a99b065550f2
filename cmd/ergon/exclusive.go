package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// exclusive is a name of --exclusive.
type exclusive struct{ to *string }

// exclusiveLongest bounds the length of a name, in bytes. In the name of a folder, each may become three.
const exclusiveLongest = 64

func (v exclusive) Set(given string) error {
	switch {
	case given == "":
		return errors.New("no name given")
	case len(given) > exclusiveLongest:
		return fmt.Errorf("%d bytes are too many for a name (at most %d)", len(given), exclusiveLongest)
	case strings.HasPrefix(given, "-"):
		return fmt.Errorf("invalid name %q (a name does not begin with -)", given)
	}
	*v.to = given
	return nil
}

func (v exclusive) String() string { return "" }

func (v exclusive) Current() string { return *v.to }

// takeExclusive holds a name until this ergon has ended, in all its processes but the command: no command inherits it. The
// launcher holds it, too, because it is what the caller waits for, even if the runner dies. An empty name is none.
func (p *program) takeExclusive(name string) (err error) {
	if name == "" {
		return nil
	}
	pid := p.launcher.PID()
	if pid == 0 {
		pid = os.Getpid()
	}
	p.held, err = store.TakeExclusive(name, pid)
	if _, ok := errors.AsType[*store.HeldError](err); ok {
		return fmt.Errorf("%w (wait for its end, or choose another name)", err)
	}
	if err != nil {
		return err
	}
	if first, ok := p.launcher.(*prelaunch.Launcher); ok {
		return first.Keep(p.held.Descriptor())
	}
	return nil
}

// noteHeld returns what tells the run's id to those who ask for the name; nil if no name is held.
func (p *program) noteHeld() func(id string) {
	if p.held == nil {
		return nil
	}
	return func(id string) { _ = p.held.Note(id) } // who asks gets the process id all the same
}
