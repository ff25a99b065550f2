//go:build !linux

package backend

import (
	"context"

	"github.com/shirou/gopsutil/v3/net"

	"github.com/ergon-energy/ergon/sensors"
)

func openNetwork(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	const source = "gopsutil net.IOCounters"
	found, err := net.IOCounters(true)
	if err != nil {
		return nil, nil, unreadable(source, err)
	}
	slot := map[string]int{}
	var list []sensors.Sensor
	for _, c := range found {
		if _, again := slot[c.Name]; !again {
			slot[c.Name] = len(slot)
			list = append(list, networkSensors(c.Name, source)...)
		}
	}
	if len(list) == 0 {
		return nil, nil, unavailable(sensors.NotPresent, source+": no interface")
	}
	return newAsked(list, func(dst []float64) error {
		now, err := net.IOCounters(true)
		if err != nil {
			return err
		}
		for _, c := range now {
			if at, ok := slot[c.Name]; ok {
				copy(dst[at*perInterface:], []float64{
					float64(c.BytesRecv), float64(c.BytesSent), float64(c.PacketsRecv), float64(c.PacketsSent),
				})
			}
		}
		return nil
	})
}
