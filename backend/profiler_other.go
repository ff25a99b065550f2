//go:build !linux

package backend

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/ergon-energy/ergon/sensors"
)

func openProfiler(setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	if startsPS {
		return nil, nil, unavailable(sensors.Unsupported, "without cgo, gopsutil would start ps for each reading of a process")
	}
	own, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return nil, nil, unavailable(cause(err), reason(err))
	}
	ours := []*process.Process{own}
	if setup.Runner > 0 {
		runner, err := process.NewProcess(int32(setup.Runner))
		if err != nil {
			return nil, nil, fmt.Errorf("runner: process %d: %w", setup.Runner, err)
		}
		ours = append(ours, runner)
	}
	var runner error
	if setup.Runner <= 0 {
		runner = errNoRunner()
	}
	list, absences := profilerSensors("gopsutil process.Times", "gopsutil process.MemoryInfo", runner)
	clocks := clockSensors("time.Now")
	absences = append(absences, sensors.Absence{
		ID: clocks[clockSuspended].ID, Family: "profiler", Source: clocks[clockSuspended].Source, Cause: sensors.Unsupported, Reason: "not available on " + runtime.GOOS,
	})
	list = append(list, clocks[clockOffset])
	start := time.Now()
	source, _, err := newAsked(list, func(dst []float64) error {
		now := time.Now() // Round removes the monotonic part
		dst[len(dst)-1] = (now.Round(0).Sub(start.Round(0)) - now.Sub(start)).Seconds()
		for i, p := range ours {
			if t, err := p.Times(); err == nil {
				dst[profilerRunnerCPU*i+profilerCPU] = t.User + t.System
			}
			if m, err := p.MemoryInfo(); err == nil {
				dst[profilerRunnerCPU*i+profilerMemory] = float64(m.RSS)
			}
		}
		return nil
	})
	return source, absences, err
}
