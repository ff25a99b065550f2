package backend

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// perfHead is the number of words before the counts of a group: the number of counts, and for how many ns the group was
// enabled and has counted.
const perfHead = 3

// perfGroup has the events of one PMU on one processor. One call on the first event reads all of them (perf_event_open(2),
// PERF_FORMAT_GROUP).
type perfGroup struct {
	// first is the place of the group's first reading in the source's list.
	first  int
	scales []float64
	fds    []int
	buf    []byte
	// counted is for how many ns the group had counted at the previous reading.
	counted uint64
}

// open adds an event to the group.
func (g *perfGroup) open(kind uint32, e energyOf, cpu int) error {
	// No bit is set, because such a PMU refuses to exclude anything.
	attr := unix.PerfEventAttr{
		Type: kind, Config: e.config[0], Ext1: e.config[1], Ext2: e.config[2],
		Read_format: unix.PERF_FORMAT_GROUP | unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
	}
	attr.Size = uint32(unsafe.Sizeof(attr))
	leader := -1
	if len(g.fds) > 0 {
		leader = g.fds[0]
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, leader, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("perf_event_open on CPU %d: %w", cpu, err)
	}
	g.fds, g.scales = append(g.fds, fd), append(g.scales, e.scale)
	g.buf = make([]byte, 8*(perfHead+len(g.fds)))
	return nil
}

// read sets dst to the group's counters in J. A missing counter is NaN.
func (g *perfGroup) read(dst []float64) error {
	missing(dst)
	if len(g.fds) == 0 {
		return os.ErrClosed
	}
	n, err := unix.Read(g.fds[0], g.buf)
	if err != nil {
		return err
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(g.buf[8*i:]) }
	// After its processor has gone offline, an event reads nothing, or leaves its group, or stops counting.
	if n != len(g.buf) || word(0) != uint64(len(g.fds)) || word(2) <= g.counted {
		return errNotCounted
	}
	g.counted = word(2)
	err = errNegative
	for i, scale := range g.scales {
		// The kernel adds up signed differences, so a count can be negative.
		if count := int64(word(perfHead + i)); count >= 0 {
			dst[i], err = float64(count)*scale, nil
		}
	}
	return err
}

func (g *perfGroup) close() {
	for i := range g.fds {
		closeFD(&g.fds[i])
	}
	g.fds = nil
}
