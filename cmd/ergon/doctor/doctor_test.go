package doctor

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
)

// zone is an absence of a powercap zone.
func zone(cause sensors.Cause, reason string) sensors.Absence {
	return sensors.Absence{ID: "rapl/package-0/energy", Family: "rapl", Source: zoneFile, Cause: cause, Reason: reason}
}

const (
	zoneFile = "/sys/class/powercap/intel-rapl:0/energy_uj"
	rootOnly = "permission denied (root only since Linux 5.10, CVE-2020-8694)"
)

// TestExamine checks the conclusions from several sets of facts.
func TestExamine(t *testing.T) {
	family := sensors.Absence{ID: "rapl", Family: "rapl", Cause: sensors.Denied, Reason: zoneFile + ": " + rootOnly}
	noDriver := sensors.Absence{ID: "nvml", Family: "nvml", Cause: sensors.NoLibrary, Reason: "no NVIDIA driver found: libnvidia-ml.so.1: cannot open shared object file"}
	notLoaded := sensors.Absence{ID: "nvml", Family: "nvml", Cause: sensors.NoDriver, Reason: "libnvidia-ml.so.1: nvmlInit: the driver is not loaded"}
	scope := "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope"
	refused := scope + ": permission denied"
	for _, c := range []struct {
		name   string
		facts  Facts
		id     string
		status string
		well   bool
		fix    string
		reason string
	}{
		{"readable", Facts{Sensors: []Reading{{"rapl", "rapl"}}}, "rapl", "ok", true, "", ""},
		{
			"no powercap",
			Facts{Missing: []sensors.Absence{{ID: "rapl", Family: "rapl", Cause: sensors.Unsupported, Reason: "no powercap in this kernel"}}},
			"rapl", "not here", true, "", "no powercap",
		},
		{
			"root only",
			Facts{Missing: []sensors.Absence{zone(sensors.Denied, rootOnly), family}},
			"rapl/package-0/energy", "not permitted", false, fixPowercap, "CVE-2020-8694",
		},
		{
			"one zone of two",
			Facts{Sensors: []Reading{{"rapl", "rapl"}}, Missing: []sensors.Absence{zone(sensors.Denied, rootOnly)}},
			"rapl/package-0/energy", "partly", false, fixPowercap, "",
		},
		{
			"a GPU, and a build without NVML",
			Facts{Static: true, NVIDIA: NVIDIA{GPUs: 1, Driver: true, Nodes: true}, Missing: []sensors.Absence{
				{ID: "nvml", Family: "nvml", Cause: sensors.Unsupported, Reason: "this build has no NVML"},
			}},
			"nvml", "not readable", false, fixBuild, "this build has no NVML",
		},
		{
			"masked", Facts{
				Missing: []sensors.Absence{zone(sensors.Masked, "masked by the container: the link is broken"), family},
			}, "rapl/package-0/energy", "not permitted", false, fixMasked, "",
		},
		{
			"a zone that fails",
			Facts{Missing: []sensors.Absence{zone(sensors.Unreadable, "input/output error")}},
			"rapl/package-0/energy", "not readable", false, "", "",
		},
		{
			"a zone without a counter",
			Facts{Missing: []sensors.Absence{zone(sensors.Unsupported, "the zone has no energy counter")}},
			"rapl/package-0/energy", "not here", true, "", "",
		},
		{
			"a meter of another family", Facts{
				Missing: []sensors.Absence{{
					ID: "hwmon/x/power", Family: "hwmon", Source: "/sys/class/hwmon/hwmon3/power1_average", Cause: sensors.Denied, Reason: "permission denied",
				}},
			}, "hwmon/x/power", "not permitted", false, fixSysfs, "",
		},
		{
			"what a backend says is there",
			Facts{Missing: []sensors.Absence{{ID: "battery", Family: "battery", Cause: sensors.TimedOut, Reason: "no answer"}}},
			"battery", "not readable", false, "", "",
		},

		{"no GPU", Facts{Missing: []sensors.Absence{noDriver}}, "nvml", "not here", true, "", ""},
		{
			"a GPU without a driver",
			Facts{Missing: []sensors.Absence{noDriver}, NVIDIA: NVIDIA{GPUs: 1}},
			"nvml", "not readable", false, fixModule, "the kernel module is not loaded",
		},
		{
			"a driver without its library",
			Facts{Missing: []sensors.Absence{noDriver}, NVIDIA: NVIDIA{GPUs: 1, Driver: true, Nodes: true}},
			"nvml", "not readable", false, fixLibrary, "its library is not installed",
		},
		{
			"a container without its library", Facts{
				Container: "a file", Missing: []sensors.Absence{noDriver}, NVIDIA: NVIDIA{GPUs: 1, Driver: true},
			}, "nvml", "not readable", false, fixGPUs, "",
		},
		{
			"a library without a module",
			Facts{Missing: []sensors.Absence{notLoaded}, NVIDIA: NVIDIA{GPUs: 1}},
			"nvml", "not readable", false, fixModule, "",
		},
		{
			"a module without nodes",
			Facts{Missing: []sensors.Absence{notLoaded}, NVIDIA: NVIDIA{GPUs: 1, Driver: true}},
			"nvml", "not readable", false, fixNodes, "do not exist",
		},
		{
			"nodes were looked for and the library was not", Facts{
				Missing: []sensors.Absence{{ID: "nvml", Family: "nvml", Cause: sensors.NoDriver, Reason: "no NVIDIA driver: none of /dev/nvidiactl is here"}},
				NVIDIA:  NVIDIA{Driver: true},
			}, "nvml", "not readable", false, fixNodes, "do not exist",
		},
		{
			"closed nodes of a group", Facts{
				Missing: []sensors.Absence{notLoaded}, NVIDIA: NVIDIA{Driver: true, Nodes: true, Denied: true, Owner: "video"},
			}, "nvml", "not readable", false, fixNodeGroup, "may not open",
		},
		{
			"closed nodes of root", Facts{
				Missing: []sensors.Absence{notLoaded}, NVIDIA: NVIDIA{Driver: true, Nodes: true, Denied: true, Owner: "root"},
			}, "nvml", "not readable", false, fixNodeMode, "",
		},
		{
			"an update without a restart", Facts{
				Missing: []sensors.Absence{{ID: "nvml", Family: "nvml", Cause: sensors.VersionMismatch, Reason: "nvmlInit: library and driver differ"}},
				NVIDIA:  NVIDIA{GPUs: 1, Driver: true, Nodes: true},
			}, "nvml", "not readable", false, fixMismatch, "",
		},
		{
			"a hidden GPU", Facts{Missing: []sensors.Absence{
				{ID: "gpu/GPU-1", Family: "gpu", Source: "CUDA_VISIBLE_DEVICES", Cause: sensors.Hidden, Reason: "not visible to this job"},
				{ID: "nvml", Family: "nvml", Cause: sensors.Hidden, Reason: "of 1 GPU none is read"},
			}}, "gpu/GPU-1", "hidden", true, fixVisible, "",
		},
		{
			"GPUs whose order is not known", Facts{Missing: []sensors.Absence{{
				ID: "gpu/GPU-1", Family: "gpu", Cause: sensors.UnknownOrder, Reason: "numbers of GPUs whose order is not known",
			}}}, "gpu/GPU-1", "not readable", false, fixOrder, "",
		},
		{
			"what a GPU has not", Facts{Sensors: []Reading{{"nvml", "gpu"}}, Missing: []sensors.Absence{
				{ID: "gpu/GPU-1/energy", Family: "gpu", Source: "nvmlDeviceGetTotalEnergyConsumption", Cause: sensors.Unsupported, Reason: "not supported by this GPU or driver"},
			}}, "gpu/GPU-1/energy", "ok", true, "", "",
		},

		{"task-clock", Facts{TaskClock: &Event{}}, "task-clock", "ok", true, "", ""},
		{
			"no perf",
			Facts{TaskClock: &Event{sensors.Unsupported, "function not implemented"}},
			"task-clock", "not here", true, "", "",
		},
		{
			"perf for root only",
			Facts{Paranoid: "4", TaskClock: &Event{sensors.Denied, "permission denied"}},
			"task-clock", "not permitted", false, fixTaskClock, "perf_event_paranoid is 4",
		},
		{
			"perf in a container",
			Facts{Container: "a file", TaskClock: &Event{sensors.Denied, "operation not permitted"}},
			"task-clock", "not permitted", false, fixPerfContainer, "",
		},
		{
			"an energy PMU for root only", Facts{Missing: []sensors.Absence{
				{ID: "perf/power", Family: "perf", Source: "/sys/bus/event_source/devices/power", Cause: sensors.Denied, Reason: "needs CAP_PERFMON"},
			}}, "perf/power", "not permitted", false, fixEnergyPMU, "",
		},
		{
			"an energy PMU that a container filters", Facts{Container: "a file", Missing: []sensors.Absence{
				{ID: "perf/power", Family: "perf", Cause: sensors.Denied, Reason: "a container's filter"},
			}}, "perf/power", "not permitted", false, fixPerfContainer, "",
		},
		{
			"a PMU of a recorded machine", Facts{Missing: []sensors.Absence{
				{ID: "perf/power", Family: "perf", Source: "/sys/bus/event_source/devices/power", Cause: sensors.Unsupported, Reason: "the running kernel does not count it"},
			}}, "perf/power", "not here", true, "", "",
		},

		{
			"a session's scope",
			Facts{Groups: []Group{{Version: 2, Dir: scope, Cause: sensors.Denied, Reason: refused, Memory: true}}},
			"cgroup/cpu", "not permitted", false, fixGroupScope, "",
		},
		{
			"a service",
			Facts{Groups: []Group{{Version: 2, Dir: "/sys/fs/cgroup/system.slice/runner.service", Cause: sensors.Denied, Reason: refused}}},
			"cgroup/cpu", "not permitted", false, fixGroupService, "",
		},
		{
			"v1",
			Facts{Groups: []Group{{Version: 1, Controller: "cpuacct", Dir: "/sys/fs/cgroup/cpuacct", Cause: sensors.Denied, Reason: refused}}},
			"cgroup/cpu", "not permitted", false, fixGroupV1, "",
		},
		{
			"read-only",
			Facts{Groups: []Group{{Version: 2, Dir: "/sys/fs/cgroup", Cause: sensors.Denied, Reason: "read-only file system", ReadOnly: true}}},
			"cgroup/cpu", "not permitted", false, fixGroupContainer, "",
		},
		{
			"hybrid, v1 is better", Facts{Groups: []Group{
				{Version: 2, Dir: "/u", Cause: sensors.Denied, Reason: refused},
				{Version: 1, Controller: "cpuacct", Dir: "/c"},
				{Version: 1, Controller: "memory", Dir: "/m", Memory: true},
			}}, "cgroup/cpu", "ok", true, "", "",
		},
		{
			"v2 without the memory controller",
			Facts{Groups: []Group{{Version: 2, Dir: "/u"}}},
			"cgroup/memory", "ok", true, "", "memory controller is not enabled",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Examine(c.facts)
			var found *Finding
			var block []Finding
			for i, f := range r.Findings {
				if f.ID == c.id && (found == nil || !f.Readable) {
					found = &r.Findings[i]
				}
			}
			if found == nil {
				t.Fatalf("no finding %s in %+v", c.id, r.Findings)
			}
			for _, f := range r.Findings {
				if f.Family == found.Family {
					block = append(block, f)
				}
			}
			got := ""
			if found.Fix != nil {
				got = found.Fix.ID
			}
			if got != c.fix || r.Well() != c.well || Status(block) != c.status || !strings.Contains(found.Reason, c.reason) {
				t.Errorf("fix %q, well %v, status %q, reason %q; want %q, %v, %q, %q",
					got, r.Well(), Status(block), found.Reason, c.fix, c.well, c.status, c.reason)
			}
			if found.Readable && (found.Reason != "" || found.Fix != nil) {
				t.Errorf("a readable finding has a reason or a fix: %+v", found)
			}
		})
	}
}

// TestInstead checks what ergon uses if the command gets no cgroup: perf if possible, else wait4.
func TestInstead(t *testing.T) {
	f := Facts{Groups: []Group{{Version: 2, Dir: "/u", Cause: sensors.Denied, Reason: "/u: permission denied"}}}
	if x := Examine(f).Findings[0]; !strings.HasPrefix(x.Instead, "wait4") {
		t.Errorf("without perf: %+v", x)
	}
	f.TaskClock = &Event{}
	if x := Examine(f).Findings[1]; !strings.HasPrefix(x.Instead, "perf task-clock") {
		t.Errorf("with perf: %+v", x)
	}
}

// TestFixes checks that every fix can be used unchanged: files go below /etc, a shell can parse the commands, the risk is
// named, and no word in braces is left.
func TestFixes(t *testing.T) {
	shell, err := exec.LookPath("sh")
	seen := map[string]bool{}
	var check func(f Fix)
	check = func(f Fix) {
		if seen[f.ID] || f.ID == "" || f.Title == "" || f.Risk == "" || len(f.Commands) == 0 {
			t.Errorf("fix %q occurs twice, or has no title, risk or command: %+v", f.ID, f)
		}
		seen[f.ID] = true
		for _, file := range f.Files {
			if !strings.HasPrefix(file.Path, "/etc/") || !strings.HasSuffix(file.Content, "\n") {
				t.Errorf("%s: %+v", f.ID, file)
			}
		}
		for _, command := range f.Commands {
			c := command.String()
			if shell != "" {
				if out, err := exec.CommandContext(t.Context(), shell, "-n", "-c", c).CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v %s", f.ID, c, err, out)
				}
			}
			if strings.Contains(c, "a+r") || strings.Contains(c, "o+r") {
				t.Errorf("%s gives access to every user: %s", f.ID, c)
			}
		}
		for _, or := range f.Or {
			check(or)
		}
	}
	if err != nil {
		t.Logf("the commands were not checked: %v", err)
	}
	for _, f := range fixes() {
		check(f)
		filled := fix(f.ID, "{PATH}", "/sys/x", "{GROUP}", "video", "{UNIT}", "a.service")
		b, err := json.Marshal(filled)
		if err != nil {
			t.Fatal(err)
		}
		if left := regexp.MustCompile(`\{[A-Z]+\}`).Find(b); left != nil || strings.Contains(string(b), `:null`) {
			t.Errorf("%s: %s in %s", f.ID, left, b)
		}
	}
	if fix("no such fix") != nil {
		t.Error("a fix of no name")
	}
}

// TestPowercapRule checks the text of the udev rule, because test machines may have no udev. The package ergon-powercap has the
// same rule.
func TestPowercapRule(t *testing.T) {
	const want = `SUBSYSTEM=="powercap", ACTION=="add", TEST=="energy_uj", RUN+="/bin/chgrp ergon /sys%p/energy_uj", ` +
		`RUN+="/bin/chmod g+r /sys%p/energy_uj"` + "\n"
	if f := fix(fixPowercap); len(f.Files) != 1 || f.Files[0].Content != want || len(f.Or) != 2 {
		t.Errorf("%+v", f)
	}
	packaged, err := os.ReadFile("../../../packaging/70-ergon-powercap.rules")
	if err != nil || string(packaged) != want {
		t.Errorf("packaged: %s, %v", packaged, err)
	}
}

// TestText checks that each family is a block, that each reason occurs once, and that a fix always has the same number.
func TestText(t *testing.T) {
	r := Examine(Facts{
		System: "linux", UID: 1000, Container: "/.dockerenv exists",
		Sensors: []Reading{{"cpu", "cpu"}, {"cpu", "cpu"}},
		Missing: []sensors.Absence{
			{ID: "rapl/package-0/energy", Family: "rapl", Source: zoneFile, Cause: sensors.Denied, Reason: rootOnly},
			{ID: "rapl/psys/energy", Family: "rapl", Cause: sensors.Denied, Reason: rootOnly},
			{ID: "nvml", Family: "nvml", Cause: sensors.NoLibrary, Reason: "no NVIDIA driver found"},
		},
	})
	got := strings.Join(r.Text(), "\n")
	const want = `What an ordinary user can measure here (linux):
  note: this seems to be a container (/.dockerenv exists): energy, CPU, memory and disks of the machine are the host's, shared with everything that runs there

  cpu         ok             2 sensors
  rapl        not permitted  package-0/energy, psys/energy: permission denied (root only since Linux 5.10, CVE-2020-8694) -> 1
  nvml        not here       no NVIDIA driver found

Nothing was changed. Changes that would help, each with its risk:

 1. let a group read the energy counters of powercap
    write to /etc/udev/rules.d/70-ergon-powercap.rules:
`
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if strings.Count(got, "\n 2. ") != 0 {
		t.Errorf("a fix is listed twice:\n%s", got)
	}
	for i, line := range strings.Split(got, "\n") {
		if line != strings.TrimRight(line, " ") {
			t.Errorf("line %d ends in a blank: %q", i, line)
		}
	}
}

// TestProbe checks that Probe reports only what it was asked for, on this machine.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	host := sensors.Setup{Proc: filepath.Join(dir, "proc"), Sys: filepath.Join(dir, "sys")}
	f := Probe(host, []Reading{{"cpu", "cpu"}}, []sensors.Absence{{ID: "rapl", Family: "rapl"}})
	if f.TaskClock != nil || len(f.Groups) != 0 || f.NVIDIA.GPUs != 0 || f.NVIDIA.Driver {
		t.Errorf("%+v", f)
	}
	f = Probe(host, []Reading{{"target", "target"}}, nil)
	if runtime.GOOS == "linux" && f.TaskClock == nil {
		t.Errorf("%+v", f)
	}
}

// TestNVIDIA checks that only NVIDIA's GPUs are counted, not other functions of their cards or devices of other vendors.
func TestNVIDIA(t *testing.T) {
	host := fixture.Unpack(t, `
-- proc/driver/nvidia/version --
NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15
-- sys/bus/pci/devices/0000:01:00.0/vendor --
0x10de
-- sys/bus/pci/devices/0000:01:00.0/class --
0x030200
-- sys/bus/pci/devices/0000:01:00.1/vendor --
0x10de
-- sys/bus/pci/devices/0000:01:00.1/class --
0x040300
-- sys/bus/pci/devices/0000:02:00.0/vendor --
0x1002
-- sys/bus/pci/devices/0000:02:00.0/class --
0x030000
`)
	if n := nvidia(host); n.GPUs != 1 || !n.Driver {
		t.Errorf("%+v", n)
	}
}
