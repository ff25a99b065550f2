//go:build linux && cgo

package backend

import (
	"errors"
	"math"
	"os"
	"slices"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/lineage"
	"github.com/ergon-energy/ergon/internal/procfs"
	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// usersShare is the share of time that looking for the users of GPUs may take. The calls wait for the driver.
	usersShare = 0.01
	// usersPause is the shortest time between two looks. It is slightly shorter than the family's interval, so that an
	// early beat still looks.
	usersPause = 95 * time.Millisecond
	// usersHold is how long the last known use stays valid without a new sample. The driver samples every 1/6 s to 1 s
	// (nvml.h, nvmlUtilization_t), and gives no sample of processes that use nothing.
	usersHold = 1200 * time.Millisecond
	// notAvailable is NVML_VALUE_NOT_AVAILABLE in an unsigned long long.
	notAvailable = math.MaxUint64
)

// errMIGUse is the reason in MIG mode (nvml.h, nvmlDeviceGetProcessUtilization).
var errMIGUse = &absenceError{sensors.Unsupported, "in MIG mode the driver does not report the GPU use of processes"}

// gpuUsers reads how much of the GPUs the target's processes use, and how much other processes use. It looks at most every
// usersPause, and once more when the target has ended. Between two looks, the use stays as it is, and memory and processes
// are NaN.
type gpuUsers struct {
	parent int
	// foreign says why NVML's process ids mean nothing here; nil if they are valid.
	foreign error
	kin     *lineage.Lineage
	pidfd   int
	began   time.Time
	looks   budget
	looked  bool
	final   bool // the look after the target's end is done
}

// gpuUse is the use of one GPU by processes. Places count from gpu.at; a negative place means that there is no sensor.
type gpuUse struct {
	utilizationAt, processesAt int
	lists                      []func(nvml.Device) ([]nvml.ProcessInfo, nvml.Return)
	// asked is true once the samples from before the target's start have been fetched. newest is the time stamp of the last
	// sample, in the driver's µs. at is the time when that sample was read.
	asked         bool
	newest        uint64
	at            time.Time
	target, other float64
	// told is true if target and other are known.
	told bool
}

func noGPUUse() gpuUse { return gpuUse{utilizationAt: -1, processesAt: -1} }

// utilizationSensors returns two sensors, processSensors three, in the order of their readings.
func utilizationSensors() []sensors.Sensor {
	const source = "nvmlDeviceGetProcessUtilization"
	return []sensors.Sensor{
		{
			Name: "target_utilization", Use: sensors.GPUTargetTime, Sparse: true, Unit: units.Ratio, Source: source,
			Doc: "share of SM time used by the target's processes in the driver's last sample",
		},
		{
			Name: "other_utilization", Use: sensors.GPUOtherTime, Sparse: true, Unit: units.Ratio, Source: source,
			Doc: "share of SM time used by all other processes in the driver's last sample",
		},
	}
}

func processSensors() []sensors.Sensor {
	const source = "nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses"
	return []sensors.Sensor{
		{
			Name: "target_memory", Use: sensors.GPUTargetMemory, Sparse: true, Unit: units.Byte, Source: source,
			Doc: "GPU memory that the target's processes hold; its peak is the largest reading",
		},
		{Name: "target_processes", Use: sensors.GPUTargetProcesses, Sparse: true, Unit: units.Processes, Source: source, Doc: "processes of the target on the GPU"},
		{Name: "other_processes", Use: sensors.GPUOtherProcesses, Sparse: true, Unit: units.Processes, Source: source, Doc: "all other processes on the GPU"},
	}
}

func newGPUUsers(setup sensors.Setup) gpuUsers {
	u := gpuUsers{
		parent: setup.Parent, pidfd: -1, began: time.Now(), looks: budget{share: usersShare},
	}
	// The first PID namespace has this number on every Linux (PROC_PID_INIT_INO in include/linux/proc_ns.h).
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != "pid:[4026531836]" {
		u.foreign = &absenceError{
			sensors.OtherNamespace, "NVML names processes by their numbers outside this container (run the container with --pid=host)",
		}
	} else if err := procfs.Check(); err != nil {
		u.foreign = foreignProc(err)
	}
	return u
}

// probe finds out what a GPU reports about its users. The IDs of its absences are names of sensors.
func (u *gpuUsers) probe(n *nvmlSource, device nvml.Device, mig bool) (use gpuUse, list []sensors.Sensor, absences []sensors.Absence) {
	use = noGPUUse()
	refuse := func(s sensors.Sensor, why error) {
		absences = append(absences, absentGroup("gpu", s.Name, s.Source, why))
	}
	why := u.foreign
	if why == nil {
		why = noFunction("nvmlDeviceGetProcessUtilization")
		if n.has("nvmlDeviceGetProcessUtilization") {
			_, ret := samplesOf(device, 0)
			why = nvmlError(ret)
			if why == nil {
				use.utilizationAt = len(list)
				list = append(list, utilizationSensors()...)
			} else if mig && ret == nvml.ERROR_NOT_SUPPORTED {
				why = errMIGUse
			}
		}
	}
	if why != nil {
		refuse(utilizationSensors()[0], why)
	}
	if why = u.foreign; why == nil {
		why = noFunction("nvmlDeviceGetComputeRunningProcesses")
		for _, call := range []struct {
			symbol string
			list   func(nvml.Device) ([]nvml.ProcessInfo, nvml.Return)
		}{
			{"nvmlDeviceGetComputeRunningProcesses", nvml.Device.GetComputeRunningProcesses},
			{"nvmlDeviceGetGraphicsRunningProcesses", nvml.Device.GetGraphicsRunningProcesses},
		} {
			// go-nvml calls the newest of the three versions that the library has.
			if !n.has(call.symbol+"_v3") && !n.has(call.symbol+"_v2") && !n.has(call.symbol) {
				continue
			}
			if _, ret := call.list(device); ret != nvml.SUCCESS {
				why = nvmlError(ret)
				continue
			}
			use.lists = append(use.lists, call.list)
		}
		if len(use.lists) > 0 {
			why, use.processesAt = nil, len(list)
			list = append(list, processSensors()...)
		}
	}
	if why != nil {
		refuse(processSensors()[0], why)
	}
	return use, list, absences
}

// placed shifts the places to where the sensors begin.
func (g gpuUse) placed(at int) gpuUse {
	if g.utilizationAt >= 0 {
		g.utilizationAt += at
	}
	if g.processesAt >= 0 {
		g.processesAt += at
	}
	return g
}

// follow starts to follow the target.
func (u *gpuUsers) follow(pid int) {
	if u.foreign != nil || u.kin != nil {
		return
	}
	u.kin = lineage.New(pid, u.parent)
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		u.pidfd = fd
	} else if errors.Is(err, unix.ESRCH) {
		u.pidfd = -1
	}
}

func (u *gpuUsers) close() { closeFD(&u.pidfd) }

// read looks at the GPUs if a look is due.
func (u *gpuUsers) read(gpus []gpu, dst []float64) {
	if u.kin == nil {
		return
	}
	for i := range gpus { // the last known use stays until there is a new sample
		if g := &gpus[i]; g.users.told {
			at := g.at + g.users.utilizationAt
			dst[at], dst[at+1] = g.users.target, g.users.other
		}
	}
	now := time.Since(u.began)
	ended := u.pidfd >= 0 && quick.Readable(u.pidfd)
	if u.looked && !u.looks.due(now) && (!ended || u.final) {
		return
	}
	u.looked, u.final = true, ended
	start := time.Now()
	for i := range gpus {
		g := &gpus[i]
		row := dst[g.at : g.at+g.n]
		if at := g.users.processesAt; at >= 0 {
			g.users.readProcesses(g.device, u.kin, row[at:at+len(processSensors())])
		}
		if at := g.users.utilizationAt; at >= 0 {
			g.users.readUtilization(g.device, u.kin, row[at:at+len(utilizationSensors())])
		}
	}
	u.looks.charge(now, time.Since(start))
	u.looks.next = max(u.looks.next, now+usersPause)
}

// readProcesses sets the target's memory and processes, and the number of other processes. A program may be in both lists,
// for computing and for graphics, with the same memory.
func (g *gpuUse) readProcesses(device nvml.Device, kin *lineage.Lineage, dst []float64) {
	var all []nvml.ProcessInfo
	for _, list := range g.lists {
		found, ret := list(device)
		if ret != nvml.SUCCESS {
			return
		}
		for _, p := range found {
			if i := slices.IndexFunc(all, func(o nvml.ProcessInfo) bool { return o.Pid == p.Pid }); i >= 0 {
				all[i].UsedGpuMemory = max(all[i].UsedGpuMemory, p.UsedGpuMemory)
			} else {
				all = append(all, p)
			}
		}
	}
	memory, target, other := 0.0, 0.0, 0.0
	for _, p := range all {
		if member, _ := kin.Has(int(p.Pid)); !member {
			other++
			continue
		}
		target++
		if p.UsedGpuMemory == notAvailable {
			memory = math.NaN()
		}
		memory += float64(p.UsedGpuMemory)
	}
	dst[0], dst[1], dst[2] = memory, target, other
}

// readUtilization sets the use by the target and by others. If a process has ended that was never seen, its owner is unknown,
// and so are both values.
func (g *gpuUse) readUtilization(device nvml.Device, kin *lineage.Lineage, dst []float64) {
	dst[0], dst[1], g.told = math.NaN(), math.NaN(), false
	samples, ret := samplesOf(device, g.newest)
	if ret != nvml.SUCCESS {
		return
	}
	first := !g.asked
	g.asked = true
	newest, target, other, unknown := g.newest, 0.0, 0.0, false
	for _, s := range samples {
		// Drivers have been seen to fill in far more than 100 %: Syllo/nvtop#110.
		if s.SmUtil > 100 || s.TimeStamp <= g.newest {
			continue
		}
		newest = max(newest, s.TimeStamp)
		switch member, known := kin.Has(int(s.Pid)); {
		case !known:
			unknown = true
		case member:
			target += float64(s.SmUtil) / 100
		default:
			other += float64(s.SmUtil) / 100
		}
	}
	now := time.Now()
	switch {
	case first || unknown:
		g.newest = newest
		return
	case newest > g.newest:
		most := max(1, target+other)
		g.newest, g.target, g.other, g.at = newest, target/most, other/most, now
	case now.Sub(g.at) > usersHold:
		g.target, g.other = 0, 0
	}
	dst[0], dst[1], g.told = g.target, g.other, true
}

// samplesOf returns the samples after a time. It is not an error if there are none.
func samplesOf(device nvml.Device, later uint64) (list []nvml.ProcessUtilizationSample, ret nvml.Return) {
	// go-nvml allocates for the count of a first call and slices by the count of a second call. It panics if a sample has
	// come in between.
	defer func() {
		if recover() != nil {
			list, ret = nil, nvml.ERROR_INSUFFICIENT_SIZE
		}
	}()
	list, ret = device.GetProcessUtilization(later)
	if ret == nvml.ERROR_NOT_FOUND || ret == nvml.ERROR_INSUFFICIENT_SIZE && len(list) == 0 {
		return nil, nvml.SUCCESS
	}
	return list, ret
}
