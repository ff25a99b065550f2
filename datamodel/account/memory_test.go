package account

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// gauges returns one series for each named gauge of the command, which rises to the value.
func gauges(to map[string]float64) (list []*series.Series) {
	for name, v := range to {
		unit := units.Byte
		if strings.HasPrefix(name, "processes") {
			unit = units.Processes
		}
		list = append(list, line(sensor("target/"+name, sensors.Gauge, unit, "test"), 0, v, sec))
	}
	return list
}

// TestPeakMemory checks which of the known figures is the peak memory, what it is marked as, and both bounds.
func TestPeakMemory(t *testing.T) {
	none := math.NaN()
	for _, c := range []struct {
		name   string
		ledger datamodel.Ledger
		read   map[string]float64
		want   float64
		from   sensors.Provenance
		bound  datamodel.Bound
		atMost float64
		charge float64
	}{
		{
			"one process",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true, GroupMemoryPeak: new(900.0)},
			map[string]float64{"memory_peak": 18, "processes_ever": 1},
			20, sensors.FromCounter, "", none, 900,
		},
		{
			"one process, no readings",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true},
			nil, 20, sensors.FromCounter, "", none, none,
		},
		{
			"a child without a wait was seen",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true},
			map[string]float64{"memory_peak": 18, "processes_ever": 2},
			20, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"an orphan",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true, OrphansTime: new(0.1)},
			nil, 20, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"a large orphan",
			datamodel.Ledger{MaxRSS: new(20.0), OrphansTime: new(0.1), OrphansMaxRSS: new(40.0)},
			map[string]float64{"memory_peak": 30},
			40, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"a survivor",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true, Survivors: new(1.0)},
			nil, 20, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"several in a cgroup",
			datamodel.Ledger{MaxRSS: new(20.0), GroupMemoryPeak: new(900.0)},
			map[string]float64{"memory_peak": 70, "memory_mapped": 3},
			70, sensors.Sampled, datamodel.LowerBound, 903, 900,
		},
		{
			"a peak between the looks",
			datamodel.Ledger{MaxRSS: new(50.0), GroupMemoryPeak: new(60.0)},
			map[string]float64{"memory_peak": 7, "memory_mapped": 3},
			50, sensors.Sampled, datamodel.LowerBound, 63, 60,
		},
		{
			"pages that another cgroup is charged with",
			datamodel.Ledger{MaxRSS: new(17.0), GroupMemoryPeak: new(2.0)},
			nil, 17, sensors.Sampled, datamodel.LowerBound, 19, 2,
		},
		{
			"several without a cgroup",
			datamodel.Ledger{MaxRSS: new(5.0)},
			map[string]float64{"memory_peak": 8},
			8, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"the charge as sampled",
			datamodel.Ledger{MaxRSS: new(5.0)},
			map[string]float64{"memory_peak": 8, "memory_charge_peak": 90},
			8, sensors.Sampled, datamodel.LowerBound, none, 90,
		},
		{
			"moved into the cgroup after its start: what it was charged with before stays outside",
			datamodel.Ledger{MaxRSS: new(50.0), GroupMemoryPeak: new(60.0), GroupLacks: new(0.0)},
			map[string]float64{"memory_peak": 70, "memory_mapped": 3},
			70, sensors.Sampled, datamodel.LowerBound, none, 60,
		},
		{
			"left the cgroup",
			datamodel.Ledger{MaxRSS: new(5.0), GroupMemoryPeak: new(1.0)},
			map[string]float64{"memory_peak": 300, "processes_outside": 2},
			300, sensors.Sampled, datamodel.LowerBound, none, 1,
		},
		{
			"rusage is the parent's",
			datamodel.Ledger{MaxRSS: new(50.0), RSSFloor: new(50.0), Childless: true},
			map[string]float64{"memory_peak": 7, "processes_ever": 1},
			7, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{
			"a child without a wait used CPU time",
			datamodel.Ledger{MaxRSS: new(20.0), Childless: true, GroupTime: new(0.5), UserTime: new(0.1), SystemTime: new(0.1)},
			nil, 20, sensors.Sampled, datamodel.LowerBound, none, none,
		},
		{"only the parent's", datamodel.Ledger{MaxRSS: new(50.0), RSSFloor: new(50.0)}, nil, none, sensors.Missing, "", none, none},
		{"only the charge", datamodel.Ledger{GroupMemoryPeak: new(9.0)}, nil, none, sensors.Missing, "", 9, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, warnings := build(t, input{Ledger: c.ledger, Series: gauges(c.read)})
			m := tree.First(datamodel.RunLevel).Metric(datamodel.PeakMemory)
			if !same(m.Value, c.want) || m.Provenance != c.from || m.Bound != c.bound || !same(m.AtMost, c.atMost) {
				t.Errorf("%+v, want %v by %s, bound %q, at most %v", m, c.want, c.from, c.bound, c.atMost)
			}
			if m := tree.First(datamodel.RunLevel).Metric(datamodel.PeakMemoryCharge); !same(m.Value, c.charge) {
				t.Errorf("charge: %+v, want %v", m, c.charge)
			}
			if left := c.read["processes_outside"] > 0; left != (len(warnings) > 0) {
				t.Errorf("warnings: %v", warnings)
			}
		})
	}
}

// TestPeakMemoryProperties checks, for any known figures, that the peak is never below the largest process or what a look
// saw, that its upper bound is not below it, and that only a single process has an exact peak.
func TestPeakMemoryProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 12))
	maybe := func() *float64 {
		if r.IntN(3) == 0 {
			return nil
		}
		return new(float64(r.IntN(1 << 30)))
	}
	for range 2000 {
		l := datamodel.Ledger{
			MaxRSS: maybe(), GroupMemoryPeak: maybe(), Childless: r.IntN(2) == 0, GroupTime: new(float64(r.IntN(2))),
			UserTime: new(0.5), SystemTime: new(0.5),
		}
		read := map[string]float64{}
		for _, name := range []string{"memory_peak", "memory_mapped", "processes_ever", "memory_charge_peak"} {
			if v := maybe(); v != nil {
				read[name] = *v
			}
		}
		h := &host{Host: Host{Ledger: l, Series: gauges(read)}}
		h.left = h.findLeft()
		h.unwaited = h.findUnwaited()
		m := h.peakMemory(h.charge(), &doubts{})
		least := math.NaN()
		for _, v := range []*float64{l.MaxRSS, value(read, "memory_peak")} {
			if v != nil && !(*v < least) {
				least = *v
			}
		}
		switch {
		case !same(m.Value, least) && !(m.Provenance == sensors.FromCounter && m.Value+h.lag() >= least):
			t.Fatalf("%+v of %+v, %v: want %v", m, l, read, least)
		case m.Bound == datamodel.LowerBound && m.AtMost < m.Value:
			t.Fatalf("%+v: at most less than the value", m)
		case m.Provenance == sensors.FromCounter && (m.Bound != "" || !l.Childless):
			t.Fatalf("%+v of %+v", m, l)
		case h.left && m.Reason == "" && !math.IsNaN(m.AtMost) && m.AtMost > m.Value:
			t.Fatalf("%+v: the charge of a cgroup that was left bounds nothing", m)
		}
	}
}

func value(of map[string]float64, name string) *float64 {
	if v, ok := of[name]; ok {
		return &v
	}
	return nil
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
