package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// mostDeaths is how often a sampler may die in a round before the round goes on without one. The first is followed by
// another like it. The last one leaves out the sources that may crash it.
const mostDeaths = 2

// mostAlone is the longest time for which the runner reads alone. Then the sampler is started. At intervals of at least
// twice this time, the sampler has joined before the first beat.
const mostAlone = 50 * time.Millisecond

// samplerProcess is the sampler process of a session. It is started when a round first needs it, and serves all rounds.
type samplerProcess struct {
	start  func() (*sampler.Client, error)
	config sampler.Config
	mu     sync.Mutex        // guards client: the sampler joins while another goroutine waits for the target
	client *sampler.Client   // nil if no sampler answers
	gone   []*sampler.Client // the samplers that were dropped
}

// get returns the sampler. If there is none, get starts and configures one. cautious leaves out the sources that may crash it.
func (p *samplerProcess) get(cautious bool) (*sampler.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	p.config.Cautious = cautious
	c, err := p.start()
	if err != nil {
		return nil, err
	}
	p.client = c
	return c, c.Configure(p.config)
}

// pids returns the process ids of the sampler and of those that were dropped.
func (p *samplerProcess) pids() (list []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range append(slices.Clip(p.gone), p.client) {
		if c != nil {
			list = append(list, c.PID())
		}
	}
	return list
}

// drop closes a sampler that does not answer. The next round starts another.
func (p *samplerProcess) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		p.client.Close()
		p.gone = append(p.gone, p.client)
		p.client = nil
	}
}

// await returns when all dropped samplers have ended. Until then they might still write files that are read or removed.
func (p *samplerProcess) await() {
	for _, c := range p.gone {
		c.Wait()
	}
	p.gone = nil
}

// readings reads the sensors in one round. The runner reads first, with its own engine. If the command lives long enough,
// the sampler joins and takes over. If the runner must not read (sampler.NeedsSampler), the sampler also takes the first
// readings.
type readings struct {
	process *samplerProcess
	config  sampler.Config
	kept    **sampler.Engine // the session's engine, whose sources stay open from round to round
	engine  *sampler.Engine  // the runner's own; nil if the sampler takes the first readings
	reading bool             // the sampler reads
	joining chan joined      // nil unless the sampler is joining
	cancel  context.CancelFunc
	failed  error // why the sampler's record is incomplete
	last    bool  // the engine took the last readings

	parts  int             // how many samplers were told to write the spool
	handed bool            // the rows in the engine were handed to the last of them
	clock  sampler.Begun   // the clock of the readings, if the sampler took the first ones
	died   <-chan struct{} // closed when the sampler that reads has died; nil if none reads
	deaths int             // how many samplers have died
	death  error           // how the last of them died
	again  bool            // another sampler is to be started
	over   bool            // no other sampler is started any more

	missing    []sensors.Absence
	deaf       []datamodel.Warning // about the marks that the runner received before the sampler did
	accounting string
	sources    []datamodel.SourceStats
	warnings   []datamodel.Warning
}

// joined is the outcome of an attempt to join.
type joined struct {
	ready sampler.Ready
	err   error
}

// open opens the sources that do not need the target, unless they are open from an earlier round. before says that the
// sampler reads before the command starts.
func (r *readings) open(before bool, backends []sensors.Backend) {
	if before || *r.kept == nil && sampler.NeedsSampler(r.config, backends) {
		r.startSampler()
		return
	}
	if *r.kept == nil {
		*r.kept = sampler.NewLocal(r.config, backends)
		(*r.kept).Open()
	}
	r.engine = *r.kept
}

// startSampler starts the sampler, which then takes the first readings.
func (r *readings) startSampler() {
	r.engine, *r.kept = nil, nil
	_, err := r.process.get(false)
	r.fail(err)
}

// attach opens the sources of the target, which is held back. An error means that the configuration is wrong.
func (r *readings) attach(ctx context.Context, s sampler.Subject, begin bool) error {
	if r.engine != nil {
		ready, err := r.engine.Attach(s)
		if err == nil {
			r.accounting = ready.Accounting
			return nil
		}
		// The sampler opens more sources, so it knows whether the configuration is really wrong.
		r.engine.Close()
		r.startSampler()
	}
	r.parts = 1
	r.order(func(c *sampler.Client) error { return c.Attach(s) })
	if begin {
		r.order((*sampler.Client).Begin)
	}
	var ready sampler.Ready
	var refused error
	r.order(func(c *sampler.Client) (err error) {
		if ready, err = c.Ready(ctx); err == nil {
			return nil
		}
		if _, ok := errors.AsType[*sampler.ConfigError](err); ok {
			refused, err = err, nil
		}
		return err
	})
	r.missing, r.accounting = ready.Missing, ready.Accounting
	return refused
}

// begin returns when the first readings are taken.
func (r *readings) begin(ctx context.Context) {
	if r.engine != nil {
		r.engine.ReadFirst()
		return
	}
	r.order(func(c *sampler.Client) (err error) {
		r.clock, err = c.Begun(ctx)
		return err
	})
	if r.process.client != nil && r.failed == nil {
		r.took()
	}
}

// took notes that the sampler reads from now on.
func (r *readings) took() {
	r.reading, r.died = true, r.process.client.Died()
}

// order gives the sampler an order, unless there is no sampler or an order has failed.
func (r *readings) order(give func(*sampler.Client) error) {
	if r.process.client != nil && r.failed == nil {
		r.fail(give(r.process.client))
	}
}

// follow passes on the target's process id, if it was unknown before the start.
func (r *readings) follow(pid int) {
	if r.engine != nil {
		r.engine.Follow(pid)
		return
	}
	r.order(func(c *sampler.Client) error { return c.Follow(pid) })
}

// alone returns how long the runner reads alone: half the shortest interval, at most mostAlone.
func (r *readings) alone() time.Duration {
	least := r.config.Interval
	for _, own := range r.config.Intervals {
		least = min(least, own)
	}
	return min(least/2, mostAlone)
}

// soon returns a channel that tells when to call readSoon, or nil if there is nothing to read.
func (r *readings) soon() <-chan time.Time {
	if r.engine == nil {
		return nil
	}
	after := r.engine.Soon()
	if after <= 0 || 2*after > r.alone() {
		return nil
	}
	return time.After(after - time.Since(r.engine.Began()))
}

// readSoon takes the reading soon after the first one, unless the engine reads at the beats already.
func (r *readings) readSoon() {
	if r.engine != nil && r.joining == nil && !r.reading && !r.again {
		r.engine.ReadSoon()
	}
}

// restart starts another sampler in place of one that has died. Until it joins, the runner reads what it can.
func (r *readings) restart(ctx context.Context, s sampler.Subject) {
	r.again = false
	if r.engine != nil && r.handed {
		r.engine.Again(store.Written(s.Spool, r.parts-1))
		r.handed = false
	}
	r.join(ctx, s)
}

// join starts to let the sampler take over. It sends the outcome to r.joining. The caller then calls settle with it.
func (r *readings) join(ctx context.Context, s sampler.Subject) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.joining = make(chan joined, 1)
	go func() {
		var j joined
		j.ready, j.err = r.takeOver(ctx, s)
		if j.err != nil && ctx.Err() != nil {
			j.err = ctx.Err() // the error may come from the pipe, which the end of ctx closes
		}
		r.joining <- j
	}()
}

// takeOver starts the sampler and hands over to it. Until then the runner reads at the beats.
func (r *readings) takeOver(ctx context.Context, s sampler.Subject) (ready sampler.Ready, err error) {
	if r.engine != nil {
		if err := r.engine.Beat(); err != nil {
			return ready, err
		}
	}
	c, err := r.process.get(r.deaths == mostDeaths)
	if err != nil {
		return ready, err
	}
	release := context.AfterFunc(ctx, c.Close) // even if the sampler hangs
	if err := c.Attach(s); err != nil {
		return ready, err
	}
	if ready, err = c.Ready(ctx); err != nil {
		return ready, err
	}
	if err := r.handOver(c); err != nil {
		return ready, err
	}
	clock, err := c.Begun(ctx)
	if err != nil {
		return ready, err
	}
	if !release() {
		return ready, ctx.Err()
	}
	r.clock = clock
	return ready, nil
}

// handOver tells the sampler to read, from where the runner or another sampler has stopped.
func (r *readings) handOver(c *sampler.Client) error {
	switch {
	case r.engine != nil:
		if err := r.engine.Pause(); err != nil {
			return err
		}
		t, err := r.engine.HandOver()
		if err != nil {
			return err
		}
		r.parts++
		r.handed = true
		return c.TakeOver(t)
	case r.clock.Wall.IsZero(): // no sampler has begun
		return c.Begin()
	case r.clock.Monotonic == 0:
		return errors.New("this system has no clock that two processes share")
	}
	r.parts++
	return c.TakeOver(&sampler.Takeover{Monotonic: r.clock.Monotonic, Wall: r.clock.Wall})
}

// settle records the outcome of an attempt to join.
func (r *readings) settle(j joined) {
	r.joining = nil
	r.cancel()
	if j.err == nil {
		r.missing, r.accounting = j.ready.Missing, j.ready.Accounting
		r.took()
		if r.engine != nil {
			r.deaf = append(r.deaf, r.engine.Deaf()...)
		}
		return
	}
	if errors.Is(j.err, context.Canceled) { // the command ended before the sampler had joined
		r.process.drop()
		if r.engine != nil && r.deaths == 0 {
			r.parts, r.handed = 0, false // the engine has all rows
		}
		return
	}
	r.fail(fmt.Errorf("the sampler could not take over: %w", j.err))
	if r.failed != nil && r.engine != nil {
		r.fail(r.engine.Pause()) // a long command would fill the memory; the runner still takes the last readings
	}
}

// end takes the last readings, and collects the statistics and warnings of all sources.
func (r *readings) end(ctx context.Context) {
	if r.joining != nil {
		r.cancel()
		r.settle(<-r.joining)
	}
	r.over = true
	if r.reading && r.failed == nil {
		r.order(func(c *sampler.Client) error {
			ended, err := c.End(ctx)
			r.sources, r.warnings = ended.Sources, append(ended.Warnings, r.deaf...)
			return err
		})
		if r.failed == nil {
			return
		}
	}
	if r.engine == nil {
		if !r.reading && r.failed == nil {
			r.failed = r.death // no sampler was there to take the last readings
		}
		return
	}
	if err := r.engine.Pause(); err != nil {
		r.fail(err)
		r.warnings = append(r.warnings, r.engine.Deaf()...)
		return
	}
	r.engine.ReadLast()
	r.last = true
	ended := r.engine.Summary()
	r.sources, r.warnings = ended.Sources, ended.Warnings
	if r.parts == 0 {
		r.missing = r.engine.Missing()
	}
}

// fail drops the sampler after an error. If the sampler has died, another one is to be started, unless too many have. Any
// other error, or one too many, is recorded, and the round goes on without a sampler. nil does nothing.
func (r *readings) fail(err error) {
	if err == nil {
		return
	}
	switch {
	case r.failed != nil:
	case errors.Is(err, sampler.ErrDied) && r.deaths < mostDeaths && !r.over:
		r.deaths++
		r.death, r.again, r.reading = err, true, false
	default:
		r.failed = err
		if r.engine != nil {
			r.engine.Hear()
		}
	}
	r.died = nil
	r.process.drop()
}

// close closes what the runner has open for this round.
func (r *readings) close() {
	if r.joining != nil {
		r.cancel()
		r.settle(<-r.joining)
	}
	switch {
	case r.engine == nil:
	case r.engine.Pause() == nil:
		r.engine.Detach()
	default: // a reading hangs, so the next round opens other sources
		*r.kept = nil
	}
}

// taken has all readings of a round: those in the spool folder and those in memory only.
type taken struct {
	spool     *store.Folder // nil if nothing was written
	rows      []store.Rows
	processes []sensors.Process
	marks     []datamodel.Mark
	looked    time.Time // when the processes were last looked at
	anchor    time.Time // when the first reading was taken
}

// taken returns the readings of the round. spool is the folder that the sampler writes to.
func (r *readings) taken(spool *store.Folder) taken {
	r.process.await()
	var marks []datamodel.Mark
	if r.engine != nil {
		marks = r.engine.Marks()
	}
	if !r.last {
		return taken{spool: spool, marks: marks}
	}
	t := taken{rows: r.engine.Rows(), marks: marks, anchor: r.engine.Began()}
	if r.parts > 0 {
		t.spool = spool
		if r.handed {
			t.rows = store.Behind(spool, r.parts-1, t.rows)
		}
		return t
	}
	t.looked = r.engine.Processes(func(p sensors.Process) { t.processes = append(t.processes, p) })
	return t
}

// seen returns what is known of the target's processes.
func (t *taken) seen() (*datamodel.SeenProcesses, error) {
	if t.spool != nil {
		return store.ReadProcesses(t.spool)
	}
	return store.Seen(t.anchor, t.looked, t.processes), nil
}

// told returns what the command said about itself, in the order of the times. The runner also keeps the marks that it has
// handed over to a sampler, so the same mark may be in the spool.
func (t *taken) told() ([]datamodel.Mark, error) {
	if t.spool == nil {
		return datamodel.SortMarks(t.marks), nil
	}
	written, err := store.ReadMarks(t.spool)
	return datamodel.SortMarks(append(written, t.marks...)), err
}

// save writes the readings into the folder spool if they are in memory only.
func (t *taken) save(spool *store.Folder) error {
	if t.spool != nil || len(t.rows) == 0 {
		return nil
	}
	if err := store.Save(spool, t.rows); err != nil {
		return err
	}
	if len(t.processes) > 0 {
		if err := store.SaveSeen(spool, t.anchor, t.looked, t.processes); err != nil {
			return err
		}
	}
	if len(t.marks) > 0 {
		file := store.NewMarkSpool(spool, 0)
		if err := errors.Join(file.Put(t.marks), file.Close()); err != nil {
			return err
		}
	}
	t.spool, t.rows, t.processes, t.marks = spool, nil, nil, nil
	return nil
}
