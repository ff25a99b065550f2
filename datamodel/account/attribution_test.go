package account

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestWhoseEnergy(t *testing.T) {
	const d = 10 * sec
	nan := math.NaN()
	// 1000 J in 10 s. The target has 2 s of 5 s of busy time.
	base := func() input {
		return input{
			Ledger: datamodel.Ledger{GroupTime: new(2.0), WallTime: new(10.0)},
			Series: append(procStat(4, 1, 15, 0, d), line(zone("package-0"), 5, 1005, d)),
		}
	}
	f := func(name string, in input, target, other, idle float64, warning string) *datamodel.Node {
		t.Helper()
		tree, warnings := build(t, in)
		run := tree.First(datamodel.RunLevel)
		for metric, want := range map[string]float64{"target_energy": target, "other_energy": other, "idle_energy": idle} {
			m := run.Metric(metric)
			if math.Abs(m.Value-want) > 1e-9 || math.IsNaN(m.Value) != math.IsNaN(want) {
				t.Errorf("%s: %s is %v (%s), want %v", name, metric, m.Value, m.Reason, want)
			}
			if m.Reason == "" && m.Provenance != sensors.Attributed {
				t.Errorf("%s: %s is %s", name, metric, m.Provenance)
			}
		}
		if warning == "" && len(warnings) > 0 || warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Text, warning)) {
			t.Errorf("%s: %v, want %q", name, warnings, warning)
		}
		return run
	}
	run := f("no baseline", base(), 400, 600, nan, "")
	if m := run.Metric("idle_energy"); m.Reason != "no baseline was measured (--baseline)" {
		t.Errorf("%+v", m)
	}
	source := run.Metric("target_energy").Source
	for _, part := range []string{"share of busy CPU time, 2 s of 5 s, in 1000 J of packages: package-0", "factor of 2 to 3"} {
		if !strings.Contains(source, part) {
			t.Errorf("%q lacks %q", source, part)
		}
	}

	// The counters' uncertainty is known, but the model's is a factor. So a share has none.
	in := base()
	in.Series[len(in.Series)-1] = line(updating("package-0"), 5, 1005, d)
	run = f("known to 0.1 J", in, 400, 600, nan, "")
	if a, b := run.Metric("target_energy").Uncertainty, run.Metric("other_energy").Uncertainty; !math.IsNaN(a) || !math.IsNaN(b) {
		t.Errorf("± %v and %v J", a, b)
	}

	in = base()
	in.Ledger.GroupTime = new(5.25)
	source = f("more than the ticks saw", in, 1000, 0, nan, "").Metric("target_energy").Source
	if want := "share of busy CPU time, all of it: 5.25 s, but the ticks of the machine's counters saw only 5 s, in 1000 J"; !strings.Contains(source, want) {
		t.Errorf("%q lacks %q", source, want)
	}

	in = base()
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 30, Spread: 0.5}
	run = f("baseline", in, 280, 420, 300, "")
	if m := run.Metric("idle_energy"); m.Uncertainty != 5 || !strings.Contains(m.Source, "baseline of 30 W for 10 s: 30 W ± 0.5 W of packages") {
		t.Errorf("%+v", m)
	}
	if m := run.Metric("target_energy"); !math.IsNaN(m.Uncertainty) || !strings.Contains(m.Source, "less 300 J idle") {
		t.Errorf("%+v", m)
	}
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 120}
	f("baseline above the run", in, 0, 0, 1000, "above the power of the run")
	in.Run.Baseline = &datamodel.Baseline{Cover: "psys", Power: 30}
	run = f("baseline of something else", in, 400, 600, nan, "")
	if m := run.Metric("idle_energy"); m.Reason != "the baseline covers psys, but the energy covers packages" {
		t.Errorf("%+v", m)
	}
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: nan}
	f("baseline without a power", in, 400, 600, nan, "")
	in.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 30}
	in.Ledger.GroupTime = nil
	f("the target's CPU time is not known", in, nan, nan, 300, "")

	in = base()
	in.Series = append(in.Series, line(gpu("GPU-a", "energy", sensors.Counter, units.Joule), 0, 5000, d))
	run = f("a GPU is not shared out", in, 400, 600, nan, "")
	if m := run.Metric("energy"); m.Value != 6000 {
		t.Errorf("%+v", m)
	}
	if m := run.Metric("gpu_target_energy"); m.Reason != "the processes that used the GPU were not read" || m.Unit != units.Joule {
		t.Errorf("%+v", m)
	}
	in = base()
	in.Series[len(in.Series)-1] = line(sensor("hwmon/power_meter/power", sensors.Gauge, units.Watt, "test"), 100, 100, d)
	in.Series = append(in.Series, line(gpu("GPU-a", "energy", sensors.Counter, units.Joule), 0, 500, d))
	run = f("a GPU behind the meter", in, 400, 600, nan, "")
	if m := run.Metric("target_energy"); !strings.Contains(m.Source, "GPUs in it") || run.Metric("energy").Value != 1000 {
		t.Errorf("%+v", m)
	}
}
