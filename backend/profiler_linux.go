package backend

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/procfs"
	"github.com/ergon-energy/ergon/internal/quick"

	"github.com/ergon-energy/ergon/sensors"
)

// ownCost reads the sampler and the runner by their CPU clocks (clock_getcpuclockid(3)), in ns, and /proc/PID/statm. It also
// reads the clocks of the machine.
type ownCost struct {
	list   []sensors.Sensor
	statm  [2]*file // of the sampler, of the runner
	clocks [2]int32
	// launcher is the CPU clock of the launcher, whose time counts as the runner's; 0 if there is none.
	launcher int32
	spec     unix.Timespec
	// since is how far the clocks were ahead of the monotonic clock at the first reading. suspended is the last reported
	// suspended time. Both are in ns.
	since     [clockReadings]int64
	started   [clockReadings]bool
	suspended int64
	closed    bool
	// alone is true in the runner while there is no sampler, which then has used nothing.
	alone bool
}

func openProfiler(setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	own, err := openQuick("/proc", "self/statm")
	if err != nil {
		return nil, nil, unreadable("/proc/self/statm", err)
	}
	s := &ownCost{clocks: [2]int32{unix.CLOCK_PROCESS_CPUTIME_ID, cpuClock(setup.Runner)}}
	s.statm[0], s.alone = own, setup.InRunner
	if setup.Parent > 0 && setup.Parent != setup.Runner {
		s.launcher = cpuClock(setup.Parent)
	}
	var runner error
	switch {
	case setup.Runner <= 0:
		runner = errNoRunner()
	case setup.InRunner:
		s.statm[1], _ = openQuick("/proc", "self/statm")
	default:
		if err := procfs.Check(); err != nil {
			runner = foreignProc(err)
			break
		}
		// If the runner is gone, there is no file. Its sensors are listed all the same and read NaN.
		s.statm[1], _ = openQuick("/proc", strconv.Itoa(setup.Runner)+"/statm")
	}
	var absences []sensors.Absence
	s.list, absences = profilerSensors("CPU clock of the process", "/proc/PID/statm", runner)
	s.list = append(s.list, clockSensors("clock_gettime")...)
	for i := range clockReadings {
		_, _ = s.gone(i) // from now on
	}
	return s, absences, nil
}

// Follow lets the clocks count from now on. The process is not needed.
func (s *ownCost) Follow(int) error {
	s.started, s.suspended = [clockReadings]bool{}, 0
	for i := range clockReadings {
		_, _ = s.gone(i)
	}
	return nil
}

const (
	// sameMoment is the time within which two readings of clocks count as simultaneous. triesAtOnce is the number of
	// tries, because this process may be preempted between the two.
	sameMoment  = 100_000 // ns
	triesAtOnce = 5
	// leastSuspend is the smallest reported rise. It keeps the time between two clock readings out of the counter.
	leastSuspend = 1_000_000 // ns
)

// ahead returns how far a clock is ahead of the monotonic clock, in ns.
func (s *ownCost) ahead(which int) (ns int64, ok bool) {
	id := [clockReadings]int32{clockOffset: unix.CLOCK_REALTIME, clockSuspended: unix.CLOCK_BOOTTIME}[which]
	for range triesAtOnce {
		before, ok := s.time(unix.CLOCK_MONOTONIC)
		there, ok2 := s.time(id)
		after, ok3 := s.time(unix.CLOCK_MONOTONIC)
		if !ok || !ok2 || !ok3 {
			return 0, false
		}
		if after-before <= sameMoment {
			return there - (before + (after-before)/2), true
		}
	}
	return 0, false
}

// gone returns how far the clock has moved ahead since the first call.
func (s *ownCost) gone(which int) (ns int64, ok bool) {
	if ns, ok = s.ahead(which); !ok {
		return 0, false
	}
	if !s.started[which] {
		s.since[which], s.started[which] = ns, true
	}
	return ns - s.since[which], true
}

func (s *ownCost) time(clock int32) (ns int64, ok bool) {
	ok = quick.ClockGettime(clock, &s.spec) == 0
	return s.spec.Nano(), ok
}

// readClocks sets the readings of the clocks.
func (s *ownCost) readClocks(dst []float64) {
	if ns, ok := s.gone(clockOffset); ok {
		dst[clockOffset] = float64(ns) / 1e9
	}
	if ns, ok := s.gone(clockSuspended); ok {
		if ns >= s.suspended+leastSuspend {
			s.suspended = ns
		}
		dst[clockSuspended] = float64(s.suspended) / 1e9
	}
}

func (s *ownCost) Sensors() []sensors.Sensor { return s.list }

func (s *ownCost) Read(dst []float64) error {
	missing(dst)
	if s.closed {
		return fmt.Errorf("read profiler: %w", os.ErrClosed)
	}
	processes := len(dst) - clockReadings
	s.readClocks(dst[processes:])
	for i := range processes / profilerRunnerCPU {
		statm := s.statm[i]
		if i == 0 && s.alone {
			dst[profilerMemory], dst[profilerCPU] = 0, 0
			continue
		}
		if statm == nil {
			continue
		}
		// The open file stays with its process. After the process has gone, its id, and so the clock, may belong to
		// another process. Then the file fails first.
		b, err := statm.read()
		if err != nil {
			continue
		}
		if pages, ok := parseResident(b); ok {
			dst[profilerRunnerCPU*i+profilerMemory] = float64(pages * pageSize())
		}
		if ns, ok := s.time(s.clocks[i]); ok {
			if i == 1 && s.launcher != 0 {
				launcher, _ := s.time(s.launcher) // the runner ends with it
				ns += launcher
			}
			dst[profilerRunnerCPU*i+profilerCPU] = float64(ns) / 1e9
		}
	}
	return nil
}

func (s *ownCost) Close() error {
	s.closed = true
	return errors.Join(s.statm[0].close(), s.statm[1].close())
}

// parseResident parses the second number of /proc/PID/statm, the resident pages (proc_pid_statm(5)):
//
//	5550 1523 1200 230 0 900 0
func parseResident(b []byte) (pages uint64, ok bool) {
	_, b, ok = number(b)
	if !ok {
		return 0, false
	}
	pages, _, ok = number(b)
	return pages, ok
}
