//go:build !linux

package backend

import (
	"context"
	"maps"
	"slices"

	gopsutil "github.com/shirou/gopsutil/v3/disk"

	"github.com/ergon-energy/ergon/sensors"
)

func openDisk(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	const source = "gopsutil disk.IOCounters"
	found, err := gopsutil.IOCounters()
	if err != nil {
		return nil, nil, unreadable(source, err)
	}
	devices := slices.Sorted(maps.Keys(found))
	if len(devices) == 0 {
		return nil, nil, unavailable(sensors.NotPresent, source+": no device")
	}
	var list []sensors.Sensor
	for _, d := range devices {
		list = append(list, diskSensors(d, source)...)
	}
	return newAsked(list, func(dst []float64) error {
		now, err := gopsutil.IOCounters()
		if err != nil {
			return err
		}
		for i, d := range devices {
			if c, ok := now[d]; ok {
				copy(dst[i*perDisk:], []float64{
					float64(c.ReadBytes), float64(c.WriteBytes), float64(c.ReadCount), float64(c.WriteCount),
				})
			}
		}
		return nil
	})
}
