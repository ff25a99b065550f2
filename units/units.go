// Package units has types for energy, power and units, and converts values to text and back. It knows nothing of sensors,
// files or processes, and imports only the standard library.
//
// Values are in base units (J, W, By, s, Hz, Cel, g, ratio). A constructor converts other units. It divides by a power of ten,
// because multiplying by the inexact inverse does not give the nearest float: 240422366267 µJ × 1e-6 is
// 240422.36626699998, but divided by 1e6 it is 240422.366267.
package units

import (
	"strconv"
	"time"
)

// Energy is an amount of energy in joules.
type Energy float64

// Microjoules converts a count of microjoules, the unit of powercap's energy_uj.
func Microjoules(n uint64) Energy { return Energy(float64(n) / 1e6) }

// Millijoules converts a count of millijoules, the unit of nvmlDeviceGetTotalEnergyConsumption.
func Millijoules(n uint64) Energy { return Energy(float64(n) / 1e3) }

// Over returns the mean power of spending e in the time d. It is the only conversion from joules to watts.
func (e Energy) Over(d time.Duration) Power { return Power(float64(e) / d.Seconds()) }

// Power is a rate of energy in watts.
type Power float64

// Milliwatts converts a count of milliwatts, the unit of nvmlDeviceGetPowerUsage.
func Milliwatts(n uint64) Power { return Power(float64(n) / 1e3) }

// Times returns the energy that p spends in the time d.
func (p Power) Times(d time.Duration) Energy { return Energy(float64(p) * d.Seconds()) }

// Unit is the UCUM code of a unit (https://ucum.org), as in files and interfaces. An annotation in braces names the counted
// things.
type Unit string

// The units of ergon.
const (
	Joule      Unit = "J"
	Watt       Unit = "W"
	Byte       Unit = "By"
	Second     Unit = "s"
	Hertz      Unit = "Hz"
	Celsius    Unit = "Cel"
	Ratio      Unit = "1"
	Gram       Unit = "g"
	Operations Unit = "{operation}"
	Packets    Unit = "{packet}"
	Processes  Unit = "{process}"
	Threads    Unit = "{thread}"
	Switches   Unit = "{switch}"
	Faults     Unit = "{fault}"
	Calls      Unit = "{call}"
	Beats      Unit = "{beat}"
	Events     Unit = "{event}"
	Files      Unit = "{file}"
	Errors     Unit = "{error}"
	// JouleSecond is the unit of an energy multiplied by a time.
	JouleSecond Unit = "J.s"
	// BytesPerSecond is the rate of a transfer. Only the courses of charts have it.
	BytesPerSecond Unit = "By/s"
)

// All returns every unit that a sensor or a metric may have.
func All() []Unit {
	return []Unit{
		Joule, Watt, Byte, Second, Hertz, Celsius, Ratio, Gram, JouleSecond, AnyCurrency,
		Operations, Packets, Processes, Threads, Switches, Faults, Calls, Beats, Events, Files, Errors,
	}
}

// Brief formats a duration for texts. A whole number of hours, minutes, seconds or milliseconds, as people choose them, has
// no decimals: "10 min", "2 s". Any other duration is as Format shows it: "1.73 ms".
func Brief(d time.Duration) string {
	const most = 100 // larger numbers need the next unit
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.size; d > 0 && d%u.size == 0 && (n < most || u.size == time.Millisecond && n < 1000) {
			return strconv.FormatInt(int64(n), 10) + " " + u.name
		}
	}
	return Format(d.Seconds(), Second)
}
