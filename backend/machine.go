package backend

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// Describe returns the part of the description that every start needs; Complete adds the rest. On Linux it reads a few
// files itself, because gopsutil's host.Info takes 1 to 2 ms there.
func Describe(h sensors.Setup) sensors.Machine {
	m := sensors.Machine{OS: runtime.GOOS, Architecture: runtime.GOARCH, CPUs: runtime.NumCPU()}
	m.Name, _ = os.Hostname()
	ask(&m, h)
	return m
}

// field returns the text after the name and a colon, from the first line with that name. It is empty if there is none.
func field(text []byte, name string) string {
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// fromFiles sets what procfs and sysfs say at the start, including settings that may change until the end.
func fromFiles(m *sensors.Machine, h sensors.Setup) {
	m.Kernel = text(h.Proc, "sys/kernel/osrelease")
	cpu := head(filepath.Join(h.Proc, "cpuinfo"))
	m.CPU = field(cpu, "model name")
	if m.CPU == "" {
		m.CPU = field(cpu, "CPU part") // arm64 has no model names
	}
	m.Microcode = field(cpu, "microcode")
	meminfo := head(filepath.Join(h.Proc, "meminfo"))
	if n, ok := fieldBytes(meminfo, "MemTotal"); ok {
		m.Memory = n
	}
	if n, ok := fieldBytes(meminfo, "SwapTotal"); ok {
		m.Swap = &n
	}
	if bytes.Contains(cpu, []byte(" hypervisor")) {
		m.Virtualization = "virtual machine"
		if vendor := text(h.Sys, "class/dmi/id/sys_vendor"); vendor != "" {
			m.Virtualization += " (" + vendor + ")"
		}
	}
	if n, _ := inList(text(h.Sys, cpus+"/online")); n > 0 {
		m.CPUs = n // of the tree that is read; Go counts the processors it may run on
	}
	m.Scaling.Governor, m.Scaling.Turbo = governor(h.Sys), turbo(h.Sys)
}

// fieldBytes returns the value of a line of /proc/meminfo, "SwapTotal:       2097152 kB", in bytes.
func fieldBytes(meminfo []byte, name string) (uint64, bool) {
	total, _, _ := strings.Cut(field(meminfo, name), " ")
	kib, err := strconv.ParseUint(total, 10, 54)
	return kib * 1024, err == nil
}

// text returns the content of a small file without white space around it, empty if the file cannot be read.
func text(root, path string) string {
	return strings.TrimSpace(string(head(filepath.Join(root, path))))
}

// governor returns the governor of the first processor. Each processor has a file of its own, but they seldom differ.
func governor(sys string) string {
	return text(sys, "devices/system/cpu/cpufreq/policy0/scaling_governor")
}

// turbo reports whether frequencies above the nominal one are allowed, nil if that is unknown. The driver intel_pstate has
// its own file instead of boost. Both are in Documentation/admin-guide/pm: intel_pstate.rst and cpufreq.rst.
func turbo(sys string) *bool {
	for _, f := range []struct{ path, on string }{
		{"devices/system/cpu/intel_pstate/no_turbo", "0"}, {"devices/system/cpu/cpufreq/boost", "1"},
	} {
		if v := text(sys, f.path); v == "0" || v == "1" {
			on := v == f.on
			return &on
		}
	}
	return nil
}
