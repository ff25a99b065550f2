// Package sensors has the types of measuring: sensors, the sources that read several of them at once, the provenance of a
// value, and the absence of a sensor. It has no code that reads anything. That is in package backend.
package sensors

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Kind tells what the readings of a sensor mean. The backend declares it. It is never inferred from values.
type Kind uint8

const (
	// Gauge is a momentary value. Over a run it is averaged, weighted by time.
	Gauge Kind = iota
	// Counter only rises, except for a wrap at Sensor.Wrap. Over a run the difference of the last and the first reading
	// counts.
	Counter
)

// String returns the word stored in nodes.parquet.
func (k Kind) String() string {
	switch k {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	}
	return "unknown"
}

// Provenance tells how a value was obtained. Every value in every file and report has one.
type Provenance string

const (
	// FromCounter is a difference of two readings of a hardware or kernel counter.
	FromCounter Provenance = "counter"
	// Sampled is a gauge, weighted by time, or another value that was only seen at the beats.
	Sampled Provenance = "sampled"
	// Integrated is an energy computed from power gauges over time.
	Integrated Provenance = "integrated"
	// Attributed is a share that a named model computes.
	Attributed Provenance = "attributed"
	// Estimated is the result of a model without a sensor. It is given only if the user asks for it.
	Estimated Provenance = "estimated"
	// Missing means that there is no value. It comes with a reason.
	Missing Provenance = "missing"
)

// Weaker returns the less certain of two provenances.
func (p Provenance) Weaker(q Provenance) Provenance {
	order := []Provenance{FromCounter, Integrated, Sampled, Attributed, Estimated, Missing}
	if slices.Index(order, q) > slices.Index(order, p) {
		return q
	}
	return p
}

// Sensor describes one number that can be read repeatedly.
type Sensor struct {
	// ID is the stable name, with the family first: "rapl/package-0/energy", "disk/vda/read". It is unique on a host. It is
	// in lower case, except for names that hardware has.
	ID string `json:"id"`
	// Family is the first part of the ID: cpu, memory, disk, network, perf, rapl, hwmon, battery, gpu, target, profiler.
	// Sensors that are derived from others have the families other and idle.
	Family string `json:"family"`
	// Device is the measured device of the family: "cpu3", "vda", "package-0", a GPU's UUID. It is empty for the family as
	// a whole.
	Device string `json:"device,omitempty"`
	// Name is the measured quantity: "energy", "read", "user".
	Name string `json:"name"`
	// CPUs lists the processors that are measured, as the kernel writes them ("0-15,32-47"). It is empty if all are
	// measured or if that is unknown.
	CPUs string `json:"cpus,omitempty"`
	// Domain is the part of the machine that is measured, for energies, powers and values that are compared with them.
	Domain Domain `json:"domain,omitzero"`
	// Use tells what the accounting uses the sensor for, and Method how it gets its readings.
	Use    Use    `json:"use,omitempty"`
	Method Method `json:"method,omitempty"`
	// Unit is the unit of the readings, always a base unit.
	Unit units.Unit `json:"unit"`
	Kind Kind       `json:"kind"`
	// Wrap is the value at which a counter restarts from 0, in Unit. 0 means that it never does; then a step back is a gap.
	Wrap float64 `json:"wrap,omitempty"`
	// MaxRate is the fastest rise that is physically possible for a counter, in Unit/s, or 0 if it is unknown. A faster
	// rise is a gap, and gives a warning.
	MaxRate float64 `json:"max_rate,omitempty"`
	// Range holds the possible readings of a gauge. Another value is a fault of the driver or the hardware.
	Range Range `json:"range,omitzero"`
	// Resolution is the smallest difference between two readings, in Unit, or 0 if it is unknown. It is the step of the
	// file or call that is read. The hardware behind it may have larger steps.
	Resolution float64 `json:"resolution,omitempty"`
	// Update is the longest time between two new values in the hardware or driver, or 0 if it is unknown. A reading may be
	// as old as this.
	Update time.Duration `json:"update,omitempty"`
	// Window is the time before a reading over which the reading of a gauge is a mean. 0 means that the reading is
	// momentary, or that the time is too short to matter.
	Window time.Duration `json:"window,omitempty"`
	// Spans means that a reading of a gauge is a mean over the time since the previous reading. The first reading is NaN.
	Spans bool `json:"spans,omitempty"`
	// OfTarget means that only the command is measured. There are no readings before it starts or after it ends, and its
	// counters count from 0 at the start.
	OfTarget bool `json:"of_target,omitempty"`
	// HighWater means that a gauge never falls, so that its largest reading counts instead of its mean.
	HighWater bool `json:"high_water,omitempty"`
	// Sparse means that readings may be missing without a fault.
	Sparse bool `json:"sparse,omitempty"`
	// StepsBack means that the kernel documents small steps back of the counter.
	StepsBack bool `json:"steps_back,omitempty"`
	// Provenance is the provenance of values computed from the readings. The zero value means FromCounter for a counter
	// and Sampled for a gauge.
	Provenance Provenance `json:"provenance,omitempty"`
	// Source names the origin of the readings: a file, a library call, a controller.
	Source string `json:"source"`
	// Doc is one sentence for people.
	Doc string `json:"doc"`
}

// Range bounds the possible readings of a gauge, in its unit. The zero value means 0 and more.
type Range struct {
	// Least and Most are the smallest and the largest possible reading. A Most of 0 means that there is no upper bound.
	Least float64 `json:"least,omitempty"`
	Most  float64 `json:"most,omitempty"`
	// Runs means that 0 is not possible either, because what is measured runs, or nothing would be read.
	Runs bool `json:"runs,omitempty"`
}

// Holds reports whether v can be a reading. NaN and infinity cannot.
func (r Range) Holds(v float64) bool {
	return v >= r.Least && v <= r.Top() && !(r.Runs && v == 0)
}

// Top returns the largest possible reading, the largest number if there is no upper bound.
func (r Range) Top() float64 {
	if r.Most == 0 {
		return math.MaxFloat64
	}
	return r.Most
}

// Origin returns the provenance, with the zero value replaced by what it means.
func (s Sensor) Origin() Provenance {
	switch {
	case s.Provenance != "":
		return s.Provenance
	case s.Kind == Counter:
		return FromCounter
	default:
		return Sampled
	}
}

// Source is a group of sensors that are read together.
type Source interface {
	// Sensors returns the same list, in the same order, for the life of the source. The caller must not change it.
	Sensors() []Sensor
	// Read sets dst[i] to a reading of Sensors()[i], or to NaN if there is none; a missing reading is never 0. Read does not
	// keep dst and, on Linux, does not allocate. After an error dst is all NaN. ErrGone means that later calls will fail
	// too. Calls do not overlap.
	Read(dst []float64) error
	// Close closes files and frees other resources. A second call does nothing.
	Close() error
}

// Backend opens the sources of one family. It is a row of the table backend.All, not a type to implement.
type Backend struct {
	// Name is the name of the backend for --interval and --sensors: "cpu", "rapl", "nvml".
	Name string
	// Family is the family of its sensors, if that is not Name: "gpu" for "nvml".
	Family string
	// Doc is one line for people.
	Doc string
	// Alone asks for a thread of its own, because a reading may block or take long: a driver, a network file system.
	Alone bool
	// MayBlock tells whether opening or reading may block on this host, although it answers at once elsewhere: a file of
	// procfs is covered by that of a process (lxcfs). Nil means no. The call itself never blocks.
	MayBlock func(Setup) bool
	// OfTarget asks to be opened only when Setup.Target is known.
	OfTarget bool
	// Baseline asks to be opened for a baseline, because the sensors may give the energy of the machine or of its GPUs, or
	// tell how busy its CPUs are.
	Baseline bool
	// Energy means that its sensors may measure the energy or the power of a part of the machine.
	Energy bool
	// Interval is the shortest useful time between readings. 0 means that any interval is useful.
	Interval time.Duration
	// First tells which process takes the first reading, and when.
	First First
	// There tells whether the host has anything to open, without a call that may block. Nil means yes. It returns the same
	// kinds of errors as Open. It is called only if First is InSampler.
	There func(Setup) error
	// Open finds the sensors and opens what Read needs. It also returns the sensors that exist but cannot be read, as
	// absences. If no sensor can be read, the error is an *UnavailableError or wraps one.
	Open func(context.Context, Setup) (Source, []Absence, error)
}

// Setup tells a backend what to open: where the files of the machine are, what the user asked for, and the target.
type Setup struct {
	// Proc and Sys are the roots of procfs and sysfs: "/proc" and "/sys" unless redirected. Absolute links inside these
	// trees are followed relative to the tree.
	Proc string `json:"proc"`
	Sys  string `json:"sys"`
	// NVML is a library file to load instead of the system's libnvidia-ml.so.1. Empty means the system's.
	NVML string `json:"nvml,omitempty"`
	// AllGPUs asks for every GPU of the machine, also those that CUDA_VISIBLE_DEVICES hides from the job.
	AllGPUs bool `json:"all_gpus,omitempty"`
	// Dirs are folders whose file systems are watched for free space: the working folder and the results folder.
	Dirs []string `json:"dirs,omitempty"`
	// Arguments asks the target family for the whole command line of every process. Command lines may hold secrets, so they
	// are read only if the user wants them.
	Arguments bool `json:"arguments,omitempty"`
	// Runner is the process id of the runner, whose cost the profiler family reads. 0 means that there is none.
	Runner int `json:"runner,omitempty"`
	// Parent is the process id of the target's parent, which may adopt the target's orphans: the launcher, or without one
	// the runner. 0 means that there is none.
	Parent int `json:"parent,omitempty"`
	// InRunner is true if the runner itself reads, because there is no sampler yet.
	InRunner bool `json:"-"`
	// Target tells the target family what to follow.
	Target Target `json:"target"`
}

// Target is the measured command, as far as it is known before it starts.
type Target struct {
	// CPUGroup is the folder of a cgroup that only the target uses, with cpu.stat (v2) or cpuacct.usage (v1). It is empty if
	// there is none.
	CPUGroup string `json:"cpu_group,omitempty"`
	// MemoryGroup is the same with memory.peak (v2) or memory.max_usage_in_bytes (v1).
	MemoryGroup string `json:"memory_group,omitempty"`
}

// Follower is a Source that measures a process which is known only after Open. Before Follow it reads NaN.
type Follower interface {
	// Follow is called once with the target's process id. If the platform allows it, that is before the target's first
	// instruction. It does not overlap Read.
	Follow(pid int) error
}

// Process describes one process of the target: its own use, including its threads but not its children. The values are
// from the last look, so they are lower bounds once the process has ended.
type Process struct {
	// PID is its process id. PIDs are used again, so only PID and Start together identify a process. Parent is the PID of
	// its parent at the first look. If the process was an orphan by then, Parent is an ancestor or init.
	PID, Parent int
	// Start is the time of its fork, in steps of 10 ms. The command itself starts when the process that executes it is
	// forked. All times in Process include the monotonic clock.
	Start time.Time
	// Name is the name of the executed file, in any bytes. Names whose end is unknown are cut to 15 bytes.
	Name string
	// CommandLine is all its arguments as one line of UTF-8 that a shell could run, with secrets masked. It is empty unless Setup.Arguments asks for it.
	CommandLine string
	// FirstSeen is the time of the first look at it, and LastSeen the last time it was seen alive. Gone is the first time it
	// was missing or dead, so it ended between LastSeen and Gone. Gone is zero while it lives.
	FirstSeen, LastSeen, Gone time.Time
	// CPU is its CPU time, user and system together.
	CPU time.Duration
	// PeakMemory is the largest resident memory seen since it last executed a file, in bytes.
	PeakMemory uint64
	// Read and Written are bytes from and to storage, including those of children that no look saw. HasIO is false if they
	// are unknown, as for a process that has changed its user.
	Read, Written uint64
	HasIO         bool
}

// ProcessLister is a Source that knows single processes.
type ProcessLister interface {
	// Processes calls yield for each process that has changed since the last call, except in LastSeen only, and forgets
	// those that have ended. It returns the time of its last look, which is when the living were last seen. The time is
	// zero if there was no look. It does not overlap Read.
	Processes(yield func(Process)) (looked time.Time)
}

// ErrGone is the error of Read if the measured thing no longer exists.
var ErrGone = errors.New("sensor has gone")
