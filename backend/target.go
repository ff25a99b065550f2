package backend

import (
	"context"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// target reads the resource use of the measured command and all its descendants.
//
// If the target has its own cgroup, CPU time and anonymous memory come from that group. They cost the same for one process as
// for a thousand. Everything else, and these two without a cgroup, is summed over the processes that a look finds (see
// tree). That is a lower bound if processes live shorter than the time between two looks. A look also finds processes that
// have left the cgroup. Memory is then summed over the processes as well.
//
// The target is always a process of this machine, so its files are read below /proc, whatever Setup.Proc says.
func target() sensors.Backend {
	return sensors.Backend{
		Name: "target", OfTarget: true, First: sensors.AtStart,
		Doc: "the command's own process tree: CPU time, memory, storage, processes, context switches, page faults",
		Open: func(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return openTarget(setup)
		},
	}
}

// The readings of the target, in the order of the sensors.
const (
	targetCPU = iota
	targetUser
	targetSystem
	targetMemory
	targetMemoryPeak
	targetCharge
	targetChargePeak
	targetMapped
	targetRead
	targetWritten
	targetReadChars
	targetWriteChars
	targetReadCalls
	targetWriteCalls
	targetProcesses
	targetProcessesEver
	targetOutside
	targetThreads
	targetVoluntary
	targetInvoluntary
	targetMinorFaults
	targetMajorFaults
	targetStopped
	targetReceived
	targetSent
	targetReadings
)

// targetSensors returns the whole family, with the source of a look. Sensors with a better source get it afterwards.
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
		s.Kind, s.Range = sensors.Gauge, gaugeRange(unit)
		return s
	}
	all := [targetReadings]sensors.Sensor{
		targetCPU: counter("cpu_time", units.Second, sensors.TargetCPU,
			"CPU time of the processes seen and of children they waited for: a lower bound"),
		targetUser: counter("user_time", units.Second, sensors.TargetUser,
			"user-mode CPU time of the processes seen and of children they waited for: a lower bound"),
		targetSystem: counter("system_time", units.Second, sensors.TargetSystem,
			"kernel CPU time of the processes seen and of children they waited for: a lower bound"),
		targetMemory: gauge("memory", units.Byte, sensors.TargetMemory,
			"memory that the processes hold at one moment: anonymous, shared and mapped, each page once, without page cache"),
		targetMemoryPeak: gauge("memory_peak", units.Byte, sensors.TargetMemoryPeak,
			"most memory that the processes were seen to hold at once so far: a lower bound, as they may hold more between two looks"),
		targetCharge: gauge("memory_charge", units.Byte, sensors.TargetCharge,
			"memory that the target's cgroup is charged with: its processes, page cache and kernel memory"),
		targetChargePeak: gauge("memory_charge_peak", units.Byte, sensors.TargetChargePeak,
			"largest charge of the target's cgroup so far"),
		targetMapped: gauge("memory_mapped", units.Byte, sensors.TargetMapped,
			"pages of files and shared memory that the largest process has mapped; other cgroups may be charged with them"),
		targetRead: counter("read", units.Byte, sensors.TargetRead,
			"bytes read from storage: a lower bound, as reads after the last look count only if the parent waits for the process"),
		targetWritten: counter("written", units.Byte, sensors.TargetWritten,
			"bytes written towards storage, including data truncated before it was written back: a lower bound like read"),
		targetReadChars: counter("read_chars", units.Byte, sensors.TargetReadChars,
			"bytes returned by read calls, from any source: a lower bound like read"),
		targetWriteChars: counter("write_chars", units.Byte, sensors.TargetWriteChars,
			"bytes passed to write calls, to any destination: a lower bound like read"),
		targetReadCalls: counter("read_calls", units.Calls, sensors.TargetReadCalls,
			"read calls and similar: a lower bound like read"),
		targetWriteCalls: counter("write_calls", units.Calls, sensors.TargetWriteCalls,
			"write calls and similar: a lower bound like read"),
		targetProcesses: gauge("processes", units.Processes, sensors.TargetProcesses,
			"living processes; zombies do not count"),
		targetProcessesEver: gauge("processes_ever", units.Processes, sensors.TargetProcessesEver,
			"processes seen so far: a lower bound, as processes that live between two looks are missed"),
		targetOutside: gauge("processes_outside", units.Processes, sensors.TargetOutside,
			"processes seen outside the target's cgroup so far"),
		targetThreads: gauge("threads", units.Threads, sensors.TargetThreads,
			"threads of living processes"),
		targetVoluntary: counter("voluntary_switches", units.Switches, sensors.TargetVoluntarySwitches,
			"voluntary context switches of the threads seen, read about once a second: a lower bound"),
		targetInvoluntary: counter("involuntary_switches", units.Switches, sensors.TargetInvoluntarySwitches,
			"involuntary context switches of the threads seen, read about once a second: a lower bound"),
		targetMinorFaults: counter("minor_faults", units.Faults, sensors.TargetMinorFaults,
			"page faults served without storage, of the processes seen and of children they waited for: a lower bound"),
		targetStopped: counter("stopped_time", units.Second, sensors.TargetStopped,
			"time in which all living processes were stopped (Ctrl-Z, SIGSTOP); an interval counts half if only one of its two looks saw that"),
		targetReceived: counter("network_receive", units.Byte, sensors.TargetReceived,
			"bytes received in the network namespace of the command's first process, if it has one of its own: a lower bound"),
		targetSent: counter("network_transmit", units.Byte, sensors.TargetSent,
			"bytes sent in the network namespace of the command's first process, if it has one of its own: a lower bound"),
		targetMajorFaults: counter("major_faults", units.Faults, sensors.TargetMajorFaults,
			"page faults that waited for storage, of the processes seen and of children they waited for: a lower bound"),
	}
	for _, i := range []int{targetMemoryPeak, targetChargePeak, targetProcessesEver, targetOutside} {
		all[i].HighWater = true
	}
	return all[:]
}
