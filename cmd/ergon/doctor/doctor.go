// Package doctor says for every family of sensors whether it exists, whether it can be read, and why not. It suggests the
// narrowest change that makes the family readable, with the risk of that change. It changes nothing itself.
//
// Probe looks at the machine. Examine draws conclusions from what Probe found, and from nothing else. The sensors are
// listed by a sampler, because only a sampler loads a driver's library.
package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// Schema is the identifier of the report's JSON.
const Schema = "ergon.doctor/1"

// Facts has the results of probing a machine.
type Facts struct {
	// System is the operating system, as GOOS names it.
	System string
	// UID is the effective user, -1 if the system has no user numbers.
	UID int
	// Sensors can be read, Missing cannot.
	Sensors []Reading
	Missing []sensors.Absence
	// Container is the sign of a container; empty if there is none.
	Container string
	// Static is true if this is the build for Linux without cgo, which has no launcher in C and no NVML.
	Static bool
	// Redirected is true if sysfs was not read at /sys. Its paths are then useless in a fix.
	Redirected bool
	// Paranoid is kernel.perf_event_paranoid; empty if the kernel has none.
	Paranoid string
	// TaskClock is the perf event that counts the command's CPU time if the command has no cgroup; nil if it was not
	// tried.
	TaskClock *Event
	Groups    []Group
	NVIDIA    NVIDIA
}

// Reading is a sensor that can be read.
type Reading struct {
	// Backend is the name for --sensors, Family the first part of the sensor's ID.
	Backend, Family string
}

// Event is the result of opening a perf event.
type Event struct {
	// Cause and Reason say why it cannot be opened; both are empty if it can.
	Cause  sensors.Cause
	Reason string
}

// Group is the cgroup of this process in one hierarchy.
type Group struct {
	// Version and Controller are as in cgroup.Place.
	Version    int
	Controller string
	Dir        string
	// Cause and Reason say why no group can be made in it; both are empty if one can. ReadOnly tells a read-only file
	// system from missing rights.
	Cause    sensors.Cause
	Reason   string
	ReadOnly bool
	// Memory says whether a group made in it would count memory.
	Memory bool
}

// NVIDIA is what the machine shows of NVIDIA's GPUs apart from NVML.
type NVIDIA struct {
	// GPUs is the number of GPUs on the PCI bus, with or without a driver.
	GPUs int
	// Driver says whether the kernel module is loaded.
	Driver bool
	// Nodes says whether /dev/nvidiactl exists, Denied whether this user may not open a node. Owner is the node's group.
	Nodes, Denied bool
	Owner         string
}

// present reports whether there is any sign of an NVIDIA GPU.
func (n NVIDIA) present() bool { return n.GPUs > 0 || n.Driver || n.Nodes }

// Finding is what the doctor says about a family or one sensor.
type Finding struct {
	// ID names the family, or one sensor.
	ID     string `json:"id"`
	Family string `json:"family"`
	// Present says whether it exists here, Readable whether it can be read.
	Present  bool `json:"present"`
	Readable bool `json:"readable"`
	// Hidden is true if it exists and a setting keeps it from being read, which is not a fault.
	Hidden bool `json:"hidden,omitempty"`
	// Sensors is the number of sensors that can be read.
	Sensors int    `json:"sensors,omitempty"`
	Source  string `json:"source,omitempty"`
	// Cause says why it cannot be read, for programs, and Reason for people.
	Cause  sensors.Cause `json:"cause,omitempty"`
	Reason string        `json:"reason,omitempty"`
	// Instead is what ergon uses in its place.
	Instead string `json:"instead,omitempty"`
	// Fix is the narrowest change that makes it readable; nil if none is known or needed.
	Fix *Fix `json:"fix,omitempty"`
}

// fault reports whether it exists and cannot be read.
func (f Finding) fault() bool { return f.Present && !f.Readable && !f.Hidden }

// Report is everything the doctor found.
type Report struct {
	Schema string `json:"schema"`
	System string `json:"system"`
	UID    int    `json:"uid"`
	// Container is the sign of a container.
	Container string    `json:"container,omitempty"`
	Notes     []string  `json:"notes"`
	Findings  []Finding `json:"findings"`
}

// Well reports whether everything that exists can be read.
func (r Report) Well() bool { return !slices.ContainsFunc(r.Findings, Finding.fault) }

// Examine draws the conclusions.
func Examine(f Facts) Report {
	r := Report{Schema: Schema, System: f.System, UID: f.UID, Container: f.Container, Notes: []string{}, Findings: []Finding{}}
	r.Findings = append(r.Findings, f.families()...)
	r.Findings = append(r.Findings, f.taskClock()...)
	r.Findings = append(r.Findings, f.groups()...)
	if slices.ContainsFunc(f.Sensors, func(s Reading) bool { return s.Backend == "nvml" }) {
		// NVML API Reference, nvmlDeviceSetAccountingMode.
		r.Notes = append(r.Notes, "optional: after `sudo nvidia-smi -am 1` the driver keeps the GPU time and memory of ended "+
			"processes, for every user to read; ergon does not use them so far")
	}
	if f.Static {
		r.Notes = append(r.Notes, "this is the build without cgo, the only one for systems with musl: it reads no NVIDIA GPU, and "+
			"where a limit is too small for Go, such as ulimit -v, the command does not run")
	}
	if f.Container != "" {
		r.Notes = append(r.Notes, "this seems to be a container ("+f.Container+"): energy, CPU, memory and disks of the machine "+
			"are the host's, shared with everything that runs there")
	}
	return r
}

// families returns the findings about the backends.
func (f Facts) families() []Finding {
	readable := map[string]int{}
	backendOf := map[string]string{"gpu": "nvml"} // by family; gpu is given because it may have only absences
	var order []string
	see := func(family string) {
		if !slices.Contains(order, family) {
			order = append(order, family)
		}
	}
	for _, s := range f.Sensors {
		if backendOf[s.Family] == "" {
			backendOf[s.Family] = s.Backend
		}
		readable[s.Backend]++
		see(s.Backend)
	}
	absent := map[string][]sensors.Absence{}
	for _, a := range f.Missing {
		family := a.Family
		if b := backendOf[family]; b != "" && readable[family] == 0 {
			family = b
		}
		absent[family] = append(absent[family], a)
		see(family)
	}
	var all []Finding
	for _, family := range order {
		if n := readable[family]; n > 0 {
			all = append(all, Finding{ID: family, Family: family, Present: true, Readable: true, Sensors: n})
		}
		all = append(all, f.absences(family, absent[family])...)
	}
	return all
}

// absences returns the findings about the absent sensors of a family. The family's own absence repeats that of its first
// sensor, so it counts only if it is the only one.
func (f Facts) absences(family string, list []sensors.Absence) []Finding {
	var all []Finding
	for _, a := range list {
		if a.ID == family && len(list) > 1 {
			continue
		}
		x := Finding{ID: a.ID, Family: family, Source: a.Source, Present: a.Present(), Cause: a.Cause, Reason: a.Reason}
		switch {
		case a.ID == "nvml":
			f.nvml(&x)
		case family == "nvml":
			f.gpu(&x)
		case x.Present:
			x.Fix = f.readFix(family, a)
		}
		all = append(all, x)
	}
	return all
}

// readFix returns the change that makes a counter or a file of sysfs readable. It returns nil if none is known.
func (f Facts) readFix(family string, a sensors.Absence) *Fix {
	if a.Cause == sensors.Masked {
		return fix(fixMasked)
	}
	if a.Cause != sensors.Denied {
		return nil
	}
	switch family {
	case "rapl":
		return fix(fixPowercap)
	case "perf", "perf_core":
		if f.Container != "" {
			return fix(fixPerfContainer)
		}
		return fix(fixEnergyPMU)
	case "hwmon", "battery", "thermal", "cpu", "cpufreq":
		if a.Source != "" && !f.Redirected {
			return fix(fixSysfs, "{PATH}", a.Source)
		}
	}
	return nil
}

// gpu explains why some readings of a GPU are absent although NVML answers.
func (f Facts) gpu(x *Finding) {
	switch x.Cause { //nolint:exhaustive // for the other causes the reason says enough
	case sensors.UnknownOrder:
		x.Fix = fix(fixOrder)
	case sensors.Hidden:
		x.Hidden, x.Fix = true, fix(fixVisible)
	case sensors.Denied:
		x.Fix = f.nodesFix()
	}
}

// nvml explains why NVML does not answer, from the other signs of NVIDIA's GPUs and driver.
func (f Facts) nvml(x *Finding) {
	n := f.NVIDIA
	if !n.present() {
		return
	}
	x.Present = true
	switch {
	case f.Static:
		x.Fix = fix(fixBuild)
	case n.Denied:
		x.Reason, x.Fix = "this user may not open the device nodes /dev/nvidia*: "+x.Reason, f.nodesFix()
	case x.Cause == sensors.VersionMismatch:
		x.Fix = fix(fixMismatch)
	case f.Container != "" && (x.Cause == sensors.NoLibrary || !n.Nodes):
		x.Fix = fix(fixGPUs)
	case !n.Driver:
		x.Reason, x.Fix = "the kernel module is not loaded: "+x.Reason, fix(fixModule)
	case !n.Nodes:
		x.Reason, x.Fix = "the device nodes /dev/nvidia* do not exist: "+x.Reason, fix(fixNodes)
	case x.Cause == sensors.NoLibrary:
		x.Reason, x.Fix = "the driver is loaded and its library is not installed: "+x.Reason, fix(fixLibrary)
	}
}

// nodesFix returns the change that lets a user open the device nodes.
func (f Facts) nodesFix() *Fix {
	if f.NVIDIA.Owner == "" || f.NVIDIA.Owner == "root" {
		return fix(fixNodeMode)
	}
	return fix(fixNodeGroup, "{GROUP}", f.NVIDIA.Owner)
}

// taskClock says whether perf can count the command's CPU time.
func (f Facts) taskClock() []Finding {
	if f.TaskClock == nil {
		return nil
	}
	x := Finding{
		ID: "task-clock", Family: "task-clock", Source: "perf_event_open",
		Readable: f.TaskClock.Cause == "", Cause: f.TaskClock.Cause, Reason: f.TaskClock.Reason,
	}
	x.Present = x.Readable || x.Cause.Present()
	if x.Readable {
		x.Sensors = 1
		return []Finding{x}
	}
	x.Instead = "the command's CPU time comes from its cgroup, else from wait4 and looks at its processes"
	if x.Cause == sensors.Denied {
		if f.Paranoid != "" {
			x.Reason += " (kernel.perf_event_paranoid is " + f.Paranoid + ")"
		}
		x.Fix = fix(fixTaskClock)
		if f.Container != "" {
			x.Fix = fix(fixPerfContainer)
		}
	}
	return []Finding{x}
}

// groups says whether the command can get its own cgroups: one that counts CPU time, and one that counts memory.
func (f Facts) groups() []Finding {
	if len(f.Groups) == 0 {
		return nil
	}
	cpu := f.group("cgroup/cpu", func(g Group) bool { return g.Controller != "memory" }, func(Group) bool { return true })
	if !cpu.Readable {
		cpu.Instead = "wait4 and looks at the processes"
		if f.TaskClock != nil && f.TaskClock.Cause == "" {
			cpu.Instead = "perf task-clock, exact except for the start and end of each process"
		}
	}
	memory := f.group("cgroup/memory", func(g Group) bool { return g.Controller != "cpuacct" },
		func(g Group) bool { return g.Memory })
	if !memory.Readable {
		memory.Instead = "the sum of the processes' memory at each look"
	}
	return []Finding{cpu, memory}
}

// group chooses among the useful groups: first one that works, then one that is only not permitted.
func (f Facts) group(id string, use, counts func(Group) bool) Finding {
	x := Finding{ID: id, Family: "cgroup"}
	for _, g := range f.Groups {
		switch {
		case !use(g):
		case !counts(g):
			if x.Reason == "" {
				x.Source, x.Cause = g.Dir, sensors.Unsupported
				x.Reason = "the memory controller is not enabled for groups below this one"
			}
		case g.Cause == "":
			return Finding{ID: id, Family: "cgroup", Present: true, Readable: true, Sensors: 1, Source: g.Dir}
		case !x.Present:
			x.Present, x.Source, x.Cause, x.Reason, x.Fix = true, g.Dir, g.Cause, g.Reason, f.groupFix(g)
		}
	}
	if x.Reason == "" {
		x.Cause, x.Reason = sensors.NotPresent, "no cgroup hierarchy counts it"
	}
	return x
}

// groupFix returns the change that gives the command its own group. The path tells which group systemd gave to whom.
func (f Facts) groupFix(g Group) *Fix {
	unit := path.Base(g.Dir)
	switch {
	case g.ReadOnly || f.Container != "" && g.Version == 2:
		return fix(fixGroupContainer)
	case g.Version == 1:
		return fix(fixGroupV1)
	case strings.Contains(g.Dir, "/system.slice/") && strings.HasSuffix(unit, ".service"):
		return fix(fixGroupService, "{UNIT}", unit)
	}
	return fix(fixGroupScope)
}

// Status sums up a family in a word or two.
func Status(findings []Finding) string {
	var ok, fault, hidden int
	denial := true
	for _, x := range findings {
		switch {
		case x.Readable:
			ok++
		case x.fault():
			fault++
			denial = denial && x.Cause.Refused()
		case x.Hidden:
			hidden++
		}
	}
	switch {
	case fault > 0 && ok > 0:
		return "partly"
	case fault > 0 && denial:
		return "not permitted"
	case fault > 0:
		return "not readable"
	case ok > 0:
		return "ok"
	case hidden > 0:
		return "hidden"
	}
	return "not here"
}

// plural returns "1 sensor", "2 sensors".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
