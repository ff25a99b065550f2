package doctor

import (
	"slices"
	"strings"
)

// Fix is a change that makes something readable. A person makes it; ergon does not.
type Fix struct {
	ID string `json:"id"`
	// Title says in a phrase what the change does.
	Title string `json:"title"`
	// Files are written as they are, before the commands are run.
	Files    []File    `json:"files"`
	Commands []Command `json:"commands"`
	// Undo has the lines of shell that take back what the commands did, for root. The files of the fix are removed before.
	Undo []string `json:"-"`
	// Risk says what the change opens, and to whom.
	Risk string `json:"risk"`
	// Note says what else a reader should know.
	Note string `json:"note,omitempty"`
	// Or lists alternatives.
	Or []Fix `json:"or,omitempty"`
}

// Command is a line of shell.
type Command struct {
	// Unless is a line that succeeds if Run is not needed. It may be empty.
	Unless string
	Run    string
	By     By
}

// By says who types a command.
type By int

const (
	// byUser is who wants to measure, at each use.
	byUser By = iota
	// byRoot is root, once. A script may do it.
	byRoot
	// byHand is root, but only after a look at what else the command does. No script does it.
	byHand
)

// String is the command as a user types it who may call sudo.
func (c Command) String() string {
	run := strings.ReplaceAll(c.Run, userWord, `"$USER"`)
	run = strings.ReplaceAll(run, ergonWord, `"$(command -v ergon)"`)
	if c.By != byUser {
		run = "sudo " + run
	}
	if c.Unless != "" {
		return c.Unless + " || " + run
	}
	return run
}

// MarshalText returns String, for JSON.
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText takes a command as it was typed.
func (c *Command) UnmarshalText(text []byte) error {
	*c = Command{Run: string(text)}
	return nil
}

// The words in commands that stand for the user who wants to measure, and for ergon's own file.
const (
	userWord  = "{USER}"
	ergonWord = "{ERGON}"
)

// File is a file to write.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// The names of the fixes.
const (
	fixPowercap       = "powercap-group"
	fixMasked         = "powercap-mount"
	fixSysfs          = "sysfs-group"
	fixTaskClock      = "perf-task-clock"
	fixEnergyPMU      = "perf-energy"
	fixPerfContainer  = "perf-container"
	fixGroupScope     = "cgroup-scope"
	fixGroupService   = "cgroup-service"
	fixGroupV1        = "cgroup-v1"
	fixGroupContainer = "cgroup-container"
	fixBuild          = "nvidia-build"
	fixModule         = "nvidia-module"
	fixLibrary        = "nvidia-library"
	fixNodes          = "nvidia-nodes"
	fixNodeGroup      = "nvidia-node-group"
	fixNodeMode       = "nvidia-node-mode"
	fixMismatch       = "nvidia-mismatch"
	fixGPUs           = "nvidia-container"
	fixVisible        = "nvidia-visible"
	fixOrder          = "nvidia-order"
)

// asRoot is a command that root types.
func asRoot(run string) Command { return Command{Run: run, By: byRoot} }

// asUser is a command that the user types at each use.
func asUser(run string) Command { return Command{Run: run} }

// afterLook is a command that root types after a look.
func afterLook(run string) Command { return Command{Run: run, By: byHand} }

// joinGroup makes the group ergon and takes the user into it.
func joinGroup(more ...Command) []Command {
	return append([]Command{
		{Unless: "getent group ergon >/dev/null", Run: "groupadd --system ergon", By: byRoot}, asRoot("usermod -aG ergon " + userWord),
	}, more...)
}

// perfCopy makes a second ergon that has CAP_PERFMON and that only members of the group ergon may execute. setcap(8) follows no
// links, and a change of the owner removes the capability, so it comes last.
func perfCopy() []Command {
	return joinGroup(asRoot("install -o root -g ergon -m 0750 "+ergonWord+" "+perfFile), asRoot("setcap cap_perfmon=ep "+perfFile))
}

// perfFile is the second ergon.
const perfFile = "/usr/local/bin/ergon-perf"

// Texts that several fixes share.
const (
	leaveGroup = "leave ergon"
	newLogin   = "A new membership takes effect at the next login; `newgrp ergon` gives it to one shell at once."

	sideChannel = "members of the group, and every program they start, can measure the machine's power finely enough to learn " +
		"what other programs compute, including keys (PLATYPUS: CVE-2020-8694 on Intel, CVE-2020-12912 on AMD)"

	aboutPerfmon = "Use it as `ergon-perf COMMAND`; everybody else keeps the ergon without capabilities. Linux 5.8 and later. The " +
		"sampler is the same file; the measured command gets no capability. This ergon takes no --path.* option and no " +
		"variable for one, and finds NVML only where ldconfig does. The capability has no effect on file systems mounted nosuid. " +
		"After an update of ergon, make the copy again."
	riskPerfmon = "members of the group can count events of every process and CPU, and measure the machine's power finely enough to " +
		"learn what other programs compute, including keys (PLATYPUS: CVE-2020-8694 on Intel, CVE-2020-12912 on AMD)"
	riskPerUse = "ergon itself runs as root: use only an ergon that nobody else may write"
)

// fixes returns the table of all changes that the doctor may suggest. The comment of each row names its source. The
// function fix replaces words in braces; the shell expands the rest.
func fixes() []Fix {
	return []Fix{
		{
			// Linux 949dd0104c49 (5.10) for the mode 0400; udev(7) for the keys, of which %p is the device's path below
			// /sys; udevadm(8): trigger sends "change" unless told otherwise. The files exist before the event "add", as
			// powercap_register_zone gives them to device_register (drivers/powercap/powercap_sys.c). The control type
			// is a device of the same subsystem without the file, hence TEST. INTEL-SA-00389, AMD-SB-1009.
			ID: fixPowercap, Title: "let a group read the energy counters of powercap",
			Files: []File{{"/etc/udev/rules.d/70-ergon-powercap.rules", `SUBSYSTEM=="powercap", ACTION=="add", TEST=="energy_uj", ` +
				`RUN+="/bin/chgrp ergon /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj"` + "\n"}},
			Commands: joinGroup(asRoot("udevadm control --reload"), asRoot("udevadm trigger --action=add --subsystem-match=powercap")),
			Undo:     []string{"udevadm control --reload", "close_again /sys/class/powercap/*/energy_uj", leaveGroup},
			Risk:     sideChannel,
			Note:     newLogin + " For a container, do this on the host.",
			Or: []Fix{{
				ID: "powercap-sudo", Title: "without a change: read the counters as root, and run the command as yourself",
				Commands: []Command{asUser("sudo ergon --user sudo COMMAND")}, Risk: riskPerUse,
			}, {
				// tmpfiles.d(5): z sets mode and owner of what exists and takes globs; systemd-tmpfiles(8): --create NAME.
				ID: "powercap-tmpfiles", Title: "the same without a udev rule",
				Files:    []File{{"/etc/tmpfiles.d/ergon-powercap.conf", "z /sys/class/powercap/*:*/energy_uj 0440 root ergon - -\n"}},
				Commands: joinGroup(asRoot("systemd-tmpfiles --create /etc/tmpfiles.d/ergon-powercap.conf")),
				Risk:     sideChannel,
				Note:     "It is applied once at boot, so it has no effect if the module intel_rapl_msr is loaded later.",
			}},
		},
		{
			// GHSA-jq35-85cj-fj4p for what Docker masks; podman-run(1): --security-opt unmask=; docker run: --volume :ro.
			ID: fixMasked, Title: "show the container the host's energy counters",
			Commands: []Command{asUser("docker run -v /sys:/host/sys:ro IMAGE ergon --path.sysfs /host/sys COMMAND")},
			Risk: "the container sees the energy of the whole host, and so of every other tenant (CVE-2020-8694), and everything " +
				"else in the host's /sys; only for containers you trust",
			Note: "In Kubernetes this is a hostPath volume with readOnly: true. The energy is the host's, shared with everything " +
				"that runs there. A user other than root in the container also needs the host's files to be readable.",
			Or: []Fix{{
				ID: "powercap-unmask", Title: "with Podman, lift the mask from this one folder",
				Commands: []Command{asUser("podman run --security-opt unmask=/sys/devices/virtual/powercap IMAGE ergon COMMAND")},
				Risk:     "the container sees the energy of the whole host, and so of every other tenant (CVE-2020-8694)",
			}},
		},
		{
			// tmpfiles.d(5). CVE-2020-12912 for the driver amd_energy, whose hwmon files are root's since Linux 5.10.
			ID: fixSysfs, Title: "let a group read {PATH}",
			Files:    []File{{"/etc/tmpfiles.d/ergon-sensors.conf", "z {PATH} 0440 root ergon - -\n"}},
			Commands: joinGroup(asRoot("systemd-tmpfiles --create /etc/tmpfiles.d/ergon-sensors.conf")),
			Undo:     []string{"close_again {PATH}", leaveGroup},
			Risk:     sideChannel,
			Note:     newLogin + " Keep lines that the file already has.",
		},
		{
			// Documentation/admin-guide/perf-security.rst and sysctl/kernel.rst (perf_event_paranoid); capabilities(7);
			// setcap(8); ld.so(8), secure-execution mode.
			ID: fixTaskClock, Title: "let ergon count the command's CPU time by perf",
			Commands: perfCopy(), Undo: []string{"rm -f " + perfFile, leaveGroup}, Risk: riskPerfmon, Note: newLogin + " " + aboutPerfmon,
			Or: []Fix{{
				ID: "perf-sudo", Title: "without a change: read the counters as root, and run the command as yourself",
				Commands: []Command{asUser("sudo ergon --user sudo COMMAND")}, Risk: riskPerUse,
			}, {
				ID: "perf-paranoid", Title: "let every user count what their own processes do",
				Files:    []File{{"/etc/sysctl.d/70-ergon-perf.conf", "kernel.perf_event_paranoid = 2\n"}},
				Commands: []Command{asRoot("sysctl -p /etc/sysctl.d/70-ergon-perf.conf")},
				Risk: "every user and program may call perf_event_open for its own processes; this is the kernel's default, and " +
					"distributions set 3 or 4 because that call has had security bugs",
			}},
		},
		{
			// The same, and Documentation/ABI/testing/sysfs-bus-event_source-devices-events. Events of a CPU, as those of
			// energy PMUs are, need perf_event_paranoid 0 or less.
			ID: fixEnergyPMU, Title: "let ergon read the energy counters by perf",
			Commands: perfCopy(), Undo: []string{"rm -f " + perfFile, leaveGroup}, Risk: riskPerfmon, Note: newLogin + " " + aboutPerfmon,
			Or: []Fix{{
				ID: "perf-energy-sudo", Title: "without a change: read the counters as root, and run the command as yourself",
				Commands: []Command{asUser("sudo ergon --user sudo COMMAND")}, Risk: riskPerUse,
			}, {
				ID: "perf-paranoid-0", Title: "let every user count events of whole CPUs",
				Files:    []File{{"/etc/sysctl.d/70-ergon-perf.conf", "kernel.perf_event_paranoid = 0\n"}},
				Commands: []Command{asRoot("sysctl -p /etc/sysctl.d/70-ergon-perf.conf")},
				Risk: "every user and program can follow the machine's power (CVE-2020-8694) and what others do on all CPUs: " +
					"only for machines with a single user",
			}},
		},
		{
			// Docker's default seccomp profile allows perf_event_open with CAP_PERFMON (moby, profiles/seccomp/default.json).
			ID: fixPerfContainer, Title: "let the container use perf",
			Commands: []Command{asUser("docker run --cap-add PERFMON IMAGE ergon COMMAND")},
			Risk: "the container's root can count events of all CPUs of the host, including energy (CVE-2020-8694), and so " +
				"observe other tenants",
			Note: "Only root in the container has the capability. Runtimes from before 2021 do not know its name.",
		},
		{
			// systemd-run(1); systemd.resource-control(5), Delegate=; cgroup-v2.rst, Delegation.
			ID: fixGroupScope, Title: "start ergon in a scope of your own",
			Commands: []Command{asUser("systemd-run --user --scope -p Delegate=yes ergon COMMAND")},
			Risk:     "none known: the group is below the user's own group, and Delegate tells systemd to leave it alone",
			Note:     "It needs the user's own systemd (user@UID.service), which a login starts. The scope of a session belongs to root.",
		},
		{
			// systemd.resource-control(5), Delegate=: with User= the group is then that user's.
			ID: fixGroupService, Title: "delegate the service's group to its user",
			Files:    []File{{"/etc/systemd/system/{UNIT}.d/ergon-delegate.conf", "[Service]\nDelegate=yes\n"}},
			Commands: []Command{asRoot("systemctl daemon-reload"), afterLook("systemctl restart {UNIT}")},
			Undo:     []string{"systemctl daemon-reload"},
			Risk: "the service's user may make groups below the service's group and set limits there, within the service's limits; " +
				"the restart interrupts the service",
		},
		{
			// cgcreate(1) and cgexec(1) of libcgroup; systemd, CGROUP_DELEGATION: v1 is not safe to delegate.
			ID: fixGroupV1, Title: "start ergon in a v1 group that you own",
			Commands: []Command{asRoot(`cgcreate -a {USER} -t {USER} -g cpuacct,memory:ergon`), asUser("cgexec -g cpuacct,memory:ergon ergon COMMAND")},
			Undo:     []string{"cgdelete -g cpuacct,memory:ergon"},
			Risk:     "the user may set limits in that group and below; delegation in v1 is not considered safe against malicious users",
			Note:     "The group is lost at the next boot.",
		},
		{
			// podman-run(1): --security-opt unmask=; BenchExec, INSTALL.md, names the same for its groups.
			ID: fixGroupContainer, Title: "give the container a writable cgroup tree",
			Commands: []Command{asUser("podman run --cgroups=split --security-opt unmask=/sys/fs/cgroup IMAGE ergon COMMAND")},
			Risk:     "the container may make groups below its own and set limits there, within its own limits",
			Note:     "Docker gives a writable tree only to privileged containers, which is far too much for this purpose.",
		},
		{
			// docs/install.md lists the builds.
			ID: fixBuild, Title: "use the build of ergon with cgo",
			Commands: []Command{asUser("CGO_ENABLED=1 make build")},
			Risk:     "none",
			Note: "It is the release without `static` in its name, or made from the source with a C compiler. It needs glibc, as " +
				"NVIDIA's library does. So a system with musl cannot use it.",
		},
		{
			// nvidia-modprobe(1); modprobe(8).
			ID: fixModule, Title: "load NVIDIA's kernel module",
			Commands: []Command{asRoot("modprobe nvidia")},
			Undo:     []string{"modprobe -r nvidia"},
			Risk:     "none beyond the risks of the driver itself",
			Note:     "If there is no such module, the driver is not installed, or not for this kernel.",
		},
		{
			// Debian's package libnvidia-ml1; the library must be of the module's version (NVML API Reference).
			ID: fixLibrary, Title: "install the driver's library libnvidia-ml.so.1",
			Commands: []Command{asUser("cat /proc/driver/nvidia/version"), afterLook("apt install libnvidia-ml1")},
			Risk:     "a library of another version than the module's does not work, nor do other programs that use it",
			Note: "libnvidia-ml1 is Debian's name; Ubuntu has libnvidia-compute-VERSION, Fedora nvidia-driver-cuda-libs. If " +
				"the library is elsewhere, name it with --path.nvml.",
		},
		{
			// nvidia-modprobe(1): -c makes the node of a minor number, 0 is the first GPU's; nvidiactl comes with it.
			ID: fixNodes, Title: "make the device nodes",
			Commands: []Command{asRoot("nvidia-modprobe -c 0")},
			Risk:     "none beyond the risks of the driver itself",
		},
		{
			// The driver's README: NVreg_DeviceFileGID and NVreg_DeviceFileMode; usermod(8).
			ID: fixNodeGroup, Title: "join the group that may use the GPUs",
			Commands: []Command{asRoot(`usermod -aG {GROUP} {USER}`)},
			Undo:     []string{"leave {GROUP}"},
			Risk:     "members of the group {GROUP} may use the GPUs, and everything else that belongs to the group",
			Note:     "A new membership takes effect at the next login. A batch system closes device nodes on purpose.",
		},
		{
			// The driver's README: NVreg_DeviceFileGID and NVreg_DeviceFileMode, 0660 and a group, set when it is loaded.
			ID: fixNodeMode, Title: "give the device nodes to a group",
			Commands: joinGroup(asRoot(`sh -c 'mkdir -p /etc/modprobe.d && echo "options nvidia NVreg_DeviceFileGID=$(getent group ergon | cut -d: -f3) ` +
				`NVreg_DeviceFileMode=0660" >/etc/modprobe.d/ergon-nvidia.conf'`)),
			Undo: []string{"rm -f /etc/modprobe.d/ergon-nvidia.conf", leaveGroup},
			Risk: "members of the group may use the GPUs, not only read them; other users lose access if they had it",
			Note: "It takes effect when the module is loaded next, usually at the next boot. In a batch job or container the nodes " +
				"are closed on purpose: request more GPUs there.",
		},
		{
			// NVML API Reference, NVML_ERROR_LIB_RM_VERSION_MISMATCH.
			ID: fixMismatch, Title: "restart the machine, so that the module matches the new library",
			Commands: []Command{afterLook("reboot")},
			Risk:     "it ends everything that runs",
		},
		{
			// NVIDIA Container Toolkit: --gpus, and the driver capability utility, which is what NVML needs.
			ID: fixGPUs, Title: "give the container the GPUs and NVML",
			Commands: []Command{asUser("docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE ergon COMMAND")},
			Risk:     "the container may use all GPUs and see the load of all their users; --gpus device=0 gives it one",
			Note:     "It needs the NVIDIA Container Toolkit on the host.",
		},
		{
			// CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES; ergon's own option.
			ID: fixVisible, Title: "also measure the GPUs that CUDA_VISIBLE_DEVICES hides",
			Commands: []Command{asUser("ergon --all-gpus COMMAND")},
			Risk:     "none, but their energy may come from other people's jobs",
		},
		{
			// CUDA C++ Programming Guide, CUDA_DEVICE_ORDER.
			ID: fixOrder, Title: "number GPUs by their place on the bus",
			Commands: []Command{asUser("export CUDA_DEVICE_ORDER=PCI_BUS_ID")},
			Risk:     "the numbers in CUDA_VISIBLE_DEVICES may then select other GPUs for the command than before",
		},
	}
}

// fix returns a row of the table, nil if there is none with that name. words are pairs: a word in braces, and its replacement.
func fix(id string, words ...string) *Fix {
	table := fixes()
	i := slices.IndexFunc(table, func(f Fix) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	f := table[i]
	quoted := slices.Clone(words)
	for i := 1; i < len(quoted); i += 2 {
		quoted[i] = word(quoted[i])
	}
	f.fill(strings.NewReplacer(words...), strings.NewReplacer(quoted...))
	return &f
}

// fill replaces the words, in lines of shell by quoted ones, and turns nil lists into empty lists for JSON.
func (f *Fix) fill(words, quoted *strings.Replacer) {
	f.Title, f.Risk, f.Note = words.Replace(f.Title), words.Replace(f.Risk), words.Replace(f.Note)
	f.Files = append([]File{}, f.Files...)
	for i := range f.Files {
		f.Files[i] = File{words.Replace(f.Files[i].Path), words.Replace(f.Files[i].Content)}
	}
	f.Commands = append([]Command{}, f.Commands...)
	for i, c := range f.Commands {
		f.Commands[i] = Command{quoted.Replace(c.Unless), quoted.Replace(c.Run), c.By}
	}
	f.Undo = slices.Clone(f.Undo)
	for i := range f.Undo {
		f.Undo[i] = quoted.Replace(f.Undo[i])
	}
	for i := range f.Or {
		f.Or[i].fill(words, quoted)
	}
}
