package report_test

import (
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestEstimateIsShownAsOne tests that an estimate has its mark and its range, and that the energy is still listed as missing.
// If no estimate could be made, the report has the reason.
func TestEstimateIsShownAsOne(t *testing.T) {
	r := vm()
	r.Run.Estimate = true
	node := r.Tree.First(datamodel.RunLevel)
	set := func(name string, v float64) {
		m := datamodel.Value(name, v, units.Joule, "estimate", sensors.Estimated, "no sensor: 8.75 W rated")
		m.Min, m.Max, m.Uncertainty = v/2.87, v/0.34, v/0.34-v
		for i := range node.Metrics {
			if node.Metrics[i].Name == name {
				node.Metrics[i] = m
				return
			}
		}
		node.Metrics = append(node.Metrics, m)
	}
	set("estimated_energy", 120)
	set("estimated_target_energy", 60)
	text := render(t, "long", r, report.Options{Unicode: true})
	for _, want := range []string{
		"  estimated       60.0 J   ?  20.9 J to 176 J", "120 J   ?  41.8 J to 353 J", "? estimated, no sensor", "energy, power (no powercap in this kernel)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	node.Metrics = nil
	for _, name := range []string{"estimated_energy", "estimated_target_energy"} {
		node.Metrics = append(node.Metrics, datamodel.Missing(name, units.Joule, "no rated power is known for it"))
	}
	if text := render(t, "markdown", r, report.Options{}); !strings.Contains(text, "no rated power is known for it") {
		t.Errorf("the reason is not in\n%s", text)
	}
	r.Run.Estimate = false
	if text := render(t, "markdown", r, report.Options{}); strings.Contains(text, "estimated") {
		t.Errorf("nobody asked for an estimate, but it is listed as missing in\n%s", text)
	}
}
