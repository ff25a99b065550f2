package datamodel

import (
	"cmp"
	"math"
	"strconv"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Factors are numbers that somebody gave, and from which the carbon and the cost of an energy follow. Ergon knows none by
// itself. A nil field means that nobody gave it.
type Factors struct {
	// CarbonIntensity is the mass of CO2 equivalent per energy, in g/J.
	CarbonIntensity *float64 `json:"carbon_intensity,omitempty"`
	// Price is the cost of energy.
	Price *Price `json:"price,omitempty"`
	// PUE is the power usage effectiveness: the energy of the whole facility divided by the energy of its computers.
	PUE *float64 `json:"pue,omitempty"`
	// PowerOverhead is the power of the parts of the machine that no sensor measures, in W.
	PowerOverhead *float64 `json:"power_overhead,omitempty"`
}

// Price is an amount of money per energy.
type Price struct {
	// Value is the amount per joule.
	Value float64 `json:"value"`
	// Currency is the unit of the amount, such as "{EUR}".
	Currency units.Unit `json:"currency"`
}

// Over returns f, with the fields of below if f lacks them.
func (f Factors) Over(below Factors) Factors {
	return Factors{
		CarbonIntensity: cmp.Or(f.CarbonIntensity, below.CarbonIntensity), Price: cmp.Or(f.Price, below.Price),
		PUE: cmp.Or(f.PUE, below.PUE), PowerOverhead: cmp.Or(f.PowerOverhead, below.PowerOverhead),
	}
}

// Derive returns the metrics that follow from the metrics of a summary and the factors, in the order of the catalogue.
//
// The facility's energy is (energy + overhead) × PUE. The overhead is shared as the measured energy is, so the command's
// part of it is overhead × the command's share / energy.
func (f Factors) Derive(of map[string]Metric) []Metric {
	overhead, energy := f.overhead(of), of[Energy]
	share := commandShare(of)
	machine, command := energy, share
	if f.PowerOverhead != nil {
		machine, command = withOverhead(energy, overhead, 1), withOverhead(share, overhead, share.Value/energy.Value)
	}
	pue, by := 1.0, ""
	if f.PUE != nil {
		pue, by = *f.PUE, " × PUE "+strconv.FormatFloat(*f.PUE, 'g', -1, 64)
	}
	what := "energy × "
	if f.PowerOverhead != nil {
		what = "(energy + overhead) × "
	}
	const why = "no factor was given"
	out := []Metric{overhead}
	if g := f.CarbonIntensity; g == nil {
		out = append(out, Missing(Carbon, units.Gram, why+" (--carbon-intensity)"), Missing(TargetCarbon, units.Gram, why+" (--carbon-intensity)"))
	} else {
		source := what + units.FormatPerKWh(*g, units.Gram) + by
		out = append(out, machine.times(Carbon, *g*pue, units.Gram, source), command.times(TargetCarbon, *g*pue, units.Gram, source))
	}
	if p := f.Price; p == nil {
		out = append(out, Missing(Cost, units.AnyCurrency, why+" (--price)"), Missing(TargetCost, units.AnyCurrency, why+" (--price)"))
	} else {
		source := what + units.FormatPerKWh(p.Value, p.Currency) + by
		out = append(out, machine.times(Cost, p.Value*pue, p.Currency, source), command.times(TargetCost, p.Value*pue, p.Currency, source))
	}
	return out
}

// overhead returns the energy of the given power over the wall time.
func (f Factors) overhead(of map[string]Metric) Metric {
	wall := of[WallTime]
	switch {
	case f.PowerOverhead == nil:
		return Missing(OverheadEnergy, units.Joule, "no power was given (--power-overhead)")
	case wall.Provenance == sensors.Missing:
		return Missing(OverheadEnergy, units.Joule, "wall time: "+cmp.Or(wall.Reason, "not measured"))
	}
	m := Value(OverheadEnergy, *f.PowerOverhead*wall.Value, units.Joule, "product", sensors.Estimated, units.Format(*f.PowerOverhead, units.Watt)+" × wall time")
	m.Bound, m.AtMost = wall.Bound, Finite(wall.AtMost**f.PowerOverhead)
	return m.WithValue(m.Value)
}

// commandShare returns the command's share of all energy that was measured. If GPUs are part of it, their share must be
// known as well.
func commandShare(of map[string]Metric) Metric {
	energy, cpus, gpus := of[Energy], of[TargetEnergy], of[GPUTargetEnergy]
	switch {
	case energy.Provenance == sensors.Missing, !energy.HasPart(GPUPart):
		return cpus
	case len(energy.Parts) == 1:
		return gpus
	case cpus.Provenance == sensors.Missing:
		return cpus
	case gpus.Provenance == sensors.Missing:
		return gpus
	}
	return Total(TargetEnergy, units.Joule, []Metric{cpus, gpus}, cpus.Source+" + "+gpus.Source)
}

// withOverhead adds a part of the overhead to an energy. The sum is missing if one of the two is.
func withOverhead(energy, overhead Metric, part float64) Metric {
	switch {
	case energy.Provenance == sensors.Missing:
		energy.AtMost += overhead.Most() * part
		return energy
	case overhead.Provenance == sensors.Missing:
		return overhead
	case math.IsNaN(part) || math.IsInf(part, 0): // an energy of 0 J, or no energy of the machine
		return energy.Lacking("the share of the overhead is unknown")
	}
	overhead.Value *= part
	overhead.AtMost *= part
	overhead.Uncertainty = 0 // it is what was said
	parts := energy.Parts
	sum := Total(energy.Name, energy.Unit, []Metric{energy, overhead}, energy.Source)
	sum.Parts = parts
	return sum
}

// times returns the metric multiplied by a factor, under another name. What holds for the energy holds for the product: its
// provenance, its uncertainty, its bound, and why it is missing.
func (m Metric) times(name string, factor float64, unit units.Unit, source string) Metric {
	out := m
	out.Name, out.Unit, out.Aggregation, out.Source = name, unit, "product", source
	out.Value, out.Uncertainty, out.AtMost = m.Value*factor, m.Uncertainty*factor, Finite(m.AtMost*factor)
	nan := math.NaN()
	out.Min, out.Max, out.Mean, out.Std = nan, nan, nan, nan
	if m.Provenance == sensors.Missing {
		out.Source, out.Reason = "", "energy: "+cmp.Or(m.Reason, "not measured")
		return out
	}
	return out.WithValue(out.Value)
}
