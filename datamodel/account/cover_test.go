package account

import (
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func zone(device string) sensors.Sensor {
	return sensors.Sensor{
		ID: "rapl/" + device + "/energy", Family: "rapl", Device: device, Name: "energy", Unit: units.Joule,
		Kind: sensors.Counter, Wrap: 262143.32885, MaxRate: 1000, Source: "intel-rapl/" + device,
	}
}

func TestCover(t *testing.T) {
	f := func(zones, want, name string) {
		t.Helper()
		var list []sensors.Sensor
		for z := range strings.FieldsSeq(zones) {
			list = append(list, sensortest.Declared(zone(z)))
		}
		members, gotName := Cover(list)
		var got []string
		for _, i := range members {
			got = append(got, list[i].Device)
		}
		if strings.Join(got, " ") != want || gotName != name {
			t.Errorf("of %q: %q as %q, want %q as %q", zones, strings.Join(got, " "), gotName, want, name)
		}
	}
	f("", "", "")
	f("package-0", "package-0", "packages")
	f("package-0 package-0/core package-0/uncore", "package-0", "packages")
	f("package-0 package-0/dram package-1 package-1/dram", "package-0 package-0/dram package-1 package-1/dram", "packages + dram")
	f("package-0/dram package-0", "package-0/dram package-0", "packages + dram")
	f("package-0-die-0 package-0-die-1 package-1-die-0", "package-0-die-0 package-0-die-1 package-1-die-0", "packages")
	f("package-0 package-0/core psys", "package-0", "packages")
	f("psys", "psys", "psys")
	f("psys-1", "psys-1", "psys")
	f("psys psys-1", "psys", "psys")
	f("psys package-0/dram", "psys", "psys")
	f("package-0/core package-0/uncore", "", "")
	f("package-0 mmio/package-0", "package-0", "packages")
	f("mmio/package-0 package-0 package-0/dram mmio/package-0/dram", "package-0 package-0/dram", "packages + dram")
	f("mmio/package-0", "mmio/package-0", "packages")
	f("package-0 npu package-0/npu dram-x package-x package-0-die-", "package-0", "packages")
	f("npu package-0extra package-0/package-1", "", "")
}

func TestCoverTakesOnlyCountersOfJoules(t *testing.T) {
	gauge, other := zone("package-0"), zone("package-1")
	gauge.Kind = sensors.Gauge
	other.Family = "hwmon"
	if members, name := Cover(declared(gauge, other, watts())); members != nil || name != "" {
		t.Errorf("%v %q", members, name)
	}
}
