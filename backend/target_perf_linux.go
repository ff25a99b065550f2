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

// inherited is a count of the kernel's perf events (perf_event_open(2)) that every process and thread started later
// by the one it is put on carries on: it sees all of them to their end, whoever waits for them and wherever they go.
//
// It is put on before the target's first instruction and counts at once, so that enable_on_exec is not needed: the
// first reading is the base. Not seen is the exit of each process itself: Linux 6.16, and the stable kernels since then,
// take the events off before the address space is torn down (do_exit in kernel/exit.c), which is some 0.1 ms for a small
// process and 70 ms for a GiB in small pages. What was waited for is therefore held against wait4, in datamodel.
type inherited struct {
	attr unix.PerfEventAttr
	fds  []int
	buf  [8]byte
}

// taskClock counts CPU time in ns, of user and kernel mode alike even where only user mode may be asked for.
func taskClock() *inherited {
	return &inherited{attr: unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitInherit,
	}}
}

// probe tells whether such an event may be opened, by opening one on this thread. An ordinary user may have only those
// that exclude the kernel (perf_event_paranoid 2); which to use is settled here.
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

// follow puts the event on every thread of a process; before its execve there is one.
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
		return nil // a thread that ended meanwhile is no loss.
	}
	return first
}

// read is the sum over all that carry the event and all that did; NaN before follow.
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
