package backend

import (
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
)

func TestProfiler(t *testing.T) {
	sensortest.Present(t, profiler(), sensors.Setup{Runner: os.Getppid()})
	sensortest.Present(t, profiler(), sensors.Setup{})
	_, absences := sensortest.Open(t, profiler(), sensors.Setup{})
	if len(absences) != 2 {
		t.Errorf("without a runner: %+v", absences)
	}
}

func TestProfilerCounts(t *testing.T) {
	source, _ := sensortest.Open(t, profiler(), sensors.Setup{Runner: os.Getpid()})
	before, start := sensortest.Read(t, source), ownTime()
	burn(start + 50*time.Millisecond)
	after, end := sensortest.Read(t, source), ownTime()
	for _, i := range []int{profilerCPU, profilerRunnerCPU} {
		if got, most := after[i]-before[i], (end - start + 20*time.Millisecond).Seconds(); got < 0.05 || got > most {
			t.Errorf("%s: %v s, want 0.05 to %v", source.Sensors()[i].ID, got, most)
		}
	}
	for _, i := range []int{profilerMemory, profilerRunnerMemory} {
		if after[i] < mebibyte || after[i] > 1<<34 {
			t.Errorf("%s: %v bytes", source.Sensors()[i].ID, after[i])
		}
	}
}

// TestClocks checks that the clocks agree while the clock is not set and the machine is not suspended. Two clocks are read
// within 0.1 ms of each other.
func TestClocks(t *testing.T) {
	source, _ := sensortest.Open(t, profiler(), sensors.Setup{})
	list := source.Sensors()
	n := len(list) - clockReadings
	for range 100 {
		v := sensortest.Read(t, source)[n:]
		if v[clockSuspended] != 0 || math.Abs(v[clockOffset]) > 1e-3 {
			t.Fatalf("%s %v s, %s %v s", list[n].ID, v[clockOffset], list[n+1].ID, v[clockSuspended])
		}
	}
	// If the clocks were further ahead at first, the offset is negative, but the counter does not fall.
	own := source.(*ownCost)
	own.since[clockOffset] += 5e9
	own.since[clockSuspended] -= 60e9
	for range 3 {
		v := sensortest.Read(t, source)[n:]
		if math.Abs(v[clockOffset]+5) > 1e-3 || math.Abs(v[clockSuspended]-60) > 1e-3 {
			t.Fatalf("the clock offset and the suspended time are %v, want -5 and 60", v)
		}
	}
	own.since[clockSuspended] += 20e9
	if v := sensortest.Read(t, source)[n:]; math.Abs(v[clockSuspended]-60) > 1e-3 {
		t.Errorf("the clock offset and the suspended time are %v, want a suspended time of 60", v)
	}
}

// TestProfilerRunnerGone checks that readings of a runner that is gone are missing, and the sampler still reads itself.
func TestProfilerRunnerGone(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), noExitSleep, role+"=holds 0")
	gate, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	source, _ := sensortest.Open(t, profiler(), sensors.Setup{Runner: c.Process.Pid})
	if v := sensortest.Read(t, source); math.IsNaN(v[profilerRunnerCPU]) || math.IsNaN(v[profilerRunnerMemory]) {
		t.Errorf("while the runner lives: %v", v)
	}
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	v := sensortest.Read(t, source)
	if !math.IsNaN(v[profilerRunnerCPU]) || !math.IsNaN(v[profilerRunnerMemory]) || math.IsNaN(v[profilerCPU]) {
		t.Errorf("after the runner's end: %v", v)
	}
}

func FuzzResident(f *testing.F) {
	f.Add([]byte("5550 1523 1200 230 0 900 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pages, ok := parseResident(b); !ok && pages != 0 {
			t.Errorf("%q: %d", b, pages)
		}
	})
}
