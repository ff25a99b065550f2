package sensors

// Machine describes a host and its settings, which must be the same to repeat a measurement. Unknown fields are empty, 0 or
// nil. A Machine is stored once for each host and run.
type Machine struct {
	Name         string `json:"name"`
	OS           string `json:"os"`
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`
	// CPU is the model of the first processor.
	CPU string `json:"cpu"`
	// CPUs is the number of logical processors that are online, also those that the command may not use. Sockets and Cores
	// are the numbers of packages and cores that hold them.
	CPUs    int `json:"cpus"`
	Sockets int `json:"sockets,omitempty"`
	Cores   int `json:"cores,omitempty"`
	// Microcode is the revision of its microcode, as the kernel writes it ("0xd0003a5").
	Microcode string `json:"microcode,omitempty"`
	// Memory is the physical memory, and Swap the swap space, in bytes. Swap is nil if it is unknown.
	Memory    uint64  `json:"memory"`
	Swap      *uint64 `json:"swap,omitempty"`
	NUMANodes int     `json:"numa_nodes,omitempty"`
	// Virtualization is the kind of virtual machine, and Container the kind of container. Each is empty if there is no sign
	// of one.
	Virtualization string `json:"virtualization,omitempty"`
	Container      string `json:"container,omitempty"`
	// Clocksource is the clock that the kernel uses ("tsc").
	Clocksource string `json:"clocksource,omitempty"`
	// Mitigations lists the processor's vulnerabilities and tells which of them are mitigated:
	// "vulnerable: mds; mitigated: spectre_v1, spectre_v2". Vulnerabilities that do not affect it are left out.
	Mitigations string `json:"mitigations,omitempty"`
	// Parameters are the words of the kernel's command line that change its speed or power, and no others.
	Parameters string  `json:"kernel_parameters,omitempty"`
	Scaling    Scaling `json:"scaling,omitzero"`
	// PowerCaps are the power limits that are set, in the order of the zones.
	PowerCaps []PowerCap `json:"power_caps,omitempty"`
	// GPUs are the models, in the order of the bus. GPUDriver is the version of the driver.
	GPUs      []string `json:"gpus,omitempty"`
	GPUDriver string   `json:"gpu_driver,omitempty"`
	// Cgroup is the path of the cgroup in which the command was started.
	Cgroup  string  `json:"cgroup,omitempty"`
	Storage Storage `json:"storage,omitzero"`
	Limits  Limits  `json:"limits,omitzero"`
	// Git is the repository of the working folder, nil if there is none.
	Git *Git `json:"git,omitempty"`
	// Environment has the variables that say how the command was launched, and those that the user asked for, by name.
	Environment map[string]string `json:"environment,omitempty"`
}

// Scaling is how the frequency of the processors is chosen (Documentation/admin-guide/pm/cpufreq.rst).
type Scaling struct {
	Driver string `json:"driver,omitempty"`
	// Governor is the governor of the first processor when the command started. Preference is its hint to the hardware
	// (energy_performance_preference).
	Governor   string `json:"governor,omitempty"`
	Preference string `json:"preference,omitempty"`
	// Others are the different governors of other processors.
	Others []string `json:"other_governors,omitempty"`
	// Turbo tells whether frequencies above the nominal one were allowed. It is nil if that is unknown.
	Turbo *bool `json:"turbo,omitempty"`
	// Min and Max are the lowest and the highest frequency allowed for any processor, in Hz.
	Min float64 `json:"min_frequency,omitempty"`
	Max float64 `json:"max_frequency,omitempty"`
	// Change says which settings differed at the command's end: "the governor went from powersave to performance".
	Change string `json:"change,omitempty"`
}

// PowerCap is one limit of power (Documentation/power/powercap/powercap.rst).
type PowerCap struct {
	// Zone is the name and number of the limited zone ("package-0 intel-rapl:0"). Constraint is the name of the limit
	// ("long_term").
	Zone       string `json:"zone"`
	Constraint string `json:"constraint"`
	// Limit is in W.
	Limit float64 `json:"limit"`
}

// Limits tells how much of the machine a command may use, if it may not use all.
type Limits struct {
	// Processors lists the processors of the affinity mask, which includes the limits of a cpuset: "0-3,8". Allowed is
	// their number. They are empty and 0 if the command may use all processors.
	Processors string `json:"processors,omitempty"`
	Allowed    int    `json:"allowed,omitempty"`
	// Quota is the CPU time that a cgroup may use, in s/s, and QuotaSource the file that says so. 0 means no quota.
	Quota       float64 `json:"quota,omitempty"`
	QuotaSource string  `json:"quota_source,omitempty"`
	// Memory is the most memory that a cgroup may use, in bytes, and MemorySource the file that says so. 0 means no limit.
	Memory       uint64 `json:"memory,omitempty"`
	MemorySource string `json:"memory_source,omitempty"`
}

// CPUs returns how many processors the command may keep busy, and what limits it. It returns 0 if there is no limit.
func (l Limits) CPUs() (n float64, by string) {
	if l.Allowed > 0 {
		n, by = float64(l.Allowed), "the processors "+l.Processors+" it may run on"
	}
	if l.Quota > 0 && (n == 0 || l.Quota < n) {
		n, by = l.Quota, l.QuotaSource
	}
	return n, by
}

// Storage tells whether the counters of the disks bound what a program writes.
type Storage struct {
	// Listed is true if the mounted file systems and the block devices were listed after the command.
	Listed bool `json:"listed,omitempty"`
	// Elsewhere names what takes writes that no disk counts byte for byte: types of file systems on a network, of a
	// process or with compression ("nfs4", "btrfs"), and block devices in memory or on a file ("zram0", "loop3").
	Elsewhere []string `json:"elsewhere,omitempty"`
}

// AllOnDisks reports whether the disks count all bytes that a program can write to storage.
func (s Storage) AllOnDisks() bool { return s.Listed && len(s.Elsewhere) == 0 }

// Git is the state of a working tree.
type Git struct {
	// Commit is the hash of the checked-out commit. It is empty if it could not be read.
	Commit string `json:"commit"`
	Branch string `json:"branch,omitempty"`
	// Dirty tells whether tracked files differ from the commit. It is nil if that is unknown. Then Reason says why.
	Dirty  *bool  `json:"dirty"`
	Reason string `json:"reason,omitempty"`
}
