package backend

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

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
	dev, source, own, err := openNetDev(setup)
	if err != nil {
		return nil, nil, unreadable(source, err)
	}
	n := &networkSource{dev: dev, slot: map[string]int{}}
	b, err := dev.read()
	if err != nil {
		return nil, nil, errors.Join(unreadable(source, err), n.Close())
	}
	var names []string
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, _, ok := netLine(l)
		if _, again := n.slot[string(name)]; !ok || again {
			continue
		}
		n.slot[string(name)] = len(n.slot)
		names = append(names, string(name))
	}
	if len(names) == 0 {
		return nil, nil, errors.Join(unavailable(sensors.NotPresent, source+": lists no interface"), n.Close())
	}
	summed, absences := summedLinks(setup, source, own, names)
	for _, name := range names {
		n.list = append(n.list, networkSensors(name, source, slices.Contains(summed, name))...)
	}
	return n, absences, nil
}

// summedLinks returns the interfaces that make up the traffic of the machine. own means that names are the interfaces of
// this process's network namespace. The sum is absent if no interface counts, or if nothing tells which ones do. source is
// the file that lists names.
func summedLinks(setup sensors.Setup, source string, own bool, names []string) ([]string, []sensors.Absence) {
	sum := sensors.Absence{ID: "network/sum", Family: "network", Source: source, Cause: sensors.NotPresent}
	others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == loopback })
	switch len(others) {
	case 0:
		sum.Reason = "this network namespace has no interface but " + loopback
		return nil, []sensors.Absence{sum}
	case 1:
		return others, nil
	}
	links, err := knownLinks(setup, own, others)
	if err != nil {
		sum.Source, sum.Cause, sum.Reason = "rtnetlink", cause(err), "which interfaces carry the bytes of others is not known: "+reason(err)
		return nil, []sensors.Absence{sum}
	}
	var summed []string
	for i, counts := range outward(links, !own || inInitialNamespace()) {
		if counts {
			summed = append(summed, links[i].name)
		}
	}
	if len(summed) == 0 {
		sum.Reason = "every interface is on another one or leads to a guest: " + strings.Join(others, ", ")
		return nil, []sensors.Absence{sum}
	}
	return summed, nil
}

// knownLinks returns what is known of the interfaces that names lists.
func knownLinks(setup sensors.Setup, own bool, names []string) ([]link, error) {
	var refused error
	if own {
		links, err := ownLinks()
		if err == nil {
			return links, nil
		}
		refused = err
	}
	links, err := shownLinks(setup.Sys)
	if err != nil {
		return nil, errors.Join(refused, err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(links, func(l link) bool { return l.name == name }) {
			return nil, errors.Join(refused, &absenceError{sensors.OtherNamespace, setup.Sys + " shows another network namespace"})
		}
	}
	return links, nil
}

// openNetDev opens net/dev of the machine's network namespace. /proc/net is a link to self/net. In a container that has mounted
// the host's procfs elsewhere, self is in the container's namespace and process 1 is in the host's. The source is the path
// before links are followed, which is the same in every run: the target of the link contains a process id. own means that
// the namespace is that of this process.
func openNetDev(setup sensors.Setup) (f *file, source string, own bool, err error) {
	own = filepath.Clean(setup.Proc) == "/proc"
	if !own {
		source = filepath.Join(setup.Proc, "1/net/dev")
		if f, err = openQuick(setup.Proc, "1/net/dev"); err == nil {
			return f, source, false, nil
		}
	}
	// The kernel follows the link. The path of "self" in another procfs cannot be resolved here.
	f, err = openQuick(setup.Proc, "net/dev")
	return f, filepath.Join(setup.Proc, "net/dev"), own, err
}

// loopback is the name of the loopback interface. The kernel gives it to no other (drivers/net/loopback.c).
const loopback = "lo"

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
