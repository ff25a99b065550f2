//go:build linux && cgo

package backend

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// changesSeen is how many changes of a counter are waited for: three periods between them.
	changesSeen = 4
	// learnTime is the longest time to wait for them.
	learnTime = time.Second
	// leastPoll is the shortest time between two looks at a counter. After a change looks become rarer, the next one
	// after pollPart of the time that has passed, so that a period is known to that part of it by few looks.
	leastPoll = time.Millisecond
	pollPart  = 1. / 16
)

// updatePeriod is the sensor that tells how often the energy counter of a GPU moves, or its power where it has none.
func updatePeriod() sensors.Sensor {
	return sensors.Sensor{
		Name: "update_period", Use: sensors.GPUUpdatePeriod, Sparse: true, Unit: units.Second, Source: "NVML energy counter or power, polled until it had changed 4 times",
		Doc: "longest time seen between two new values of the energy counter, or of the power if there is no counter, " +
			"measured once after the target starts",
	}
}

// updatePeriods learns how often the energy counters move, each model of GPU once. It does so beside the readings while
// the target runs, since nothing should wait for it: 4 changes at 100 ms take up to 0.4 s and some 180 looks.
type updatePeriods struct {
	models []modelPeriod
	done   chan struct{}
}

// modelPeriod is the period of one model.
type modelPeriod struct {
	model string
	// bits is the period in seconds, NaN as long as it is not known.
	bits atomic.Uint64
}

// of is the period of a model in seconds, NaN where it is not known.
func (p *updatePeriods) of(model string) float64 {
	for i := range p.models {
		if p.models[i].model == model {
			return math.Float64frombits(p.models[i].bits.Load())
		}
	}
	return math.NaN()
}

// learn begins, once.
func (p *updatePeriods) learn(gpus []gpu) {
	if p.done != nil {
		return
	}
	p.done = make(chan struct{})
	var counters []func() float64
	var names []string
	for i := range gpus {
		g := &gpus[i]
		if g.periodAt < 0 || slices.Contains(names, g.model) {
			continue
		}
		names, counters = append(names, g.model), append(counters, g.counter())
	}
	p.models = make([]modelPeriod, len(names))
	for i, name := range names {
		p.models[i].model = name
		p.models[i].bits.Store(math.Float64bits(math.NaN()))
	}
	go func() {
		for i, counter := range counters {
			if d, ok := learnPeriod(counter, p.done); ok {
				p.models[i].bits.Store(math.Float64bits(d.Seconds()))
			}
		}
	}()
}

// stop ends learning. It does not wait, as a call may hang.
func (p *updatePeriods) stop() {
	if p.done != nil {
		close(p.done)
	}
}

// counter reads the energy of the GPU alone, or its power where it has none, and may be called beside readings of the
// rest. It is the first of its sensors.
func (g *gpu) counter() func() float64 {
	device := g.device
	if len(g.fieldAt) > 0 && g.fieldAt[0] == 0 {
		v := []nvml.FieldValue{g.fields[0]}
		return func() float64 {
			v[0].NvmlReturn = uint32(nvml.ERROR_UNKNOWN)
			if device.GetFieldValues(v) != nvml.SUCCESS || nvml.Return(v[0].NvmlReturn) != nvml.SUCCESS {
				return math.NaN()
			}
			return fieldNumber(&v[0])
		}
	}
	var one [1]float64
	read := g.calls[0].read
	return func() float64 {
		if read(device, one[:]) != nvml.SUCCESS {
			return math.NaN()
		}
		return one[0]
	}
}

// learnPeriod looks at a counter until it has moved changesSeen times and returns the longest time between two changes
// that follow each other: from the last look before the first of them to the first look after the second, so that it is
// no less than it was. It is not ok where the counter did not move as often, failed or done is closed.
func learnPeriod(counter func() float64, done <-chan struct{}) (longest time.Duration, ok bool) {
	began := time.Now()
	last := counter()
	lookedAt := time.Now() // the end of the look before
	since := lookedAt      // the last change
	var before time.Time   // the look before the last change
	for changes := 0; changes < changesSeen; {
		pause := max(leastPoll, time.Duration(pollPart*float64(time.Since(since))))
		select {
		case <-done:
			return 0, false
		case <-time.After(pause):
		}
		from := time.Now()
		v := counter()
		now := time.Now()
		if math.IsNaN(v) || now.Sub(began) > learnTime {
			return 0, false
		}
		if v != last {
			if changes > 0 {
				longest = max(longest, now.Sub(before))
			}
			changes++
			before, since, last = lookedAt, now, v
		}
		lookedAt = from
	}
	return longest, true
}
