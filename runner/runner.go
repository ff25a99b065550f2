// Package runner measures commands. It takes the first readings, starts the command, waits for its end, and makes the
// result from the readings. The sampler process joins if the command lives longer than some milliseconds.
//
// A round goes setup → ready → running → processing → closed (state.go has the table). It goes from processing to ready
// if another round follows. A failure is an outcome in the result, not a further state. A failure in ergon changes
// neither what the target does nor its exit code.
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// Launcher makes the processes of commands. It holds each back before its first instruction, if the system can.
type Launcher interface {
	// Hold makes the process of a command. It may be called again after the command has ended. A *launch.GroupError
	// names a cgroup that the process could not be put into.
	Hold(launch.Command) (launch.Target, error)
	// PID returns the process id of the launcher itself, which is the parent of the commands. It returns 0 if this process
	// is their parent.
	PID() int
	// Adopt makes the parent of the commands the parent of their orphans as well.
	Adopt() error
	// Orphans returns what the adopted processes used that have ended since the last call. If this process is the parent,
	// Orphans reaps them, except those named.
	Orphans(except ...int) launch.Used
	// Close says that no further commands follow. Processes that the launcher has made are not affected.
	Close() error
}

// Options are shared by all rounds of a session. They are set before Open, which does not change them.
type Options struct {
	Project string
	// ID is the run's id. If it is empty, each round gets a new one. CheckID says what may be given.
	ID string
	// Results is the results folder. If it is empty, nothing is kept.
	Results string
	// Access says whom the run and its tape belong to, and who may read them.
	Access store.Access
	// User runs the command, in the runner's environment with the changes in Env; see launch.Command.
	User *launch.User
	Env  []string
	// Backends are the families of sensors.
	Backends []sensors.Backend
	// Launcher makes the processes of commands. Close closes it.
	Launcher Launcher
	// Sampler starts the sampler process.
	Sampler func() (*sampler.Client, error)
	// Config says what is read. The runner adds the cgroups and its own process id.
	Config sampler.Config
	// NoMarks leaves out the socket for the marks of the command.
	NoMarks bool
	// Signals begins to receive the signals sent to ergon. It may be nil.
	Signals func() (<-chan launch.Signal, error)
	// Tape says which file the raw readings are also written to.
	Tape Tape
	// NoArguments keeps only the first word of the command.
	NoArguments bool
	// Timeout is the time after which the target is ended. 0 sets no limit.
	Timeout time.Duration
	// KillAfter is the time after which a target that was asked to end is killed. 0 is 5 s after the time limit, and 10 s if a
	// budget is broken.
	KillAfter time.Duration
	// Budgets say what a run may cost. Each run is kept with their verdicts.
	Budgets []rule.Budget
	// IgnoreBudgets marks a broken budget as one that was only to be told.
	IgnoreBudgets bool
	// OnBreach is called once for each budget that is seen broken while the target runs. It is not called if the target may yet keep
	// the budget. If it returns true, the target is ended. If it is nil, nobody looks.
	OnBreach func(datamodel.Budget) (end bool)
	// Baseline asks for a measurement of the idle machine.
	Baseline Baseline
	// Inventory asks for a count of files.
	Inventory Inventory
	// Estimate asks for an estimate of the processors' energy in addition to the measured values.
	Estimate bool
	// Factors are stored in the run. Reports compute carbon and cost from them.
	Factors datamodel.Factors
	// Host describes the machine. It is called once a round. Complete adds what can wait until the target has ended and
	// the last readings are taken; wall is the target's wall time. Either may be nil.
	Host     func() datamodel.HostInfo
	Complete func(h *datamodel.HostInfo, wall time.Duration)
	// Storage lists what takes writes besides the disks. It is called after the command if it wrote much. Nil means that
	// nobody knows.
	Storage func() sensors.Storage
	// OnKept receives the run's id once its folder is made, before the command starts. It may be nil.
	OnKept func(id string)
	// OnStatus receives the current figures once a second, from the time the sampler joins until the target ends. It may
	// be nil.
	OnStatus func(elapsed time.Duration, now datamodel.Now)
	// Unread says that the caller does not read the result. If the result is not kept either, it is not made. The report
	// still says how the command ended.
	Unread bool
	// Alone is the time after which the sampler joins. Until then a command has readings at its ends only. 0 is as long as the
	// interval allows, at most 50 ms.
	Alone time.Duration
	// Brief says that the caller needs only the summary, the processes and the warnings of each round. The report then has no
	// tree and no courses. Nothing is kept: Results is empty.
	Brief bool
	// Version is the version of ergon.
	Version string
}

// Report is the outcome of a round.
type Report struct {
	datamodel.Result
	// Dir is the run's folder. It is empty if nothing was kept.
	Dir string
	// State says how the target ended. If it could not be executed, the exit code is ExitNotExecutable or ExitNotFound.
	State launch.State
	// Stopped is the time in s in which every process of the command was stopped. It is 0 if nothing is known of it.
	Stopped float64
	// Refused says why the command could not be executed. It is nil if the command was executed.
	Refused error
	// NoTape says why the requested tape could not be written. It is nil if the tape was written or not requested.
	NoTape error
	// Code is ergon's own exit code if the run ended the target: ExitTimedOut after the time limit, ExitBudget if a budget is
	// broken. If it is 0, State counts.
	Code int
}

// SetupError says why the target was not started: the caller asked for something impossible.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }

func (e *SetupError) Unwrap() error { return e.Err }

// Session measures one command or several, one after another. All rounds use the same code. The sampler process, once
// started, lives until Close. So do the sources of the machine that the runner has opened.
type Session struct {
	Options
	machine machine
	signals <-chan launch.Signal
	sampler *samplerProcess
	home    *cgroup.Home    // found in the first round
	engine  *sampler.Engine // nil until the runner has opened its sources
	next    *round          // the next round, whose command is held already; nil if there is none
	single  bool            // there is one round, so the launcher is closed before the command starts
	calm    calm            // only if there are several
	marks   *marks.Socket   // nil if there is none
	noMarks error           // why there is none
	outer   string          // the path of the socket of the ergon around this one; empty if there is none
}

// Open begins a session of several rounds. Its error is a *SetupError.
func Open(o Options) (*Session, error) {
	s, err := open(o)
	if err == nil {
		s.calm.become()
	}
	return s, err
}

func open(o Options) (*Session, error) {
	s := &Session{Options: o}
	s.sampler = &samplerProcess{start: o.Sampler, config: o.Config}
	if o.Signals != nil {
		var err error
		if s.signals, err = o.Signals(); err != nil {
			return nil, &SetupError{fmt.Errorf("relay signals: %w", err)}
		}
	}
	if !o.NoMarks {
		s.listen()
	}
	return s, nil
}

// listen makes the socket for the marks of the commands, and names it in their environment.
func (s *Session) listen() {
	var owner *marks.Owner
	if s.User != nil {
		owner = &marks.Owner{UID: int(s.User.UID), GID: int(s.User.GID)}
	}
	socket, err := marks.Listen(owner)
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			s.noMarks = err
		}
		return
	}
	s.marks = socket
	if !launch.Privileged() { // the caller must not choose what a program with rights of its own connects to
		s.outer = os.Getenv(marks.Variable)
	}
	s.Env = append(slices.Clip(s.Env), marks.Variable+"="+socket.Path())
}

// Round measures a command, with its own folder and files if it has them. Its user, environment and cgroups are the session's.
// A *SetupError means that the target was not started. Any other error says why the result
// could not be made or kept; the report then has what is known. If ctx is done, the target is asked to end.
//
// next is the command of the next round, nil if that is unknown. The process of that round may be made before Round returns:
// its folder is entered and its files are opened.
func (s *Session) Round(ctx context.Context, command launch.Command, next *launch.Command) (Report, error) {
	if s.machine.state == Ready { // in the previous round, a signal came before the command started
		return Report{}, &SetupError{errors.New("ergon was asked to end")}
	}
	if !s.single {
		defer s.calm.rest()
	}
	o := s.next
	s.next = nil
	if o != nil && !reflect.DeepEqual(o.asked, command) {
		o.abandon()
		o = nil
	}
	if o == nil {
		o = newRound(s, command)
	}
	return o.measure(ctx, next)
}

// Close ends the session. It returns when the sampler process has ended.
func (s *Session) Close() {
	if s.next != nil {
		s.next.abandon()
	}
	s.machine.become(Closed)
	s.sampler.drop()
	s.sampler.await()
	if s.engine != nil {
		s.engine.Close()
	}
	if s.marks != nil {
		_ = s.marks.Close() // at worst an empty folder stays behind
	}
	_ = s.Launcher.Close() // the processes that it has made live on
	if !s.single {
		s.calm.end()
	}
}

// Run measures one command in a session of its own.
func Run(ctx context.Context, o Options, command []string) (Report, error) {
	s, err := open(o)
	if err != nil {
		return Report{}, err
	}
	s.single = true
	defer s.Close()
	return s.Round(ctx, launch.Command{Argv: command}, nil)
}
