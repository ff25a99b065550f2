// Package backend reads the machine. Each family of sensors has one file or a few, and All lists the families.
//
// On Linux a family opens its files once, reads them by pread into buffers that it keeps, and parses by hand. So a
// reading allocates nothing. On other systems the families return what gopsutil offers. A sensor that cannot
// be read is an absence with its cause. A counter is passed on as the kernel counts it, in base units. Other packages
// compute differences and sums.
package backend

import (
	"math"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// All returns the families, in the order in which they are listed, opened and stored.
func All() []sensors.Backend {
	return []sensors.Backend{
		cpu(),
		cpufreq(),
		thermal(),
		memory(),
		disk(),
		filesystem(),
		network(),
		perf(),
		perfCore(),
		rapl(),
		hwmon(),
		battery(),
		nvmlBackend(),
		target(),
		profiler(),
	}
}

// placed sets a sensor's family, device and name, and the ID that follows from them. In the ID an underscore replaces
// characters that --sensors cannot contain; the device keeps them.
func placed(family, device, name string, s sensors.Sensor) sensors.Sensor {
	s.Family, s.Device, s.Name = family, device, name
	if s.Resolution == 0 {
		s.Resolution = resolution(family, s.Unit)
	}
	if s.Kind == sensors.Gauge && s.Range == (sensors.Range{}) {
		s.Range = gaugeRange(s.Unit)
	}
	s.ID = family + "/" + name
	if device != "" {
		s.ID = family + "/" + strings.Map(plain, device) + "/" + name
	}
	return s
}

// resolution returns the unit of the raw readings if the whole family has one, else 0. It is 1 for bytes and counts. It is
// 1 µJ and 1 µW for powercap and hwmon (Documentation/power/powercap/powercap.rst,
// Documentation/hwmon/sysfs-interface.rst). NVML gives mJ, mW, MHz, percent and degrees.
func resolution(family string, unit units.Unit) float64 {
	if unit == units.Byte || strings.HasPrefix(string(unit), "{") {
		return 1
	}
	switch of := family + " " + string(unit); of {
	case "rapl J", "hwmon J", "hwmon W":
		return 1e-6
	case "gpu J", "gpu W":
		return 1e-3
	case "gpu Hz":
		return 1e6
	case "gpu 1":
		return 0.01
	case "gpu Cel":
		return 1
	}
	return 0
}

// gaugeRange returns the range of a gauge that declares none: what no machine exceeds.
func gaugeRange(unit units.Unit) sensors.Range {
	switch unit {
	case units.Ratio:
		return sensors.Range{Most: 1}
	case units.Celsius:
		return sensors.Range{Least: -273.15, Most: 1000}
	case units.Hertz:
		return sensors.Range{Most: 1e12}
	case units.Watt:
		return sensors.Range{Most: 1e6}
	case units.Byte:
		return sensors.Range{Most: 1 << 60}
	default: // counts, times and energies
		return sensors.Range{Most: 1e15}
	}
}

// inSteps sets the resolution of all sensors that have the given unit.
func inSteps(list []sensors.Sensor, unit units.Unit, step float64) []sensors.Sensor {
	for i := range list {
		if list[i].Unit == unit {
			list[i].Resolution = step
		}
	}
	return list
}

// plain returns the rune, or '_' for blanks, control characters and characters that have a meaning in --sensors.
func plain(r rune) rune {
	if r <= ' ' || r == 0x7f || strings.ContainsRune("*?[]{},!+\\", r) {
		return '_'
	}
	return r
}

// missing sets all of dst to NaN, no reading.
func missing(dst []float64) {
	for i := range dst {
		dst[i] = math.NaN()
	}
}
