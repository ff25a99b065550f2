package backend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// role is an environment variable. If it is set, the test binary acts as a process of the truth table and runs no tests.
const role = "ERGON_TEST_ROLE"

// noExitSleep keeps the race detector from sleeping for a second at the end of each process.
const noExitSleep = "GORACE=atexit_sleep_ms=0"

const mebibyte = 1 << 20

func TestMain(m *testing.M) {
	if name := os.Getenv(role); name != "" {
		play(name)
		return
	}
	os.Exit(m.Run())
}

// reportTo is the descriptor to which every process of the table writes the CPU time that it used, in 8 bytes. The sum is
// the truth.
const reportTo = 3

// report returns a copy of the descriptor for a child. The garbage collector may close the copy, but not the descriptor.
func report() *os.File {
	fd, err := unix.FcntlInt(reportTo, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "report")
}

// play runs a process of the truth table from start to end. Standard input is a gate that the test closes.
func play(name string) {
	name, waits := strings.CutPrefix(name, "held ")
	if waits { // for a byte from the gate
		tell(0)
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	name, arg, _ := strings.Cut(name, " ")
	n, _ := strconv.Atoi(arg)
	switch name {
	case "burn": // n ms of CPU time
		burn(time.Duration(n) * time.Millisecond)
	case "waits": // n children that burn CPU time, one after the other
		for range n {
			_ = again("burn 20").Run()
		}
	case "ignores": // the same, but the kernel reaps them at once
		signal.Ignore(syscall.SIGCHLD)
		for range n {
			untilGone("burn 20")
		}
	case "daemons": // n children, one after the other; each starts a daemon and ends without waiting for it
		for range n {
			untilGone("forks")
		}
	case "forks":
		c := again("burn 20")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		c.ExtraFiles = append(c.ExtraFiles, os.NewFile(4, "gone"))
		_ = c.Start()
		return
	case "writes": // writes n MiB to a file in pieces of 64 KiB, and reads them once
		files(n)
		tell(0)
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	case "relays": // a child writes; then this process waits for the gate
		c := again("writes " + arg)
		c.Stdin = os.Stdin
		_ = c.Run()
		hold(0)
		return
	case "leaves": // ends before its child
		c := again("holds 0")
		c.Stdin = os.Stdin
		_ = c.Start()
		return
	case "deep": // n processes, each the child of the previous one, until the gate closes
		if n > 1 {
			c := again("deep " + strconv.Itoa(n-1))
			c.Stdin = os.Stdin
			_ = c.Start()
		}
		hold(0)
		return
	case "becomes": // executes another file with a long argument, after a byte from the gate
		tell(0)
		_, _ = os.Stdin.Read(make([]byte, 1))
		file := os.Getenv(otherFile)
		_ = os.Setenv(role, "holds 0")
		_ = syscall.Exec(file, []string{file, "--password", strings.Repeat("x", 3*mostLine)}, os.Environ())
		return
	case "user":
		asUser()
		return
	case "undumpable", "refused", "foreign":
		playSighting(name)
		return
	case "holds": // holds n MiB until the gate closes
		hold(n)
		return
	case "shares": // shares n MiB with 4 forked children
		memory := touched(n)
		gate := forkSharing(4)
		hold(0)
		_ = syscall.Close(gate)
		for range 4 {
			_, _ = syscall.Wait4(-1, nil, 0, nil)
		}
		runtime.KeepAlive(memory)
		return
	case "private": // 4 children hold n MiB each, at the same time
		family(4, "holds "+arg)
		return
	case "mapped": // 4 children hold n MiB of shared memory of their own each, at the same time
		family(4, "maps "+arg)
		return
	case "maps": // holds n MiB of shared memory until the gate closes
		b, err := unix.Mmap(-1, 0, n*mebibyte, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
		if err != nil {
			return
		}
		hold(0)
		_ = unix.Munmap(b)
		return
	case "later": // after a byte from the gate, 4 children hold n MiB each
		tell(0)
		_, _ = os.Stdin.Read(make([]byte, 1))
		family(4, "holds "+arg)
		return
	case "headless": // holds n MiB in another thread, after the first thread has ended
		headless(n)
		return
	case "family": // n children that only wait
		family(n, "holds 0")
		return
	case "threads": // n threads that wait in system calls
		for range n {
			go func() {
				runtime.LockOSThread()
				_, _ = syscall.Read(0, make([]byte, 1))
			}()
		}
		hold(0)
		return
	}
	tell(uint64(ownTime()))
}

// tell writes a report.
func tell(n uint64) {
	_, _ = syscall.Write(reportTo, binary.NativeEndian.AppendUint64(nil, n))
}

// ownTime returns the CPU time of this process.
func ownTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return time.Hour
	}
	return time.Duration(t.Nano())
}

// burn computes until this process has used the CPU time d.
func burn(d time.Duration) {
	for ownTime() < d {
		for i := range int(1e4) {
			_ = i
		}
	}
}

// again returns a command that runs this binary in another role, with the same report.
func again(as string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), noExitSleep, role+"="+as)
	c.ExtraFiles = []*os.File{report()}
	return c
}

// untilGone starts a process. It returns when the process, and all that have inherited its descriptor 4, have closed their
// files, which is just before they end.
func untilGone(as string) {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	c := again(as)
	c.ExtraFiles = append(c.ExtraFiles, w)
	if c.Start() == nil {
		_ = c.Process.Release()
	}
	_ = w.Close()
	_, _ = io.Copy(io.Discard, r)
	_ = r.Close()
}

// touched returns memory that is resident, because each page of it was written.
func touched(mib int) []byte {
	b := make([]byte, mib*mebibyte)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

// hold allocates memory, reports that it is there, and waits for the gate.
func hold(mib int) {
	b := touched(mib)
	tell(0)
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(b)
}

// headless ends the first thread of the process, and then holds memory until the gate closes.
func headless(mib int) {
	ended := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		for {
			text, _ := os.ReadFile("/proc/self/stat")
			if _, after, _ := strings.Cut(string(text), ") "); strings.HasPrefix(after, "Z") {
				close(ended)
				return
			}
			runtime.Gosched()
		}
	}()
	go func() {
		<-ended
		hold(mib)
		os.Exit(0)
	}()
	// Each goroutine keeps its thread, so one of them comes to the first thread.
	for {
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
			}
			select {}
		}()
		select {
		case <-ended:
			select {}
		default:
			runtime.Gosched()
		}
	}
}

// family starts children that share the gate and waits for them.
func family(n int, as string) {
	var all []*exec.Cmd
	for range n {
		c := again(as)
		c.Stdin = os.Stdin
		if c.Start() == nil {
			all = append(all, c)
		}
	}
	for _, c := range all {
		_ = c.Wait()
	}
}

// forkSharing forks n children that never run Go code again. They wait for the end of a pipe and end, so their memory stays
// shared with this process. It returns the other end of the pipe.
//
//go:norace
func forkSharing(n int) (gate int) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return -1
	}
	var b [1]byte
	for range n {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(p[1]), 0, 0)
			_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(p[0]), uintptr(unsafe.Pointer(&b)), 1)
			for {
				_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	}
	return p[1]
}

// files writes a file and reads it again. It makes mib*16 write calls. The Go runtime adds a few.
func files(mib int) {
	f, err := os.CreateTemp("", "ergon-test-")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_ = os.Remove(f.Name())
	b := make([]byte, 64<<10)
	for range mib * 16 {
		_, _ = f.Write(b)
	}
	_, _ = f.Seek(0, io.SeekStart)
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, b)
}

// subject is a process with the sources that follow it. It was stopped before its first instruction until they did.
type subject struct {
	*exec.Cmd
	t       *testing.T
	gate    io.WriteCloser
	reports *os.File
	sources map[string]*followed
	kernel  kernelCounts // the kernel's counts of the process just before the walk's last look
	met     met
	looked  bool   // set by each look of the walk
	look    func() // the walk's own look, which does not set looked
}

// met has the CPU time in seconds of each process that lived both before and after a look of the walk, by process id. The
// time is the largest before a look. The walk must have seen at least that much.
type met map[int]float64

// add adds a look, given the living processes before and after it.
func (m met) add(before, after met) {
	for pid, cpu := range before {
		if _, still := after[pid]; still {
			m[pid] = max(m[pid], cpu)
		}
	}
}

// living returns the CPU time of a process and of its children, from the clock of each.
func living(pid int) met {
	m := met{}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	pids := []string{strconv.Itoa(pid)}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // an ended thread has none
		pids = append(pids, strings.Fields(string(text))...)
	}
	for _, text := range pids {
		p, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		const processClock = 2 // CPUCLOCK_SCHED; the higher bits are the complement of the pid
		var spent unix.Timespec
		if _, alive := countsOf(p); alive && unix.ClockGettime(int32(^p<<3|processClock), &spent) == nil {
			m[p] = time.Duration(spent.Nano()).Seconds()
		}
	}
	return m
}

// kernelCounts has counts of /proc/PID/stat: of a process and of its children that were waited for.
type kernelCounts struct {
	cpu    float64 // in seconds
	faults float64 // minor page faults
}

// countsOf reads the counts of a process. They are zero if it has ended. A zombie is not alive.
func countsOf(pid int) (of kernelCounts, alive bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return kernelCounts{}, false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after) // the first is the state, which is field 3 in proc_pid_stat(5)
	number := func(of int) float64 {
		n, err := strconv.ParseFloat(fields[of-3], 64)
		if err != nil {
			return 0
		}
		return n
	}
	const minflt, cminflt, utime, stime, cutime, cstime, tick = 10, 11, 14, 15, 16, 17, 0.01
	return kernelCounts{
		cpu:    tick * (number(utime) + number(stime) + number(cutime) + number(cstime)),
		faults: number(minflt) + number(cminflt),
	}, fields[0] != "Z"
}

// followed is a source with the first, the last and the largest reading of each sensor.
type followed struct {
	sensors.Source
	first, last, largest []float64
	kernel               kernelCounts // the kernel's counts of the process just before the source's last look
}

// start starts a process in a role. It is followed by a source of each kind that this machine allows: "cgroup", "perf" and
// "walk". Each source takes its first reading while the process is still stopped.
func start(t *testing.T, as string) *subject {
	t.Helper()
	s := &subject{t: t, Cmd: exec.Command(os.Args[0]), sources: map[string]*followed{}, met: met{}}
	s.Env = append(os.Environ(), noExitSleep, role+"="+as)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.reports, s.ExtraFiles = r, []*os.File{w}
	in, gate, err := os.Pipe() // not StdinPipe, which Wait closes
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin, s.gate = in, gate
	s.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	runtime.LockOSThread() // ptrace works only from the thread that started the process
	defer runtime.UnlockOSThread()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.gate.Close(); _ = s.Wait(); _ = r.Close() })
	_, _ = w.Close(), in.Close()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.Process.Pid, &status, 0, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process has not stopped: %v, %v", status, err)
	}
	s.follow()
	if err := syscall.PtraceDetach(s.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return s
}

// follow opens the sources and lets them follow the process.
func (s *subject) follow() {
	s.t.Helper()
	group, err := cgroup.Make(fmt.Sprintf("test-%d-%d", os.Getpid(), s.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if _, err := group.Leave(); err != nil {
			s.t.Error(err)
		}
	})
	runner := os.Getpid()
	if group.Add(s.Process.Pid) == nil && group.CPU != "" {
		host := sensors.Setup{Parent: runner, Target: sensors.Target{CPUGroup: group.CPU, MemoryGroup: group.Memory}}
		source, _ := sensortest.Open(s.t, target(), host)
		s.sources["cgroup"] = &followed{Source: source}
	} else {
		testenv.Without(s.t, testenv.CgroupV2, group.CPUReason)
	}
	source, _ := sensortest.Open(s.t, target(), sensors.Setup{Parent: runner})
	if source.(*targetSource).clock != nil {
		s.sources["perf"] = &followed{Source: source}
	} else {
		testenv.Without(s.t, testenv.PerfEvent, source.Sensors()[targetCPU].Source)
	}
	walk := newTargetSource(sensors.Target{})
	walk.settle(sensors.Setup{Parent: runner})
	s.t.Cleanup(func() { _ = walk.Close() })
	s.sources["walk"] = &followed{Source: walk}
	s.look = walk.look
	walk.look = func() { s.looked = true; s.look() }
	for name, f := range s.sources {
		for i, v := range sensortest.Read(s.t, f) {
			if !math.IsNaN(v) {
				s.t.Errorf("%s: %s reads %v before there is a target", name, f.Sensors()[i].ID, v)
			}
		}
		if err := f.Source.(sensors.Follower).Follow(s.Process.Pid); err != nil {
			s.t.Fatal(err)
		}
		f.read(s.t)
	}
}

// read takes a reading and checks that no counter falls.
func (f *followed) read(t *testing.T) {
	t.Helper()
	now := sensortest.Read(t, f.Source)
	if f.first == nil {
		f.first = slices.Clone(now)
		f.last, f.largest = slices.Clone(now), slices.Clone(now)
		return
	}
	for i, v := range now {
		if math.IsNaN(v) {
			continue
		}
		if s := f.Sensors()[i]; s.Kind == sensors.Counter && v < f.last[i] {
			t.Errorf("%s (%s) fell from %v to %v", s.ID, s.Source, f.last[i], v)
		}
		f.last[i] = v
		if math.IsNaN(f.largest[i]) || v > f.largest[i] {
			f.largest[i] = v
		}
	}
}

// grown returns the last reading of a sensor minus the first.
func (f *followed) grown(i int) float64 { return f.last[i] - f.first[i] }

// beat reads every source each 100 ms until the process has ended and was waited for, and then once more.
func (s *subject) beat() {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Wait() }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.readAll()
			continue
		case err := <-done:
			if err != nil {
				s.t.Error(err)
			}
		}
		break
	}
	s.readAll()
}

// readAll reads every source, and notes what the walk must have seen.
func (s *subject) readAll() {
	pid := s.Process.Pid
	now, alive := countsOf(pid)
	before := living(pid)
	s.looked = false
	for _, f := range s.sources {
		f.read(s.t)
		if f.Source.(*targetSource).looking && alive {
			f.kernel = now
		}
	}
	if s.looked && alive {
		s.kernel = now
		s.met.add(before, living(pid))
	}
}

// awaitReports waits for n reports, after which the processes have set up everything.
func (s *subject) awaitReports(n int) {
	s.t.Helper()
	if _, err := io.ReadFull(s.reports, make([]byte, 8*n)); err != nil {
		s.t.Fatal(err)
	}
}

// lookAll reads every source, with all looks, even if none is due.
func (s *subject) lookAll() {
	s.t.Helper()
	for _, f := range s.sources {
		of := f.Source.(*targetSource)
		of.looks.next, of.switches.next, of.held.next, of.tree.memory.shares.next = 0, 0, 0, 0
		f.read(s.t)
	}
}

// exact skips a test of the CPU time or memory of processes under the race detector, which makes them several times as
// slow and large.
func exact(t *testing.T) {
	t.Helper()
	info, _ := debug.ReadBuildInfo()
	if info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the test would measure the race detector's own cost")
	}
}

// walkFloor returns the CPU time in seconds that the walk must have seen. It is the larger of two values: the kernel's count
// before the last look, minus the rounding of its four parts to ticks, and the sum over the processes that it met.
func (s *subject) walkFloor() float64 {
	const cut = 4 * 0.01
	sum := 0.0
	for _, cpu := range s.met {
		sum += cpu
	}
	return max(s.kernel.cpu-cut, sum) - s.sources["walk"].first[targetCPU]
}

// truth returns the CPU time that all processes together report, in seconds, and the number of reports.
func (s *subject) truth() (seconds float64, processes int) {
	s.t.Helper()
	b, err := io.ReadAll(s.reports)
	if err != nil {
		s.t.Fatal(err)
	}
	for ; len(b) >= 8; b = b[8:] {
		seconds += float64(binary.NativeEndian.Uint64(b)) / 1e9
		processes++
	}
	return seconds, processes
}

// TestTargetCPUTruth checks how much of a process tree's CPU time each source sees. The truth is what the processes report
// just before they end. A cgroup also counts the end itself, which costs more on a busy machine: 8 % at a load of 16. The
// least that the walk must see follows from the kernel's counts around each look.
func TestTargetCPUTruth(t *testing.T) {
	testenv.Long(t)
	exact(t)
	const children = 100
	for _, c := range []struct {
		name, as string
		unseen   int     // processes that start a daemon and report nothing
		most     float64 // the largest share that the walk may see
	}{
		// cutime contains all of it, except for the rounding to ticks.
		{"short children", "waits", 0, 1.06},
		// No count contains processes that no look saw. They live for 20 ms, and looks are 100 ms apart.
		{"children of a parent that ignores SIGCHLD", "ignores", 0, 0.9},
		{"double-forked daemons", "daemons", children, 1.06},
	} {
		t.Run(c.name, func(t *testing.T) {
			machine := testenv.Begin(t)
			s := start(t, c.as+" "+strconv.Itoa(children))
			s.beat()
			truth, processes := s.truth()
			if processes != children+1 || truth < children*0.02 {
				t.Fatalf("%d processes report %v s; want %d, %v s", processes, truth, children+1, children*0.02)
			}
			for name, f := range s.sources {
				t.Logf("%-6s CPU %.3f of %.3f s = %.3f; user+system %.3f; processes ever %v; minor faults %v", name,
					f.grown(targetCPU), truth, f.grown(targetCPU)/truth,
					f.grown(targetUser)+f.grown(targetSystem), f.last[targetProcessesEver], f.grown(targetMinorFaults))
				if f.last[targetOutside] > 0 {
					t.Errorf("%s: %v processes outside the cgroup", name, f.last[targetOutside])
				}
				// A Go process that starts others first starts one to test the kernel (os.checkClonePidfd).
				if ever, most := f.last[targetProcessesEver], children+1+1+2*c.unseen; ever < 1 || ever > float64(most) {
					t.Errorf("%s: %v processes ever, want 1 to %d", name, ever, most)
				}
			}
			within := func(name string, low, high float64) {
				f := s.sources[name]
				if f == nil {
					return
				}
				if share := f.grown(targetCPU) / truth; share < low || share > high {
					machine.Errorf("%s sees %.3f of %.3f s CPU time; want %.3f to %v of it", name, share, truth, low, high)
				}
			}
			// The processes that only start a daemon report nothing. They cost about 5 ms each, a quarter of a daemon.
			more := 1 + 0.5*float64(c.unseen)/children
			within("cgroup", 0.995, 1.15*more)
			within("perf", 0.96, 1.15*more)
			t.Logf("the walk must have seen %.3f s", s.walkFloor())
			within("walk", s.walkFloor()/truth, c.most*more)
			if f := s.sources["cgroup"]; f != nil {
				if sum := f.grown(targetUser) + f.grown(targetSystem); math.Abs(sum-f.grown(targetCPU)) > 1e-5 {
					t.Errorf("cgroup: user and system time are %v s together, but CPU time is %v s", sum, f.grown(targetCPU))
				}
			}
		})
	}
}

// TestTargetCPUAgainstWait compares the sources with the result of wait4, for a tree in which every process is waited for.
func TestTargetCPUAgainstWait(t *testing.T) {
	exact(t)
	machine := testenv.Begin(t)
	s := start(t, "waits 20") // the walk may miss what comes after its last look
	s.beat()
	usage := s.ProcessState.SysUsage().(*syscall.Rusage)
	truth := float64(syscall.TimevalToNsec(usage.Utime)+syscall.TimevalToNsec(usage.Stime)) / 1e9
	share := func(name string) float64 { return s.sources[name].grown(targetCPU) / truth }
	// A cgroup and the walk see this much on any machine.
	for name, least := range map[string]float64{"cgroup": 0.98, "walk": s.walkFloor() / truth} {
		if s.sources[name] != nil && share(name) < least {
			t.Errorf("%s sees %.4f of the %v s of wait4, want at least %v", name, share(name), truth, least)
		}
	}
	for name, f := range s.sources {
		t.Logf("%-6s %.4f of %.4f s", name, share(name), truth)
		least, most := f.kernel.faults-f.first[targetMinorFaults], float64(usage.Minflt)
		if faults := f.grown(targetMinorFaults); faults > most || faults < least {
			t.Errorf("%s: %v minor faults, want %v (before the last look) to %v (by wait4)", name, faults, least, most)
		}
	}
	// wait4 and perf miss a part of the exits, and these cost more on a busy machine.
	for name, limits := range map[string][2]float64{"cgroup": {0, 1.005}, "perf": {0.9, 1.01}, "walk": {0, 1.05}} {
		if s.sources[name] != nil && (share(name) < limits[0] || share(name) > limits[1]) {
			machine.Errorf("%s sees %.4f of the %v s of wait4, want %v", name, share(name), truth, limits)
		}
	}
}

// TestTargetMemoryTruth checks that shared memory counts once and that private memory adds up, with and without a cgroup. Each
// process also has the memory of its Go runtime.
func TestTargetMemoryTruth(t *testing.T) {
	exact(t)
	for _, c := range []struct {
		name, as string
		ready    int     // the number of reports until all memory is there
		held     float64 // the least that each source must see, in MiB
		more     float64 // how much more the Go runtimes may have, in MiB
	}{
		{"5 share 100 MiB", "shares 100", 1, 100, 12},
		{"4 of 60 MiB each", "private 60", 4, 240, 30},
		{"4 of 60 MiB of shared memory each", "mapped 60", 4, 240, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.as)
			s.awaitReports(c.ready)
			s.lookAll()
			processes := float64(5)
			for name, f := range s.sources {
				for _, i := range []int{targetMemory, targetMemoryPeak} {
					got := f.last[i] / mebibyte
					t.Logf("%-6s %s %.1f MiB", name, f.Sensors()[i].Name, got)
					if got < c.held || got > c.held+c.more {
						t.Errorf("%s: %s is %.1f MiB, want %v to %v", name, f.Sensors()[i].Name, got, c.held, c.held+c.more)
					}
				}
				if outside := f.last[targetOutside]; outside > 0 || math.IsNaN(outside) != (name != "cgroup") {
					t.Errorf("%s: %v processes outside the cgroup", name, outside)
				}
				if f.last[targetProcesses] != processes || f.last[targetProcessesEver] < processes || f.last[targetProcessesEver] > processes+1 {
					t.Errorf("%s: %v processes, %v ever; want %v", name, f.last[targetProcesses], f.last[targetProcessesEver], processes)
				}
			}
			if err := s.gate.Close(); err != nil {
				t.Fatal(err)
			}
			s.beat()
			for name, f := range s.sources {
				if peak := f.last[targetMemoryPeak]; peak < c.held*mebibyte || peak != f.largest[targetMemoryPeak] {
					t.Errorf("%s: the peak is %v at the end, want the largest reading, %v", name, peak, f.largest[targetMemoryPeak])
				}
			}
		})
	}
}

// TestTargetMemoryOfAGroup reads memory from the files of a group as the two versions write them, as in a container, with five
// real processes in it. The files of another machine cannot be had here.
func TestTargetMemoryOfAGroup(t *testing.T) {
	const v2 = "anon 300000000\nfile 900000000\nshmem 7000000\nfile_mapped 50000000\n"
	for _, c := range []struct {
		name         string
		files        map[string]string
		memory       float64 // what is held
		charge, most float64
		provenance   sensors.Provenance
		mapped, walk bool // the largest process has mapped more than the group; the processes are walked
	}{
		{"version 2", map[string]string{"memory.current": "1300000000", "memory.peak": "1400000000", "memory.stat": v2}, 350e6, 1.3e9, 1.4e9, sensors.FromCounter, false, false},
		{"before Linux 5.19", map[string]string{"memory.current": "1300000000", "memory.stat": v2}, 350e6, 1.3e9, 1.3e9, sensors.Sampled, false, false},
		{
			"version 1",
			map[string]string{
				"memory.usage_in_bytes": "1300000000", "memory.max_usage_in_bytes": "1400000000",
				"memory.stat": "cache 3\nrss 1\nmapped_file 1\ntotal_cache 900000000\ntotal_rss 300000000\ntotal_mapped_file 50000000\n",
			},
			350e6, 1.3e9, 1.4e9, sensors.FromCounter, false, false,
		},
		{"counts that lag behind the peak", map[string]string{"memory.current": "200000000", "memory.peak": "310000000", "memory.stat": v2}, 310e6, 2e8, 3.1e8, sensors.FromCounter, true, false},
		{"libraries that others have read", map[string]string{"memory.current": "1300000000", "memory.peak": "1400000000", "memory.stat": "anon 300000000\nfile_mapped 0\n"}, 300e6, 1.3e9, 1.4e9, sensors.FromCounter, true, false},
		{"no memory.stat", map[string]string{"memory.current": "1300000000", "memory.peak": "1400000000"}, 5e6, 1.3e9, 1.4e9, sensors.FromCounter, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, "private 1")
			s.awaitReports(4)
			c.files["cgroup.procs"] = ""
			for pid := range living(s.Process.Pid) {
				c.files["cgroup.procs"] += strconv.Itoa(pid) + "\n"
			}
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			source, _ := sensortest.Open(t, target(), sensors.Setup{Target: sensors.Target{MemoryGroup: dir}})
			if err := source.(sensors.Follower).Follow(s.Process.Pid); err != nil {
				t.Fatal(err)
			}
			sensortest.Read(t, source) // the first look finds the children
			of := source.(*targetSource)
			of.looks.next, of.held.next = 0, 0
			got := sensortest.Read(t, source)
			most := c.memory
			if c.mapped { // what the largest process has mapped comes on top
				most += 50e6
			}
			if c.walk { // the reading that missed the file has none
				of.looks.next = 0
				got, most = sensortest.Read(t, source), 200e6
			}
			if m := got[targetMemory]; !(m >= c.memory && m <= most) {
				t.Errorf("memory is %v, want %v to %v", m, c.memory, most)
			}
			if got[targetCharge] != c.charge || got[targetChargePeak] != c.most {
				t.Errorf("charge %v, at most %v; want %v, %v", got[targetCharge], got[targetChargePeak], c.charge, c.most)
			}
			if from := source.Sensors()[targetChargePeak].Origin(); from != c.provenance {
				t.Errorf("the peak is %s, want %s", from, c.provenance)
			}
			if got[targetProcesses] != 5 || got[targetOutside] != 0 {
				t.Errorf("%v processes, %v outside", got[targetProcesses], got[targetOutside])
			}
			_ = s.gate.Close()
			s.beat()
		})
	}
}

// TestTargetFirstThreadEnded checks that a process whose first thread has ended is read like any other.
func TestTargetFirstThreadEnded(t *testing.T) {
	exact(t)
	const mib = 50
	s := start(t, "headless "+strconv.Itoa(mib))
	s.awaitReports(1)
	s.lookAll()
	for name, f := range s.sources {
		for i, want := range map[int][2]float64{
			targetMemory: {mib * mebibyte, (mib + 20) * mebibyte}, targetProcesses: {1, 1}, targetThreads: {2, 100},
			targetProcessesEver: {1, 1},
		} {
			if got := f.last[i]; !(got >= want[0] && got <= want[1]) {
				t.Errorf("%s: %s is %v, want %v", name, f.Sensors()[i].Name, got, want)
			}
		}
		var peak uint64
		f.Source.(*targetSource).Processes(func(p sensors.Process) { peak = max(peak, p.PeakMemory) })
		if peak < mib*mebibyte {
			t.Errorf("%s: the table has a peak of %d bytes", name, peak)
		}
	}
	_ = s.gate.Close()
	s.beat()
}

// TestTargetLeavesItsCgroup checks that a process that was moved to another cgroup is followed, with its children, and that its
// memory counts.
func TestTargetLeavesItsCgroup(t *testing.T) {
	exact(t)
	s := start(t, "later 60")
	f := s.sources["cgroup"]
	if f == nil {
		t.Skip("no cgroup can be made here")
	}
	other, err := cgroup.Make(fmt.Sprintf("test-other-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = other.Leave() })
	s.awaitReports(1)
	if err := other.Add(s.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := s.gate.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	s.awaitReports(4)
	for range 3 { // the second look in which the process is not in the group is certain
		s.lookAll()
	}
	for i, want := range map[int][2]float64{
		targetMemory: {240 * mebibyte, 280 * mebibyte}, targetMemoryPeak: {240 * mebibyte, 280 * mebibyte},
		targetProcesses: {5, 5}, targetOutside: {5, 5}, targetThreads: {5, 200},
	} {
		if got := f.last[i]; !(got >= want[0] && got <= want[1]) {
			t.Errorf("%s is %v, want %v", f.Sensors()[i].Name, got, want)
		}
	}
	_ = s.gate.Close()
	s.beat()
}

// TestTargetIO checks that a child's writes count once. They are in the child's file while it lives, and afterwards in its
// parent's file.
func TestTargetIO(t *testing.T) {
	const mib = 8
	s := start(t, "relays "+strconv.Itoa(mib))
	check := func(when string) {
		t.Helper()
		s.lookAll()
		for name, f := range s.sources {
			// The Go runtime and the reports add a few bytes and calls.
			for i, want := range map[int]float64{targetWriteChars: mib * mebibyte, targetReadChars: mib * mebibyte} {
				if got := f.grown(i); got < want || got > want+mebibyte/8 {
					t.Errorf("%s: %s: %s is %v, want %v", name, when, f.Sensors()[i].Name, got, want)
				}
			}
			for i, want := range map[int]float64{targetWriteCalls: mib * 16, targetReadCalls: mib * 16} {
				if got := f.grown(i); got < want || got > want+200 {
					t.Errorf("%s: %s: %s is %v, want %v", name, when, f.Sensors()[i].Name, got, want)
				}
			}
		}
	}
	s.awaitReports(1)
	check("while the child lives")
	if _, err := s.gate.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	s.awaitReports(1)
	check("after the child was waited for")
	check("at the next look")
}

// TestTargetOrphan checks that processes which outlive the target still belong to it.
func TestTargetOrphan(t *testing.T) {
	s := start(t, "family 1")
	s.awaitReports(1)
	s.lookAll()
	before := map[string]float64{}
	for name, f := range s.sources {
		before[name] = f.last[targetMinorFaults]
	}
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err == nil {
		t.Fatal("no error, although the command was killed")
	}
	s.checkLeft(1)
	for name, f := range s.sources {
		if f.last[targetMinorFaults] < before[name] || before[name] == 0 {
			t.Errorf("%s: minor faults went from %v to %v", name, before[name], f.last[targetMinorFaults])
		}
	}
}

// TestTargetStopped checks the time in which the target was stopped. At either end, the error is at most half of the time
// between two looks.
func TestTargetStopped(t *testing.T) {
	s := start(t, "holds 0")
	s.awaitReports(1)
	pid := s.Process.Pid
	signal := func(number syscall.Signal, options int) {
		t.Helper()
		if err := syscall.Kill(pid, number); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, options, nil); err != nil || !status.Stopped() && !status.Continued() {
			t.Fatalf("%v, %v", status, err)
		}
	}
	outside := time.Now()
	s.lookAll()
	for name, f := range s.sources {
		if v := f.last[targetStopped]; v != 0 {
			t.Errorf("%s: stopped for %v s before the target was stopped", name, v)
		}
	}
	signal(syscall.SIGSTOP, syscall.WUNTRACED)
	s.lookAll()
	inside := time.Now()
	<-time.After(50 * time.Millisecond) // the measured time
	least := time.Since(inside).Seconds()
	s.lookAll()
	signal(syscall.SIGCONT, syscall.WCONTINUED)
	s.lookAll()
	most := time.Since(outside).Seconds()
	for name, f := range s.sources {
		if v := f.last[targetStopped]; v < least || v > most {
			t.Errorf("%s: stopped for %v s, want %v to %v", name, v, least, most)
		}
	}
	before := s.sources["walk"].last[targetStopped]
	s.lookAll()
	if after := s.sources["walk"].last[targetStopped]; after != before {
		t.Errorf("stopped for %v s more while the target ran", after-before)
	}
}

// TestTargetAdopted checks that orphans which no look has seen are found as children of a runner that is a subreaper.
func TestTargetAdopted(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	bystander, gate := again("holds 0"), newGate(t)
	bystander.Stdin = gate // a child of the runner that was there before the target
	bystander.ExtraFiles = nil
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	s := start(t, "leaves")
	s.awaitReports(1)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	s.checkLeft(1)
}

// checkLeft checks the number of processes that outlive the target. Then it lets them end.
func (s *subject) checkLeft(left float64) {
	s.t.Helper()
	s.readAll() // after the target's end, every reading looks
	for name, f := range s.sources {
		if f.last[targetProcesses] != left {
			s.t.Errorf("%s: %v processes after the target's end, want %v", name, f.last[targetProcesses], left)
		}
	}
	_ = s.gate.Close()
	if _, err := io.Copy(io.Discard, s.reports); err != nil {
		s.t.Error(err)
	}
}

// newGate returns a standard input that stays open until the end of the test.
func newGate(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r
}

// TestTargetNestedGroup checks that a process is still seen after it has moved into a group below the target's, as in a
// nested run.
func TestTargetNestedGroup(t *testing.T) {
	s := start(t, "family 2")
	f := s.sources["cgroup"]
	if f == nil {
		t.Skip("no cgroup here") // follow has noted why
	}
	s.awaitReports(2)
	inner := filepath.Join(f.Source.(*targetSource).tree.group, "ergon-inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(s.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	s.lookAll()
	if n := f.last[targetProcesses]; n != 3 {
		t.Errorf("%v processes, want 3", n)
	}
}

// TestOrdinaryUser checks that perf also counts kernel time for a user who may not count the kernel.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "only root can change to another user")
	}
	binary, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	c := exec.Command(os.Args[0])
	c.Path = "/proc/self/fd/3" // other users cannot enter the folder of the test binary
	machine := testenv.Begin(t)
	c.ExtraFiles = []*os.File{binary}
	c.Env = append(os.Environ(), noExitSleep, role+"=user")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.Output()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the test binary cannot be executed by an ordinary user")
	}
	var source string
	var counted, truth float64
	if _, scan := fmt.Sscanf(string(out), "%q %g %g", &source, &counted, &truth); err != nil || scan != nil {
		t.Fatalf("%q: %v, %v", out, err, scan)
	}
	t.Logf("%s: %.4f of %.4f s", source, counted, truth)
	if strings.HasPrefix(source, "cgroup") || counted < 0.9*truth || counted > 1.05*truth {
		machine.Errorf("%s: %v s CPU time, want %v", source, counted, truth)
	}
}

// asUser follows this process as an ordinary user, uses CPU time, about half of it in the kernel, and prints what was
// counted.
func asUser() {
	source, _, err := openTarget(sensors.Setup{})
	if err != nil {
		return
	}
	first, last := make([]float64, targetReadings), make([]float64, targetReadings)
	_ = source.(sensors.Follower).Follow(os.Getpid())
	_ = source.Read(first)
	start := ownTime()
	burn(start + 100*time.Millisecond) // reading a CPU clock is a system call
	source.(*targetSource).looks.next = 0
	truth := ownTime() - start // before the reading, which uses CPU time itself
	_ = source.Read(last)
	_, _ = fmt.Fprintf(os.Stdout, "%q %g %g", source.Sensors()[targetCPU].Source, last[targetCPU]-first[targetCPU], truth.Seconds())
}

// TestTargetWithoutAllocations checks that a reading with looks does not allocate once all processes are known. The files of
// all or of only some processes are kept open.
func TestTargetWithoutAllocations(t *testing.T) {
	for _, kept := range []int{mostKept, 3} {
		t.Run(strconv.Itoa(kept)+" kept", func(t *testing.T) {
			s := start(t, "family 10")
			for _, f := range s.sources {
				f.Source.(*targetSource).tree.mayKeep = kept
			}
			s.awaitReports(10)
			s.lookAll()
			s.sources["walk"].Source.(*targetSource).look = s.look
			for name, f := range s.sources {
				source := f.Source.(*targetSource)
				dst := make([]float64, len(f.Sensors()))
				var err error
				n := testing.AllocsPerRun(20, func() {
					source.looks.next, source.switches.next = 0, 0
					err = errors.Join(err, source.Read(dst))
				})
				if n != 0 || err != nil || dst[targetProcesses] != 11 || math.IsNaN(dst[targetVoluntary]) {
					t.Errorf("%s: %v allocations, %v; %v processes, %v switches", name, n, err, dst[targetProcesses], dst[targetVoluntary])
				}
			}
		})
	}
}

// TestTargetLooksKeepTheirShare checks that looks at 300 processes, at 10 Hz, keep to their share of a processor.
func TestTargetLooksKeepTheirShare(t *testing.T) {
	testenv.Long(t)
	exact(t)
	const children, wall = 300, 2 * time.Second
	s := start(t, "family "+strconv.Itoa(children))
	s.awaitReports(children)
	for name, f := range s.sources {
		source := f.Source.(*targetSource)
		var spent time.Duration
		looks := 0
		look, switches := source.look, source.lookSwitches
		if name == "walk" {
			look = s.look
		}
		source.look = func() { looks++; look() }
		// The first look opens the files of all processes. A longer pause follows it.
		dst := make([]float64, len(f.Sensors()))
		source.looks.next, source.switches.next = 0, 0
		begin := time.Now()
		first := timed(&source.spec, func() { _ = source.Read(dst) })
		source.looks.next, source.switches.next = 0, 0
		ticker := time.NewTicker(100 * time.Millisecond)
		var spec unix.Timespec
		for range ticker.C {
			spent += timed(&spec, func() { _ = source.Read(dst) })
			if time.Since(begin) > wall {
				break
			}
		}
		ticker.Stop()
		// A look pays for the time until the next one is due. Up to that time the share must hold.
		horizon := max(source.looks.next, source.switches.next, time.Since(source.began)) - begin.Sub(source.began)
		share := spent.Seconds() / horizon.Seconds()
		t.Logf("%-6s first %v, then %v in %v (%d looks): %.3f %% of a processor over %v", name, first, spent, wall, looks, 100*share, horizon)
		const readings = 0.0005 // the share of the readings between the looks
		if share > lookShare+switchesShare+readings {
			t.Errorf("%s: looks take %.3f %% of a processor", name, 100*share)
		}
		if spent == 0 || looks < 2 {
			t.Errorf("%s: %d looks took %v, want at least 2", name, looks, spent)
		}
		source.look, source.lookSwitches = look, switches
	}
}

// TestTargetThreads checks that threads and their context switches are counted.
func TestTargetThreads(t *testing.T) {
	s := start(t, "threads 20")
	s.awaitReports(1)
	s.lookAll()
	for name, f := range s.sources {
		if f.last[targetThreads] < 4 || f.last[targetVoluntary] < 1 || math.IsNaN(f.last[targetInvoluntary]) {
			t.Errorf("%s: %v threads, %v voluntary and %v involuntary switches", name, f.last[targetThreads], f.last[targetVoluntary], f.last[targetInvoluntary])
		}
	}
}

// TestTargetOfNoProcess checks that readings are missing, not zero, if the target ended before it could be followed.
func TestTargetOfNoProcess(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"=burn 0")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	source, _ := sensortest.Open(t, target(), sensors.Setup{})
	if err := source.(sensors.Follower).Follow(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for i, v := range sensortest.Read(t, source) {
		if !math.IsNaN(v) && source.Sensors()[i].ID != "target/processes_ever" {
			t.Errorf("%s reads %v, want NaN", source.Sensors()[i].ID, v)
		}
	}
}

func TestTargetFamily(t *testing.T) {
	sensortest.Present(t, target(), sensors.Setup{})
}

func TestTargetSources(t *testing.T) {
	group, err := cgroup.Make("test-sources-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = group.Leave() }()
	for _, host := range []sensors.Setup{
		{},
		{Target: sensors.Target{CPUGroup: group.CPU}},
		{Target: sensors.Target{MemoryGroup: group.Memory}},
		{Target: sensors.Target{CPUGroup: filepath.Join(t.TempDir(), "gone")}},
	} {
		source, _ := sensortest.Open(t, target(), host)
		for _, i := range []int{targetCPU, targetUser, targetMemoryPeak, targetChargePeak, targetProcessesEver} {
			s := source.Sensors()[i]
			counted := strings.HasPrefix(s.Source, "cgroup") && !strings.HasSuffix(s.Source, "largest reading") || strings.HasPrefix(s.Source, "perf")
			if i == targetMemoryPeak {
				counted = false
			}
			if counted != (s.Origin() == sensors.FromCounter) {
				t.Errorf("%+v: %s is %s, from %s", host.Target, s.ID, s.Origin(), s.Source)
			}
		}
	}
}

// BenchmarkTarget measures readings of a waiting process, and of one with 8 children, with and without a look.
func BenchmarkTarget(b *testing.B) {
	for as, ready := range map[string]int{"holds 0": 1, "family 8": 8} {
		b.Run(strings.Fields(as)[0], func(b *testing.B) { benchmarkTarget(b, as, ready) })
	}
}

func benchmarkTarget(b *testing.B, as string, ready int) {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"=held "+as)
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c.ExtraFiles = []*os.File{w}
	gate, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = gate.Close(); _ = c.Wait() })
	group, err := cgroup.Make("bench-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = group.Leave() })
	_ = group.Add(c.Process.Pid) // without a cgroup, both rows measure perf or the walk
	_ = w.Close()
	await := func(n int) {
		if _, err := io.ReadFull(r, make([]byte, 8*n)); err != nil {
			b.Fatal(err)
		}
	}
	await(1)
	if _, err := gate.Write([]byte{0}); err != nil { // it starts its children now
		b.Fatal(err)
	}
	await(ready)
	for _, host := range []sensors.Setup{{Target: sensors.Target{CPUGroup: group.CPU, MemoryGroup: group.Memory}}, {}} {
		source, _ := sensortest.Open(b, target(), host)
		if err := source.(sensors.Follower).Follow(c.Process.Pid); err != nil {
			b.Fatal(err)
		}
		s, dst := source.(*targetSource), make([]float64, targetReadings)
		for _, due := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/look=%v", strings.ReplaceAll(s.Sensors()[targetCPU].Source, " ", "_"), due), func(b *testing.B) {
				b.ReportAllocs()
				s.switches.next = time.Hour
				for b.Loop() {
					if s.looks.next = time.Hour; due {
						s.looks.next = 0
					}
					if err := s.Read(dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
