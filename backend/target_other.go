//go:build !linux

package backend

import (
	"fmt"
	"os"
	"runtime"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/ergon-energy/ergon/sensors"
)

// firstProcess reads the target through gopsutil, but only its first process. To find children, gopsutil would start pgrep
// at each call on macOS and FreeBSD, and walk all processes on Windows.
type firstProcess struct {
	list    []sensors.Sensor
	rows    []int // the index of each sensor among the target's readings
	process *process.Process
	largest float64
	closed  bool
}

func openTarget(sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	if startsPS {
		return nil, nil, unavailable(sensors.Unsupported, "without cgo, gopsutil would start ps for each reading of a process")
	}
	rows := []int{targetCPU, targetUser, targetSystem, targetMemory, targetMemoryPeak, targetThreads}
	if runtime.GOOS == "windows" { // on other systems gopsutil has no counts of bytes, or no counts at all
		rows = append(rows, targetReadChars, targetWriteChars, targetReadCalls, targetWriteCalls)
	}
	source := &firstProcess{rows: rows}
	all := targetSensors("gopsutil process, the target's first alone")
	has := make([]bool, len(all))
	for _, i := range rows {
		has[i] = true
		all[i].Doc = all[i].Name + " of the target's first process only: its children are not seen on this system"
		source.list = append(source.list, all[i])
	}
	var absences []sensors.Absence
	for i, s := range all {
		if !has[i] {
			absences = append(absences, sensors.Absence{
				ID: s.ID, Family: s.Family, Source: s.Source, Cause: sensors.Unsupported, Reason: "not available on " + runtime.GOOS,
			})
		}
	}
	return source, absences, nil
}

func (f *firstProcess) Sensors() []sensors.Sensor { return f.list }

// Follow implements sensors.Follower. If the process is already gone, all readings are NaN.
func (f *firstProcess) Follow(pid int) error {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil //nolint:nilerr // it is gone, which is not an error
	}
	f.process = p
	return nil
}

func (f *firstProcess) Read(dst []float64) error {
	missing(dst)
	if f.closed {
		return fmt.Errorf("read target: %w", os.ErrClosed)
	}
	if f.process == nil {
		return nil
	}
	var all [targetReadings]float64
	missing(all[:])
	if t, err := f.process.Times(); err == nil {
		all[targetCPU], all[targetUser], all[targetSystem] = t.User+t.System, t.User, t.System
	}
	if m, err := f.process.MemoryInfo(); err == nil {
		all[targetMemory] = float64(m.RSS)
		f.largest = max(f.largest, all[targetMemory])
		all[targetMemoryPeak] = f.largest
	}
	if n, err := f.process.NumThreads(); err == nil {
		all[targetThreads] = float64(n)
	}
	if io, err := f.process.IOCounters(); err == nil {
		all[targetReadChars], all[targetWriteChars] = float64(io.ReadBytes), float64(io.WriteBytes)
		all[targetReadCalls], all[targetWriteCalls] = float64(io.ReadCount), float64(io.WriteCount)
	}
	for i, row := range f.rows {
		dst[i] = all[row]
	}
	return nil
}

func (f *firstProcess) Close() error {
	f.closed = true
	return nil
}
