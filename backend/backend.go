// Package backend reads the machine: one file, or a few, for each family of sensors, and the list of them all.
//
// On Linux a family opens its files once and reads them by pread into buffers that it keeps, and parses by hand, so
// that a reading allocates nothing. On other systems the families answer with what gopsutil can give. What cannot be
// read is an absence with a reason. Differences and sums are made elsewhere: a counter is handed on as the kernel
// counts it, in base units.
package backend

import (
	"math"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// All lists the families in the order in which they are listed, opened and stored.
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

// placed gives a sensor its place in a family, and the ID that follows from it. In the ID, but not in the device, an
// underscore stands for what could not be written in a selection of sensors.
func placed(family, device, name string, s sensors.Sensor) sensors.Sensor {
	s.Family, s.Device, s.Name = family, device, name
	if s.Resolution == 0 {
		s.Resolution = resolution(family, s.Unit)
	}
	s.ID = family + "/" + name
	if device != "" {
		s.ID = family + "/" + strings.Map(plain, device) + "/" + name
	}
	return s
}

// resolution is the unit in which what is read is given, where it is that for a whole family: what is counted, bytes, the
// µJ and µW of powercap and hwmon (Documentation/power/powercap/powercap.rst, Documentation/hwmon/sysfs-interface.rst), the
// mJ, mW, MHz, percents and degrees of NVML. It is 0 where a family has none of its own for all.
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

// inSteps is the list with another resolution for those of a unit.
func inSteps(list []sensors.Sensor, unit units.Unit, step float64) []sensors.Sensor {
	for i := range list {
		if list[i].Unit == unit {
			list[i].Resolution = step
		}
	}
	return list
}

// plain is the rune itself, or '_' for a blank, a control character and what has a meaning in a selection.
func plain(r rune) rune {
	if r <= ' ' || r == 0x7f || strings.ContainsRune("*?[]{},!+\\", r) {
		return '_'
	}
	return r
}

// missing sets all of dst to "no reading".
func missing(dst []float64) {
	for i := range dst {
		dst[i] = math.NaN()
	}
}
