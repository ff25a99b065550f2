package backend

import (
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// network reads the traffic of each network interface. The list is fixed when it is opened: an interface that comes later is
// not read, and one that goes reads NaN.
func network() sensors.Backend {
	return sensors.Backend{
		Name:  "network",
		Doc:   "bytes and packets of each network interface; loopback is apart",
		First: sensors.AtStart,
		Open:  openNetwork,
	}
}

// perInterface is the number of sensors of an interface.
const perInterface = 4

// loopback is the name of the loopback interface on Linux.
const loopback = "lo"

// networkSensors describes an interface: receive, transmit, and the packets of both.
func networkSensors(device, source string) []sensors.Sensor {
	received, sent := sensors.NetworkReceived, sensors.NetworkSent
	if device == loopback {
		received, sent = "", ""
	}
	counter := func(name string, unit units.Unit, use sensors.Use, doc string) sensors.Sensor {
		return placed("network", device, name, sensors.Sensor{
			Unit: unit, Kind: sensors.Counter, Use: use, Source: source, Doc: doc,
		})
	}
	return []sensors.Sensor{
		counter("receive", units.Byte, received, "bytes received, link headers included"),
		counter("transmit", units.Byte, sent, "bytes sent, link headers included"),
		counter("receive_packets", units.Packets, "", "packets received"),
		counter("transmit_packets", units.Packets, "", "packets sent"),
	}
}
