package account

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// machine returns sensors from their IDs: "…/energy" is a counter of joules, "…power" a gauge of watts. An ID after a
// '!' cannot be read.
func machine(ids ...string) (list []sensors.Sensor, missing []sensors.Absence) {
	for _, id := range ids {
		if rest, gone := strings.CutPrefix(id, "!"); gone {
			missing = append(missing, sensortest.Missing(sensors.Absence{ID: rest, Cause: sensors.Denied, Reason: "permission denied"}))
			continue
		}
		s := sensor(id, sensors.Counter, units.Joule, "test")
		if strings.HasSuffix(id, "power") {
			s.Kind, s.Unit = sensors.Gauge, units.Watt
		}
		if strings.Contains(id, "average") {
			s.Window = time.Second
		}
		list = append(list, sensortest.Declared(s))
	}
	return list, missing
}

// TestResolve has machines as the kernel shows them. They are the recorded trees in testdata/hosts, and reports by
// users of other tools.
func TestResolve(t *testing.T) {
	for _, m := range []struct {
		name    string
		cover   string
		domains string // a line for each: the id, what is above it in parentheses, and what becomes of it
	}{
		{"nothing", "", ""},
		{"a server with two sockets", "packages + dram", `
			rapl/package-0/energy: summed
			rapl/package-0/dram/energy: summed
			rapl/package-1/energy: summed
			rapl/package-1/dram/energy: summed`},
		{"a laptop: psys has taken number 1, and the package is there once more by MMIO", "packages", `
			rapl/package-0/energy: summed
			rapl/package-0/core/energy (rapl/package-0/energy): inside package-0
			rapl/package-0/uncore/energy (rapl/package-0/energy): inside package-0
			rapl/psys/energy: holds package-0
			rapl/mmio/package-0/energy: same as rapl/package-0/energy
			rapl/mmio/package-0/core/energy (rapl/package-0/energy): same as rapl/package-0/core/energy`},
		{"two EPYCs of two dies: a core domain in each, no dram", "packages", `
			rapl/package-0-die-0/energy: summed
			rapl/package-0-die-0/core/energy (rapl/package-0-die-0/energy): inside package-0-die-0
			rapl/package-0-die-1/energy: summed
			rapl/package-0-die-1/core/energy (rapl/package-0-die-1/energy): inside package-0-die-1
			rapl/package-1-die-0/energy: summed
			rapl/package-1-die-1/energy: summed`},
		{"an EPYC by perf and powercap, each core counted", "packages", `
			perf/package-0/energy: summed
			perf/package-0/core-0/energy (perf/package-0/energy): inside package-0
			perf/package-0/core-127/energy (perf/package-0/energy): inside package-0
			rapl/package-0/energy: same as perf/package-0/energy
			rapl/package-0/core/energy (perf/package-0/energy): inside package-0`},
		{"sockets beyond nine", "packages + dram", `
			rapl/package-9/energy: summed
			rapl/package-10/energy: summed
			rapl/package-31-die-12/energy: summed
			rapl/package-10/dram/energy: summed`},
		{"perf has no dram, powercap has", "packages + dram", `
			rapl/package-0/energy: same as perf/package-0/energy
			rapl/package-0/dram/energy: summed
			perf/package-0/energy: summed
			perf/psys/energy: holds package-0
			rapl/psys/energy: same as perf/psys/energy`},
		{"perf is not allowed, powercap is", "packages", `
			rapl/package-0/energy: summed
			!perf/package-0/energy: unreadable: permission denied, same as rapl/package-0/energy`},
		{"as an ordinary user: one zone was opened by the administrator", "", `
			rapl/package-0/core/energy (rapl/package-0/energy): inside package-0
			!rapl/package-0/energy: unreadable: permission denied
			!rapl/package-0/uncore/energy (rapl/package-0/energy): unreadable: permission denied`},
		{"one unreadable zone costs that zone alone", "packages + dram", `
			rapl/package-0/energy: summed
			rapl/package-1/energy: summed
			rapl/package-1/dram/energy: summed
			!rapl/package-0/dram/energy: unreadable: permission denied`},
		{"only psys", "psys", `
			rapl/psys/energy: summed
			rapl/psys-1/energy: not summed: another view of the platform
			rapl/package-0/dram/energy: not summed: psys may hold it
			rapl/package-0/core/energy: inside package-0`},
		{"unknown names", "packages", `
			rapl/package-0/energy: summed
			rapl/npu/energy: unknown name: not summed
			rapl/package-0/npu/energy: unknown name: not summed
			rapl/dtpm/cpu0-cpufreq/energy: unknown name: not summed
			perf/power_xpu/package-0/energy: unknown name: not summed
			rapl/package-x/energy: unknown name: not summed
			rapl/package-0#2/energy: unknown name: not summed`},
		{"only unknown names", "", `
			rapl/npu/energy: unknown name: not summed
			rapl/package-0/dram/energy: not summed: its package is absent`},
		{"GPUs: with a counter, without, with other scopes", "packages + GPUs", `
			rapl/package-0/energy: summed
			gpu/GPU-a/power: same as gpu/GPU-a/energy
			gpu/GPU-a/energy: summed
			gpu/GPU-a/module_power: holds GPU-a and its processor
			gpu/GPU-a/memory_power (gpu/GPU-a/energy): inside GPU-a
			gpu/GPU-b/average_power: same as gpu/GPU-b/power
			gpu/GPU-b/power: summed`},
		{"only a GPU", "GPUs", `
			gpu/GPU-a/power: summed`},
		{"Grace: the meter of the processor and its memory is used, and the GPU is outside it", "hwmon power meter (integrated) + GPUs", `
			hwmon/power_meter-ACPI000D:00/Module_Power_Socket_0/power: holds power_meter-ACPI000D:01/Grace_Power_Socket_0
			hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0/power (hwmon/power_meter-ACPI000D:00/Module_Power_Socket_0/power): summed
			hwmon/power_meter-ACPI000D:02/CPU_Power_Socket_0/power (hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0/power): inside power_meter-ACPI000D:01/Grace_Power_Socket_0
			hwmon/power_meter-ACPI000D:03/SysIO_Power_Socket_0/power (hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0/power): inside power_meter-ACPI000D:01/Grace_Power_Socket_0
			hwmon/power_meter-ACPI000D:05/Grace_Power_Socket_1/power: summed
			gpu/GPU-a/energy: summed`},
		{"an EPYC of a kernel with the driver amd_energy", "packages", `
			rapl/package-0/energy: summed
			hwmon/amd_energy-amd_energy.0/Esocket0/energy: same as rapl/package-0/energy
			hwmon/amd_energy-amd_energy.0/Esocket1/energy: summed
			hwmon/amd_energy-amd_energy.0/Ecore017/energy: inside a package
			hwmon/amd_energy-amd_energy.0/energy9/energy: unknown name: not summed`},
		{"only the module's meter: the GPU is behind it", "hwmon power meter (integrated)", `
			hwmon/Module Power Socket 0/power: summed
			gpu/GPU-a/energy (hwmon/Module Power Socket 0/power): inside Module Power Socket 0`},
		{"a server with an ACPI meter and counters", "packages", `
			rapl/package-0/energy: summed
			hwmon/power_meter-ACPI000D:00/power1/power: holds all of the machine`},
		{"only an ACPI meter", "hwmon power meter (integrated)", `
			hwmon/power_meter/power: summed
			gpu/GPU-a/power (hwmon/power_meter/power): inside power_meter
			battery/BAT0/power: holds all of the machine while it discharges`},
		{"an ACPI meter that counts", "hwmon power meter", `
			hwmon/power_meter/power: same as hwmon/power_meter/energy
			hwmon/power_meter/energy: summed`},
		{"two ACPI meters", "", `
			hwmon/power_meter-0/power: not summed: it is unknown how several meters of a machine overlap
			hwmon/power_meter-1/power: not summed: it is unknown how several meters of a machine overlap`},
		{"shunts and chips", "battery (integrated)", `
			hwmon/ina3221/VDD_IN/power: unknown name: not summed
			hwmon/amdgpu-0000:03:00.0/PPT/power: unknown name: not summed
			battery/BAT0/power: summed
			battery/BAT1/power: summed`},
	} {
		t.Run(m.name, func(t *testing.T) {
			var ids []string
			var want []string
			for line := range strings.SplitSeq(m.domains, "\n") {
				if line = strings.TrimSpace(line); line == "" {
					continue
				}
				id, _, _ := strings.Cut(line, ": ")
				id, _, _ = strings.Cut(id, " (")
				ids, want = append(ids, id), append(want, strings.TrimPrefix(line, "!"))
			}
			list, missing := machine(ids...)
			r := Resolve(list, missing)
			var got []string
			for _, d := range r.Domains {
				line := d.Sensor.ID
				if d.Parent != "" {
					line += " (" + d.Parent + ")"
				}
				line += ": " + d.Why
				if d.Same != "" && !strings.Contains(d.Why, d.Same) {
					line += ", same as " + d.Same
				}
				got = append(got, line)
				if d.Covered != (d.Why == "summed") || d.Covered && d.Same != "" {
					t.Errorf("%+v", d)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || r.Name() != m.cover {
				t.Errorf("%q:\n%s\nwant %q:\n%s", r.Name(), strings.Join(got, "\n"), m.cover, strings.Join(want, "\n"))
			}
		})
	}
}

// TestResolveLooksAtEnergyOnly checks that sensors of other quantities have no place in the tree, and neither does a
// whole family that is missing.
func TestResolveLooksAtEnergyOnly(t *testing.T) {
	list := declared(
		bytesRead(), sensor("rapl/package-0/power", sensors.Gauge, units.Watt, ""), sensor("gpu/GPU-a/energy", sensors.Gauge, units.Joule, ""),
		sensor("network/eth0/energy", sensors.Counter, units.Joule, ""), sensor("hwmon/nvme/temp1", sensors.Gauge, units.Celsius, ""),
	)
	missing := []sensors.Absence{{ID: "rapl"}, {ID: "perf/power"}, {ID: "disk/vda/read"}, {ID: "rapl//energy"}, {ID: "gpu/GPU-a/utilization"}}
	if r := Resolve(list, missing); len(r.Domains) != 0 || r.Cover != "" {
		t.Errorf("%+v", r)
	}
}

// TestPerfAgainstPowercap checks that two interfaces to one domain are compared if both were read over a run.
func TestPerfAgainstPowercap(t *testing.T) {
	perf := func(device string) sensors.Sensor {
		s := zone(device)
		s.ID, s.Family, s.Wrap = "perf/"+device+"/energy", "perf", 0
		return s
	}
	f := func(name string, taken, other *series.Series, energy float64, warning string) {
		t.Helper()
		tree, warnings := build(t, input{Series: []*series.Series{other, taken}})
		m := tree.First(datamodel.RunLevel).Metric("energy")
		if m.Value != energy {
			t.Errorf("%s: %v J, want %v", name, m.Value, energy)
		}
		if warning == "" && len(warnings) > 0 || warning != "" && (len(warnings) != 1 || warnings[0].Text != warning) {
			t.Errorf("%s: %v, want %q", name, warnings, warning)
		}
	}
	const d = 10 * sec
	f("the same", line(perf("package-0"), 0, 1000, d), line(zone("package-0"), 777, 1777, d), 1000, "")
	f("0.9 % apart", line(perf("package-0"), 0, 1000, d), line(zone("package-0"), 777, 1786, d), 1000, "")
	f("1.2 % apart", line(perf("package-0"), 0, 1000, d), line(zone("package-0"), 777, 1789, d), 1000,
		"gives 100 W, but rapl/package-0/energy gives 101 W for the same domain")
	f("half", line(perf("package-0"), 0, 500, d), line(zone("package-0"), 777, 1777, d), 500,
		"gives 50.0 W, but rapl/package-0/energy gives 100 W for the same domain")
	f("perf was read a second less", line(perf("package-0"), 0, 900, 9*sec), line(zone("package-0"), 777, 1777, d), 900, "")
	f("so short that an update of the counter matters", line(perf("package-0"), 0, 1, 10*ms), line(zone("package-0"), 777, 777.9, 10*ms), 1, "")
	f("a twin by MMIO", line(zone("package-0"), 0, 1000, d), line(zone("mmio/package-0"), 777, 1277, d), 1000,
		"gives 100 W, but rapl/mmio/package-0/energy gives 50.0 W for the same domain")

	// If perf has no result, powercap is used, without any loss.
	f("perf is dead", seriesOf(perf("package-0"), every(sec, 2), []float64{3, 3}), line(zone("package-0"), 777, 1777, d), 1000, "")
	tree, _ := build(t, input{Series: []*series.Series{line(perf("package-0"), 0, 1000, d), line(zone("package-0/dram"), 0, 100, d)}})
	if m := tree.First(datamodel.RunLevel).Metric("energy"); m.Value != 1100 || m.Source != "packages + dram: perf/package-0, package-0/dram" {
		t.Errorf("%+v", m)
	}
}

// TestUnreadableZonesAreMissed checks that a warning names a package that cannot be read, unless another sensor reads
// it.
func TestUnreadableZonesAreMissed(t *testing.T) {
	in := input{
		Series: []*series.Series{line(zone("package-0"), 0, 10, sec)},
		Run: datamodel.Run{Missing: []sensors.Absence{
			{ID: "rapl/package-1/energy", Reason: "permission denied"},
			{ID: "perf/package-1/energy", Reason: "no perf"},
			{ID: "perf/package-0/energy", Reason: "no perf"},
			{ID: "rapl/package-0/core/energy", Reason: "permission denied"},
			{ID: "rapl/npu/energy", Reason: "permission denied"},
		}},
	}
	for i, a := range in.Run.Missing {
		in.Run.Missing[i] = sensortest.Missing(a)
	}
	_, warnings := build(t, in)
	if len(warnings) != 1 || warnings[0].Subject != "rapl/package-1/energy" || warnings[0].Text != "not in the machine's energy: permission denied" {
		t.Errorf("%v", warnings)
	}
	in.Series = nil
	if _, warnings := build(t, in); len(warnings) != 0 {
		t.Errorf("without any energy the reason is in the metric, not in warnings: %v", warnings)
	}
}

// TestMetersStandIn checks that a meter is used only if the processors count nothing themselves, and that nothing
// behind the meter is added.
func TestMetersStandIn(t *testing.T) {
	const d = 10 * sec
	f := func(name string, want float64, from sensors.Provenance, source string, list ...*series.Series) {
		t.Helper()
		tree, warnings := build(t, input{Series: list})
		m := tree.First(datamodel.RunLevel).Metric("energy")
		if m.Value != want || m.Provenance != from || m.Source != source || len(warnings) > 0 {
			t.Errorf("%s: %+v, %v; want %v J from %q", name, m, warnings, want, source)
		}
	}
	gauge := func(id string, watts float64) *series.Series {
		return line(sensor(id, sensors.Gauge, units.Watt, "test"), watts, watts, d)
	}
	meter, card := gauge("hwmon/power_meter/power", 300), gauge("gpu/GPU-a/power", 100)
	f("meter and GPU", 3000, sensors.Integrated, "hwmon power meter (integrated): hwmon/power_meter", meter, card)
	f("counters", 500, sensors.FromCounter, "packages: package-0", meter, line(zone("package-0"), 1, 501, d))
	f("Grace", 1500+1000, sensors.Integrated, "hwmon power meter (integrated): hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0; GPUs: GPU-a (power over time)",
		gauge("hwmon/power_meter-ACPI000D:01/Grace_Power_Socket_0/power", 150), gauge("hwmon/power_meter-ACPI000D:02/CPU_Power_Socket_0/power", 90), card)
	f("battery", 80, sensors.Integrated, "battery (integrated): battery/BAT0", gauge("battery/BAT0/power", 8))
	turns := func(id string, watts ...float64) *series.Series {
		return seriesOf(sensor(id, sensors.Gauge, units.Watt, "test"), every(sec, len(watts)), watts)
	}
	// The second takes over within a second. What draws nothing counts as 0 W, or the sum would count both all the time.
	f("batteries take turns", 8*5, sensors.Integrated, "battery (integrated): battery/BAT0, battery/BAT1",
		turns("battery/BAT0/power", 8, 8, 8, 0, 0, 0), turns("battery/BAT1/power", 0, 0, 0, 8, 8, 8))
}

// FuzzResolve takes any IDs. Nothing is summed twice, and everything has its reason.
func FuzzResolve(f *testing.F) {
	f.Add("rapl/package-0/energy", "perf/package-0/energy", "gpu/GPU-a/power", "hwmon/power_meter/power")
	f.Add("rapl/mmio/package-0/energy", "!rapl/package-0/energy", "battery/BAT0/power", "hwmon/module socket/power")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		list, missing := machine(a, b, c, d)
		r := Resolve(list, missing)
		keys := make(map[sensors.Domain]bool)
		machineSum := false
		for _, d := range r.Domains {
			if d.Why == "" || d.Covered != (d.Why == summedWhy) || d.Covered && d.Same != "" {
				t.Errorf("%+v", d)
			}
			if !d.Covered {
				continue
			}
			if key := d.Sensor.Domain.Thing(); keys[key] || key.Kind == sensors.UnknownDomain || key.Kind == sensors.CoreDomain {
				t.Errorf("%s is summed, with %v", d.Sensor.ID, keys)
			} else {
				keys[key] = true
			}
			machineSum = machineSum || d.Sensor.Family != "gpu"
		}
		if machineSum != (r.Cover != "") {
			t.Errorf("the cover is called %q: %+v", r.Cover, r.Domains)
		}
	})
}
