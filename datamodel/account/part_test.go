package account

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestPartOfTheTime: the readings of a command of 1.5 s end early, as when the disk is full. What they come to is then
// not a figure of the command. The energy has its own warning, and what is missing is in its bound.
func TestPartOfTheTime(t *testing.T) {
	result := func(d time.Duration) Result {
		return Account(OneHost(datamodel.Run{}, datamodel.Ledger{WallTime: new(1.5), UserTime: new(0.5), SystemTime: new(0.5)}, append(
			procStat(1.5, 0.5, 2, 0.01, d),
			counterLine("network/eth0/receive", units.Byte, 500, d), counterLine("network/eth0/transmit", units.Byte, 70, d),
			counterLine("target/cpu_time", units.Second, 1.2, d),
			line(zone("package-0"), 5, 15, d),
		), nil))
	}
	affected := []string{
		datamodel.CPUUtilization, datamodel.NetworkReceive, datamodel.NetworkTransmit, datamodel.TargetEnergy, datamodel.OtherEnergy,
	}
	for _, c := range []struct {
		read time.Duration
		part bool
	}{{100 * ms, true}, {1300 * ms, true}, {1400 * ms, false}, {1600 * ms, false}} {
		r := result(c.read)
		for _, name := range affected {
			m := datamodel.Pick(r.Summary, name)
			if c.part && (m.Provenance != sensors.Missing || !math.IsNaN(m.Value) || !strings.Contains(m.Reason, "of the command's 1.50 s")) {
				t.Errorf("read for %v: %s is %v, %q", c.read, name, m.Value, m.Reason)
			}
			if !c.part && (m.Reason != "" || !(m.Value > 0)) {
				t.Errorf("read for %v: %s is %v, %q", c.read, name, m.Value, m.Reason)
			}
		}
		if m := datamodel.Pick(r.Summary, datamodel.WallTime); m.Value != 1.5 {
			t.Errorf("read for %v: wall time %v", c.read, m.Value)
		}
		// Without the counter of the target, wait4 is the best that is known.
		want := 1.2
		if c.part {
			want = 1
		}
		if m := datamodel.Pick(r.Summary, datamodel.CPUTime); m.Value != want {
			t.Errorf("read for %v: cpu_time %v, want %v", c.read, m.Value, want)
		}
		// 10 J in the time that was read: as much power in the rest is in the bound.
		energy, rest := datamodel.Pick(r.Summary, datamodel.Energy), 10*math.Abs(1.5/c.read.Seconds()-1)
		if !isNear(energy.Value, 10, 1e-9) || energy.Uncertainty < rest*(1-1e-9) {
			t.Errorf("read for %v: energy %v ± %v, want ± %v and more", c.read, energy.Value, energy.Uncertainty, rest)
		}
	}
}

// TestOwnNetwork checks that the bytes of the command's own network namespace are a lower bound, and that a command without
// one has no figure and says why.
func TestOwnNetwork(t *testing.T) {
	const d = 10 * sec
	counted := line(sensor("target/network_receive", sensors.Counter, units.Byte, "test"), 0, 900, d)
	none := seriesOf(sensor("target/network_transmit", sensors.Counter, units.Byte, "test"), every(sec, 2), []float64{math.NaN(), math.NaN()})
	tree, warnings := build(t, input{Series: []*series.Series{counted, none}})
	of := func(name string) datamodel.Metric {
		var found datamodel.Metric
		var look func(*datamodel.Node)
		look = func(n *datamodel.Node) {
			if n.Level == datamodel.DeviceLevel && n.Family == "target" {
				found = n.Metric(name)
			}
			for _, c := range n.Children {
				look(c)
			}
		}
		look(tree)
		return found
	}
	if m := of(datamodel.TargetNetworkReceive); m.Value != 900 || m.Bound != datamodel.LowerBound {
		t.Errorf("%+v", m)
	}
	if m := of(datamodel.TargetNetworkTransmit); !strings.HasPrefix(m.Reason, "no network interface of its own was seen") {
		t.Errorf("%+v", m)
	}
	if len(warnings) > 0 {
		t.Errorf("%v", warnings)
	}
}
