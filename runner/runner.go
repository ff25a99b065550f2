// Package runner measures commands: it takes the first readings, starts the command, waits for its end, and makes the
// readings into the result. The sampler process joins a command that lives longer than some milliseconds.
//
// A round goes setup → ready → running → processing → closed (state.go has the table), and from processing to ready if
// another follows. What fails on the way is an outcome in the result, not a further state; and nothing that fails in
// ergon changes what the target does or the exit code it has.
package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// Launcher makes the processes of commands. Each is held back before its first instruction, as far as the system allows.
type Launcher interface {
	// Hold makes the process of a command. It may be called again once the command has ended. A *launch.GroupError names
	// a cgroup that does not take the process.
	Hold(launch.Command) (launch.Target, error)
	// PID is the process id of the launcher itself, which is our child; 0 if it is no process or is closed.
	PID() int
	// Close ends the launcher. Processes it has made live on. A second call does nothing.
	Close() error
}

// Options are what all rounds of a session share. They are set before Open and not changed by it.
type Options struct {
	Project string
	// Results is the results folder; empty keeps nothing.
	Results string
	// Backends are the families of sensors.
	Backends []sensors.Backend
	// Launcher makes the processes of commands. Close closes it.
	Launcher Launcher
	// Sampler starts the sampler process.
	Sampler func() (*sampler.Client, error)
	// Config is what is read, less what the runner adds: cgroups, its own process id.
	Config sampler.Config
	// Signals begins to receive those that ergon is sent. It may be nil.
	Signals func() (<-chan launch.Signal, error)
	// Tape is where the raw readings are written to as well.
	Tape Tape
	// Timeout ends the target; 0 does not.
	Timeout time.Duration
	// Baseline is the measurement of the idle machine, if there is to be one.
	Baseline Baseline
	// Estimate asks for an estimate of the processors' energy beside what is measured.
	Estimate bool
	// Host describes the machine; it is called once a round. Complete adds to that what can wait until the target has ended,
	// after the wall time it is told, and the last readings are taken. Either may be nil.
	Host     func() datamodel.HostInfo
	Complete func(h *datamodel.HostInfo, wall time.Duration)
	// OnStatus is told once a second what the readings say while the target runs, once the sampler has joined. It may be nil.
	OnStatus func(elapsed time.Duration, now datamodel.Now)
	// Unread says that nobody reads a result that is not kept: it is not made then. How the command ended is told all the same.
	Unread bool
	// Version is ergon's own.
	Version string
}

// Report is what came of a round.
type Report struct {
	datamodel.Result
	// Dir is the run's folder; empty when nothing was kept.
	Dir string
	// State is how the target ended, or would have: ExitNotExecutable or ExitNotFound if it could not be executed.
	State launch.State
	// Refused is why the command could not be executed; nil if it was.
	Refused error
	// NoTape is why a tape that was asked for could not be written; nil otherwise.
	NoTape error
	// Code is ergon's own exit code if the run ended the target: ExitTimedOut after the time limit. If it is 0, State counts.
	Code int
}

// SetupError is a reason not to start the target at all: the caller asked for something that cannot be.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }

func (e *SetupError) Unwrap() error { return e.Err }

// Session measures one command or several, one after another. All rounds go the same road. The sampler process, once there,
// lives until Close.
type Session struct {
	Options
	machine machine
	signals <-chan launch.Signal
	sampler *samplerProcess
	single  bool // there is one round, and the launcher is let go before it
}

// Open begins a session. A *SetupError says why there cannot be one.
func Open(o Options) (*Session, error) {
	s := &Session{Options: o}
	s.sampler = &samplerProcess{start: o.Sampler, config: o.Config}
	if o.Signals != nil {
		var err error
		if s.signals, err = o.Signals(); err != nil {
			return nil, &SetupError{fmt.Errorf("relay signals: %w", err)}
		}
	}
	return s, nil
}

// Round measures a command. A *SetupError means that the target was not started. Any other error says why the result could
// not be made or kept; the report is good as far as it goes in any case. If ctx is done, the target is asked to end.
func (s *Session) Round(ctx context.Context, command []string) (Report, error) {
	if s.machine.state == Ready { // the round before was asked to end before its command started
		return Report{}, &SetupError{errors.New("ergon was asked to end")}
	}
	return newRound(s, command).measure(ctx)
}

// Close ends the session and returns when the sampler is gone.
func (s *Session) Close() {
	s.machine.become(Closed)
	s.sampler.drop()
	s.sampler.await()
	_ = s.Launcher.Close() // what it has made lives on
}

// Run measures one command in a session of its own.
func Run(ctx context.Context, o Options, command []string) (Report, error) {
	s, err := Open(o)
	if err != nil {
		return Report{}, err
	}
	defer s.Close()
	s.single = true
	return s.Round(ctx, command)
}
