package account

import (
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestLeft checks the fact that the command left its cgroup, for each way in which the cgroup's CPU time is known.
func TestLeft(t *testing.T) {
	read := func(how sensors.Method, v float64) []*series.Series {
		s := sensor("target/cpu_time", sensors.Counter, units.Second, "test")
		s.Use, s.Method = sensors.TargetCPU, how
		return []*series.Series{line(s, 0, v, sec)}
	}
	waited := func(l datamodel.Ledger) datamodel.Ledger {
		l.UserTime, l.SystemTime = new(0.5), new(0.2)
		return l
	}
	for _, c := range []struct {
		name   string
		ledger datamodel.Ledger
		series []*series.Series
		want   bool
	}{
		{"no cgroup", waited(datamodel.Ledger{}), nil, false},
		{"nothing was waited for", datamodel.Ledger{GroupTime: new(0.1)}, nil, false},
		{"all in the cgroup", waited(datamodel.Ledger{GroupTime: new(0.7)}), nil, false},
		{"more than was waited for", waited(datamodel.Ledger{GroupTime: new(2.0)}), nil, false},
		{"the error of both", waited(datamodel.Ledger{GroupTime: new(0.69)}), nil, false},
		{"left", waited(datamodel.Ledger{GroupTime: new(0.1)}), nil, true},
		{"moved into it after its start", waited(datamodel.Ledger{GroupTime: new(0.6), GroupLacks: new(0.1)}), nil, false},
		{"left after it was moved", waited(datamodel.Ledger{GroupTime: new(0.1), GroupLacks: new(0.1)}), nil, true},
		{"left, as sampled", waited(datamodel.Ledger{}), read(sensors.ByCgroup, 0.1), true},
		{"perf follows everywhere", waited(datamodel.Ledger{}), read(sensors.ByPerf, 0.1), false},
		{"the walk sees less", waited(datamodel.Ledger{}), read(sensors.ByWalk, 0.1), false},
	} {
		h := &host{Host: Host{Ledger: c.ledger, Series: c.series}}
		if got := h.findLeft(); got != c.want {
			t.Errorf("%s: left is %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLeftMarks checks that the figures of a command that left its cgroup are marked.
func TestLeftMarks(t *testing.T) {
	tree, warnings := build(t, input{
		Ledger: datamodel.Ledger{GroupTime: new(0.5), UserTime: new(0.1), SystemTime: new(0.1), GroupMemoryPeak: new(1.0), MaxRSS: new(2.0)},
		Series: gauges(map[string]float64{"memory_peak": 300, "processes_ever": 3, "processes_outside": 1}),
	})
	run := tree.First(datamodel.RunLevel)
	for name, want := range map[string]float64{
		datamodel.CPUTime: 0.5, datamodel.PeakMemory: 300, datamodel.PeakMemoryCharge: 1, datamodel.ProcessCount: 3,
	} {
		if m := run.Metric(name); m.Value != want || m.Bound != datamodel.LowerBound {
			t.Errorf("%+v, want at least %v", m, want)
		}
	}
	if len(warnings) != 1 || warnings[0].Subject != "target" {
		t.Errorf("%v, want one about the target", warnings)
	}
}
