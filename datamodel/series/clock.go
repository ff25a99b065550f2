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
	// leastStep is what is told of a clock. Both clocks are slewed alike, so what is left between them are steps, and the
	// time between reading the one and the other: some 0.1 ms at most.
	leastStep = time.Millisecond
	// mostSteps is how many are told one by one.
	mostSteps = 8
)

// clock takes notice of when one of the two changed and by how much.
type clock struct {
	suspends bool
	last     float64
	known    bool
	steps    []clockStep
	more     int64
}

// clockStep is a change by so many seconds, seen at a reading.
type clockStep struct {
	at   time.Duration
	size float64
}

// clockOf is nil for any other sensor.
func clockOf(s sensors.Sensor) *clock {
	if s.Use != sensors.ClockOffset && s.Use != sensors.Suspended {
		return nil
	}
	return &clock{suspends: s.Use == sensors.Suspended}
}

// add takes in readings, NaN where there was none.
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

// warnings is one for each step, and one for those beyond that.
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
			text = fmt.Sprintf("the wall clock was set %s by %s, seen at %s: all times are those of the clock as it was at the start", way, size, when)
		}
		out = append(out, datamodel.Warning{Subject: "clock", Text: text})
	}
	if c.more > 0 {
		out = append(out, datamodel.Warning{Subject: "clock", Text: "it was set, or the machine suspended, still more often", Count: c.more})
	}
	return out
}
