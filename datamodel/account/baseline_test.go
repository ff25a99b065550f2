package account

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

func TestBaselineOf(t *testing.T) {
	start := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	idle := append(procStat(0.1, 0.1, 19.8, 0, 10*sec),
		line(zone("package-0"), 5, 205, 10*sec), line(zone("package-0/dram"), 0, 30, 10*sec), line(zone("psys"), 0, 900, 10*sec),
		line(watts(), 50, 50, 10*sec),
	)
	b := BaselineOf(idle, start, nil)
	if b.Reason != "" || b.Cover != "packages + dram" || !isNear(b.Power, 23, 1e-12) || b.Spread > 1e-9 || b.Duration != 10 ||
		!b.Start.Equal(start) || b.Busy == nil || !isNear(*b.Busy, 0.01, 1e-12) {
		t.Errorf("%+v", b)
	}
	uneven := BaselineOf([]*series.Series{seriesOf(zone("package-0"), every(sec, 3), []float64{1, 11, 41})}, start, nil)
	if !isNear(uneven.Power, 20, 1e-12) || !isNear(uneven.Spread, 10, 1e-12) || uneven.Busy != nil {
		t.Errorf("%+v", uneven)
	}
	absent := []sensors.Absence{{ID: "rapl", Reason: "no powercap in this kernel"}}
	for want, list := range map[string][]*series.Series{
		"no powercap in this kernel": {line(bytesRead(), 50, 50, sec)},
		"did not move":               {line(zone("package-0"), 5, 5, sec)},
		"only one reading":           {seriesOf(zone("package-0"), []time.Duration{sec}, []float64{1})},
	} {
		if b := BaselineOf(list, start, absent); !strings.Contains(b.Reason, want) || b.Power != 0 {
			t.Errorf("%+v, want %q", b, want)
		}
	}
	card := BaselineOf([]*series.Series{line(watts(), 50, 50, sec)}, start, absent)
	if card.Reason != "" || card.Power != 0 || card.GPUs["GPU-1"] != 50 || card.Duration != 1 {
		t.Errorf("of a GPU alone: %+v", card)
	}
	if twice := card.And(BaselineOf([]*series.Series{line(watts(), 60, 60, sec)}, start, nil)); twice.GPUs["GPU-1"] != 55 {
		t.Errorf("before and after: %+v", twice)
	}
	if _, err := json.Marshal(b.And(uneven)); err != nil {
		t.Error(err)
	}
}

func TestBaselineBeforeAndAfter(t *testing.T) {
	of := func(power, spread, busy float64) datamodel.Baseline {
		return datamodel.Baseline{Cover: "packages", Power: power, Spread: spread, Duration: 10, Busy: &busy}
	}
	psys := of(30, 0, 0)
	psys.Cover = "psys"
	for _, c := range []struct {
		name         string
		base         datamodel.Baseline
		power        float64
		warning, not string
	}{
		{"alike", of(30, 0.5, 0.01).And(of(30.4, 0.5, 0.01)), 30.2, "", "baseline"},
		{"steady and alike to a hundredth", of(30, 0, 0).And(of(30.2, 0, 0)), 30.1, "", "baseline"},
		{"above 5 %", of(30, 9, 0).And(of(32, 9, 0)), 31, "drifted from 30.0 W before the command to 32.0 W", "busy"},
		{"above the spread", of(30, 0.1, 0).And(of(30.9, 0.1, 0)), 30.45, "drifted", "busy"},
		{"busy", of(30, 0.5, 0.08), 30, "8.00 % of its CPUs", "drifted"},
		{"one CPU of many busy", of(30, 0.5, 0.03), 30, "3.00 % of its CPUs", "drifted"},
		{"none after", of(30, 0.5, 0).And(datamodel.Baseline{Reason: "interrupted"}), 30, "there is none after it: interrupted", "drifted"},
		{"another cover after", of(30, 0.5, 0).And(psys), 30, "the one after it covers psys", "drifted"},
		{"none", datamodel.Baseline{Reason: "no meter"}, math.NaN(), "not measured: no meter", "drifted"},
		{"none before", datamodel.Baseline{Reason: "no meter"}.And(of(30, 0, 0)), math.NaN(), "not measured: no meter", "drifted"},
	} {
		in := input{Series: []*series.Series{line(zone("package-0"), 0, 1000, 10*sec)}}
		in.Run.Host.CPUs, in.Run.Baseline = 64, &c.base
		tree, warnings := build(t, in)
		said := ""
		for _, w := range warnings {
			said += w.Subject + ": " + w.Text + "\n"
		}
		if !strings.Contains(said, c.warning) || strings.Contains(said, c.not) {
			t.Errorf("%s: %q, want %q and not %q", c.name, said, c.warning, c.not)
		}
		run := tree.First(datamodel.RunLevel)
		idle, net := run.Metric("idle_energy"), run.Metric("net_energy")
		if want := 10 * c.power; !(math.Abs(idle.Value-want) < 1e-9) && !(math.IsNaN(want) && strings.Contains(idle.Reason, "no meter")) {
			t.Errorf("%s: idle %+v, want %v J", c.name, idle, want)
		}
		switch {
		case math.IsNaN(c.power):
			if !math.IsNaN(net.Value) || net.Reason != idle.Reason {
				t.Errorf("%s: %+v", c.name, net)
			}
		case net.Value != 1000-idle.Value || net.Provenance != sensors.Attributed || !(net.Uncertainty >= idle.Uncertainty) && !math.IsNaN(net.Uncertainty):
			t.Errorf("%s: %+v", c.name, net)
		}
	}
	// The spread of two different baselines is half their difference.
	if b := of(30, 0, 0).And(of(40, 0, 0)); !isNear(b.Spread, 5, 1e-12) || b.Duration != 20 || len(b.Parts) != 2 {
		t.Errorf("%+v", b)
	}
}
