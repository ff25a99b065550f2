package runner

import (
	"errors"
	"os"
	"time"

	"github.com/ergon-energy/ergon/internal/launch"
)

// grace is the time between asking a target that is over its limit to end and ending its tree.
const grace = 5 * time.Second

// wait returns when the target has been reaped. Meanwhile it passes signals on and keeps the limit of time.
func (o *round) wait(began time.Time) error {
	ended := make(chan error, 1)
	go func() { ended <- o.Target.Exited() }()
	stopWatching := o.watch(began)
	defer stopWatching()
	var limit, last <-chan time.Time
	if o.Timeout > 0 {
		limit = time.After(o.Timeout - time.Since(began))
	}
	var orphans <-chan time.Time
	if o.adopted {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		orphans = t.C
	}
	for {
		select {
		case err := <-ended:
			return errors.Join(err, o.reap(began))
		case s := <-o.Signals:
			o.pass(s)
		case <-limit:
			o.timedOut = true
			_ = o.Target.Signal(terminate)
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
	state, err := o.Target.Reap()
	wall := time.Since(began)
	if o.adopted {
		o.reapOrphans()
	}
	o.state = state
	o.ledger = entries(wall, state, o.group)
	if o.adopted {
		o.ledger.OrphansTime = seconds(o.orphans)
	}
	o.run.WallTime = o.ledger.WallTime
	return err
}

// reapOrphans takes away the dead among the target's orphans.
func (o *round) reapOrphans() {
	except := []int{o.Target.PID()}
	if o.sampler != nil {
		except = append(except, o.sampler.PID())
	}
	_, user, system := launch.Orphans(except...)
	o.orphans += user + system
}

// pass hands a signal on to the target, unless it came from the terminal, which reaches the target by itself. A second
// one that asks for the end ends the whole tree.
func (o *round) pass(s launch.Signal) {
	if !s.Typed {
		_ = o.Target.Signal(s.Number)
	}
	if !ends(s.Number) {
		return
	}
	o.cancelled = true
	if !s.Typed {
		o.terms++
	}
	if o.terms >= 2 {
		o.endTree()
	}
}

// endTree kills every process of the target that can be found: the command and what is in its cgroup, until nothing is,
// as what is left may still fork.
func (o *round) endTree() {
	_ = o.Target.Signal(os.Kill)
	for range 100 {
		pids, err := o.group.Pids()
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

// endedEarly looks for a signal that came while the target was not yet started.
func (o *round) endedEarly() (os.Signal, bool) {
	for {
		select {
		case s := <-o.Signals:
			if ends(s.Number) {
				return s.Number, true
			}
		default:
			return nil, false
		}
	}
}

// watch asks the sampler for its figures once a second, until the returned function is called.
func (o *round) watch(began time.Time) (stop func()) {
	if o.OnStatus == nil || o.client == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			status, err := o.client.Status(quit)
			select {
			case <-quit:
				return
			default:
			}
			if err != nil {
				return // the end will tell what is wrong
			}
			o.OnStatus(time.Since(began), status)
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
