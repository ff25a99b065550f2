package report

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
)

// TestBenchNotes checks what is said of short commands and of coarse counters, without a batch and with one.
func TestBenchNotes(t *testing.T) {
	energy := datamodel.Value(datamodel.Energy, 0.02, "J", "", "counter", "test")
	energy.Uncertainty = 0.008
	wall := datamodel.Value(datamodel.WallTime, 0.0004, "s", "", "counter", "test")
	memory := datamodel.Value(datamodel.PeakMemory, 4096, "By", "", "counter", "test")
	b := datamodel.Bench{Ended: datamodel.BenchComplete, Commands: []datamodel.BenchCommand{{Name: "one"}}}
	for i := range 8 {
		b.Rounds = append(b.Rounds, datamodel.Round{Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{wall, energy, memory}})
	}
	said := func(b datamodel.Bench) string {
		rule := compare.Rule{Confidence: 0.95}
		made := Bench{Bench: b, Sides: rule.Sides(b, []string{datamodel.WallTime, datamodel.Energy, datamodel.PeakMemory}, true)}
		var all []string
		for _, n := range made.notes(made.Sides[0]) {
			all = append(all, n.Subject+": "+n.Text)
		}
		return strings.Join(all, "\n")
	}
	want := "short: 400 µs is mostly the start of a process: let one execution do more, or see what 100 of them take (--batch 100)\n" +
		"resolution: energy, machine: the counter moves in steps, so a round is known to ± 40.0 % (--batch 40 gives ± 1.00 %)"
	if got := said(b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	each := b.Rounds[0].Each(40)
	if each.Metric(datamodel.Energy).Value != 0.0005 || each.Metric(datamodel.Energy).Uncertainty != 0.0002 || each.Metric(datamodel.WallTime).Value != 1e-5 ||
		each.Metric(datamodel.PeakMemory).Value != 4096 || b.Rounds[0].Metric(datamodel.Energy).Value != 0.02 || !math.IsNaN(each.Metric(datamodel.WallTime).Uncertainty) {
		t.Errorf("%+v", each)
	}
	// A batch of 40 takes 40 times the energy, and the counter is off by as much as before.
	b.Batch = 40
	for i := range b.Rounds {
		longer := energy
		longer.Value *= 40
		b.Rounds[i].Metrics = []datamodel.Metric{wall, longer, memory}
		b.Rounds[i] = b.Rounds[i].Each(40)
	}
	if got := said(b); got != "" {
		t.Errorf("a batch: %s", got)
	}
}
