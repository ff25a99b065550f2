package backend

import (
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// heldApart starts a process in a network namespace of its own. It ends when the gate is closed, and with the test.
func heldApart(t *testing.T) (held *exec.Cmd, gate io.WriteCloser) {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "only root enters a namespace")
	}
	held = exec.CommandContext(t.Context(), "cat")
	held.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	gate, err := held.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Start(); err != nil {
		testenv.Lacks(t, testenv.NetworkNamespaces, err)
	}
	return held, gate
}

// TestOwnNetwork sends real traffic in a network namespace of a process, and compares with the kernel's count there.
// Interfaces come while it is read, and one goes.
func TestOwnNetwork(t *testing.T) {
	held, gate := heldApart(t)
	pid := strconv.Itoa(held.Process.Pid)
	inside := func(script string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "nsenter", "-t", pid, "-n", "bash", "-e", "-c", script).CombinedOutput()
		if err != nil {
			_ = gate.Close()
			testenv.Lacks(t, testenv.NetworkNamespaces, string(out))
		}
		return strings.TrimSpace(string(out))
	}
	n := &ownNetwork{}
	n.follow(held.Process.Pid)
	received, sent := math.NaN(), math.NaN()
	want := func(when string, in, out float64) {
		t.Helper()
		n.read(&received, &sent)
		if received != in || sent != out {
			t.Errorf("%s: received %v, sent %v; want %v and %v", when, received, sent, in, out)
		}
	}
	if n.read(&received, &sent); n.dev == nil || !math.IsNaN(received) || !math.IsNaN(sent) {
		t.Errorf("only loopback: received %v, sent %v; want no reading", received, sent)
	}
	const card = `echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 || true
ip link add nic0 type veth peer name wire; ip link set nic0 up; ip link set wire up
ip addr add 10.9.0.1/24 dev nic0; ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev nic0`
	const send = `for i in {1..100}; do printf %1000s >/dev/udp/10.9.0.2/9; done; awk '$1=="nic0:"{print $10}' /proc/net/dev`
	inside(card)
	want("a cable has come", 0, 0)
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	truth := number(inside(send))
	if truth < 100*1000 {
		t.Fatalf("only %v bytes were sent", truth)
	}
	want("100 packets, which the other end has received", truth, truth)
	// A bridge that snoops joins a multicast group and reports so by itself, at some later time (IGMP, 54 bytes).
	inside("ip link add br0 type bridge mcast_snooping 0; ip link set nic0 master br0; ip link set br0 up; ip addr flush dev nic0; ip addr add 10.9.0.1/24 dev br0; ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev br0")
	n.read(&received, &sent) // the bridge is seen
	truth = number(inside(send))
	want("through a bridge, each byte once", truth, truth)
	_ = gate.Close()
	_ = held.Wait() // its input has ended
	want("after its end", truth, truth)
	if err := n.close(); err != nil {
		t.Error(err)
	}
}

// TestNoOwnNetwork checks that a process in the same namespace as this one has no readings, and that looking for one
// allocates nothing.
func TestNoOwnNetwork(t *testing.T) {
	n := &ownNetwork{}
	n.follow(os.Getppid())
	received, sent := math.NaN(), math.NaN()
	if allocated := testing.AllocsPerRun(10, func() { n.read(&received, &sent) }); allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
	if !math.IsNaN(received) || !math.IsNaN(sent) || n.dev != nil {
		t.Errorf("received %v, sent %v", received, sent)
	}
	n.follow(math.MaxInt32) // no such process
	if n.read(&received, &sent); !math.IsNaN(received) {
		t.Errorf("received %v", received)
	}
}

// TestLinksInLeavesTheProcess checks that this process stays in its namespace. Its first thread must never leave it.
func TestLinksInLeavesTheProcess(t *testing.T) {
	held, gate := heldApart(t)
	defer func() {
		_ = gate.Close()
		_ = held.Wait() // its input has ended
	}()
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if _, err := linksIn("/proc/" + strconv.Itoa(held.Process.Pid) + "/ns/net"); err != nil {
			t.Fatal(err)
		}
	}
	after, err := os.Readlink("/proc/self/ns/net")
	if err != nil || after != before {
		t.Errorf("this process is in %s, was in %s, %v", after, before, err)
	}
	if parent, err := os.Readlink("/proc/" + strconv.Itoa(os.Getppid()) + "/ns/net"); err != nil || parent != before {
		t.Errorf("this process was in %s, its parent is in %s, %v", before, parent, err)
	}
}
