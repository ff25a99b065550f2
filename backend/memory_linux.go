package backend

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// memorySource reads /proc/meminfo, lines of "MemTotal:       24684084 kB", where kB is 1024 bytes
// (proc_meminfo(5)).
type memorySource struct {
	meminfo *file
	list    []sensors.Sensor
	// gauges are the places in memorySensors of the first sensors of the list.
	gauges []int
	// dirty says that the amount that waits for the disks follows the gauges in dst. pressure and swap follow it. Each is
	// there only if the machine has it.
	dirty    bool
	pressure pressure
	swap     swap
}

func openMemory(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	meminfo, err := openQuick(setup.Proc, "meminfo")
	if err != nil {
		return nil, nil, unreadable(setup.Proc+"/meminfo", err)
	}
	m := &memorySource{meminfo: meminfo}
	b, err := meminfo.read()
	if err != nil {
		return nil, nil, errors.Join(unreadable(meminfo.path, err), m.Close())
	}
	now := parseMeminfo(b)
	// MemAvailable exists since Linux 3.14. lxcfs and balloons may leave it above MemTotal.
	why := now.why()
	var absences []sensors.Absence
	for i, s := range inSteps(memorySensors(meminfo.path), units.Byte, 1024) {
		if why[i] != nil {
			absences = append(absences, absent(s, meminfo.path, why[i]))
			continue
		}
		m.gauges, m.list = append(m.gauges, i), append(m.list, s)
	}
	if m.dirty = !math.IsNaN(now.dirty + now.writeback); m.dirty {
		m.list = append(m.list, inSteps([]sensors.Sensor{placed("memory", "", "dirty", sensors.Sensor{
			Unit: units.Byte, Kind: sensors.Gauge, Use: sensors.MemoryDirty, Source: meminfo.path,
			Doc: "memory that waits to be written to disks, or is being written",
		})}, units.Byte, 1024)...)
	}
	if p, ok := openPressure(setup, "memory"); ok {
		m.pressure = p
		m.list = append(m.list, p.sensor("memory", sensors.MemoryPressure, "time in which some task waited for memory: for swap, for pages to be freed"))
	}
	if now.swapTotal.bytes > 0 { // /proc/vmstat takes three times as long to read as meminfo
		if f, err := openQuick(setup.Proc, "vmstat"); err == nil {
			m.swap = swap{f, float64(os.Getpagesize())}
			m.list = append(m.list, inSteps(swapSensors(f.path), units.Byte, m.swap.page)...)
		}
	}
	if len(m.list) == 0 {
		return nil, absences, errors.Join(noneOf(absences), m.Close())
	}
	return m, absences, nil
}

func (m *memorySource) Sensors() []sensors.Sensor { return m.list }

// Read fails only if nothing can be read.
func (m *memorySource) Read(dst []float64) error {
	missing(dst)
	rest := dst[len(m.gauges):]
	b, err := m.meminfo.read()
	if err == nil {
		amounts := parseMeminfo(b)
		now := amounts.readings()
		for at, i := range m.gauges {
			dst[at] = now[i]
		}
		if m.dirty {
			rest[0] = amounts.dirty + amounts.writeback
		}
	}
	if m.dirty {
		rest = rest[1:]
	}
	if m.pressure.f != nil {
		rest[0] = m.pressure.read()
		rest = rest[1:]
	}
	if m.swap.f != nil {
		m.swap.read(rest)
	}
	if err != nil && slices.ContainsFunc(dst, func(v float64) bool { return !math.IsNaN(v) }) {
		return nil
	}
	return err
}

// parseMeminfo stops at the last line it needs.
func parseMeminfo(b []byte) memoryAmounts {
	nan := math.NaN()
	m := memoryAmounts{
		memoryAmount{"MemTotal", nan}, memoryAmount{"MemAvailable", nan}, memoryAmount{"SwapTotal", nan}, memoryAmount{"SwapFree", nan}, nan, nan,
	}
	for len(b) > 0 && math.IsNaN(m.writeback) {
		var l []byte
		l, b = line(b)
		key, rest := word(l)
		switch string(key) {
		case "MemTotal:":
			m.total.bytes = kibibytes(rest)
		case "MemAvailable:":
			m.available.bytes = kibibytes(rest)
		case "SwapTotal:":
			m.swapTotal.bytes = kibibytes(rest)
		case "SwapFree:":
			m.swapFree.bytes = kibibytes(rest)
		case "Dirty:":
			m.dirty = kibibytes(rest)
		case "Writeback:":
			m.writeback = kibibytes(rest)
		}
	}
	return m
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
