package backend

import (
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// netTrees are network namespaces as sysfs shows them. A line is an interface: its name, its number, and the files that
// decide. NAME=VALUE is a file, NAME>TARGET a link to another interface, and NAME a folder. The want is what is summed.
var netTrees = []struct{ name, tree, want string }{
	{"one card", `eth0 2 device`, "eth0"},
	{"two cards", `eth0 2 device
		eth1 3 device`, "eth0 eth1"},
	{"a bond of two cards with VLANs and a bridge", `eno1 2 device master>bond0
		eno2 3 device master>bond0
		bond0 4 lower_eno1>eno1 lower_eno2>eno2 bonding
		bond0.5 5 iflink=4 lower_bond0>bond0
		br0 6 lower_bond0.5>bond0.5 bridge`, "eno1 eno2"},
	{"a host of containers and machines", `eno1 2 device
		docker0 3 bridge lower_veth1>veth1 lower_vnet0>vnet0
		veth1 8 iflink=2 brport master>docker0
		cali1 9 iflink=2
		vnet0 10 tun_flags=0x1002 brport master>docker0
		macvlan0 11 iflink=2 lower_eno1>eno1
		macvtap0 12 iflink=2 lower_eno1>eno1
		vxlan0 13 lower_eno1>eno1
		vxlan1 14
		wg0 15 uevent=DEVTYPE=wireguard
		tun0 16 tun_flags=0x1001
		dummy0 17
		ifb0 18`, "eno1"},
	{"a bridge of the card", `eth0 2 device brport master>br0
		br0 3 bridge lower_eth0>eth0`, "eth0"},
	{"InfiniBand with a child, which has counters of its own", `ib0 2 device type=32
		ib0.8001 3 device type=32 iflink=2`, "ib0 ib0.8001"},
	{"a switch of which each port is an interface (DSA)", `eth0 2 device
		lan1 3 device iflink=2 uevent=DEVTYPE=dsa
		lan2 4 device iflink=2 uevent=DEVTYPE=dsa`, "eth0"},
	{"a virtual card that passes packets to a real one (hv_netvsc)", `eth0 2 device lower_enP1s1>enP1s1
		enP1s1 3 device master>eth0`, "eth0"},
	{"a radio with a monitor", `wlan0 2 device
		mon0 3 device type=803`, "wlan0"},
	{"a switching card with a guest's function", `eth0 2 device phys_port_name=p0
		eth0_0 3 device phys_port_name=pf0vf0
		eth0_1 4 device phys_port_name=c1pf0sf1`, "eth0"},
	{"a host of Xen", `eth0 2 device brport master>xenbr0
		xenbr0 3 bridge lower_eth0>eth0 lower_vif1.0>vif1.0
		vif1.0 4 device=xen-backend brport master>xenbr0`, "eth0"},
	{"a container", `eth0 2 iflink=9
		tunl0 3 type=768`, "eth0"},
	{"a virtual cable with both ends here", `a 2 iflink=3
		b 3 iflink=2
		br0 4 bridge lower_a>a`, "a b"},
	{"tunnels alone", `wg0 2 uevent=DEVTYPE=wireguard
		sit0 3 type=776`, "wg0 sit0"},
	{"a program at the other end", `tap0 2 tun_flags=0x1002
		veth1 3 iflink=2 brport master>docker0
		docker0 4 bridge lower_veth1>veth1
		dummy0 5`, "tap0"},
}

// netFixture makes the trees of a namespace. Interface number n has sent n bytes.
func netFixture(t *testing.T, tree string) sensors.Setup {
	t.Helper()
	var archive, dev strings.Builder
	fmt.Fprintf(&archive, "-- sys/class/net/lo/ifindex --\n1\n-- sys/class/net/lo/flags --\n0x9\n-- sys/class/net/bonding_masters --\nbond0\n")
	dev.WriteString("Inter-|\n face |\n lo: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n")
	for l := range strings.Lines(tree) {
		fields := strings.Fields(l)
		name, index := fields[0], fields[1]
		folder := "sys/class/net/" + name + "/"
		file := func(name, value string) { fmt.Fprintf(&archive, "-- %s%s --\n%s\n", folder, name, value) }
		file("ifindex", index)
		file("flags", "0x1003")
		for _, f := range fields[2:] {
			key, value, valued := strings.Cut(f, "=")
			link, target, linked := strings.Cut(f, ">")
			switch {
			case linked:
				fmt.Fprintf(&archive, "-- %s%s -> ../%s --\n", folder, link, target)
			case valued && key == "device":
				fmt.Fprintf(&archive, "-- %sdevice/subsystem -> ../../../../bus/%s --\n", folder, value)
			case valued:
				file(key, value)
			default:
				fmt.Fprintf(&archive, "-- %s%s/ --\n", folder, f)
			}
		}
		if !strings.Contains(l, "iflink=") {
			file("iflink", index)
		}
		fmt.Fprintf(&dev, " %s: 0 0 0 0 0 0 0 0 %s 0 0 0 0 0 0 0\n", name, index)
	}
	fmt.Fprintf(&archive, "-- proc/1/net/dev --\n%s", dev.String())
	return fixture.Unpack(t, archive.String())
}

// summed returns the devices of the sensors that are summed.
func summed(list []sensors.Sensor) []string {
	var out []string
	for _, s := range list {
		if s.Use == sensors.NetworkSent {
			out = append(out, s.Device)
		}
	}
	return out
}

// TestNetworkCountsNothingTwice checks which interfaces are summed, for each kind of interface that sysfs shows.
func TestNetworkCountsNothingTwice(t *testing.T) {
	for _, c := range netTrees {
		t.Run(c.name, func(t *testing.T) {
			source, absences := sensortest.Open(t, network(), netFixture(t, c.tree))
			if got := strings.Join(summed(source.Sensors()), " "); got != c.want || len(absences) > 0 {
				t.Errorf("summed: %s, want %s; %+v", got, c.want, absences)
			}
			if n := strings.Count(c.tree, "\n") + 2; len(source.Sensors()) != n*perInterface {
				t.Errorf("%d sensors of %d interfaces", len(source.Sensors()), n)
			}
		})
	}
}

// TestOutwardOfContainers checks the namespace of a container, which a tree of another machine never is.
func TestOutwardOfContainers(t *testing.T) {
	names := func(links []link, machine bool) string {
		var out []string
		for i, counts := range outward(links, machine) {
			if counts {
				out = append(out, links[i].name)
			}
		}
		return strings.Join(out, " ")
	}
	// A pod with an interface of the cluster and a function of a card. On a machine the first leads to a container.
	pod := []link{{name: "lo", index: 1, loopback: true}, {name: "eth0", index: 3, elsewhere: true}, {name: "net1", index: 7, hardware: true}}
	if got := names(pod, false); got != "eth0 net1" {
		t.Errorf("a pod: %s", got)
	}
	if got := names(pod, true); got != "net1" {
		t.Errorf("a machine: %s", got)
	}
	// A container that has containers of its own.
	outer := []link{
		{name: "eth0", index: 3, elsewhere: true},
		{name: "docker0", index: 4},
		{name: "veth1", index: 6, elsewhere: true, master: 4, bridged: true},
	}
	if got := names(outer, false); got != "eth0" {
		t.Errorf("a container of containers: %s", got)
	}
	if got := names(nil, false) + names(pod[:1], true); got != "" {
		t.Errorf("without an interface: %s", got)
	}
}

// TestNetworkUnknown checks that there is no sum if nothing tells which interfaces are on others. Their own readings stay.
func TestNetworkUnknown(t *testing.T) {
	const dev = "-- proc/1/net/dev --\n lo: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n"
	const two = dev + " eth0: 2 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n br0: 2 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n"
	for tree, want := range map[string]sensors.Cause{
		two: sensors.NotPresent,
		two + "-- sys/class/net/eth0/ifindex --\n2\n": sensors.OtherNamespace,
	} {
		source, absences := sensortest.Open(t, network(), fixture.Unpack(t, tree))
		if got := summed(source.Sensors()); got != nil || len(absences) != 1 || absences[0].Family != "network" || absences[0].Cause != want {
			t.Errorf("summed %v, %+v, want the cause %s", got, absences, want)
		}
		check(t, values(t, source), map[string]float64{"network/eth0/transmit": 2, "network/br0/transmit": 2})
	}
}

// inNamespace is set for a process of TestNetworkOfNamespaces: the pid of the process that has the other end of the cable.
const inNamespace = "ERGON_TEST_NETNS"

// TestNetworkOfNamespaces sends real traffic through interfaces on interfaces, in network namespaces of its own. What the
// far end of the cable has received is the truth.
func TestNetworkOfNamespaces(t *testing.T) {
	if far := os.Getenv(inNamespace); far != "" {
		throughStacks(t, far)
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		testenv.Lacks(t, testenv.NetworkNamespaces, err)
	}
	separate := func(c *exec.Cmd, flags uintptr) {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
	}
	far := exec.CommandContext(t.Context(), "cat")
	separate(far, syscall.CLONE_NEWNET)
	gate, err := far.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Start(); err != nil {
		testenv.Lacks(t, testenv.NetworkNamespaces, err)
	}
	defer func() {
		_ = gate.Close()
		_ = far.Wait() // it ends when its input does
	}()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestNetworkOfNamespaces$", "-test.v")
	c.Env = append(os.Environ(), inNamespace+"="+strconv.Itoa(far.Process.Pid))
	separate(c, syscall.CLONE_NEWNET|syscall.CLONE_NEWNS)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// throughStacks sends bytes through each kind of stack. The card is one end of a cable whose other end is in the namespace
// of the process far.
func throughStacks(t *testing.T, far string) {
	setUp := func(commands string) error {
		for c := range strings.Lines(commands) {
			c = strings.TrimSpace(c)
			if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(c)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", c, err, out)
			}
		}
		return nil
	}
	source, absences, err := openNetwork(t.Context(), sensors.Setup{Proc: "/proc", Sys: "/sys"})
	if err != nil {
		t.Fatal(err)
	}
	if len(summed(source.Sensors())) > 0 || len(absences) != 1 || absences[0].Cause != sensors.NotPresent || absences[0].Reason == "" {
		t.Errorf("with nothing but loopback: %v, %+v", summed(source.Sensors()), absences)
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	// Neighbor discovery would send bytes at any time.
	for _, of := range []string{"all", "default"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+of+"/disable_ipv6", []byte("1"), 0o600) // no such file without IPv6
	}
	// The other namespace has IPv6, but an interface there that is not up sends nothing. It still receives.
	if err := setUp("link set lo up\nlink add nic0 type veth peer name wire\nlink set wire netns " + far); err != nil {
		testenv.Lacks(t, testenv.NetworkNamespaces, err)
	}
	sys := t.TempDir()
	if err := unix.Mount("sysfs", sys, "sysfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(sys, unix.MNT_DETACH) }()
	farUp := exec.CommandContext(t.Context(), "nsenter", "-t", far, "-n", "ip", "link", "set", "wire", "addrgenmode", "none", "up")
	if out, err := farUp.CombinedOutput(); err != nil {
		testenv.Lacks(t, testenv.NetworkNamespaces, fmt.Errorf("%w: %s", err, out))
	}
	const bare = "addr flush dev nic0\nlink set nic0 nomaster\nlink set nic0 up"
	if err := setUp(bare); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, up, down, broadcast string }{
		{"card", "addr add 10.1.0.1/24 dev nic0", "addr flush dev nic0", "10.1.0.255"},
		{"bridge", `link add br0 type bridge
			link set nic0 master br0
			link set br0 up
			addr add 10.2.0.1/24 dev br0`, "link set nic0 nomaster\nlink del br0", "10.2.0.255"},
		{"macvlan", `link add mv0 link nic0 type macvlan
			link set mv0 up
			addr add 10.3.0.1/24 dev mv0`, "link del mv0", "10.3.0.255"},
		{"vlan", `link add link nic0 name nic0.5 type vlan id 5
			link set nic0.5 up
			addr add 10.4.0.1/24 dev nic0.5`, "link del nic0.5", "10.4.0.255"},
		{"vxlan", `addr add 10.1.0.1/24 dev nic0
			neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev nic0
			link add vx0 type vxlan id 7 remote 10.1.0.9 dstport 4789 dev nic0
			link set vx0 up
			addr add 10.5.0.1/24 dev vx0`, "link del vx0\naddr flush dev nic0", "10.5.0.255"},
		{"vxlan without a lower link", `addr add 10.1.0.1/24 dev nic0
			neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev nic0
			link add vx0 type vxlan id 7 remote 10.1.0.9 dstport 4789
			link set vx0 up
			addr add 10.5.0.1/24 dev vx0`, "link del vx0\naddr flush dev nic0", "10.5.0.255"},
		{"bond", `link add bond0 type bond mode active-backup
			link set nic0 down
			link set nic0 master bond0
			link set bond0 up
			addr add 10.6.0.1/24 dev bond0`, "link set nic0 nomaster\nlink del bond0\nlink set nic0 up", "10.6.0.255"},
		{"bridge on macvlan", `link add mv0 link nic0 type macvlan
			link add br0 type bridge
			link set mv0 master br0
			link set mv0 up
			link set br0 up
			addr add 10.7.0.1/24 dev br0`, "link del br0\nlink del mv0", "10.7.0.255"},
		{"tap and cable beside the card", `addr add 10.1.0.1/24 dev nic0
			tuntap add tap0 mode tap
			link add cable0 type veth peer name cable1
			link add br0 type bridge
			link set cable0 master br0
			link set tap0 master br0`, "link del br0\nlink del cable0\nlink del tap0\naddr flush dev nic0", "10.1.0.255"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := setUp(c.up); err != nil {
				_ = setUp(c.down) // what there is of it
				_ = setUp(bare)
				testenv.Lacks(t, testenv.NetworkNamespaces, err)
			}
			source, _ := sensortest.Open(t, network(), sensors.Setup{Proc: "/proc", Sys: "/nowhere"})
			shown, err := shownLinks(sys)
			if err != nil {
				t.Fatal(err)
			}
			before, beyond := sentBy(t, source), received(t, far)
			shout(t, c.broadcast, 200)
			sent, truth := sentBy(t, source)-before, received(t, far)-beyond
			if sent != truth || truth < 200*1000 {
				t.Errorf("%.0f bytes arrived at the far end, the sum says %.0f: %v", truth, sent, summed(source.Sensors()))
			}
			var bySysfs []string
			for i, counts := range outward(shown, false) {
				if counts {
					bySysfs = append(bySysfs, shown[i].name)
				}
			}
			if !slices.Equal(bySysfs, summed(source.Sensors())) {
				t.Errorf("by sysfs %v are summed, by netlink %v", bySysfs, summed(source.Sensors()))
			}
			t.Logf("%.0f bytes at the far end, %.0f in the sum", truth, sent)
			if err := setUp(c.down); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sentBy returns the bytes that the summed interfaces have sent.
func sentBy(t *testing.T, source sensors.Source) float64 {
	t.Helper()
	sum, dst := 0.0, sensortest.Read(t, source)
	for i, s := range source.Sensors() {
		if s.Use == sensors.NetworkSent {
			sum += dst[i]
		}
	}
	return sum
}

// received returns the bytes that the namespace of a process has received.
func received(t *testing.T, pid string) float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", pid, "net/dev"))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if name, v, ok := netLine([]byte(l)); ok && string(name) == "wire" {
			return v[0]
		}
	}
	return math.NaN()
}

// shout sends n packets of 1000 bytes to a broadcast address.
func shout(t *testing.T, address string, n int) {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1) })
	}}
	s, err := c.ListenPacket(t.Context(), "udp4", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	to := &net.UDPAddr{IP: net.ParseIP(address), Port: 9}
	for range n {
		if _, err := s.WriteTo(make([]byte, 958), to); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzNetLink checks that no message from the kernel breaks the parser.
func FuzzNetLink(f *testing.F) {
	dump, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		f.Skip(err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range messages {
		f.Add(m.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < unix.SizeofIfInfomsg {
			return
		}
		links := joined([]netLink{parseNetLink(b), parseNetLink(b)})
		if len(links) != 2 || len(outward(links, true)) != 2 {
			t.Fatalf("%+v", links)
		}
	})
}
