package sampler

import (
	"math"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestWatchdog(t *testing.T) {
	counter := func(family string, unit units.Unit, wrap, rate float64) sensors.Sensor {
		return sensors.Sensor{ID: family + "/x", Family: family, Unit: unit, Kind: sensors.Counter, Wrap: wrap, MaxRate: rate}
	}
	never := time.Duration(math.MaxInt64)
	for name, c := range map[string]struct {
		list []sensors.Sensor
		want time.Duration
	}{
		"nothing":         {nil, never},
		"bytes":           {[]sensors.Sensor{counter("disk", units.Byte, 0, 0)}, never},
		"perf":            {[]sensors.Sensor{counter("perf", units.Joule, 0, 5000)}, time.Minute},
		"rapl":            {[]sensors.Sensor{counter("rapl", units.Joule, 262144, 5000)}, 26214400 * time.Microsecond},
		"the shortest":    {[]sensors.Sensor{counter("rapl", units.Joule, 262144, 5000), counter("rapl", units.Joule, 65536, 5000)}, 6553600 * time.Microsecond},
		"slow":            {[]sensors.Sensor{counter("rapl", units.Joule, 262144, 10)}, time.Minute},
		"32 bits of what": {[]sensors.Sensor{counter("network", units.Byte, 5e9, 1.25e9)}, 2 * time.Second},
		"not possible":    {[]sensors.Sensor{counter("rapl", units.Joule, 1e-9, 5000)}, MinInterval},
		"clocks":          {[]sensors.Sensor{{ID: clockSensor, Family: "profiler"}}, time.Minute},
	} {
		if got := watchdog(c.list); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
