package backend

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"

	"github.com/ergon-energy/ergon/sensors"
)

// ownCost reads the sampler and the runner by their CPU clocks (clock_getcpuclockid(3)), which count in ns, and
// /proc/PID/statm.
type ownCost struct {
	list   []sensors.Sensor
	statm  [2]*file // of the sampler, of the runner
	clocks [2]int32
	spec   unix.Timespec
	closed bool
}

func openProfiler(host sensors.Host) (sensors.Source, []sensors.Absence, error) {
	own, err := openQuick("/proc", "self/statm")
	if err != nil {
		return nil, nil, unavailable("/proc/self/statm: " + reason(err))
	}
	s := &ownCost{clocks: [2]int32{unix.CLOCK_PROCESS_CPUTIME_ID, cpuClock(host.Runner)}}
	s.statm[0] = own
	if host.Runner > 0 {
		// Without it, a runner that has gone, its sensors are listed all the same and read NaN.
		s.statm[1], _ = openQuick("/proc", strconv.Itoa(host.Runner)+"/statm")
	}
	var absences []sensors.Absence
	s.list, absences = profilerSensors("CPU clock of the process", "/proc/PID/statm", host.Runner > 0)
	return s, absences, nil
}

func (s *ownCost) Sensors() []sensors.Sensor { return s.list }

func (s *ownCost) Read(dst []float64) error {
	missing(dst)
	if s.closed {
		return fmt.Errorf("read profiler: %w", os.ErrClosed)
	}
	for i := range len(dst) / profilerRunnerCPU {
		statm := s.statm[i]
		if statm == nil {
			continue
		}
		// The file belongs to the process for good; once that is gone its number, and with it the clock, may be
		// another's.
		b, err := statm.read()
		if err != nil {
			continue
		}
		if pages, ok := parseResident(b); ok {
			dst[profilerRunnerCPU*i+profilerMemory] = float64(pages * pageSize())
		}
		if quick.ClockGettime(s.clocks[i], &s.spec) == 0 {
			dst[profilerRunnerCPU*i+profilerCPU] = float64(s.spec.Nano()) / 1e9
		}
	}
	return nil
}

func (s *ownCost) Close() error {
	s.closed = true
	return errors.Join(s.statm[0].close(), s.statm[1].close())
}

// parseResident reads the second number of /proc/PID/statm (proc_pid_statm(5)), resident pages:
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
