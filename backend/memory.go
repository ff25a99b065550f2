package backend

import (
	"math"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// memory reads the memory use of the whole machine.
func memory() sensors.Backend {
	return sensors.Backend{
		Name:     "memory",
		Doc:      "memory of the machine: used, available, swap used",
		First:    sensors.AtStart,
		MayBlock: coveredFiles("meminfo", "pressure/memory"),
		Open:     openMemory,
	}
}

// The places of memorySensors.
const (
	memoryUsed = iota
	memoryAvailable
	swapUsed
	memoryReadings
)

// memorySensors returns the sensors in the order of memoryAmounts.readings.
func memorySensors(source string) []sensors.Sensor {
	gauge := func(name, doc string) sensors.Sensor {
		return placed("memory", "", name, sensors.Sensor{
			Unit: units.Byte, Kind: sensors.Gauge, Source: source, Doc: doc,
		})
	}
	list := []sensors.Sensor{
		memoryUsed:      gauge("used", "memory that cannot be freed without swapping: total less available"),
		memoryAvailable: gauge("available", "memory that can be had without swapping, including caches that can be dropped"),
		swapUsed:        gauge("swap_used", "swap space in use"),
	}
	list[memoryUsed].Use = sensors.MemoryUsed
	return list
}

// memoryAmount is an amount of memory in bytes, NaN if it is unknown, and its name in the source.
type memoryAmount struct {
	name  string
	bytes float64
}

// memoryAmounts is what the memory's readings are made of.
type memoryAmounts struct {
	total, available, swapTotal, swapFree memoryAmount
	// dirty waits to be written to disks, and writeback is being written, both in bytes. NaN if they are unknown.
	dirty, writeback float64
}

// readings returns the values of memorySensors. Amounts that are unknown or contradict each other give NaN.
func (m memoryAmounts) readings() (r [memoryReadings]float64) {
	nan := math.NaN()
	r = [...]float64{nan, nan, nan}
	if used := m.total.bytes - m.available.bytes; used >= 0 {
		r[memoryUsed] = used
	}
	if !(m.available.bytes > m.total.bytes) && !math.IsInf(m.available.bytes, 0) {
		r[memoryAvailable] = m.available.bytes
	}
	if used := m.swapTotal.bytes - m.swapFree.bytes; used >= 0 {
		r[swapUsed] = used
	}
	return r
}

// why returns for each of memorySensors why it has no reading, nil if it has one.
func (m memoryAmounts) why() (why [memoryReadings]error) {
	above := func(part, whole memoryAmount, need ...memoryAmount) error {
		for _, a := range need {
			if math.IsNaN(a.bytes) {
				return &absenceError{sensors.Unsupported, "no value of " + a.name}
			}
		}
		return &absenceError{sensors.Unreadable, part.name + " is above " + whole.name + ": one of them is wrong"}
	}
	reasons := [memoryReadings]error{
		memoryUsed:      above(m.available, m.total, m.total, m.available),
		memoryAvailable: above(m.available, m.total, m.available),
		swapUsed:        above(m.swapFree, m.swapTotal, m.swapTotal, m.swapFree),
	}
	for i, r := range m.readings() {
		if math.IsNaN(r) {
			why[i] = reasons[i]
		}
	}
	return why
}
