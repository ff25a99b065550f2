package report

import (
	"math"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// gpusName is what the source of an energy calls the GPUs in it.
const gpusName = "GPUs"

// covered is what the energy's source names, without the members of each: "packages + dram", "GPUs".
func covered(source string) []string {
	var names []string
	for part := range strings.SplitSeq(printable(source), "; ") {
		name, _, _ := strings.Cut(part, ": ")
		names = append(names, name)
	}
	return names
}

// gpusSummed says whether the energy of GPUs is in that of the machine.
func gpusSummed(s map[string]datamodel.Metric) bool {
	return s["gpu_energy"].Provenance != sensors.Missing && slices.Contains(covered(s["energy"].Source), gpusName)
}

// part is a cell of what has no reason of its own to be missing, or was not asked for: it is empty where it is not known.
func part(m datamodel.Metric) cell {
	if m.Provenance == sensors.Missing {
		return cell{}
	}
	return cellOf(m)
}

// energyRows is the energy and the power, their cells in a row being of the same parts of the machine. Processors and
// GPUs are shared out by different models, so where both are in the sum each has rows of its own below it, and what the
// command took of all is known where its share of both is.
func energyRows(r datamodel.Result, s map[string]datamodel.Metric, power cell) []row {
	all, gpus, share := s["energy"], s["gpu_energy"], s["target_energy"]
	machine := cellOf(all)
	if !machine.missing() {
		machine.note = strings.Join(nonEmpty(net(s["net_energy"]), strings.Join(covered(all.Source), " + ")), ", ")
	}
	cpu := whose{share, s["other_energy"], s["idle_energy"]}
	var parts []row
	switch {
	case !gpusSummed(s):
		parts = cpu.rows("  ")
	case len(covered(all.Source)) == 1:
		share = s["gpu_target_energy"]
		// The GPUs are all there is: what else takes energy was not measured.
		parts = append(whoseGPU(r).rows("  "), row{"energy beside the gpus", cell{}, cellOf(s["target_energy"])})
	default:
		rest := cellOf(less(all, gpus))
		rest.note = covered(all.Source)[0]
		label := "  cpus"
		if covered(all.Source)[0] == "psys" {
			label = "  platform"
		}
		parts = append(parts, row{label, part(share), rest})
		parts = append(parts, cpu.rows("    ")...)
		ofGPUs := cellOf(gpus)
		if t := counted(s); t > 0 {
			ofGPUs.note = units.Format(gpus.Value/t, units.Watt)
		}
		parts = append(parts, row{"  gpus", part(s["gpu_target_energy"]), ofGPUs})
		parts = append(parts, whoseGPU(r).rows("    ")...)
		share = plus(share, s["gpu_target_energy"])
	}
	command := cellOf(share)
	if c, ok := bound(all); ok {
		machine = c
		// What is true of the machine's energy is so of the command's, and of the power.
		if share.Reason == all.Reason {
			command = cell{}
		}
		if s["power"].Reason == all.Reason {
			power = cell{}
		}
	}
	out := append([]row{{"energy", command, machine}}, parts...)
	return append(out, row{"power", overTime(share, counted(s)), power})
}

// whose is what of an energy was the command's, that of others, and idling.
type whose struct{ target, other, idle datamodel.Metric }

// rows is what was not the command's.
func (w whose) rows(indent string) []row {
	return []row{{indent + "other", cell{}, part(w.other)}, {indent + "idle", cell{}, part(w.idle)}}
}

// whoseGPU is that of the GPUs' energy, of which only the command's part is in the summary. Nothing is no news.
func whoseGPU(r datamodel.Result) whose {
	of := func(name string) datamodel.Metric {
		if r.Tree != nil {
			if host := r.Tree.First(datamodel.HostLevel); host != nil {
				if m := settled(host.Metric(name)); m.Value > 0 {
					return m
				}
			}
		}
		return datamodel.Missing(name, units.Joule, notMeasured)
	}
	return whose{other: of("gpu_other_energy"), idle: of("gpu_idle_energy")}
}

// net is the energy less that of idling, as a note.
func net(m datamodel.Metric) string {
	if m.Provenance == sensors.Missing {
		return ""
	}
	return "net " + cellOf(m).value + " ≈"
}

// less is a sum without one of its parts, whose uncertainty is in its own; missing where one of the two is.
func less(sum, of datamodel.Metric) datamodel.Metric {
	if of.Provenance == sensors.Missing {
		return of
	}
	sum.Value -= of.Value
	if sum.Uncertainty -= of.Uncertainty; sum.Uncertainty < 0 {
		sum.Uncertainty = math.NaN()
	}
	return settled(sum)
}

// plus is two shares together; missing where one of them is.
func plus(a, b datamodel.Metric) datamodel.Metric {
	if a.Provenance == sensors.Missing {
		return a
	}
	if b.Provenance == sensors.Missing {
		return b
	}
	a.Value, a.Uncertainty = a.Value+b.Value, a.Uncertainty+b.Uncertainty
	return settled(a)
}

// counted is the time that the machine's energy is of, in s: not quite the wall time of the command, and of a short one much
// more. NaN where it is not known.
func counted(s map[string]datamodel.Metric) float64 { return s["energy"].Value / s["power"].Value }

// overTime is a share of the energy over the time that it is of, which is a share of the power, by the same model. It is no
// value of its own: where it is not known it is not missing either.
func overTime(share datamodel.Metric, t float64) cell {
	if !(t > 0) {
		return cell{}
	}
	share.Value, share.Unit, share.Uncertainty = share.Value/t, units.Watt, share.Uncertainty/t
	return part(settled(share))
}

// bound is the cell of an energy of which no more is known than what it was below: package datamodel says that in its reason,
// "less than 26.7 J: the counter did not move in 5.3 ms".
func bound(m datamodel.Metric) (cell, bool) {
	most, why, found := strings.Cut(printable(m.Reason), ": ")
	most, below := strings.CutPrefix(most, datamodel.Below)
	if m.Provenance != sensors.Missing || !found || !below {
		return cell{}, false
	}
	return cell{value: "< " + most, from: sensors.FromCounter, unit: m.Unit, note: why}, true
}
