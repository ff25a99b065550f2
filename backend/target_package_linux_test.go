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

// twoPackages is a machine whose processors 0 and 1 are in packages of their own.
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

// A target that may only run on one processor has all its time on that one's package.
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
		t.Fatal("nothing opened")
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
			t.Skip(err) // one processor, or not that one
		}
	}
	before, after := make([]float64, 2), make([]float64, 2)
	p.read(before)
	s.beat()
	p.read(after)
	// It burns 0.3 s, some of that before it was told where.
	if first, second := after[0]-before[0], after[1]-before[1]; !(second > 0.1 && first < 0.1*second) {
		t.Errorf("%v s on the package that it may not run on, %v s on the other", first, second)
	}
	for i, want := range []string{"target/package-0/cpu_time", "target/package-1/cpu_time"} {
		if got := p.list[i]; got.ID != want || got.CPUs != strconv.Itoa(i) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.read(after) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing is opened where there is one package, where the topology is not told, and where the group does not count.
func TestTargetOnOnePackage(t *testing.T) {
	group := t.TempDir()
	if err := os.WriteFile(filepath.Join(group, "cpuacct.usage_percpu"), []byte("1 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := openPackages(fixture.Unpack(t, twoPackages).Sys, group); p == nil {
		t.Fatal("two packages are not found")
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
