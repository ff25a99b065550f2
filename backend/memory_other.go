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
		nan := math.NaN()
		now := memoryAmounts{memoryAmount{"Total", float64(m.Total)}, memoryAmount{"Available", float64(m.Available)}, memoryAmount{"swap", nan}, memoryAmount{"free swap", nan}, nan, nan}
		if s, err := mem.SwapMemory(); err == nil {
			now.swapTotal.bytes, now.swapFree.bytes = float64(s.Total), float64(s.Free)
		}
		r := now.readings()
		copy(dst, r[:])
		return nil
	})
}
