package account

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// quiet returns 10 s of a command that uses both processors of an otherwise quiet machine.
func quiet() input {
	const d = 10 * sec
	in := input{
		Run: datamodel.Run{
			Outcome: datamodel.Done, Host: datamodel.HostInfo{CPUs: 2},
			Sources: []datamodel.SourceStats{{Name: "cpu", Readings: 100, Late: 1}, {Name: "filesystem", Readings: 10, Missed: 2}},
		},
		Ledger: datamodel.Ledger{
			WallTime: new(10.0), GroupTime: new(18.0), RunnerTime: new(0.05), ReadBytes: new(1e6), WriteBytes: new(9e8),
			QuotaPeriods: new(100.0), QuotaStops: new(0.0), Quota: new(1.5), QuotaSource: "cpu.max",
		},
	}
	in.Series = append(procStat(16, 2.6, 1.38, 0.02, d),
		counterLine("profiler/cpu_time", units.Second, 0.15, d),
		counterLine("cpu/pressure", units.Second, 9, d),
		counterLine("disk/pressure", units.Second, 6, d),
		counterLine("memory/pressure", units.Second, 0.04, d),
		counterLine("memory/swap_in", units.Byte, 4096, d), counterLine("memory/swap_out", units.Byte, 0, d),
		counterLine("disk/vda/read", units.Byte, 1e6, d), counterLine("disk/vda/written", units.Byte, 9.5e8, d),
		counterLine("cpu/cpu0/core_throttles", units.Events, 0, d), counterLine("cpu/package-0/package_throttles", units.Events, 0, d),
	)
	return in
}

// replace replaces the series of the same sensor, or appends s.
func replace(in *input, s *series.Series) {
	for i, old := range in.Series {
		if old.Sensor().ID == s.Sensor().ID {
			in.Series[i] = s
			return
		}
	}
	in.Series = append(in.Series, s)
}

// TestConditions checks each condition. On a quiet machine none holds. If only one thing is spoilt, only its warning
// appears, with figure and threshold.
func TestConditions(t *testing.T) {
	const d = 10 * sec
	counter := func(id string, unit units.Unit, to float64) func(*input) {
		return func(in *input) { replace(in, counterLine(id, unit, to, d)) }
	}
	spoilt := []struct {
		name, subject string
		spoil         func(*input)
		count         int64
		text          string
	}{
		{"nothing", "", func(*input) {}, 0, ""},
		{"others", "other_load", func(in *input) {
			in.Series = append(in.Series[6:], procStat(16.5, 3.1, 0.4, 0, d)...)
			replace(in, counterLine("cpu/pressure", units.Second, 1, d))
		}, 0, "others used 7.00 % of the command's CPUs, 1.40 s (above 5.00 %)"},
		{"others next to a small command", "other_load", func(in *input) {
			in.Run.Host.CPUs = 64
			in.Series = append(in.Series[6:], procStat(11, 2, 627, 0, d)...)
			in.Ledger.GroupTime = new(10.0)
		}, 0, "others used 2.80 s of CPU time, 28.0 % of the command's 10.0 s (above 10.0 %)"},
		{"a walk that has missed most of the command", "", func(in *input) {
			in.Ledger.GroupTime = nil
			replace(in, line(sensors.Sensor{
				ID: "target/cpu_time", Family: "target", Name: "cpu_time", Unit: units.Second, Kind: sensors.Counter,
				Provenance: sensors.Sampled, Source: "walk",
			}, 0, 5, d))
		}, 0, ""},
		{"a daemon while the command sleeps", "", func(in *input) {
			in.Series = append(in.Series[6:], procStat(0.7, 0.1, 19.2, 0, d)...)
			in.Ledger.GroupTime = new(0.01)
		}, 0, ""},
		{"others, and the command may use little", "other_load", func(in *input) {
			in.Run.Host.CPUs, in.Run.Host.Limits = 2, sensors.Limits{Quota: 0.5, QuotaSource: "cpu.max"}
			in.Series = append(in.Series[6:], procStat(5, 0.6, 14.4, 0, d)...)
			replace(in, counterLine("cpu/pressure", units.Second, 1, d))
			in.Ledger.GroupTime = new(5.0)
		}, 0, "others used 8.00 % of the command's CPUs, 400 ms (above 5.00 %)"},
		{"steal", "steal", counter("cpu/steal", units.Second, 0.3), 0, "the hypervisor gave 300 ms of CPU time to other guests while this one had work: 1.48 % (above 1.00 %)"},
		{"heat", "throttling", counter("cpu/package-0/package_throttles", units.Events, 31), 31, "processors were slowed down because they were too hot"},
		{"heat of a core", "throttling", counter("cpu/cpu0/core_throttles", units.Events, 2), 2, "too hot"},
		{"swap", "swapping", counter("memory/swap_out", units.Byte, 64<<20), 0, "the machine swapped: 64.0 MiB (above 1.00 MiB)"},
		{"swap, with faults", "swapping", func(in *input) {
			in.Ledger.MajorFaults = new(812.0)
			replace(in, counterLine("memory/swap_in", units.Byte, 64<<20, d))
		}, 0, "the machine swapped (major faults of the command: 812): 64.0 MiB"},
		{"memory", "memory_pressure", counter("memory/pressure", units.Second, 0.5), 0, "tasks waited for memory 5.00 % of the time (above 1.00 %)"},
		{"disks of others", "io_pressure", counter("disk/vda/written", units.Byte, 4e9), 0, "tasks waited for disks, which others used more than the command, 60.0 % of the time (above 20.0 %)"},
		{"a wait for its own disk", "", counter("disk/pressure", units.Second, 10), 0, ""},
		{"a wait for its own processors", "", counter("cpu/pressure", units.Second, 10), 0, ""},
		{"quota", "quota", func(in *input) { in.Ledger.QuotaStops, in.Ledger.QuotaTime = new(31.0), new(0.9) }, 31, "the quota of 1.5 CPUs in cpu.max throttled processes in part of its 100 periods, for 900 ms: 31.0 % (above 1.00 %)"},
		{"one period", "", func(in *input) { in.Ledger.QuotaStops = new(1.0) }, 0, ""},
		{"governor", "settings", func(in *input) { in.Run.Host.Scaling.Change = "turbo was switched off" }, 0, "while the command ran turbo was switched off"},
		{"beats", "beats", func(in *input) {
			in.Run.Sources = append(in.Run.Sources, datamodel.SourceStats{Name: "nvml", Readings: 90, Missed: 10, Late: 2})
		}, 12, "readings of nvml were late or skipped because the machine or the source was late: 12.0 % (above 1.00 %)"},
		{"a source that hung", "", func(in *input) {
			in.Run.Sources = append(in.Run.Sources, datamodel.SourceStats{Name: "nvml", Readings: 9, Missed: 10, Hung: true})
		}, 0, ""},
		{"frequency", "frequency", func(in *input) {
			replace(in, gaugeOf("cpu/cpu1/utilization", units.Ratio, func(float64) float64 { return 1 }))
			replace(in, gaugeOf("cpu/cpu1/frequency", units.Hertz, func(t float64) float64 { return 4e9 - 1.5e9*from(t, 5) }))
		}, 0, "the frequency of cpu1 while busy was between 2.50 GHz and 4.00 GHz: 37.5 % (above 20.0 %)"},
		{"frequency while idle", "", func(in *input) {
			replace(in, gaugeOf("cpu/cpu1/utilization", units.Ratio, func(t float64) float64 { return 1 - from(t, 5) }))
			replace(in, gaugeOf("cpu/cpu1/frequency", units.Hertz, func(t float64) float64 { return 4e9 - 3e9*from(t, 5) }))
		}, 0, ""},
	}
	covered := map[string]bool{}
	for _, c := range spoilt {
		t.Run(c.name, func(t *testing.T) {
			in := quiet()
			c.spoil(&in)
			_, warnings := build(t, in)
			if c.subject == "" {
				if len(warnings) != 0 {
					t.Errorf("%+v", warnings)
				}
				return
			}
			covered[c.subject] = true
			if len(warnings) != 1 || warnings[0].Subject != c.subject || warnings[0].Count != c.count || !strings.Contains(warnings[0].Text, c.text) {
				t.Errorf("%+v, want %s: %s (%d)", warnings, c.subject, c.text, c.count)
			}
		})
	}
	// A warning about tasks that wait for processors accompanies the warning about other programs.
	in := quiet()
	in.Ledger.GroupTime = new(17.0)
	if _, warnings := build(t, in); len(warnings) != 2 || warnings[1].Subject != "cpu_pressure" || !strings.Contains(warnings[1].Text, "tasks waited for a CPU 90.0 % of the time (above 20.0 %)") {
		t.Errorf("%+v", warnings)
	}
	covered["cpu_pressure"] = true
	for _, c := range conditions() {
		if !covered[c.name] {
			t.Errorf("nothing here makes %s hold", c.name)
		}
	}
}

// from is 0 before a time in s and 1 from then on.
func from(t, at float64) float64 {
	if t < at {
		return 0
	}
	return 1
}

// gaugeOf returns 10 s of a gauge that is read ten times a second.
func gaugeOf(id string, unit units.Unit, f func(t float64) float64) *series.Series {
	s := series.New(sensortest.Declared(sensor(id, sensors.Gauge, unit, "test")))
	for i := range 101 {
		at := time.Duration(i) * 100 * time.Millisecond
		s.Add([]time.Duration{at}, []float64{f(at.Seconds())})
	}
	return s
}

// TestConditionsOfNothing checks that a condition without its inputs does not hold: an unknown value causes no warning.
func TestConditionsOfNothing(t *testing.T) {
	for _, in := range []input{{}, {Ledger: datamodel.Ledger{WallTime: new(1.0), GroupTime: new(0.5)}}, {Series: procStat(5, 5, 5, 0, 5*sec)}} {
		if _, warnings := build(t, in); len(warnings) != 0 {
			t.Errorf("%+v", warnings)
		}
	}
}

func TestLimitUtilization(t *testing.T) {
	in := quiet()
	tree, _ := build(t, in)
	if m := tree.First(datamodel.RunLevel).Metric("cpu_limit_utilization"); !math.IsNaN(m.Value) || !strings.Contains(m.Reason, "no limit is known") {
		t.Errorf("%+v", m)
	}
	if m := tree.First(datamodel.HostLevel).Metric("steal_time"); !isNear(m.Value, 0.02, 1e-9) || m.Provenance != sensors.FromCounter {
		t.Errorf("%+v", m)
	}
	in.Run.Host.Limits = sensors.Limits{Processors: "0-1", Allowed: 2, Quota: 1.9, QuotaSource: "/sys/fs/cgroup/cpu.max"}
	tree, _ = build(t, in)
	m := tree.First(datamodel.RunLevel).Metric("cpu_limit_utilization")
	if !isNear(m.Value, 18/19.0, 1e-9) || m.Provenance != sensors.FromCounter || !strings.Contains(m.Source, "of 1.9 CPUs by /sys/fs/cgroup/cpu.max") {
		t.Errorf("%+v", m)
	}
	if m := tree.First(datamodel.RunLevel).Metric("cpu_utilization"); !isNear(m.Value, 0.93, 1e-9) {
		t.Errorf("the machine's is another: %+v", m)
	}
}

// TestEnergyInContainer checks the warning that energy read in a container is the whole machine's.
func TestEnergyInContainer(t *testing.T) {
	in := quiet()
	in.Run.Host.Container = "docker"
	if _, warnings := build(t, in); len(warnings) != 0 {
		t.Errorf("without energy: %+v", warnings)
	}
	in.Series = append(in.Series, line(zone("package-0"), 0, 1000, 10*sec))
	if _, warnings := build(t, in); len(warnings) != 1 || warnings[0].Subject != "energy" || !strings.Contains(warnings[0].Text, "whole machine") {
		t.Errorf("%+v", warnings)
	}
}

// TestPrecisionOfSensors checks that the metadata of a sensor give its precision as far as it is known.
func TestPrecisionOfSensors(t *testing.T) {
	in := quiet()
	counter := zone("package-0")
	counter.Resolution, counter.Update = 1e-6, time.Millisecond
	s := line(counter, 0, 1000, 10*sec)
	s.ReadBy("rapl")
	in.Series = append(in.Series, s)
	in.Run.Sources = append(in.Run.Sources, datamodel.SourceStats{Name: "rapl", Interval: 0.1, Readings: 100, ReadTime: 0.002, Worst: 0.0005})
	tree, _ := build(t, in)
	want := []datamodel.Pair{
		{Key: "resolution", Value: "1e-06"},
		{Key: "update_period", Value: "0.001"},
		{Key: "read_by", Value: "rapl"},
		{Key: "interval", Value: "0.1"},
		{Key: "read_time_mean", Value: "2e-05"},
		{Key: "read_time_worst", Value: "0.0005"},
	}
	if got := tree.Find(datamodel.DeviceLevel, "rapl/package-0").Children[0].Meta; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("%v", got)
	}
	if got := tree.Find(datamodel.DeviceLevel, "disk/vda").Children[0].Meta; len(got) != 0 {
		t.Errorf("nothing is known, but reported: %v", got)
	}
}

// TestStopped tells how long the whole command was stopped, also in a brief result.
func TestStopped(t *testing.T) {
	for _, brief := range []bool{false, true} {
		for _, want := range []float64{0, 2.5} {
			in := quiet()
			replace(&in, counterLine("target/stopped_time", units.Second, want, 10*sec))
			one := OneHost(in.Run, in.Ledger, in.Series, nil)
			one.Brief = brief
			if got := Account(one).Stopped; got != want {
				t.Errorf("stopped for %v s, want %v (brief %v)", got, want, brief)
			}
		}
	}
	if got := Account(OneHost(quiet().Run, quiet().Ledger, quiet().Series, nil)).Stopped; got != 0 {
		t.Errorf("stopped for %v s, though nothing is known", got)
	}
}
