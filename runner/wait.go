package runner

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
)

// grace is the time between asking a target that is over its limit to end and ending its tree.
const grace = 5 * time.Second

// ending is what brings the target to its end, beside itself.
type ending struct {
	stopped             *launch.Signal // came while the idle machine was measured
	cancelled, timedOut bool
	terms               int // how often the target was asked to end
}

// orphans are those of the target that come to us.
type orphans struct {
	adopted bool          // they do
	time    time.Duration // the CPU time of those reaped
	user    time.Duration // the part of it in user mode
}

// wait returns when the target has been reaped. Meanwhile it passes signals on, keeps the limit of time, and lets the sampler
// join.
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
	cancelled := ctx.Done()
	var before launch.Signal
	var limit, last <-chan time.Time
	if o.Timeout > 0 {
		limit = time.After(o.Timeout - time.Since(began))
	}
	var orphans <-chan time.Time
	if o.orphans.adopted {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		orphans = t.C
	}
	for {
		select {
		case err := <-ended:
			o.note()
			return errors.Join(err, o.reap(began))
		case s := <-o.signals:
			if !repeats(s, before) {
				o.pass(s)
			}
			before = s
		case <-lives.C:
			o.join(ctx)
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

// reap takes the state of the dead target away and notes what the kernel says of it.
func (o *round) reap(began time.Time) error {
	state, err := o.target.Reap()
	wall := time.Since(began)
	if o.orphans.adopted {
		o.reapOrphans()
	}
	o.state = state
	o.ledger = entries(wall, o.before, state, o.group)
	o.quota.enter(&o.ledger)
	if o.orphans.adopted {
		o.ledger.OrphansTime, o.ledger.OrphansUserTime = seconds(o.orphans.time), seconds(o.orphans.user)
	}
	if !o.held {
		o.ledger.RSSFloor = ownPeak()
	}
	o.run.WallTime = o.ledger.WallTime
	return err
}

// reapOrphans takes away the dead among the target's orphans.
func (o *round) reapOrphans() {
	_, user, system := launch.Orphans(append(o.ours(), o.target.PID())...)
	o.orphans.time += user + system
	o.orphans.user += user
}

// ours lists our children that are no part of the target.
func (o *round) ours() []int {
	list := []int{o.Launcher.PID()}
	if pid := o.sampler.pid(); pid != 0 {
		list = append(list, pid)
	}
	return list
}

// sameRequest is the time within which a repeated signal of our group's leader is one request: on a busy machine the two of
// timeout(1) were seen more than 10 ms apart.
const sameRequest = 250 * time.Millisecond

// repeats says whether a signal comes with the one before. timeout(1) makes itself the leader of a group, and sends the
// signal to its child and some microseconds later to the group: taken for two, they would end a tree that was asked once.
func repeats(s, before launch.Signal) bool {
	return s.Leader && before.Leader && s.Number == before.Number && s.At.Sub(before.At) < sameRequest
}

// pass hands a signal on to the target, unless it came from the terminal, which reaches the target by itself. A second
// SIGTERM or SIGINT sent to ergon ends the whole tree; a SIGHUP does not, which a shell sends beside the terminal's.
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

// note takes notice of the signals that came together with the target's end: one typed at the terminal is no failure
// of the target's.
func (o *round) note() {
	for {
		select {
		case s := <-o.signals:
			o.end.cancelled = o.end.cancelled || ends(s.Number)
		default:
			return
		}
	}
}

// endTree kills every process of the target that can be found: the command and what is in its cgroup, or without one
// what descends from us but for the sampler; until nothing is left, as that may still fork.
func (o *round) endTree() {
	_ = o.target.Signal(os.Kill)
	for range 100 {
		pids, err := o.group.Pids()
		if o.group.CPU == "" && o.group.Memory == "" {
			pids, err = launch.Descendants(o.ours()...)
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

// endedEarly looks for a signal that came while the target was not yet started, and could not be prepared for one.
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

// liveFor is how long a figure of the status line is shown without a new reading.
const liveFor = 5 * time.Second

// watch reads the spool once a second and tells what the readings say of the moment, until the returned function is
// called. The sampler flushes at least as often, so the figures are no more than a second old.
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
				return // the end will tell what is wrong
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
