// Package backend reads the machine: one file, or a few, for each family of sensors, and the list of them all.
//
// On Linux a family opens its files once and reads them by pread into buffers that it keeps, and parses by hand, so
// that a reading allocates nothing. On other systems the families answer with what gopsutil can give. What cannot be
// read is an absence with a reason. Differences and sums are made elsewhere: a counter is handed on as the kernel
// counts it, in base units.
package backend

import (
	"fmt"
	"math"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// All lists the families in the order in which they are listed, opened and stored.
func All() []sensors.Backend {
	return []sensors.Backend{
		cpu(),
		cpufreq(),
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
	s.ID = family + "/" + name
	if device != "" {
		s.ID = family + "/" + strings.Map(plain, device) + "/" + name
	}
	return s
}

// plain is the rune itself, or '_' for a blank, a control character and what has a meaning in a selection.
func plain(r rune) rune {
	if r <= ' ' || r == 0x7f || strings.ContainsRune("*?[]{},!+\\", r) {
		return '_'
	}
	return r
}

// unavailable is the error of Open where a host has none of a family.
func unavailable(reason string) error { return fmt.Errorf("%s: %w", reason, sensors.ErrUnavailable) }

// missing sets all of dst to "no reading".
func missing(dst []float64) {
	for i := range dst {
		dst[i] = math.NaN()
	}
}
