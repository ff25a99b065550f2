package sampler

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// mostApart is how far readings of energy counters, and of the clocks, may be apart whatever was chosen: perf's energy
	// events read a counter of 32 bits, which wraps after a minute at 1 kW.
	mostApart = time.Minute
	// clockSensor is what the wall clock's anchors are made of.
	clockSensor = "profiler/clock_offset"
)

// watchdog is the longest interval at which nothing is lost of these sensors: no counter can wrap twice, as it is read
// twice within the time in which it could wrap once.
func watchdog(list []sensors.Sensor) time.Duration {
	most := time.Duration(math.MaxInt64)
	for _, s := range list {
		energy := s.Kind == sensors.Counter && s.Unit == units.Joule && s.Family != "target"
		if energy || s.ID == clockSensor {
			most = min(most, mostApart)
		}
		if s.Kind != sensors.Counter || !(s.Wrap > 0 && s.MaxRate > 0) {
			continue
		}
		if half := s.Wrap / s.MaxRate / 2; half < mostApart.Seconds() {
			most = max(MinInterval, min(most, time.Duration(half*1e9)))
		}
	}
	return most
}
