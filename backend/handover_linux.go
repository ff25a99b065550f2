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

// errHandover means that the handover does not fit the source.
func errHandover(source string) error {
	return fmt.Errorf("take over %s: what was handed over does not fit", source)
}

// HandOver hands over the last times: for each processor its number, negative for the whole machine, and its modes.
func (c *cpuSource) HandOver() sensors.Handover {
	var h sensors.Handover
	add := func(number int, p processor) {
		if !p.seen {
			return
		}
		h.Numbers = append(h.Numbers, int64(number))
		for _, ticks := range p.last {
			h.Numbers = append(h.Numbers, int64(ticks))
		}
	}
	add(-1, c.cpus[0])
	for n, at := range c.slot {
		if at >= 0 {
			add(n, c.cpus[at])
		}
	}
	return h
}

// TakeOver implements sensors.Continuer.
func (c *cpuSource) TakeOver(h sensors.Handover) error {
	for numbers := h.Numbers; len(numbers) > nModes; numbers = numbers[1+nModes:] {
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
			p.shown[m] = p.last[m]
		}
	}
	return nil
}

// HandOver hands over the events, which count from their opening, and the number of events in each group.
func (p *perfSource) HandOver() sensors.Handover {
	var h sensors.Handover
	for _, g := range p.groups {
		h.Numbers = append(h.Numbers, int64(len(g.fds)))
		h.Files = append(h.Files, g.fds...)
	}
	return h
}

// TakeOver implements sensors.Continuer.
func (p *perfSource) TakeOver(h sensors.Handover) error {
	var own []int64
	all := 0
	for _, g := range p.groups {
		own = append(own, int64(len(g.fds)))
		all += len(g.fds)
	}
	if !slices.Equal(own, h.Numbers) || all != len(h.Files) {
		for i := range h.Files {
			closeFD(&h.Files[i])
		}
		return errHandover("perf")
	}
	files := h.Files
	for _, g := range p.groups {
		n := len(g.fds)
		g.close()
		g.fds, files = slices.Clone(files[:n]), files[n:]
	}
	return nil
}

// The numbers that ownCost and targetSource hand over, by their places.
const (
	handedSuspended = iota
	handedClocks    // since and started of each clock
)

const (
	handedBase    = iota // the CPU time that the process had used before it became the target, in ns
	handedFirst          // the time of the first look, in ns of the monotonic clock
	handedStopped        // 1 if the target was stopped then
	handedLargest        // the largest memory seen, in By
	handedOthers         // to the end: children of the target's parent that do not belong to the target
)

// HandOver hands over the first readings of the clocks, with which later ones are compared.
func (s *ownCost) HandOver() sensors.Handover {
	h := sensors.Handover{Numbers: []int64{s.suspended}}
	for i := range clockReadings {
		started := int64(0)
		if s.started[i] {
			started = 1
		}
		h.Numbers = append(h.Numbers, s.since[i], started)
	}
	return h
}

// TakeOver implements sensors.Continuer.
func (s *ownCost) TakeOver(h sensors.Handover) error {
	if len(h.Numbers) != handedClocks+2*clockReadings {
		return errHandover("profiler")
	}
	s.suspended = h.Numbers[handedSuspended]
	for i := range clockReadings {
		s.since[i], s.started[i] = h.Numbers[handedClocks+2*i], h.Numbers[handedClocks+2*i+1] == 1
	}
	return nil
}

// HandOver hands over the events on the target, and the result of the only look that the runner takes before the end.
func (s *targetSource) HandOver() sensors.Handover {
	var h sensors.Handover
	if s.clock != nil {
		h.Files = s.clock.fds
	}
	p := s.tree.known[s.pid]
	if p == nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &s.spec) != nil {
		return h
	}
	look := s.tree.epoch.Add(p.life.first)
	h.Numbers = []int64{
		handedBase: int64(p.life.base), handedFirst: s.spec.Nano() - int64(time.Since(look)), handedStopped: 0, handedLargest: int64(s.largest),
	}
	if s.tree.stopped {
		h.Numbers[handedStopped] = 1
	}
	for _, pid := range s.tree.others {
		h.Numbers = append(h.Numbers, int64(pid))
	}
	return h
}

// TakeOver implements sensors.Continuer.
func (s *targetSource) TakeOver(h sensors.Handover) error {
	if s.clock != nil && len(h.Files) > 0 {
		s.clock.close()
		s.clock.fds, h.Files = h.Files, nil
	} else if s.clock != nil && !s.ended {
		return errHandover("target")
	}
	for i := range h.Files {
		closeFD(&h.Files[i])
	}
	t := s.tree
	if len(h.Numbers) < handedOthers || unix.ClockGettime(unix.CLOCK_MONOTONIC, &s.spec) != nil {
		return nil //nolint:nilerr // the target had ended before the runner could look at it
	}
	t.now = time.Since(t.epoch) - time.Duration(s.spec.Nano()-h.Numbers[handedFirst])
	t.stopped, s.largest = h.Numbers[handedStopped] == 1, float64(h.Numbers[handedLargest])
	if p := t.known[s.pid]; p != nil {
		p.life.base, p.life.cpu, p.life.first = time.Duration(h.Numbers[handedBase]), 0, t.now
	}
	t.others = append(t.others[:0], os.Getpid())
	for _, pid := range h.Numbers[handedOthers:] {
		t.others = append(t.others, int(pid))
	}
	return nil
}
