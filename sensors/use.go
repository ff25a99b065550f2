package sensors

// Use tells what the accounting uses a sensor for. A sensor with the zero value is only shown. If several devices have a
// sensor with the same use, Device, CPUs or Domain tells them apart.
type Use string

// The uses of the machine's sensors. CPU times belong to the CPU that Sensor.CPUs names, or to all together if it is empty.
const (
	CPUUser          Use = "cpu_user"
	CPUNice          Use = "cpu_nice"
	CPUSystem        Use = "cpu_system"
	CPUIdle          Use = "cpu_idle"
	CPUIOWait        Use = "cpu_iowait"
	CPUIRQ           Use = "cpu_irq"
	CPUSoftIRQ       Use = "cpu_softirq"
	CPUSteal         Use = "cpu_steal"
	CPUUtilization   Use = "cpu_utilization"
	CPUFrequency     Use = "cpu_frequency"
	CPUPressure      Use = "cpu_pressure"
	CoreThrottles    Use = "core_throttles"
	PackageThrottles Use = "package_throttles"
	Forks            Use = "forks"
	MemoryPressure   Use = "memory_pressure"
	MemoryUsed       Use = "memory_used"
	// MemoryDirty is what programs have written and memory still holds for the disks.
	MemoryDirty  Use = "memory_dirty"
	SwapIn       Use = "swap_in"
	SwapOut      Use = "swap_out"
	DiskRead     Use = "disk_read"
	DiskWritten  Use = "disk_written"
	DiskPressure Use = "disk_pressure"
	// NetworkReceived and NetworkSent are the bytes of an interface that leads out of the machine.
	NetworkReceived Use = "network_received"
	NetworkSent     Use = "network_sent"
)

// The uses of the command's sensors.
const (
	TargetCPU                 Use = "target_cpu"
	TargetUser                Use = "target_user"
	TargetSystem              Use = "target_system"
	TargetPackageCPU          Use = "target_package_cpu" // on the CPUs of one package
	TargetMemory              Use = "target_memory"
	TargetMemoryPeak          Use = "target_memory_peak"
	TargetCharge              Use = "target_charge" // of the command's cgroup, with page cache
	TargetChargePeak          Use = "target_charge_peak"
	TargetMapped              Use = "target_mapped"
	TargetRead                Use = "target_read"
	TargetWritten             Use = "target_written"
	TargetReadChars           Use = "target_read_chars"
	TargetWriteChars          Use = "target_write_chars"
	TargetReadCalls           Use = "target_read_calls"
	TargetWriteCalls          Use = "target_write_calls"
	TargetProcesses           Use = "target_processes"
	TargetProcessesEver       Use = "target_processes_ever"
	TargetOutside             Use = "target_outside" // outside the command's cgroup
	TargetThreads             Use = "target_threads"
	TargetVoluntarySwitches   Use = "target_voluntary_switches"
	TargetInvoluntarySwitches Use = "target_involuntary_switches"
	TargetMinorFaults         Use = "target_minor_faults"
	TargetMajorFaults         Use = "target_major_faults"
	TargetStopped             Use = "target_stopped"
	// TargetReceived and TargetSent are the bytes of a network namespace of the command's own.
	TargetReceived Use = "target_received"
	TargetSent     Use = "target_sent"
)

// The uses of a GPU's sensors.
const (
	GPUEnergy       Use = "gpu_energy"
	GPUPower        Use = "gpu_power"
	GPUModulePower  Use = "gpu_module_power"
	GPUMemory       Use = "gpu_memory"
	GPUUtilization  Use = "gpu_utilization"
	GPUTemperature  Use = "gpu_temperature"
	GPUUpdatePeriod Use = "gpu_update_period"
	// GPUTargetTime and GPUOtherTime are the shares of the multiprocessors' time that the command and all others used.
	GPUTargetTime      Use = "gpu_target_time"
	GPUOtherTime       Use = "gpu_other_time"
	GPUTargetMemory    Use = "gpu_target_memory"
	GPUTargetProcesses Use = "gpu_target_processes"
	GPUOtherProcesses  Use = "gpu_other_processes"
)

// The uses of ergon's sensors of itself and of the clocks.
const (
	SamplerCPU    Use = "sampler_cpu"
	SamplerMemory Use = "sampler_memory"
	RunnerCPU     Use = "runner_cpu"
	RunnerMemory  Use = "runner_memory"
	// ClockOffset is how far the wall clock has moved ahead of the monotonic clock since the first reading. The monotonic
	// clock times the readings. Suspended is how long the machine was suspended since then. Both are in s.
	ClockOffset Use = "clock_offset"
	Suspended   Use = "suspended"
)

// Method tells how a sensor gets its readings, if there are several ways that miss different things.
type Method string

// The methods.
const (
	// ByWalk looks at the living processes at each beat. It misses processes that live only between two looks.
	ByWalk Method = "walk"
	// ByPerf is a perf event. An event that all descendants inherit misses a little of each process's start and end.
	ByPerf Method = "perf"
	// ByCgroup is a cgroup of the command's own. Processes stay in it unless they are moved explicitly.
	ByCgroup Method = "cgroup"
	// ByPowercap is a powercap zone.
	ByPowercap Method = "powercap"
)
