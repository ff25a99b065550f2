// Package runner measures one command: it starts the sampler and the target, waits for the target's end, and makes the
// spool into the result.
//
// A run goes setup → ready → running → processing → closed (state.go has the table). What fails on the way is an
// outcome in the result, not a further state; and nothing that fails in ergon changes what the target does or the exit
// code it has.
package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
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

// Runner is one run to be. Its fields are set before Run and not changed by it.
type Runner struct {
	Command []string
	Project string
	// Results is the results folder; empty keeps nothing.
	Results string
	// Launcher makes the command's process. Run closes it.
	Launcher Launcher
	// Sampler starts the sampler process.
	Sampler func() (*sampler.Client, error)
	// Config is what the sampler is told, less what the runner adds: spool, cgroups, its own process id.
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
	// Host describes the machine; it is called once, while the sampler gets ready. Complete adds to that what can wait until
	// the target has ended, after the wall time it is told, and the last readings are taken. Either may be nil.
	Host     func() datamodel.HostInfo
	Complete func(h *datamodel.HostInfo, wall time.Duration)
	// OnState is told of every step, OnStatus once a second what the readings say while the target runs. Either may be nil.
	OnState  func(from, to State)
	OnStatus func(elapsed time.Duration, now datamodel.Now)
	// Version is ergon's own.
	Version string
}

// Report is what came of a run.
type Report struct {
	datamodel.Result
	// Dir is the run's folder; empty when nothing was kept.
	Dir string
	// State is how the target ended, or would have: ExitNotExecutable or ExitNotFound if it could not be executed.
	State launch.State
	// Refused is why the command could not be executed; nil where it was.
	Refused error
	// NoTape is why there is no tape that was asked for; nil where there is one or was none to be.
	NoTape error
	// Code is ergon's own exit code if the run ended the target: ExitTimedOut after the time limit. If it is 0, State counts.
	Code int
}

// SetupError is a reason not to start the target at all: the caller asked for something that cannot be.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }

func (e *SetupError) Unwrap() error { return e.Err }

// round is the run while it goes on.
type round struct {
	*Runner
	machine machine
	target  launch.Target // the command; nil until it is held
	signals <-chan launch.Signal
	run     datamodel.Run
	dir     string          // the run's folder; empty when nothing is kept
	spool   string          // where the sampler writes
	cleared chan struct{}   // closed when that is removed, as nothing is kept; nil before that is begun
	lock    *os.File        // held on the spool folder, so that nobody recovers a run that goes on
	sampler *sampler.Client // the process
	client  *sampler.Client // the same while it answers, else nil
	failed  error           // why the sampler gave no complete record
	group   *cgroup.Group
	ledger  datamodel.Ledger
	state   launch.State
	// processes is the table of the target's processes, once that is made; before is the CPU time of what is to become
	// the target.
	processes []datamodel.Process
	before    time.Duration
	host      <-chan datamodel.HostInfo // the machine as Complete has it
	// quota is that over the target, nil where there is none, and throttled where it stood before the target.
	quota     *cgroup.Quota
	throttled cgroup.Throttled

	noTape              error          // why there is no tape
	held                bool           // the target's process id was known before it started
	stopped             *launch.Signal // ended the baseline, and so the run
	cancelled, timedOut bool
	terms               int           // how often the target was asked to end
	adopted             bool          // orphans of the target come to us
	orphans             time.Duration // the CPU time of those
	orphansUser         time.Duration // the part of it in user mode
}

// Run measures the command. A *SetupError means that the target was not started. Any other error says why the result
// could not be made or kept; the report is good as far as it goes in any case.
func (r *Runner) Run() (Report, error) {
	o := &round{Runner: r, machine: machine{observe: r.OnState}, group: &cgroup.Group{}}
	defer o.close()
	if err := o.setup(); err != nil {
		if o.target != nil {
			o.target.Abandon()
		}
		o.discard()
		return Report{}, &SetupError{err}
	}
	o.machine.become(Ready)
	o.begin()
	if s, ok := o.endedEarly(); ok {
		o.target.Abandon()
		o.run.Outcome, o.run.Reason = datamodel.Cancelled, s.String()+" came before the command was started"
		o.state = launch.State{ExitCode: -1, Signal: number(s)}
		o.endSampler()
		return o.report(nil), o.unmeasured()
	}
	o.machine.become(Running)
	o.held = o.known()
	if o.held {
		o.before, _ = launch.CPUTime(o.target.PID())
	}
	began := time.Now()
	if err := o.target.Start(); err != nil {
		o.refused(err)
		o.endSampler()
		rep := o.report(nil)
		rep.Refused = err
		return rep, o.unmeasured()
	}
	o.run.Start = began
	if !o.held { // only now is its process id known
		if err := o.group.Add(o.target.PID()); err != nil {
			o.warn("target", "its cgroup could not be used: "+err.Error())
		}
		o.follow()
	}
	err := o.wait(began)
	o.endSampler()
	o.idleAfter()
	o.complete()
	o.machine.become(Processing)
	o.settle()
	tree, processErr := o.process()
	return o.report(tree), errors.Join(err, processErr)
}

// setup makes the folders, the cgroup and the sampler ready. An error means that the target is not to be started.
func (o *round) setup() error {
	now := time.Now()
	o.run = datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: newID(now), Project: o.Project, Command: o.Command,
		Outcome: datamodel.Unfinished, Start: now, Version: o.Version, Estimate: o.Estimate,
		Sources: []datamodel.SourceStats{}, Missing: []sensors.Absence{}, Warnings: []datamodel.Warning{}, // [] in JSON
	}
	o.run.Folder, _ = os.Getwd()
	config := o.Config
	config.Host.Runner = os.Getpid()
	config.Host.Dirs = append([]string{o.run.Folder}, config.Host.Dirs...)
	var err error
	if o.sampler, err = o.Sampler(); err == nil {
		o.client = o.sampler
		err = o.client.Configure(config)
	}
	o.samplerFailed(err)
	held := make(chan error)
	go func() { held <- o.hold() }()
	runtime.Gosched() // it goes first: the launcher works while we go on
	err = errors.Join(o.relaySignals(), o.makeFolders())
	if o.Host != nil {
		o.run.Host = o.Host()
	}
	if err = errors.Join(err, <-held); err != nil {
		return err
	}
	o.attach()
	if o.Baseline.Duration == 0 {
		o.order((*sampler.Client).Begin)
	}
	if err := o.saveManifest(); err != nil {
		return err
	}
	if err := o.awaitReady(); err != nil || o.Baseline.Duration == 0 {
		return err
	}
	o.idleBefore()
	o.order((*sampler.Client).Begin)
	return o.saveManifest()
}

// hold makes the target's cgroups and the target's process in them. A cgroup that does not take the process is given up.
// The launcher is not needed any more then.
func (o *round) hold() error {
	group, err := cgroup.Make(o.run.ID)
	if err == nil {
		o.group = group
	}
	for {
		c := launch.Command{Argv: o.Command}
		for _, f := range o.group.Folders() {
			c.Groups = append(c.Groups, launch.Group(f))
		}
		o.target, err = o.Launcher.Hold(c)
		refused, ok := errors.AsType[*launch.GroupError](err)
		if !ok {
			return errors.Join(err, o.Launcher.Close())
		}
		o.group.Refuse(refused.Group.Dir, refused.Err)
	}
}

// attach tells the sampler about the target; the answer is to be awaited later.
func (o *round) attach() {
	o.order(func(c *sampler.Client) error {
		return c.Attach(sampler.Subject{
			Target: sensors.Target{CPUGroup: o.group.CPU, MemoryGroup: o.group.Memory},
			PID:    o.target.PID(), Spool: o.spool, Ephemeral: o.dir == "",
		})
	})
}

// order gives the sampler an order, if there is one that answers.
func (o *round) order(give func(*sampler.Client) error) {
	if o.client != nil {
		o.samplerFailed(give(o.client))
	}
}

// awaitReady returns an error where the configuration is wrong. A sampler that fails is none.
func (o *round) awaitReady() error {
	if o.client == nil {
		return nil
	}
	ready, err := o.client.Ready(context.Background())
	if _, ok := errors.AsType[*sampler.ConfigError](err); ok {
		return err
	}
	o.samplerFailed(err)
	o.run.Missing = append(o.run.Missing, ready.Missing...)
	o.run.Accounting = ready.Accounting
	return nil
}

// relaySignals begins to receive signals.
func (o *round) relaySignals() (err error) {
	if o.Signals == nil {
		return nil
	}
	if o.signals, err = o.Signals(); err != nil {
		return fmt.Errorf("relay signals: %w", err)
	}
	return nil
}

// makeFolders makes the run's folder, or a temporary one for the spool where nothing is to be kept.
func (o *round) makeFolders() (err error) {
	if o.Results == "" {
		o.spool, err = os.MkdirTemp("", "ergon-")
		if err != nil {
			return fmt.Errorf("temporary folder for the readings: %w: set TMPDIR to one that can be written", err)
		}
		return nil
	}
	o.dir, err = store.NewRunDir(o.Results, o.Project, o.run.Start, o.run.ID)
	if err != nil {
		return fmt.Errorf("results folder: %w: choose another with -o DIR, or keep nothing with --no-save", err)
	}
	o.spool = filepath.Join(o.dir, store.SpoolFolder)
	if err := os.Mkdir(o.spool, 0o777); err != nil {
		return fmt.Errorf("results folder: %w", err)
	}
	if err := store.ReserveState(o.spool, 2*len(strings.Join(o.Command, ""))); err != nil {
		return fmt.Errorf("results folder: %w", err)
	}
	o.lock, err = lockFolder(o.spool)
	return err
}

// begin returns when the first reading is taken.
func (o *round) begin() {
	if o.group.CPU == "" {
		// An orphan's CPU time is then known to perf, or to who reaps it.
		o.adopted = launch.Adopt() == nil
	}
	o.watchQuota()
	o.order(func(c *sampler.Client) error { return c.Begun(context.Background()) })
}

// known says whether the target has a process id before it is started.
func (o *round) known() bool { return o.target.PID() != 0 }

// follow tells the sampler the target's process id.
func (o *round) follow() {
	o.order(func(c *sampler.Client) error { return c.Follow(o.target.PID()) })
}

// refused notes why the command could not be executed.
func (o *round) refused(err error) {
	o.run.Outcome, o.run.Reason = datamodel.NotExecutable, err.Error()
	o.state = launch.State{ExitCode: ExitNotExecutable}
	var e *launch.ExecError
	if errors.As(err, &e) && e.NotFound() {
		o.run.Outcome, o.state.ExitCode = datamodel.NotFound, ExitNotFound
	}
}

// samplerFailed notes the first error of the sampler and lets it go. nil is no failure.
func (o *round) samplerFailed(err error) {
	if err == nil {
		return
	}
	o.failed = err
	if o.client != nil {
		o.client.Close()
		o.client = nil
	}
}

// endSampler takes the last reading and what the sampler has to say about itself. The process itself ends meanwhile.
func (o *round) endSampler() {
	if o.client == nil {
		return
	}
	ended, err := o.client.End(context.Background())
	if err != nil {
		o.samplerFailed(err)
		return
	}
	o.run.Sources = append(o.run.Sources, ended.Sources...)
	o.run.Warnings = append(o.run.Warnings, ended.Warnings...)
	o.client.Close()
}

// complete begins to describe the machine in full, beside all that goes on until it is described.
func (o *round) complete() {
	full := make(chan datamodel.HostInfo, 1)
	o.host = full
	wall := time.Duration(0)
	if w := o.run.WallTime; w != nil {
		wall = time.Duration(*w * float64(time.Second))
	}
	go func(h datamodel.HostInfo) {
		if o.Complete != nil {
			o.Complete(&h, wall)
		}
		full <- h
	}(o.run.Host)
}

// described waits for the full description. A second call does nothing.
func (o *round) described() {
	if o.host != nil {
		o.run.Host = <-o.host
		o.host = nil
	}
}

// settle fixes the outcome of a target that was started.
func (o *round) settle() {
	switch {
	case o.timedOut:
		o.run.Outcome, o.run.Reason = datamodel.TimedOut, fmt.Sprintf("longer than the limit of %v", o.Timeout)
	case o.failed != nil:
		o.run.Outcome, o.run.Reason = datamodel.SamplerFailed, o.failed.Error()
	case o.cancelled && o.state.Code() != 0:
		o.run.Outcome, o.run.Reason = datamodel.Cancelled, "ergon was asked to end it"
	case o.state.Signal != 0:
		o.run.Outcome, o.run.Reason = datamodel.TargetFailed, "ended by "+signalName(o.state.Signal)
	case o.state.ExitCode != 0:
		o.run.Outcome, o.run.Reason = datamodel.TargetFailed, fmt.Sprintf("exit code %d", o.state.ExitCode)
	default:
		o.run.Outcome = datamodel.Done
	}
	o.noteEnding()
	n, err := o.group.Leave()
	o.ledger.Survivors = count(n)
	if n > 0 {
		o.warn("target", fmt.Sprintf("%d of its processes live on; what they do from now on is not in these figures", n))
	} else if err != nil {
		o.warn("target", "its cgroup stays behind: "+err.Error())
	}
}

// report is what the caller gets.
func (o *round) report(tree *datamodel.Node) Report {
	rep := Report{
		Result: datamodel.Result{Run: o.run, Tree: tree, Processes: o.processes}, Dir: o.dir, State: o.state, NoTape: o.noTape,
	}
	if o.timedOut {
		rep.Code = ExitTimedOut
	}
	return rep
}

// close releases everything, whatever was reached.
func (o *round) close() {
	o.machine.become(Closed)
	_, _ = o.group.Leave() // settle has told what there was to tell
	if o.sampler != nil {  // also one that has failed: none is left behind
		o.sampler.Close()
		o.sampler.Wait()
	}
	if o.cleared != nil {
		<-o.cleared
	} else if o.dir == "" && o.spool != "" {
		_ = os.RemoveAll(o.spool)
	}
	if o.lock != nil {
		_ = o.lock.Close()
	}
}

// discard removes the folder of a run that never was.
func (o *round) discard() {
	if o.dir != "" {
		_ = os.RemoveAll(o.dir)
		_ = os.Remove(filepath.Dir(o.dir)) // the date's, where it is empty
		_ = os.Remove(filepath.Dir(filepath.Dir(o.dir)))
	}
}

func (o *round) warn(subject, text string) {
	o.run.Warnings = append(o.run.Warnings, datamodel.Warning{Subject: subject, Text: text})
}

// saveManifest writes what is known so far.
func (o *round) saveManifest() error {
	if o.dir == "" {
		return nil
	}
	o.noteEnding()
	return store.SaveManifest(o.dir, o.run)
}

// unmeasured ends a run whose command was not started: there are no readings, and nothing to recover.
func (o *round) unmeasured() error {
	if o.dir == "" {
		return nil
	}
	if o.failed != nil && o.sampler != nil {
		o.sampler.Wait() // or it would still write there
	}
	if err := o.saveManifest(); err != nil {
		return err
	}
	return store.RemoveSpool(o.dir)
}

// noteEnding tells the manifest how the target ended, where that is known.
func (o *round) noteEnding() {
	if o.state.Signal != 0 {
		o.run.Signal = signalName(o.state.Signal)
	} else if o.run.Outcome != datamodel.Unfinished {
		o.run.ExitCode = &o.state.ExitCode
	}
}

// newID names a run so that names sort by time: when ergon was called, in UTC, and six random letters.
func newID(at time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return at.UTC().Format(store.IDTime) + "-" + hex.EncodeToString(b[:])
}
