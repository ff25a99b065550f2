package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/internal/container"
	"github.com/ergon-energy/ergon/sensors"
)

// Probe looks at the machine, given what a sampler found. Perf and cgroups are always this machine's, whatever the roots
// in host. Families that the sampler was not asked for are not probed.
func Probe(host sensors.Setup, readings []Reading, missing []sensors.Absence) Facts {
	asked := func(family string) bool {
		return slices.ContainsFunc(readings, func(r Reading) bool { return r.Backend == family }) ||
			slices.ContainsFunc(missing, func(a sensors.Absence) bool { return a.Family == family })
	}
	f := Facts{System: runtime.GOOS, UID: os.Geteuid(), Sensors: readings, Missing: missing, Redirected: host.Sys != "/sys"}
	f.Container = container.Look("/proc", os.Getenv).Sign
	f.NVIDIA = nvidia(host)
	if asked("target") {
		f.TaskClock, f.Groups = taskClock(), groups()
	}
	if b, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid"); err == nil {
		f.Paranoid = strings.TrimSpace(string(b))
	}
	return f
}

// nvidia looks for GPUs without NVML: on the bus, in the module's folder in procfs, and at the device nodes. The device
// nodes are always this machine's, whatever the roots.
func nvidia(host sensors.Setup) NVIDIA {
	n := NVIDIA{}
	vendors, _ := filepath.Glob(filepath.Join(host.Sys, "bus/pci/devices/*/vendor")) // an error means a bad pattern, which only the root's name could hold
	for _, file := range vendors {
		if content(file) != "0x10de" {
			continue
		}
		// 0x0300 is a VGA controller and 0x0302 a 3D controller (PCI Code and ID Assignment Specification).
		if class := content(filepath.Join(filepath.Dir(file), "class")); strings.HasPrefix(class, "0x0300") || strings.HasPrefix(class, "0x0302") {
			n.GPUs++
		}
	}
	if _, err := os.Stat(filepath.Join(host.Proc, "driver/nvidia/version")); err == nil {
		n.Driver = true
	}
	n.Nodes, n.Denied, n.Owner = nodes("/dev/nvidiactl", "/dev/nvidia[0-9]*")
	return n
}

// content returns the only word of a file, empty if the file cannot be read.
func content(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
