package datamodel

import (
	"slices"
	"sync"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// The names of a run's metrics. Files, rules and the JSON report use them as they are.
const (
	WallTime              = "wall_time"
	StoppedTime           = "stopped_time"
	CPUTime               = "cpu_time"
	CPUUserTime           = "cpu_user_time"
	CPUSystemTime         = "cpu_system_time"
	CPUUtilization        = "cpu_utilization"
	CPULimitUtilization   = "cpu_limit_utilization"
	StealTime             = "steal_time"
	PeakMemory            = "peak_memory"
	PeakMemoryCharge      = "peak_memory_charge"
	Memory                = "memory"
	MemoryCharge          = "memory_charge"
	MemoryMapped          = "memory_mapped"
	ProcessCount          = "processes"
	ProcessesAlive        = "processes_alive"
	ProcessesOutside      = "processes_outside"
	Threads               = "threads"
	Survivors             = "survivors"
	DiskRead              = "disk_read"
	DiskWrite             = "disk_write"
	ReadChars             = "read_chars"
	WriteChars            = "write_chars"
	ReadCalls             = "read_calls"
	WriteCalls            = "write_calls"
	MinorFaults           = "minor_faults"
	MajorFaults           = "major_faults"
	VoluntarySwitches     = "voluntary_switches"
	InvoluntarySwitches   = "involuntary_switches"
	NetworkReceive        = "network_receive"
	TargetNetworkReceive  = "target_network_receive"
	TargetNetworkTransmit = "target_network_transmit"
	NetworkTransmit       = "network_transmit"
	Energy                = "energy"
	Power                 = "power"
	TargetEnergy          = "target_energy"
	OtherEnergy           = "other_energy"
	IdleEnergy            = "idle_energy"
	NetEnergy             = "net_energy"
	EstimatedEnergy       = "estimated_energy"
	EstimatedTargetEnergy = "estimated_target_energy"
	EDP                   = "edp"
	GPUEnergy             = "gpu_energy"
	GPUTargetEnergy       = "gpu_target_energy"
	GPUOtherEnergy        = "gpu_other_energy"
	GPUIdleEnergy         = "gpu_idle_energy"
	OverheadEnergy        = "overhead_energy"
	Carbon                = "carbon"
	TargetCarbon          = "target_carbon"
	Cost                  = "cost"
	TargetCost            = "target_cost"
	GPUMemoryPeak         = "gpu_memory_peak"
	ProfilerCPUTime       = "profiler_cpu_time"
	MissedBeats           = "missed"
	LateBeats             = "late"
	ReadTime              = "read_time"
)

// Subject is what a metric measures.
type Subject uint8

// The subjects.
const (
	// OfMachine is the whole computer, including everything that runs on it.
	OfMachine Subject = iota
	// OfCommand is the measured command with all its descendants.
	OfCommand
	// OfGPUs is the GPUs that the job may see.
	OfGPUs
	// OfProfiler is ergon itself.
	OfProfiler
)

// String names the subject in a table's column.
func (s Subject) String() string {
	return [...]string{"machine", "command", "gpus", "ergon"}[s]
}

// Aggregate says how several values of a metric become one value.
type Aggregate string

// The aggregates. They are also the names of the functions in a rule: max(memory).
const (
	Sum  Aggregate = "sum"
	Max  Aggregate = "max"
	Min  Aggregate = "min"
	Mean Aggregate = "mean"
	Last Aggregate = "last"
)

// Direction says which values of a metric are better.
type Direction uint8

// The directions.
const (
	Neither Direction = iota
	Lower
	Higher
)

// String names the direction in a table.
func (d Direction) String() string {
	return [...]string{"–", "lower", "higher"}[d]
}

// LabelKind says what the brackets after a metric's name in a rule hold.
type LabelKind uint8

// The kinds of labels.
const (
	NoLabel LabelKind = iota
	// PathLabel is a path. The metric then describes the file system that holds the path.
	PathLabel
	// DeviceLabel is the name of a device: "eth0", "vda", a GPU's UUID.
	DeviceLabel
	// RegionLabel is the name of a region of the command.
	RegionLabel
	// GroupLabel is the name of a group of points.
	GroupLabel
	// AreaLabel is the name of an area, or of an area and a type: "data", "data/fits". An area includes the areas within it.
	AreaLabel
)

// String names the label in a table.
func (l LabelKind) String() string {
	return [...]string{"–", "path", "device", "region", "group", "area"}[l]
}

// Definition describes a metric. The catalogue is the only place that defines the name and the meaning of a metric.
type Definition struct {
	// Name is the metric's name as stored, as typed in a rule and as a key of the JSON report: "cpu_user_time". A
	// metric that only devices of one family have starts with the family and a dot: "disk.free".
	Name string
	// Label is the name for people: "user".
	Label string
	// Parent is the metric that this metric is a part of. It is "" if there is none.
	Parent string
	Unit   units.Unit
	Of     Subject
	// Family and Sensor name the sensor whose readings give the metric while the command runs: "disk" and "free". They
	// are "" for a metric that only the accounting can make.
	Family, Sensor string
	// Aggregate is the default way to make one value from several. It applies over time in a rule, and over hosts if
	// their values do not add up.
	Aggregate Aggregate
	// Adds is true if the values of different hosts, rounds and nodes have a meaningful sum.
	Adds bool
	// AddsHosts is true if the values of hosts that ran at the same time add up, but the values of rounds do not.
	AddsHosts bool
	Better    Direction
	Labels    LabelKind
	// Summary is true if the metric is in the summary. The summary has the catalogue's order.
	Summary bool
	// Derived is true if the metric follows from factors that somebody gave (Factors.Derive). Reports have it, and no table
	// of a run.
	Derived bool
	// OfRounds is true if only the rounds of a bench have the metric (Round.Metric). No table of a run has it.
	OfRounds bool
	// Doc is one sentence without its period. Detail is "" or further sentences, with their periods.
	Doc, Detail string
}

// catalogue is made at its first use, because it is consulted for each metric's unit and label. Making it each time
// cost 0.6 ms of the run of true.
var catalogue = sync.OnceValue(makeCatalogue) //nolint:gochecknoglobals // a constant, but for the language

// Catalogue lists all metrics: first the metrics of a run in the order of the summary, then the metrics of single
// devices. Callers must not change it.
func Catalogue() []Definition { return catalogue() }

func makeCatalogue() []Definition {
	run := runMetrics()
	for i := range run {
		if run[i].Summary && run[i].Of != OfProfiler { // a region has the same
			run[i].Labels = RegionLabel
		}
	}
	return slices.Concat(run, deviceMetrics(), inventoryMetrics())
}

// Summary lists the metrics of the summary in their order.
func Summary() []Definition {
	var out []Definition
	for _, d := range runMetrics() {
		if d.Summary {
			out = append(out, d)
		}
	}
	return out
}

// Reported lists the metrics that a report shows for a run, in their order: the summary, and what follows from factors.
func Reported() []Definition {
	var out []Definition
	for _, d := range runMetrics() {
		if d.Summary || d.Derived {
			out = append(out, d)
		}
	}
	return out
}

// SummaryOf returns the summary's metrics from a tree's run node, in the order of the catalogue. A metric that the node
// lacks is missing without a reason.
func SummaryOf(tree *Node) []Metric {
	of := make(map[string]Metric)
	if run := tree.First(RunLevel); run != nil {
		for _, m := range run.Metrics {
			of[m.Name] = m
		}
	}
	var out []Metric
	for _, d := range Summary() {
		m, ok := of[d.Name]
		if !ok {
			m = Missing(d.Name, d.Unit, "")
		}
		m.Unit = d.Unit
		out = append(out, m)
	}
	return out
}

// Lookup finds a metric by its name.
func Lookup(name string) (Definition, bool) {
	for _, d := range Catalogue() {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

// OfSensor finds the metric that one sensor gives. "disk" and "free" give "disk.free".
func OfSensor(family, sensor string) (Definition, bool) {
	for _, d := range Catalogue() {
		if d.Family == family && d.Sensor == sensor {
			return d, true
		}
	}
	return Definition{}, false
}

// SensorDoc returns the sentence about a sensor: that of the catalogue, or the sensor's own if the catalogue lacks it.
func SensorDoc(s sensors.Sensor) string {
	if d, ok := OfSensor(s.Family, s.Name); ok {
		return d.Doc
	}
	return s.Doc
}

// runMetrics lists the metrics of a run, a host, the command and ergon itself.
func runMetrics() []Definition {
	return []Definition{
		{
			Name: WallTime, Label: "wall time", Unit: units.Second, Of: OfCommand,
			Aggregate: Max, Better: Lower, Summary: true,
			Doc: "time from just before the command's execve to just after it was reaped",
		},
		{
			Name: StoppedTime, Label: "stopped", Parent: WallTime, Unit: units.Second, Of: OfCommand, Family: "target", Sensor: "stopped_time",
			Aggregate: Max, Better: Lower,
			Doc: "part of the wall time in which every process of the command was stopped",
		},
		{
			Name: CPUTime, Label: "cpu", Unit: units.Second, Of: OfCommand, Family: "target", Sensor: "cpu_time",
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "CPU time of the command and all its descendants",
		},
		{
			Name: CPUUserTime, Label: "user", Parent: CPUTime, Unit: units.Second, Of: OfCommand, Family: "target", Sensor: "user_time",
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "part of the CPU time in user mode",
		},
		{
			Name: CPUSystemTime, Label: "system", Parent: CPUTime, Unit: units.Second, Of: OfCommand, Family: "target", Sensor: "system_time",
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "part of the CPU time in the kernel",
		},
		{
			Name: CPUUtilization, Label: "cpu", Unit: units.Ratio, Of: OfMachine,
			Aggregate: Mean, Summary: true,
			Doc: "busy share of all CPUs of the machine, including everything that runs on it",
		},
		{
			Name: CPULimitUtilization, Label: "cpu of its limit", Unit: units.Ratio, Of: OfCommand,
			Aggregate: Mean, Better: Higher, Summary: true,
			Doc:    "CPU time of the command, as a share of what affinity, cpuset and quota allow; null without such a limit",
			Detail: "The command may exceed a quota for a moment, so the value may be above 1.",
		},
		{
			Name: StealTime, Label: "steal", Parent: CPUTime, Unit: units.Second, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "CPU time that the hypervisor gave to other guests while this one had work",
		},
		{
			Name: PeakMemory, Label: "peak memory", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "memory_peak",
			Aggregate: Max, Better: Lower, Summary: true,
			Doc:    "most memory that the command and its descendants held at once: anonymous, shared and mapped, each page once",
			Detail: "It has no page cache. For a single process it is the largest resident memory, as GNU time shows it.",
		},
		{
			Name: PeakMemoryCharge, Label: "charged", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "memory_charge_peak",
			Aggregate: Max, Better: Lower, Summary: true,
			Doc:    "largest charge of the command's cgroup: its memory, page cache and kernel memory; null without a memory cgroup",
			Detail: "The kernel gives page cache back if memory is short. A memory limit counts this charge.",
		},
		{
			Name: Memory, Label: "memory", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "memory",
			Aggregate: Max, AddsHosts: true, Better: Lower,
			Doc: "memory that the command and its descendants hold at one moment, without page cache",
		},
		{
			Name: MemoryCharge, Label: "memory charged now", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "memory_charge",
			Aggregate: Max, AddsHosts: true, Better: Lower,
			Doc: "charge of the command's cgroup at one moment, with page cache and kernel memory",
		},
		{
			Name: MemoryMapped, Label: "memory mapped", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "memory_mapped",
			Aggregate: Max, AddsHosts: true, Better: Lower,
			Doc: "pages of files and shared memory that the command's largest process has mapped at one moment",
		},
		{
			Name: ProcessCount, Label: "processes", Unit: units.Processes, Of: OfCommand, Family: "target", Sensor: "processes_ever",
			Aggregate: Sum, Adds: true, Summary: true,
			Doc: "all processes that the command ever had, including itself",
		},
		{
			Name: ProcessesAlive, Label: "processes alive", Unit: units.Processes, Of: OfCommand, Family: "target", Sensor: "processes",
			Aggregate: Mean, AddsHosts: true,
			Doc: "live processes of the command at one moment",
		},
		{
			Name: ProcessesOutside, Label: "processes outside", Unit: units.Processes, Of: OfCommand, Family: "target", Sensor: "processes_outside",
			Aggregate: Max, AddsHosts: true,
			Doc: "processes of the command that were seen outside the cgroup that ergon made for it",
		},
		{
			Name: Threads, Label: "threads", Unit: units.Threads, Of: OfCommand, Family: "target", Sensor: "threads",
			Aggregate: Mean, AddsHosts: true,
			Doc: "threads of the command's live processes",
		},
		{
			Name: Survivors, Label: "survivors", Unit: units.Processes, Of: OfCommand,
			Aggregate: Sum, Adds: true,
			Doc: "descendants of the command that were still alive after it ended",
		},
		{
			Name: DiskRead, Label: "disk read", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "read",
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "bytes that the command and its descendants read from storage",
		},
		{
			Name: DiskWrite, Label: "disk write", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "written",
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "bytes that the command and its descendants wrote to storage",
		},
		{
			Name: ReadChars, Label: "bytes read", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "read_chars",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "bytes that read calls returned, from any source",
		},
		{
			Name: WriteChars, Label: "bytes written", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "write_chars",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "bytes that write calls accepted, for any destination",
		},
		{
			Name: ReadCalls, Label: "read calls", Unit: units.Calls, Of: OfCommand, Family: "target", Sensor: "read_calls",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "calls of read and similar system calls",
		},
		{
			Name: WriteCalls, Label: "write calls", Unit: units.Calls, Of: OfCommand, Family: "target", Sensor: "write_calls",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "calls of write and similar system calls",
		},
		{
			Name: MinorFaults, Label: "minor faults", Unit: units.Faults, Of: OfCommand, Family: "target", Sensor: "minor_faults",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "page faults served without storage",
		},
		{
			Name: MajorFaults, Label: "major faults", Unit: units.Faults, Of: OfCommand, Family: "target", Sensor: "major_faults",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "page faults that waited for storage",
		},
		{
			Name: VoluntarySwitches, Label: "voluntary switches", Unit: units.Switches, Of: OfCommand, Family: "target", Sensor: "voluntary_switches",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "context switches of threads that waited",
		},
		{
			Name: InvoluntarySwitches, Label: "involuntary switches", Unit: units.Switches, Of: OfCommand, Family: "target", Sensor: "involuntary_switches",
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "context switches of threads that the scheduler preempted",
		},
		{
			Name: NetworkReceive, Label: "network in", Unit: units.Byte, Of: OfMachine,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc:    "bytes that the machine received, each byte once, without loopback",
			Detail: "Interfaces on others (VLAN, bridge, bond, MACVLAN, VXLAN) and those that lead to containers and virtual machines are left out. In the network namespace of a container it is the container's.",
		},
		{
			Name: NetworkTransmit, Label: "network out", Unit: units.Byte, Of: OfMachine,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc:    "bytes that the machine sent, each byte once, without loopback",
			Detail: "The same interfaces count as for network_receive.",
		},
		{
			Name: TargetNetworkReceive, Label: "network in", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "network_receive",
			Aggregate: Sum, Adds: true,
			Doc:    "bytes that the command's own network namespace received; null if it uses the machine's, or has only loopback",
			Detail: "A lower bound: it counts from when ergon first sees the namespace. Others in the namespace are included. The kernel counts no traffic of single processes.",
		},
		{
			Name: TargetNetworkTransmit, Label: "network out", Unit: units.Byte, Of: OfCommand, Family: "target", Sensor: "network_transmit",
			Aggregate: Sum, Adds: true,
			Doc:    "bytes that the command's own network namespace sent; null if it uses the machine's, or has only loopback",
			Detail: "A lower bound like target_network_receive.",
		},
		{
			Name: Energy, Label: "energy", Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "energy of the measured parts of the machine, with no part counted twice",
		},
		{
			Name: Power, Label: "power", Unit: units.Watt, Of: OfMachine,
			Aggregate: Mean, AddsHosts: true, Summary: true,
			Doc: "mean power: energy divided by the time between its readings",
		},
		{
			Name: TargetEnergy, Label: "energy", Parent: Energy, Unit: units.Joule, Of: OfCommand,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "the command's share of the energy without GPUs",
		},
		{
			Name: OtherEnergy, Label: "other", Parent: Energy, Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc:    "share of everything else that ran on the machine; without a baseline both shares include idle energy",
			Detail: "target_energy, other_energy and idle_energy add up to the energy without the GPUs' part; a null value counts as 0.",
		},
		{
			Name: IdleEnergy, Label: "idle", Parent: Energy, Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc: "energy that the machine would have used at idle, from the baseline; null without a baseline",
		},
		{
			Name: NetEnergy, Label: "net", Parent: Energy, Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc:    "energy above idle (CPUs and GPUs), whoever caused it",
			Detail: "It is energy less idle_energy and, if energy includes GPUs, less the GPUs' idle energy. It is null if the baseline lacks a part.",
		},
		{
			Name: EstimatedEnergy, Label: "estimated", Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc:    "energy of the CPUs estimated from their rated power and load, not measured; null without --estimate",
			Detail: "Its uncertainty is the larger side of its range.",
		},
		{
			Name: EstimatedTargetEnergy, Label: "estimated", Parent: EstimatedEnergy, Unit: units.Joule, Of: OfCommand,
			Aggregate: Sum, Adds: true, Summary: true,
			Doc: "the command's share of estimated_energy, by its share of the busy CPU time",
		},
		{
			Name: EDP, Label: "energy × time", Unit: units.JouleSecond, Of: OfCommand,
			Aggregate: Mean, Better: Lower, OfRounds: true,
			Doc: "energy-delay product: target_energy multiplied by wall_time; only the rounds of a bench have it",
		},
		{
			Name: GPUEnergy, Label: "gpu energy", Unit: units.Joule, Of: OfGPUs,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc:    "energy of the GPUs that the job may see",
			Detail: "It comes from their counters. Without counters it is their power over time, with the provenance integrated.",
		},
		{
			Name: GPUTargetEnergy, Label: "gpu energy", Parent: GPUEnergy, Unit: units.Joule, Of: OfCommand,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc:    "the command's share of the GPUs' energy, in proportion to the use of each GPU",
			Detail: "It adds up to gpu_energy with gpu_other_energy and gpu_idle_energy of the host; a null value counts as 0.",
		},
		{
			Name: GPUOtherEnergy, Label: "other", Parent: GPUEnergy, Unit: units.Joule, Of: OfGPUs,
			Aggregate: Sum, Adds: true,
			Doc: "share of everything else that used the GPUs",
		},
		{
			Name: GPUIdleEnergy, Label: "idle", Parent: GPUEnergy, Unit: units.Joule, Of: OfGPUs,
			Aggregate: Sum, Adds: true,
			Doc: "energy that the GPUs would have used at idle, from the baseline",
		},
		{
			Name: OverheadEnergy, Label: "overhead", Unit: units.Joule, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower, Derived: true,
			Doc: "power of the parts without a sensor, as given by --power-overhead, over the wall time; null without it",
		},
		{
			Name: Carbon, Label: "carbon", Unit: units.Gram, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower, Derived: true,
			Doc:    "CO2 equivalent of the machine's energy, as the intensity of --carbon-intensity says; null without it",
			Detail: "It is (energy + overhead_energy) × PUE × intensity. A factor that was not given is left out.",
		},
		{
			Name: TargetCarbon, Label: "carbon", Parent: Carbon, Unit: units.Gram, Of: OfCommand,
			Aggregate: Sum, Adds: true, Better: Lower, Derived: true,
			Doc:    "the command's share of carbon",
			Detail: "The overhead is shared as the measured energy is.",
		},
		{
			Name: Cost, Label: "cost", Unit: units.AnyCurrency, Of: OfMachine,
			Aggregate: Sum, Adds: true, Better: Lower, Derived: true,
			Doc:    "cost of the machine's energy at the price of --price; null without it",
			Detail: "It is (energy + overhead_energy) × PUE × price. The unit is the currency of the price, such as `{EUR}`.",
		},
		{
			Name: TargetCost, Label: "cost", Parent: Cost, Unit: units.AnyCurrency, Of: OfCommand,
			Aggregate: Sum, Adds: true, Better: Lower, Derived: true,
			Doc:    "the command's share of cost",
			Detail: "The overhead is shared as the measured energy is.",
		},
		{
			Name: GPUMemoryPeak, Label: "gpu memory", Unit: units.Byte, Of: OfGPUs,
			Aggregate: Max, Better: Lower, Summary: true,
			Doc:    "largest memory in use on the GPUs at once, by any program",
			Detail: "The memory that the command held is gpu_memory_peak of the command's own node.",
		},
		{
			Name: ProfilerCPUTime, Label: "ergon itself", Unit: units.Second, Of: OfProfiler,
			Aggregate: Sum, Adds: true, Better: Lower, Summary: true,
			Doc: "CPU time of ergon itself, runner and sampler",
		},
		{
			Name: MissedBeats, Label: "missed beats", Unit: units.Beats, Of: OfProfiler,
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "beats that were skipped because the source or the machine was late",
		},
		{
			Name: LateBeats, Label: "late beats", Unit: units.Beats, Of: OfProfiler,
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "beats that began more than half an interval after their time",
		},
		{
			Name: ReadTime, Label: "read time", Unit: units.Second, Of: OfProfiler,
			Aggregate: Sum, Adds: true, Better: Lower,
			Doc: "wall time spent reading one source; a slash and its name follow",
		},
	}
}

// inventoryMetrics lists the metrics of the files of one type in one area. No row holds the files of another row. What there
// is at one moment adds up over types, areas and hosts. What changed also adds up over rounds.
func inventoryMetrics() []Definition {
	list := []struct {
		name, label string
		unit        units.Unit
		changes     bool
		doc         string
	}{
		{Files, "files", units.Files, false, "regular files after the command"},
		{FileBytes, "size", units.Byte, false, "sum of the sizes of the files after the command"},
		{FilesBefore, "files before", units.Files, false, "regular files before the command"},
		{BytesBefore, "size before", units.Byte, false, "sum of the sizes of the files before the command"},
		{FilesMade, "files made", units.Files, true, "files that exist only after the command"},
		{BytesMade, "made", units.Byte, true, "sum of the sizes of the files that were made"},
		{FilesGrown, "files grown", units.Files, true, "files that are larger after the command than before it"},
		{BytesGrown, "grown", units.Byte, true, "bytes that the grown files have gained"},
		{FilesShrunk, "files shrunk", units.Files, true, "files that are smaller after the command than before it"},
		{BytesShrunk, "shrunk", units.Byte, true, "bytes that the shrunk files have lost"},
		{FilesDeleted, "files deleted", units.Files, true, "files that exist only before the command"},
		{BytesDeleted, "deleted", units.Byte, true, "sum of the sizes of the files that were deleted"},
		{FileErrors, "errors", units.Errors, false, "links that lead nowhere, and what vanished or could not be read"},
	}
	var out []Definition
	for _, m := range list {
		out = append(out, Definition{
			Name: InventoryFamily + "." + m.name, Label: m.label, Unit: m.unit, Of: OfMachine, Family: InventoryFamily, Sensor: m.name,
			Aggregate: Sum, Adds: m.changes, AddsHosts: !m.changes, Labels: AreaLabel, Doc: m.doc,
		})
	}
	return out
}

// deviceMetrics lists the metrics that a single sensor of a device gives and that no run has as a whole.
func deviceMetrics() []Definition {
	type entry struct {
		sensor, label string
		unit          units.Unit
		aggregate     Aggregate
		doc           string
	}
	list := []struct {
		family string
		of     Subject
		labels LabelKind
		adds   bool // counters of one device add up with those of other devices of the same family
		all    []entry
	}{
		{"cpu", OfMachine, DeviceLabel, false, []entry{
			// These rows do not add up: they hold both the kernel's total and the parts of each CPU.
			{"user", "user", units.Second, Sum, "time in user mode"},
			{"nice", "nice", units.Second, Sum, "time in user mode at low priority"},
			{"system", "system", units.Second, Sum, "time in the kernel"},
			{"idle", "idle", units.Second, Sum, "time without work"},
			{"iowait", "iowait", units.Second, Sum, "time without work while a task waited for a disk"},
			{"irq", "irq", units.Second, Sum, "time in interrupts"},
			{"softirq", "softirq", units.Second, Sum, "time in deferred interrupts"},
			{"steal", "steal", units.Second, Sum, "time that the hypervisor gave to other guests"},
			{"utilization", "utilization", units.Ratio, Mean, "busy share of the time"},
			{"forks", "forks", units.Processes, Sum, "processes and threads started on the machine"},
			{"pressure", "pressure", units.Second, Sum, "time in which some task waited for a CPU"},
			{"frequency", "frequency", units.Hertz, Mean, "clock frequency"},
			{"core_throttles", "core throttles", units.Events, Sum, "times that a core was slowed down because it was too hot"},
			{"package_throttles", "package throttles", units.Events, Sum, "times that a package was slowed down because it was too hot"},
		}},
		{"memory", OfMachine, NoLabel, true, []entry{
			{"used", "memory used", units.Byte, Mean, "memory in use on the machine"},
			{"available", "memory available", units.Byte, Min, "memory that a new program could get without swapping"},
			{"swap_used", "swap used", units.Byte, Mean, "swap space in use"},
			{"dirty", "memory dirty", units.Byte, Mean, "memory that waits to be written to disks"},
			{"swap_in", "swapped in", units.Byte, Sum, "bytes read back from swap space"},
			{"swap_out", "swapped out", units.Byte, Sum, "bytes written to swap space"},
			{"pressure", "memory pressure", units.Second, Sum, "time in which some task waited for memory"},
		}},
		{"disk", OfMachine, DeviceLabel, true, []entry{
			{"read", "read", units.Byte, Sum, "bytes read from the device"},
			{"written", "written", units.Byte, Sum, "bytes written to the device"},
			{"reads", "reads", units.Operations, Sum, "read operations completed, adjacent ones merged"},
			{"writes", "writes", units.Operations, Sum, "write operations completed, adjacent ones merged"},
			{"pressure", "disk pressure", units.Second, Sum, "time in which some task waited for a disk"},
			{"free", "free", units.Byte, Min, "space of a file system that is free for users"},
			{"used", "used", units.Byte, Max, "space of a file system that is in use; read with --inventory only"},
			{"total", "size", units.Byte, Last, "size of a file system; read with --inventory only"},
		}},
		{"network", OfMachine, DeviceLabel, false, []entry{
			// These rows do not add up: a bridge and its ports count the same bytes. network_receive counts each once.
			{"receive", "in", units.Byte, Sum, "bytes received, link headers included"},
			{"transmit", "out", units.Byte, Sum, "bytes sent, link headers included"},
			{"receive_packets", "packets in", units.Packets, Sum, "packets received"},
			{"transmit_packets", "packets out", units.Packets, Sum, "packets sent"},
		}},
		{"rapl", OfMachine, DeviceLabel, false, []entry{{"energy", "energy", units.Joule, Sum, "energy of a powercap zone"}}},
		{"perf", OfMachine, DeviceLabel, false, []entry{{"energy", "energy", units.Joule, Sum, "energy of a domain, from the PMU"}}},
		{"hwmon", OfMachine, DeviceLabel, false, []entry{
			{"energy", "energy", units.Joule, Sum, "energy counted by a channel of a chip"},
			{"power", "power", units.Watt, Mean, "power at a channel of a chip"},
		}},
		{"battery", OfMachine, DeviceLabel, false, []entry{
			{"power", "power", units.Watt, Mean, "power drawn from the battery by the whole machine"},
			{"stored", "stored", units.Joule, Last, "energy left in the battery, as the battery's own gauge estimates it"},
		}},
		{"gpu", OfGPUs, DeviceLabel, false, []entry{
			{"energy", "energy", units.Joule, Sum, "energy of the GPU with its memory"},
			{"power", "power", units.Watt, Mean, "power drawn by the GPU with its memory"},
			{"module_power", "module power", units.Watt, Mean, "power drawn by the module: GPU, memory and processor"},
			{"memory_power", "memory power", units.Watt, Mean, "power drawn by the memory of the GPU"},
			{"utilization", "utilization", units.Ratio, Mean, "share of the driver's last sample period in which a kernel ran"},
			{"memory_used", "memory used", units.Byte, Max, "memory of the GPU in use, by any program"},
			{"memory_total", "memory", units.Byte, Last, "memory of the GPU"},
			{"temperature", "temperature", units.Celsius, Max, "temperature of the GPU's die"},
			{"clock_sm", "SM clock", units.Hertz, Mean, "clock of the multiprocessors"},
			{"clock_memory", "memory clock", units.Hertz, Mean, "clock of the memory"},
			{"update_period", "update period", units.Second, Last, "time between two updates of the GPU's energy counter or power"},
			{"target_utilization", "command's use", units.Ratio, Mean, "the command's share of the multiprocessors' time"},
			{"other_utilization", "others' use", units.Ratio, Mean, "all other processes' share of the multiprocessors' time"},
			{"target_memory", "command's memory", units.Byte, Max, "memory of the GPU that the command's processes hold"},
			{"target_processes", "command's processes", units.Processes, Max, "processes of the command on the GPU"},
			{"other_processes", "other processes", units.Processes, Max, "all other processes on the GPU"},
			{"target_energy", "command's energy", units.Joule, Sum, "the command's share of the GPU's energy"},
			{"other_energy", "others' energy", units.Joule, Sum, "everything else's share of the GPU's energy"},
			{"idle_energy", "idle energy", units.Joule, Sum, "energy that the GPU would have used at idle"},
		}},
		{"profiler", OfProfiler, NoLabel, true, []entry{
			{"cpu_time", "sampler's CPU time", units.Second, Sum, "CPU time of the sampler"},
			{"memory", "sampler's memory", units.Byte, Max, "resident memory of the sampler"},
			{"runner_cpu_time", "runner's CPU time", units.Second, Sum, "CPU time of the runner"},
			{"runner_memory", "runner's memory", units.Byte, Max, "resident memory of the runner"},
			{"clock_offset", "clock offset", units.Second, Last, "how far the wall clock is ahead of the monotonic clock"},
			{"suspended", "suspended", units.Second, Max, "time for which the machine was suspended"},
		}},
	}
	var out []Definition
	for _, l := range list {
		for _, e := range l.all {
			labels := l.labels
			if l.family == "disk" && slices.Contains([]string{SpaceFree, SpaceUsed, SpaceTotal}, e.sensor) {
				labels = PathLabel
			}
			adds := l.adds && e.aggregate == Sum && e.sensor != "pressure"
			out = append(out, Definition{
				Name: l.family + "." + e.sensor, Label: e.label, Unit: e.unit, Of: l.of, Family: l.family, Sensor: e.sensor,
				Aggregate: e.aggregate, Adds: adds, Labels: labels, Doc: e.doc,
			})
		}
	}
	return out
}
