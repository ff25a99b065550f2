package backend

import (
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestHWMon(t *testing.T) {
	sensortest.Run(t, hwmon(), fixture.Host(t, "grace"))
}

// chipAt returns the archive of a hwmon chip. Files are given as name=text. The chip's link leads to device.
func chipAt(n int, device string, files ...string) string {
	dir := fmt.Sprintf("sys/class/hwmon/hwmon%d", n)
	var text string
	if device != "" {
		dir = fmt.Sprintf("sys/devices/%s/hwmon/hwmon%d", device, n)
		text = fmt.Sprintf("-- sys/class/hwmon/hwmon%d -> ../../devices/%s/hwmon/hwmon%d --\n-- %s/device -> ../../../%s --\n",
			n, device, n, dir, filepath.Base(device))
	}
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		text = fmt.Sprintf("-- %s/%s --\n%s\n", dir, name, content) + text
	}
	return text
}

// TestHWMonMeters checks which meters are found, in which order, and what they read.
func TestHWMonMeters(t *testing.T) {
	f := func(host sensors.Setup, want ...string) {
		t.Helper()
		source, absences := sensortest.Open(t, hwmon(), host)
		var got []string
		values := sensortest.Read(t, source)
		for i, s := range source.Sensors() {
			got = append(got, fmt.Sprintf("%s %g %s", s.ID, values[i], s.Unit))
			if (s.Unit == units.Joule) != (s.Kind == sensors.Counter) || !filepath.IsAbs(s.Source) {
				t.Errorf("the sensor is %+v", s)
			}
		}
		if !slices.Equal(got, want) || len(absences) != 0 {
			t.Errorf("%s\nwant\n%s\nabsences %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), absences)
		}
	}
	f(fixture.Host(t, "grace"),
		"hwmon/power_meter-ACPI000D:00/Module_Power_Socket_0/power 212 W",
		"hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0/power 148 W",
		"hwmon/power_meter-ACPI000D:02/CPU_Power_Socket_0/power 91 W",
		"hwmon/power_meter-ACPI000D:03/SysIO_Power_Socket_0/power 34 W")
	// A graphics card with a label. The average is preferred to the momentary value. The chip's number does not matter.
	f(fixture.Unpack(t, chipAt(7, "pci0000:00/0000:03:00.0", "name=amdgpu", "power1_label=PPT", "power1_average=47000000",
		"power1_input=51000000", "power1_cap=300000000", "temp1_input=45000")+
		chipAt(3, "pci0000:00/0000:83:00.0", "name=amdgpu", "power1_label=PPT", "power1_input=51000000")),
		"hwmon/amdgpu-0000:03:00.0/PPT/power 47 W", "hwmon/amdgpu-0000:83:00.0/PPT/power 51 W")
	// Energy comes before power, and 10 after 2. A label occurs twice, and one has unusual characters.
	f(fixture.Unpack(t, chipAt(0, "platform/amd_energy.0", "name=amd_energy", "energy1_input=1500000", "energy1_label=Esocket0",
		"energy10_input=10", "energy2_input=2", "energy2_label=Esocket0", "power1_input=7", "power1_label=a/b c*", "energy3_average=4",
		"power_input=1", "power01_input=1", "power2_input_highest=9")),
		"hwmon/amd_energy-amd_energy.0/Esocket0/energy 1.5 J", "hwmon/amd_energy-amd_energy.0/Esocket0#2/energy 2e-06 J",
		"hwmon/amd_energy-amd_energy.0/energy10/energy 1e-05 J", "hwmon/amd_energy-amd_energy.0/a_b_c_/power 7e-06 W")
	// Chips without a device, or without a name.
	f(fixture.Unpack(t, chipAt(2, "", "name=ina226", "power1_input=2000000")+chipAt(10, "", "name=ina226", "power1_input=3000000")+
		chipAt(4, "", "power1_input=4000000")),
		"hwmon/hwmon4/power1/power 4 W", "hwmon/ina226/power1/power 2 W", "hwmon/ina226#2/power1/power 3 W")
	// Two chips of one device, which has the files, give one meter. A battery belongs to another family.
	f(fixture.Unpack(t, chipAt(0, "acpi/ACPI000D:00", "name=power_meter")+chipAt(1, "acpi/ACPI000D:00", "name=power_meter")+
		"-- sys/devices/acpi/ACPI000D:00/power1_average --\n5000000\n"+
		chipAt(2, "acpi/power_supply/BAT0", "name=BAT0", "power1_input=9000000")),
		"hwmon/power_meter-ACPI000D:00/power1/power 5 W")
}

// TestHWMonAbsences checks that a meter which cannot be read does not affect others, and that there is a reason if none is
// left.
func TestHWMonAbsences(t *testing.T) {
	source, absences := sensortest.Open(t, hwmon(), fixture.Unpack(t, "-- sys/class/hwmon/hwmon0/power1_input (unreadable) --\n"+
		chipAt(0, "", "name=ina226", "power2_input=5000000", "power3_input=broken")))
	var got []string
	for _, a := range absences {
		got = append(got, a.ID)
		if !a.Present() || !strings.HasSuffix(a.Source, "_input") {
			t.Errorf("the absence is %+v", a)
		}
	}
	if want := []string{"hwmon/ina226/power1/power", "hwmon/ina226/power3/power"}; !slices.Equal(got, want) {
		t.Errorf("absent are %q, want %q", got, want)
	}
	if n := len(source.Sensors()); n != 1 {
		t.Errorf("%d sensors", n)
	}
	f := func(host sensors.Setup, absent int, want sensors.Cause) {
		t.Helper()
		source, absences, err := hwmon().Open(t.Context(), host)
		if source != nil || causeOf(err) != want || len(absences) != absent {
			t.Errorf("%v, %v, absences %v, want %d and %q", source, err, absences, absent, want)
		}
	}
	f(fixture.Host(t, "empty-vm"), 0, sensors.Unsupported)
	f(fixture.Host(t, "laptop-psys"), 0, sensors.NotPresent)
	f(fixture.Unpack(t, chipAt(0, "", "name=nvme", "temp1_input=40000")), 0, sensors.NotPresent)
	f(fixture.Unpack(t, "-- sys/class/hwmon --\na file\n"), 0, sensors.Unreadable)
	f(fixture.Unpack(t, chipAt(0, "", "name=ina226", "power1_input=broken")), 1, sensors.Unreadable)
	f(fixture.Unpack(t, "-- sys/class/hwmon/hwmon0 -> ../nowhere --\n"), 1, sensors.NotPresent)
}

// TestHWMonReadings checks that readings follow the file. Incomplete or wrong text gives NaN, for this meter and this
// reading only.
func TestHWMonReadings(t *testing.T) {
	host := fixture.Host(t, "grace")
	source, _ := sensortest.Open(t, hwmon(), host)
	path := source.Sensors()[1].Source
	for _, c := range []struct {
		text string
		want float64
	}{{"150500000\n", 150.5}, {"", math.NaN()}, {"-1\n", math.NaN()}, {"N/A\n", math.NaN()}, {"0\n", 0}} {
		rewrite(t, path, c.text)
		got := sensortest.Read(t, source)
		if got[1] != c.want && !(math.IsNaN(got[1]) && math.IsNaN(c.want)) || got[0] != 212 {
			t.Errorf("%q reads %v, want %v", c.text, got, c.want)
		}
	}
	for _, s := range source.Sensors() {
		rewrite(t, s.Source, "")
	}
	dst := make([]float64, 4)
	if err := source.Read(dst); err == nil || !math.IsNaN(dst[0]) {
		t.Errorf("nothing can be read, but Read gives %v, %v", dst, err)
	}
}

// TestHWMonPrefers checks that a preferred file counts only if it can be read and its reading is possible.
func TestHWMonPrefers(t *testing.T) {
	const unreadable = "-- sys/class/hwmon/hwmon0/power1_average (unreadable) --\n"
	for _, c := range []struct {
		name, archive, item string
		want                float64
	}{
		{"both", chipAt(0, "", "name=power_meter", "power1_average=47000000", "power1_input=51000000"), "power1_average", 47},
		{"an unreadable average", unreadable + chipAt(0, "", "name=power_meter", "power1_input=51000000"), "power1_input", 51},
		{"an average that is no number", chipAt(0, "", "name=ina226", "power1_average=N/A", "power1_input=51000000"), "power1_input", 51},
		{"ACPI's error, 0xffffffff mW", chipAt(0, "", "name=power_meter", "power1_average=4294967295000", "power1_input=51000000"), "power1_input", 51},
		{"an average of 0 W", chipAt(0, "", "name=power_meter", "power1_average=0", "power1_input=51000000"), "power1_input", 51},
		{"nothing possible", chipAt(0, "", "name=power_meter", "power1_average=0", "power1_input=4294967295000"), "power1_average", 0},
		{"an error of 32 bits", chipAt(0, "", "name=ina226", "power1_input=4294967295"), "power1_input", math.NaN()},
		{"a rail that is off", chipAt(0, "", "name=ina226", "power1_input=0"), "power1_input", 0},
	} {
		source, absences := sensortest.Open(t, hwmon(), fixture.Unpack(t, c.archive))
		s := source.Sensors()[0]
		if got := sensortest.Read(t, source)[0]; filepath.Base(s.Source) != c.item || !same(got, c.want) || len(absences) > 0 {
			t.Errorf("%s: %s reads %v, want %s and %v; %+v", c.name, s.Source, got, c.item, c.want, absences)
		}
		if s.Range.Runs != (s.Domain.Kind == sensors.MachineMeter) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// TestTemporary checks which errors are temporary, so that a meter is kept although its first reading fails.
func TestTemporary(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EAGAIN: true, syscall.EBUSY: true, syscall.ETIMEDOUT: true, syscall.ENODEV: false, syscall.EIO: false, errNoNumber: false,
	} {
		if got := temporary(&fs.PathError{Op: "read", Path: "power1_input", Err: err}); got != want {
			t.Errorf("%v is temporary: %t, want %t", err, got, want)
		}
	}
	if temporary(nil) {
		t.Error("nil is a temporary error")
	}
}

func FuzzHWMonMeter(f *testing.F) {
	f.Add("power1_input")
	f.Add("energy12_input")
	f.Add("power1_average")
	f.Add("power1_average_interval")
	f.Fuzz(func(t *testing.T, name string) {
		m, ok := parseMeter(name)
		if !ok {
			return
		}
		item := "_input"
		if m.files[0].average {
			item = "_average"
		}
		if m.channel()+item != name || m.files[0].average && m.energy {
			t.Fatalf("%q is parsed as %+v", name, m)
		}
	})
}
