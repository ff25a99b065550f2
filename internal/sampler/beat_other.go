//go:build !linux

package sampler

import "time"

// beat wakes its reader at fixed times, as punctually as a time.Ticker.
type beat struct {
	ticker   *time.Ticker
	now      chan struct{}
	interval time.Duration
	last     time.Time
}

// newBeat starts a beat. Its first wake-up comes after an interval. It ignores first, which matters only for a sampler that
// joins: on these systems the sampler reads from the beginning.
func newBeat(interval, _ time.Duration) (*beat, error) {
	return &beat{time.NewTicker(interval), make(chan struct{}, 1), interval, time.Now()}, nil
}

// wait blocks until the next beat. It returns the number of beats since it last returned: 1, unless beats were missed.
func (b *beat) wait() (int64, error) {
	select {
	case t := <-b.ticker.C:
		n := int64((t.Sub(b.last) + b.interval/2) / b.interval)
		b.last = t
		return max(n, 1), nil
	case <-b.now:
		return 1, nil
	}
}

// hurry makes wait return now.
func (b *beat) hurry() {
	select {
	case b.now <- struct{}{}:
	default:
	}
}

func (b *beat) close() { b.ticker.Stop() }
