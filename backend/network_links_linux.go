package backend

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownLinks asks the kernel for the interfaces of this process's network namespace (rtnetlink(7)). sysfs would be wrong
// after `unshare -n`: it lists the namespace in which it was mounted.
func ownLinks() ([]link, error) {
	dump, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("ask for the network interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	var found []netLink
	for _, m := range messages {
		if m.Header.Type == syscall.RTM_NEWLINK && len(m.Data) >= unix.SizeofIfInfomsg {
			found = append(found, parseNetLink(m.Data))
		}
	}
	return joined(found), nil
}

// inInitialNamespace reports whether this process is in the network namespace of the machine itself. The kernel shows
// the limits of its packet queues only there (net/core/sysctl_net_core.c).
func inInitialNamespace() bool {
	return unix.Access("/proc/sys/net/core/netdev_budget", unix.F_OK) == nil
}

// netLink is one answer of the kernel.
type netLink struct {
	link
	hardwareType uint16
	// kind is the driver of a virtual interface ("veth"), and portOf the driver of its master. bus is the bus of its
	// device. They are empty if there is none, and kernels before 5.14 do not give the bus.
	kind, portOf, bus string
	// on is the interface below or the other end. It is in this namespace, unless elsewhere is true.
	on int
}

// parseNetLink parses struct ifinfomsg and the attributes behind it (include/uapi/linux/if_link.h).
func parseNetLink(b []byte) netLink {
	l := netLink{hardwareType: binary.NativeEndian.Uint16(b[2:])}
	l.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.loopback = binary.NativeEndian.Uint32(b[8:])&unix.IFF_LOOPBACK != 0
	number := func(value []byte) int {
		if len(value) < 4 {
			return 0
		}
		return int(int32(binary.NativeEndian.Uint32(value)))
	}
	attributes(b[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = text0(value)
		case unix.IFLA_LINK:
			l.on = number(value)
		case unix.IFLA_MASTER:
			l.master = number(value)
		case unix.IFLA_LINK_NETNSID:
			l.elsewhere = true
		case unix.IFLA_PARENT_DEV_BUS_NAME:
			l.bus = text0(value)
		case unix.IFLA_PHYS_PORT_NAME:
			l.inside = l.inside || isRepresentor(text0(value))
		case unix.IFLA_LINKINFO:
			attributes(value, func(kind uint16, value []byte) {
				switch kind {
				case unix.IFLA_INFO_KIND:
					l.kind = text0(value)
				case unix.IFLA_INFO_SLAVE_KIND:
					l.portOf = text0(value)
				}
			})
		}
	})
	return l
}

// attributes calls f for each attribute: its length, its kind, its value, and padding to 4 bytes.
func attributes(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED, b[unix.SizeofNlAttr:n])
		b = b[min(len(b), (n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
}

// text0 returns a text that ends with a zero byte.
func text0(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// joined completes the answers with what follows from all of them together.
func joined(found []netLink) []link {
	// Virtual interfaces have a kind, and hardware has none, with few exceptions. Older kernels do not tell the bus.
	buses := false
	for _, l := range found {
		buses = buses || l.bus != ""
	}
	links := make([]link, 0, len(found))
	for _, l := range found {
		l.hardware = l.bus != "" || !buses && l.kind == "" && !l.loopback
		l.inside = l.inside || isMonitor(l.hardwareType) || l.bus == busOfGuests
		l.tap = l.kind == "tun"
		l.bridged = l.portOf == "bridge" || l.portOf == "openvswitch"
		switch {
		case l.elsewhere:
		case l.kind == "veth":
			l.pair = l.on
		case !l.hardware || l.kind == "dsa": // a child of InfiniBand hardware has queues and counters of its own
			l.below = l.on
		}
		links = append(links, l.link)
	}
	return links
}

// busOfGuests is the bus of a Xen host on which the devices of its guests end.
const busOfGuests = "xen-backend"

// isMonitor reports whether an interface shows copies of the packets of a radio (include/uapi/linux/if_arp.h).
func isMonitor(hardwareType uint16) bool {
	switch hardwareType {
	case unix.ARPHRD_IEEE80211, unix.ARPHRD_IEEE80211_PRISM, unix.ARPHRD_IEEE80211_RADIOTAP:
		return true
	}
	return false
}

// isRepresentor reports whether a port is the host's end of a guest's function in a switching card, such as "pf0vf1" or
// "c1pf0sf2" (Documentation/networking/representors.rst). The wire itself is a port such as "p0".
func isRepresentor(port string) bool {
	return strings.HasPrefix(port, "pf") || strings.HasPrefix(port, "c") && strings.Contains(port, "pf")
}

// shownLinks reads the same from sysfs (Documentation/ABI/testing/sysfs-class-net). It is for a tree that belongs to
// another network namespace. sysfs does not say where the other end of an interface is. So the other end counts as
// elsewhere, unless two interfaces name each other.
func shownLinks(sys string) ([]link, error) {
	const class = "class/net"
	dir, err := resolve(sys, class)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	links := make([]link, 0, len(entries))
	on := make([]int, 0, len(entries))
	for _, e := range entries {
		folder, err := resolve(sys, class+"/"+e.Name())
		if err != nil {
			continue // it has just gone
		}
		value := func(name string, base int) int {
			n, _ := strconv.ParseInt(text(folder, name), base, 32) // 0 if there is no such file
			return int(n)
		}
		exists := func(name string) bool {
			_, err := os.Lstat(filepath.Join(folder, name))
			return err == nil
		}
		l := link{name: e.Name(), index: value("ifindex", 10)}
		if l.index == 0 {
			continue // a file, such as bonding_masters
		}
		l.loopback = value("flags", 0)&unix.IFF_LOOPBACK != 0
		l.hardware = exists("device")
		l.tap = exists("tun_flags")
		l.bridged = exists("brport")
		l.inside = isMonitor(uint16(value("type", 10))) || isRepresentor(text(folder, "phys_port_name"))
		if bus, err := os.Readlink(filepath.Join(folder, "device", "subsystem")); err == nil {
			l.inside = l.inside || filepath.Base(bus) == busOfGuests
		}
		l.master = value("master/ifindex", 10)
		other := value("iflink", 10)
		if other == l.index {
			other = 0
		}
		lower, _ := filepath.Glob(filepath.Join(folder, "lower_*")) // the pattern is valid
		switch dsa := strings.Contains(text(folder, "uevent"), "DEVTYPE=dsa"); {
		case dsa:
			l.below, other = other, 0
		case l.hardware:
			other = 0
		case len(lower) > 0:
			l.below, other = value(filepath.Base(lower[0])+"/ifindex", 10), 0
		}
		links, on = append(links, l), append(on, other)
	}
	for i := range links {
		links[i].elsewhere = on[i] != 0
		for j := range links {
			if on[i] != 0 && links[j].index == on[i] && on[j] == links[i].index {
				links[i].pair, links[i].elsewhere = on[i], false
			}
		}
	}
	return links, nil
}
