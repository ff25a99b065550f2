package backend

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/sensors"
)

// memorySource reads /proc/meminfo, lines of "MemTotal:       24684084 kB", where kB is 1024 bytes
// (proc_meminfo(5)).
type memorySource struct {
	meminfo *file
	list    []sensors.Sensor
}

func openMemory(_ context.Context, host sensors.Host) (sensors.Source, []sensors.Absence, error) {
	meminfo, err := openQuick(host.Proc, "meminfo")
	if err != nil {
		return nil, nil, unavailable(fmt.Sprintf("%s/meminfo: %s", host.Proc, reason(err)))
	}
	m := &memorySource{meminfo: meminfo, list: memorySensors(meminfo.path)}
	dst := make([]float64, len(m.list))
	err = m.Read(dst)
	if err == nil && math.IsNaN(dst[1]) {
		// MemAvailable is there since Linux 3.14.
		err = errors.New(meminfo.path + ": no MemTotal and MemAvailable")
	}
	if err != nil {
		return nil, nil, errors.Join(unavailable(err.Error()), m.Close())
	}
	return m, nil, nil
}

func (m *memorySource) Sensors() []sensors.Sensor { return m.list }

func (m *memorySource) Read(dst []float64) error {
	b, err := m.meminfo.read()
	if err != nil {
		missing(dst)
		return err
	}
	parseMeminfo(b, dst)
	return nil
}

// parseMeminfo fills dst in the order of memorySensors. It stops at the last line it needs.
func parseMeminfo(b []byte, dst []float64) {
	nan := math.NaN()
	total, available, swapTotal, swapFree := nan, nan, nan, nan
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
}

// kibibytes parses "24684084 kB" to bytes, NaN where that is not what is there.
func kibibytes(b []byte) float64 {
	n, rest, ok := number(b)
	if unit, _ := word(rest); !ok || string(unit) != "kB" {
		return math.NaN()
	}
	return float64(n) * 1024
}

func (m *memorySource) Close() error { return m.meminfo.close() }
