package backend

import (
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/sensors"
)

// This file hands over the state of sources from the runner to the sampler. Sources that are not here have none: they keep
// nothing between two readings.

// errLegacy means that the legacy does not fit the source.
func errLegacy(source string) error {
	return fmt.Errorf("take over %s: what was handed over does not fit", source)
}

// Bequeath hands over the last times: for each processor its number, negative for the whole machine, and its modes.
func (c *cpuSource) Bequeath() sensors.Legacy {
	var l sensors.Legacy
	add := func(number int, p processor) {
		if !p.seen {
			return
		}
		l.Numbers = append(l.Numbers, int64(number))
		for _, ticks := range p.last {
			l.Numbers = append(l.Numbers, int64(ticks))
		}
	}
	add(-1, c.cpus[0])
	for n, at := range c.slot {
		if at >= 0 {
			add(n, c.cpus[at])
		}
	}
	return l
}

// Inherit implements sensors.Heir.
func (c *cpuSource) Inherit(l sensors.Legacy) error {
	for numbers := l.Numbers; len(numbers) > nModes; numbers = numbers[1+nModes:] {
		at := 0
		if n := numbers[0]; n >= 0 {
			if n >= int64(len(c.slot)) || c.slot[n] < 0 {
				continue
			}
			at = c.slot[n]
		}
		p := &c.cpus[at]
		p.seen = true
		for m := range p.last {
			p.last[m] = float64(numbers[1+m])
		}
	}
	return nil
}

// Bequeath hands over the events, which count from their opening, and the number of events in each group.
func (p *perfSource) Bequeath() sensors.Legacy {
	var l sensors.Legacy
	for _, g := range p.groups {
		l.Numbers = append(l.Numbers, int64(len(g.fds)))
		l.Files = append(l.Files, g.fds...)
	}
	return l
}

// Inherit implements sensors.Heir.
func (p *perfSource) Inherit(l sensors.Legacy) error {
	var own []int64
	all := 0
	for _, g := range p.groups {
		own = append(own, int64(len(g.fds)))
		all += len(g.fds)
	}
	if !slices.Equal(own, l.Numbers) || all != len(l.Files) {
		for i := range l.Files {
			closeFD(&l.Files[i])
		}
		return errLegacy("perf")
	}
	files := l.Files
	for _, g := range p.groups {
		n := len(g.fds)
		g.close()
		g.fds, files = slices.Clone(files[:n]), files[n:]
	}
	return nil
}

// The numbers that ownCost and targetSource hand over, by their places.
const (
	legacySuspended = iota
	legacyClocks    // since and started of each clock
)

const (
	legacyBase    = iota // the CPU time that the process had used before it became the target, in ns
	legacyFirst          // the time of the first look, in ns of the monotonic clock
	legacyStopped        // 1 if the target was stopped then
	legacyLargest        // the largest memory seen, in By
	legacyOthers         // to the end: the runner's children that do not belong to the target
)

// Bequeath hands over the first readings of the clocks, with which later ones are compared.
func (s *ownCost) Bequeath() sensors.Legacy {
	l := sensors.Legacy{Numbers: []int64{s.suspended}}
	for i := range clockReadings {
		started := int64(0)
		if s.started[i] {
			started = 1
		}
		l.Numbers = append(l.Numbers, s.since[i], started)
	}
	return l
}

// Inherit implements sensors.Heir.
func (s *ownCost) Inherit(l sensors.Legacy) error {
	if len(l.Numbers) != legacyClocks+2*clockReadings {
		return errLegacy("profiler")
	}
	s.suspended = l.Numbers[legacySuspended]
	for i := range clockReadings {
		s.since[i], s.started[i] = l.Numbers[legacyClocks+2*i], l.Numbers[legacyClocks+2*i+1] == 1
	}
	return nil
}

// Bequeath hands over the events on the target, and the result of the only look that the runner takes before the end.
func (s *targetSource) Bequeath() sensors.Legacy {
	var l sensors.Legacy
	if s.clock != nil {
		l.Files = s.clock.fds
	}
	p := s.tree.known[s.pid]
	if p == nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &s.spec) != nil {
		return l
	}
	look := s.tree.epoch.Add(p.life.first)
	l.Numbers = []int64{
		legacyBase: int64(p.life.base), legacyFirst: s.spec.Nano() - int64(time.Since(look)), legacyStopped: 0, legacyLargest: int64(s.largest),
	}
	if s.tree.stopped {
		l.Numbers[legacyStopped] = 1
	}
	for _, pid := range s.tree.others {
		l.Numbers = append(l.Numbers, int64(pid))
	}
	return l
}

// Inherit implements sensors.Heir.
func (s *targetSource) Inherit(l sensors.Legacy) error {
	if s.clock != nil && len(l.Files) > 0 {
		s.clock.close()
		s.clock.fds, l.Files = l.Files, nil
	} else if s.clock != nil && !s.ended {
		return errLegacy("target")
	}
	for i := range l.Files {
		closeFD(&l.Files[i])
	}
	t := s.tree
	if len(l.Numbers) < legacyOthers || unix.ClockGettime(unix.CLOCK_MONOTONIC, &s.spec) != nil {
		return nil //nolint:nilerr // the target had ended before the runner could look at it
	}
	t.now = time.Since(t.epoch) - time.Duration(s.spec.Nano()-l.Numbers[legacyFirst])
	t.stopped, s.largest = l.Numbers[legacyStopped] == 1, float64(l.Numbers[legacyLargest])
	if p := t.known[s.pid]; p != nil {
		p.life.base, p.life.cpu, p.life.first = time.Duration(l.Numbers[legacyBase]), 0, t.now
	}
	t.others = append(t.others[:0], os.Getpid())
	for _, pid := range l.Numbers[legacyOthers:] {
		t.others = append(t.others, int(pid))
	}
	return nil
}
