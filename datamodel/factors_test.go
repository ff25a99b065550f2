package datamodel_test

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// spent is the summary of a run of 100 s that took 3.6 MJ, a quarter of it by the command.
func spent() map[string]datamodel.Metric {
	energy := datamodel.Value(datamodel.Energy, 3.6e6, units.Joule, "delta", sensors.FromCounter, "packages")
	energy.Uncertainty, energy.Parts = 36, []datamodel.Part{{Kind: datamodel.CPUPart, Name: "packages"}}
	return map[string]datamodel.Metric{
		datamodel.WallTime:        datamodel.Value(datamodel.WallTime, 100, units.Second, "delta", sensors.FromCounter, "clock"),
		datamodel.Energy:          energy,
		datamodel.TargetEnergy:    datamodel.Value(datamodel.TargetEnergy, 0.9e6, units.Joule, "share", sensors.Attributed, "model"),
		datamodel.GPUTargetEnergy: datamodel.Missing(datamodel.GPUTargetEnergy, units.Joule, "no GPU"),
	}
}

func derived(f datamodel.Factors, of map[string]datamodel.Metric) map[string]datamodel.Metric {
	out := make(map[string]datamodel.Metric)
	for _, m := range f.Derive(of) {
		out[m.Name] = m
	}
	return out
}

// given has all factors.
func given() datamodel.Factors {
	return datamodel.Factors{
		CarbonIntensity: new(250 / 3.6e6), Price: &datamodel.Price{Value: 0.3 / 3.6e6, Currency: "{EUR}"}, PUE: new(1.2), PowerOverhead: new(36000.0),
	}
}

// TestDerive computes carbon and cost by hand: 1 kWh at 250 g/kWh and PUE 1.2 is 300 g.
func TestDerive(t *testing.T) {
	near := func(m datamodel.Metric, want float64, unit units.Unit) {
		t.Helper()
		if math.Abs(m.Value-want) > 1e-9*want || m.Unit != unit || m.Reason != "" {
			t.Errorf("%s is %v %s (%s), want %v %s", m.Name, m.Value, m.Unit, m.Reason, want, unit)
		}
	}
	f := given()
	f.PowerOverhead = nil
	m := derived(f, spent())
	near(m[datamodel.Carbon], 300, "g")
	near(m[datamodel.TargetCarbon], 75, "g")
	near(m[datamodel.Cost], 0.36, "{EUR}")
	near(m[datamodel.TargetCost], 0.09, "{EUR}")
	if c := m[datamodel.Carbon]; c.Provenance != sensors.FromCounter || math.Abs(c.Uncertainty-0.003) > 1e-12 {
		t.Errorf("carbon is %s ± %v, want a counter ± 0.003", c.Provenance, c.Uncertainty)
	}
	if c := m[datamodel.TargetCarbon]; c.Provenance != sensors.Attributed || !math.IsNaN(c.Uncertainty) {
		t.Errorf("the command's carbon is %s ± %v", c.Provenance, c.Uncertainty)
	}

	// 36 kW for 100 s are as much as was measured, shared in the same way.
	m = derived(given(), spent())
	near(m[datamodel.OverheadEnergy], 3.6e6, "J")
	near(m[datamodel.Carbon], 600, "g")
	near(m[datamodel.TargetCarbon], 150, "g")
	near(m[datamodel.Cost], 0.72, "{EUR}")
	near(m[datamodel.TargetCost], 0.18, "{EUR}")
	if c := m[datamodel.Carbon]; c.Provenance != sensors.Estimated {
		t.Errorf("with an overhead, carbon is %s", c.Provenance)
	}

	// A zero that somebody gave is a factor, too.
	m = derived(datamodel.Factors{CarbonIntensity: new(0.0)}, spent())
	if c := m[datamodel.Carbon]; c.Value != 0 || c.Reason != "" {
		t.Errorf("%+v", c)
	}
}

// TestDeriveGPUs checks that the command's share has that of the GPUs if the energy has them, and is missing if one is.
func TestDeriveGPUs(t *testing.T) {
	of := spent()
	energy := of[datamodel.Energy]
	energy.Parts = append(energy.Parts, datamodel.Part{Kind: datamodel.GPUPart, Name: "GPUs"})
	of[datamodel.Energy] = energy
	if m := derived(given(), of)[datamodel.TargetCarbon]; m.Reason != "energy: no GPU" || !math.IsNaN(m.Value) {
		t.Errorf("without the GPUs' share: %+v", m)
	}
	of[datamodel.GPUTargetEnergy] = datamodel.Value(datamodel.GPUTargetEnergy, 0.9e6, units.Joule, "share", sensors.Attributed, "model")
	f := given()
	f.PowerOverhead = nil
	if m := derived(f, of)[datamodel.TargetCarbon]; math.Abs(m.Value-150) > 1e-9 {
		t.Errorf("with the GPUs' share: %+v", m)
	}
	energy.Parts = energy.Parts[1:]
	of[datamodel.Energy], of[datamodel.TargetEnergy] = energy, datamodel.Missing(datamodel.TargetEnergy, units.Joule, "no package")
	if m := derived(f, of)[datamodel.TargetCarbon]; math.Abs(m.Value-75) > 1e-9 {
		t.Errorf("of the GPUs alone: %+v", m)
	}
}

// TestDeriveMissing checks that there is no number without a factor or an energy, and that bounds stay bounds.
func TestDeriveMissing(t *testing.T) {
	for name, m := range derived(datamodel.Factors{PUE: new(1.3)}, spent()) {
		if !math.IsNaN(m.Value) || m.Provenance != sensors.Missing || !strings.Contains(m.Reason, "was given (--") {
			t.Errorf("without a factor, %s is %+v", name, m)
		}
	}
	of := spent()
	of[datamodel.Energy] = datamodel.Missing(datamodel.Energy, units.Joule, "no powercap")
	of[datamodel.TargetEnergy] = datamodel.Missing(datamodel.TargetEnergy, units.Joule, "no powercap")
	m := derived(given(), of)
	if c := m[datamodel.Carbon]; !math.IsNaN(c.Value) || c.Reason != "energy: no powercap" || !math.IsNaN(c.AtMost) {
		t.Errorf("without energy: %+v", c)
	}
	if c := m[datamodel.OverheadEnergy]; c.Value != 3.6e6 {
		t.Errorf("the overhead without energy: %+v", c)
	}

	still := of[datamodel.Energy]
	still.AtMost = 3.6e6
	of[datamodel.Energy] = still
	if c := derived(given(), of)[datamodel.Carbon]; !math.IsNaN(c.Value) || math.Abs(c.AtMost-600) > 1e-9 {
		t.Errorf("of an energy below 3.6 MJ: %+v, want at most 600 g", c)
	}

	of = spent()
	of[datamodel.Energy] = of[datamodel.Energy].Least(7.2e6)
	of[datamodel.TargetEnergy] = of[datamodel.TargetEnergy].Least(math.NaN())
	m = derived(given(), of)
	if c := m[datamodel.Carbon]; c.Bound != datamodel.LowerBound || math.Abs(c.AtMost-900) > 1e-9 || math.Abs(c.Value-600) > 1e-9 {
		t.Errorf("of a lower bound: %+v", c)
	}
	if c := m[datamodel.TargetCost]; c.Bound != datamodel.LowerBound || !math.IsNaN(c.AtMost) {
		t.Errorf("of a lower bound: %+v", c)
	}

	of = spent()
	of[datamodel.WallTime] = of[datamodel.WallTime].Least(math.NaN())
	m = derived(given(), of)
	if o, c := m[datamodel.OverheadEnergy], m[datamodel.Carbon]; o.Bound != datamodel.LowerBound || c.Bound != datamodel.LowerBound {
		t.Errorf("of an unseen end: %+v, %+v", o, c)
	}

	of = spent()
	zero := of[datamodel.Energy]
	zero.Value = 0
	of[datamodel.Energy] = zero
	for name, m := range derived(given(), of) {
		if math.IsInf(m.Value, 0) || math.IsNaN(m.Value) && m.Reason == "" {
			t.Errorf("of 0 J, %s is %+v", name, m)
		}
	}
}

func TestOver(t *testing.T) {
	all := given()
	if got := (datamodel.Factors{PUE: new(1.1)}).Over(all); *got.PUE != 1.1 || got.Price != all.Price || got.PowerOverhead != all.PowerOverhead {
		t.Errorf("%+v", got)
	}
}
