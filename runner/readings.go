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

// mostAlone is how long the runner reads alone at most. Then the sampler is started, which has read before the first beat at
// intervals of twice that and more.
const mostAlone = 50 * time.Millisecond

// samplerProcess is the sampler, one for all rounds, started when it is first needed.
type samplerProcess struct {
	start  func() (*sampler.Client, error)
	config sampler.Config
	mu     sync.Mutex        // of client: the sampler joins beside the wait for the target
	client *sampler.Client   // nil while there is none that answers
	gone   []*sampler.Client // those that were let go
}

// get gives the sampler.
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

// pid is its process id, 0 if there is none.
func (p *samplerProcess) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil {
		return 0
	}
	return p.client.PID()
}

// drop gives up a sampler that does not answer. The next round starts another.
func (p *samplerProcess) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		p.client.Close()
		p.gone = append(p.gone, p.client)
		p.client = nil
	}
}

// await returns when all samplers that were given up have exited. Until then they could still write to the spool.
func (p *samplerProcess) await() {
	for _, c := range p.gone {
		c.Wait()
	}
	p.gone = nil
}

// readings is who reads the sensors in one round. At first that is the runner itself, with an engine of its own. The sampler
// joins a command that lives long enough, and takes over. If the runner must not read (sampler.NeedsSampler), the sampler
// takes the first readings too.
type readings struct {
	process *samplerProcess
	config  sampler.Config
	engine  *sampler.Engine // the runner's; nil if the sampler takes the first readings
	reading bool            // the sampler reads
	joining chan joined     // nil while it does not try to join
	cancel  context.CancelFunc
	failed  error // why the sampler gave no complete record
	last    bool  // the engine took the last readings

	missing    []sensors.Absence
	accounting string
	sources    []datamodel.SourceStats
	warnings   []datamodel.Warning
}

// joined is what came of an attempt to join.
type joined struct {
	ready sampler.Ready
	err   error
}

// open opens what does not need the target. before asks for the sampler to read before the command starts.
func (r *readings) open(before bool, backends []sensors.Backend) {
	if before || sampler.NeedsSampler(r.config, backends) {
		r.first()
		return
	}
	r.engine = sampler.NewLocal(r.config, backends)
	r.engine.Open()
}

// first starts the sampler, which then takes the first readings.
func (r *readings) first() {
	r.engine = nil
	_, err := r.process.get()
	r.fail(err)
}

// attach describes the held target to whoever reads. An error means that the configuration is wrong.
func (r *readings) attach(ctx context.Context, s sampler.Subject, begin bool) error {
	if r.engine != nil {
		ready, err := r.engine.Attach(s)
		if err == nil {
			r.accounting = ready.Accounting
			return nil
		}
		// The sampler opens more, and knows whether that is wrong.
		r.engine.Close()
		r.first()
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

// order gives the sampler an order, if the sampler still answers.
func (r *readings) order(give func(*sampler.Client) error) {
	if r.process.client != nil && r.failed == nil {
		r.fail(give(r.process.client))
	}
}

// follow passes on the target's pid, if it was not known before the start.
func (r *readings) follow(pid int) {
	if r.engine != nil {
		r.engine.Follow(pid)
		return
	}
	r.order(func(c *sampler.Client) error { return c.Follow(pid) })
}

// alone is how long the runner reads alone.
func (r *readings) alone() time.Duration {
	least := r.config.Interval
	for _, own := range r.config.Intervals {
		least = min(least, own)
	}
	return min(least/2, mostAlone)
}

// join begins to let the sampler take over. It tells r.joining how that went, and settle is to be called with it.
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
			j.err = ctx.Err() // the error may be that of a pipe, which the end of ctx closes
		}
		r.joining <- j
	}()
}

// takeOver starts the sampler and hands over to it. Until it is done, the runner reads at the beats.
func (r *readings) takeOver(ctx context.Context, s sampler.Subject) (ready sampler.Ready, err error) {
	if err := r.engine.Beat(); err != nil {
		return ready, err
	}
	c, err := r.process.get()
	if err != nil {
		return ready, err
	}
	release := context.AfterFunc(ctx, c.Close) // also if it hangs
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

// settle notes what came of the attempt to join.
func (r *readings) settle(j joined) {
	r.joining = nil
	r.cancel()
	if j.err == nil {
		r.reading, r.missing, r.accounting = true, j.ready.Missing, j.ready.Accounting
		return
	}
	if errors.Is(j.err, context.Canceled) { // the command has ended first
		r.process.drop()
		return
	}
	r.fail(fmt.Errorf("the sampler could not take over: %w", j.err))
	r.fail(r.engine.Pause()) // a long command would fill the memory; the last readings are still taken
}

// end takes the last readings, and what there is to say about all.
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

// fail notes the first error of the sampler and gives the sampler up. It does nothing if err is nil.
func (r *readings) fail(err error) {
	if err == nil {
		return
	}
	if r.failed == nil {
		r.failed = err
	}
	r.process.drop()
}

// close releases what the runner has open.
func (r *readings) close() {
	if r.joining != nil {
		r.cancel()
		r.settle(<-r.joining)
	}
	if r.engine != nil && r.engine.Pause() == nil {
		r.engine.Close()
	}
}

// taken is all that was read in a round: what is in a spool folder, and what never went there.
type taken struct {
	spool     string // empty if nothing was written
	rows      []store.Rows
	processes []sensors.Process
	looked    time.Time // at the processes
	anchor    time.Time
}

// taken gives it. spool is the folder that the sampler was told.
func (r *readings) taken(spool string) taken {
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

// seen is what is known of the target's processes.
func (t *taken) seen() (*datamodel.SeenProcesses, error) {
	if t.spool != "" {
		return store.ReadProcesses(t.spool)
	}
	return store.Seen(t.anchor, t.looked, t.processes), nil
}

// save writes what never went to the spool into that folder.
func (t *taken) save(spool string) error {
	if t.spool != "" || len(t.rows) == 0 {
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
