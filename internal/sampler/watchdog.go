package sampler

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// mostApart is the longest interval for energy counters and clocks, whatever the user chose. perf's energy events read
	// a counter of 32 bits, which wraps after a minute at 1 kW.
	mostApart = time.Minute
	// clockSensor is the sensor that relates the wall clock to the readings' clock.
	clockSensor = "profiler/clock_offset"
)

// watchdog returns the longest interval that loses nothing of these sensors. Each counter is read twice in its shortest time
// to wrap, so none can wrap twice unseen.
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
