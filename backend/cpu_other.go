//go:build !linux

package backend

import (
	"context"
	"runtime"
	"slices"

	gopsutil "github.com/shirou/gopsutil/v3/cpu"

	"github.com/ergon-energy/ergon/sensors"
)

// counted returns the modes that the system counts. gopsutil gives 0 for the others.
func counted() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"user", "system", "idle", "utilization"}
	case "darwin":
		return []string{"user", "nice", "system", "idle", "utilization"}
	default:
		return []string{"user", "nice", "system", "idle", "irq", "utilization"}
	}
}

func openCPU(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	const source = "gopsutil cpu.Times"
	each, err := gopsutil.Times(true)
	if err != nil {
		return nil, nil, unreadable(source, err)
	}
	var list []sensors.Sensor
	var from []int // the index of each sensor of list in all
	add := func(n int) {
		for i, s := range cpuSensors(n, source) {
			if slices.Contains(counted(), s.Name) {
				list, from = append(list, s), append(from, (n+1)*perCPU+i)
			}
		}
	}
	add(-1)
	for n := range each {
		add(n)
	}
	cpus := make([]processor, len(each)+1)
	all := make([]float64, len(cpus)*perCPU)
	return newAsked(list, func(dst []float64) error {
		missing(all)
		whole, err := gopsutil.Times(false)
		if err != nil {
			return err
		}
		each, err := gopsutil.Times(true)
		if err != nil {
			return err
		}
		for i, t := range append(whole[:1:1], each...) {
			if i < len(cpus) {
				row := all[i*perCPU : (i+1)*perCPU]
				cpus[i].read([nModes]float64{
					t.User, t.Nice, t.System, t.Idle, t.Iowait, t.Irq, t.Softirq, t.Steal,
				}, 1, row)
				row[nModes] = cpus[i].utilization()
			}
		}
		for i, at := range from {
			dst[i] = all[at]
		}
		return nil
	})
}

func openCPUFreq(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	return nil, nil, unavailable(sensors.Unsupported, "the clock frequency is read on Linux only")
}
