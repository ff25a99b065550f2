package sensortest

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// Declared returns s with the facts that the backends declare: Domain, Use, Method and the flags. So a test that invents
// sensors only has to name them as the backends do. Fields that are already set stay.
func Declared(s sensors.Sensor) sensors.Sensor {
	if s.Use == "" {
		s.Use = uses()[s.Family+" "+s.Name]
	}
	switch s.Family {
	case "cpu":
		s.CPUs = strings.TrimPrefix(s.Device, "cpu")
		s.StepsBack = s.Use == sensors.CPUIdle || s.Use == sensors.CPUIOWait
	case "network":
		if s.Device == "lo" {
			s.Use = ""
		}
	case "target":
		target(&s)
	case "profiler":
		s.Sparse = true
	case "gpu":
		s.Sparse = strings.HasPrefix(s.Name, "target_") || strings.HasPrefix(s.Name, "other_") || s.Name == "update_period"
	}
	if s.Domain.Kind == sensors.NoDomain {
		s.Domain = domain(s.Family, s.Device, s.Name)
	}
	switch {
	case s.Method != "":
	case s.Family == "perf":
		s.Method = sensors.ByPerf
	case s.Family == "rapl":
		s.Method = sensors.ByPowercap
	}
	return s
}

// Missing returns a with the facts that the backends declare for an absent energy sensor.
func Missing(a sensors.Absence) sensors.Absence {
	family, rest, _ := strings.Cut(a.ID, "/")
	a.Family = family
	if at := strings.LastIndexByte(rest, '/'); at >= 0 {
		a.Domain, a.Device = domain(family, rest[:at], rest[at+1:]), rest[:at]
	}
	return a
}

// target sets the facts of a sensor of the command. The Method of a CPU time follows from its Source, as tests write it.
func target(s *sensors.Sensor) {
	s.OfTarget, s.Sparse = true, true
	switch s.Use {
	case sensors.TargetMemoryPeak, sensors.TargetChargePeak, sensors.TargetProcessesEver, sensors.TargetOutside:
		s.HighWater = true
	default:
	}
	if s.Device != "" && s.Use == sensors.TargetCPU {
		s.Use = sensors.TargetPackageCPU
	}
	if s.Method != "" {
		return
	}
	source := strings.ToLower(s.Source)
	switch {
	case s.Origin() != sensors.FromCounter:
		s.Method = sensors.ByWalk
	case strings.Contains(source, "cgroup"), strings.Contains(source, "cpuacct"), strings.Contains(source, "cpu.stat"):
		s.Method = sensors.ByCgroup
	case strings.Contains(source, "perf"):
		s.Method = sensors.ByPerf
	default:
		s.Method = sensors.ByWalk
	}
}

// uses returns the use of each sensor, by family and name.
func uses() map[string]sensors.Use {
	return map[string]sensors.Use{
		"cpu user": sensors.CPUUser, "cpu nice": sensors.CPUNice, "cpu system": sensors.CPUSystem, "cpu idle": sensors.CPUIdle,
		"cpu iowait": sensors.CPUIOWait, "cpu irq": sensors.CPUIRQ, "cpu softirq": sensors.CPUSoftIRQ,
		"cpu steal": sensors.CPUSteal, "cpu utilization": sensors.CPUUtilization, "cpu frequency": sensors.CPUFrequency,
		"cpu pressure": sensors.CPUPressure, "cpu core_throttles": sensors.CoreThrottles,
		"cpu package_throttles": sensors.PackageThrottles, "cpu forks": sensors.Forks,
		"memory used": sensors.MemoryUsed, "memory pressure": sensors.MemoryPressure, "memory dirty": sensors.MemoryDirty, "memory swap_in": sensors.SwapIn, "memory swap_out": sensors.SwapOut,
		"disk read": sensors.DiskRead, "disk written": sensors.DiskWritten, "disk pressure": sensors.DiskPressure,
		"network receive": sensors.NetworkReceived, "network transmit": sensors.NetworkSent,
		"target cpu_time": sensors.TargetCPU, "target user_time": sensors.TargetUser, "target system_time": sensors.TargetSystem,
		"target memory": sensors.TargetMemory, "target memory_peak": sensors.TargetMemoryPeak,
		"target memory_charge": sensors.TargetCharge, "target memory_charge_peak": sensors.TargetChargePeak,
		"target memory_mapped": sensors.TargetMapped, "target processes_outside": sensors.TargetOutside,
		"target read": sensors.TargetRead, "target written": sensors.TargetWritten,
		"target read_chars": sensors.TargetReadChars, "target write_chars": sensors.TargetWriteChars,
		"target read_calls": sensors.TargetReadCalls, "target write_calls": sensors.TargetWriteCalls,
		"target processes": sensors.TargetProcesses, "target processes_ever": sensors.TargetProcessesEver,
		"target threads": sensors.TargetThreads, "target voluntary_switches": sensors.TargetVoluntarySwitches,
		"target involuntary_switches": sensors.TargetInvoluntarySwitches, "target minor_faults": sensors.TargetMinorFaults,
		"target major_faults": sensors.TargetMajorFaults, "target stopped_time": sensors.TargetStopped,
		"target network_receive": sensors.TargetReceived, "target network_transmit": sensors.TargetSent,
		"gpu energy": sensors.GPUEnergy, "gpu power": sensors.GPUPower, "gpu module_power": sensors.GPUModulePower,
		"gpu memory_used": sensors.GPUMemory, "gpu utilization": sensors.GPUUtilization, "gpu temperature": sensors.GPUTemperature, "gpu update_period": sensors.GPUUpdatePeriod,
		"gpu target_utilization": sensors.GPUTargetTime, "gpu other_utilization": sensors.GPUOtherTime,
		"gpu target_memory": sensors.GPUTargetMemory, "gpu target_processes": sensors.GPUTargetProcesses,
		"gpu other_processes": sensors.GPUOtherProcesses,
		"profiler cpu_time":   sensors.SamplerCPU, "profiler memory": sensors.SamplerMemory,
		"profiler runner_cpu_time": sensors.RunnerCPU, "profiler runner_memory": sensors.RunnerMemory,
		"profiler clock_offset": sensors.ClockOffset, "profiler suspended": sensors.Suspended,
	}
}

// domain returns the domain of an energy sensor, from the names that the backends give.
func domain(family, device, name string) sensors.Domain {
	switch family {
	case "rapl", "perf":
		return zone(device)
	case "target":
		if device != "" {
			return zone(device)
		}
	case "battery":
		if name == "power" {
			return sensors.Domain{Kind: sensors.BatteryDomain, Part: device}
		}
	case "gpu":
		kind := map[string]sensors.DomainKind{
			"energy": sensors.GPUDomain, "power": sensors.GPUDomain, "average_power": sensors.GPUDomain,
			"module_power": sensors.GPUModuleDomain, "memory_power": sensors.GPUMemoryDomain,
		}[name]
		if kind != sensors.NoDomain {
			return sensors.Domain{Kind: kind, GPU: device}
		}
	case "hwmon":
		return meter(device)
	}
	return sensors.Domain{}
}

var ( // compiled once for all tests
	zones  = regexp.MustCompile(`^(mmio/)?(package-(\d+)(-die-(\d+))?)?(/?(dram|core|uncore|psys)(-(\d+))?)?$`)
	number = regexp.MustCompile(`(\d+)$`)
)

// zone returns the domain of a powercap zone or a perf event, from its device: "mmio/package-0-die-1/dram".
func zone(device string) sensors.Domain {
	m := zones.FindStringSubmatch(device)
	if m == nil || m[2] == "" && m[7] == "" || (m[2] == "") == strings.HasPrefix(m[6], "/") && m[7] != "" {
		return sensors.Domain{Kind: sensors.UnknownDomain, Part: device}
	}
	atoi := func(s string) int { n, _ := strconv.Atoi(s); return n }
	d := sensors.Domain{Socket: atoi(m[3]), Mirror: m[1] != ""}
	if m[4] != "" {
		d.Die = atoi(m[5]) + 1
	}
	switch m[7] {
	case "":
		d.Kind = sensors.PackageDomain
	case "dram":
		d.Kind = sensors.DRAMDomain
	case "psys":
		return sensors.Domain{Kind: sensors.PlatformDomain, Socket: atoi(m[9]), Mirror: d.Mirror}
	default:
		d.Kind, d.Part = sensors.CoreDomain, m[7]+m[8]
	}
	return d
}

// meter returns the domain of a hwmon channel, from its device.
func meter(device string) sensors.Domain {
	d := sensors.Domain{Kind: sensors.UnknownDomain, Part: device}
	text := strings.ToLower(device)
	has := func(words ...string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}
	n := 0
	if m := number.FindString(text); m != "" {
		n, _ = strconv.Atoi(m)
	}
	switch {
	case has("amd_energy", "esocket"):
		return sensors.Domain{Kind: sensors.PackageDomain, Socket: n}
	case has("amd_energy", "ecore"):
		return sensors.Domain{Kind: sensors.CoreDomain, Socket: -1, Part: device}
	case has("amd_energy"):
		return d
	case has("socket", "module"):
		d.Kind, d.Socket = sensors.ModuleMeter, n
	case has("socket", "grace"):
		d.Kind, d.Socket = sensors.SocketMeter, n
	case has("socket", "cpu"), has("socket", "sysio"):
		d.Kind, d.Socket = sensors.SocketPartMeter, n
	case has("power_meter"):
		d.Kind = sensors.MachineMeter
	}
	return d
}
