//go:build !linux

package backend

import (
	"context"
	"math"

	"github.com/shirou/gopsutil/v3/mem"

	"github.com/ergon-energy/ergon/sensors"
)

func openMemory(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	return newAsked(memorySensors("gopsutil mem.VirtualMemory"), func(dst []float64) error {
		m, err := mem.VirtualMemory()
		if err != nil {
			return err
		}
		swapTotal, swapFree := math.NaN(), math.NaN()
		if s, err := mem.SwapMemory(); err == nil {
			swapTotal, swapFree = float64(s.Total), float64(s.Free)
		}
		memoryReading(dst, float64(m.Total), float64(m.Available), swapTotal, swapFree)
		return nil
	})
}
