package main

import (
	"fmt"
	"strconv"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// factorTable lists the options of the factors for carbon and cost, bound to f.
func factorTable(f *datamodel.Factors) table {
	return table{
		{
			name: "carbon-intensity", group: forEnergy, value: intensity{&f.CarbonIntensity},
			usage: "also show the CO2 equivalent of the energy, given the intensity of the `GRID`: 230g/kWh",
		},
		{name: "price", group: forEnergy, usage: "also show the cost of the energy at this `PRICE`: 0.30EUR/kWh", value: price{&f.Price}},
		{
			name: "pue", group: forEnergy, value: pue{&f.PUE},
			usage: "multiply carbon and cost by the power usage effectiveness of the facility: `NUMBER`, such as 1.3",
		},
		{
			name: "power-overhead", group: forEnergy, value: overhead{&f.PowerOverhead},
			usage: "add this `POWER` of parts without a sensor to carbon and cost, over the wall time: 50W",
		},
	}
}

// isFactor reports whether an option is one of factorTable.
func isFactor(o *option) bool {
	switch o.value.(type) {
	case intensity, price, pue, overhead:
		return true
	}
	return false
}

// splitFactors splits factors into those of the command line and the others.
func splitFactors(options table, f datamodel.Factors) (given, others datamodel.Factors) {
	for _, o := range options {
		to := &others
		if o.from.kind == commandLine {
			to = &given
		}
		switch o.value.(type) {
		case intensity:
			to.CarbonIntensity = f.CarbonIntensity
		case price:
			to.Price = f.Price
		case pue:
			to.PUE = f.PUE
		case overhead:
			to.PowerOverhead = f.PowerOverhead
		}
	}
	return given, others
}

// intensity is a mass of CO2 equivalent per energy.
type intensity struct{ to **float64 }

func (v intensity) Set(given string) error {
	g, err := units.ParseIntensity(given)
	if err != nil {
		return fmt.Errorf("invalid value %q (a mass per energy: 230g/kWh, 0.23kg/kWh)", given)
	}
	*v.to = &g
	return nil
}

func (v intensity) String() string { return "" }

func (v intensity) Current() string {
	if *v.to == nil {
		return ""
	}
	return units.FormatPerKWh(**v.to, units.Gram)
}

// price is an amount of money per energy.
type price struct{ to **datamodel.Price }

func (v price) Set(given string) error {
	amount, currency, err := units.ParsePrice(given)
	if err != nil {
		return fmt.Errorf("invalid value %q (an amount with its currency per energy: 0.30EUR/kWh, 300USD/MWh)", given)
	}
	*v.to = &datamodel.Price{Value: amount, Currency: currency}
	return nil
}

func (v price) String() string { return "" }

func (v price) Current() string {
	if *v.to == nil {
		return ""
	}
	return units.FormatPerKWh((*v.to).Value, (*v.to).Currency)
}

// pue is a power usage effectiveness.
type pue struct{ to **float64 }

func (v pue) Set(given string) error {
	const most = 100
	n, err := strconv.ParseFloat(given, 64)
	switch {
	case err != nil:
		return fmt.Errorf("invalid value %q (a number without a unit: 1.3)", given)
	case !(n >= 1 && n <= most):
		return fmt.Errorf("%s is out of range (1 to %d: the facility's energy divided by that of its computers)", given, most)
	}
	*v.to = &n
	return nil
}

func (v pue) String() string { return "" }

func (v pue) Current() string {
	if *v.to == nil {
		return ""
	}
	return strconv.FormatFloat(**v.to, 'g', -1, 64)
}

// overhead is a power of parts that no sensor measures.
type overhead struct{ to **float64 }

func (v overhead) Set(given string) error {
	w, err := units.Parse(given, units.Watt)
	if err != nil || w < 0 {
		return fmt.Errorf("invalid value %q (a power with its unit: 50W, 1.2kW)", given)
	}
	*v.to = &w
	return nil
}

func (v overhead) String() string { return "" }

func (v overhead) Current() string {
	if *v.to == nil {
		return ""
	}
	return strconv.FormatFloat(**v.to, 'g', -1, 64) + "W"
}
