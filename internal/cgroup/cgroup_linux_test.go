package cgroup

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// role is an environment variable. If it is set, the test binary acts as one of the processes below and runs no tests.
const role = "ERGON_TEST_ROLE"

// noExitSleep keeps the race detector from sleeping for a second at the end of each process.
const noExitSleep = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "wait": // waits until the input ends
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "burn": // uses 100 ms of CPU time and 30 MB, after a byte from the input
		_, _ = os.Stdin.Read(make([]byte, 1))
		memory := make([]byte, 30<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		for cpu() < 100*time.Millisecond {
			memory[0]++
		}
	case "make": // makes a group as the user that the process has
		g, err := Make("test-user-" + strconv.Itoa(os.Getpid()))
		add := g.Add(os.Getpid())
		_, leave := g.Leave()
		_, _ = os.Stdout.WriteString(strings.Join([]string{
			g.CPU, g.CPUReason, g.Memory, g.MemoryReason, word(err), word(add), word(leave),
		}, "\n"))
	}
}

func word(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// cpu returns the CPU time of this process.
func cpu() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return time.Hour
	}
	return time.Duration(t.Nano())
}

// child starts this test binary in another role. The child ends with the test at the latest.
func child(t *testing.T, as string) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"="+as)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	return c, in
}

// own makes a group for the test. It skips the test if that is not possible.
func own(t *testing.T) *Group {
	t.Helper()
	g, err := Make("test-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = g.Leave() })
	if g.CPU == "" {
		testenv.Lacks(t, testenv.CgroupV2, g.CPUReason)
	}
	return g
}

func TestGroup(t *testing.T) {
	g := own(t)
	dirs := []string{g.CPU, g.Memory}
	c, in := child(t, "burn")
	if err := g.Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Pids(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
		t.Errorf("pids %v, %v; want %d", pids, err, c.Process.Pid)
	}
	before, err := g.CPUTime()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	after, err := g.CPUTime()
	if err != nil {
		t.Fatal(err)
	}
	truth := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	if got := after.Total - before.Total; got > truth+truth/50 || got < truth-30*time.Millisecond {
		t.Errorf("the group counts %v, want a little less than the %v of wait4", got, truth)
	}
	if peak, err := g.PeakMemory(); g.Memory != "" && (err != nil || peak < 30<<20 || peak > 200<<20) {
		t.Errorf("peak memory %d, %v; want 30 MB and the Go runtime, at most twice that under the race detector", peak, err)
	}
	if n, err := g.Leave(); n != 0 || err != nil {
		t.Errorf("leave: %d, %v", n, err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); dir != "" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not removed: %v", dir, err)
		}
	}
	if n, err := g.Leave(); n != 0 || err != nil {
		t.Errorf("leave again: %d, %v", n, err)
	}
}

func TestLeaveMovesSurvivors(t *testing.T) {
	g := own(t)
	parent := filepath.Dir(g.CPU)
	c, _ := child(t, "wait")
	nested, _ := child(t, "wait")
	for _, p := range []int{c.Process.Pid, nested.Process.Pid} {
		if err := g.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	// A nested ergon that was killed leaves a group behind, with its target still in it.
	below := filepath.Join(g.CPU, prefix+"inner")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Join(below, nested.Process.Pid); err != nil {
		t.Fatal(err)
	}
	dir := g.CPU
	if pids, err := g.Pids(); err != nil || len(pids) != 2 {
		t.Errorf("pids %v, %v", pids, err)
	}
	if n, err := g.Leave(); n != 2 || err != nil {
		t.Errorf("leave: %d, %v; want 2", n, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
	if pids, err := members(parent); err != nil || !slices.Contains(pids, c.Process.Pid) || !slices.Contains(pids, nested.Process.Pid) {
		t.Errorf("%s: %v, %v; want %d and %d in it", parent, pids, err, c.Process.Pid, nested.Process.Pid)
	}
}

func TestLeaveSparesForeignGroups(t *testing.T) {
	g := own(t)
	c, _ := child(t, "wait")
	foreign := filepath.Join(g.CPU, "container")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Join(foreign, c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	dir, parent := g.CPU, filepath.Dir(g.CPU)
	if n, err := g.Leave(); n != 0 || !errors.Is(err, syscall.EBUSY) {
		t.Errorf("leave: %d, %v; want EBUSY", n, err)
	}
	if pids, _ := members(foreign); !slices.Contains(pids, c.Process.Pid) {
		t.Errorf("the process was moved out of a group that does not belong to ergon")
	}
	if err := Join(parent, c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Leave(); n != 0 || err != nil {
		t.Errorf("leave again: %d, %v", n, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// TestSweep checks that an empty group is removed with the empty groups below it. A group in use stays, and so does a young
// group.
func TestSweep(t *testing.T) {
	if own(t).CPU == "" {
		return
	}
	g, err := Make("20260101T000000-used" + strconv.Itoa(os.Getpid()))
	if err != nil || g.CPU == "" {
		t.Fatal(err, g.CPUReason)
	}
	t.Cleanup(func() { _, _ = g.Leave() })
	used, empty := g.CPU, filepath.Join(filepath.Dir(g.CPU), "ergon-20260101T000000-left"+strconv.Itoa(os.Getpid()))
	foreign := filepath.Join(filepath.Dir(g.CPU), "ergon-job-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(foreign) }()
	if err := os.MkdirAll(filepath.Join(empty, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, _ := child(t, "wait")
	if err := g.Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	there := func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	}
	young, err := Make("20260101T000000-young" + strconv.Itoa(os.Getpid()))
	if err != nil || young.CPU == "" {
		t.Fatal(err, young.CPUReason)
	}
	defer func() { _, _ = young.Leave() }()
	if n := Sweep(); there(empty) || !there(used) || !there(young.CPU) || !there(foreign) {
		t.Errorf("%d groups removed; there are: the empty one %v, the used one %v, the one of a run that is just starting %v, somebody else's %v",
			n, there(empty), there(used), there(young.CPU), there(foreign))
	}
	// As if its run had been killed, while the target lives on.
	for _, p := range g.parents {
		p.unlock()
	}
	if Sweep(); !there(used) {
		t.Error("a group with a process was removed")
	}
}

// TestSweepRace makes groups while others are swept away. No run loses its group.
func TestSweepRace(t *testing.T) {
	own(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				Sweep()
			}
		}
	}()
	for i := range 300 {
		g, err := Make("20260101T000000-race" + strconv.Itoa(i) + "x" + strconv.Itoa(os.Getpid()))
		if err != nil || g.CPU == "" {
			t.Fatal(err, g.CPUReason)
		}
		if _, err := os.Stat(g.CPU); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Leave(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
}

func TestAddFallsBack(t *testing.T) {
	g := own(t)
	if len(g.parents) < 2 || g.parents[0].version != 2 || g.parents[1].controller != "cpuacct" {
		t.Skip("only one hierarchy counts CPU time")
	}
	// A v2 group whose parent has become threaded accepts no process (EOPNOTSUPP). A removed group gives ENOENT.
	if err := os.Remove(g.parents[0].child); err != nil {
		t.Fatal(err)
	}
	c, _ := child(t, "wait")
	if err := g.Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if m, err := OpenCPU(g.CPU); err != nil || m.Source() != "cgroup v1 cpuacct" {
		t.Errorf("%s: %v", g.CPU, err)
	}
	if pids, err := members(g.CPU); err != nil || !slices.Contains(pids, c.Process.Pid) {
		t.Errorf("%v, %v: the process is not in the other hierarchy's group", pids, err)
	}
}

func TestAddOfNoProcess(t *testing.T) {
	g := own(t)
	c, in := child(t, "wait")
	if err := errors.Join(in.Close(), c.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(c.Process.Pid); !errors.Is(err, syscall.ESRCH) || g.CPU == "" {
		t.Errorf("%v, group %q; want ESRCH and the group kept", err, g.CPU)
	}
}

func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"=make")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	// Other users cannot enter the folder of the test binary, so it is executed by an open descriptor.
	binary, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	c.ExtraFiles = []*os.File{binary}
	c.Path = "/proc/self/fd/3"
	out, err := c.Output()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the test binary cannot be executed by an ordinary user")
	}
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Split(string(out), "\n")
	if len(f) != 7 {
		t.Fatalf("%q", out)
	}
	if f[0] != "" || !strings.Contains(f[1], "permission denied") || f[2] != "" || !strings.Contains(f[3], "permission denied") {
		t.Errorf("groups %q, %q for reasons %q, %q; want none, permission denied", f[0], f[2], f[1], f[3])
	}
	if f[4] != "ok" || f[5] == "ok" || f[6] != "ok" {
		t.Errorf("make %q, add %q, leave %q; want ok, an error, ok", f[4], f[5], f[6])
	}
}

func TestMakeRefusesPaths(t *testing.T) {
	for _, id := range []string{"", "a/b", "../x", "a\n"} {
		if _, err := Make(id); err == nil {
			t.Errorf("%q is accepted", id)
		}
	}
}

func BenchmarkMakeAddLeave(b *testing.B) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"=wait")
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	for b.Loop() {
		g, err := Make("bench-" + strconv.Itoa(os.Getpid()))
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Add(c.Process.Pid); err != nil {
			b.Skip(err)
		}
		if _, err := g.Leave(); err != nil {
			b.Fatal(err)
		}
	}
}
