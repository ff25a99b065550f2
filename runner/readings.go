package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

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

// get returns the sampler. If there is none, get starts and configures one.
func (p *samplerProcess) get() (*sampler.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	c, err := p.start()
	if err != nil {
		return nil, err
	}
	p.client = c
	return c, c.Configure(p.config)
}

// pid returns the sampler's process id, or 0 without a sampler.
func (p *samplerProcess) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil {
		return 0
	}
	return p.client.PID()
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
	engine  *sampler.Engine // the runner's own; nil if the sampler takes the first readings
	reading bool            // the sampler reads
	joining chan joined     // nil unless the sampler is joining
	cancel  context.CancelFunc
	failed  error // why the sampler's record is incomplete
	last    bool  // the engine took the last readings

	missing    []sensors.Absence
	accounting string
	sources    []datamodel.SourceStats
	warnings   []datamodel.Warning
}

// joined is the outcome of an attempt to join.
type joined struct {
	ready sampler.Ready
	err   error
}

// open opens the sources that do not need the target. before says that the sampler reads before the command starts.
func (r *readings) open(before bool, backends []sensors.Backend) {
	if before || sampler.NeedsSampler(r.config, backends) {
		r.startSampler()
		return
	}
	r.engine = sampler.NewLocal(r.config, backends)
	r.engine.Open()
}

// startSampler starts the sampler, which then takes the first readings.
func (r *readings) startSampler() {
	r.engine = nil
	_, err := r.process.get()
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
	r.order(func(c *sampler.Client) error { return c.Begun(ctx) })
	r.reading = r.failed == nil
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
	if r.engine != nil && r.joining == nil && !r.reading {
		r.engine.ReadSoon()
	}
}

// join starts to let the sampler take over. It sends the outcome to r.joining. The caller then calls settle with it.
func (r *readings) join(ctx context.Context, s sampler.Subject) {
	if r.engine == nil {
		return
	}
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
	if err := r.engine.Beat(); err != nil {
		return ready, err
	}
	c, err := r.process.get()
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
	if err := r.engine.Pause(); err != nil {
		return ready, err
	}
	t, err := r.engine.HandOver()
	if err != nil {
		return ready, err
	}
	if err := errors.Join(c.TakeOver(t), c.Begun(ctx)); err != nil {
		return ready, err
	}
	if !release() {
		return ready, ctx.Err()
	}
	return ready, nil
}

// settle records the outcome of an attempt to join.
func (r *readings) settle(j joined) {
	r.joining = nil
	r.cancel()
	if j.err == nil {
		r.reading, r.missing, r.accounting = true, j.ready.Missing, j.ready.Accounting
		return
	}
	if errors.Is(j.err, context.Canceled) { // the command ended before the sampler had joined
		r.process.drop()
		return
	}
	r.fail(fmt.Errorf("the sampler could not take over: %w", j.err))
	r.fail(r.engine.Pause()) // a long command would fill the memory; the runner still takes the last readings
}

// end takes the last readings, and collects the statistics and warnings of all sources.
func (r *readings) end(ctx context.Context) {
	if r.joining != nil {
		r.cancel()
		r.settle(<-r.joining)
	}
	if r.reading && r.failed == nil {
		r.order(func(c *sampler.Client) error {
			ended, err := c.End(ctx)
			r.sources, r.warnings = ended.Sources, ended.Warnings
			return err
		})
		if r.failed == nil {
			return
		}
	}
	if r.engine == nil {
		return
	}
	if err := r.engine.Pause(); err != nil {
		r.fail(err)
		return
	}
	r.engine.ReadLast()
	r.last = true
	ended := r.engine.Summary()
	r.sources, r.warnings = ended.Sources, ended.Warnings
	if !r.reading {
		r.missing = r.engine.Missing()
	}
}

// fail records the sampler's first error and drops the sampler. nil does nothing.
func (r *readings) fail(err error) {
	if err == nil {
		return
	}
	if r.failed == nil {
		r.failed = err
	}
	r.process.drop()
}

// close closes what the runner has open.
func (r *readings) close() {
	if r.joining != nil {
		r.cancel()
		r.settle(<-r.joining)
	}
	if r.engine != nil && r.engine.Pause() == nil {
		r.engine.Close()
	}
}

// taken has all readings of a round: those in the spool folder and those in memory only.
type taken struct {
	spool     *store.Folder // nil if nothing was written
	rows      []store.Rows
	processes []sensors.Process
	looked    time.Time // when the processes were last looked at
	anchor    time.Time // when the first reading was taken
}

// taken returns the readings of the round. spool is the folder that the sampler writes to.
func (r *readings) taken(spool *store.Folder) taken {
	r.process.await()
	if !r.last {
		return taken{spool: spool}
	}
	t := taken{rows: r.engine.Rows(), anchor: r.engine.Began()}
	if r.reading {
		t.spool, t.rows = spool, store.Behind(spool, t.rows)
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
	t.spool, t.rows, t.processes = spool, nil, nil
	return nil
}
