package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// twoMeters creates a machine whose CPUs 0 and 1 are in packages of their own, each with a counter.
const twoMeters = `
-- sys/devices/system/cpu/online --
0-1
-- sys/devices/system/cpu/cpu0/topology/physical_package_id --
0
-- sys/devices/system/cpu/cpu0/topology/core_siblings_list --
0
-- sys/devices/system/cpu/cpu1/topology/physical_package_id --
1
-- sys/devices/system/cpu/cpu1/topology/core_siblings_list --
1
-- sys/class/powercap/intel-rapl:0/name --
package-0
-- sys/class/powercap/intel-rapl:0/energy_uj --
500000000
-- sys/class/powercap/intel-rapl:0/max_energy_range_uj --
262143328850
-- sys/class/powercap/intel-rapl:1/name --
package-1
-- sys/class/powercap/intel-rapl:1/energy_uj --
700000000
-- sys/class/powercap/intel-rapl:1/max_energy_range_uj --
262143328850
`

// The target runs on one package, another process on the other. The other package takes 300 of 400 J, and the target must get
// nothing of them. Shared by all busy time, it would get a large part.
func TestEnergyByPackage(t *testing.T) {
	testenv.Long(t)
	sys, dir := fixture.Unpack(t, twoMeters).Sys, t.TempDir()
	var first, second unix.CPUSet
	first.Set(0)
	second.Set(1)
	if _, err := os.Stat("/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu"); err != nil || os.Geteuid() != 0 {
		testenv.Lacks(t, testenv.CgroupV1, "nothing counts by processor, or not root to make a group")
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		t.Skip(err)
	}
	load := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = load.Wait() })
	if err := unix.SchedSetaffinity(load.Process.Pid, &second); err != nil {
		t.Skip(err) // only one CPU
	}
	zones := filepath.Join(sys, "class/powercap")
	// Each step is a rise that the greatest rate allows between any two readings: 30 J at 5 kW take 6 ms.
	script := `for n in 1 2 3 4 5 6 7 8 9 10; do
i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done
echo $((500+10*n))000000 >` + zones + `/intel-rapl:0/energy_uj; echo $((700+30*n))000000 >` + zones + `/intel-rapl:1/energy_uj
done`
	c := command(t, newMark(), "ergon", "--path.sysfs", sys, "-o", dir, taskset, "-c", "0", "sh", "-c", script)
	// A unified hierarchy beside v1 would be used first, so it is covered.
	c.Args = append([]string{"sh", "-c", `cd /sys/fs/cgroup/unified 2>/dev/null && mount -t tmpfs none . && cd -; exec "$@"`, "sh"}, c.Args...)
	c.Path, c.SysProcAttr = "/bin/sh", &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := summaryOf(t, dir)
	target, other := s["target_energy"], s["other_energy"]
	if target.Value == nil || other.Value == nil {
		t.Fatalf("%+v, %+v", target, other)
	}
	if v := *target.Value; !strings.Contains(target.Source, "share of each package's busy CPU time") || v <= 0 || v > 105 {
		t.Errorf("the target has %v J by %s", v, target.Source)
	}
	if sum := *target.Value + *other.Value; sum < 399.999 || sum > 400.001 {
		t.Errorf("target and other are %v J of 400 J", sum)
	}
}
