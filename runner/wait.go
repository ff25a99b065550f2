package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
)

// grace is the time that a target has to end by itself. Then its whole tree is killed. budgetGrace is that of a target whose
// budget is broken.
const grace, budgetGrace = 5 * time.Second, 10 * time.Second

// ending records what ergon or the user did to end the target.
type ending struct {
	stopped             *launch.Signal // a signal that came while the idle machine was measured or files were counted
	cancelled, timedOut bool
	overBudget          string // the rule for which the target was asked to end
	terms               int    // how often the target was asked to end
}

// orphans counts the target's orphans, which become children of this process.
type orphans struct {
	adopted bool          // the target's parent adopts orphans
	others  []int         // the children that the target's parent had before the target started, with the target
	time    time.Duration // the CPU time of the orphans that were reaped
	user    time.Duration // the part of time in user mode
	largest int64         // the largest resident memory of a single one, in bytes
}

// wait waits for the target's end and reaps the target. Until then it passes signals on, enforces the time limit, and lets
// the sampler join.
func (o *round) wait(ctx context.Context, began time.Time) error {
	ended := make(chan error, 1)
	go func() { ended <- o.target.Exited() }()
	breached := make(chan datamodel.Budget)
	stopWatching := o.watch(began, breached)
	defer func() { stopWatching() }()
	lives := time.NewTimer(cmp.Or(o.Alone, o.readings.alone()))
	defer lives.Stop()
	soon := o.readings.soon()
	cancelled := ctx.Done()
	var before launch.Signal
	var limit, last <-chan time.Time
	if o.Timeout > 0 {
		limit = time.After(o.Timeout - time.Since(began))
	}
	var orphans <-chan os.Signal
	if o.orphans.adopted && o.parent() == os.Getpid() {
		var stop func()
		orphans, stop = launch.ChildrenEnd()
		defer stop()
		o.reapOrphans() // one may have ended before
	}
	for {
		if o.readings.again {
			stopWatching()
			o.readings.restart(ctx, o.subject())
			stopWatching = o.watch(began, breached)
		}
		select {
		case err := <-ended:
			o.lastSignals()
			return errors.Join(err, o.reap(began))
		case s := <-o.signals:
			if !repeats(s, before) {
				o.pass(s)
			}
			before = s
		case <-soon:
			o.readings.readSoon()
		case <-lives.C:
			o.join(ctx)
		case <-o.readings.died:
			o.readings.fail(fmt.Errorf("%w after %.1f s", sampler.ErrDied, time.Since(began).Seconds()))
		case j := <-o.readings.joining:
			o.readings.settle(j)
			if o.readings.reading {
				stopWatching()
				stopWatching = o.watch(began, breached)
			}
		case b := <-breached:
			if o.breached(b) {
				o.askTree()
				last = time.After(cmp.Or(o.KillAfter, budgetGrace))
			}
		case <-cancelled:
			cancelled = nil
			o.end.cancelled = true
			_ = o.target.Signal(terminate)
			last = time.After(grace)
		case <-limit:
			o.end.timedOut = true
			o.askTree()
			last = time.After(cmp.Or(o.KillAfter, grace))
		case <-last:
			o.endTree()
		case <-orphans:
			o.reapOrphans()
		}
	}
}

// reap reaps the dead target and records what the kernel says about it.
func (o *round) reap(began time.Time) error {
	seen := time.Since(began)
	state, err := o.target.Reap()
	wall := cmp.Or(state.Wall, seen)
	if o.orphans.adopted {
		o.reapOrphans()
	}
	o.state = state
	o.ledger = entries(wall, o.before, state, o.group)
	o.move.enter(&o.ledger)
	o.quota.enter(&o.ledger)
	if o.orphans.adopted {
		o.ledger.OrphansTime, o.ledger.OrphansUserTime = seconds(o.orphans.time), seconds(o.orphans.user)
		o.ledger.OrphansLeft = o.orphansLeft()
		if o.orphans.largest > 0 {
			o.ledger.OrphansMaxRSS = count(o.orphans.largest)
		}
	}
	if !o.held {
		o.ledger.RSSFloor = ownPeak()
	}
	o.run.WallTime = o.ledger.WallTime
	return err
}

// orphansLeft counts the orphans that have not ended, or not quite. It returns nil if that is unknown.
func (o *round) orphansLeft() *float64 {
	children, err := launch.Children(o.parent())
	if err != nil || o.orphans.others == nil {
		return nil
	}
	n := 0
	for _, pid := range children {
		if !slices.Contains(o.orphans.others, pid) {
			n++
		}
	}
	return count(n)
}

// reapOrphans reaps the target's orphans that have ended, and counts what they used.
func (o *round) reapOrphans() {
	used := o.Launcher.Orphans(append(o.sampler.pids(), o.target.PID())...)
	o.orphans.time += used.User + used.System
	o.orphans.user += used.User
	o.orphans.largest = max(o.orphans.largest, used.MaxRSS)
}

// sameRequest is the time within which two equal signals from our group's leader count as one. On a busy machine, the two
// signals of timeout(1) were more than 10 ms apart.
const sameRequest = 250 * time.Millisecond

// repeats says whether a signal repeats the one before. timeout(1) makes itself the leader of a group. It sends the signal
// to its child and, some microseconds later, to the group. Counted as two, these signals would kill the tree at the first
// request.
func repeats(s, before launch.Signal) bool {
	return s.Leader && before.Leader && s.Number == before.Number && s.At.Sub(before.At) < sameRequest
}

// pass sends a signal on to the target. The terminal's signals reach the target by themselves. A second SIGTERM or SIGINT
// sent to ergon kills the whole tree. A SIGHUP does not count, because a shell sends it in addition to the terminal's.
func (o *round) pass(s launch.Signal) {
	if !s.Typed {
		_ = o.target.Signal(s.Number)
	}
	if !ends(s.Number) {
		return
	}
	o.end.cancelled = true
	if !s.Typed && (s.Number == terminate || s.Number == os.Interrupt) {
		o.end.terms++
	}
	if o.end.terms >= 2 {
		o.endTree()
	}
}

// lastSignals reads the signals that came together with the target's end. If one was typed at the terminal, the target has
// not failed.
func (o *round) lastSignals() {
	for {
		select {
		case s := <-o.signals:
			o.end.cancelled = o.end.cancelled || ends(s.Number)
		default:
			return
		}
	}
}

// askTree asks the command and all its processes to end, as timeout(1) asks its group.
func (o *round) askTree() {
	_ = o.target.Signal(terminate)
	for _, pid := range o.others() {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Signal(terminate)
		}
	}
}

// endTree kills the command and all its processes. It repeats this until none is left, because they may fork in between.
func (o *round) endTree() {
	_ = o.target.Signal(os.Kill)
	for range 100 {
		pids := o.tree()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
}

// tree returns the processes of the command: those in its cgroup or, without one, the descendants of its parent except ours.
// It returns none if they are not known.
func (o *round) tree() []int {
	pids, err := o.group.Pids()
	if o.group.CPU == "" && o.group.Memory == "" {
		pids, err = launch.Descendants(o.parent(), append(o.sampler.pids(), os.Getpid())...)
	}
	if err != nil {
		return nil
	}
	return pids
}

// others returns the processes of the command except the first one.
func (o *round) others() []int {
	return slices.DeleteFunc(o.tree(), func(pid int) bool { return pid == o.target.PID() })
}

// endedEarly returns a deadly signal that came before the target was started.
func (o *round) endedEarly() (os.Signal, bool) {
	if o.end.stopped != nil {
		return o.end.stopped.Number, true
	}
	for {
		select {
		case s := <-o.signals:
			if s.Deadly() {
				return s.Number, true
			}
		default:
			return nil, false
		}
	}
}
