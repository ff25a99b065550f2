package account

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestModelName(t *testing.T) {
	for text, want := range map[string]string{
		"Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz":      "Xeon E5-2620 v3",
		"Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz":       "Xeon Gold 6338",
		"INTEL(R) XEON(R) PLATINUM 8592+":                "XEON PLATINUM 8592+",
		"11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz": "Core i7-1185G7",
		"Intel(R) N100":                              "N100",
		"AMD EPYC 7763 64-Core Processor":            "EPYC 7763",
		"AMD EPYC 72F3 8-Core Processor":             "EPYC 72F3",
		"AMD Ryzen 7 7840U w/ Radeon 780M Graphics":  "Ryzen 7 7840U",
		"AMD Ryzen 7 4800H with Radeon Graphics":     "Ryzen 7 4800H",
		"AMD Ryzen Threadripper PRO 9995WX 96-Cores": "Ryzen Threadripper PRO 9995WX",
		"Intel Xeon Processor (Skylake, IBRS)":       "Xeon (Skylake, IBRS)",
		"AMD EPYC":                                   "EPYC",
		"":                                           "",
		"0xd4f":                                      "0xd4f",
		"Intel(R) Core(TM)2 Quad CPU    Q6600  @ 2.40GHz ": "Core 2 Quad Q6600",
	} {
		if got := modelName(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func FuzzModelName(f *testing.F) {
	f.Add("Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz")
	f.Add("AMD Ryzen 7 7840U w/ Radeon 780M Graphics")
	f.Fuzz(func(t *testing.T, text string) {
		if name := modelName(text); name != strings.Join(strings.Fields(name), " ") || len(name) > 2*len(text) {
			t.Errorf("%q gives %q", text, name)
		}
	})
}

// TestRatedLists checks that every row names one model, which modelName finds, with a plausible power, threads and
// source.
func TestRatedLists(t *testing.T) {
	seen := make(map[string]bool)
	lists, err := ratedLists()
	if err != nil || len(lists) != 3 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	for _, list := range lists {
		if list.source == "" || list.date == "" || len(list.rows) == 0 {
			t.Errorf("%q of %q has %d rows", list.source, list.date, len(list.rows))
		}
		for _, row := range list.rows {
			key := strings.ToLower(row.model)
			if seen[key] || modelName(row.model) != row.model {
				t.Errorf("%q is a duplicate, or cannot be found: %q", row.model, modelName(row.model))
			}
			seen[key] = true
			if perThread := row.power / float64(row.threads); !(perThread >= 0.9 && perThread <= 25) {
				t.Errorf("%s: %g W, %d threads", row.model, row.power, row.threads)
			}
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		host  datamodel.HostInfo
		power float64
		says  string
	}{
		{datamodel.HostInfo{CPU: "AMD EPYC 7742 64-Core Processor", CPUs: 256, Sockets: 2}, 450, "2 packages of 225 W"},
		{datamodel.HostInfo{CPU: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", CPUs: 64, Sockets: 1}, 205, "205 W"},
		{datamodel.HostInfo{CPU: "AMD EPYC 7763 64-Core Processor", CPUs: 4, Virtualization: "virtual machine (Microsoft Corporation)", Sockets: 1}, 8.75, "4 of 128 threads of 280 W"},
		{datamodel.HostInfo{CPU: "AMD EPYC", CPUs: 2, Virtualization: "virtual machine"}, 0, `no rated power is known for "AMD EPYC"`},
		{datamodel.HostInfo{CPU: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", CPUs: 64}, 0, "the number of processors is unknown"},
		{datamodel.HostInfo{CPU: "Intel(R) Xeon(R) CPU E5-2620 @ 2.00GHz", Sockets: 1}, 0, "no rated power"}, // not the power of a later v3
		{datamodel.HostInfo{}, 0, "name is unknown"},
	} {
		r := Rate(c.host)
		if r.Power != c.power || !strings.Contains(r.Of+r.Reason, c.says) || (r.Reason == "") != (r.Source != "") {
			t.Errorf("%+v: %+v, want %g W, %q", c.host, r, c.power, c.says)
		}
	}
}

// TestEstimate checks a machine of 8 CPUs rated 200 W and half loaded for 20 s: it uses 110 W. The target has a quarter
// of the load.
func TestEstimate(t *testing.T) {
	rate := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	in := load(rate(4), rate(1), rate(70))
	in.Run.Estimate, in.Run.Host = true, datamodel.HostInfo{CPU: "AMD EPYC 9255", Sockets: 1}
	tree, warnings := build(t, in)
	run := tree.First(datamodel.RunLevel)
	all, target := run.Metric("estimated_energy"), run.Metric("estimated_target_energy")
	if !isNear(all.Value, 2200, 1e-9) || !isNear(target.Value, 550, 1e-9) || len(warnings) != 0 {
		t.Errorf("%+v, %+v, %v", all, target, warnings)
	}
	for _, m := range []datamodel.Metric{all, target} {
		if m.Provenance != sensors.Estimated || !isNear(m.Min, m.Value/2.87, 1e-9) || !isNear(m.Max, m.Value/0.34, 1e-9) ||
			!isNear(m.Uncertainty, m.Max-m.Value, 1e-9) {
			t.Errorf("%+v", m)
		}
	}
	for _, part := range []string{"no sensor: 200 W rated (EPYC 9255, 200 W; AMD, server", "50 % loaded for 20 s", "-66 % to +187 %"} {
		if !strings.Contains(all.Source, part) {
			t.Errorf("%q lacks %q", all.Source, part)
		}
	}
	// The measured energy is unchanged, and the estimate is not in its sum.
	if m := run.Metric("energy"); !isNear(m.Value, 1400, 1e-9) || m.Provenance != sensors.FromCounter {
		t.Errorf("%+v", m)
	}

	f := func(name string, change func(*input), reason string) {
		t.Helper()
		in := load(rate(4), rate(1), rate(70))
		in.Run.Estimate, in.Run.Host = true, datamodel.HostInfo{CPU: "AMD EPYC 9255", Sockets: 1}
		change(&in)
		tree, _ := build(t, in)
		for _, metric := range []string{"estimated_energy", "estimated_target_energy"} {
			m := tree.First(datamodel.RunLevel).Metric(metric)
			if !math.IsNaN(m.Value) || !strings.Contains(m.Reason, reason) || m.Unit != units.Joule {
				t.Errorf("%s: %+v, want %q", name, m, reason)
			}
		}
	}
	f("not asked for", func(in *input) { in.Run.Estimate = false }, "not requested (--estimate)")
	f("not known", func(in *input) { in.Run.Host.CPU = "AMD EPYC" }, "no rated power")
	f("no packages", func(in *input) { in.Run.Host.Sockets = 0 }, "the number of processors")
	f("no wall time", func(in *input) { in.Ledger.WallTime = nil }, "wall time")
	f("no load", func(in *input) { in.Series = in.Series[1:] }, "load of the CPUs")
}
