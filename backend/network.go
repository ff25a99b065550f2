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
		Doc:   "bytes and packets of each network interface; the sum counts each byte once, where it leaves the machine",
		First: sensors.AtStart,
		Open:  openNetwork,
	}
}

// perInterface is the number of sensors of an interface.
const perInterface = 4

// networkSensors describes an interface: receive, transmit, and the packets of both. Only an interface that is summed has
// a use.
func networkSensors(device, source string, summed bool) []sensors.Sensor {
	var received, sent sensors.Use
	note := "; not part of the machine's sum"
	if summed {
		received, sent, note = sensors.NetworkReceived, sensors.NetworkSent, ""
	}
	counter := func(name string, unit units.Unit, use sensors.Use, doc string) sensors.Sensor {
		return placed("network", device, name, sensors.Sensor{
			Unit: unit, Kind: sensors.Counter, Use: use, Source: source, Doc: doc + note,
		})
	}
	return []sensors.Sensor{
		counter("receive", units.Byte, received, "bytes received, link headers included"),
		counter("transmit", units.Byte, sent, "bytes sent, link headers included"),
		counter("receive_packets", units.Packets, "", "packets received"),
		counter("transmit_packets", units.Packets, "", "packets sent"),
	}
}

// link is what the kernel says about an interface of one network namespace. Numbers of interfaces are never 0.
type link struct {
	name     string
	index    int
	loopback bool
	// hardware means that a driver moves the bytes to and from a device on a bus.
	hardware bool
	// inside means hardware whose bytes do not leave the machine there: a monitor, or the host's end of a guest's device.
	inside bool
	// below is the interface of this namespace that carries the bytes of this one. It is 0 if there is none.
	below int
	// master is the interface of which this one is a port, or 0. bridged means that the master is a bridge or a switch.
	master  int
	bridged bool
	// pair is the other end of a virtual cable (veth) if it is in this namespace, or 0.
	pair int
	// elsewhere means that the other end, or the interface below, is in another namespace.
	elsewhere bool
	// tap means that a program is the other end.
	tap bool
}

// outward returns which of the interfaces make up the traffic of a network namespace, so that each byte counts once. An
// interface on others is left out: a VLAN, a MACVLAN, a bridge, a bond. The interfaces below it count the same bytes. Of
// the rest, only those of the best class count, because the others send through them or stay inside:
//
//   - Hardware. In the namespace of a container also interfaces that end in another namespace. On the machine itself such
//     interfaces lead to containers.
//   - Interfaces that end at a program, such as those of a container without privileges.
//   - Interfaces that end in another namespace.
//   - Virtual cables with both ends here. Each byte is sent at one end and received at the other.
//   - All others, such as tunnels.
//
// A port of a bridge is of a lower class, because a container or a virtual machine is at its other end.
func outward(links []link, machine bool) []bool {
	hardware, ports := make(map[int]bool), make(map[int]bool)
	for _, l := range links {
		hardware[l.index] = l.hardware
		ports[l.master] = true
	}
	classes := make([]int, len(links))
	best := notSummed
	for i, l := range links {
		classes[i] = notSummed
		// Some drivers pass packets on through other hardware, and count those too (hv_netvsc, net_failover).
		if !hardware[l.master] && (l.hardware || !ports[l.index]) {
			classes[i] = l.class(machine)
		}
		best = min(best, classes[i])
	}
	summed := make([]bool, len(links))
	for i, class := range classes {
		summed[i] = class == best && class < notSummed
	}
	return summed
}

// The classes of outward, the best first.
const (
	classHardware = iota
	classTap
	classElsewhere
	classPair
	classOther
	notSummed
)

// class returns the interface's class, if neither its master nor its ports count the same bytes.
func (l link) class(machine bool) int {
	switch {
	case l.loopback, l.inside, l.below != 0:
		return notSummed
	case l.hardware, l.elsewhere && !l.bridged && !machine:
		return classHardware
	case l.tap && !l.bridged:
		return classTap
	case l.elsewhere:
		return classElsewhere
	case l.pair != 0:
		return classPair
	}
	return classOther
}
