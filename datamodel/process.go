package datamodel

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// SeenProcesses is what the looks at the target's processes saw, as it comes from the spool.
type SeenProcesses struct {
	// Anchor is the wall-clock time from which the times of the processes count.
	Anchor time.Time
	// Processes are those kept apart, in any order.
	Processes []SeenProcess
	// Merged stands for those that were too many to be kept apart, nil where there are none.
	Merged *SeenProcess
	// Dropped is the number of processes whose record is lost.
	Dropped int64
}

// SeenProcess is one process as last seen, or several merged.
type SeenProcess struct {
	PID, Parent, Count         int64
	Name, CommandLine          string
	Start, FirstSeen, LastSeen time.Duration
	// Gone is when it was first missed, where Ended.
	Gone  time.Duration
	Ended bool
	// CPU is its own CPU time, PeakMemory in By; Read and Written in By, where HasIO.
	CPU           time.Duration
	PeakMemory    uint64
	Read, Written uint64
	HasIO         bool
}

// ProcessKind says what a row of the table of processes stands for.
type ProcessKind string

// The kinds of rows. The words are stored in processes.parquet.
const (
	// OneProcess is a process.
	OneProcess ProcessKind = "process"
	// MergedProcesses are several that used little, where there were too many to keep all apart.
	MergedProcesses ProcessKind = "merged"
	// UnseenProcesses is what no look saw: processes that came and went between two looks, and the last moments of those
	// that were seen. With it the CPU times and energies of the rows add up to the target's.
	UnseenProcesses ProcessKind = "unseen"
)

// Process is one row of the table of processes: what a process used by itself, without its children. What is not known
// is NaN, a zero time, an empty text or, of ParentID, PID and Parent, below 0.
type Process struct {
	Kind ProcessKind
	// ID is the number of the row, ParentID that of the parent's, which unlike PID and Parent are used once only.
	ID, ParentID int64
	// PID is the number of the process, Parent that of its parent when it was first seen.
	PID, Parent int64
	// Name is that of the file it executes, CommandLine all its arguments where they were asked for.
	Name, CommandLine string
	// Start is when it was forked, in steps of 10 ms, or became the command: no time here is before the run's start. End is
	// at the latest: when a look first missed it or found it dead, so that it ended between LastSeen and End, and two that ran
	// one after the other may overlap; of the command itself, when it was reaped. It is zero where the process lived on, as
	// far as is known.
	Start, End time.Time
	// FirstSeen and LastSeen are when it was first and last seen to live, in s of the run's clock.
	FirstSeen, LastSeen float64
	// Count is the number of processes the row stands for.
	Count float64
	// CPUTime is user and system time in s, Provenance how it was obtained: seen until LastSeen, or counted to the end.
	CPUTime    float64
	Provenance sensors.Provenance
	// PeakMemory is the largest resident memory seen since it last executed a file, in By.
	PeakMemory float64
	// Read and Written are bytes from and to storage, in By; those of children too short to be seen are in them.
	Read, Written float64
	// Energy is the share of the target's energy that its part of the target's CPU time makes, in J; NaN where the target
	// has none, which then says why.
	Energy float64
}

// ProcessColumn says of a figure of Process what it is, for those who read it without this program.
type ProcessColumn struct {
	// Name is that of the column in processes.parquet.
	Name string
	Unit units.Unit
	// Provenance is empty where each row says its own.
	Provenance sensors.Provenance
	// Source is where the figure comes from.
	Source string
}

// The sources of the CPU time of a row. What was not seen has the reason in it.
const (
	whenSeen = "CPU clock of each process when last seen"
	atEnd    = "CPU clock of the command after its end"
	notSeen  = "CPU time of the target less that of the processes seen: that of processes which lived between two looks, as " +
		"looks are spaced out to take 0.2 % of a core at most, and of the last moments of the others"
)

// CPUSource is where the CPU time of a row comes from.
func (p *Process) CPUSource() string {
	switch {
	case p.Kind == UnseenProcesses:
		return notSeen
	case p.Kind == OneProcess && p.Provenance == sensors.FromCounter:
		return atEnd
	}
	return whenSeen
}

// ProcessColumns lists the figures of a table of processes of the run with this summary.
func ProcessColumns(summary []Metric) []ProcessColumn {
	energy := Pick(summary, TargetEnergy)
	from, source := sensors.Attributed.Weaker(energy.Provenance), "share of the target's CPU time, in target_energy"
	if energy.Reason != "" || math.IsNaN(energy.Value) {
		from, source = sensors.Missing, energy.Reason
	}
	return []ProcessColumn{
		{"cpu_time", units.Second, "", whenSeen + "; " + atEnd + "; of the row unseen, " + notSeen},
		{"peak_memory", units.Byte, sensors.Sampled, "/proc/PID/stat, VmHWM of /proc/PID/status"},
		{"read", units.Byte, sensors.Sampled, "/proc/PID/io, less that of the children that were seen"},
		{"written", units.Byte, sensors.Sampled, "/proc/PID/io, less that of the children that were seen"},
		{"energy", units.Joule, from, source},
	}
}
