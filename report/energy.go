package report

import (
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// partNames names what an energy is made of: "packages + dram", "GPUs".
func partNames(m datamodel.Metric) []string {
	var names []string
	for _, p := range m.Parts {
		names = append(names, printable(p.Name))
	}
	return names
}

// gpusSummed says whether the energy of GPUs is in that of the machine.
func gpusSummed(s map[string]datamodel.Metric) bool {
	return s[datamodel.GPUEnergy].Provenance != sensors.Missing && s[datamodel.Energy].HasPart(datamodel.GPUPart)
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
	all, gpus, share := s[datamodel.Energy], s[datamodel.GPUEnergy], s[datamodel.TargetEnergy]
	machine := cellOf(all)
	if !machine.missing() {
		machine.note = strings.Join(nonEmpty(net(s[datamodel.NetEnergy]), strings.Join(partNames(all), " + ")), ", ")
	}
	cpu := whose{share, s[datamodel.OtherEnergy], s[datamodel.IdleEnergy]}
	var parts []row
	switch {
	case !gpusSummed(s):
		parts = cpu.rows(1)
	case len(all.Parts) == 1:
		share = s[datamodel.GPUTargetEnergy]
		// The GPUs are all there is: what else takes energy was not measured.
		parts = append(whoseGPU(r).rows(1), row{"energy beside the gpus", 0, cell{}, cellOf(s[datamodel.TargetEnergy])})
	default:
		rest := cellOf(less(all, gpus))
		rest.note = partNames(all)[0]
		label := "cpus"
		if all.HasPart(datamodel.PlatformPart) {
			label = "platform"
		}
		parts = append(parts, row{label, 1, part(share), rest})
		parts = append(parts, cpu.rows(2)...)
		ofGPUs := cellOf(gpus)
		if t := counted(s); t > 0 {
			ofGPUs.note = units.Format(gpus.Value/t, units.Watt)
		}
		parts = append(parts, row{"gpus", 1, part(s[datamodel.GPUTargetEnergy]), ofGPUs})
		parts = append(parts, whoseGPU(r).rows(2)...)
		share = plus(share, s[datamodel.GPUTargetEnergy])
	}
	command := cellOf(share)
	if c, ok := bound(all); ok {
		// What is true of the machine's energy is so of the command's, and of the power.
		machine, command, power = c, cell{}, cell{}
	}
	out := append([]row{line(datamodel.Energy, command, machine)}, parts...)
	return append(out, line(datamodel.Power, overTime(share, counted(s)), power))
}

// whose is what of an energy was the command's, that of others, and idling.
type whose struct{ target, other, idle datamodel.Metric }

// rows is what was not the command's.
func (w whose) rows(depth int) []row {
	return []row{{"other", depth, cell{}, part(w.other)}, {"idle", depth, cell{}, part(w.idle)}}
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
		return datamodel.Missing(name, units.Joule, "")
	}
	return whose{other: of(datamodel.GPUOtherEnergy), idle: of(datamodel.GPUIdleEnergy)}
}

// net is the energy less that of idling, as a note.
func net(m datamodel.Metric) string {
	if m.Provenance == sensors.Missing {
		return ""
	}
	return "net " + cellOf(m).value.String() + " ≈"
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
func counted(s map[string]datamodel.Metric) float64 {
	return s[datamodel.Energy].Value / s[datamodel.Power].Value
}

// overTime is a share of the energy over the time that it is of, which is a share of the power, by the same model. It is no
// value of its own: where it is not known it is not missing either.
func overTime(share datamodel.Metric, t float64) cell {
	if !(t > 0) {
		return cell{}
	}
	share.Value, share.Unit, share.Uncertainty = share.Value/t, units.Watt, share.Uncertainty/t
	return part(settled(share))
}

// bound returns the cell of a missing energy whose upper bound is known: "< 26.7 J". It returns false if there is no bound.
func bound(m datamodel.Metric) (cell, bool) {
	if m.Provenance != sensors.Missing || !(m.AtMost > 0) {
		return cell{}, false
	}
	value := units.TextOf(m.AtMost, m.Unit)
	value.Number = "< " + value.Number
	return cell{value: value, from: sensors.FromCounter, unit: m.Unit, note: printable(m.Reason)}, true
}
