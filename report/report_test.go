package report_test

import (
	"bytes"
	"cmp"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// updating reports whether the tests rewrite the generated files. Look at the changes before you commit them.
func updating() bool { return os.Getenv("ERGON_UPDATE") != "" }

// entry is one value of an example's summary.
type entry struct {
	name   string
	value  float64
	from   sensors.Provenance
	source string
}

func absent(reason string, names ...string) []datamodel.Metric {
	var out []datamodel.Metric
	for _, name := range names {
		out = append(out, datamodel.Missing(name, "", reason))
	}
	return out
}

func result(run datamodel.Run, entries []entry, missing ...[]datamodel.Metric) datamodel.Result {
	node := &datamodel.Node{Name: run.ID, Level: datamodel.RunLevel}
	unit := map[string]units.Unit{}
	for _, f := range datamodel.Summary() {
		unit[f.Name] = f.Unit
	}
	for _, e := range entries {
		node.Metrics = append(node.Metrics, datamodel.Value(e.name, e.value, unit[e.name], "delta", e.from, e.source))
	}
	for _, ms := range missing {
		for _, m := range ms {
			m.Unit = unit[m.Name]
			node.Metrics = append(node.Metrics, m)
		}
	}
	tree := &datamodel.Node{Name: run.Project, Level: datamodel.App, Children: []*datamodel.Node{
		{Name: run.Project, Level: datamodel.MultiRun, Children: []*datamodel.Node{node}},
	}}
	return datamodel.Result{Run: run, Tree: tree}
}

func course(values ...float64) []*float64 {
	out := make([]*float64, len(values))
	for i, v := range values {
		if !math.IsNaN(v) {
			out[i] = &v
		}
	}
	return out
}

func start() time.Time { return time.Date(2026, 3, 14, 9, 26, 53, 589793238, time.UTC) }

// vm is a machine without any energy or GPU.
func vm() datamodel.Result {
	nan := math.NaN()
	run := datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-7f3a", Project: "go", Command: []string{"go", "build", "./..."},
		Folder: "/home/ada/ergon", Outcome: datamodel.Done, ExitCode: new(0), Start: start(), WallTime: new(12.418),
		Host: datamodel.HostInfo{
			Name: "build-7", OS: "linux", Kernel: "6.1.0-18-cloud-amd64", Architecture: "amd64",
			CPU: "AMD EPYC 7B13", CPUs: 2, Memory: 8 << 30, Virtualization: "kvm",
		},
		Sources: []datamodel.SourceStats{
			{Name: "cpu", Interval: 0.1, Sensors: 33, Readings: 125, ReadTime: 0.0041, Worst: 0.0002},
			{Name: "target", Interval: 0.1, Sensors: 14, Readings: 122, Missed: 3, Late: 1, ReadTime: 0.019, Worst: 0.0013},
		},
		Missing: []sensors.Absence{
			{ID: "rapl", Source: "/sys/class/powercap", Reason: "no powercap in this kernel"},
			{ID: "gpu", Source: "libnvidia-ml.so.1", Reason: "no NVIDIA driver"},
		},
		Warnings:   []datamodel.Warning{},
		Accounting: "perf task-clock, inherited", Version: "0.1.0",
		Spark: map[string][]*float64{"cpu": course(
			0.21, 0.55, 0.93, 0.98, 1, 1, 0.99, 0.98, 0.97, 0.99, 1, 1, 0.96, nan, nan, 0.97, 0.88, 0.64, 0.52, 0.51, 0.5, 0.31)},
	}
	r := result(run, []entry{
		{"wall_time", 12.418, sensors.FromCounter, "clock"},
		{"cpu_time", 21.3071, sensors.FromCounter, "perf task-clock"},
		{"cpu_user_time", 17.912, sensors.FromCounter, "wait4"},
		{"cpu_system_time", 3.3951, sensors.FromCounter, "wait4"},
		{"cpu_utilization", 0.8731, sensors.FromCounter, "/proc/stat"},
		{"peak_memory", 812.3 * (1 << 20), sensors.Sampled, "/proc/PID/smaps_rollup"},
		{"processes", 203, sensors.FromCounter, "/proc/stat"},
		{"disk_read", 12582912, sensors.FromCounter, "/proc/PID/io"},
		{"disk_write", 356515840, sensors.FromCounter, "/proc/PID/io"},
		{"network_receive", 1289, sensors.FromCounter, "/proc/net/dev"},
		{"network_transmit", 0, sensors.FromCounter, "/proc/net/dev"},
		{"profiler_cpu_time", 0.0312, sensors.FromCounter, "getrusage"},
	}, absent("the command had no memory cgroup of its own", "peak_memory_charge"), absent("no powercap in this kernel", "energy", "power", "target_energy",
		"other_energy", "idle_energy", "net_energy"),
		absent("not requested (--estimate)", "estimated_energy", "estimated_target_energy"),
		absent("no NVIDIA driver", "gpu_energy", "gpu_target_energy", "gpu_memory_peak"), absent("no limit is known", "cpu_limit_utilization"))
	host := &datamodel.Node{
		Name: "build-7", Level: datamodel.HostLevel,
		Meta: []datamodel.Pair{{Key: "kernel", Value: run.Host.Kernel}, {Key: "cpu", Value: run.Host.CPU}},
	}
	sensor := &sensors.Sensor{
		ID: "disk/nvme0n1/read", Family: "disk", Device: "nvme0n1", Name: "read", Unit: units.Byte, Kind: sensors.Counter,
		Source: "/proc/diskstats", Doc: "bytes read from the device",
	}
	read := datamodel.Value("read", 12582912, units.Byte, "delta", sensors.FromCounter, "/proc/diskstats")
	read.Count, read.Gaps, read.Min, read.Max, read.Mean, read.Std = 125, 1, 0, 9437184, 1013280.4638, 2.5e6
	host.Children = []*datamodel.Node{{
		Name: "nvme0n1", Level: datamodel.DeviceLevel, Family: "disk",
		Children: []*datamodel.Node{{
			Name: "read/bytes", Level: datamodel.SensorLevel, Family: "disk", Sensor: sensor, Metrics: []datamodel.Metric{read},
		}},
	}}
	node := r.Tree.First(datamodel.RunLevel)
	node.Children = append(node.Children, host)
	return r
}

// server has energy counters and GPUs.
func server() datamodel.Result {
	run := datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-c0de", Project: "train",
		Command: []string{"python3", "train.py", "--data", "/srv/data sets/cifar", "--epochs", "90", "--lr", "0.1"},
		Folder:  "/srv/jobs/17", Outcome: datamodel.Done, ExitCode: new(0), Start: start(), WallTime: new(5025.5),
		Host: datamodel.HostInfo{
			Name: "gpu-node-12", OS: "linux", Kernel: "6.8.0", Architecture: "amd64", CPU: "Intel Xeon Platinum 8468",
			CPUs: 192, Memory: 1 << 40, Sockets: 2, Cores: 96, Microcode: "0x2b000590", Swap: new(uint64(0)), NUMANodes: 4,
			Container: "docker", Clocksource: "tsc", Mitigations: "mitigated: spectre_v1, spectre_v2", Parameters: "isolcpus=95",
			Scaling: sensors.Scaling{
				Driver: "intel_pstate", Governor: "performance", Others: []string{"powersave"}, Preference: "performance", Turbo: new(true),
				Min: 8e8, Max: 3.8e9, Change: "the governor went from performance to powersave",
			},
			PowerCaps: []sensors.PowerCap{{Zone: "package-0 intel-rapl:0", Constraint: "long_term", Limit: 350}},
			GPUs:      []string{"NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"}, GPUDriver: "NVIDIA 550.54.15",
			Cgroup: "/docker/1", Limits: sensors.Limits{
				Processors: "0-63", Allowed: 64, Quota: 16, QuotaSource: "/sys/fs/cgroup/cpu.max",
				Memory: 256 << 30, MemorySource: "/sys/fs/cgroup/memory.max",
			},
			Git:         &sensors.Git{Commit: "2dfc44d6e0b2a64d2e1d3f4c0a1b2c3d4e5f6a7b", Branch: "main", Dirty: new(true)},
			Environment: map[string]string{"SLURM_JOB_ID": "17", "OMP_NUM_THREADS": "16"},
		},
		Sources: []datamodel.SourceStats{
			{Name: "nvml", Interval: 0.1, Sensors: 48, Readings: 50255, ReadTime: 75, Worst: 0.09},
		},
		Missing: []sensors.Absence{{ID: "rapl/psys", Source: "energy_uj", Cause: sensors.Denied, Reason: "permission denied"}},
		Warnings: []datamodel.Warning{
			{Subject: "rapl/dram-0/energy", Text: "stepped back", Count: 3},
			{Subject: "run", Text: "the machine slept for 12 s"},
		},
		Version: "0.1.0",
		Spark: map[string][]*float64{
			"cpu":   course(0.02, 0.06, 0.08, 0.08, 0.07, 0.08, 0.08, 0.08, 0.07, 0.08, 0.08, 0.03),
			"power": course(700, 2100, 3900, 4020, 4010, 3990, 4100, 4050, 3890, 4000, 4020, 1400),
		},
	}
	const cover = "packages + dram: package-0, package-1, dram-0, dram-1; GPUs: GPU-5c1 (power over time)"
	r := result(run, []entry{
		{"wall_time", 5025.5, sensors.FromCounter, "clock"},
		{"cpu_time", 61824.22, sensors.FromCounter, "cgroup cpu.stat"},
		{"cpu_user_time", 50011.1, sensors.FromCounter, "cgroup cpu.stat"},
		{"cpu_system_time", 11813.12, sensors.FromCounter, "cgroup cpu.stat"},
		{"cpu_utilization", 0.0714, sensors.FromCounter, "/proc/stat"},
		{"cpu_limit_utilization", 0.769, sensors.FromCounter, "cgroup cpu.stat; of 16 CPUs by /sys/fs/cgroup/cpu.max"},
		{"peak_memory", 212.7 * (1 << 30), sensors.Sampled, "cgroup v2 memory.stat"},
		{"peak_memory_charge", 236.1 * (1 << 30), sensors.FromCounter, "cgroup memory.peak"},
		{"processes", 1842, sensors.FromCounter, "perf"},
		{"disk_read", 1.61e12, sensors.FromCounter, "/proc/PID/io"},
		{"disk_write", 4.1e10, sensors.FromCounter, "/proc/PID/io"},
		{"network_receive", 2.9e9, sensors.FromCounter, "/proc/net/dev"},
		{"network_transmit", 8.8e9, sensors.FromCounter, "/proc/net/dev"},
		{"energy", 18.83e6, sensors.Integrated, cover},
		{"power", 3746.9, sensors.Integrated, cover},
		{"target_energy", 3.1e6, sensors.Attributed, "cpu time share"},
		{"other_energy", 0.7e6, sensors.Attributed, "cpu time share"},
		{"gpu_energy", 15.02e6, sensors.Integrated, "nvmlDeviceGetPowerUsage"},
		{"gpu_memory_peak", 287.4 * (1 << 30), sensors.Sampled, "nvmlDeviceGetMemoryInfo"},
		{"profiler_cpu_time", 19.07, sensors.FromCounter, "getrusage"},
	}, absent("no baseline was measured (--baseline)", "idle_energy", "net_energy"),
		absent("which processes used the GPUs was not read", "gpu_target_energy"))
	for i, m := range r.Tree.First(datamodel.RunLevel).Metrics {
		if m.Name == datamodel.PeakMemory {
			r.Tree.First(datamodel.RunLevel).Metrics[i] = m.Least(236.4 * (1 << 30))
		}
	}
	return r
}

// short is a command of a few milliseconds on a machine with a baseline.
func short() datamodel.Result {
	run := datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-0001", Project: "true", Command: []string{"true"},
		Folder: "/home/ada", Outcome: datamodel.Done, ExitCode: new(0), Start: start(), WallTime: new(0.0042),
		Host: datamodel.HostInfo{Name: "desk", OS: "linux", CPUs: 8, Memory: 16 << 30}, Version: "0.1.0",
	}
	r := result(run, []entry{
		{"wall_time", 0.0042, sensors.FromCounter, "clock"},
		{"energy", 0.2113, sensors.FromCounter, "packages: package-0"},
		{"power", 50.31, sensors.FromCounter, "packages: package-0"},
		{"target_energy", 0.0613, sensors.Attributed, "cpu time share"},
		{"other_energy", 0.01, sensors.Attributed, "cpu time share"},
		{"idle_energy", 0.14, sensors.Attributed, "baseline"},
		{"net_energy", 0.0713, sensors.Attributed, "energy less idle_energy"},
	})
	for i, m := range r.Tree.First(datamodel.RunLevel).Metrics {
		half := map[string]float64{"energy": 0.0503, "power": 11.98, "idle_energy": 0.0021, "net_energy": 0.0524}[m.Name]
		if half != 0 {
			r.Tree.First(datamodel.RunLevel).Metrics[i].Uncertainty = half
		}
	}
	return r
}

// failed is a command that ended with an error. Its share of the energy is unknown.
func failed() datamodel.Result {
	r := server()
	r.Run.Outcome, r.Run.ExitCode, r.Run.Reason = datamodel.TargetFailed, new(3), "exit status 3"
	r.Run.Warnings = nil
	node := r.Tree.First(datamodel.RunLevel)
	for i, m := range node.Metrics {
		if m.Name == "target_energy" || m.Name == "other_energy" {
			node.Metrics[i] = datamodel.Missing(m.Name, m.Unit, "no CPU time of the machine")
		}
	}
	return r
}

// samplerFailed is a run with only what the runner itself knows.
func samplerFailed() datamodel.Result {
	run := datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-dead", Project: "make", Command: []string{"make", "-j8"},
		Folder: "/home/ada/src", Outcome: datamodel.SamplerFailed, Reason: "sampler: ended by SIGKILL after 1.2 s",
		ExitCode: new(0), Start: start(), WallTime: new(83.4),
		Host: datamodel.HostInfo{Name: "desk", OS: "linux", CPUs: 8, Memory: 16 << 30}, Version: "0.1.0",
	}
	return result(run, []entry{
		{"wall_time", 83.4, sensors.FromCounter, "clock"},
		{"cpu_time", 401.7, sensors.FromCounter, "wait4"},
		{"cpu_user_time", 377.25, sensors.FromCounter, "wait4"},
		{"cpu_system_time", 24.45, sensors.FromCounter, "wait4"},
		{"peak_memory", 402.6 * (1 << 20), sensors.Sampled, "wait4 ru_maxrss"},
	}, absent("the sampler failed", "cpu_utilization", "processes", "disk_read", "disk_write", "network_receive",
		"network_transmit", "energy", "power", "target_energy", "other_energy", "idle_energy", "net_energy", "gpu_energy", "gpu_target_energy",
		"gpu_memory_peak", "profiler_cpu_time"))
}

// killed is a command that a signal ended. Nothing could be processed.
func killed() datamodel.Result {
	return datamodel.Result{Run: datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-0009", Project: "sleep", Command: []string{"sleep", "1000"},
		Outcome: datamodel.TimedOut, Reason: "ran longer than 5 s", Signal: "SIGTERM", Start: start(), WallTime: new(5.0031),
		Version: "0.1.0",
	}}
}

// notFound is a command that never started.
func notFound() datamodel.Result {
	return datamodel.Result{Run: datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260314T092653-0127", Project: "nosuch", Command: []string{"nosuch"},
		Outcome: datamodel.NotFound, Reason: "nosuch: not found in PATH", Start: start(), Version: "0.1.0",
	}}
}

// evil is a hostile name.
const evil = "a'b\"c\x1b]0;owned\a\x1b[2J\r\n|x|`<script>alert(1)</script>&\u202e\u009b31m\xff,=1+1"

// build is a run with many processes: some share a name, some were merged, and some CPU time was not seen.
func build() datamodel.Result {
	nan := math.NaN()
	r := vm()
	r.Run.ID, r.Run.Command = "20260314T092653-b11d", []string{"make", "-j2"}
	node := r.Tree.First(datamodel.RunLevel)
	for i, m := range node.Metrics {
		if m.Name == "target_energy" {
			node.Metrics[i] = datamodel.Value(m.Name, 213.071, units.Joule, "share", sensors.Attributed, "cpu time share")
		}
	}
	left, joules := 21.3071, 10.0
	add := func(kind datamodel.ProcessKind, name, line string, cpu float64) *datamodel.Process {
		id := len(r.Processes)
		p := datamodel.Process{
			Kind: kind, ID: int64(id), ParentID: -1, PID: int64(4000 + id), Parent: 4000, Name: name, CommandLine: line,
			Start: start().Add(time.Duration(id) * 10 * time.Millisecond), FirstSeen: 0.01 * float64(id), LastSeen: 0.01*float64(id) + 1.2,
			Count: 1, CPUTime: cpu, Provenance: sensors.Sampled, PeakMemory: float64(id+3) * (1 << 20), Read: 4096 * float64(id), Written: 0,
			Energy: cpu * joules,
		}
		p.End = start().Add(time.Duration(p.LastSeen*1e9) + 100*time.Millisecond)
		left -= cpu
		r.Processes = append(r.Processes, p)
		return &r.Processes[id]
	}
	root := add(datamodel.OneProcess, "make", "", 0.25)
	root.Provenance, root.End, root.LastSeen = sensors.FromCounter, time.Time{}, 12.4
	for i := range 124 {
		p := add(datamodel.OneProcess, "cc1", "", 0.04+0.001*float64(i))
		p.ParentID = 0
	}
	add(datamodel.OneProcess, "ld.lld-with-a-very-long-name-that-has-no-end", "", 3.5).Read = nan
	add(datamodel.OneProcess, "ld", "ld -o ergon main.o", 1.5)
	merged := add(datamodel.MergedProcesses, "", "", 0.5)
	merged.PID, merged.Parent, merged.Count, merged.PeakMemory = -1, -1, 5000, nan
	unseen := add(datamodel.UnseenProcesses, "", "", left)
	*unseen = datamodel.Process{
		Kind: unseen.Kind, ID: unseen.ID, ParentID: -1, PID: -1, Parent: -1, FirstSeen: nan, LastSeen: nan, Count: nan,
		CPUTime: unseen.CPUTime, Provenance: sensors.Sampled, PeakMemory: nan, Read: nan, Written: 512, Energy: unseen.Energy,
	}
	return r
}

// hostile is a run with this name wherever a name is possible.
func hostile(name string) datamodel.Result {
	r := vm()
	r.Run.ID, r.Run.Project, r.Run.Folder, r.Run.Reason = name, name, name, name
	r.Run.Command = []string{name, name}
	r.Run.Outcome, r.Run.ExitCode, r.Run.Signal = datamodel.Cancelled, nil, name
	r.Run.Accounting, r.Run.Version = name, name
	r.Run.Replayed = &datamodel.Replay{Tape: name, LeftOut: []string{name}, Version: name}
	r.Run.Host = datamodel.HostInfo{
		Name: name, OS: name, Kernel: name, Architecture: name, CPU: name, CPUs: 1, Memory: 1, Virtualization: name,
		Container: name, Microcode: name, Clocksource: name, Mitigations: name, Parameters: name, GPUs: []string{name}, GPUDriver: name,
		Scaling:   sensors.Scaling{Driver: name, Governor: name, Preference: name, Others: []string{name}, Change: name},
		PowerCaps: []sensors.PowerCap{{Zone: name, Constraint: name, Limit: 1}}, Cgroup: name,
		Limits:      sensors.Limits{Processors: name, Allowed: 1, Quota: 0.5, QuotaSource: name, Memory: 1, MemorySource: name},
		Git:         &sensors.Git{Commit: name, Branch: name, Reason: name},
		Environment: map[string]string{name: name},
	}
	r.Run.Sources = append(r.Run.Sources, datamodel.SourceStats{Name: name, Interval: math.NaN(), Hung: true})
	r.Run.Missing = []sensors.Absence{{ID: name, Source: name, Reason: name}}
	r.Run.Warnings = []datamodel.Warning{{Subject: name, Text: name, Count: 2}}
	var taint func(*datamodel.Node)
	taint = func(n *datamodel.Node) {
		n.Name, n.Family, n.Meta = name, name, []datamodel.Pair{{Key: name, Value: name}}
		if n.Sensor != nil {
			s := *n.Sensor
			s.ID, s.Family, s.Device, s.Name, s.Unit, s.Source, s.Doc = name, name, name, name, units.Unit(name), name, name
			n.Sensor = &s
		}
		for i := range n.Metrics {
			n.Metrics[i].Source, n.Metrics[i].Reason = name, name
			if n.Level != datamodel.RunLevel {
				n.Metrics[i].Name, n.Metrics[i].Aggregation, n.Metrics[i].Unit = name, name, units.Unit(name)
			}
		}
		for _, c := range n.Children {
			taint(c)
		}
	}
	taint(r.Tree)
	r.Processes = build().Processes
	for i, p := range r.Processes {
		if p.Kind == datamodel.OneProcess {
			r.Processes[i].Name, r.Processes[i].CommandLine = name, []string{"", name + " " + name}[i%2]
		}
	}
	return r
}

// finished completes a result from its tree: the summary, the parts of an energy, and the absence behind a reason.
func finished(r datamodel.Result) datamodel.Result {
	if r.Tree == nil {
		return r
	}
	r.Summary = datamodel.SummaryOf(r.Tree)
	for i := range r.Summary {
		m := &r.Summary[i]
		if m.Name == datamodel.Energy && m.Parts == nil && m.Reason == "" {
			for part := range strings.SplitSeq(m.Source, "; ") {
				name, _, _ := strings.Cut(part, ": ")
				kind := map[string]datamodel.PartKind{"GPUs": datamodel.GPUPart, "psys": datamodel.PlatformPart}[name]
				m.Parts = append(m.Parts, datamodel.Part{Kind: cmp.Or(kind, datamodel.CPUPart), Name: name})
			}
		}
		for _, a := range r.Run.Missing {
			if m.Reason != "" && strings.Contains(m.Reason, a.Reason) && m.Absence == "" {
				m.Absence = a.ID
			}
		}
	}
	return r
}

func render(t testing.TB, format string, r datamodel.Result, o report.Options) string {
	t.Helper()
	r = finished(r)
	if format == "long" { // the whole text
		format, o.Verbose = "text", true
	}
	for _, f := range report.All() {
		if f.Name == format {
			var b bytes.Buffer
			if err := f.Write(&b, r, o); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
	}
	t.Fatalf("unknown format %q", format)
	return ""
}

func TestAll(t *testing.T) {
	var names []string
	for _, f := range report.All() {
		names = append(names, f.Name)
		if f.Doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
	}
	if got := strings.Join(names, " "); got != "text json csv markdown html" {
		t.Errorf("the formats are %s", got)
	}
}

// outline leaves the script, the style and their digests out of a page.
func outline(page string) string {
	for _, part := range []string{`(?s)(<style>).*?(</style>)`, `(?s)(<script>).*(</script>)`, `('sha256-)[^']*(')`} {
		page = regexp.MustCompile(part).ReplaceAllString(page, "$1…$2")
	}
	return page
}

func TestGolden(t *testing.T) {
	term := report.Options{
		Width: 80, Unicode: true, Results: "ergon-results/project=go/date=2026-03-14/run=20260314T092653-7f3a",
	}
	wide, all := report.Options{Width: 120, Unicode: true}, report.Options{All: true}
	for _, tt := range []struct {
		name, format string
		result       datamodel.Result
		options      report.Options
	}{
		{"vm.txt", "long", vm(), term},
		{"vm-ascii.txt", "long", vm(), report.Options{}},
		{"vm-color.txt", "long", vm(), report.Options{Width: 100, Unicode: true, Color: true}},
		{"vm-narrow.txt", "long", vm(), report.Options{Width: 48, Unicode: true}},
		{"vm.json", "json", vm(), all},
		{"vm.csv", "csv", vm(), all},
		{"vm-summary.json", "json", vm(), wide},
		{"build-summary.json", "json", build(), wide},
		{"vm-summary.csv", "csv", vm(), wide},
		{"vm.md", "markdown", vm(), wide},
		{"vm.html", "html", vm(), wide},
		{"build.txt", "long", build(), report.Options{Width: 100, Unicode: true, Processes: true}},
		{"build-narrow.txt", "long", build(), report.Options{Width: 48, Unicode: true, Processes: true}},
		{"build-ascii.txt", "long", build(), report.Options{Width: 100, Processes: true}},
		{"build-line.txt", "long", build(), term},
		{"build.json", "json", build(), all},
		{"build.csv", "csv", build(), all},
		{"build.md", "markdown", build(), wide},
		{"build.html", "html", build(), wide},
		{"server.txt", "long", server(), term},
		{"server-wide.txt", "long", server(), wide},
		{"server-setup.txt", "long", server(), report.Options{Width: 80, Unicode: true, Setup: true}},
		{"server-ascii.txt", "long", server(), report.Options{Width: 80}},
		{"server.json", "json", server(), all},
		{"server.md", "markdown", server(), wide},
		{"server.html", "html", server(), wide},
		{"failed.txt", "long", failed(), wide},
		{"failed-color.txt", "long", failed(), report.Options{Width: 80, Unicode: true, Color: true}},
		{"sampler-failed.txt", "long", samplerFailed(), term},
		{"short.txt", "long", short(), wide},
		{"short-ascii.txt", "long", short(), report.Options{}},
		{"short.md", "markdown", short(), wide},
		{"factors.txt", "long", factored(trained()), report.Options{Width: 120, Unicode: true}},
		{"factors.md", "markdown", factored(trained()), wide},
		{"factors.csv", "csv", factored(metered(asleep())), all},
		{"factors-summary.json", "json", factored(metered(asleep())), wide},
		{"killed.txt", "long", killed(), term},
		{"killed.json", "json", killed(), all},
		{"not-found.txt", "long", notFound(), term},
		{"hostile.txt", "long", hostile(evil), report.Options{Width: 120, Unicode: true, Processes: true, Setup: true}},
		{"hostile-ascii.txt", "long", hostile(evil), report.Options{}},
		{"hostile.json", "json", hostile(evil), all},
		{"hostile.csv", "csv", hostile(evil), all},
		{"hostile.md", "markdown", hostile(evil), wide},
		{"hostile.html", "html", hostile(evil), wide},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := render(t, tt.format, tt.result, tt.options)
			if tt.format == "html" {
				got = outline(got)
			}
			file := filepath.Join("testdata", tt.name)
			if updating() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (ERGON_UPDATE=1 rewrites it):\n%s", file, got)
			}
		})
	}
}

// TestWayOn tests that the text names ergon doctor, once, if a missing sensor exists and only cannot be read.
func TestWayOn(t *testing.T) {
	const reason = "operation refused"
	r := vm()
	r.Run.Missing = append(r.Run.Missing, sensors.Absence{ID: "rapl/psys/energy", Cause: sensors.Denied, Reason: reason})
	if got := render(t, "long", r, report.Options{}); strings.Contains(got, "ergon doctor") || !strings.Contains(got, "ergon sensors") {
		t.Errorf("want ergon sensors and not ergon doctor, as no missing metric has that reason:\n%s", got)
	}
	energy := func(reason string) {
		node := r.Tree.First(datamodel.RunLevel)
		for i, m := range node.Metrics {
			if m.Name == "energy" {
				node.Metrics[i].Reason = reason
			}
		}
	}
	energy("energy_uj: " + reason)
	if got := render(t, "long", r, report.Options{}); !strings.Contains(got, "ergon doctor tells what would help") {
		t.Errorf("ergon doctor is not in\n%s", got)
	}
	energy(reason + ": see ergon doctor")
	if got := render(t, "long", r, report.Options{Width: 200}); strings.Count(got, "ergon doctor") != 1 {
		t.Errorf("want ergon doctor once in\n%s", got)
	}
}

// TestWayOnOfTheRun tests that the text has as much as fits of a reason that the run gave. No command would tell more.
func TestWayOnOfTheRun(t *testing.T) {
	r := vm()
	node := r.Tree.First(datamodel.RunLevel)
	for i, m := range node.Metrics {
		if m.Name == "cpu_utilization" {
			node.Metrics[i] = datamodel.Missing(m.Name, m.Unit, "6.24 ms is too short for counters with steps of 10 ms")
		}
	}
	for width, want := range map[int]string{
		200: "cpu of the machine (6.24 ms is too short for counters with steps of 10 ms); energy, power (no powercap in this kernel);" +
			" gpu (no NVIDIA driver); ergon sensors tells more",
		120: "cpu of the machine (6.24 ms is too short for counters wi…); energy, power, gpu (ergon sensors tells why)",
		80:  "cpu of the machine; energy, power, gpu (ergon sensors tells why)",
		70:  "cpu of the machine, energy, power, gpu",
	} {
		if got := render(t, "long", r, report.Options{Width: width, Unicode: true}); !strings.Contains(got, "  not measured: "+want+"\n") {
			t.Errorf("%d columns: %q is not in\n%s", width, want, got)
		}
	}
}

// TestForks tests the upper bound for started processes. It includes the command's first process, which was forked before
// the first reading. There is no bound if it is below the number of processes seen.
func TestForks(t *testing.T) {
	r := vm()
	host := r.Tree.First(datamodel.HostLevel)
	for _, c := range []struct {
		forks float64
		line  string
	}{
		{203, "processes        203                         204      started at most, threads included\n"},
		{202, "processes        203                         203      started at most, threads included\n"},
		{100, "processes        203\n"},
	} {
		host.Children = []*datamodel.Node{{Level: datamodel.SensorLevel, Sensor: &sensors.Sensor{ID: "cpu/forks", Family: "cpu", Name: "forks"}, Metrics: []datamodel.Metric{
			datamodel.Value("forks", c.forks, units.Processes, "delta", sensors.FromCounter, "/proc/stat"),
		}}}
		if got := render(t, "long", r, report.Options{Width: 120, Unicode: true}); !strings.Contains(got, c.line) {
			t.Errorf("%v: %q is not in\n%s", c.forks, c.line, got)
		}
	}
}

// TestSteal tests that steal time has a row if it is more than a hundredth of all CPU time.
func TestSteal(t *testing.T) {
	r := vm()
	host := r.Tree.First(datamodel.HostLevel)
	for _, c := range []struct {
		steal float64
		line  string
	}{{0.2, ""}, {1.25, "1.25 s    5.03 % of all CPU time\n"}, {math.NaN(), ""}} {
		host.Metrics = []datamodel.Metric{datamodel.Value("steal_time", c.steal, units.Second, "delta", sensors.FromCounter, "/proc/stat")}
		got := render(t, "long", r, report.Options{Width: 120, Unicode: true})
		if strings.Contains(got, "steal") != (c.line != "") || !strings.Contains(got, c.line) {
			t.Errorf("steal of %v: want the row %q in\n%s", c.steal, c.line, got)
		}
	}
}
