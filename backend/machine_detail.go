package backend

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/container"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// cpus is the folder of the processors in sysfs.
	cpus = "devices/system/cpu"
	// mostCPUs is larger than CONFIG_NR_CPUS of any kernel.
	mostCPUs = 1 << 16
)

// Complete adds to the result of Describe what a command's start should not wait for, and the settings that have changed
// since. It only reads files. What they do not contain stays as it was.
func Complete(h sensors.Setup, m *sensors.Machine) {
	countProcessors(h.Sys, m)
	if m.Sockets == 0 {
		m.Sockets = packages(h.Proc)
	}
	m.NUMANodes, _ = inList(text(h.Sys, "devices/system/node/online"))
	m.Clocksource = text(h.Sys, "devices/system/clocksource/clocksource0/current_clocksource")
	m.Mitigations = mitigations(h.Sys)
	m.Parameters = parameters(text(h.Proc, "cmdline"))
	if kind := text(h.Sys, "hypervisor/type"); kind != "" && m.Virtualization == "" {
		m.Virtualization = "virtual machine (" + kind + ")"
	}
	scaling(h.Sys, &m.Scaling)
	m.PowerCaps = powerCaps(h.Sys)
	m.GPUs, m.GPUDriver = gpus(h)
	CompleteBounds(h, m)
}

// CompleteBounds adds the part of Complete that a summary needs: the container, and the limits on what the command may
// use.
func CompleteBounds(h sensors.Setup, m *sensors.Machine) {
	m.Container = container.Look(h.Proc, os.Getenv).Kind
	m.Cgroup, m.Limits = limits(h, *m)
}

// inList counts the numbers in a list as the kernel writes it, "0-3,8" (Documentation/admin-guide/cputopology.rst). It
// also returns the first number. If the text is not such a list, it returns 0 and -1.
func inList(list string) (n, first int) {
	first = -1
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		to := from
		if err == nil && ranged {
			to, err = strconv.Atoi(high)
		}
		if err != nil || from < 0 || to < from || to >= mostCPUs {
			return 0, -1
		}
		if first < 0 {
			first = from
		}
		n += to - from + 1
	}
	return n, first
}

// members returns the numbers in such a list.
func members(list string) []int {
	var out []int
	for part := range strings.SplitSeq(list, ",") {
		if n, first := inList(part); n > 0 {
			for i := range n {
				out = append(out, first+i)
			}
		}
	}
	return out
}

// countProcessors counts the cores and sockets of the processors that are online. A processor's list of siblings names all
// processors of its core or socket, so one file for each core or socket is enough.
func countProcessors(sys string, m *sensors.Machine) {
	online := members(text(sys, cpus+"/online"))
	if len(online) == 0 {
		return
	}
	count := func(file string) int {
		seen, groups := map[int]bool{}, 0
		for _, n := range online {
			if seen[n] {
				continue
			}
			of := members(text(sys, fmt.Sprintf("%s/cpu%d/topology/%s", cpus, n, file)))
			if len(of) == 0 {
				return 0
			}
			groups++
			for _, sibling := range of {
				seen[sibling] = true
			}
		}
		return groups
	}
	m.Sockets = count("core_siblings_list")
	m.Cores = count("thread_siblings_list")
}

// packages counts the sockets in /proc/cpuinfo, for machines whose sysfs does not list them. It returns 0 if the file
// does not name them either, as on ARM.
func packages(proc string) int {
	path := filepath.Join(proc, "cpuinfo")
	if covered(path) { // it may block, and what a container is shown is not the machine
		return 0
	}
	all, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	seen := make(map[string]bool)
	for line := range bytes.Lines(all) {
		if key, value, _ := bytes.Cut(line, []byte(":")); string(bytes.TrimSpace(key)) == "physical id" {
			seen[string(bytes.TrimSpace(value))] = true
		}
	}
	return len(seen)
}

// mitigations summarizes cpu/vulnerabilities (Documentation/ABI/testing/sysfs-devices-system-cpu). Each file there begins
// with "Not affected", "Vulnerable", "Mitigation: …" or "KVM: …".
func mitigations(sys string) string {
	dir := filepath.Join(sys, cpus, "vulnerabilities")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var vulnerable, mitigated []string
	for _, e := range entries {
		switch state := text(dir, e.Name()); {
		case strings.Contains(state, "Vulnerable"):
			vulnerable = append(vulnerable, e.Name())
		case strings.Contains(state, "Mitigation"):
			mitigated = append(mitigated, e.Name())
		}
	}
	var parts []string
	if len(vulnerable) > 0 {
		parts = append(parts, "vulnerable: "+strings.Join(vulnerable, ", "))
	}
	if len(mitigated) > 0 {
		parts = append(parts, "mitigated: "+strings.Join(mitigated, ", "))
	}
	if len(parts) == 0 && len(entries) > 0 {
		return "not affected"
	}
	return strings.Join(parts, "; ")
}

// parameters returns those words of the kernel's command line that change its speed or power
// (Documentation/admin-guide/kernel-parameters.txt). The other words may name disks, hosts and keys.
func parameters(cmdline string) string {
	kept := []string{
		"mitigations", "nosmt", "isolcpus", "nohz_full", "nohz", "rcu_nocbs", "maxcpus", "nr_cpus", "mem", "intel_pstate", "amd_pstate",
		"cpufreq.default_governor", "cpufreq.off", "intel_idle.max_cstate", "processor.max_cstate", "cpuidle.off", "idle",
		"transparent_hugepage", "hugepages", "hugepagesz", "default_hugepagesz", "clocksource", "tsc", "preempt", "numa_balancing",
		"psi", "spectre_v2", "mds", "l1tf", "pti", "nopti", "nokaslr",
	}
	var out []string
	for word := range strings.FieldsSeq(cmdline) {
		name, _, _ := strings.Cut(word, "=")
		if slices.Contains(kept, strings.ReplaceAll(name, "-", "_")) {
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// scaling completes the settings that were read at the start, and notes which of them have changed since.
func scaling(sys string, s *sensors.Scaling) {
	policies, _ := filepath.Glob(filepath.Join(sys, cpus, "cpufreq/policy*")) // an error means a bad pattern, which only the root's name could hold
	for _, dir := range policies {
		if s.Driver == "" {
			s.Driver, s.Preference = text(dir, "scaling_driver"), text(dir, "energy_performance_preference")
		}
		if g := text(dir, "scaling_governor"); g != "" && filepath.Base(dir) != "policy0" && g != s.Governor && !slices.Contains(s.Others, g) {
			s.Others = append(s.Others, g)
		}
		if least, err := strconv.ParseUint(text(dir, "scaling_min_freq"), 10, 40); err == nil && (s.Min == 0 || float64(least)*1e3 < s.Min) {
			s.Min = float64(least) * 1e3
		}
		if most, err := strconv.ParseUint(text(dir, "scaling_max_freq"), 10, 40); err == nil {
			s.Max = max(s.Max, float64(most)*1e3)
		}
	}
	var changes []string
	if now := governor(sys); now != s.Governor && now != "" && s.Governor != "" {
		changes = append(changes, fmt.Sprintf("the governor went from %s to %s", s.Governor, now))
	}
	if now := turbo(sys); now != nil && s.Turbo != nil && *now != *s.Turbo {
		changes = append(changes, "turbo was switched "+map[bool]string{true: "on", false: "off"}[*now])
	}
	s.Change = strings.Join(changes, ", ")
}

// powerCaps returns the constraints of the powercap zones that set a limit. A zone that cannot be read has none.
func powerCaps(sys string) []sensors.PowerCap {
	dir := filepath.Join(sys, "class/powercap")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []sensors.PowerCap
	for _, e := range entries {
		zone, err := resolve(sys, "class/powercap/"+e.Name())
		if err != nil || !strings.Contains(e.Name(), ":") || text(zone, "enabled") == "0" {
			continue
		}
		for i := 0; ; i++ {
			limit := text(zone, fmt.Sprintf("constraint_%d_power_limit_uw", i))
			if limit == "" {
				break
			}
			uw, err := strconv.ParseUint(limit, 10, 53)
			if err != nil || uw == 0 {
				continue
			}
			name := text(zone, fmt.Sprintf("constraint_%d_name", i))
			if name == "" {
				name = "constraint_" + strconv.Itoa(i)
			}
			out = append(out, sensors.PowerCap{
				Zone: strings.TrimSpace(text(zone, "name") + " " + e.Name()), Constraint: name, Limit: float64(uw) / 1e6,
			})
		}
	}
	return out
}

// gpus returns the models of the GPUs without loading a library: NVIDIA's from the driver's files in procfs, others from
// the PCI bus. The driver's version is the first word that begins with a digit in
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023
func gpus(h sensors.Setup) (models []string, driver string) {
	cards, _ := filepath.Glob(filepath.Join(h.Proc, "driver/nvidia/gpus/*/information"))
	for _, f := range cards {
		if model := field(head(f), "Model"); model != "" {
			models = append(models, model)
		}
	}
	if version := field(head(filepath.Join(h.Proc, "driver/nvidia/version")), "NVRM version"); version != "" {
		for word := range strings.FieldsSeq(version) {
			if word[0] >= '0' && word[0] <= '9' {
				driver = "NVIDIA " + word
				break
			}
		}
	}
	bus := filepath.Join(h.Sys, "bus/pci/devices")
	devices, _ := os.ReadDir(bus)
	for _, d := range devices {
		dir := filepath.Join(bus, d.Name())
		// 0x0300 is a VGA controller, 0x0302 a 3D controller, 0x0380 another display controller, and 0x1200 an
		// accelerator (PCI Code and ID Assignment Specification).
		class := text(dir, "class")
		if !slices.ContainsFunc([]string{"0x0300", "0x0302", "0x0380", "0x1200"}, func(c string) bool { return strings.HasPrefix(class, c) }) {
			continue
		}
		vendor, device := text(dir, "vendor"), text(dir, "device")
		if vendor == "0x10de" && len(cards) > 0 {
			continue
		}
		name := text(dir, "product_name") // amdgpu
		if name == "" {
			name = map[string]string{"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}[vendor]
			name = strings.TrimSpace(fmt.Sprintf("%s PCI %s:%s", name, strings.TrimPrefix(vendor, "0x"), strings.TrimPrefix(device, "0x")))
		}
		models = append(models, name)
		if version := text(dir, "driver/module/version"); version != "" && driver == "" {
			driver = version
		}
	}
	return models, driver
}

// limits returns how much of the machine m a command may use if this process starts it, and the path of its cgroup.
func limits(h sensors.Setup, m sensors.Machine) (group string, l sensors.Limits) {
	// The affinity mask never exceeds the cpuset (Documentation/admin-guide/cgroup-v1/cpusets.rst). The list is in the
	// part that head reads: a status has 1.5 KB, and the mask before the list at most some hundred bytes.
	allowed := field(head(filepath.Join(h.Proc, "self/status")), "Cpus_allowed_list")
	if n, _ := inList(allowed); n > 0 && n < m.CPUs {
		l.Processors, l.Allowed = allowed, n
	}
	c, err := cgroup.LimitsOf(h.Proc, h.Sys)
	if err != nil {
		return "", l
	}
	if c.Quota > 0 && c.Quota < float64(m.CPUs) {
		l.Quota, l.QuotaSource = c.Quota, c.QuotaFile
	}
	if c.Memory > 0 && (m.Memory == 0 || c.Memory < m.Memory) {
		l.Memory, l.MemorySource = c.Memory, c.MemoryFile
	}
	return c.Path, l
}
