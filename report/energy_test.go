package report_test

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// withEnergy returns a run of 2 s on the server with these energies. Others used its GPUs, too.
func withEnergy(idleGPU float64, entries ...entry) datamodel.Result {
	r := server()
	r.Run.Warnings, r.Run.Spark = nil, nil
	out := result(r.Run, append(entries, entry{"wall_time", 2, sensors.FromCounter, "clock"}),
		absent("no sensors", "cpu_time", "cpu_user_time", "cpu_system_time", "cpu_utilization"))
	host := &datamodel.Node{Level: datamodel.HostLevel}
	for name, v := range map[string]float64{"gpu_other_energy": 150, "gpu_idle_energy": idleGPU} {
		host.Metrics = append(host.Metrics, datamodel.Value(name, v, units.Joule, "share", sensors.Attributed, "SM time"))
	}
	run := out.Tree.First(datamodel.RunLevel)
	run.Children = append(run.Children, host)
	for i, m := range run.Metrics {
		switch m.Name {
		case "energy":
			run.Metrics[i].Uncertainty = 2
		case "gpu_energy":
			run.Metrics[i].Uncertainty = 1.5
		case "net_energy":
			run.Metrics[i].Uncertainty = 2.1
		}
	}
	return out
}

// shows compares the rows of energy and power with want. Several spaces count as one.
func shows(t *testing.T, r datamodel.Result, want string) {
	t.Helper()
	text := render(t, "long", r, report.Options{Width: 160, Unicode: true})
	var got []string
	for line := range strings.Lines(text) {
		if regexp.MustCompile(`^ +(energy|cpus|platform|gpus|gpu energy|other|idle|power) `).MatchString(line) {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			got = append(got, indent[2:]+strings.Join(strings.Fields(line), " "))
		}
	}
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

// TestEnergyOfTheSameParts tests that the two cells of a row cover the same parts of the machine. Then the shares of the
// command, of others and of idling add up to the machine's energy. It tests CPUs with GPUs, GPUs alone, and CPUs alone.
func TestEnergyOfTheSameParts(t *testing.T) {
	const from, model = sensors.FromCounter, sensors.Attributed
	both := []entry{
		{"energy", 604.4, from, "packages + dram: package-0, dram-0; GPUs: GPU-1 (counter)"},
		{"power", 302.2, from, ""},
		{"gpu_energy", 400, from, "GPUs: GPU-1 (counter)"},
		{"target_energy", 187.2, model, ""},
		{"other_energy", 14.2, model, ""},
		{"gpu_target_energy", 250, model, ""},
	}
	shows(t, withEnergy(0, both...), `energy 437 J ≈ 604 ± 2 J packages + dram + GPUs
  cpus 187 J ≈ 204 J packages + dram
    other 14.2 J ≈
  gpus 250 J ≈ 400 ± 2 J 200 W
    other 150 J ≈
power 219 W ≈ 302 W`)

	idle := append(slices.Clip(both), entry{"idle_energy", 3, model, ""}, entry{"net_energy", 601.4, model, ""})
	shows(t, withEnergy(20, idle...), `energy 437 J ≈ 604 ± 2 J net 601 ± 2 J ≈, packages + dram + GPUs
  cpus 187 J ≈ 204 J packages + dram
    other 14.2 J ≈
    idle 3.00 J ≈
  gpus 250 J ≈ 400 ± 2 J 200 W
    other 150 J ≈
    idle 20.0 J ≈
power 219 W ≈ 302 W`)

	// With only one of the two shares there is no sum.
	shows(t, withEnergy(0, both[:len(both)-1]...), `energy – 604 ± 2 J packages + dram + GPUs
  cpus 187 J ≈ 204 J packages + dram
    other 14.2 J ≈
  gpus 400 ± 2 J 200 W
    other 150 J ≈
power 302 W`)

	alone := withEnergy(0, entry{"energy", 400, from, "GPUs: GPU-1 (counter)"}, entry{"power", 200, from, ""},
		entry{"gpu_energy", 400, from, "GPUs: GPU-1 (counter)"}, entry{"gpu_target_energy", 250, model, ""})
	run := alone.Tree.First(datamodel.RunLevel)
	run.Metrics = append(run.Metrics, datamodel.Missing("target_energy", units.Joule, "no powercap"))
	shows(t, alone, `energy 250 J ≈ 400 ± 2 J GPUs
  other 150 J ≈
power 125 W ≈ 200 W`)
	if text := render(t, "long", alone, report.Options{Width: 160}); !strings.Contains(text, "energy outside the gpus (no powercap)") {
		t.Errorf("the text does not say that only the GPUs were measured:\n%s", text)
	}

	shows(t, withEnergy(0, entry{"energy", 201.4, from, "psys: psys"}, entry{"power", 100.7, from, ""},
		entry{"target_energy", 187.2, model, ""}, entry{"other_energy", 14.2, model, ""}), `energy 187 J ≈ 201 ± 2 J psys
  other 14.2 J ≈
power 93.6 W ≈ 101 W`)
}

// TestEnergyBound tests that every format shows the upper bound of an energy if nothing else is known.
func TestEnergyBound(t *testing.T) {
	const reason = "the counter did not move in 5.33 ms"
	r := vm()
	node := r.Tree.First(datamodel.RunLevel)
	for i, m := range node.Metrics {
		switch m.Name {
		case "energy", "power", "target_energy", "other_energy":
			node.Metrics[i].Reason = reason
			if m.Name != "power" {
				node.Metrics[i].AtMost = 26.7
			}
		}
	}
	for format, want := range map[string]string{
		"long":     "  energy                                    < 26.7 J    the counter did not move in 5.33 ms\n",
		"text":     "  energy    < 26.7 J of the machine: the counter did not move in 5.33 ms\n",
		"markdown": "| energy |  |  | &lt; 26.7 J | the counter did not move in 5.33 ms |\n",
		"html":     `&lt; 26.7 J</td><td class="dim">the counter did not move in 5.33 ms</td>`,
		"json":     `"reason": "` + reason + `"`,
	} {
		got := render(t, format, r, report.Options{Unicode: true})
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", format, want, got)
		}
		if strings.Contains(got, "not measured: energy") || strings.Contains(got, "not measured: power") {
			t.Errorf("%s: the energy has a bound and is also listed as missing:\n%s", format, got)
		}
	}
}

// TestBoundsInTheTable tests that the sign of a bound stands before the number in every format, for people and programs.
func TestBoundsInTheTable(t *testing.T) {
	r := vm()
	node := r.Tree.First(datamodel.RunLevel)
	for i, m := range node.Metrics {
		switch m.Name {
		case "wall_time", "cpu_time":
			node.Metrics[i] = m.Least(math.NaN())
		case "peak_memory":
			node.Metrics[i].Bound = datamodel.UpperBound
		case "processes":
			node.Metrics[i] = datamodel.Value("processes", 1, units.Processes, "max", sensors.Sampled, "walk").Least(math.NaN())
		}
	}
	text := render(t, "long", r, report.Options{Unicode: true})
	for _, want := range []string{
		"wall time     ≥ 12.4 s\n", "cpu           ≥ 21.3 s ", "peak memory    ≤ 812 MiB ~", "processes        ≥ 1     ~\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for format, want := range map[string]string{
		"markdown": "| ≥ 12.4 s |", "html": ">≥ 12.4 s<", "json": `"bound": "lower"`, "csv": ",,,,,,,,lower\n",
	} {
		if got := render(t, format, r, report.Options{Unicode: true}); !strings.Contains(got, want) {
			t.Errorf("%s: no %q", format, want)
		}
	}
}

// TestEnergyBelowItsUncertainty tests that an energy of which no digit is known is not shown as a number. Programs get it
// in full.
func TestEnergyBelowItsUncertainty(t *testing.T) {
	r := withEnergy(0, entry{"energy", 0.1, sensors.FromCounter, "packages: package-0"}, entry{"power", 50, sensors.FromCounter, ""},
		entry{"target_energy", 0.08, sensors.Attributed, ""}, entry{"other_energy", 0.02, sensors.Attributed, ""})
	for i, m := range r.Tree.First(datamodel.RunLevel).Metrics {
		if m.Name == "energy" {
			m.Uncertainty = 0.1
			m.Parts = []datamodel.Part{{Kind: datamodel.CPUPart, Name: "packages"}}
			r.Tree.First(datamodel.RunLevel).Metrics[i] = m
		}
	}
	r.Summary = r.Tree.First(datamodel.RunLevel).Metrics
	shows(t, r, "energy – at most 200 mJ, packages")
	for format, want := range map[string]string{
		"markdown": "| energy |  |  | – | at most 200 mJ, packages |", "html": ">–</td><td class=\"dim\">at most 200 mJ",
		"json": `"value": 0.1,`, "csv": ",energy,0.1,J,",
	} {
		if got := render(t, format, r, report.Options{Unicode: true}); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", format, want, got)
		}
	}
}
