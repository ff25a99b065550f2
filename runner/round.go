package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/inventory"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// round is the state of the measurement of one command.
type round struct {
	*Session
	asked   launch.Command // what the caller asks for
	command launch.Command // what is executed; run.Command is what is told of it
	target  launch.Target  // the command; nil until its process exists
	run     datamodel.Run
	// unit names the cgroup. It is new in each round, even if the caller chose the run's id.
	unit      string
	folder    folder
	readings  readings
	group     *cgroup.Group
	ledger    datamodel.Ledger
	state     launch.State
	end       ending
	orphans   orphans
	quota     quota
	counted   *inventory.Snapshot  // the files before the command; nil if they are not counted
	inventory *datamodel.Inventory // why they could not be counted; nil if nothing failed
	// before is the CPU time that the target's process had used before it executed the command.
	before    time.Duration
	move      move
	held      bool                      // the target's process id was known before it started
	ahead     chan born                 // gives the process that was held while the last round made its result; nil if there is none
	described bool                      // Host was called
	host      <-chan datamodel.HostInfo // gives the full description of the machine
	noTape    error                     // why the tape was not written
}

func newRound(s *Session, command launch.Command) *round {
	now := time.Now().UTC() // not in the zone that TZ gives the command
	o := &round{Session: s, group: &cgroup.Group{}, unit: newID(now)}
	o.run = datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: o.unit, Project: o.Project, NoArguments: o.NoArguments,
		Outcome: datamodel.Unfinished, Start: now, Version: o.Version, Estimate: o.Estimate, Factors: o.Factors,
		Sources: []datamodel.SourceStats{}, Missing: []sensors.Absence{}, Warnings: []datamodel.Warning{}, // [] in JSON
	}
	if o.ID != "" {
		o.run.ID = o.ID
	}
	for _, b := range o.Budgets {
		pending := b.Pending("the command has not ended")
		pending.Ignored = o.IgnoreBudgets
		o.run.Budgets = append(o.run.Budgets, pending)
	}
	if s.noMarks != nil {
		o.warn("marks", "the command has no socket for its marks: "+s.noMarks.Error())
	}
	o.asked, o.command = command, command
	o.command.User, o.command.Env = o.User, slices.Concat(o.Env, command.Env)
	told := cmdline.Mask(command.Argv) // before anything is stored
	if o.NoArguments {
		told = told[:min(1, len(told))]
	}
	o.run.SetCommand(told)
	if o.run.Folder = command.Dir; command.Dir == "" {
		o.run.Folder, _ = os.Getwd()
	}
	config := o.Config
	config.Setup.Runner, config.Setup.Parent = os.Getpid(), o.parent()
	config.Setup.Dirs = append([]string{o.run.Folder}, config.Setup.Dirs...)
	o.sampler.config = config
	o.readings = readings{process: o.sampler, config: config, kept: &s.engine}
	return o
}

// measure runs the whole round. next is the command of the next round, nil if that is unknown.
func (o *round) measure(ctx context.Context, next *launch.Command) (Report, error) {
	defer o.close()
	if err := o.setup(ctx); err != nil {
		if o.target != nil {
			o.target.Abandon()
		}
		o.folder.discard()
		return Report{}, &SetupError{err}
	}
	o.machine.become(Ready)
	o.begin(ctx)
	if s, ok := o.endedEarly(); ok {
		o.target.Abandon()
		o.run.Outcome, o.run.Reason = datamodel.Cancelled, nameOf(s)+" came before the command was started"
		o.state = launch.State{ExitCode: -1, Signal: number(s)}
		o.endReadings(ctx)
		return o.report(account.Result{}), o.unmeasured()
	}
	o.machine.become(Running)
	o.held = o.known()
	if o.held {
		o.before, _ = launch.CPUTime(o.target.PID())
	}
	began := time.Now().UTC()
	if err := o.target.Start(); err != nil {
		o.refused(err)
		o.endReadings(ctx)
		o.machine.become(Processing)
		rep := o.report(account.Result{})
		rep.Refused = err
		return rep, o.unmeasured()
	}
	o.run.Start = began
	if !o.held { // its process id was unknown until now
		if err := o.group.Add(o.target.PID()); err != nil {
			o.warn("target", "its cgroup could not be used: "+err.Error())
		} else {
			o.move.watch(o.target.PID(), o.group)
		}
		o.readings.follow(o.target.PID())
	}
	err := o.wait(ctx, began)
	o.endReadings(ctx)
	o.countAfter(ctx)
	o.idleAfter(ctx)
	if next != nil && o.foresees() {
		o.foresee(*next)
	}
	if !o.unread() {
		o.complete()
	}
	o.machine.become(Processing)
	o.settle()
	made, processErr := o.process()
	return o.report(made), errors.Join(err, processErr)
}

// setup prepares the folder, the cgroup, the target's process and the sensors. After an error the target must not start.
func (o *round) setup(ctx context.Context) error {
	o.countBefore(ctx)
	held := o.holding()
	o.readings.open(o.Baseline.Duration > 0, o.Backends)
	fresh := func() string { return newID(o.run.Start) }
	if o.ID != "" {
		fresh = nil
	}
	o.folder.more = inventoryRoom * len(o.Inventory.Areas)
	err := o.folder.make(o.Results, &o.run, fresh, o.Access)
	if err = errors.Join(err, held()); err != nil {
		return err
	}
	if o.OnKept != nil && o.folder.run != nil {
		o.OnKept(o.run.ID)
	}
	switch {
	case o.readings.engine == nil: // the sampler writes from the beginning
		err = o.noteFolder()
	case o.folder.run != nil: // the rest is noted when the sampler joins
		err = store.NoteManifest(o.folder.run, o.run)
	}
	if err != nil {
		return err
	}
	baseline := o.Baseline.Duration > 0 && o.end.stopped == nil
	if err := o.readings.attach(ctx, o.subject(), !baseline); err != nil || !baseline {
		return err
	}
	o.idleBefore(ctx)
	o.readings.order((*sampler.Client).Begin)
	return nil
}

// subject returns what the sampler needs to know of the target.
func (o *round) subject() sampler.Subject {
	return sampler.Subject{
		Target: sensors.Target{CPUGroup: o.group.CPU, MemoryGroup: o.group.Memory},
		PID:    o.target.PID(), Marks: o.marks, Outer: o.outer, Spool: o.folder.spool, Ephemeral: o.folder.run == nil && o.readings.parts == 0, Part: o.readings.parts,
	}
}

// noteFolder makes the spool folder and writes the manifest with what is known so far.
func (o *round) noteFolder() error {
	if o.Host != nil && !o.described {
		o.described = true
		o.run.Host = o.Host()
	}
	if err := o.folder.needSpool(); err != nil || o.folder.run == nil {
		return err
	}
	return store.NoteManifest(o.folder.run, o.run)
}

// join lets the sampler take over from the runner.
func (o *round) join(ctx context.Context) {
	if err := o.noteFolder(); err != nil {
		o.warn("run", err.Error())
	}
	if o.readings.engine == nil || o.readings.deaths > 0 {
		return // the sampler reads, or another one is joining
	}
	if o.folder.spool != nil {
		o.readings.join(ctx, o.subject())
	}
}

// holding begins to hold the target. The result waits until it is held. The first time this goes on beside opening the sources.
func (o *round) holding() (wait func() error) {
	if o.engine != nil { // they are open
		err := o.hold()
		return func() error { return err }
	}
	held := make(chan error)
	go func() { held <- o.hold() }()
	runtime.Gosched() // hold goes first: the launcher then works in parallel with the rest
	return func() error { return <-held }
}

// hold makes the target's cgroups, and the target's process in them. If a cgroup cannot take the process, hold does
// without that cgroup. If no other round follows, hold then closes the launcher.
func (o *round) hold() error {
	if o.home == nil {
		o.home = cgroup.Find()
	}
	if o.ahead == nil {
		o.makeGroup()
	}
	for {
		var err error
		if o.ahead != nil {
			h := <-o.ahead
			o.ahead, o.target, err = nil, h.target, h.err
		} else {
			o.target, err = o.Launcher.Hold(o.grouped())
		}
		if refused, ok := errors.AsType[*launch.GroupError](err); ok {
			o.group.Refuse(refused.Group.Dir, refused.Err)
			continue
		}
		if err == nil && o.command.Processors != nil && o.target.PID() != 0 {
			err = launch.Pin(o.target.PID(), o.command.Processors)
		}
		if o.single {
			err = errors.Join(err, o.Launcher.Close())
		}
		return err
	}
}

// makeGroup makes the target's cgroups.
func (o *round) makeGroup() {
	if group, err := o.home.Make(o.unit); err == nil {
		o.group = group
	}
}

// grouped returns the command with its cgroups.
func (o *round) grouped() launch.Command {
	c := o.command
	for _, f := range o.group.Folders() {
		c.Groups = append(c.Groups, launch.Group(f))
	}
	return c
}

// born is the outcome of holding a command.
type born struct {
	target launch.Target
	err    error
}

// foresees says whether the process of the next round may be made while this one makes its result. This round must not count
// it among the processes that the command has left behind, and a command that has failed may be the last one.
func (o *round) foresees() bool {
	return !o.single && o.readings.engine != nil && !o.readings.reading && o.state.Code() == 0 && o.end == (ending{}) &&
		len(o.group.Folders()) > 0 && len(o.Inventory.Areas) == 0 && o.Baseline.Duration == 0
}

// foresee makes the next round and its cgroups. The launcher makes its process, while this process goes on.
func (o *round) foresee(command launch.Command) {
	next := newRound(o.Session, command)
	next.makeGroup()
	next.ahead = make(chan born, 1)
	c := next.grouped()
	go func() {
		target, err := next.Launcher.Hold(c)
		next.ahead <- born{target, err}
	}()
	runtime.Gosched() // the launcher then works in parallel
	o.next = next
}

// abandon ends a round that was foreseen, and does not come.
func (o *round) abandon() {
	if h := <-o.ahead; h.err == nil {
		h.target.Abandon()
	}
	_, _ = o.group.Leave() // a group that stays is removed by another run
}

// begin takes the first readings.
func (o *round) begin(ctx context.Context) {
	if o.group.CPU == "" {
		// Without a cgroup, only perf or the process that reaps an orphan knows the orphan's CPU time.
		o.orphans.adopted = o.Launcher.Adopt() == nil
		if o.orphans.adopted && o.parent() != os.Getpid() { // the launcher has one thread, this process several
			o.orphans.others, _ = launch.Children(o.parent())
		}
	}
	o.quota.watch(o.group)
	o.readings.begin(ctx)
}

// parent returns the process id of the target's parent: the launcher, or this process.
func (o *round) parent() int {
	if pid := o.Launcher.PID(); pid != 0 {
		return pid
	}
	return os.Getpid()
}

// known says whether the target has a process id before it is started.
func (o *round) known() bool { return o.target.PID() != 0 }

// refused records why the command could not be executed.
func (o *round) refused(err error) {
	o.run.Outcome, o.run.Reason = datamodel.NotExecutable, cmdline.Text(err.Error())
	o.state = launch.State{ExitCode: ExitNotExecutable}
	var e *launch.ExecError
	if errors.As(err, &e) && e.NotFound() {
		o.run.Outcome, o.state.ExitCode = datamodel.NotFound, ExitNotFound
	}
}

// endReadings takes the last readings, and adds the statistics and warnings of all sources to the run.
func (o *round) endReadings(ctx context.Context) {
	r := &o.readings
	r.end(context.WithoutCancel(ctx))
	o.run.Accounting = r.accounting
	o.run.Missing = append(o.run.Missing, r.missing...)
	o.run.Sources = append(o.run.Sources, r.sources...)
	o.run.Warnings = append(o.run.Warnings, r.warnings...)
}

// complete starts to describe the machine in full, in parallel. describe waits for it.
func (o *round) complete() {
	full := make(chan datamodel.HostInfo, 1)
	o.host = full
	wall := time.Duration(0)
	if w := o.run.WallTime; w != nil {
		wall = time.Duration(*w * float64(time.Second))
	}
	described, h := o.described, o.run.Host
	storage := o.Storage != nil && account.StorageMatters(o.ledger)
	o.described = true
	go func() {
		if o.Host != nil && !described {
			h = o.Host()
		}
		if o.Complete != nil {
			o.Complete(&h, wall)
		}
		if storage {
			h.Storage = o.Storage()
		}
		full <- h
	}()
}

// describe waits for the full description. A second call does nothing.
func (o *round) describe() {
	if o.host != nil {
		o.run.Host = <-o.host
		o.host = nil
	}
}

// settle decides the outcome of a target that was started.
func (o *round) settle() {
	switch {
	case o.end.timedOut:
		o.run.Outcome, o.run.Reason = datamodel.TimedOut, "longer than the limit of "+units.Brief(o.Timeout)
	case o.end.overBudget != "":
		o.run.Outcome, o.run.Reason = datamodel.OverBudget, "its budget is broken: "+o.end.overBudget
	case o.readings.failed != nil:
		o.run.Outcome, o.run.Reason = datamodel.SamplerFailed, o.readings.failed.Error()
	case o.end.cancelled && o.state.Code() != 0:
		o.run.Outcome, o.run.Reason = datamodel.Cancelled, "ergon was asked to end it"
	case o.state.Signal != 0:
		o.run.Outcome, o.run.Reason = datamodel.TargetFailed, "ended by "+signalName(o.state.Signal)
	case o.state.ExitCode != 0:
		o.run.Outcome, o.run.Reason = datamodel.TargetFailed, fmt.Sprintf("exit code %d", o.state.ExitCode)
	default:
		o.run.Outcome = datamodel.Done
	}
	o.noteEnding()
	o.ledger.Survivors = o.survivors()
	if n := o.ledger.Survivors; n != nil && *n > 0 {
		said := fmt.Sprintf("%.0f processes of the command still run; what they do from now on is not included", *n)
		if *n == 1 {
			said = "a process of the command still runs; what it does from now on is not included"
		}
		o.warn("target", said)
	}
}

// survivors counts the processes of the ended target that still run, and dissolves its cgroup. Without a cgroup, they are the
// descendants of the process that adopts orphans. It returns nil if the number is unknown.
func (o *round) survivors() *float64 {
	grouped := len(o.group.Folders()) > 0
	n, _ := o.group.Leave() // process tries again: a process that was killed may not have ended yet
	left := o.ledger.OrphansLeft
	if grouped || left != nil && *left == 0 {
		return count(n)
	} else if left == nil {
		return nil
	}
	ours := append(o.sampler.pids(), os.Getpid())
	pids, err := launch.Descendants(o.parent(), append(ours, o.orphans.others...)...)
	if err != nil {
		return nil
	}
	return count(len(pids))
}

// report makes the report for the caller.
func (o *round) report(made account.Result) Report {
	rep := Report{
		Result: resultOf(o.run, made), Dir: o.folder.dir(), State: o.state, NoTape: o.noTape,
		Stopped: made.Stopped,
	}
	switch {
	case o.end.timedOut:
		rep.Code = ExitTimedOut
	case o.end.overBudget != "":
		rep.Code = ExitBudget
	}
	return rep
}

// close releases everything, in any state.
func (o *round) close() {
	_, _ = o.group.Leave() // process has already warned
	o.readings.close()
	o.sampler.await()
	o.folder.close()
}

func (o *round) warn(subject, text string) {
	o.run.Warnings = append(o.run.Warnings, datamodel.Warning{Subject: subject, Text: text})
}

// saveManifest writes the manifest with what is known so far.
func (o *round) saveManifest() error {
	if o.folder.run == nil {
		return nil
	}
	o.noteEnding()
	return store.SaveManifest(o.folder.run, o.run)
}

// unmeasured saves a run whose command was not started. Such a run has nothing to recover, so it keeps no spool.
func (o *round) unmeasured() error {
	if o.folder.run == nil {
		return nil
	}
	o.sampler.await()
	if err := o.saveManifest(); err != nil {
		return err
	}
	return store.RemoveSpool(o.folder.run)
}

// noteEnding puts the target's exit code or signal into the manifest, if it is known.
func (o *round) noteEnding() {
	if o.state.Signal != 0 {
		o.run.Signal = signalName(o.state.Signal)
	} else if o.run.Outcome != datamodel.Unfinished {
		o.run.ExitCode = &o.state.ExitCode
	}
}
