package backend

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestBattery(t *testing.T) {
	sensortest.Run(t, battery(), fixture.Host(t, "laptop-psys"))
}

// supply returns the archive of a power supply. Files are given as name=text.
func supply(name string, files ...string) string {
	var text string
	for _, f := range files {
		file, content, _ := strings.Cut(f, "=")
		text += "-- sys/class/power_supply/" + name + "/" + file + " --\n" + content + "\n"
	}
	return text
}

func readings(t *testing.T, source sensors.Source) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for i, v := range sensortest.Read(t, source) {
		m[source.Sensors()[i].ID] = v
	}
	return m
}

func same(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }

// TestBatteryStatus checks that power is read only while the battery discharges, and the remaining energy always.
func TestBatteryStatus(t *testing.T) {
	host := fixture.Host(t, "laptop-psys")
	source, absences := sensortest.Open(t, battery(), host)
	if len(source.Sensors()) != 2 || len(absences) != 0 {
		t.Fatalf("sensors %+v, absences %+v; want 2 and none", source.Sensors(), absences)
	}
	for _, s := range source.Sensors() {
		if s.Kind != sensors.Gauge || s.Name == "power" && s.Unit != units.Watt || s.Name == "stored" && s.Unit != units.Joule {
			t.Errorf("the sensor is %+v", s)
		}
	}
	path := source.Sensors()[0].Source
	status := filepath.Join(filepath.Dir(path), "status")
	for _, c := range []struct {
		status, power string
		want          float64
	}{
		{"Discharging\n", "8411000\n", 8.411},
		{"Discharging\n", "-8411000\n", 8.411},
		{"Discharging\n", "0\n", math.NaN()}, // what discharges gives more
		{"Discharging\n", "", math.NaN()},
		{"Discharging\n", "much\n", math.NaN()},
		{"Charging\n", "30000000\n", math.NaN()},
		{"Not charging\n", "0\n", math.NaN()},
		{"Full\n", "0\n", math.NaN()},
		{"Unknown\n", "8411000\n", math.NaN()},
		{"", "8411000\n", math.NaN()},
		{"Discharging\n", "9000000\n", 9},
	} {
		rewrite(t, status, c.status)
		rewrite(t, path, c.power)
		got := readings(t, source)
		if !same(got["battery/BAT0/power"], c.want) || !same(got["battery/BAT0/stored"], 139140) {
			t.Errorf("%q, %q: %v, want %v W and 139140 J", c.status, c.power, got, c.want)
		}
	}
}

// TestBatteryKinds checks other batteries: with voltage and current, without energy, two at once, and without any readings.
func TestBatteryKinds(t *testing.T) {
	f := func(archive string, absent string, want map[string]float64) {
		t.Helper()
		source, absences := sensortest.Open(t, battery(), fixture.Unpack(t, archive))
		got := readings(t, source)
		if len(got) != len(want) {
			t.Errorf("%v, want %v", got, want)
		}
		for id, w := range want {
			if g, ok := got[id]; !ok || !same(g, w) {
				t.Errorf("%s is %v, want %v", id, g, w)
			}
		}
		var ids []string
		for _, a := range absences {
			ids = append(ids, a.ID)
			if a.Cause != sensors.Unsupported && a.Cause != sensors.NotPresent {
				t.Errorf("the absence is %+v", a)
			}
		}
		if strings.Join(ids, " ") != absent {
			t.Errorf("absent are %q, want %s", ids, absent)
		}
	}
	f(supply("BAT1", "type=Battery", "status=Discharging", "voltage_now=12000000", "current_now=-1500000", "charge_now=3000000"),
		"battery/BAT1/stored", map[string]float64{"battery/BAT1/power": 18})
	f(supply("BAT0", "status=Discharging", "power_now=1000000", "energy_now=1000000")+
		supply("CMB1", "type=Battery", "scope=System", "status=Charging", "power_now=5000000", "energy_now=2000000")+
		supply("hidpp_battery_0", "type=Battery", "scope=Device", "status=Discharging", "power_now=1")+
		supply("AC", "type=Mains", "online=1")+supply("usb", "type=USB", "current_now=1", "voltage_now=1"), "",
		map[string]float64{
			"battery/BAT0/power": 1, "battery/BAT0/stored": 3600, "battery/CMB1/power": 0, "battery/CMB1/stored": 7200,
		})
	// The status is missing, so the direction of the power is unknown.
	f(supply("BAT0", "type=Battery", "power_now=1000000", "energy_now=1000000"), "battery/BAT0/power",
		map[string]float64{"battery/BAT0/stored": 3600})
	// ACPI has the file, but no value for it.
	f(supply("BAT0", "type=Battery", "status=Discharging", "power_now=", "voltage_now=10000000", "current_now=2000000", "energy_now=1"), "",
		map[string]float64{"battery/BAT0/power": 20, "battery/BAT0/stored": 0.0036})
	f(supply("BAT0", "type=Battery", "present=0", "status=Unknown")+
		supply("BAT1", "type=Battery", "present=1", "energy_now=1000000"), "battery/BAT0/power battery/BAT1/power",
		map[string]float64{"battery/BAT1/stored": 3600})
}

// TestBatteriesTakeTurns checks that a battery which gives nothing counts as 0 W while another one feeds the machine.
func TestBatteriesTakeTurns(t *testing.T) {
	host := fixture.Unpack(t, supply("BAT0", "type=Battery", "status=Full", "power_now=1")+supply("BAT1", "type=Battery", "status=Full", "power_now=1"))
	source, _ := sensortest.Open(t, battery(), host)
	nan := math.NaN()
	for _, c := range []struct {
		status0, power0, status1, power1 string
		want0, want1                     float64
	}{
		{"Discharging", "9000000", "Not charging", "0", 9, 0},
		{"Full", "0", "Discharging", "7000000", 0, 7},
		{"Charging", "5000000", "Discharging", "7000000", 0, 7},
		{"Discharging", "4000000", "Discharging", "5000000", 4, 5},
		{"Discharging", "9000000", "Unknown", "0", 9, 0},
		{"Discharging", "9000000", "Unknown", "3000000", 9, nan}, // in which direction?
		{"Discharging", "0", "Not charging", "0", nan, 0},
		{"Full", "0", "Not charging", "0", nan, nan}, // from the mains
		{"Unknown", "0", "Unknown", "0", nan, nan},
	} {
		for name, texts := range map[string][2]string{"BAT0": {c.status0, c.power0}, "BAT1": {c.status1, c.power1}} {
			dir := filepath.Join(host.Sys, "class/power_supply", name)
			rewrite(t, filepath.Join(dir, "status"), texts[0]+"\n")
			rewrite(t, filepath.Join(dir, "power_now"), texts[1]+"\n")
		}
		got := readings(t, source)
		if !same(got["battery/BAT0/power"], c.want0) || !same(got["battery/BAT1/power"], c.want1) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestBatteryPrefers checks that a preferred file counts only if it can be read and its reading is possible.
func TestBatteryPrefers(t *testing.T) {
	const other = "-- sys/class/power_supply/BAT0/power_now (unreadable) --\n"
	files := []string{"type=Battery", "status=Discharging", "voltage_now=10000000", "current_now=2000000"}
	for _, c := range []struct {
		name, archive string
		want          float64
		absent        int
	}{
		{"an unreadable power", other + supply("BAT0", files...), 20, 1},
		{"ACPI's unknown, 0xffffffff mW", supply("BAT0", append(files, "power_now=4294967295000")...), 20, 1},
		{"only that", supply("BAT0", "type=Battery", "status=Discharging", "power_now=4294967295000"), 4294967.295, 1},
	} {
		source, absences := sensortest.Open(t, battery(), fixture.Unpack(t, c.archive))
		if got := readings(t, source)["battery/BAT0/power"]; !same(got, c.want) || len(absences) != c.absent {
			t.Errorf("%s: %v, want %v; %+v", c.name, got, c.want, absences)
		}
		if s := source.Sensors()[0]; s.Range.Holds(c.want) != (c.want == 20) {
			t.Errorf("%s: the range is %+v", c.name, s.Range)
		}
	}
	// A current that cannot be read is the reason, although the voltage can.
	source, absences := sensortest.Open(t, battery(), fixture.Unpack(t, supply("BAT0", "type=Battery", "status=Full", "voltage_now=1", "current_now=", "energy_now=1")))
	if len(source.Sensors()) != 1 || len(absences) != 1 || absences[0].Cause != sensors.Unreadable {
		t.Errorf("%+v, %+v", source.Sensors(), absences)
	}
}

func TestBatteryUnavailable(t *testing.T) {
	f := func(host sensors.Setup, absent int, want sensors.Cause) {
		t.Helper()
		source, absences, err := battery().Open(t.Context(), host)
		if source != nil || causeOf(err) != want || len(absences) != absent {
			t.Errorf("%v, %v, absences %v, want %d and %q", source, err, absences, absent, want)
		}
	}
	f(fixture.Host(t, "grace"), 0, sensors.Unsupported)
	f(fixture.Unpack(t, supply("AC", "type=Mains", "online=1")), 0, sensors.NotPresent)
	f(fixture.Unpack(t, "-- sys/class/power_supply --\na file\n"), 0, sensors.Unreadable)
	f(fixture.Unpack(t, supply("BAT0", "type=Battery", "present=0")), 1, sensors.NotPresent)
	f(fixture.Unpack(t, supply("BAT0", "type=Battery", "status=Full")), 2, sensors.Unsupported)
}

// TestBatteryGone checks that a removed battery reads NaN, without an error while there is another.
func TestBatteryGone(t *testing.T) {
	host := fixture.Unpack(t, supply("BAT0", "type=Battery", "status=Charging", "power_now=1"))
	source, _ := sensortest.Open(t, battery(), host)
	dst := make([]float64, 1)
	if err := source.Read(dst); err != nil || !math.IsNaN(dst[0]) {
		t.Errorf("while the battery charges: %v, %v", dst, err)
	}
	rewrite(t, filepath.Join(host.Sys, "class/power_supply/BAT0/status"), "Discharging\n")
	if err := os.Truncate(filepath.Join(host.Sys, "class/power_supply/BAT0/power_now"), 0); err != nil {
		t.Fatal(err)
	}
	if err := source.Read(dst); err == nil || !math.IsNaN(dst[0]) {
		t.Errorf("with text that is not a number: %v, %v", dst, err)
	}
}

func FuzzBatteryAmount(f *testing.F) {
	f.Add([]byte("8411000\n"))
	f.Add([]byte("-8411000\n"))
	f.Add([]byte("--1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := amount(b)
		if !(n >= 0) || math.IsInf(n, 0) || !ok && n != 0 {
			t.Fatalf("%q is parsed as %v, %t", b, n, ok)
		}
		if ok && strings.Count(string(b), "-") > 1 {
			t.Fatalf("%q has two signs, but is accepted", b)
		}
	})
}
