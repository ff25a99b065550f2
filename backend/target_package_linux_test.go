package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// twoPackages is the archive of a machine whose processors 0 and 1 are in two packages.
const twoPackages = `
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
`

// TestTargetOnPackages checks that a target which may run on only one processor has all its time on one package.
func TestTargetOnPackages(t *testing.T) {
	exact(t)
	s := start(t, "burn 300")
	group := fmt.Sprintf("/sys/fs/cgroup/cpuacct/ergon-test-%d", os.Getpid())
	if err := os.Mkdir(group, 0o755); err != nil {
		testenv.Lacks(t, testenv.CgroupV1, err)
	}
	t.Cleanup(func() { _ = os.Remove(group) })
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(s.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	p := openPackages(fixture.Unpack(t, twoPackages).Sys, group)
	if p == nil {
		t.Fatal("openPackages found nothing")
	}
	defer func() { _ = p.meter.Close() }()
	var one unix.CPUSet
	one.Set(1)
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		if err := unix.SchedSetaffinity(tid, &one); err != nil {
			t.Skip(err) // there is no processor 1, or this process may not use it
		}
	}
	before, after := make([]float64, 2), make([]float64, 2)
	p.read(before)
	s.beat()
	p.read(after)
	// The process uses 0.3 s, some of it before it is bound to processor 1.
	if first, second := after[0]-before[0], after[1]-before[1]; !(second > 0.1 && first < 0.1*second) {
		t.Errorf("%v s on the package without the process, %v s on the other", first, second)
	}
	for i, want := range []string{"target/package-0/cpu_time", "target/package-1/cpu_time"} {
		if got := p.list[i]; got.ID != want || got.CPUs != strconv.Itoa(i) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.read(after) }); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
}

// TestTargetOnOnePackage checks that nothing is opened if there is one package, if the topology is unknown, or if the cgroup
// does not count.
func TestTargetOnOnePackage(t *testing.T) {
	group := t.TempDir()
	if err := os.WriteFile(filepath.Join(group, "cpuacct.usage_percpu"), []byte("1 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := openPackages(fixture.Unpack(t, twoPackages).Sys, group); p == nil {
		t.Fatal("openPackages does not find two packages")
	} else if err := p.meter.Close(); err != nil {
		t.Error(err)
	}
	if p := openPackages(fixture.Unpack(t, twoPackages).Sys, t.TempDir()); p != nil {
		t.Errorf("a group of v2: %+v", p)
	}
	for _, archive := range []string{
		"", "-- sys/devices/system/cpu/online --\n0-1\n",
		"-- sys/devices/system/cpu/online --\n0-1\n-- sys/devices/system/cpu/cpu0/topology/core_siblings_list --\n0-1\n",
	} {
		if p := openPackages(fixture.Unpack(t, archive).Sys, group); p != nil {
			t.Errorf("%q: %+v", archive, p)
		}
	}
}
