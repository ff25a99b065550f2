package report

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
)

func someNoise() Noise {
	wall, _ := datamodel.Lookup(datamodel.WallTime)
	energy, _ := datamodel.Lookup(datamodel.Energy)
	nan := math.NaN()
	return Noise{
		Rule: compare.Rule{Confidence: 0.95}, Took: 30 * time.Second, Measured: 180, Busy: nan, Stolen: nan, Heated: nan,
		Loads: []NoiseLoad{{"cpu", "arithmetic", 90, []compare.Noise{
			{Metric: wall, N: 90, Median: 0.1, Variation: 0.02, Drift: 0.001, Verdict: compare.Unchanged},
			{Metric: energy, N: 1, Median: 3, Variation: nan, Drift: nan, Verdict: compare.Inconclusive},
		}}},
	}
}

func TestNoiseText(t *testing.T) {
	text := func(n Noise) string {
		var b strings.Builder
		if err := n.Write(&b, "text", Options{Unicode: true}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if size := len([]rune(strings.TrimRight(line, "\n"))); size > wide {
				t.Errorf("a line has %d characters: %s", size, line)
			}
		}
		return b.String()
	}
	calm := text(someNoise())
	for _, want := range []string{"180 rounds in 30.0 s", "wall time         100 ms     2.00 %     +0.1 %         70     20      6      6", "–          –               –      –", "Nothing was seen"} {
		if !strings.Contains(calm, want) {
			t.Errorf("%q is missing in\n%s", want, calm)
		}
	}
	n := someNoise()
	on := true
	n.Busy, n.Stolen, n.Heated = 1.5, 0.2, 12
	n.Host.Scaling.Governor, n.Host.Scaling.Turbo, n.Host.Virtualization, n.Host.Limits.Quota = "powersave", &on, "kvm", 1.5
	n.Conditions = []compare.Condition{{Subject: "other_load", Rounds: 7}, {Subject: datamodel.NotIdle, Rounds: 1}}
	n.Loads[0].Metrics[0].Drift, n.Loads[0].Metrics[0].Verdict = -0.1, compare.Improved
	noisy := text(n)
	for _, want := range []string{
		"gave 20.0 % of a processor", "kept 1.5 processors busy", "other load was seen in 7 of 180 rounds", "governor is powersave", "Turbo is on", "12 °C warmer",
		"to 1.5 processors", "machine is virtual", "drifted: wall time of the load cpu -10 %", "wall time of the load cpu improved",
	} {
		if !strings.Contains(strings.Join(strings.Fields(noisy), " "), want) {
			t.Errorf("%q is missing in\n%s", want, noisy)
		}
	}
	var out struct {
		Busy  float64 `json:"busy_before"`
		Loads []struct {
			Metrics []struct {
				Variation *float64
				Needed    []struct{ Rounds *int } `json:"rounds_needed"`
			}
		}
		Disturbances []Disturbance
	}
	var b strings.Builder
	if err := n.Write(&b, "json", Options{}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b.String()), &out); err != nil || out.Busy != 1.5 || len(out.Disturbances) != 10 {
		t.Fatalf("%v, %d disturbances: %s", err, len(out.Disturbances), b.String())
	}
	if m := out.Loads[0].Metrics; *m[0].Needed[0].Rounds != 70 || m[1].Variation != nil || m[1].Needed[0].Rounds != nil {
		t.Errorf("%s", b.String())
	}
}
