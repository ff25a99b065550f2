package backend

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
)

// here returns the setup of the machine that runs the test.
func here(t testing.TB) sensors.Setup {
	t.Helper()
	return sensors.Setup{Proc: "/proc", Sys: "/sys", Dirs: []string{t.TempDir()}}
}

func TestHostFamilies(t *testing.T) {
	for _, b := range []sensors.Backend{cpu(), memory(), disk(), network(), filesystem()} {
		t.Run(b.Name, func(t *testing.T) {
			host := fixture.Host(t, "empty-vm")
			host.Dirs = []string{host.Sys}
			t.Run("fixture", func(t *testing.T) { sensortest.Run(t, b, host) })
			t.Run("here", func(t *testing.T) {
				source, _, err := b.Open(t.Context(), here(t))
				if err != nil { // for example, a container without a disk
					t.Skip(err)
				}
				if err := source.Close(); err != nil {
					t.Fatal(err)
				}
				sensortest.Run(t, b, here(t))
			})
		})
	}
}

// values takes a reading and returns it by sensor ID.
func values(t *testing.T, source sensors.Source) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for i, v := range sensortest.Read(t, source) {
		m[source.Sensors()[i].ID] = v
	}
	return m
}

// check compares values by ID. NaN equals NaN.
func check(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for id, w := range want {
		if g, ok := got[id]; !ok || g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
			t.Errorf("%s = %v (there: %v), want %v", id, g, ok, w)
		}
	}
}

func TestCPU(t *testing.T) {
	nan := math.NaN()
	host := fixture.Host(t, "empty-vm")
	stat := filepath.Join(host.Proc, "stat")
	source, absences := sensortest.Open(t, cpu(), host)
	if n := len(source.Sensors()); n != 3*perCPU+1 || len(absences) != 0 {
		t.Fatalf("%d sensors, absences %v", n, absences)
	}
	check(t, values(t, source), map[string]float64{
		"cpu/forks": 4417, "cpu/user": 70.26, "cpu/idle": 2042.01, "cpu/steal": 0.21, "cpu/utilization": nan,
		"cpu/cpu0/user": 32.19, "cpu/cpu1/softirq": 0.44, "cpu/cpu1/utilization": nan,
	})
	// A second later, cpu0 was busy for 75 of 100 ticks, one of which also counts as guest time. cpu1's iowait fell by a tick,
	// and its other times did not change.
	rewrite(t, stat, "cpu  7101 0 2962 204226 359 0 58 21 1 0\ncpu0 3294 0 1160 102931 16 0 13 7 1 0\n"+
		"cpu1 3807 0 1802 101294 341 0 44 14 0 0\nintr 1\n")
	check(t, values(t, source), map[string]float64{
		"cpu/user": 71.01, "cpu/utilization": 0.75, "cpu/cpu0/utilization": 0.75,
		"cpu/cpu1/iowait": 3.42, "cpu/cpu1/utilization": nan,
	})
	// cpu1 goes offline, and a new cpu7 comes online.
	rewrite(t, stat, "cpu  7111 0 2962 204316 359 0 58 21 0 0\ncpu0 3294 0 1160 103031 16 0 13 7 0 0\ncpu7 1 1 1 1 1 1 1 1 1 1\n")
	check(t, values(t, source), map[string]float64{
		"cpu/utilization": 0.1, "cpu/cpu0/utilization": 0, "cpu/cpu1/user": nan, "cpu/cpu1/utilization": nan,
	})
	// cpu1 comes back. Its first reading has no utilization.
	rewrite(t, stat, "cpu  7111 0 2962 204316 359 0 58 21 0 0\ncpu1 3900 0 1802 101294 341 0 44 14 0 0\n")
	check(t, values(t, source), map[string]float64{
		"cpu/cpu0/user": nan, "cpu/cpu1/user": 39, "cpu/cpu1/utilization": nan,
	})
	// Text that cannot be parsed gives NaN, not 0.
	for _, junk := range []string{"", "\x00", "cpu", "cpu0 1 2 3\n", "cpu a b c\n", "cpu -1 0 0 0 0 0 0 0\n", "cpu0x 1 1 1 1 1 1 1 1\n"} {
		rewrite(t, stat, junk)
		for id, v := range values(t, source) {
			if !math.IsNaN(v) {
				t.Errorf("%q: %s = %v", junk, id, v)
			}
		}
	}
}

// TestCPUHere checks that the processors add up to the machine, and that the counters contain the time this test uses.
func TestCPUHere(t *testing.T) {
	source, _ := sensortest.Open(t, cpu(), here(t))
	sensortest.Read(t, source)
	before := values(t, source)
	var start, now unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &start); err != nil {
		t.Fatal(err)
	}
	burnt := func() float64 {
		if err := unix.Getrusage(unix.RUSAGE_SELF, &now); err != nil {
			t.Fatal(err)
		}
		return float64(now.Utime.Nano()+now.Stime.Nano()-start.Utime.Nano()-start.Stime.Nano()) / 1e9
	}
	for burnt() < 0.3 {
	}
	after := values(t, source)
	var used float64
	for _, m := range []string{"user", "nice", "system", "irq", "softirq"} {
		used += after["cpu/"+m] - before["cpu/"+m]
	}
	// The kernel charges a whole tick to the process that runs at its end, so some of the time may count for others.
	if used < 0.2 {
		t.Errorf("the test used 0.3 s, but the machine's counters rose by %.2f s", used)
	}
	if u := after["cpu/utilization"]; !(u > 0 && u <= 1) {
		t.Errorf("the utilization is %v although the test used CPU time", u)
	}
}

const frequencies = `
-- sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq --
2400000
-- sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq --
<unknown>
-- sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq (unreadable) --
-- sys/devices/system/cpu/cpu10/cpufreq -> ../cpufreq/policy10 --
-- sys/devices/system/cpu/cpufreq/policy10/scaling_cur_freq --
1000001
`

func TestCPUFreq(t *testing.T) {
	host := fixture.Unpack(t, frequencies)
	sensortest.Run(t, cpufreq(), host)
	source, absences := sensortest.Open(t, cpufreq(), host)
	check(t, values(t, source), map[string]float64{
		"cpu/cpu0/frequency": 2.4e9, "cpu/cpu1/frequency": math.NaN(), "cpu/cpu10/frequency": 1.000001e9,
	})
	if len(absences) != 1 || absences[0].ID != "cpu/cpu2/frequency" {
		t.Errorf("absences: %+v", absences)
	}
	_, _, err := cpufreq().Open(t.Context(), fixture.Host(t, "empty-vm"))
	if causeOf(err) != sensors.Unsupported {
		t.Errorf("a machine without cpufreq: %v", err)
	}
}

func TestMemory(t *testing.T) {
	host := fixture.Host(t, "empty-vm")
	source, _ := sensortest.Open(t, memory(), host)
	check(t, values(t, source), map[string]float64{
		"memory/used": (24684084 - 24236140) * 1024, "memory/available": 24236140 * 1024, "memory/swap_used": 1 << 20,
	})
	nan := math.NaN()
	f := func(text string, used, available, swap float64) {
		t.Helper()
		rewrite(t, filepath.Join(host.Proc, "meminfo"), text)
		check(t, values(t, source), map[string]float64{
			"memory/used": used, "memory/available": available, "memory/swap_used": swap,
		})
	}
	f("MemTotal: 4 kB\nMemAvailable: 1 kB\n", 3072, 1024, nan)
	f("SwapTotal: 4 kB\nSwapFree: 4 kB\n", nan, nan, 0)
	f("MemTotal: 4 kB\nMemAvailable: 5 kB\n", nan, nan, nan)
	f("MemTotal: 4 MB\nMemAvailable: 1 kB\nSwapTotal: x kB\nSwapFree:\n", nan, 1024, nan)
	f("", nan, nan, nan)
}

// TestMemoryLacks checks that an amount which is missing or impossible costs only the readings that are made of it, and that
// their reasons are true.
func TestMemoryLacks(t *testing.T) {
	const total, available, swap = "MemTotal: 4 kB\n", "MemAvailable: 1 kB\n", "SwapTotal: 4 kB\nSwapFree: 3 kB\n"
	for _, c := range []struct {
		text string
		want map[string]float64 // the readings
		why  map[string]string  // the reasons of the others
	}{
		{total + available + swap, map[string]float64{"memory/used": 3072, "memory/available": 1024, "memory/swap_used": 1024}, nil},
		{total + swap, map[string]float64{"memory/swap_used": 1024}, map[string]string{
			"memory/used": "no value of MemAvailable", "memory/available": "no value of MemAvailable",
		}},
		{available + swap, map[string]float64{"memory/available": 1024, "memory/swap_used": 1024}, map[string]string{
			"memory/used": "no value of MemTotal",
		}},
		{total + "MemAvailable: 5 kB\n" + swap, map[string]float64{"memory/swap_used": 1024}, map[string]string{
			"memory/used":      "MemAvailable is above MemTotal: one of them is wrong",
			"memory/available": "MemAvailable is above MemTotal: one of them is wrong",
		}},
		{total + available + "SwapTotal: 4 kB\nSwapFree: 5 kB\n", map[string]float64{"memory/used": 3072, "memory/available": 1024}, map[string]string{
			"memory/swap_used": "SwapFree is above SwapTotal: one of them is wrong",
		}},
		{total + available, map[string]float64{"memory/used": 3072, "memory/available": 1024}, map[string]string{
			"memory/swap_used": "no value of SwapTotal",
		}},
		{"MemTotal: 0 kB\nMemAvailable: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n", map[string]float64{
			"memory/used": 0, "memory/available": 0, "memory/swap_used": 0,
		}, nil},
	} {
		source, absences := sensortest.Open(t, memory(), fixture.Unpack(t, "-- proc/meminfo --\n"+c.text))
		if got := values(t, source); !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
		why := map[string]string{}
		for _, a := range absences {
			why[a.ID] = a.Reason
		}
		if len(why) != len(c.why) || len(why) > 0 && !maps.Equal(why, c.why) {
			t.Errorf("%q: absent %v, want %v", c.text, why, c.why)
		}
	}
}

// TestCPULacks checks that a mode which the kernel does not count costs itself: a kernel without steal time.
func TestCPULacks(t *testing.T) {
	host := fixture.Unpack(t, "-- proc/stat --\ncpu  10 0 5 100 3 1 1\ncpu0 10 0 5 100 3 1 1\n")
	source, absences := sensortest.Open(t, cpu(), host)
	for _, s := range source.Sensors() {
		if s.Name == "steal" || s.Name == "forks" {
			t.Errorf("%s is in the list", s.ID)
		}
	}
	if len(absences) != 3 {
		t.Errorf("absent: %+v; want steal of both devices, and forks", absences)
	}
	check(t, values(t, source), map[string]float64{"cpu/user": 0.1, "cpu/cpu0/softirq": 0.01})
	rewrite(t, filepath.Join(host.Proc, "stat"), "cpu  20 0 5 110 3 1 1\ncpu0 20 0 5 110 3 1 1\n")
	check(t, values(t, source), map[string]float64{"cpu/utilization": 0.5, "cpu/cpu0/utilization": 0.5, "cpu/cpu0/idle": 1.1})
}

func TestDisk(t *testing.T) {
	host := fixture.Host(t, "empty-vm")
	source, _ := sensortest.Open(t, disk(), host)
	var devices []string
	for _, s := range source.Sensors() {
		devices = append(devices, s.Device)
	}
	// No partition, no logical volume, no loop device, no memory disk, no empty drive.
	if got := slices.Compact(devices); !slices.Equal(got, []string{"vda"}) {
		t.Fatalf("devices %v", got)
	}
	check(t, values(t, source), map[string]float64{
		"disk/vda/read": 2757906 * 512, "disk/vda/written": 1806096 * 512, "disk/vda/reads": 77572, "disk/vda/writes": 9130,
	})
	rewrite(t, filepath.Join(host.Proc, "diskstats"), "254 0 vdb 1 1 1 1 1 1 1 1\n254 0 vda 1 1 1 1 1 1\n\n")
	check(t, values(t, source), map[string]float64{"disk/vda/read": math.NaN(), "disk/vda/writes": math.NaN()})
}

const disks = `
-- proc/diskstats --
   8 0 sda 1 0 10 0 1 0 20 0 0 0 0
   8 16 sdb 1 0 11 0 1 0 21 0 0 0 0
   9 0 md0 1 0 21 0 1 0 41 0 0 0 0
 104 0 cciss/c0d0 1 0 5 0 1 0 6 0 0 0 0
 259 0 nvme0n1 0 0 0 0 0 0 0 0 0 0 0
 259 1 nvme0c0n1 1 0 7 0 1 0 8 0 0 0 0
 259 2 nvme1n1 1 0 9 0 1 0 9 0 0 0 0
 259 3 nvme1c3n1 1 0 9 0 1 0 9 0 0 0 0
 1 0 ramdisk 1 0 1 0 1 0 1 0 0 0 0
 1 1 ram1 1 0 1 0 1 0 1 0 0 0 0
-- sys/block/sda/size --
100
-- sys/block/sdb/size --
100
-- sys/block/md0/slaves/sda --
-- sys/block/md0/slaves/sdb --
-- sys/block/cciss!c0d0/size --
100
-- sys/block/nvme0n1/size --
100
-- sys/block/nvme0c0n1/hidden --
1
-- sys/block/nvme1n1/size --
100
-- sys/block/nvme1c3n1/hidden --
1
-- sys/block/ramdisk/size --
100
-- sys/block/ram1/size --
100
-- sys/block/gone/size --
100
`

func TestDiskCountsNothingTwice(t *testing.T) {
	source, _ := sensortest.Open(t, disk(), fixture.Unpack(t, disks))
	got := map[string]float64{}
	var sum float64
	for id, v := range values(t, source) {
		if strings.HasSuffix(id, "/read") {
			got[id], sum = v/512, sum+v/512
		}
	}
	check(t, got, map[string]float64{
		"disk/sda/read": 10, "disk/sdb/read": 11, "disk/cciss_c0d0/read": 5, "disk/nvme0n1/read": 0,
		"disk/nvme0c0n1/read": 7, "disk/nvme1n1/read": 9, "disk/ramdisk/read": 1,
	})
	if sum != 10+11+5+7+9+1 {
		t.Errorf("the devices add up to %v sectors: %v", sum, got)
	}
}

func TestNetwork(t *testing.T) {
	host := fixture.Host(t, "empty-vm")
	source, _ := sensortest.Open(t, network(), host)
	check(t, values(t, source), map[string]float64{
		"network/lo/receive": 3193, "network/eth0/receive": 143379868, "network/eth0/transmit": 703453,
		"network/eth0/receive_packets": 8934, "network/eth0/transmit_packets": 6376,
	})
	// eth0 is gone, wlan0 is new, and there is no blank after a colon, as in old kernels.
	rewrite(t, filepath.Join(host.Proc, "1", "net", "dev"), "Inter-|\n face |\n    lo:4000 30 0 0 0 0 0 0 4000 30 0 0 0 0 0 0\nwlan0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n")
	check(t, values(t, source), map[string]float64{"network/lo/transmit": 4000, "network/eth0/receive": math.NaN()})
}

// TestNetworkThroughLink checks a tree without process 1, in which net is a link as in /proc.
func TestNetworkThroughLink(t *testing.T) {
	host := fixture.Unpack(t, `
-- proc/77/net/dev --
 eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0
-- proc/self -> 77 --
-- proc/net -> self/net --
`)
	source, _ := sensortest.Open(t, network(), host)
	check(t, values(t, source), map[string]float64{"network/eth0/transmit_packets": 4})
}

func TestFilesystem(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	source, absences := sensortest.Open(t, filesystem(), sensors.Setup{Dirs: []string{dir, none, other}})
	if len(source.Sensors()) != 1 {
		t.Fatalf("two folders of one file system: %+v", source.Sensors())
	}
	if len(absences) != 1 || absences[0].Source != none || absences[0].Reason != "no such file" {
		t.Errorf("absences: %+v", absences)
	}
	// The result is compared with df. Other processes may write at the same time, so a small difference is allowed.
	out, err := exec.CommandContext(t.Context(), "df", "-B1", "--output=avail", dir).Output()
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(out), "\n")
	want, _, ok := number([]byte(line))
	if got := sensortest.Read(t, source)[0]; !ok || math.Abs(got-float64(want)) > 64<<20 {
		t.Errorf("free space %v, df says %d (%v)", got, want, ok)
	}
	var st, up syscall.Stat_t
	mount := strings.TrimPrefix(source.Sensors()[0].Device, "fs:")
	if err := errors.Join(syscall.Stat(mount, &st), syscall.Stat(dir, &up)); err != nil || st.Dev != up.Dev {
		t.Errorf("%s is not the mount point of %s: %v", mount, dir, err)
	}
}

// TestUnavailableNamesTheFile checks that the error names the file if a family cannot be read.
func TestUnavailableNamesTheFile(t *testing.T) {
	host := fixture.Empty(t)
	for _, b := range []sensors.Backend{cpu(), memory(), disk(), network()} {
		_, _, err := b.Open(context.Background(), host)
		if err == nil || !strings.Contains(err.Error(), host.Proc) {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	broken := fixture.Unpack(t, "-- proc/stat --\n-- proc/meminfo --\n-- proc/diskstats --\n-- proc/net/dev --\n-- sys/block/ --\n")
	for _, b := range []sensors.Backend{cpu(), memory(), disk(), network()} {
		_, _, err := b.Open(context.Background(), broken)
		if !errors.Is(err, sensors.ErrUnavailable) {
			t.Errorf("%s, from empty files: %v", b.Name, err)
		}
	}
}

// sane checks what must hold for every parser, whatever its input.
func sane(t *testing.T, list []sensors.Sensor, dst []float64) {
	t.Helper()
	for i, v := range dst {
		if math.IsNaN(v) {
			continue
		}
		if math.IsInf(v, 0) || v < 0 || list[i].Name == "utilization" && v > 1 {
			t.Fatalf("%s = %v", list[i].ID, v)
		}
	}
}

func FuzzCPU(f *testing.F) {
	f.Add([]byte("cpu  7026 0 2962 204201 359 0 58 21 0 0\ncpu0 3219 0 1160 102906 16 0 13 7 0 0\n"),
		[]byte("cpu  7026 0 2962 204202 358 0 58 21 0 0\ncpu1 3219 0 1160 102906 16 0 13 7 0 0\n"))
	f.Add([]byte("cpu 1 18446744073709551615 1 1 1 1 1 1"), []byte("cpu 18446744073709551615 1 0 0 0 0 0 0\ncpu"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := &cpuSource{modes: nModes, slot: []int{1, -1, 2}, cpus: make([]processor, 3)}
		for _, n := range []int{-1, 0, 2} {
			c.list = append(c.list, cpuSensors(n, "fuzz")...)
		}
		dst := make([]float64, len(c.list))
		for i, b := range [][]byte{first, second, first} {
			c.parse(b, time.Duration(i)*time.Second, dst)
			sane(t, c.list, dst)
		}
	})
}

func FuzzMeminfo(f *testing.F) {
	f.Add([]byte("MemTotal:       24684084 kB\nMemAvailable:   24236140 kB\nSwapTotal: 2 kB\nSwapFree: 1 kB\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parseMeminfo(b).readings()
		sane(t, memorySensors("fuzz"), r[:])
	})
}

func FuzzDiskstats(f *testing.F) {
	f.Add([]byte(" 254 0 vda 77572 26881 2757906 11364 9130 31271 1806096 5524 0 5716 17075\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &diskSource{list: append(diskSensors("vda", "fuzz"), diskSensors("sdb", "fuzz")...), slot: map[string]int{"vda": 0, "sdb": 1}}
		dst := make([]float64, len(d.list))
		d.parse(b, dst)
		sane(t, d.list, dst)
	})
}

func FuzzNetDev(f *testing.F) {
	f.Add([]byte("  eth0: 143379868    8934    0    0    0     0          0         0   703453    6376    0    0    0     0 0 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &networkSource{list: append(networkSensors("lo", "fuzz", false), networkSensors("eth0", "fuzz", true)...), slot: map[string]int{"lo": 0, "eth0": 1}}
		dst := make([]float64, len(n.list))
		n.parse(b, dst)
		sane(t, n.list, dst)
	})
}
