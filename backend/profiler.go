package backend

import (
	"context"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// profiler reads the cost of measuring, which is the use of the sampler and the runner, and the clocks. The sampler itself
// keeps how long each source took and how many beats it missed.
//
// Both processes are ergon's own, so their files are always read below /proc, whatever Setup.Proc says. The clocks count anew
// when it is told the target.
func profiler() sensors.Backend {
	return sensors.Backend{
		Name: "profiler", First: sensors.AtStart,
		Doc: "the cost of measuring: CPU time and memory of sampler and runner; steps of the clock",
		Open: func(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return openProfiler(setup)
		},
	}
}

// The readings of the profiler, in the order of the sensors. Without a runner the runner's are left out.
const (
	profilerCPU = iota
	profilerMemory
	profilerRunnerCPU
	profilerRunnerMemory
	profilerReadings
)

// The readings of the clocks, after those of the processes.
const (
	clockOffset = iota
	clockSuspended
	clockReadings
)

// clockSensors returns the sensors of the clocks that are compared with the monotonic clock, which times the readings. They
// show what makes its times wrong.
func clockSensors(source string) []sensors.Sensor {
	row := func(name string, kind sensors.Kind, use sensors.Use, doc string) sensors.Sensor {
		return sensors.Sensor{
			ID: "profiler/" + name, Family: "profiler", Name: name, Unit: units.Second, Kind: kind, Use: use,
			Sparse: true, Source: source, Doc: doc,
		}
	}
	all := [clockReadings]sensors.Sensor{
		clockOffset: row("clock_offset", sensors.Gauge, sensors.ClockOffset,
			"how far the wall clock has moved against the monotonic clock since the start: somebody set it"),
		clockSuspended: row("suspended", sensors.Counter, sensors.Suspended,
			"time since the start in which the machine was suspended; the monotonic clock does not count it"),
	}
	all[clockOffset].Range = sensors.Range{Least: -1e10, Most: 1e10} // 300 years
	return all[:]
}

// errNoRunner means that ergon measures nothing, as for a list of sensors.
func errNoRunner() error {
	return &absenceError{sensors.NotPresent, "there is no runner: nothing is being measured"}
}

// profilerSensors returns the sensors of both processes. If runner is not nil, it says why the runner's are absent.
func profilerSensors(cpu, memory string, runner error) ([]sensors.Sensor, []sensors.Absence) {
	row := func(name string, unit units.Unit, kind sensors.Kind, use sensors.Use, source, doc string) sensors.Sensor {
		s := sensors.Sensor{
			ID: "profiler/" + name, Family: "profiler", Name: name, Unit: unit, Kind: kind, Use: use,
			Sparse: true, Source: source, Doc: doc,
		}
		if kind == sensors.Gauge {
			s.Range = gaugeRange(unit)
		}
		return s
	}
	all := [profilerReadings]sensors.Sensor{
		profilerCPU: row("cpu_time", units.Second, sensors.Counter, sensors.SamplerCPU, cpu,
			"CPU time of the sampler, the process that reads the sensors"),
		profilerMemory: row("memory", units.Byte, sensors.Gauge, sensors.SamplerMemory, memory,
			"resident memory of the sampler, including shared pages of its program file"),
		profilerRunnerCPU: row("runner_cpu_time", units.Second, sensors.Counter, sensors.RunnerCPU, cpu,
			"CPU time of the runner, which writes the results, and of the launcher, which starts the command"),
		profilerRunnerMemory: row("runner_memory", units.Byte, sensors.Gauge, sensors.RunnerMemory, memory,
			"resident memory of the runner, including shared pages of its program file"),
	}
	if runner == nil {
		return all[:], nil
	}
	return all[:profilerRunnerCPU], []sensors.Absence{
		absent(all[profilerRunnerCPU], cpu, runner), absent(all[profilerRunnerMemory], memory, runner),
	}
}
