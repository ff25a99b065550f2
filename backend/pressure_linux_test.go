package backend

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
)

// stalled is the archive of a machine with pressure files for all three resources, and with swap.
const stalled = `
-- proc/stat --
cpu  7026 0 2962 204201 359 0 58 21 0 0
cpu0 3219 0 1160 102906 16 0 13 7 0 0
intr 1
ctxt 1
processes 7
-- proc/meminfo --
MemTotal: 4000 kB
MemAvailable: 1000 kB
SwapTotal: 4000 kB
SwapFree: 3000 kB
-- proc/vmstat --
nr_free_pages 6024578
pgpswpin 9
pswpin 3
pswpout 8
pgfault 1
-- proc/diskstats --
 254 0 vda 1 1 1 1 1 1 1 1 1 1 1
-- sys/block/vda/size --
8
-- proc/pressure/cpu --
some avg10=0.00 avg60=0.12 avg300=0.05 total=917432
full avg10=0.00 avg60=0.00 avg300=0.00 total=1
-- proc/pressure/memory --
some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000
-- proc/pressure/io --
some avg10=0.00 avg60=0.00 avg300=0.00 total=0
`

func TestPressureAndSwap(t *testing.T) {
	host := fixture.Unpack(t, stalled)
	page := float64(os.Getpagesize())
	for b, want := range map[string]map[string]float64{
		"cpu":    {"cpu/pressure": 0.917432, "cpu/forks": 7, "cpu/cpu0/user": 32.19},
		"memory": {"memory/pressure": 2, "memory/swap_in": 3 * page, "memory/swap_out": 8 * page, "memory/swap_used": 1000 * 1024},
		"disk":   {"disk/pressure": 0, "disk/vda/read": 512},
	} {
		for _, backend := range []sensors.Backend{cpu(), memory(), disk()} {
			if backend.Name == b {
				sensortest.Run(t, backend, host)
				source, _ := sensortest.Open(t, backend, host)
				check(t, values(t, source), want)
			}
		}
	}
	source, _ := sensortest.Open(t, memory(), host)
	rewrite(t, filepath.Join(host.Proc, "pressure/memory"), "nonsense\n")
	rewrite(t, filepath.Join(host.Proc, "vmstat"), "a 1\nxpswpin 3\npswpout x\n")
	nan := math.NaN()
	check(t, values(t, source), map[string]float64{
		"memory/pressure": nan, "memory/swap_in": nan, "memory/swap_out": nan, "memory/available": 1000 * 1024,
	})
	// Without swap space and pressure files, there are no such sensors.
	source, _ = sensortest.Open(t, memory(), fixture.Unpack(t, "-- proc/meminfo --\nMemTotal: 4 kB\nMemAvailable: 1 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n-- proc/vmstat --\npswpin 1\n"))
	if n := len(source.Sensors()); n != 3 {
		t.Errorf("%d sensors, want 3: %+v", n, source.Sensors())
	}
}

func TestThermal(t *testing.T) {
	host := fixture.Host(t, "laptop-psys")
	sensortest.Run(t, thermal(), host)
	source, absences := sensortest.Open(t, thermal(), host)
	got := values(t, source)
	check(t, got, map[string]float64{
		"cpu/cpu0/core_throttles": 12, "cpu/cpu3/core_throttles": 3, "cpu/package-0/package_throttles": 40,
	})
	if len(got) != 5 || len(absences) != 0 {
		t.Errorf("read %v, absences %v; want 5 and none", got, absences)
	}
	_, _, err := thermal().Open(t.Context(), fixture.Host(t, "empty-vm"))
	if !errors.Is(err, sensors.ErrUnavailable) {
		t.Errorf("a machine without thermal_throttle: %v", err)
	}
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.12 avg300=0.05 total=917432\n"), []byte("pswpin 1\npswpout 18446744073709551615\n"))
	f.Fuzz(func(t *testing.T, b, vmstat []byte) {
		if v := parsePressure(b); v < 0 || math.IsInf(v, 0) {
			t.Fatalf("%q is parsed as %v", b, v)
		}
		list := swapSensors("fuzz")
		dst := make([]float64, len(list))
		swap{page: 4096}.parse(vmstat, dst)
		sane(t, list, dst)
	})
}
