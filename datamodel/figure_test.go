package datamodel

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// In the manifest, a missing value of the summary is null with its reason, never 0.
func TestFigures(t *testing.T) {
	energy := Value(Energy, 12.5, "J", "sum", sensors.FromCounter, "packages")
	energy.Uncertainty = 0.25
	text, err := json.Marshal(Figures([]Metric{energy, Missing(Power, "W", "no meter"), Value(CPUTime, math.Inf(1), "s", "delta", sensors.FromCounter, "x")}))
	const want = `{"cpu_time":{"value":null,"unit":"s","provenance":"counter"},` +
		`"energy":{"value":12.5,"unit":"J","provenance":"counter","uncertainty":0.25},` +
		`"power":{"value":null,"unit":"W","provenance":"missing","reason":"no meter"}}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}
