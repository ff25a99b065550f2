package datamodel

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// SeenProcesses is what the looks at the target's processes saw, as stored in the spool.
type SeenProcesses struct {
	// Anchor is the wall-clock time that the times of the processes are relative to.
	Anchor time.Time
	// Processes are the processes that were kept apart, in any order.
	Processes []SeenProcess
	// Merged stands for the processes that were too many to be kept apart. It is nil if there are none.
	Merged *SeenProcess
	// Dropped is the number of processes whose record is lost. Unnamed is the number of processes whose name was left out,
	// since all names together were too long.
	Dropped, Unnamed int64
}

// SeenProcess is one process as last seen, or several merged into one.
type SeenProcess struct {
	PID, Parent, Count         int64
	Name, CommandLine          string
	Start, FirstSeen, LastSeen time.Duration
	// Gone is when a look first missed the process. It is valid if Ended is true.
	Gone  time.Duration
	Ended bool
	// CPU is the process's own CPU time. PeakMemory is in By. Read and Written are in By and valid if HasIO is true.
	CPU           time.Duration
	PeakMemory    uint64
	Read, Written uint64
	HasIO         bool
}

// ProcessKind says what a row of the process table stands for.
type ProcessKind string

// The kinds of rows. These words are stored in processes.parquet.
const (
	// OneProcess is a single process.
	OneProcess ProcessKind = "process"
	// MergedProcesses is several processes that used little. They are merged if there were too many to keep apart.
	MergedProcesses ProcessKind = "merged"
	// UnseenProcesses is what no look saw: processes that lived between two looks, and the last moments of the others.
	// With this row, the CPU times and energies of all rows add up to the target's.
	UnseenProcesses ProcessKind = "unseen"
)

// Process is one row of the process table: what a process used by itself, without its children. An unknown value is
// NaN, a zero time or an empty text. An unknown ParentID, PID or Parent is below 0.
type Process struct {
	Kind ProcessKind
	// ID is the number of the row, and ParentID is the ID of the parent's row. Unlike PID and Parent, they are never
	// reused.
	ID, ParentID int64
	// PID is the process ID. Parent is the parent's process ID when the process was first seen.
	PID, Parent int64
	// Name is the name of the file that it executes. CommandLine is all its arguments, if they were requested.
	Name, CommandLine string
	// Start is when the process was forked, in steps of 10 ms, or when it became the command. No time here is before
	// the run's start.
	//
	// End is an upper bound: when a look first missed the process or found it dead. The process ended between LastSeen
	// and End, so two that ran one after the other may overlap. For the command itself, End is when it was reaped. End
	// is zero if the process lived on, as far as is known.
	Start, End time.Time
	// FirstSeen and LastSeen are when it was first and last seen alive, in s of the run's clock.
	FirstSeen, LastSeen float64
	// Count is the number of processes that the row stands for.
	Count float64
	// CPUTime is user and system time in s. Provenance says how it was obtained: seen until LastSeen, or counted to the
	// end.
	CPUTime    float64
	Provenance sensors.Provenance
	// PeakMemory is the largest resident memory seen since the process last executed a file, in By.
	PeakMemory float64
	// Read and Written are bytes from and to storage, in By. They include children that were too short to be seen.
	Read, Written float64
	// Energy is the process's share of the target's energy, in J, in proportion to its share of the target's CPU time.
	// It is NaN if the target has no energy. The target's metric then has the reason.
	Energy float64
}

// ProcessColumn describes a column of the process table for readers without this program.
type ProcessColumn struct {
	// Name is the name of the column in processes.parquet.
	Name string
	Unit units.Unit
	// Provenance is empty if each row has its own.
	Provenance sensors.Provenance
	// Source says where the figure comes from.
	Source string
}

// The sources of the CPU time of a row. The source of the unseen row includes the reason for it.
const (
	whenSeen = "CPU clock of each process when last seen"
	atEnd    = "CPU clock of the command after its end"
	notSeen  = "CPU time of the target less the CPU time of the processes seen: processes that lived between two looks " +
		"(looks use at most 0.2 % of a core), and the last moments of the others"
)

// CPUSource returns the source of the CPU time of a row.
func (p *Process) CPUSource() string {
	switch {
	case p.Kind == UnseenProcesses:
		return notSeen
	case p.Kind == OneProcess && p.Provenance == sensors.FromCounter:
		return atEnd
	}
	return whenSeen
}

// ProcessColumns describes the columns of the process table, given the summary of the run.
func ProcessColumns(summary []Metric) []ProcessColumn {
	energy := Pick(summary, TargetEnergy)
	from, source := sensors.Attributed.Weaker(energy.Provenance), "share of the target's CPU time, in target_energy"
	if energy.Reason != "" || math.IsNaN(energy.Value) {
		from, source = sensors.Missing, energy.Reason
	}
	return []ProcessColumn{
		{"cpu_time", units.Second, "", whenSeen + "; " + atEnd + "; for the row unseen: " + notSeen},
		{"peak_memory", units.Byte, sensors.Sampled, "/proc/PID/stat, VmHWM of /proc/PID/status"},
		{"read", units.Byte, sensors.Sampled, "/proc/PID/io, less the children that were seen"},
		{"written", units.Byte, sensors.Sampled, "/proc/PID/io, less the children that were seen"},
		{"energy", units.Joule, from, source},
	}
}
