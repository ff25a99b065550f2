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

// Machine is what is asked once about the machine. Fields are empty or 0 where it does not tell.
type Machine struct {
	Name         string `json:"name"`
	OS           string `json:"os"`
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`
	CPU          string `json:"cpu"`
	CPUs         int    `json:"cpus"`
	// Memory is the physical memory in bytes.
	Memory         uint64 `json:"memory"`
	Virtualization string `json:"virtualization,omitempty"`
}

// Describe asks the machine what it is. It is on the way to every start, so on Linux it reads the few files it needs
// itself: gopsutil's host.Info takes 1 to 2 ms there.
func Describe(h sensors.Host) Machine {
	m := Machine{OS: runtime.GOOS, Architecture: runtime.GOARCH, CPUs: runtime.NumCPU()}
	m.Name, _ = os.Hostname()
	m.ask(h)
	return m
}

// head is the first 4 KiB of a file: /proc/cpuinfo of a large machine has hundreds, and the first of it tells all.
func head(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 4096)
	n, _ := f.Read(buf)
	return buf[:n]
}

// field returns what follows the name and a colon on a line of its own.
func field(text []byte, name string) string {
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// fromFiles fills in what procfs and sysfs tell.
func (m *Machine) fromFiles(h sensors.Host) {
	m.Kernel = strings.TrimSpace(string(head(filepath.Join(h.Proc, "sys/kernel/osrelease"))))
	cpu := head(filepath.Join(h.Proc, "cpuinfo"))
	m.CPU = field(cpu, "model name")
	if m.CPU == "" {
		m.CPU = field(cpu, "CPU part") // arm64 has no names
	}
	total, _, _ := strings.Cut(field(head(filepath.Join(h.Proc, "meminfo")), "MemTotal"), " ")
	if kib, err := strconv.ParseUint(total, 10, 54); err == nil {
		m.Memory = kib * 1024
	}
	if bytes.Contains(cpu, []byte(" hypervisor")) {
		m.Virtualization = "virtual machine"
		if vendor := strings.TrimSpace(string(head(filepath.Join(h.Sys, "class/dmi/id/sys_vendor")))); vendor != "" {
			m.Virtualization += " (" + vendor + ")"
		}
	}
}
