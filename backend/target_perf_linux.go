package backend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
)

// inherited is a perf event (perf_event_open(2)) on a process. All processes and threads that it starts later inherit
// the event. So it counts all of them to their end, even if nothing waits for them or they leave the cgroup.
//
// The event starts to count before the target's first instruction. The first reading is the base, so enable_on_exec is
// not needed.
//
// The event does not see the exit of each process. Since Linux 6.16, and in later stable kernels, the kernel removes
// events before it tears down the address space (do_exit in kernel/exit.c). That takes about 0.1 ms for a small process
// and 70 ms for a GiB in small pages. So datamodel compares the count with the result of wait4.
type inherited struct {
	attr unix.PerfEventAttr
	fds  []int
	buf  [8]byte
}

// taskClock returns an event that counts CPU time in ns. It counts user and kernel mode, even if only an event that
// excludes the kernel is allowed.
func taskClock() *inherited {
	return &inherited{attr: unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitInherit,
	}}
}

// probe opens such an event on this thread and returns an error if that is not allowed. An ordinary user may open only
// events that exclude the kernel (perf_event_paranoid 2). probe then excludes it for all later events.
func (e *inherited) probe() error {
	fd, err := e.open(0)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		e.attr.Bits |= unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv
		fd, err = e.open(0)
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (e *inherited) open(tid int) (int, error) {
	e.attr.Size = uint32(unsafe.Sizeof(e.attr))
	fd, err := unix.PerfEventOpen(&e.attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("perf_event_open: %w", err)
	}
	return fd, nil
}

// follow opens the event on every thread of a process. Before its execve there is only one.
func (e *inherited) follow(threads []int) error {
	var first error
	for _, tid := range threads {
		fd, err := e.open(tid)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		e.fds = append(e.fds, fd)
	}
	if len(e.fds) > 0 {
		return nil // the others have ended, which does not matter
	}
	return first
}

// read returns the sum over all processes and threads that have or had the event, or NaN before follow.
func (e *inherited) read() float64 {
	if len(e.fds) == 0 {
		return math.NaN()
	}
	var sum uint64
	for _, fd := range e.fds {
		if n, errno := quick.Read(fd, e.buf[:]); errno != 0 || n != len(e.buf) {
			return math.NaN()
		}
		sum += binary.NativeEndian.Uint64(e.buf[:])
	}
	return float64(sum)
}

func (e *inherited) close() {
	for i := range e.fds {
		closeFD(&e.fds[i])
	}
	e.fds = nil
}
