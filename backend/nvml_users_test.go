//go:build linux && cgo

package backend

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// parentage starts a shell that says the ids of a process of its own and of one that it left an orphan, and ends when its
// input does.
func parentage(t *testing.T) (shell, child, orphan int) {
	t.Helper()
	// Not by t.Context(): it ends before the cleanup, and a shell that is killed leaves the other two behind.
	c := exec.Command("sh", "-c",
		`sleep 1000 & a=$!; b=$(sh -c 'sleep 1000 >/dev/null & echo $!'); echo $a $b; read -r end; kill $a $b`)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	if _, err := fmt.Fscan(bufio.NewReader(out), &child, &orphan); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, child, orphan
}

// A process is the target's that descends from it. Its orphan is told by a cgroup or by the runner that it came to; here
// is neither, so that it is nobody's.
func TestLineage(t *testing.T) {
	shell, child, orphan := parentage(t)
	l := newLineage(shell, 0)
	f := func(pid int, member, known bool) {
		t.Helper()
		if m, k := l.has(pid); m != member || k != known {
			t.Errorf("process %d: member %v, known %v", pid, m, k)
		}
	}
	f(shell, true, true)
	f(child, true, true)
	f(orphan, false, true)
	f(os.Getpid(), false, true)
	f(1, false, true)
	f(0, false, false)
	f(1<<30, false, false)

	// With the runner of the target, which is this process, what it had before and the sampler are not the target's.
	s, ok := processStatOf(orphan)
	if !ok {
		t.Fatal("the orphan has ended")
	}
	l = newLineage(shell, s.parent)
	f(child, true, true)
	if l.others = nil; s.parent > 1 {
		l.known = map[int]kin{}
		f(orphan, true, true)
	}
	// One that was asked for is told after its end, too.
	c := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	l = newLineage(c.Process.Pid, 0)
	f(c.Process.Pid, true, true)
	_ = c.Process.Kill()
	_ = c.Wait()
	f(c.Process.Pid, true, true)
	// A group of the target's, and those below it.
	for line, in := range map[string]bool{"4:cpu:/a": true, "4:cpu:/a/b": true, "4:cpu:/ab": false, "5:cpu:/a": false} {
		l.groups = []string{"4:cpu:/a"}
		if got := l.within(line); got != in {
			t.Errorf("%s is in it: %v", line, got)
		}
	}
}

// What processes use is read from the library, and nothing before there is a target.
func TestNVMLUsers(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	list := filepath.Join(t.TempDir(), "processes")
	shell, child, _ := parentage(t)
	text := fmt.Sprintf("0 %d 1000 30\n0 %d 200 20 graphics\n0 %d 200 20\n0 1 50 10\n1 1 50 80\n", shell, child, child)
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STUB_NVML_GPUS", "2")
	t.Setenv("STUB_NVML_PROCESSES", list)
	t.Setenv("STUB_NVML_SAMPLES", "10")
	source, absences := sensortest.Open(t, nvmlBackend(), host)
	n, ok := source.(*nvmlSource)
	if !ok || len(absences) > 0 {
		t.Fatalf("%T, %v", source, absences)
	}
	if n.users.foreign != nil {
		t.Skip(n.users.foreign)
	}
	gpuValues(t, source) // nothing without a target
	if err := n.Follow(shell); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for start := time.Now(); math.IsNaN(got["gpu/"+gpu0+"/target_utilization"]) || len(got) == 0; {
		for i, v := range sensortest.Read(t, source) {
			got[source.Sensors()[i].ID] = v
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("no utilization: %v", got)
		}
	}
	// The process in both lists counts once, but uses twice what it uses in one.
	for name, want := range map[string]float64{
		gpu0 + "/target_memory": 1200 << 20, gpu0 + "/target_processes": 2, gpu0 + "/other_processes": 1,
		gpu0 + "/target_utilization": 0.7, gpu0 + "/other_utilization": 0.1,
		gpu1 + "/target_memory": 0, gpu1 + "/target_processes": 0, gpu1 + "/other_processes": 1,
		gpu1 + "/target_utilization": 0, gpu1 + "/other_utilization": 0.8,
	} {
		if v := got["gpu/"+name]; math.Abs(v-want) > 1e-9 {
			t.Errorf("%s reads %v, want %v", name, v, want)
		}
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Follow(shell); err == nil {
		t.Error("followed after it was closed")
	}
}

// The same readings of a counter that moves every 100 ms, taken at 1 ms and at 1 s, are the same energy: readings
// between two that rise take nothing away. (Who sums the differences of power and time is 75.6 % short at 10 ms.)
func TestNVMLOftenAndSeldom(t *testing.T) {
	testenv.Long(t)
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	t.Setenv("STUB_NVML_CURVE", "square:400:100:0.31")
	t.Setenv("STUB_NVML_UPDATE", "100")
	source, _ := sensortest.Open(t, nvmlBackend(), host)
	var energy sensors.Sensor
	at := -1
	for i, s := range source.Sensors() {
		if s.Name == "energy" {
			energy, at = s, i
		}
	}
	often, seldom := series.New(energy), series.New(energy)
	row := make([]float64, len(source.Sensors()))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	stood, rows := 0, 0
	var next time.Duration
	for start, last, end := time.Now(), math.NaN(), false; !end; rows++ {
		<-tick.C
		now := time.Since(start)
		if err := source.Read(row); err != nil {
			t.Fatal(err)
		}
		end = now >= 2*time.Second
		if row[at] == last {
			stood++
		}
		last = row[at]
		often.Add([]time.Duration{now}, row[at:at+1])
		if now >= next || end {
			seldom.Add([]time.Duration{now}, row[at:at+1])
			next += time.Second
		}
	}
	if stood < rows/2 {
		t.Fatalf("of %d readings only %d did not rise", rows, stood)
	}
	if a, b := often.Delta(), seldom.Delta(); math.Abs(a-b) > 1e-9 || !(a > 400 && a < 600) {
		t.Errorf("%v J at 1 ms, %v J at 1 s", a, b)
	}
}

// The period is never less than it is, whoever looks late; a counter that stands still or fails has none.
func TestLearnPeriod(t *testing.T) {
	start := time.Now()
	steps := func(d time.Duration) func() float64 {
		return func() float64 { return float64(time.Since(start) / d) }
	}
	for _, d := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
		got, ok := learnPeriod(steps(d), nil)
		if !ok || got < d {
			t.Errorf("%v: %v, %v", d, got, ok)
		}
	}
	if d, ok := learnPeriod(steps(time.Hour), nil); ok {
		t.Errorf("a counter that stands still moves every %v", d)
	}
	if d, ok := learnPeriod(func() float64 { return math.NaN() }, nil); ok {
		t.Errorf("a counter that fails moves every %v", d)
	}
	done := make(chan struct{})
	close(done)
	if d, ok := learnPeriod(steps(time.Hour), done); ok {
		t.Errorf("stopped: %v", d)
	}
	if text := updatePeriod().Source; !strings.Contains(text, fmt.Sprint(changesSeen)) {
		t.Errorf("%q does not say that it takes %d", text, changesSeen)
	}
}
