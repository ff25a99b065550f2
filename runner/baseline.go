package runner

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// The least and the greatest time for which the idle machine is measured.
const (
	MinBaseline = time.Second
	MaxBaseline = 10 * time.Minute
)

// Baseline asks for a measurement of the idle machine, while the target is held back.
type Baseline struct {
	// Duration is how long; 0 is not at all.
	Duration time.Duration
	// Both asks for one as long after the target's end.
	Both bool
	// Sampler starts a sampler for this alone: that of the run has not begun then, or has ended.
	Sampler func() (*sampler.Client, error)
	// OnWait is told at the start, once a second and at the end how long has been waited; it may be nil.
	OnWait func(elapsed, of time.Duration, after bool)
}

// idleReadings is how many readings a baseline has at least, so that its spread is known.
const idleReadings = 10

// idleSources are the backends that the energy of a machine and its GPUs may come from, and the one that tells how busy its
// CPUs are.
func idleSources() []string {
	return []string{"cpu", "perf", "perf_core", "rapl", "hwmon", "battery", "nvml"}
}

// idleBefore measures the idle machine before the target is started.
func (o *round) idleBefore(ctx context.Context) {
	base := o.idle(ctx, false)
	o.run.Baseline = &base
}

// idleAfter measures the idle machine again, if that was asked for. A signal that ends this measurement ends nothing else.
func (o *round) idleAfter(ctx context.Context) {
	before := o.run.Baseline
	if !o.Baseline.Both || before == nil || before.Reason != "" {
		return
	}
	after := datamodel.Baseline{Reason: "ergon was asked to end"}
	if !o.end.cancelled {
		after = o.idle(ctx, true)
	}
	both := before.And(after)
	o.run.Baseline = &both
}

// idle measures the machine with a sampler and a spool of its own.
func (o *round) idle(ctx context.Context, after bool) datamodel.Baseline {
	none := func(err error) datamodel.Baseline { return datamodel.Baseline{Reason: err.Error()} }
	spool, err := os.MkdirTemp("", "ergon-")
	if err != nil {
		return none(fmt.Errorf("temporary folder for the readings: %w", err))
	}
	defer func() { _ = os.RemoveAll(spool) }()
	client, err := o.Baseline.Sampler()
	if err != nil {
		return none(err)
	}
	defer client.Wait() // or it would still write what is removed
	defer client.Close()
	missing, err := o.openIdle(ctx, client, spool)
	if err != nil {
		return none(err)
	}
	if missing != nil {
		return account.BaselineOf(nil, time.Now(), missing)
	}
	if err := client.Begin(); err != nil {
		return none(err)
	}
	if err := client.Begun(ctx); err != nil {
		return none(err)
	}
	start := time.Now()
	if err := o.awaitIdle(after); err != nil {
		return none(err)
	}
	if _, err := client.End(ctx); err != nil {
		return none(err)
	}
	var readings fold
	if _, err := store.Convert(spool, "", readings.observe); err != nil {
		return none(err)
	}
	return account.BaselineOf(readings.series, start, nil)
}

// openIdle makes the sampler ready. Where there is no meter it returns what is missing: there is no use in waiting.
func (o *round) openIdle(ctx context.Context, client *sampler.Client, spool string) ([]sensors.Absence, error) {
	config := o.Config
	config.Interval = min(config.Interval, o.Baseline.Duration/idleReadings)
	config.Only, config.List, config.Align = idleSources(), true, false
	if err := client.Configure(config); err != nil {
		return nil, err
	}
	if err := client.Attach(sampler.Subject{Spool: spool, Ephemeral: true}); err != nil {
		return nil, err
	}
	ready, err := client.Ready(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]sensors.Sensor, len(ready.Sensors))
	for i, l := range ready.Sensors {
		list[i] = l.Sensor
	}
	if account.Resolve(list, nil).Name() == "" {
		return append([]sensors.Absence{}, ready.Missing...), nil
	}
	return nil, nil
}

// awaitIdle waits for the time of a baseline, or for a signal that ends it.
func (o *round) awaitIdle(after bool) error {
	tell := o.Baseline.OnWait
	if tell == nil {
		tell = func(time.Duration, time.Duration, bool) {}
	}
	d, start := o.Baseline.Duration, time.Now()
	over, tick := time.NewTimer(d), time.NewTicker(time.Second)
	defer over.Stop()
	defer tick.Stop()
	tell(0, d, after)
	defer tell(d, d, after)
	for {
		select {
		case <-over.C:
			return nil
		case <-tick.C:
			tell(time.Since(start), d, after)
		case s := <-o.signals:
			if !s.Deadly() {
				continue
			}
			if !after {
				o.end.stopped = &s
			}
			return fmt.Errorf("interrupted by %v", s.Number)
		}
	}
}
