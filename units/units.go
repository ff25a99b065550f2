// Package units holds the quantities ergon deals in as types, the codes their units are stored under, and the way
// they are shown to people. It knows nothing of sensors, files or processes and imports only the standard library.
//
// Values are kept in base units (J, W, By, s, Hz, Cel, ratio); a constructor converts at the door and divides by a
// power of ten, because multiplying by its inexact inverse does not give the nearest float: 240422366267 µJ × 1e-6 is
// 240422.36626699998, divided by 1e6 it is 240422.366267.
package units

import "time"

// Energy is an amount of energy in joules.
type Energy float64

// Microjoules converts a count of microjoules, the unit of powercap's energy_uj.
func Microjoules(n uint64) Energy { return Energy(float64(n) / 1e6) }

// Millijoules converts a count of millijoules, the unit of nvmlDeviceGetTotalEnergyConsumption.
func Millijoules(n uint64) Energy { return Energy(float64(n) / 1e3) }

// Over is the mean power at which e is spent in d. It is the only way from joules to watts.
func (e Energy) Over(d time.Duration) Power { return Power(float64(e) / d.Seconds()) }

// Power is a rate of energy in watts.
type Power float64

// Milliwatts converts a count of milliwatts, the unit of nvmlDeviceGetPowerUsage.
func Milliwatts(n uint64) Power { return Power(float64(n) / 1e3) }

// Times is the energy spent at p during d.
func (p Power) Times(d time.Duration) Energy { return Energy(float64(p) * d.Seconds()) }

// Unit is the UCUM code of a unit (https://ucum.org): what files and interfaces carry. Annotations in braces name
// what is counted.
type Unit string

// The units ergon uses.
const (
	Joule      Unit = "J"
	Watt       Unit = "W"
	Byte       Unit = "By"
	Second     Unit = "s"
	Hertz      Unit = "Hz"
	Celsius    Unit = "Cel"
	Ratio      Unit = "1"
	Operations Unit = "{operation}"
	Packets    Unit = "{packet}"
	Processes  Unit = "{process}"
	Threads    Unit = "{thread}"
	Switches   Unit = "{switch}"
	Faults     Unit = "{fault}"
	Calls      Unit = "{call}"
	Beats      Unit = "{beat}"
	Events     Unit = "{event}"
)

// All lists every unit a sensor or a metric may have.
func All() []Unit {
	return []Unit{
		Joule, Watt, Byte, Second, Hertz, Celsius, Ratio,
		Operations, Packets, Processes, Threads, Switches, Faults, Calls, Beats, Events,
	}
}

// Brief is a duration with about three digits, for texts.
func Brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}
