package sensors

// Machine is what a host is and how it was set up: what has to be the same for a measurement to be repeated. Fields are
// empty, 0 or nil where the host does not tell. It is stored once for each host and run.
type Machine struct {
	Name         string `json:"name"`
	OS           string `json:"os"`
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`
	// CPU is the model of the first processor.
	CPU string `json:"cpu"`
	// CPUs is the number of logical processors that are online, whoever may use them; Sockets and Cores are what they are in.
	CPUs    int `json:"cpus"`
	Sockets int `json:"sockets,omitempty"`
	Cores   int `json:"cores,omitempty"`
	// Microcode is its revision as the kernel writes it ("0xd0003a5").
	Microcode string `json:"microcode,omitempty"`
	// Memory is the physical memory and Swap the space to swap to, in bytes; Swap is nil where that is not known.
	Memory    uint64  `json:"memory"`
	Swap      *uint64 `json:"swap,omitempty"`
	NUMANodes int     `json:"numa_nodes,omitempty"`
	// Virtualization is the kind of virtual machine, Container that of container; empty where nothing says so.
	Virtualization string `json:"virtualization,omitempty"`
	Container      string `json:"container,omitempty"`
	// Clocksource is what the kernel takes the time from ("tsc").
	Clocksource string `json:"clocksource,omitempty"`
	// Mitigations are the processor's known weaknesses by what is done about them, those it does not have left out:
	// "vulnerable: mds; mitigated: spectre_v1, spectre_v2".
	Mitigations string `json:"mitigations,omitempty"`
	// Parameters are those of the kernel's command line that change how fast it is or what it takes, and no others.
	Parameters string  `json:"kernel_parameters,omitempty"`
	Scaling    Scaling `json:"scaling,omitzero"`
	// PowerCaps are the limits of power that are set, in the order of the zones.
	PowerCaps []PowerCap `json:"power_caps,omitempty"`
	// GPUs are the models in the order of the bus, and GPUDriver the version of the driver.
	GPUs      []string `json:"gpus,omitempty"`
	GPUDriver string   `json:"gpu_driver,omitempty"`
	// Cgroup is the path of the group the command was started in.
	Cgroup string `json:"cgroup,omitempty"`
	Limits Limits `json:"limits,omitzero"`
	// Git is the repository the working folder is in, nil where it is in none.
	Git *Git `json:"git,omitempty"`
	// Environment is the variables that say how the command was launched, and those asked for, by name.
	Environment map[string]string `json:"environment,omitempty"`
}

// Scaling is how the frequency of the processors is chosen (Documentation/admin-guide/pm/cpufreq.rst).
type Scaling struct {
	Driver string `json:"driver,omitempty"`
	// Governor is that of the first processor when the command started, Preference its hint to the hardware
	// (energy_performance_preference).
	Governor   string `json:"governor,omitempty"`
	Preference string `json:"preference,omitempty"`
	// Others are governors that other processors had beside it.
	Others []string `json:"other_governors,omitempty"`
	// Turbo says whether frequencies above the nominal one were allowed; nil where that is not known.
	Turbo *bool `json:"turbo,omitempty"`
	// Min and Max are the least and the greatest frequency that any processor may be given, in Hz.
	Min float64 `json:"min_frequency,omitempty"`
	Max float64 `json:"max_frequency,omitempty"`
	// Change says what of it was another at the command's end: "the governor went from powersave to performance".
	Change string `json:"change,omitempty"`
}

// PowerCap is one limit of power (Documentation/power/powercap/powercap.rst).
type PowerCap struct {
	// Zone is the name and number of what is limited ("package-0 intel-rapl:0"), Constraint that of the limit ("long_term").
	Zone       string `json:"zone"`
	Constraint string `json:"constraint"`
	// Limit is in W.
	Limit float64 `json:"limit"`
}

// Limits is what a command may use of the machine, as far as it is less than all of it.
type Limits struct {
	// Processors is the list of those it may run on by its affinity mask, which a cpuset is part of: "0-3,8"; Allowed is
	// their number. Empty and 0 where it may use all.
	Processors string `json:"processors,omitempty"`
	Allowed    int    `json:"allowed,omitempty"`
	// Quota is the CPU time a cgroup may use a second, in s/s, and QuotaSource the file that says so; 0 is no quota.
	Quota       float64 `json:"quota,omitempty"`
	QuotaSource string  `json:"quota_source,omitempty"`
	// Memory is the most a cgroup may hold, in bytes, and MemorySource the file that says so; 0 is no limit.
	Memory       uint64 `json:"memory,omitempty"`
	MemorySource string `json:"memory_source,omitempty"`
}

// CPUs is how many processors the command may keep busy, and by what; 0 where it may use all there are.
func (l Limits) CPUs() (n float64, by string) {
	if l.Allowed > 0 {
		n, by = float64(l.Allowed), "the processors "+l.Processors+" it may run on"
	}
	if l.Quota > 0 && (n == 0 || l.Quota < n) {
		n, by = l.Quota, l.QuotaSource
	}
	return n, by
}

// Git is the state of a working tree.
type Git struct {
	// Commit is the hash of the commit checked out; empty where that could not be read.
	Commit string `json:"commit"`
	Branch string `json:"branch,omitempty"`
	// Dirty says whether tracked files differ from it; nil where that is not known, and then Reason says why.
	Dirty  *bool  `json:"dirty"`
	Reason string `json:"reason,omitempty"`
}
