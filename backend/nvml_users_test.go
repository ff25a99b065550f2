//go:build linux && cgo

package backend

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// TestNVMLUsers checks the use by processes. Before there is a target, nothing is read.
func TestNVMLUsers(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	list := filepath.Join(t.TempDir(), "processes")
	shell, child, _ := testenv.Parentage(t)
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
	gpuValues(t, source) // checks that nothing is read without a target
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
	// The process in both lists counts as one process, but its use of SMs counts twice.
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

// TestNVMLOftenAndSeldom checks that a counter which moves every 100 ms gives the same energy at intervals of 1 ms and 1 s.
// Readings without a rise must lose nothing. A sum of power times time would be 75.6 % too small at 10 ms.
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
		t.Fatalf("only %d of %d readings did not rise", stood, rows)
	}
	if a, b := often.Delta(), seldom.Delta(); math.Abs(a-b) > 1e-9 || !(a > 400 && a < 600) {
		t.Errorf("%v J at 1 ms, %v J at 1 s", a, b)
	}
}

// TestLearnPeriod checks that late readings do not make the period too short. A counter that never changes, or that fails,
// has no period.
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
		t.Errorf("a counter that never changes has the period %v", d)
	}
	if d, ok := learnPeriod(func() float64 { return math.NaN() }, nil); ok {
		t.Errorf("a counter that fails has the period %v", d)
	}
	done := make(chan struct{})
	close(done)
	if d, ok := learnPeriod(steps(time.Hour), done); ok {
		t.Errorf("the period is %v although learning was stopped", d)
	}
	if text := updatePeriod().Source; !strings.Contains(text, fmt.Sprint(changesSeen)) {
		t.Errorf("%q does not name the number of changes, %d", text, changesSeen)
	}
}
