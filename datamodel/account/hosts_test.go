package account

import (
	"math"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestTwoHosts checks the sums over hosts. Metrics that add up are added. Of the others the greatest or the mean
// counts, as the catalogue says. If one host lacks a metric, the run lacks it.
func TestTwoHosts(t *testing.T) {
	host := func(name string, wall, cpu, energy, peak float64) Host {
		d := time.Duration(wall) * sec
		return Host{
			Machine: datamodel.HostInfo{Name: name, CPUs: 2},
			Ledger:  datamodel.Ledger{WallTime: new(wall), GroupTime: new(cpu), MaxRSS: new(peak)},
			Series:  append(procStat(5, 1, 14, 0, d), line(zone("package-0"), 0, energy, d)),
		}
	}
	in := Input{Run: datamodel.Run{ID: "job"}, Hosts: []Host{host("a", 10, 3, 500, 1e9), host("b", 12, 4, 700, 3e9)}}
	f := func(r Result, name string, want float64) {
		t.Helper()
		if m := datamodel.Pick(r.Summary, name); !isNear(m.Value, want, 1e-9) {
			t.Errorf("%s is %v, want %v (%s)", name, m.Value, want, m.Reason)
		}
	}
	r := Account(in)
	one, two := Account(Input{Run: in.Run, Hosts: in.Hosts[:1]}), Account(Input{Run: in.Run, Hosts: in.Hosts[1:]})
	f(r, datamodel.WallTime, 12)
	f(r, datamodel.CPUTime, 7)
	f(r, datamodel.PeakMemory, 3e9)
	f(r, datamodel.Energy, 1200)
	f(r, datamodel.Power, 50+700.0/12)
	f(r, datamodel.CPUUtilization, 0.3)
	share := func(r Result) float64 { return datamodel.Pick(r.Summary, datamodel.TargetEnergy).Value }
	f(r, datamodel.TargetEnergy, share(one)+share(two))
	run := r.Tree.First(datamodel.RunLevel)
	if len(run.Children) != 2 || run.Children[0].Name != "a" || run.Children[1].Metric(datamodel.Energy).Value != 700 {
		t.Errorf("hosts: %v", run.Children)
	}
	// If one host has no meter, there is no sum, and the run gives that host's reason.
	in.Hosts[1].Series = append([]*series.Series{}, procStat(5, 1, 14, 0, 10*sec)...)
	in.Hosts[1].Missing = []sensors.Absence{{ID: "rapl", Reason: "no powercap"}}
	m := datamodel.Pick(Account(in).Summary, datamodel.Energy)
	if !math.IsNaN(m.Value) || m.Reason != "b: no powercap" || m.Absence != "rapl" || m.Unit != units.Joule {
		t.Errorf("%+v", m)
	}
}
