package backend

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownNetwork reads the traffic of the network namespace that the target has for itself, such as that of a container. It
// looks at the target's first process. The kernel counts no traffic of single processes.
//
// Each interface counts from when it is first seen, so what it carried before is missing.
type ownNetwork struct {
	path []byte // /proc/PID/ns/net, with a zero byte
	pid  string
	here uint64 // the namespace of this process, 0 if it is unknown
	dev  *file  // net/dev of the target's namespace; it stays readable after the target's end
	// failed means that the namespace cannot be read.
	failed     bool
	interfaces map[string]*ownInterface
	stat       unix.Statx_t
}

// ownInterface is an interface of the namespace: what it had received and sent at the first reading and at the last.
type ownInterface struct {
	summed      bool
	first, last [2]float64
}

// follow starts with the target.
func (n *ownNetwork) follow(pid int) {
	n.pid = strconv.Itoa(pid)
	n.path = []byte("/proc/" + n.pid + "/ns/net\x00")
	n.here = n.namespace([]byte("/proc/self/ns/net\x00"))
}

// namespace returns the number of a namespace, 0 if it is unknown. The path ends with a zero byte.
func (n *ownNetwork) namespace(path []byte) uint64 {
	at := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(&path[0])), 0, unix.STATX_INO,
		uintptr(unsafe.Pointer(&n.stat)), 0)
	if errno != 0 {
		return 0
	}
	return n.stat.Ino
}

// read sets the bytes received and sent since the first interface was seen. They stay NaN if the target has the network of
// this process, and as long as no interface but loopback is there.
func (n *ownNetwork) read(received, sent *float64) {
	if n.failed || n.here == 0 {
		return
	}
	if n.dev == nil {
		if of := n.namespace(n.path); of == 0 || of == n.here {
			return
		}
		dev, err := openQuick("/proc", n.pid+"/net/dev")
		if err != nil {
			return // it has just ended
		}
		n.dev, n.interfaces = dev, map[string]*ownInterface{}
	}
	b, err := n.dev.read()
	if err != nil {
		return
	}
	if !n.count(b) { // an interface is new
		if n.failed = !n.judge(b); n.failed {
			return
		}
		n.count(b)
	}
	in, out, counted := 0.0, 0.0, false
	for _, i := range n.interfaces {
		if i.summed {
			in, out, counted = in+i.last[0]-i.first[0], out+i.last[1]-i.first[1], true
		}
	}
	if counted {
		*received, *sent = in, out
	}
}

// count takes the counters of the known interfaces. It returns false if there is another one.
func (n *ownNetwork) count(b []byte) (known bool) {
	known = true
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, v, ok := netLine(l)
		if !ok {
			continue
		}
		if i := n.interfaces[string(name)]; i != nil {
			i.last = [2]float64{max(i.last[0], v[0]), max(i.last[1], v[1])}
		} else {
			known = false
		}
	}
	return known
}

// judge finds out which interfaces count, as for the machine. It returns false if that is unknown.
func (n *ownNetwork) judge(b []byte) bool {
	var names []string
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, v, ok := netLine(l)
		if !ok {
			continue
		}
		if names = append(names, string(name)); n.interfaces[string(name)] == nil {
			n.interfaces[string(name)] = &ownInterface{first: [2]float64{v[0], v[1]}}
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == loopback })
	if len(names) > 1 {
		links, err := linksIn("/proc/" + n.pid + "/ns/net")
		if err != nil {
			return false
		}
		names = names[:0]
		for i, counts := range outward(links, false) {
			if counts {
				names = append(names, links[i].name)
			}
		}
	}
	for name, i := range n.interfaces {
		i.summed = slices.Contains(names, name)
	}
	return true
}

func (n *ownNetwork) close() error { return n.dev.close() }

// linksIn asks the kernel for the interfaces of a namespace. A thread enters the namespace, which needs CAP_SYS_ADMIN, and
// ends there.
func linksIn(path string) ([]link, error) {
	namespace, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = namespace.Close() }() // only read from
	answer := make(chan foundLinks, 1)
	go enter(int(namespace.Fd()), answer)
	a := <-answer
	if a.err == nil && len(a.links) == 0 {
		a.err = errors.New("no interface")
	}
	return a.links, a.err
}

// foundLinks is the answer of enter.
type foundLinks struct {
	links []link
	err   error
}

// enter lists the interfaces of a namespace from within, on a thread of its own that ends with this goroutine.
func enter(namespace int, answer chan<- foundLinks) {
	runtime.LockOSThread() // and unlocked only if the thread has stayed where it was
	if unix.Gettid() == unix.Getpid() {
		// The first thread never ends, and /proc/self is its namespace. While it is held here, the other goroutine gets
		// another thread.
		other := make(chan foundLinks, 1)
		go enter(namespace, other)
		answer <- <-other
		runtime.UnlockOSThread()
		return
	}
	var a foundLinks
	if a.err = unix.Setns(namespace, unix.CLONE_NEWNET); a.err == nil {
		a.links, a.err = ownLinks()
	}
	answer <- a
}
