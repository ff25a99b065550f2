package report

import (
	"strconv"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// given formats the factors of a carbon or cost for people: "at 230 g/kWh × PUE 1.3 with overhead". first is the intensity or
// the price.
func given(f datamodel.Factors, first string) string {
	s := "at " + first
	if f.PUE != nil {
		s += " × PUE " + strconv.FormatFloat(*f.PUE, 'g', -1, 64)
	}
	if f.PowerOverhead != nil {
		s += " with overhead"
	}
	return s
}

// priced is a carbon or a cost: its metrics of the command and of the machine, and the factors as text.
type priced struct {
	command, machine string
	factors          string
}

// pricedOf lists what somebody gave a factor for.
func pricedOf(f datamodel.Factors) []priced {
	var out []priced
	if g := f.CarbonIntensity; g != nil {
		out = append(out, priced{datamodel.TargetCarbon, datamodel.Carbon, given(f, units.FormatPerKWh(*g, units.Gram))})
	}
	if p := f.Price; p != nil {
		out = append(out, priced{datamodel.TargetCost, datamodel.Cost, given(f, units.FormatPerKWh(p.Value, p.Currency))})
	}
	return out
}

// overheadNote says how the overhead was made, and who has which part of it.
func overheadNote(f datamodel.Factors, wall datamodel.Metric) string {
	return units.Format(*f.PowerOverhead, units.Watt) + " × " + textOf(wall).String() + ", shared as the energy is"
}

// factorRows returns the rows of the overhead, of carbon and of cost, if somebody gave the factors. The factors stand beside the
// machine's figure, or beside the command's if the machine has none.
func factorRows(r datamodel.Result, s map[string]datamodel.Metric) []row {
	var out []row
	f := r.Run.Factors
	if f.PowerOverhead != nil {
		c := cellOf(s[datamodel.OverheadEnergy])
		if !c.missing() {
			c.note = overheadNote(f, s[datamodel.WallTime])
		}
		out = append(out, line(datamodel.OverheadEnergy, cell{}, c))
	}
	for _, p := range pricedOf(f) {
		command, machine := part(s[p.command]), cellOf(s[p.machine])
		if c, ok := bound(s[p.machine]); ok {
			command, machine = cell{}, c
			machine.note = p.factors + ", " + machine.note
		} else if !machine.missing() {
			machine.note = p.factors
		}
		if all := s[p.machine]; vague(all) {
			command, machine.note = cell{}, "at most "+units.Format(all.Most(), all.Unit)+", "+p.factors
		}
		out = append(out, line(p.machine, command, machine))
	}
	return out
}

// factorItems returns the rows of the short summary for the overhead, carbon and cost. A figure is the command's, or the
// machine's if the command's is unknown.
func factorItems(r datamodel.Result, s map[string]datamodel.Metric) []*item {
	var out []*item
	f := r.Run.Factors
	if m := s[datamodel.OverheadEnergy]; m.Provenance != sensors.Missing && s[datamodel.Energy].Provenance != sensors.Missing && len(pricedOf(f)) > 0 {
		out = append(out, figured("overhead", cellOf(m), overheadNote(f, s[datamodel.WallTime])))
	}
	for _, p := range pricedOf(f) {
		share, all := s[p.command], s[p.machine]
		d, _ := datamodel.Lookup(p.machine)
		switch c, bounded := bound(all); {
		case bounded:
			out = append(out, figured(d.Label, c, p.factors, " · of the machine"))
		case all.Provenance == sensors.Missing:
		case vague(all):
			out = append(out, figured(d.Label, cellOf(all), p.factors, " · at most "+units.Format(all.Most(), all.Unit)))
		case share.Provenance == sensors.Missing || vague(share):
			out = append(out, figured(d.Label, cellOf(all), p.factors, " · of the machine"))
		default:
			out = append(out, figured(d.Label, cellOf(share), p.factors, " · machine "+cellOf(all).value.String()))
		}
	}
	return out
}
