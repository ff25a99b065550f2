//go:build !linux

package backend

import (
	"context"
	stdnet "net"

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
	var links []link
	for _, c := range found {
		if _, again := slot[c.Name]; !again {
			slot[c.Name] = len(slot)
			links = append(links, flagged(c.Name, len(slot)))
		}
	}
	var list []sensors.Sensor
	for i, summed := range outward(links, true) {
		list = append(list, networkSensors(links[i].name, source, summed)...)
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

// flagged returns what the flags of an interface tell: loopback, and tunnels, which have one other end. Bridges are not
// told apart from hardware.
func flagged(name string, index int) link {
	l := link{name: name, index: index, hardware: true}
	if i, err := stdnet.InterfaceByName(name); err == nil {
		l.loopback = i.Flags&stdnet.FlagLoopback != 0
		l.hardware = !l.loopback && i.Flags&stdnet.FlagPointToPoint == 0
	}
	return l
}
