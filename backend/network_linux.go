package backend

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"

	"github.com/ergon-energy/ergon/sensors"
)

// networkSource reads /proc/net/dev: two header lines, and a line for each interface of a network namespace:
//
//	Inter-|   Receive                                                |  Transmit
//	 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls …
//	  eth0: 143379868    8934    0    0    0     0          0         0   703453    6376    0    0    0     0 …
//
// The counters have 64 bits (struct rtnl_link_stats64).
type networkSource struct {
	dev  *file
	list []sensors.Sensor
	// slot is the place of each interface, by its name.
	slot map[string]int
}

func openNetwork(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	dev, source, err := openNetDev(setup)
	if err != nil {
		return nil, nil, unreadable(source, err)
	}
	n := &networkSource{dev: dev, slot: map[string]int{}}
	b, err := dev.read()
	if err != nil {
		return nil, nil, errors.Join(unreadable(source, err), n.Close())
	}
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, _, ok := netLine(l)
		if _, again := n.slot[string(name)]; !ok || again {
			continue
		}
		n.slot[string(name)] = len(n.slot)
		n.list = append(n.list, networkSensors(string(name), source)...)
	}
	if len(n.list) == 0 {
		return nil, nil, errors.Join(unavailable(sensors.NotPresent, source+": lists no interface"), n.Close())
	}
	return n, nil, nil
}

// openNetDev opens net/dev of the machine's network namespace. /proc/net is a link to self/net. In a container that has mounted
// the host's procfs elsewhere, self is in the container's namespace and process 1 is in the host's. The source is the path
// before links are followed, which is the same in every run: the target of the link contains a process id.
func openNetDev(setup sensors.Setup) (f *file, source string, err error) {
	if filepath.Clean(setup.Proc) != "/proc" {
		source = filepath.Join(setup.Proc, "1/net/dev")
		if f, err = openQuick(setup.Proc, "1/net/dev"); err == nil {
			return f, source, nil
		}
	}
	// The kernel follows the link. The path of "self" in another procfs cannot be resolved here.
	f, err = openQuick(setup.Proc, "net/dev")
	return f, filepath.Join(setup.Proc, "net/dev"), err
}

// netLine splits a line into the interface's name and the values of networkSensors.
func netLine(l []byte) (name []byte, v [perInterface]float64, ok bool) {
	colon := bytes.IndexByte(l, ':')
	if colon < 0 {
		return nil, v, false
	}
	name, _ = word(l[:colon])
	l = l[colon+1:]
	var f [10]uint64
	for i := range f {
		if f[i], l, ok = number(l); !ok {
			return nil, v, false
		}
	}
	return name, [perInterface]float64{
		float64(f[0]), float64(f[8]), float64(f[1]), float64(f[9]),
	}, len(name) > 0
}

func (n *networkSource) Sensors() []sensors.Sensor { return n.list }

func (n *networkSource) Read(dst []float64) error {
	b, err := n.dev.read()
	if err != nil {
		missing(dst)
		return err
	}
	n.parse(b, dst)
	return nil
}

func (n *networkSource) parse(b []byte, dst []float64) {
	missing(dst)
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, v, ok := netLine(l)
		if !ok {
			continue
		}
		if at, ok := n.slot[string(name)]; ok {
			copy(dst[at*perInterface:], v[:])
		}
	}
}

func (n *networkSource) Close() error { return n.dev.close() }
