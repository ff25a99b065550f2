package doctor

import (
	"slices"
	"strings"
)

// Fix is a change that somebody may make so that something can be read.
type Fix struct {
	ID string `json:"id"`
	// Title says in a phrase what it does.
	Title string `json:"title"`
	// Files are to be written as they are, before the commands.
	Files    []File   `json:"files"`
	Commands []string `json:"commands"`
	// Risk names what it opens, and to whom.
	Risk string `json:"risk"`
	// Note is what else there is to know.
	Note string `json:"note,omitempty"`
	// Or are other ways to the same end.
	Or []Fix `json:"or,omitempty"`
}

// File is a file to be written.
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

// What several fixes say.
const (
	makeGroup = `getent group ergon >/dev/null || sudo groupadd --system ergon`
	joinGroup = `sudo usermod -aG ergon "$USER"`
	newLogin  = "A new membership holds from the next login on; `newgrp ergon` gives it to a shell at once."

	sideChannel = "who is in the group, and every program they start, can follow the machine's power finely enough to learn " +
		"what other programs compute, keys included (PLATYPUS: CVE-2020-8694 on Intel, CVE-2020-12912 on AMD)"

	// setcap takes no symbolic link, and a capability is lost when the owner or group of the file changes.
	setPerfmon   = `sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v ergon)")"`
	aboutPerfmon = "Linux 5.8 and later. The sampler is the same file, so it has the capability too; the command that is " +
		"measured has not. With it the dynamic loader ignores LD_LIBRARY_PATH for ergon: an NVML library that is found only " +
		"so needs --path.nvml or ldconfig. It does not hold on file systems mounted nosuid, and is lost with each update of " +
		"the file."
	riskPerfmon = "whoever may execute that file can have it count events of every process and CPU, energy included, which is " +
		"the side channel of CVE-2020-8694; to keep it to a group, chgrp the file and chmod it 0750 before the setcap"
)

// fixes is the table of all that is ever advised. The comment of each row names its source. Words in braces are put in by
// fix; what a shell expands is left to it.
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
			Commands: []string{
				makeGroup, joinGroup, "sudo udevadm control --reload", "sudo udevadm trigger --action=add --subsystem-match=powercap",
			},
			Risk: sideChannel,
			Note: newLogin + " In a container this is to be done on the host.",
			Or: []Fix{{
				// tmpfiles.d(5): z sets mode and owner of what exists and takes globs; systemd-tmpfiles(8): --create NAME.
				ID: "powercap-tmpfiles", Title: "the same without a udev rule",
				Files: []File{{"/etc/tmpfiles.d/ergon-powercap.conf", "z /sys/class/powercap/*:*/energy_uj 0440 root ergon - -\n"}},
				Commands: []string{
					makeGroup, joinGroup, "sudo systemd-tmpfiles --create /etc/tmpfiles.d/ergon-powercap.conf",
				},
				Risk: sideChannel,
				Note: "It is applied once at boot, and finds nothing where the module intel_rapl_msr is loaded later.",
			}},
		},
		{
			// GHSA-jq35-85cj-fj4p for what Docker masks; podman-run(1): --security-opt unmask=; docker run: --volume :ro.
			ID: fixMasked, Title: "show the container the host's energy counters",
			Commands: []string{"docker run -v /sys:/host/sys:ro IMAGE ergon --path.sysfs /host/sys COMMAND"},
			Risk: "the container sees the energy of the whole host, and so of every other tenant (CVE-2020-8694), and all else " +
				"that the host's /sys tells of it; only for containers you trust",
			Note: "In Kubernetes this is a hostPath volume with readOnly: true. The energy is that of the host, shared with all " +
				"that runs there. A user other than root in the container needs the host's files to be readable as well.",
			Or: []Fix{{
				ID: "powercap-unmask", Title: "with Podman, lift the mask from this one folder",
				Commands: []string{"podman run --security-opt unmask=/sys/devices/virtual/powercap IMAGE ergon COMMAND"},
				Risk:     "the container sees the energy of the whole host, and so of every other tenant (CVE-2020-8694)",
			}},
		},
		{
			// tmpfiles.d(5). CVE-2020-12912 for the driver amd_energy, whose hwmon files are root's since Linux 5.10.
			ID: fixSysfs, Title: "let a group read {PATH}",
			Files:    []File{{"/etc/tmpfiles.d/ergon-sensors.conf", "z {PATH} 0440 root ergon - -\n"}},
			Commands: []string{makeGroup, joinGroup, "sudo systemd-tmpfiles --create /etc/tmpfiles.d/ergon-sensors.conf"},
			Risk:     sideChannel,
			Note:     newLogin + " Other lines that the file has already stay.",
		},
		{
			// Documentation/admin-guide/perf-security.rst and sysctl/kernel.rst (perf_event_paranoid); capabilities(7);
			// setcap(8); ld.so(8), secure-execution mode.
			ID: fixTaskClock, Title: "let ergon count the CPU time of the command by perf",
			Commands: []string{setPerfmon}, Risk: riskPerfmon, Note: aboutPerfmon,
			Or: []Fix{{
				ID: "perf-paranoid", Title: "let every user count what their own processes do",
				Files:    []File{{"/etc/sysctl.d/70-ergon-perf.conf", "kernel.perf_event_paranoid = 2\n"}},
				Commands: []string{"sudo sysctl -p /etc/sysctl.d/70-ergon-perf.conf"},
				Risk: "every user and program may call perf_event_open for its own processes: it is the kernel's own default, and " +
					"distributions that set 3 or 4 do so for the bugs that were in that call",
			}},
		},
		{
			// The same, and Documentation/ABI/testing/sysfs-bus-event_source-devices-events. Events of a CPU, as those of
			// energy PMUs are, need perf_event_paranoid 0 or less.
			ID: fixEnergyPMU, Title: "let ergon read the energy counters by perf",
			Commands: []string{setPerfmon}, Risk: riskPerfmon, Note: aboutPerfmon,
			Or: []Fix{{
				ID: "perf-paranoid-0", Title: "let every user count events of whole CPUs",
				Files:    []File{{"/etc/sysctl.d/70-ergon-perf.conf", "kernel.perf_event_paranoid = 0\n"}},
				Commands: []string{"sudo sysctl -p /etc/sysctl.d/70-ergon-perf.conf"},
				Risk: "every user and program can follow the machine's power (CVE-2020-8694) and what the others do on all CPUs: " +
					"for machines of one user only",
			}},
		},
		{
			// Docker's default seccomp profile allows perf_event_open with CAP_PERFMON (moby, profiles/seccomp/default.json).
			ID: fixPerfContainer, Title: "let the container use perf",
			Commands: []string{"docker run --cap-add PERFMON IMAGE ergon COMMAND"},
			Risk: "the container's root can count events of all CPUs of the host, energy included (CVE-2020-8694), and so " +
				"watch the other tenants",
			Note: "The capability is root's in the container. Runtimes before the year 2021 know it by no name.",
		},
		{
			// systemd-run(1); systemd.resource-control(5), Delegate=; cgroup-v2.rst, Delegation.
			ID: fixGroupScope, Title: "start ergon in a scope of your own",
			Commands: []string{"systemd-run --user --scope -p Delegate=yes ergon COMMAND"},
			Risk:     "none known: the group is below the user's own, and Delegate tells systemd to leave it alone",
			Note:     "It needs a systemd of the user (user@UID.service), which a login starts. A session's own scope is root's.",
		},
		{
			// systemd.resource-control(5), Delegate=: with User= the group is then that user's.
			ID: fixGroupService, Title: "delegate the service's group to its user",
			Files: []File{{"/etc/systemd/system/{UNIT}.d/ergon-delegate.conf", "[Service]\nDelegate=yes\n"}},
			Commands: []string{
				"sudo systemctl daemon-reload", "sudo systemctl restart {UNIT}",
			},
			Risk: "the service's user may make groups below the service's and set limits there, within those of the service; " +
				"the restart ends what the service does",
		},
		{
			// cgcreate(1) and cgexec(1) of libcgroup; systemd, CGROUP_DELEGATION: v1 is not safe to delegate.
			ID: fixGroupV1, Title: "start ergon in a group of v1 that is yours",
			Commands: []string{
				`sudo cgcreate -a "$USER" -t "$USER" -g cpuacct,memory:ergon`,
				"cgexec -g cpuacct,memory:ergon ergon COMMAND",
			},
			Risk: "the user may set limits in that group and below; delegation in v1 is not held to be safe against users who " +
				"mean harm",
			Note: "The group is gone with the next boot.",
		},
		{
			// podman-run(1): --security-opt unmask=; BenchExec, INSTALL.md, names the same for its groups.
			ID: fixGroupContainer, Title: "give the container a tree of cgroups that it may write to",
			Commands: []string{"podman run --cgroups=split --security-opt unmask=/sys/fs/cgroup IMAGE ergon COMMAND"},
			Risk:     "the container may make groups below its own and set limits there, within its own limits",
			Note:     "Docker gives a writable tree to privileged containers only, which is far more than this is worth.",
		},
		{
			// nvidia-modprobe(1); modprobe(8).
			ID: fixModule, Title: "load NVIDIA's kernel module",
			Commands: []string{"sudo modprobe nvidia"},
			Risk:     "none beyond those of the driver itself",
			Note:     "Where there is no such module the driver is not installed, or not for this kernel.",
		},
		{
			// Debian's package libnvidia-ml1; the library must be of the module's version (NVML API Reference).
			ID: fixLibrary, Title: "install the driver's library libnvidia-ml.so.1",
			Commands: []string{"cat /proc/driver/nvidia/version", "sudo apt install libnvidia-ml1"},
			Risk:     "a library of another version than the module's does not work, nor does what else uses it",
			Note: "libnvidia-ml1 is Debian's name; Ubuntu has libnvidia-compute-VERSION, Fedora nvidia-driver-cuda-libs. Where " +
				"the library is elsewhere, --path.nvml names it.",
		},
		{
			// nvidia-modprobe(1): -c makes the node of a minor number, 0 is the first GPU's; nvidiactl comes with it.
			ID: fixNodes, Title: "make the device nodes",
			Commands: []string{"sudo nvidia-modprobe -c 0"},
			Risk:     "none beyond those of the driver itself",
		},
		{
			// The driver's README: NVreg_DeviceFileGID and NVreg_DeviceFileMode; usermod(8).
			ID: fixNodeGroup, Title: "join the group that may use the GPUs",
			Commands: []string{`sudo usermod -aG {GROUP} "$USER"`},
			Risk:     "who is in the group {GROUP} may use the GPUs, and what else belongs to that group",
			Note:     "A new membership holds from the next login on. A batch system that closes the nodes does so on purpose.",
		},
		{
			// The driver's README: NVreg_DeviceFileGID and NVreg_DeviceFileMode, 0660 and a group, set when it is loaded.
			ID: fixNodeMode, Title: "give the device nodes to a group",
			Files: []File{{"/etc/modprobe.d/ergon-nvidia.conf", "options nvidia NVreg_DeviceFileGID=GID NVreg_DeviceFileMode=0660\n"}},
			Commands: []string{
				makeGroup, joinGroup, `sudo sed -i "s/=GID/=$(getent group ergon | cut -d: -f3)/" /etc/modprobe.d/ergon-nvidia.conf`,
			},
			Risk: "who is in the group may use the GPUs, not only read them; users outside it no longer can, where they could",
			Note: "It holds from the next load of the module on, that is the next boot. In a batch job or container the nodes are " +
				"closed on purpose, and more GPUs are to be asked for there.",
		},
		{
			// NVML API Reference, NVML_ERROR_LIB_RM_VERSION_MISMATCH.
			ID: fixMismatch, Title: "restart the machine, so that the module is that of the new library",
			Commands: []string{"sudo reboot"},
			Risk:     "it ends all that runs",
		},
		{
			// NVIDIA Container Toolkit: --gpus, and the driver capability utility, which is what NVML needs.
			ID: fixGPUs, Title: "give the container the GPUs and NVML",
			Commands: []string{"docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE ergon COMMAND"},
			Risk:     "the container may use all GPUs and see the load of all that use them; --gpus device=0 gives it one",
			Note:     "It needs the NVIDIA Container Toolkit on the host.",
		},
		{
			// CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES; ergon's own option.
			ID: fixVisible, Title: "measure the GPUs that CUDA_VISIBLE_DEVICES hides as well",
			Commands: []string{"ergon --all-gpus COMMAND"},
			Risk:     "none: but their energy may be that of other people's jobs",
		},
		{
			// CUDA C++ Programming Guide, CUDA_DEVICE_ORDER.
			ID: fixOrder, Title: "count GPUs by their place on the bus",
			Commands: []string{"export CUDA_DEVICE_ORDER=PCI_BUS_ID"},
			Risk:     "the numbers in CUDA_VISIBLE_DEVICES may then mean other GPUs to the command than before",
		},
	}
}

// fix is a row of the table with its words put in; words are pairs of one in braces and what stands for it.
func fix(id string, words ...string) *Fix {
	table := fixes()
	i := slices.IndexFunc(table, func(f Fix) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	f := table[i]
	f.fill(strings.NewReplacer(words...))
	return &f
}

// fill puts the words in, and lists where there are none.
func (f *Fix) fill(words *strings.Replacer) {
	f.Title, f.Risk, f.Note = words.Replace(f.Title), words.Replace(f.Risk), words.Replace(f.Note)
	f.Files = append([]File{}, f.Files...)
	for i := range f.Files {
		f.Files[i] = File{words.Replace(f.Files[i].Path), words.Replace(f.Files[i].Content)}
	}
	f.Commands = append([]string{}, f.Commands...)
	for i := range f.Commands {
		f.Commands[i] = words.Replace(f.Commands[i])
	}
	for i := range f.Or {
		f.Or[i].fill(words)
	}
}
