package backend

import (
	"context"
	"errors"
	"math"
	"os"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// memorySource reads /proc/meminfo, lines of "MemTotal:       24684084 kB", where kB is 1024 bytes
// (proc_meminfo(5)).
type memorySource struct {
	meminfo *file
	list    []sensors.Sensor
	// pressure and swap follow the gauges in dst, each only if the machine has it.
	pressure pressure
	swap     swap
}

func openMemory(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	meminfo, err := openQuick(setup.Proc, "meminfo")
	if err != nil {
		return nil, nil, unreadable(setup.Proc+"/meminfo", err)
	}
	m := &memorySource{meminfo: meminfo, list: inSteps(memorySensors(meminfo.path), units.Byte, 1024)}
	dst := make([]float64, len(m.list))
	swapTotal, err := m.gauges(dst)
	if err == nil && math.IsNaN(dst[1]) {
		// MemAvailable exists since Linux 3.14.
		err = &absenceError{sensors.Unsupported, "no MemTotal and MemAvailable"}
	}
	if err != nil {
		return nil, nil, errors.Join(unreadable(meminfo.path, err), m.Close())
	}
	if p, ok := openPressure(setup, "memory"); ok {
		m.pressure = p
		m.list = append(m.list, p.sensor("memory", sensors.MemoryPressure, "time in which some task waited for memory: for swap, for pages to be freed"))
	}
	if swapTotal > 0 { // /proc/vmstat takes three times as long to read as meminfo
		if f, err := openQuick(setup.Proc, "vmstat"); err == nil {
			m.swap = swap{f, float64(os.Getpagesize())}
			m.list = append(m.list, inSteps(swapSensors(f.path), units.Byte, m.swap.page)...)
		}
	}
	return m, nil, nil
}

func (m *memorySource) Sensors() []sensors.Sensor { return m.list }

func (m *memorySource) Read(dst []float64) error {
	n := len(m.list)
	if m.swap.f != nil {
		n -= 2
		m.swap.read(dst[n:])
	}
	if m.pressure.f != nil {
		n--
		dst[n] = m.pressure.read()
	}
	if _, err := m.gauges(dst[:n]); err != nil {
		missing(dst)
		return err
	}
	return nil
}

// gauges sets dst to the values of memorySensors and returns the size of the swap space in bytes.
func (m *memorySource) gauges(dst []float64) (swapTotal float64, err error) {
	b, err := m.meminfo.read()
	if err != nil {
		missing(dst)
		return math.NaN(), err
	}
	return parseMeminfo(b, dst), nil
}

// parseMeminfo sets dst in the order of memorySensors and returns the size of the swap space in bytes, NaN if it is
// unknown. It stops at the last line it needs.
func parseMeminfo(b []byte, dst []float64) (swapTotal float64) {
	nan := math.NaN()
	total, available, swapFree := nan, nan, nan
	swapTotal = nan
	for len(b) > 0 && math.IsNaN(swapFree) {
		var l []byte
		l, b = line(b)
		key, rest := word(l)
		switch string(key) {
		case "MemTotal:":
			total = kibibytes(rest)
		case "MemAvailable:":
			available = kibibytes(rest)
		case "SwapTotal:":
			swapTotal = kibibytes(rest)
		case "SwapFree:":
			swapFree = kibibytes(rest)
		}
	}
	memoryReading(dst, total, available, swapTotal, swapFree)
	return swapTotal
}

// kibibytes parses "24684084 kB" to bytes, NaN if the text has another form.
func kibibytes(b []byte) float64 {
	n, rest, ok := number(b)
	if unit, _ := word(rest); !ok || string(unit) != "kB" {
		return math.NaN()
	}
	return float64(n) * 1024
}

func (m *memorySource) Close() error {
	return errors.Join(m.meminfo.close(), m.pressure.f.close(), m.swap.f.close())
}
