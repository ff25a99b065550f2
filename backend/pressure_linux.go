package backend

import (
	"bytes"
	"math"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// pressure reads a file of /proc/pressure (Documentation/accounting/psi.rst). The number after total= is the time, in µs, in
// which some tasks waited for a resource:
//
//	some avg10=0.00 avg60=0.12 avg300=0.05 total=917432
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=0
type pressure struct{ f *file }

// openPressure opens the file of "cpu", "memory" or "io". It returns false if the kernel does not measure pressure or was
// started with psi=0. Then the family has no such sensor.
func openPressure(setup sensors.Setup, resource string) (pressure, bool) {
	f, err := openQuick(setup.Proc, "pressure/"+resource)
	if err != nil {
		return pressure{}, false
	}
	p := pressure{f}
	if math.IsNaN(p.read()) { // with psi=0, older kernels have the file, but reading it fails
		_ = p.close() // nothing was written
		return pressure{}, false
	}
	return p, true
}

// sensor returns the sensor of the file, as part of a family.
func (p pressure) sensor(family string, use sensors.Use, doc string) sensors.Sensor {
	return placed(family, "", "pressure", sensors.Sensor{
		Unit: units.Second, Kind: sensors.Counter, Use: use, Resolution: 1e-6, Source: p.f.path, Doc: doc,
	})
}

// read returns the time in s, NaN if it cannot be read.
func (p pressure) read() float64 {
	b, err := p.f.read()
	if err != nil {
		return math.NaN()
	}
	return parsePressure(b)
}

func (p pressure) close() error { return p.f.close() }

// parsePressure returns the time in s from the line "some", NaN if the text has another form.
func parsePressure(b []byte) float64 {
	l, _ := line(b)
	_, total, ok := bytes.Cut(l, []byte(" total="))
	if first, _ := word(l); !ok || string(first) != "some" {
		return math.NaN()
	}
	us, rest, ok := number(total)
	if !ok || len(rest) > 0 {
		return math.NaN()
	}
	return float64(us) / 1e6
}

// swap reads two lines of /proc/vmstat: the pages read from and written to swap space since the boot:
//
//	pswpin 812
//	pswpout 40123
type swap struct {
	f    *file
	page float64
}

// swapSensors returns the sensors in the order of the readings.
func swapSensors(source string) []sensors.Sensor {
	counter := func(name string, use sensors.Use, doc string) sensors.Sensor {
		return placed("memory", "", name, sensors.Sensor{Unit: units.Byte, Kind: sensors.Counter, Use: use, Source: source, Doc: doc})
	}
	return []sensors.Sensor{
		counter("swap_in", sensors.SwapIn, "bytes brought back from swap space"),
		counter("swap_out", sensors.SwapOut, "bytes put out to swap space"),
	}
}

func (s swap) read(dst []float64) {
	b, err := s.f.read()
	if err != nil {
		missing(dst)
		return
	}
	s.parse(b, dst)
}

func (s swap) parse(b []byte, dst []float64) {
	for i, key := range [...]string{"\npswpin ", "\npswpout "} {
		dst[i] = math.NaN()
		if at := bytes.Index(b, []byte(key)); at >= 0 {
			if n, _, ok := number(b[at+len(key):]); ok {
				dst[i] = float64(n) * s.page
			}
		}
	}
}
