package backend

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
)

func TestRAPL(t *testing.T) {
	for _, host := range []string{"xeon-1s", "epyc-2s-dies", "laptop-psys", "unreadable-energy"} {
		t.Run(host, func(t *testing.T) { sensortest.Run(t, rapl(), fixture.Host(t, host)) })
	}
}

// TestRAPLZones checks each recorded machine: its zones, their order and first readings, and the zones that cannot be read.
func TestRAPLZones(t *testing.T) {
	f := func(host string, absent []string, want ...string) {
		t.Helper()
		source, absences := sensortest.Open(t, rapl(), fixture.Host(t, host))
		var got []string
		values := sensortest.Read(t, source)
		for i, s := range source.Sensors() {
			got = append(got, fmt.Sprintf("%s %.6f of %.6f at most %g", s.ID, values[i], s.Wrap, s.MaxRate))
			if s.ID != "rapl/"+s.Device+"/energy" {
				t.Errorf("%s: ID %s and device %s do not belong together", host, s.ID, s.Device)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", host, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		var none []string
		for _, a := range absences {
			none = append(none, a.ID)
			if !filepath.IsAbs(a.Source) || filepath.Base(a.Source) != "energy_uj" {
				t.Errorf("%s: the absence %s has the source %q", host, a.ID, a.Source)
			}
		}
		if !slices.Equal(none, absent) {
			t.Errorf("%s: absent are %v, want %v", host, none, absent)
		}
	}
	f("xeon-1s", nil,
		"rapl/package-0/energy 118240.422366 of 262143.328850 at most 4870",
		"rapl/package-0/dram/energy 30125.881204 of 65712.999613 at most 1000")
	f("epyc-2s-dies", nil,
		"rapl/package-1-die-0/energy 65532.610987 of 65532.610987 at most 5000",
		"rapl/package-1-die-0/core/energy 7281.401220 of 65532.610987 at most 5000",
		"rapl/package-0-die-0/energy 20114.553119 of 65532.610987 at most 5000",
		"rapl/package-0-die-0/core/energy 2234.950346 of 65532.610987 at most 5000",
		"rapl/package-1-die-1/energy 44012.118804 of 65532.610987 at most 5000",
		"rapl/package-1-die-1/core/energy 4890.235422 of 65532.610987 at most 5000",
		"rapl/package-0-die-1/energy 3312.889001 of 65532.610987 at most 5000",
		"rapl/package-0-die-1/core/energy 368.098777 of 65532.610987 at most 5000")
	f("laptop-psys", nil,
		"rapl/package-0/energy 21877.342119 of 262143.328850 at most 1000",
		"rapl/package-0/core/energy 9087.112345 of 262143.328850 at most 5000",
		"rapl/package-0/uncore/energy 1203.345112 of 262143.328850 at most 5000",
		"rapl/psys/energy 40112.998761 of 262143.328850 at most 5000",
		"rapl/mmio/package-0/energy 21877.342180 of 262143.328850 at most 1000")
	f("unreadable-energy", []string{"rapl/package-0/energy", "rapl/package-0/uncore/energy"},
		"rapl/package-0/core/energy 812.233445 of 262143.328850 at most 5000")
}

// TestRAPLUnavailable checks the reasons if there is no zone: no powercap in the kernel, masked, or empty.
func TestRAPLUnavailable(t *testing.T) {
	f := func(host sensors.Setup, absent int, want sensors.Cause) {
		t.Helper()
		source, absences, err := rapl().Open(t.Context(), host)
		if source != nil || causeOf(err) != want {
			t.Errorf("%v, %v, want %q", source, err, want)
		}
		if len(absences) != absent {
			t.Errorf("absences %v, want %d", absences, absent)
		}
	}
	f(fixture.Host(t, "empty-vm"), 0, sensors.Unsupported)
	f(fixture.Host(t, "grace"), 0, sensors.Unsupported)
	f(fixture.Host(t, "container-masked"), 2, sensors.Masked)
	f(fixture.Unpack(t, "-- sys/class/powercap/ --\n"), 0, sensors.NotPresent)
	f(fixture.Unpack(t, "-- sys/class/powercap/intel-rapl/enabled --\n1\n"), 0, sensors.NotPresent)
	f(fixture.Unpack(t, "-- sys/devices/virtual/powercap/ --\n"), 0, sensors.NotPresent)
	f(fixture.Unpack(t, "-- sys/class/powercap --\na file\n"), 0, sensors.Unreadable)
	f(fixture.Unpack(t, "-- sys/class/powercap/dtpm:0/name --\nsoc\n-- sys/class/powercap/dtpm:0/power_uw --\n7\n"), 1,
		sensors.Unsupported)
	f(fixture.Unpack(t, "-- sys/class/powercap/intel-rapl:0/name --\npackage-0\n"+
		"-- sys/class/powercap/intel-rapl:0/energy_uj --\n<unknown>\n"), 1, sensors.Unreadable)
}

// TestRAPLLayouts checks that each zone is found once, in every layout of the files: linked from the class, nested in it, as
// in a copy that followed the links, or only below the devices. The order does not matter.
func TestRAPLLayouts(t *testing.T) {
	zone := func(dir, name string) string {
		return "-- sys/" + dir + "/name --\n" + name + "\n-- sys/" + dir + "/energy_uj --\n1000000\n"
	}
	f := func(archive string, want ...string) {
		t.Helper()
		source, _ := sensortest.Open(t, rapl(), fixture.Unpack(t, archive))
		var got []string
		for _, s := range source.Sensors() {
			got = append(got, s.Device)
		}
		if !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	const class = "class/powercap/"
	f(zone(class+"intel-rapl:0", "package-0")+zone(class+"intel-rapl:0/intel-rapl:0:0", "dram"), "package-0", "package-0/dram")
	f(zone(class+"intel-rapl:0:0", "dram")+zone(class+"intel-rapl:0", "package-0"), "package-0", "package-0/dram")
	f(zone(class+"intel-rapl:0", "package-0")+zone(class+"intel-rapl:0/intel-rapl:0:0", "dram")+
		zone(class+"intel-rapl:0:0", "dram"), "package-0", "package-0/dram")
	f(zone("devices/virtual/powercap/intel-rapl/intel-rapl:0", "package-0")+
		zone("devices/virtual/powercap/intel-rapl/intel-rapl:0/intel-rapl:0:0", "core"), "package-0", "package-0/core")
	f(zone(class+"intel-rapl/intel-rapl:0", "package-0"), "package-0")
	// Absolute links are followed inside the tree.
	f(zone("devices/virtual/powercap/intel-rapl/intel-rapl:0", "package-0")+
		"-- sys/class/powercap/intel-rapl:0 -> /sys/devices/virtual/powercap/intel-rapl/intel-rapl:0 --\n", "package-0")
	// 10 comes after 2, and other control types after Intel's. Names may be unusual or occur twice.
	f(zone(class+"intel-rapl:10", "package-10")+zone(class+"intel-rapl:2", "package-2")+zone(class+"amd:0", "package-0")+
		zone(class+"intel-rapl:11", "package-2")+zone(class+"intel-rapl:12", "a b/c*")+zone(class+"intel-rapl:13", ""),
		"package-2", "package-10", "package-2#2", "a_b_c_", "intel-rapl:13", "amd/package-0")
	// Folders that are not zones are ignored: an unusual number, or a link to a parent.
	f(zone(class+"intel-rapl:0", "package-0")+zone(class+"intel-rapl:00", "zero")+zone(class+"intel-rapl:x", "x")+
		zone(class+"intel-rapl:0/power:0/deeper", "deeper")+
		"-- sys/class/powercap/intel-rapl:0/intel-rapl:7 -> .. --\n", "package-0")
}

// TestRAPLReadings checks that readings follow the file. Text that is incomplete, empty, wrong or out of range gives NaN, for
// this zone and this reading only.
func TestRAPLReadings(t *testing.T) {
	host := fixture.Host(t, "xeon-1s")
	source, _ := sensortest.Open(t, rapl(), host)
	path := source.Sensors()[0].Source
	f := func(text string, want float64) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := sensortest.Read(t, source)
		if got[0] != want && !(math.IsNaN(got[0]) && math.IsNaN(want)) {
			t.Errorf("%q reads %v, want %v", text, got[0], want)
		}
		if got[1] != 30125.881204 {
			t.Errorf("%q: the other zone reads %v", text, got[1])
		}
	}
	f("240422366267\n", 240422.366267)
	f("000000000061\n", 0.000061)
	f("262143328850\n", 262143.32885)
	f("262143328851\n", math.NaN())
	f("", math.NaN())
	f("12345\n67890\n", math.NaN())
	f("18446744073709551616\n", math.NaN())
	f("-1\n", math.NaN())
	f("0\n", 0)
}

// TestRAPLWithoutRange checks that a zone without its range is still read, but has no wrap.
func TestRAPLWithoutRange(t *testing.T) {
	for _, top := range []string{
		"",
		"-- sys/class/powercap/intel-rapl:0/max_energy_range_uj --\n5\n",
		"-- sys/class/powercap/intel-rapl:0/max_energy_range_uj (unreadable) --\n",
	} {
		source, absences := sensortest.Open(t, rapl(), fixture.Unpack(t, "-- sys/class/powercap/intel-rapl:0/name --\npsys\n"+
			"-- sys/class/powercap/intel-rapl:0/energy_uj --\n42000000\n"+top))
		if s := source.Sensors()[0]; s.Wrap != 0 || len(absences) != 0 {
			t.Errorf("with the range %q: wrap %v, absences %v", top, s.Wrap, absences)
		}
		if got := sensortest.Read(t, source); got[0] != 42 {
			t.Errorf("with the range %q: reads %v", top, got)
		}
	}
}

// TestRAPLTicking checks readings while the counters move: each is a valid number or NaN. The difference over the run, which
// passes the wrap, is the energy to the µJ.
func TestRAPLTicking(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow the file name intel-rapl:0")
	}
	dir := t.TempDir()
	if err := fakerapl.Create(dir); err != nil {
		t.Fatal(err)
	}
	source, _ := sensortest.Open(t, rapl(), sensors.Setup{Sys: dir, Proc: dir})
	done := make(chan error, 1)
	before := sensortest.Read(t, source)
	go func() {
		done <- fakerapl.Command(t.Context(), []string{"drive", dir, "ramp:5000:15000:20ms", "20ms"}, nil)
	}()
	readings := 0
	for running := true; running; readings++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
			sensortest.Read(t, source)
		}
	}
	after := sensortest.Read(t, source)
	share := map[string]float64{"package-0": 1, "package-0/core": 0.6, "psys": 1.4}
	if len(after) != len(share) {
		t.Fatalf("%d sensors, want %d: %+v", len(after), len(share), source.Sensors())
	}
	for i, s := range source.Sensors() {
		spent, want := after[i]-before[i], 200*share[s.Device]
		if spent < 0 {
			spent += s.Wrap
		}
		if math.Abs(spent-want) > 1e-6 {
			t.Errorf("%s: %v J after %d readings, want %v", s.ID, spent, readings, want)
		}
	}
	if after[0] >= before[0] {
		t.Errorf("the package's counter went from %v to %v without a wrap", before[0], after[0])
	}
}

func FuzzRAPLName(f *testing.F) {
	f.Add("package-0\n")
	f.Add("a/b c\x00\xff#1")
	f.Fuzz(func(t *testing.T, text string) {
		const kernel = "intel-rapl:0"
		name := raplName(text, kernel)
		if name == "" || len(name) > 3*64 || strings.ContainsAny(name, "/# \t\n*?[]{},") {
			t.Fatalf("%q becomes %q", text, name)
		}
		for _, r := range name {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q becomes %q", text, name)
			}
		}
		if p, ok := parsePlace(name); ok && p.parent()+name[len(p.parent()):] != name {
			t.Fatalf("%q has the parent %q", name, p.parent())
		}
	})
}

func FuzzRAPLPlace(f *testing.F) {
	f.Add("intel-rapl:0:12")
	f.Add("intel-rapl:")
	f.Add(":1")
	f.Fuzz(func(t *testing.T, kernel string) {
		p, ok := parsePlace(kernel)
		if !ok {
			return
		}
		again := p.control
		for _, n := range p.numbers {
			again += fmt.Sprintf(":%d", n)
		}
		if again != kernel || p.control == "" || len(p.numbers) == 0 || !strings.HasPrefix(kernel, p.parent()+":") {
			t.Fatalf("%q is parsed as %+v", kernel, p)
		}
	})
}

// TestRAPLCause checks the cause for each error of a zone.
func TestRAPLCause(t *testing.T) {
	for _, c := range []struct {
		dir  string
		err  error
		want sensors.Cause
	}{
		{"/", fs.ErrPermission, sensors.Denied},
		{"/", fs.ErrNotExist, sensors.Unsupported},
		{"/", syscall.ENODEV, sensors.Gone},
		{"/", errNoNumber, sensors.Unreadable},
		{"", fs.ErrNotExist, sensors.Masked},
	} {
		if got := cause(whyNoZone(place{dir: c.dir}, &fs.PathError{Op: "open", Path: "energy_uj", Err: c.err})); got != c.want {
			t.Errorf("%v in %q: %s, want %s", c.err, c.dir, got, c.want)
		}
	}
}
