package backend

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
)

// TestDescribeProcessors checks that the processors of the described machine are counted, not those of this one.
func TestDescribeProcessors(t *testing.T) {
	for name, want := range map[string]int{"empty-vm": 2, "laptop-psys": 4, "epyc-2s-dies": 8} {
		host := fixture.Host(t, name)
		m := Describe(host)
		CompleteBounds(host, &m)
		if m.CPUs != want {
			t.Errorf("%s: %d CPUs, want %d", name, m.CPUs, want)
		}
	}
}

func TestCompleteLaptop(t *testing.T) {
	host := fixture.Host(t, "laptop-psys")
	m := Describe(host)
	if m.Scaling.Governor != "powersave" || m.Scaling.Turbo == nil || !*m.Scaling.Turbo {
		t.Errorf("scaling at the start: %+v", m.Scaling)
	}
	// Both settings change while the command runs.
	rewrite(t, filepath.Join(host.Sys, cpus, "cpufreq/policy0/scaling_governor"), "performance\n")
	rewrite(t, filepath.Join(host.Sys, cpus, "intel_pstate/no_turbo"), "1\n")
	Complete(host, &m)
	swap := uint64(8388604 * 1024)
	want := sensors.Machine{
		Name: m.Name, OS: "linux", Architecture: runtime.GOARCH, CPU: m.CPU, Kernel: m.Kernel,
		CPUs: 4, Sockets: 1, Cores: 2, Memory: 16089412 * 1024, Swap: &swap, NUMANodes: 1, Clocksource: "tsc",
		Mitigations: "vulnerable: mds; mitigated: itlb_multihit, spectre_v2",
		Parameters:  "mitigations=auto intel_pstate=active",
		Scaling: sensors.Scaling{
			Driver: "intel_pstate", Governor: "powersave", Preference: "balance_power", Others: []string{"performance"}, Turbo: m.Scaling.Turbo,
			Min: 400e6, Max: 4400e6, Change: "the governor went from powersave to performance, turbo was switched off",
		},
		PowerCaps: m.PowerCaps,
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%+v\nwant %+v", m, want)
	}
	// psys has constraints of 0 W, which means no limit.
	caps := []sensors.PowerCap{
		{Zone: "package-0 intel-rapl-mmio:0", Constraint: "long_term", Limit: 28},
		{Zone: "package-0 intel-rapl-mmio:0", Constraint: "short_term", Limit: 60},
		{Zone: "package-0 intel-rapl:0", Constraint: "long_term", Limit: 28},
		{Zone: "package-0 intel-rapl:0", Constraint: "short_term", Limit: 60},
		{Zone: "package-0 intel-rapl:0", Constraint: "peak_power", Limit: 105},
	}
	if !slices.Equal(m.PowerCaps, caps) {
		t.Errorf("power caps: %+v", m.PowerCaps)
	}
}

func TestCompleteContainer(t *testing.T) {
	host := fixture.Host(t, "container-masked")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	m := Describe(host)
	Complete(host, &m)
	limits := sensors.Limits{
		Processors: "0-2", Allowed: 3, Quota: 1.5, QuotaSource: host.Sys + "/fs/cgroup/cpu.max",
		Memory: 4 << 30, MemorySource: host.Sys + "/fs/cgroup/memory.max",
	}
	if m.Container != "docker" || m.Limits != limits || m.Cgroup != "/" || m.CPUs != 4 {
		t.Errorf("the description is %+v", m)
	}
	if n, by := m.Limits.CPUs(); n != 1.5 || by != limits.QuotaSource {
		t.Errorf("%v CPUs, limited by %s; want 1.5 by %s", n, by, limits.QuotaSource)
	}
	if !reflect.DeepEqual(m.GPUs, []string{"NVIDIA A100-PCIE-40GB"}) || m.GPUDriver != "NVIDIA 535.129.03" {
		t.Errorf("GPUs %v, driver %s", m.GPUs, m.GPUDriver)
	}
	if m.PowerCaps != nil || m.Scaling.Turbo != nil {
		t.Errorf("masked files are described: %+v", m)
	}
}

// TestCompleteHere checks the description of an empty tree and of this machine.
func TestCompleteHere(t *testing.T) {
	empty := fixture.Empty(t)
	m := Describe(empty)
	Complete(empty, &m)
	want := sensors.Machine{Name: m.Name, OS: m.OS, Architecture: m.Architecture, CPUs: m.CPUs, Container: m.Container}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("an empty machine: %+v", m)
	}
	m = Describe(here(t))
	Complete(here(t), &m)
	if m.Kernel == "" || m.Memory == 0 || m.CPUs < runtime.NumCPU() || m.Swap == nil {
		t.Errorf("this machine is described as %+v", m)
	}
	if n, _ := m.Limits.CPUs(); m.Limits.Allowed != 0 && m.Limits.Allowed != runtime.NumCPU() || n < 0 {
		t.Errorf("limits %+v on %d CPUs of %d", m.Limits, runtime.NumCPU(), m.CPUs)
	}
	if b, err := os.ReadFile("/proc/cmdline"); err == nil && len(m.Parameters) > len(b) {
		t.Errorf("the parameters %q are longer than the command line %q", m.Parameters, b)
	}
}

func TestParameters(t *testing.T) {
	const line = "BOOT_IMAGE=/b root=UUID=1 nosmt=force isolcpus=2,3 intel-idle.max_cstate=1 rd.luks.key=x mem=8G a=mitigations\n"
	if got := parameters(line); got != "nosmt=force isolcpus=2,3 intel-idle.max_cstate=1 mem=8G" {
		t.Errorf("the parameters are %q", got)
	}
}

// FuzzInList checks that inList and members agree.
func FuzzInList(f *testing.F) {
	for _, s := range []string{"0-3,8", "0", "", "3-1", "0-70000", "1,2-", "-1", "0,0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		n, first := inList(list)
		all := members(list)
		if n > 0 && (len(all) != n || all[0] != first || !strings.Contains(list, strconv.Itoa(first))) {
			t.Fatalf("%q: inList counts %d from %d, members are %v", list, n, first, all)
		}
		if n < 0 || n == 0 && first != -1 {
			t.Fatalf("%q: inList counts %d from %d", list, n, first)
		}
	})
}

// TestResolution checks that readings are multiples of the declared resolution, on this machine and on recorded machines
// with other sensors.
func TestResolution(t *testing.T) {
	for _, name := range []string{"", "laptop-psys", "epyc-2s-dies", "grace"} {
		host := here(t)
		if name != "" {
			host = fixture.Host(t, name)
		}
		for _, b := range []sensors.Backend{cpu(), cpufreq(), thermal(), memory(), disk(), network(), rapl(), hwmon()} {
			source, _, err := b.Open(t.Context(), host)
			if err != nil {
				continue
			}
			list := source.Sensors()
			dst := make([]float64, len(list))
			if err := source.Read(dst); err != nil {
				t.Error(err)
			}
			for i, s := range list {
				if s.Name == "utilization" || s.Name == "free" {
					continue
				}
				if steps := dst[i] / s.Resolution; !(s.Resolution > 0) || math.Abs(steps-math.Round(steps)) > 1e-3 {
					t.Errorf("%s %s: %v is not a multiple of %v", name, s.ID, dst[i], s.Resolution)
				}
			}
			if err := source.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
