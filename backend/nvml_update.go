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
	// changesSeen is the number of changes to wait for, with three periods between them.
	changesSeen = 4
	// learnTime is the longest time to wait for them.
	learnTime = time.Second
	// leastPoll is the shortest time between two polls of a counter. The pause grows to pollPart of the time since the last
	// change. So few polls measure a period to a precision of pollPart.
	leastPoll = time.Millisecond
	pollPart  = 1. / 16
)

// updatePeriod returns the sensor of the time between updates of a GPU's energy counter, or of its power without a counter.
func updatePeriod() sensors.Sensor {
	return sensors.Sensor{
		Name: "update_period", Use: sensors.GPUUpdatePeriod, Sparse: true, Unit: units.Second, Source: "NVML energy counter or power, polled until it had changed 4 times",
		Doc: "longest time seen between two new values of the energy counter, or of the power if there is no counter, " +
			"measured once after the target starts",
	}
}

// updatePeriods measures the time between updates of the energy counters, once for each model of GPU. It runs beside the
// readings, because nothing should wait for it: 4 changes at 100 ms take up to 0.4 s and about 180 polls.
type updatePeriods struct {
	models []modelPeriod
	done   chan struct{}
}

// modelPeriod is the period of one model.
type modelPeriod struct {
	model string
	// bits is the period in seconds, NaN until it is known.
	bits atomic.Uint64
}

// of returns the period of a model in seconds, NaN if it is unknown.
func (p *updatePeriods) of(model string) float64 {
	for i := range p.models {
		if p.models[i].model == model {
			return math.Float64frombits(p.models[i].bits.Load())
		}
	}
	return math.NaN()
}

// learn starts measuring. A second call does nothing.
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

// stop ends measuring. It does not wait, because a call may hang.
func (p *updatePeriods) stop() {
	if p.done != nil {
		close(p.done)
	}
}

// counter returns a function that reads only the GPU's energy, or its power without a counter. The function may run beside
// other readings. The sensor is the GPU's first.
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

// learnPeriod polls a counter until it has changed changesSeen times. It returns an upper bound of the time between two
// consecutive changes: the longest time from the last poll before one to the first poll after the next. It is not ok if the
// counter changed too seldom, if it failed, or if done is closed.
func learnPeriod(counter func() float64, done <-chan struct{}) (longest time.Duration, ok bool) {
	began := time.Now()
	last := counter()
	lookedAt := time.Now() // the end of the previous poll
	since := lookedAt      // the last change
	var before time.Time   // the poll before the last change
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
