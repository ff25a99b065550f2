package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// The shortest and the longest time for which the idle machine is measured.
const (
	MinBaseline = time.Second
	MaxBaseline = 10 * time.Minute
)

// Baseline asks for a measurement of the idle machine, while the target is held back.
type Baseline struct {
	// Duration is the length of the measurement. 0 measures nothing.
	Duration time.Duration
	// Both asks for a second measurement, of the same length, after the target's end.
	Both bool
	// Sampler starts a sampler for the baseline alone. The run's own sampler has not begun then, or has ended.
	Sampler func() (*sampler.Client, error)
	// OnWait receives the elapsed time at the start, once a second, and at the end. It may be nil.
	OnWait func(elapsed, of time.Duration, after bool)
}

// idleReadings is the least number of readings in a baseline, so that their spread is known.
const idleReadings = 10

// idleBefore measures the idle machine before the target is started.
func (o *round) idleBefore(ctx context.Context) {
	base := o.idle(ctx, false)
	o.run.Baseline = &base
}

// idleAfter measures the idle machine again after the target's end, if Both asks for it. A signal then ends only this
// measurement.
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
	spool, err := store.TempFolder()
	if err != nil {
		return none(fmt.Errorf("temporary folder for the readings: %w", err))
	}
	defer func() { _ = errors.Join(spool.Discard(), spool.Close()) }()
	client, err := o.Baseline.Sampler()
	if err != nil {
		return none(err)
	}
	defer client.Wait() // it must not write while its files are removed
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
	if _, err := client.Begun(ctx); err != nil {
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
	if _, err := (*store.Files)(nil).Convert(spool, readings.observe); err != nil {
		return none(err)
	}
	return account.BaselineOf(readings.series, start, nil)
}

// openIdle prepares the sampler. Without a meter it returns what is missing, because a measurement would be useless.
func (o *round) openIdle(ctx context.Context, client *sampler.Client, spool *store.Folder) ([]sensors.Absence, error) {
	config := o.Config
	config.Interval = min(config.Interval, o.Baseline.Duration/idleReadings)
	config.Baseline, config.List, config.Align = true, true, false
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

// awaitIdle waits for the length of a baseline, or returns an error if a signal ends the baseline.
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
			return errors.New("interrupted by " + nameOf(s.Number))
		}
	}
}
