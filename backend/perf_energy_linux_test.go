package backend

import (
	"errors"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
)

// clockHost returns a machine whose PMU named power is the kernel's software clock: PERF_COUNT_SW_CPU_CLOCK of
// PERF_TYPE_SOFTWARE. The test makes real system calls. The clock counts ns on each processor, and the scale converts them
// to J, so each processor draws 1 W. Each processor is a socket, or with cores a core of one socket.
func clockHost(t testing.TB, cores bool) (host sensors.Setup, cpus int) {
	t.Helper()
	online, err := readString("/sys/devices/system/cpu/online")
	if err != nil {
		t.Skip(err)
	}
	list, err := parseCPUs(online)
	if err != nil {
		t.Fatal(err)
	}
	name, event := "power", []string{"energy-pkg=0x00", "energy-ram=0"}
	if cores {
		name, event = "power_core", []string{"energy-core=0x00"}
	}
	archive := unit(name, "1", online, "1e-9", event...)
	for i, cpu := range list {
		if cores {
			archive += processorAt(cpu, 0, 0, i)
		} else {
			archive += processorAt(cpu, i, 0, 0)
		}
	}
	host = fixture.Unpack(t, archive)
	source, absences, err := openPerf(host, cores && len(list) > 1)
	if err != nil {
		for _, a := range absences {
			if !a.Present() || !errors.Is(err, sensors.ErrUnavailable) {
				t.Fatalf("%v, absent %+v", err, a)
			}
		}
		t.Skip(err)
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	return host, len(list)
}

func TestPerf(t *testing.T) {
	host, _ := clockHost(t, false)
	sensortest.Run(t, perf(), host)
}

func TestPerfCore(t *testing.T) {
	host, cpus := clockHost(t, true)
	if cpus == 1 {
		t.Skip("with one processor, a core looks like a package")
	}
	sensortest.Run(t, perfCore(), host)
	if _, _, err := perf().Open(t.Context(), host); !errors.Is(err, sensors.ErrUnavailable) {
		t.Errorf("perf opens a PMU that counts each core: %v", err)
	}
}

// TestPerfSecond checks that each processor's counter rises by 1 J in a second.
func TestPerfSecond(t *testing.T) {
	host, cpus := clockHost(t, false)
	source, absences := sensortest.Open(t, perf(), host)
	if n := len(source.Sensors()); n != 2*cpus || len(absences) != 0 {
		t.Fatalf("%d sensors on %d processors, absences %v", n, cpus, absences)
	}
	if groups := source.(*perfSource).groups; len(groups) != cpus {
		t.Errorf("%d groups are read for %d processors", len(groups), cpus)
	}
	// A reading takes time, which a busy machine stretches. The truth is between least and most.
	began := time.Now()
	before := sensortest.Read(t, source)
	inside := time.Now()
	time.Sleep(time.Second) // the measured time
	least := time.Since(inside)
	after := sensortest.Read(t, source)
	most := time.Since(began)
	for i, s := range source.Sensors() {
		got := after[i] - before[i]
		if got < 0.99*least.Seconds() || got > 1.01*most.Seconds() {
			t.Errorf("%s: %v J in %v to %v at 1 W", s.ID, got, least, most)
		}
		if s.Wrap != 0 || s.MaxRate != likelyRate || !strings.HasPrefix(s.Source, "perf event power/energy-") {
			t.Errorf("the sensor is %+v", s)
		}
	}
	t.Logf("%v J in %v", after[0]-before[0], least)
}

// TestPerfPermission checks that without the capability there is one reason for all events, and that it names both ways to
// get permission.
func TestPerfPermission(t *testing.T) {
	if text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid"); err != nil || strings.TrimSpace(string(text)) <= "0" {
		t.Skipf("every user may count: perf_event_paranoid is %q, %v", text, err)
	}
	host, _ := clockHost(t, false)
	type outcome struct {
		absences []sensors.Absence
		err      error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread, which loses its rights, ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- outcome{err: err}
			return
		}
		_, absences, err := perf().Open(t.Context(), host)
		done <- outcome{absences, err}
	}()
	got := <-done
	if !errors.Is(got.err, sensors.ErrUnavailable) || len(got.absences) != 1 {
		t.Fatalf("open: %v, absences %+v, want one", got.err, got.absences)
	}
	a := got.absences[0]
	if a.ID != "perf/power" || !a.Present() || a.Reason != needsPerfmon || !strings.HasSuffix(a.Source, "devices/power") {
		t.Errorf("the absence is %+v", a)
	}
}

// TestPerfMissingProcessor checks that a missing processor does not affect other counters, and that a counter which does not
// run reads NaN.
func TestPerfMissingProcessor(t *testing.T) {
	if _, cpus := clockHost(t, false); cpus < 1 {
		t.Skip("found no processor")
	}
	host := fixture.Unpack(t, unit("power", "1", "0,60000", "1e-9", "energy-pkg=0")+processorAt(0, 0, 0, 0)+processorAt(60000, 1, 0, 0))
	source, absences := sensortest.Open(t, perf(), host)
	if len(source.Sensors()) != 1 || len(absences) != 1 || absences[0].ID != "perf/package-1/energy" {
		t.Errorf("sensors %+v, absences %+v", source.Sensors(), absences)
	}
	g := source.(*perfSource).groups[0]
	g.counted = math.MaxUint64
	dst := make([]float64, 1)
	if err := source.Read(dst); !errors.Is(err, errNotCounted) || !math.IsNaN(dst[0]) {
		t.Errorf("a group that does not count reads %v, %v", dst, err)
	}
	g.counted = 0
	if v := sensortest.Read(t, source); !(v[0] > 0) {
		t.Errorf("a group that counts reads %v", v)
	}
}

func BenchmarkPerf(b *testing.B) {
	host, cpus := clockHost(b, false)
	source, _ := sensortest.Open(b, perf(), host)
	dst := make([]float64, len(source.Sensors()))
	b.ReportAllocs()
	b.ReportMetric(float64(cpus), "groups")
	for b.Loop() {
		if err := source.Read(dst); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPerfOpen measures Open, which delays every start.
func BenchmarkPerfOpen(b *testing.B) {
	host, _ := clockHost(b, false)
	for b.Loop() {
		source, _, err := perf().Open(b.Context(), host)
		if err != nil {
			b.Fatal(err)
		}
		if err := source.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
