package backend

import (
	"context"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// target is the family of the command that is measured, with all its descendants.
//
// CPU time and memory come from a cgroup that the target alone lives in wherever there is one; that is exact and costs
// the same for one process as for a thousand. Everything else, and these two where there is no cgroup, is summed over
// the processes found at a look (see tree), which can only be a lower bound for processes that live shorter than the
// time between two looks.
//
// The target is a process of ours, so its files are those of this machine's own /proc whatever Setup.Proc says.
func target() sensors.Backend {
	return sensors.Backend{
		Name: "target", OfTarget: true, First: sensors.AtStart,
		Doc: "the command's own process tree: CPU time, memory, storage, processes, context switches, page faults",
		Open: func(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return openTarget(setup)
		},
	}
}

// The readings of the target, in the order of the sensors where all are there.
const (
	targetCPU = iota
	targetUser
	targetSystem
	targetMemory
	targetMemoryPeak
	targetRead
	targetWritten
	targetReadChars
	targetWriteChars
	targetReadCalls
	targetWriteCalls
	targetProcesses
	targetProcessesEver
	targetThreads
	targetVoluntary
	targetInvoluntary
	targetMinorFaults
	targetMajorFaults
	targetStopped
	targetReadings
)

// targetSensors is the whole family, with source as where a look at the processes finds them. Rows that have a better
// source get it afterwards.
func targetSensors(source string) []sensors.Sensor {
	counter := func(name string, unit units.Unit, use sensors.Use, doc string) sensors.Sensor {
		return sensors.Sensor{
			ID: "target/" + name, Family: "target", Name: name, Unit: unit, Kind: sensors.Counter,
			Use: use, Method: sensors.ByWalk, OfTarget: true, Sparse: true,
			Provenance: sensors.Sampled, Source: source, Doc: doc,
		}
	}
	gauge := func(name string, unit units.Unit, use sensors.Use, doc string) sensors.Sensor {
		s := counter(name, unit, use, doc)
		s.Kind = sensors.Gauge
		return s
	}
	all := [targetReadings]sensors.Sensor{
		targetCPU: counter("cpu_time", units.Second, sensors.TargetCPU,
			"CPU time of the processes seen and of those they waited for: a lower bound"),
		targetUser: counter("user_time", units.Second, sensors.TargetUser,
			"CPU time in user mode of the processes seen and of those they waited for: a lower bound"),
		targetSystem: counter("system_time", units.Second, sensors.TargetSystem,
			"CPU time in the kernel of the processes seen and of those they waited for: a lower bound"),
		targetMemory: gauge("memory", units.Byte, sensors.TargetMemory,
			"resident memory summed over the processes; pages that several share count in each of them"),
		targetMemoryPeak: gauge("memory_peak", units.Byte, sensors.TargetMemoryPeak,
			"largest sum of resident memory seen so far; pages that several processes share count in each of them"),
		targetRead: counter("read", units.Byte, sensors.TargetRead,
			"bytes fetched from storage: a lower bound, as what a process did after it was last seen is known only if its parent waits for it"),
		targetWritten: counter("written", units.Byte, sensors.TargetWritten,
			"bytes sent towards storage, whether or not a later truncation spared them: a lower bound in the same way as read"),
		targetReadChars: counter("read_chars", units.Byte, sensors.TargetReadChars,
			"bytes that read calls returned, from wherever: a lower bound in the same way as read"),
		targetWriteChars: counter("write_chars", units.Byte, sensors.TargetWriteChars,
			"bytes that write calls took, to wherever: a lower bound in the same way as read"),
		targetReadCalls: counter("read_calls", units.Calls, sensors.TargetReadCalls,
			"calls of read and its like: a lower bound in the same way as read"),
		targetWriteCalls: counter("write_calls", units.Calls, sensors.TargetWriteCalls,
			"calls of write and its like: a lower bound in the same way as read"),
		targetProcesses: gauge("processes", units.Processes, sensors.TargetProcesses,
			"processes alive; those that have ended and are not waited for do not count"),
		targetProcessesEver: gauge("processes_ever", units.Processes, sensors.TargetProcessesEver,
			"processes seen so far, of which the last reading counts: a lower bound, as those that live shorter than the time between two looks are missed"),
		targetThreads: gauge("threads", units.Threads, sensors.TargetThreads,
			"threads of the processes alive"),
		targetVoluntary: counter("voluntary_switches", units.Switches, sensors.TargetVoluntarySwitches,
			"context switches of threads that waited, over the threads seen: a lower bound, read about once a second"),
		targetInvoluntary: counter("involuntary_switches", units.Switches, sensors.TargetInvoluntarySwitches,
			"context switches of threads that were made to give way, over the threads seen: a lower bound, read about once a second"),
		targetMinorFaults: counter("minor_faults", units.Faults, sensors.TargetMinorFaults,
			"page faults served without storage, of the processes seen and of those they waited for: a lower bound"),
		targetStopped: counter("stopped_time", units.Second, sensors.TargetStopped,
			"time in which every process alive was stopped, by Ctrl-Z or SIGSTOP, as seen at two looks or at one of them, which counts half"),
		targetMajorFaults: counter("major_faults", units.Faults, sensors.TargetMajorFaults,
			"page faults that had to wait for storage, of the processes seen and of those they waited for: a lower bound"),
	}
	for _, i := range []int{targetMemoryPeak, targetProcessesEver} {
		all[i].HighWater = true
	}
	return all[:]
}
