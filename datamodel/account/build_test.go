package account

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// line returns the series of a sensor that rises linearly between two values in ten steps over d.
func line(s sensors.Sensor, from, to float64, d time.Duration) *series.Series {
	at, values := every(d/10, 11), make([]float64, 11)
	for i := range values {
		values[i] = from + (to-from)*float64(i)/10
	}
	return seriesOf(s, at, values)
}

// sensor returns a sensor from its ID, "family/device/name" or "family/name".
func sensor(id string, kind sensors.Kind, unit units.Unit, source string) sensors.Sensor {
	family, rest, _ := strings.Cut(id, "/")
	device, name := "", rest
	if i := strings.LastIndex(rest, "/"); i >= 0 {
		device, name = rest[:i], rest[i+1:]
	}
	return sensors.Sensor{ID: id, Family: family, Device: device, Name: name, Kind: kind, Unit: unit, Source: source}
}

func counterLine(id string, unit units.Unit, to float64, d time.Duration) *series.Series {
	return line(sensor(id, sensors.Counter, unit, "test"), 0, to, d)
}

// procStat returns the counters of the whole machine after d, with these seconds of user, system, idle and steal time.
func procStat(user, system, idle, steal float64, d time.Duration) []*series.Series {
	return []*series.Series{
		counterLine("cpu/user", units.Second, user, d),
		counterLine("cpu/nice", units.Second, 0, d),
		counterLine("cpu/system", units.Second, system, d),
		counterLine("cpu/idle", units.Second, idle, d),
		counterLine("cpu/iowait", units.Second, 0, d),
		counterLine("cpu/steal", units.Second, steal, d),
	}
}

func gpu(uuid, name string, kind sensors.Kind, unit units.Unit) sensors.Sensor {
	return sensor("gpu/"+uuid+"/"+name, kind, unit, "nvml")
}

func build(t *testing.T, in input) (*datamodel.Node, []datamodel.Warning) {
	t.Helper()
	tree, warnings := buildTree(in)
	checkTree(t, in, tree)
	return tree, warnings
}

// checkTree checks what holds for every tree.
func checkTree(t *testing.T, in input, tree *datamodel.Node) {
	t.Helper()
	levels := []datamodel.Level{
		datamodel.App, datamodel.MultiRun, datamodel.RunLevel, datamodel.HostLevel, datamodel.DeviceLevel, datamodel.SensorLevel,
	}
	paths := make(map[string]bool)
	leaves, derived := 0, 0
	var walk func(n *datamodel.Node, depth int, path string)
	walk = func(n *datamodel.Node, depth int, path string) {
		path += "/" + strings.ReplaceAll(n.Name, "/", "|")
		if paths[path] && len(in.Series) == len(uniqueIDs(in.Series)) {
			t.Errorf("two nodes at %s", path)
		}
		paths[path] = true
		if n.Name == "" || n.Level != levels[depth] || (n.Sensor != nil) != (n.Level == datamodel.SensorLevel) {
			t.Errorf("%s is a %s with sensor %v", path, n.Level, n.Sensor)
		}
		if n.Level == datamodel.SensorLevel {
			leaves++
			if n.Sensor.Provenance == sensors.Attributed {
				derived++
			}
		}
		names := make(map[string]bool)
		for _, m := range n.Metrics {
			if names[m.Name] {
				t.Errorf("%s: %s twice", path, m.Name)
			}
			names[m.Name] = true
			if math.IsNaN(m.Value) != (m.Reason != "") || (m.Provenance == sensors.Missing) != (m.Reason != "") || math.IsInf(m.Value, 0) {
				t.Errorf("%s: %s is %v by %s for the reason %q", path, m.Name, m.Value, m.Provenance, m.Reason)
			}
			if m.Reason == "" && m.Source == "" && n.Level != datamodel.SensorLevel && n.Family != "gpu" {
				t.Errorf("%s: %s has no source", path, m.Name)
			}
			if m.Value < 0 && m.Unit != units.Celsius {
				t.Errorf("%s: %s is %v", path, m.Name, m.Value)
			}
			if m.Unit == "" {
				t.Errorf("%s: %s has no unit", path, m.Name)
			}
		}
		for _, c := range n.Children {
			walk(c, depth+1, path)
		}
	}
	walk(tree, 0, "")
	if leaves != len(in.Series)+derived {
		t.Errorf("%d leaves for %d series and %d derived", leaves, len(in.Series), derived)
	}

	run, host := tree.First(datamodel.RunLevel), tree.First(datamodel.HostLevel)
	for i, f := range datamodel.Summary() {
		if m := run.Metrics[i]; m.Name != f.Name || m.Unit != f.Unit {
			t.Errorf("summary %d is %s in %s, want %s in %s", i, m.Name, m.Unit, f.Name, f.Unit)
		}
	}
	var parts, gpus float64
	for _, d := range host.Children {
		for _, p := range d.Meta {
			if p.Key == "summed" && p.Value == "yes" {
				parts += d.Metric("energy").Value
				if d.Family == "gpu" {
					gpus += d.Metric("energy").Value
				}
			}
		}
	}
	energy := host.Metric("energy").Value
	if parts > 0 && !isNear(energy, parts, 1e-12) || parts == 0 && !math.IsNaN(energy) {
		t.Errorf("the host's energy is %v, the sum of its parts %v", energy, parts)
	}
	if gpus > 0 && !isNear(run.Metric("gpu_energy").Value, gpus, 1e-12) {
		t.Errorf("gpu_energy is %v, the sum of its parts %v", run.Metric("gpu_energy").Value, gpus)
	}
	powers := 0.0
	for _, s := range energyOf(in).summed() {
		powers += s.Energy().Value / s.Counted()
	}
	if p := run.Metric("power").Value; !math.IsNaN(p) && !isNear(p, powers, 1e-9) {
		t.Errorf("the power is %v, the sum of its parts %v", p, powers)
	}
	// The shares of the cover's energy without the GPUs, at every level that has it.
	for _, n := range []*datamodel.Node{tree, tree.First(datamodel.MultiRun), run, host} {
		target, other, idle := n.Metric("target_energy"), n.Metric("other_energy"), n.Metric("idle_energy")
		if (target.Reason == "") != (other.Reason == "") {
			t.Errorf("%s: target %+v, other %+v", n.Level, target, other)
		}
		if target.Reason != "" {
			continue
		}
		all := target.Value + other.Value
		if idle.Reason == "" {
			all += idle.Value
		}
		if !isNear(all, parts-gpus, 1e-12) {
			t.Errorf("%s: target %v, other %v and idle %v are not %v J", n.Level, target.Value, other.Value, idle.Value, parts-gpus)
		}
	}
	// The shares of the GPUs' energy, for each and for all.
	checkWhose(t, "all GPUs", gpus, host.Metric("gpu_target_energy"), host.Metric("gpu_other_energy"), host.Metric("gpu_idle_energy"))
	for _, d := range host.Children {
		if d.Family == "gpu" && slices.Contains(d.Meta, datamodel.Pair{Key: "summed", Value: "yes"}) {
			checkWhose(t, d.Name, d.Metric("energy").Value, d.Metric("target_energy"), d.Metric("other_energy"), d.Metric("idle_energy"))
		}
	}
	if u := run.Metric("cpu_utilization").Value; u < 0 || u > 1 {
		t.Errorf("utilization %v", u)
	}
}

// checkWhose checks that the parts add up to the whole if the first two are known. Either both are known or none.
func checkWhose(t *testing.T, what string, whole float64, target, other, idle datamodel.Metric) {
	t.Helper()
	if (target.Reason == "") != (other.Reason == "") {
		t.Errorf("%s: target %+v, other %+v", what, target, other)
	}
	if target.Reason != "" {
		return
	}
	all := target.Value + other.Value
	if idle.Reason == "" {
		all += idle.Value
	}
	if !isNear(all, whole, 1e-12) || target.Value < 0 || other.Value < 0 || idle.Value < 0 {
		t.Errorf("%s: target %v, other %v and idle %v are not %v J", what, target.Value, other.Value, idle.Value, whole)
	}
}

func uniqueIDs(list []*series.Series) map[string]bool {
	out := make(map[string]bool)
	for _, s := range list {
		out[s.Sensor().ID] = true
	}
	return out
}

// TestBuildAWholeMachine has two sockets with memory, cores and a psys that must not be added. It has one GPU with a
// counter and one without, and a target in a cgroup.
func TestBuildAWholeMachine(t *testing.T) {
	const d = 10 * sec
	list := []*series.Series{
		line(zone("package-0"), 5000, 6000, d),
		line(zone("package-0/core"), 1, 700, d),
		line(zone("package-0/dram"), 77, 177, d),
		line(zone("package-1"), 1000, 1400, d),
		line(zone("package-1/dram"), 0, 50, d),
		line(zone("psys"), 0, 2500, d),
		line(zone("mmio/package-0"), 5000, 6000, d),
		line(zone("npu"), 0, 3, d),
		line(gpu("GPU-a", "energy", sensors.Counter, units.Joule), 100, 3100, d),
		line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), 290, 290, d),
		line(gpu("GPU-a", "memory_used", sensors.Gauge, units.Byte), 1e9, 3e9, d),
		line(gpu("GPU-b", "power", sensors.Gauge, units.Watt), 0, 100, d),
		line(gpu("GPU-b", "memory_used", sensors.Gauge, units.Byte), 2e9, 1e9, d),
		counterLine("network/lo/receive", units.Byte, 9999, d),
		counterLine("network/lo/transmit", units.Byte, 9999, d),
		counterLine("network/eth0/receive", units.Byte, 500, d),
		counterLine("network/eth0/transmit", units.Byte, 70, d),
		counterLine("network/eth1/receive", units.Byte, 20, d),
		counterLine("network/eth1/transmit", units.Byte, 0, d),
		line(sensor("target/cpu_time", sensors.Counter, units.Second, "cgroup v2 cpu.stat"), 0, 12, d),
		line(sensor("target/user_time", sensors.Counter, units.Second, "cgroup v2 cpu.stat"), 0, 11, d),
		line(sensor("target/system_time", sensors.Counter, units.Second, "cgroup v2 cpu.stat"), 0, 1, d),
		line(sensor("target/memory_peak", sensors.Gauge, units.Byte, "walk"), 0, 5e6, d),
		line(sensor("target/processes_ever", sensors.Gauge, units.Processes, "walk"), 1, 21, d),
		line(sensor("target/read", sensors.Counter, units.Byte, "walk"), 0, 4096, d),
		line(sensor("target/written", sensors.Counter, units.Byte, "walk"), 0, 8192, d),
		line(sensor("profiler/cpu_time", sensors.Counter, units.Second, "getrusage"), 0.01, 0.06, d),
		line(sensor("profiler/runner_cpu_time", sensors.Counter, units.Second, "/proc"), 0.001, 0.002, d),
	}
	list = append(list, procStat(15, 5, 16, 4, d)...)
	in := input{
		Run: datamodel.Run{
			Project: "train", ID: "20261121-a1", Command: []string{"./train.sh"}, Outcome: datamodel.Done, Host: datamodel.HostInfo{Name: "node7"},
			Sources: []datamodel.SourceStats{{Name: "rapl", ReadTime: 0.004, Readings: 11, Missed: 2}, {Name: "nvml", Hung: true}},
		},
		Ledger: datamodel.Ledger{
			WallTime: new(10.0), UserTime: new(10.99), SystemTime: new(1.0), MaxRSS: new(4e6),
			ReadBytes: new(5000.0), MinorFaults: new(33.0), RunnerTime: new(0.003),
		},
		Series: list,
	}
	tree, warnings := build(t, in)
	run := tree.First(datamodel.RunLevel)
	for _, w := range []struct {
		name   string
		value  float64
		from   sensors.Provenance
		source string
	}{
		{"wall_time", 10, sensors.FromCounter, "monotonic"},
		{"cpu_time", 12, sensors.FromCounter, "cgroup v2 cpu.stat"},
		{"cpu_user_time", 11, sensors.FromCounter, "cgroup v2 cpu.stat"},
		{"cpu_system_time", 1, sensors.FromCounter, "cgroup v2 cpu.stat"},
		{"cpu_utilization", 0.5, sensors.FromCounter, "test"},
		{"peak_memory", 5e6, sensors.Sampled, "walk"},
		{"processes", 21, sensors.Sampled, "walk"},
		{"disk_read", 5000, sensors.FromCounter, "/proc/PID/io"},
		{"disk_write", 8192, sensors.FromCounter, "walk"},
		{"network_receive", 520, sensors.FromCounter, "eth0, eth1"},
		{"network_transmit", 70, sensors.FromCounter, "eth0, eth1"},
		{
			"energy", 1000 + 100 + 400 + 50 + 3000 + 500, sensors.Integrated,
			"packages + dram: package-0, package-0/dram, package-1, package-1/dram; GPUs: GPU-a (counter), GPU-b (power over time)",
		},
		{"power", 505, sensors.Integrated, "packages + dram"},
		{"target_energy", 1550 * 12.0 / 20, sensors.Attributed, "share of busy CPU time in each of 9 intervals, 12 s of 20 s in all, in 1550 J of packages + dram"},
		{"gpu_energy", 3500, sensors.Integrated, "GPUs: GPU-a (counter), GPU-b (power over time)"},
		{"gpu_memory_peak", 5e9, sensors.Sampled, "2 GPUs"},
		{"profiler_cpu_time", 0.053, sensors.FromCounter, "runner and sampler"},
	} {
		m := run.Metric(w.name)
		if !isNear(m.Value, w.value, 1e-12) || m.Provenance != w.from || !strings.Contains(m.Source, w.source) {
			t.Errorf("%s is %v by %s from %q (%s), want %v by %s from %q", w.name, m.Value, m.Provenance, m.Source, m.Reason,
				w.value, w.from, w.source)
		}
	}
	if len(warnings) != 1 || warnings[0].Subject != "steal" {
		t.Errorf("warnings: %v", warnings)
	}
	for name, verdict := range map[string]string{
		"rapl/package-0": "yes", "rapl/package-0/core": "no: inside package-0", "rapl/psys": "no: holds package-0, package-1",
		"rapl/mmio/package-0": "no: same as rapl/package-0/energy", "rapl/npu": "no: unknown name: not summed",
	} {
		leaf := tree.Find(datamodel.DeviceLevel, name).Children[0]
		if len(leaf.Meta) != 1 || leaf.Meta[0].Value != verdict {
			t.Errorf("%s: %v, want %s", name, leaf.Meta, verdict)
		}
	}
	host := tree.Find(datamodel.HostLevel, "node7")
	if last := host.Meta[len(host.Meta)-1]; last.Key != "energy" || !strings.HasPrefix(last.Value, "packages + dram: package-0,") {
		t.Errorf("host: %v", host.Meta)
	}
	if m := tree.Find(datamodel.DeviceLevel, "target").Metric("minor_faults"); m.Value != 33 {
		t.Errorf("minor_faults: %+v", m)
	}
	profiler := tree.Find(datamodel.DeviceLevel, "profiler")
	if profiler.Metric("read_time/rapl").Value != 0.004 || profiler.Metric("read_time/nvml").Reason == "" || profiler.Metric("missed").Value != 2 {
		t.Errorf("profiler: %v", profiler.Metrics)
	}
	if got := tree.Metric("energy"); got.Value != 5050 {
		t.Errorf("app: %+v", got)
	}
	sparks := Account(OneHost(in.Run, in.Ledger, in.Series, nil)).Spark
	if p := sparks["power"]; len(p) != 60 || p[30] == nil || !isNear(*p[30], 505, 0.02) {
		t.Errorf("power spark: %v", p)
	}
}

// TestBuildFromTheLedgerAlone checks a run whose sampler failed. What the runner knows is there, and everything else
// has a reason.
func TestBuildFromTheLedgerAlone(t *testing.T) {
	in := input{
		Run: datamodel.Run{Outcome: datamodel.SamplerFailed, Reason: "sampler: exit status 2"},
		Ledger: datamodel.Ledger{
			WallTime: new(0.3), UserTime: new(0.25), SystemTime: new(0.05), OrphansTime: new(0.1),
			OrphansUserTime: new(0.07), MaxRSS: new(7e6),
			ReadBytes: new(1.0), WriteBytes: new(2.0), RunnerTime: new(0.01),
		},
	}
	tree, warnings := build(t, in)
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	known := map[string]float64{
		"wall_time": 0.3, "cpu_time": 0.4, "cpu_user_time": 0.32, "cpu_system_time": 0.08, "peak_memory": 7e6,
		"disk_read": 1, "disk_write": 2,
	}
	for _, m := range tree.First(datamodel.RunLevel).Metrics {
		want, ok := known[m.Name]
		if ok && !isNear(m.Value, want, 1e-12) || !ok && (!math.IsNaN(m.Value) || m.Reason == "") {
			t.Errorf("%+v, want %v", m, want)
		}
		if !ok && m.Name != "profiler_cpu_time" && m.Name != "cpu_limit_utilization" && !strings.HasPrefix(m.Name, "estimated_") && !strings.Contains(m.Reason, "exit status 2") {
			t.Errorf("%s: reason %q", m.Name, m.Reason)
		}
	}
	if m := tree.First(datamodel.RunLevel).Metric("peak_memory"); !strings.Contains(m.Source, "largest single process") {
		t.Errorf("%+v", m)
	}
	build(t, input{})
}

func TestReasonsComeFromWhatWasFoundMissing(t *testing.T) {
	in := input{
		Run: datamodel.Run{Missing: []sensors.Absence{
			{ID: "rapl/package-0/core/energy", Reason: "masked"},
			{ID: "rapl", Reason: "no powercap in this kernel"},
			{ID: "nvml", Reason: "no NVIDIA driver"},
			{ID: "network/eth0/receive", Family: "network", Reason: "permission denied"},
		}},
		Series: procStat(1, 1, 1, 0, sec),
	}
	tree, _ := build(t, in)
	run := tree.First(datamodel.RunLevel)
	for name, reason := range map[string]string{
		"energy": "no powercap in this kernel", "power": "no powercap in this kernel",
		"target_energy": "no powercap in this kernel", "gpu_energy": "no NVIDIA driver",
		"gpu_memory_peak": "no NVIDIA driver", "network_receive": "permission denied",
		"processes": "no such sensor was read", "wall_time": "the end of the command was not seen",
	} {
		if m := run.Metric(name); m.Reason != reason || m.Provenance != sensors.Missing {
			t.Errorf("%s: %q, want %q", name, m.Reason, reason)
		}
	}
}

func TestWhichCPUTime(t *testing.T) {
	const d = sec
	by := func(source string, from sensors.Provenance, v float64) *series.Series {
		s := sensor("target/cpu_time", sensors.Counter, units.Second, source)
		s.Provenance = from
		return line(s, 0, v, d)
	}
	exact := sensors.FromCounter
	for _, c := range []struct {
		name   string
		ledger datamodel.Ledger
		series *series.Series
		want   float64
		source string
		warned bool
	}{
		{
			"group at the end",
			datamodel.Ledger{GroupTime: new(5.0), GroupTimeSource: "cgroup v1 cpuacct", UserTime: new(4.0), SystemTime: new(0.5)},
			by("cgroup v1 cpuacct", exact, 4.9), 5, "cgroup v1 cpuacct", false,
		},
		{"group as sampled", datamodel.Ledger{UserTime: new(4.0), SystemTime: new(0.5)}, by("cgroup v2 cpu.stat", exact, 4.9), 4.9, "cgroup v2", false},
		{"perf", datamodel.Ledger{UserTime: new(4.0), SystemTime: new(0.5)}, by("perf task-clock (inherit)", exact, 4.6), 4.6, "perf", false},
		{"perf without the exits", datamodel.Ledger{UserTime: new(4.0), SystemTime: new(0.5)}, by("perf task-clock (inherit)", exact, 4.4), 4.5, "wait4", false},
		{"rusage before the walk", datamodel.Ledger{UserTime: new(4.0), SystemTime: new(0.5)}, by("/proc/PID/stat", sensors.Sampled, 4.4), 4.5, "wait4", false},
		{"the walk sees daemons", datamodel.Ledger{UserTime: new(0.1), SystemTime: new(0.1)}, by("/proc/PID/stat", sensors.Sampled, 4.4), 4.4, "stat", false},
		{"the walk alone", datamodel.Ledger{}, by("/proc/PID/stat", sensors.Sampled, 4.4), 4.4, "stat", false},
		{"perf missed short processes", datamodel.Ledger{UserTime: new(4.0), SystemTime: new(0.5)}, by("perf task-clock", exact, 3.9), 4.5, "wait4", false},
		{"moved out of the group", datamodel.Ledger{GroupTime: new(0.1), UserTime: new(4.0), SystemTime: new(0.5)}, nil, 4.5, "wait4", true},
		{"too little to tell of", datamodel.Ledger{GroupTime: new(0.001), UserTime: new(0.009), SystemTime: new(0.0)}, nil, 0.009, "wait4", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input{Ledger: c.ledger}
			if c.series != nil {
				in.Series = []*series.Series{c.series}
			}
			tree, warnings := build(t, in)
			m := tree.First(datamodel.RunLevel).Metric("cpu_time")
			if m.Value != c.want || !strings.Contains(m.Source, c.source) || (len(warnings) > 0) != c.warned {
				t.Errorf("%v from %q, %v; want %v from %q", m.Value, m.Source, warnings, c.want, c.source)
			}
		})
	}
}

// TestUserAndSystemAreTheWhole checks that user and system time come from a source in which they add up to the whole.
// Otherwise they are missing.
func TestUserAndSystemAreTheWhole(t *testing.T) {
	of := func(source, modes string, total, user, system float64) []*series.Series {
		count := func(name, source string, from sensors.Provenance, v float64) *series.Series {
			s := sensor("target/"+name, sensors.Counter, units.Second, source)
			s.Provenance = from
			return line(s, 0, v, sec)
		}
		how := sensors.Sampled
		if modes == source {
			how = sensors.FromCounter
		}
		return []*series.Series{
			count("cpu_time", source, sensors.FromCounter, total), count("user_time", modes, how, user),
			count("system_time", modes, how, system),
		}
	}
	stolen := func(seconds float64) *series.Series {
		s := sensor("cpu/softirq", sensors.Counter, units.Second, "/proc/stat")
		s.Use = sensors.CPUSoftIRQ
		return line(s, 0, seconds, sec)
	}
	const perf, walk, group = "perf task-clock (inherit)", "walk, /proc/PID/stat", "cgroup v2 cpu.stat"
	none := math.NaN()
	for _, c := range []struct {
		name         string
		ledger       datamodel.Ledger
		series       []*series.Series
		user, system float64
		source       string
		from         sensors.Provenance
	}{
		{
			"children without a wait",
			datamodel.Ledger{UserTime: new(0.0128), SystemTime: new(0.09)},
			of(perf, walk, 0.53, 0.06, 0.31), none, none, "", sensors.Missing,
		},
		{
			"no wait, but the walk saw all",
			datamodel.Ledger{UserTime: new(0.0128), SystemTime: new(0.09)},
			of(perf, walk, 0.53, 0.2, 0.32), 0.2, 0.32, walk, sensors.Sampled,
		},
		{
			"the walk has one of them only",
			datamodel.Ledger{UserTime: new(0.0128), SystemTime: new(0.09)},
			of(perf, walk, 0.53, 0.5, none), none, none, "", sensors.Missing,
		},
		{
			"all were waited for", // perf also counts the time of interrupts
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.32)}, of(perf, walk, 0.53, 0.2, 0.3), 0.2, 0.32, "wait4", sensors.FromCounter,
		},
		{
			"perf without the exits",
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.32)},
			of(perf, walk, 0.47, 0.1, 0.3), 0.2, 0.32, "wait4", sensors.FromCounter,
		},
		{
			"all were waited for, beside many interrupts",
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.28)},
			append(of(perf, walk, 0.53, 0.1, 0.3), stolen(0.06)), 0.2, 0.28, "wait4", sensors.FromCounter,
		},
		{
			"more is missing than interrupts had",
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.25)},
			append(of(perf, walk, 0.53, 0.1, 0.3), stolen(0.01)), none, none, "", sensors.Missing,
		},
		{
			"interrupts do not explain a part this large",
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.17)},
			append(of(perf, walk, 0.53, 0.1, 0.3), stolen(10)), none, none, "", sensors.Missing,
		},
		{
			"orphans without a split",
			datamodel.Ledger{UserTime: new(0.2), SystemTime: new(0.1), OrphansTime: new(0.3)},
			nil, none, none, "", sensors.Missing,
		},
		{
			"group at the end",
			datamodel.Ledger{GroupTime: new(0.53), GroupUserTime: new(0.43), GroupSystemTime: new(0.1), UserTime: new(0.01), SystemTime: new(0.0)},
			nil, 0.43, 0.1, "cgroup", sensors.FromCounter,
		},
		{
			"group as sampled",
			datamodel.Ledger{UserTime: new(0.01), SystemTime: new(0.0)},
			of(group, group, 0.53, 0.43, 0.1), 0.43, 0.1, group, sensors.FromCounter,
		},
		{
			"moved out of the group",
			datamodel.Ledger{GroupTime: new(0.1), GroupUserTime: new(0.06), GroupSystemTime: new(0.04), UserTime: new(0.5), SystemTime: new(0.2)},
			nil, 0.5, 0.2, "wait4", sensors.FromCounter,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, _ := build(t, input{Ledger: c.ledger, Series: c.series})
			for name, want := range map[string]float64{"cpu_user_time": c.user, "cpu_system_time": c.system} {
				m := tree.First(datamodel.RunLevel).Metric(name)
				same := m.Value == want || math.IsNaN(m.Value) && math.IsNaN(want)
				if !same || m.Provenance != c.from || !strings.Contains(m.Source, c.source) || math.IsNaN(want) && m.Reason == "" {
					t.Errorf("%+v, want %v by %s from %q", m, want, c.from, c.source)
				}
			}
		})
	}
}

func TestTooShortForTicks(t *testing.T) {
	in := input{Ledger: datamodel.Ledger{WallTime: new(0.002), GroupTime: new(0.001)}, Series: append(procStat(0, 0, 0.01, 0, 3*ms), line(zone("package-0"), 5, 5.2, 3*ms))}
	tree, warnings := build(t, in)
	run := tree.First(datamodel.RunLevel)
	for _, name := range []string{"cpu_utilization", "target_energy"} {
		if m := run.Metric(name); !strings.Contains(m.Reason, "too short for counters with steps of 10 ms") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0].Text, "the command ran for 0.002 s") || !strings.Contains(warnings[1].Text, "± 33 %") {
		t.Errorf("%v", warnings)
	}
}

func TestTargetEnergyIsAtMostAll(t *testing.T) {
	in := input{Ledger: datamodel.Ledger{GroupTime: new(2.5)}, Series: append(procStat(2, 0, 8, 0, sec), line(zone("package-0"), 5, 105, sec))}
	tree, _ := build(t, in)
	if m := tree.First(datamodel.RunLevel).Metric("target_energy"); m.Value != 100 || m.Provenance != sensors.Attributed || m.Aggregation != "share" {
		t.Errorf("%+v", m)
	}
}

func TestEnergyFromWhatGaveOne(t *testing.T) {
	nan := math.NaN()
	dead := func(device string) *series.Series {
		return seriesOf(zone(device), every(sec, 3), []float64{nan, nan, nan})
	}
	f := func(name string, want float64, source, warning string, list ...*series.Series) {
		t.Helper()
		tree, warnings := build(t, input{Series: list})
		m := tree.First(datamodel.RunLevel).Metric("energy")
		if m.Value != want && !(math.IsNaN(want) && math.IsNaN(m.Value)) || !strings.Contains(m.Source+m.Reason, source) {
			t.Errorf("%s: %+v, want %v from %q", name, m, want, source)
		}
		said := false
		for _, w := range warnings {
			said = said || strings.Contains(w.Text, warning)
		}
		if said != (warning != "") {
			t.Errorf("%s: %v, want %q", name, warnings, warning)
		}
	}
	f("mmio for a dead twin", 10, "packages: mmio/package-0", "", dead("package-0"), line(zone("mmio/package-0"), 0, 10, sec))
	f("psys for a dead package", 10, "psys: psys", "not in the machine's energy: no reading", dead("package-0"), line(zone("psys"), 0, 10, sec))
	f("one package is dead", 10, "packages: package-0", "not in the machine's energy: no reading", line(zone("package-0"), 0, 10, sec), dead("package-1"))
	f("dead", nan, "no reading in 3 tries", "", dead("package-0"))
	f("stuck", nan, "did not move in 1 s", "", line(zone("package-0"), 7, 7, sec))
	f("only a GPU", 50, "GPUs: GPU-a (power over time)", "", line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), 50, 50, sec))
	f("a GPU whose counter is dead", 50, "GPUs: GPU-a (power over time)", "",
		seriesOf(gpu("GPU-a", "energy", sensors.Counter, units.Joule), every(sec, 2), []float64{nan, nan}),
		line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), 50, 50, sec))
	f("a GPU that gave nothing", 50, "GPUs: GPU-a (power over time)", "gave no energy",
		line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), 50, 50, sec),
		seriesOf(gpu("GPU-b", "power", sensors.Gauge, units.Watt), every(sec, 2), []float64{nan, nan}))
	f("dies that mirror each other", 1010, "package-0-die-0, package-1-die-0", "shows the same counter as package-0-die-0",
		line(zone("package-0-die-0"), 70000, 70010, sec), line(zone("package-0-die-1"), 70000, 70010, sec),
		line(zone("package-1-die-0"), 70000, 71000, sec))
	f("dies of their own", 30, "package-0-die-0, package-0-die-1", "",
		line(zone("package-0-die-0"), 70000, 70010, sec), line(zone("package-0-die-1"), 81000, 81020, sec))
}

// TestBuildProperties checks random trees with checkTree.
func TestBuildProperties(t *testing.T) {
	zones := []string{
		"package-0", "package-1", "package-0/dram", "package-0/core", "package-1/dram", "psys", "mmio/package-0", "mmio/package-1",
		"package-0-die-1", "npu",
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		d := time.Duration(1+r.IntN(5000)) * ms
		var list []*series.Series
		add := func(s sensors.Sensor, scale float64) {
			at, values := every(d/20, 21), make([]float64, 21)
			v := scale * r.Float64()
			for i := range values {
				v += scale * r.Float64()
				if values[i] = v; s.Kind == sensors.Gauge {
					values[i] = scale * r.Float64()
				}
				if r.IntN(12) == 0 {
					values[i] = math.NaN()
				}
			}
			list = append(list, seriesOf(s, at, values))
		}
		for _, z := range zones {
			if r.IntN(2) == 0 {
				add(zone(z), 5)
			}
		}
		for i := range r.IntN(4) {
			uuid := fmt.Sprintf("GPU-%d", i)
			if r.IntN(2) == 0 {
				add(gpu(uuid, "energy", sensors.Counter, units.Joule), 40)
			}
			add(gpu(uuid, "power", sensors.Gauge, units.Watt), 300)
			add(gpu(uuid, "memory_used", sensors.Gauge, units.Byte), 8e10)
			for _, name := range []string{
				"target_utilization", "other_utilization", "target_processes", "other_processes", "module_power", "update_period",
			} {
				if r.IntN(3) > 0 {
					add(gpu(uuid, name, sensors.Gauge, units.Ratio), float64(r.IntN(2)))
				}
			}
		}
		for _, mode := range []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} {
			add(sensor("cpu/"+mode, sensors.Counter, units.Second, "/proc/stat"), 0.5)
		}
		add(sensor("target/cpu_time", sensors.Counter, units.Second, "cgroup v2 cpu.stat"), 0.1)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		in := input{Series: list, Ledger: datamodel.Ledger{WallTime: new(d.Seconds())}}
		if r.IntN(2) == 0 {
			base := BaselineOf(list, time.Time{}, nil)
			base.Power *= 1.5 * r.Float64()
			for uuid := range base.GPUs {
				base.GPUs[uuid] *= 1.5 * r.Float64()
			}
			in.Run.Baseline = &base
		}
		tree, _ := build(t, in)
		again, _ := build(t, in)
		if a, b := fmt.Sprintf("%+v", tree.First(datamodel.HostLevel).Metrics), fmt.Sprintf("%+v", again.First(datamodel.HostLevel).Metrics); a != b {
			t.Errorf("seed %d: built twice: %s and %s", seed, a, b)
		}
		whole := OneHost(in.Run, in.Ledger, in.Series, nil)
		brief := whole
		brief.Brief = true
		x, y := Account(whole), Account(brief)
		if a, b := fmt.Sprintf("%+v %v %v", x.Summary, x.Warnings, x.Missing), fmt.Sprintf("%+v %v %v", y.Summary, y.Warnings, y.Missing); a != b || y.Tree != nil {
			t.Errorf("seed %d: in brief %s, whole %s", seed, b, a)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestSummaryIsAllMade checks that every field of the summary is set, so that a new one is not forgotten.
func TestSummaryIsAllMade(t *testing.T) {
	tree, _ := buildTree(input{})
	var names, want []string
	for _, m := range tree.First(datamodel.RunLevel).Metrics {
		if m.Reason == "not measured" {
			t.Errorf("%s is not made", m.Name)
		}
		names = append(names, m.Name)
	}
	for _, f := range datamodel.Summary() {
		want = append(want, f.Name)
	}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestDiesThatRiseAlike checks that dies whose counters started differently but rise alike count as one. A few readings
// on the other side of an update do not hide this. Two dies with only the same mean are two.
func TestDiesThatRiseAlike(t *testing.T) {
	const n = 60
	rows := func(device string, start float64, noise func(i int) float64) *series.Series {
		at, values := every(100*ms, n), make([]float64, n)
		v := start
		for i := range values {
			v += 5 + 2*math.Sin(float64(i)*1.7)
			values[i] = v + noise(i)
		}
		return seriesOf(zone(device), at, values)
	}
	none := func(int) float64 { return 0 }
	f := func(name string, other *series.Series, want int) {
		t.Helper()
		first := rows("package-0-die-0", 100, none)
		c := chooseEnergy([]*series.Series{first, other})
		if len(c.cpu) != want || len(c.warnings) != 2-want {
			t.Errorf("%s: %d counters summed, want %d; %v", name, len(c.cpu), want, c.warnings)
		}
	}
	f("the same from another start", rows("package-0-die-1", 7000, none), 1)
	f("three readings an update apart", rows("package-0-die-1", 7000, func(i int) float64 {
		if i%20 == 7 {
			return 0.05
		}
		return 0
	}), 1)
	r := rand.New(rand.NewPCG(1, 1))
	f("the same but for 1 %", rows("package-0-die-1", 7000, func(int) float64 { return 0.05 * r.Float64() }), 2)
	f("of another socket", rows("package-1-die-0", 7000, none), 2)
	steady := func(device string, start float64) *series.Series { return line(zone(device), start, start+100, sec) }
	if c := chooseEnergy([]*series.Series{steady("package-0-die-0", 10), steady("package-0-die-1", 9000)}); len(c.cpu) != 2 {
		t.Errorf("ten equal increments are taken for a sign: %v", c.warnings)
	}
}

// TestMissingReadingsAreSaid checks that failed readings are counted and reported once per family. A sensor that is not
// read at each beat, or cannot have a value, has no gap.
func TestMissingReadingsAreSaid(t *testing.T) {
	nan := math.NaN()
	of := func(id string, kind sensors.Kind, values ...float64) *series.Series {
		family, rest, _ := strings.Cut(id, "/")
		s := sensors.Sensor{ID: id, Family: family, Name: rest, Unit: units.Byte, Kind: kind, Source: "test", Spans: id == "cpu/utilization"}
		if s.Spans {
			s.Unit = units.Ratio
		}
		if family == "network" {
			s.Device = "eth0"
		}
		return seriesOf(s, every(sec, len(values)), values)
	}
	in := input{Ledger: datamodel.Ledger{WallTime: new(4.0)}, Series: []*series.Series{
		of("memory/used", sensors.Gauge, 1, nan, nan, 4, 5), of("memory/available", sensors.Gauge, 1, nan, 3, 4, 5),
		of("network/receive", sensors.Counter, 1, 2, 3, nan, nan), of("disk/read", sensors.Counter, nan, nan, nan, nan, nan),
		of("target/threads", sensors.Gauge, 1, nan, nan, nan, 5), of("cpu/utilization", sensors.Gauge, nan, nan, 0.5, nan, 1),
		of("network/transmit", sensors.Counter, 1, 2, 3, 4, 5), of("profiler/memory", sensors.Gauge, 1, nan, nan, 4, 5),
		of("swap/in", sensors.Counter, 5, 6, 2, 7, 8),
	}}
	_, warnings := build(t, in)
	var got []string
	for _, w := range warnings {
		if strings.Contains(w.Text, "missing") {
			got = append(got, fmt.Sprintf("%s: %s: %d", w.Subject, w.Text, w.Count))
		}
	}
	want := []string{"memory: 2 of 5 readings are missing, from 2 sensors: 2", "network/receive: 2 of 5 readings are missing; none came after 2 s: 2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
