// Package sensors is the vocabulary of measuring: what a sensor is, what reads several of them at once, where a
// number came from, and how "there is none here" is said. It holds no code that reads anything; package backend does.
package sensors

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Kind says how the readings of a sensor are to be understood. It is declared by the backend and never inferred from
// values.
type Kind uint8

const (
	// Gauge is a momentary value. Over time it is averaged, weighted by the time it stood.
	Gauge Kind = iota
	// Counter only rises, but for a wrap at Sensor.Wrap. Over time the last reading less the first counts.
	Counter
)

// String is the word stored in nodes.parquet.
func (k Kind) String() string {
	switch k {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	}
	return "unknown"
}

// Provenance says how a value was obtained. Every value in every file and report carries one.
type Provenance string

const (
	// FromCounter is a hardware or kernel counter, differenced.
	FromCounter Provenance = "counter"
	// Sampled is a gauge, weighted by time, or anything else that was only seen at the beats.
	Sampled Provenance = "sampled"
	// Integrated is an energy made from power gauges over time.
	Integrated Provenance = "integrated"
	// Attributed is a share given by a named model.
	Attributed Provenance = "attributed"
	// Estimated is a model without a sensor. Never given unless asked for.
	Estimated Provenance = "estimated"
	// Missing is no value, with the reason why.
	Missing Provenance = "missing"
)

// Weaker is the less certain of two provenances.
func (p Provenance) Weaker(q Provenance) Provenance {
	order := []Provenance{FromCounter, Integrated, Sampled, Attributed, Estimated, Missing}
	if slices.Index(order, q) > slices.Index(order, p) {
		return q
	}
	return p
}

// Sensor is one number that can be read again and again.
type Sensor struct {
	// ID is the stable name, family first, in lower case but for hardware's own names: "rapl/package-0/energy",
	// "disk/vda/read". Unique on a host.
	ID string `json:"id"`
	// Family is the first part of the ID: cpu, memory, disk, network, perf, rapl, hwmon, battery, gpu, target, profiler;
	// and other and idle of what is derived from their readings.
	Family string `json:"family"`
	// Device is what is measured within the family: "cpu3", "vda", "package-0", a GPU's UUID. Empty for the family
	// as a whole.
	Device string `json:"device,omitempty"`
	// Name is what is measured of it: "energy", "read", "user".
	Name string `json:"name"`
	// CPUs are the processors it is of, as the kernel lists them ("0-15,32-47"); empty if it is of all or if that is not
	// known.
	CPUs string `json:"cpus,omitempty"`
	// Domain is the part of the machine that it is of, for energies, powers and what is compared with them.
	Domain Domain `json:"domain,omitzero"`
	// Use is what the accounting takes it for, and Method how it comes to know its readings.
	Use    Use    `json:"use,omitempty"`
	Method Method `json:"method,omitempty"`
	// Unit is that of the readings, always a base unit.
	Unit units.Unit `json:"unit"`
	Kind Kind       `json:"kind"`
	// Wrap is the value at which a counter restarts from 0, in Unit; 0 means it never does, and a step back is a gap.
	Wrap float64 `json:"wrap,omitempty"`
	// MaxRate is the greatest rise a second that is physically possible for a counter, in Unit/s; 0 is unknown. A
	// greater one is a gap and a warning.
	MaxRate float64 `json:"max_rate,omitempty"`
	// Resolution is the smallest step in which readings can differ, in Unit: that of the file or call they come from, which
	// what stands behind it may not reach. 0 is not known.
	Resolution float64 `json:"resolution,omitempty"`
	// Update is the time from one new value to the next in the hardware or driver, its upper end where it varies: a
	// reading may be as old as this. 0 is not known.
	Update time.Duration `json:"update,omitempty"`
	// Window is the time, ending when it is made, over which a reading of a gauge is the mean; 0 is that moment, or a
	// time too short to matter.
	Window time.Duration `json:"window,omitempty"`
	// Spans is true where a reading of a gauge is the mean over the time since the reading before; the first is NaN.
	Spans bool `json:"spans,omitempty"`
	// OfTarget says that it is of the command alone: there is nothing to read before the command starts or after it ends,
	// and its counters count from 0 at the start.
	OfTarget bool `json:"of_target,omitempty"`
	// HighWater says that a gauge never falls, so that its greatest reading counts and not its mean.
	HighWater bool `json:"high_water,omitempty"`
	// Sparse says that readings may be missing without a fault.
	Sparse bool `json:"sparse,omitempty"`
	// StepsBack says that the kernel documents small steps back of the counter.
	StepsBack bool `json:"steps_back,omitempty"`
	// Provenance is how a value made of the readings is obtained; the zero value means FromCounter for a counter and
	// Sampled for a gauge.
	Provenance Provenance `json:"provenance,omitempty"`
	// Source is where the readings come from: a file, a call of a library, a controller.
	Source string `json:"source"`
	// Doc is one sentence for people.
	Doc string `json:"doc"`
}

// Origin is the sensor's provenance with the zero value resolved.
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
	// Sensors is the same list, in the same order, for the life of the source. The caller does not change it.
	Sensors() []Sensor
	// Read sets dst[i] to a reading of Sensors()[i], NaN where there is none; never 0 for a missing one. It does not
	// keep dst and, on Linux, does not allocate. An error means that nothing was read, and dst is all NaN; ErrGone
	// that there is no use in asking again. Calls do not overlap.
	Read(dst []float64) error
	// Close releases what is held. A second call does nothing.
	Close() error
}

// Backend opens the sources of one family. It is a row of the table backend.All, not a type to implement.
type Backend struct {
	// Name is that of the family for --interval and --sensors: "cpu", "rapl", "nvml".
	Name string
	// Doc is one line for people.
	Doc string
	// Alone asks for a thread of its own, as a reading may block or take long: a driver, a network file system.
	Alone bool
	// OfTarget asks to be opened only when Setup.Target is known.
	OfTarget bool
	// Interval is the least useful time between readings; 0 means that the user's choice is taken as it is.
	Interval time.Duration
	// First says which process takes the first reading, and when.
	First First
	// There says whether the host has anything for Open, without a call that may block. Nil stands for yes. The error is
	// as that of Open. It is asked only of a backend whose First is InSampler.
	There func(Setup) error
	// Open finds the sensors and keeps open what Read needs. Sensors that exist but cannot be read are returned as
	// absences beside the source. If none can be read, the error is an *UnavailableError or wraps one.
	Open func(context.Context, Setup) (Source, []Absence, error)
}

// Setup tells a backend what to open: where the files of the machine are, what the user asked for, and the target.
type Setup struct {
	// Proc and Sys are the roots of procfs and sysfs, "/proc" and "/sys" unless redirected. Links inside these trees
	// that are absolute are taken relative to the tree.
	Proc string `json:"proc"`
	Sys  string `json:"sys"`
	// NVML is the library file to load in place of the system's libnvidia-ml.so.1; empty means the system's.
	NVML string `json:"nvml,omitempty"`
	// AllGPUs asks for every GPU of the machine, also those that CUDA_VISIBLE_DEVICES hides from the job.
	AllGPUs bool `json:"all_gpus,omitempty"`
	// Dirs are the folders whose file systems are looked at for free space: the working folder, the results.
	Dirs []string `json:"dirs,omitempty"`
	// Arguments asks the target family for the whole command line of every process. They hold secrets, so that they are
	// read only where the user wants them.
	Arguments bool `json:"arguments,omitempty"`
	// Runner is the process id of the runner, which the profiler family counts as ergon's own; 0 is none.
	Runner int `json:"runner,omitempty"`
	// InRunner is true where the runner itself reads, as there is no sampler yet.
	InRunner bool `json:"-"`
	// Target tells the target family what is to be followed.
	Target Target `json:"target"`
}

// Target is the command that is measured, as far as it is known before it starts.
type Target struct {
	// CPUGroup is the folder of a cgroup that the target alone lives in, with cpu.stat (v2) or cpuacct.usage (v1);
	// empty where none could be made.
	CPUGroup string `json:"cpu_group,omitempty"`
	// MemoryGroup is the same for memory.peak (v2) or memory.max_usage_in_bytes (v1).
	MemoryGroup string `json:"memory_group,omitempty"`
}

// Follower is a Source whose subject is a process that is known only after it was opened. Before Follow it reads NaN.
type Follower interface {
	// Follow is called once with the target's process id, before the target's first instruction where the platform
	// allows that. It does not overlap Read.
	Follow(pid int) error
}

// Process is what is known of one process of the target: what it used by itself, its threads included and its children
// apart. It is what was last seen, and so a lower bound once the process has ended.
type Process struct {
	// PID is its number, which together with Start says which process it is: numbers are used again. Parent is the number
	// of its parent when it was first seen; one that had been orphaned by then has an ancestor's or that of init.
	PID, Parent int
	// Start is when it was forked, in steps of 10 ms; of the command itself, when what was to become it was. All times here
	// carry the monotonic clock.
	Start time.Time
	// Name is that of the file it executes, any bytes, at most 15 where no more can be known.
	Name string
	// CommandLine is all its arguments with a blank between two, any bytes; empty unless Setup.Arguments asks for it.
	CommandLine string
	// FirstSeen is when it was first looked at, LastSeen when it was last seen to live, Gone when it was first missed or
	// seen to be dead: it ended between the two. Gone is zero while it lives.
	FirstSeen, LastSeen, Gone time.Time
	// CPU is its CPU time, user and system together.
	CPU time.Duration
	// PeakMemory is the largest resident memory seen since it last executed a file, in By.
	PeakMemory uint64
	// Read and Written are bytes from and to storage, those of children too short to be seen included. HasIO is false
	// where that cannot be known, as of a process that has become another user's.
	Read, Written uint64
	HasIO         bool
}

// ProcessLister is a Source that knows single processes.
type ProcessLister interface {
	// Processes calls yield for each process of which anything but LastSeen has changed since it was last called, and
	// forgets those that have ended. It returns when it last looked at the processes, which is when the living were last
	// seen; zero where it never did. It does not overlap Read.
	Processes(yield func(Process)) (looked time.Time)
}

// ErrGone is what Read returns when the subject no longer exists.
var ErrGone = errors.New("sensor has gone")
