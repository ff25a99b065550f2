package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
)

// grace is the time that a target has to end by itself. Then its whole tree is killed.
const grace = 5 * time.Second

// ending records what ergon or the user did to end the target.
type ending struct {
	stopped             *launch.Signal // a signal that came while the idle machine was measured or files were counted
	cancelled, timedOut bool
	terms               int // how often the target was asked to end
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
	stopWatching := func() {}
	defer func() { stopWatching() }()
	if o.readings.reading {
		stopWatching = o.watch(began)
	}
	lives := time.NewTimer(o.readings.alone())
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
			stopWatching = func() {}
			o.readings.restart(ctx, o.subject())
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
				stopWatching = o.watch(began)
			}
		case <-cancelled:
			cancelled = nil
			o.end.cancelled = true
			_ = o.target.Signal(terminate)
			last = time.After(grace)
		case <-limit:
			o.end.timedOut = true
			_ = o.target.Signal(terminate)
			last = time.After(grace)
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

// endTree kills the command and all its processes: those in its cgroup or, without one, the descendants of its parent except ours. It
// repeats this until none is left, because they may fork in between.
func (o *round) endTree() {
	_ = o.target.Signal(os.Kill)
	for range 100 {
		pids, err := o.group.Pids()
		if o.group.CPU == "" && o.group.Memory == "" {
			pids, err = launch.Descendants(o.parent(), append(o.sampler.pids(), os.Getpid())...)
		}
		if err != nil || len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
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

// liveFor is how long the status line shows a figure without a new reading.
const liveFor = 5 * time.Second

// watch reads the spool once a second and reports the current figures to OnStatus, until stop is called. The sampler flushes
// at least once a second, so the figures are at most a second old.
func (o *round) watch(began time.Time) (stop func()) {
	if o.OnStatus == nil || !o.readings.reading {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var readings fold
		var live account.Live
		spool := store.NewFollower(o.folder.spool, readings.observe)
		defer spool.Close()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if _, err := spool.Poll(); err != nil {
				return // process will report the error
			}
			elapsed := time.Since(began)
			o.OnStatus(elapsed, live.Now(readings.series, elapsed-max(liveFor, 3*o.Config.Interval)))
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
