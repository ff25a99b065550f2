package report

import (
	"cmp"
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// partNames returns the names of the parts that an energy sums: "packages + dram", "GPUs".
func partNames(m datamodel.Metric) []string {
	var names []string
	for _, p := range m.Parts {
		names = append(names, printable(p.Name))
	}
	return names
}

// gpusSummed reports whether the energy of the machine includes the energy of GPUs.
func gpusSummed(s map[string]datamodel.Metric) bool {
	return s[datamodel.GPUEnergy].Provenance != sensors.Missing && s[datamodel.Energy].HasPart(datamodel.GPUPart)
}

// part returns the cell of a metric, or an empty cell if it is missing. It serves metrics whose absence needs no reason in
// the report, because another metric has it or because nobody asked for them.
func part(m datamodel.Metric) cell {
	if m.Provenance == sensors.Missing {
		return cell{}
	}
	return cellOf(m)
}

// energyRows returns the rows of energy and power. The two cells of a row always cover the same parts of the machine. CPUs
// and GPUs are shared out by different models. If the sum includes both, each has its own rows below it. Then the command's
// share of the sum is known only if both of its shares are.
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
		// Only the GPUs were measured.
		parts = append(whoseGPU(r).rows(1), row{"energy outside the gpus", 0, cell{}, cellOf(s[datamodel.TargetEnergy])})
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
		// The command's energy and the power have no better bound than the machine's energy.
		machine, command, power = c, cell{}, cell{}
	}
	if vague(all) { // so are its parts and the power
		machine.note = strings.Join(nonEmpty("at most "+units.Format(all.Most(), all.Unit), machine.note), ", ")
		return []row{line(datamodel.Energy, cell{}, machine)}
	}
	out := append([]row{line(datamodel.Energy, command, machine)}, parts...)
	return append(out, line(datamodel.Power, overTime(share, counted(s)), power))
}

// whose splits an energy into the shares of the command, of others and of idling.
type whose struct{ target, other, idle datamodel.Metric }

// rows returns the rows of the shares that are not the command's.
func (w whose) rows(depth int) []row {
	return []row{{"other", depth, cell{}, part(w.other)}, {"idle", depth, cell{}, part(w.idle)}}
}

// whoseGPU returns the shares of others and of idling in the GPUs' energy. They come from the tree, because the summary has
// only the command's share. A share of 0 gets no row.
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

// vague reports whether an energy is not above its uncertainty. Then no digit of it is known.
func vague(m datamodel.Metric) bool {
	return m.Bound == "" && m.Provenance != sensors.Missing && m.Uncertainty >= math.Abs(m.Value)
}

// net returns the energy without the idle energy, as a note.
func net(m datamodel.Metric) string {
	if m.Provenance == sensors.Missing || vague(m) {
		return ""
	}
	return "net " + cellOf(m).value.String() + " ≈"
}

// less returns a sum without one of its parts. The uncertainty of the sum includes the uncertainty of the part. The result
// is missing if one of the two is.
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

// plus returns the sum of two shares. It is missing if one of them is.
func plus(a, b datamodel.Metric) datamodel.Metric {
	if a.Provenance == sensors.Missing {
		return a
	}
	if b.Provenance == sensors.Missing {
		return b
	}
	a.Value, a.Uncertainty, a.AtMost = a.Value+b.Value, a.Uncertainty+b.Uncertainty, math.NaN()
	a.Bound = cmp.Or(a.Bound, b.Bound)
	return settled(a)
}

// counted returns the time in s over which the machine's energy was counted, or NaN if it is unknown. It differs a little
// from the wall time of the command. For a short command it is much longer.
func counted(s map[string]datamodel.Metric) float64 {
	return s[datamodel.Energy].Value / s[datamodel.Power].Value
}

// overTime divides a share of the energy by its time t, in s. The result is a share of the power by the same model. It is
// derived only for this row, so the cell is empty and not missing if it is unknown.
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
