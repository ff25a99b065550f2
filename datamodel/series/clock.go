package series

import (
	"fmt"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// leastStep is the smallest change of a clock that is reported. Both clocks are slewed alike. So they differ only
	// by steps, and by the time between reading the two: some 0.1 ms at most.
	leastStep = time.Millisecond
	// mostSteps is the number of steps that are reported one by one.
	mostSteps = 8
)

// clock records when a clock changed, and by how much.
type clock struct {
	suspends bool
	last     float64
	known    bool
	steps    []clockStep
	more     int64
}

// clockStep is a change in seconds, and the time of the reading that saw it.
type clockStep struct {
	at   time.Duration
	size float64
}

// clockOf returns the clock of a sensor, or nil if the sensor does not read one.
func clockOf(s sensors.Sensor) *clock {
	if s.Use != sensors.ClockOffset && s.Use != sensors.Suspended {
		return nil
	}
	return &clock{suspends: s.Use == sensors.Suspended}
}

// add takes readings. NaN is a row without one.
func (c *clock) add(at []time.Duration, values []float64) {
	if c == nil {
		return
	}
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if size := v - c.last; c.known && math.Abs(size) >= leastStep.Seconds() && math.Abs(size) <= math.MaxInt64/1e9 {
			if len(c.steps) < mostSteps {
				c.steps = append(c.steps, clockStep{at[i], size})
			} else {
				c.more++
			}
		}
		c.last, c.known = v, true
	}
}

// warnings returns one warning for each step, and one for all steps beyond mostSteps.
func (c *clock) warnings() (out []datamodel.Warning) {
	if c == nil {
		return nil
	}
	for _, s := range c.steps {
		size, when := units.Brief(time.Duration(math.Abs(s.size)*1e9)), units.Brief(s.at)
		text := fmt.Sprintf("the machine was suspended for %s, seen at %s: the suspended time is excluded; energy counters may have been reset", size, when)
		if !c.suspends {
			way := "forward"
			if s.size < 0 {
				way = "back"
			}
			text = fmt.Sprintf("the wall clock was set %s by %s, seen at %s: all times follow the clock as it was at the start", way, size, when)
		}
		out = append(out, datamodel.Warning{Subject: "clock", Text: text})
	}
	if c.more > 0 {
		out = append(out, datamodel.Warning{Subject: "clock", Text: "more changes of the clock or suspensions followed", Count: c.more})
	}
	return out
}
