package backend

import (
	"math"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// memory reads the memory use of the whole machine.
func memory() sensors.Backend {
	return sensors.Backend{
		Name:  "memory",
		Doc:   "memory of the machine: used, available, swap used",
		First: sensors.AtStart,
		Open:  openMemory,
	}
}

// memorySensors returns the sensors in the order in which memoryReading fills them.
func memorySensors(source string) []sensors.Sensor {
	gauge := func(name, doc string) sensors.Sensor {
		return placed("memory", "", name, sensors.Sensor{
			Unit: units.Byte, Kind: sensors.Gauge, Source: source, Doc: doc,
		})
	}
	return []sensors.Sensor{
		gauge("used", "memory that cannot be freed without swapping: total less available"),
		gauge("available", "memory that can be had without swapping, including caches that can be dropped"),
		gauge("swap_used", "swap space in use"),
	}
}

// memoryReading fills dst from amounts in bytes, NaN if one is unknown. Amounts that contradict each other give NaN.
func memoryReading(dst []float64, total, available, swapTotal, swapFree float64) {
	missing(dst)
	if used := total - available; used >= 0 {
		dst[0] = used
	}
	if !(available > total) && !math.IsInf(available, 0) {
		dst[1] = available
	}
	if used := swapTotal - swapFree; used >= 0 {
		dst[2] = used
	}
}
