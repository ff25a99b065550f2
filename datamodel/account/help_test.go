package account

import (
	"math"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// input is a run on one host, as most tests need it.
type input struct {
	Run    datamodel.Run
	Ledger datamodel.Ledger
	Series []*series.Series
}

func (in input) host() Host { return OneHost(in.Run, in.Ledger, in.Series, nil).Hosts[0] }

func buildTree(in input) (*datamodel.Node, []datamodel.Warning) {
	r := Account(OneHost(in.Run, in.Ledger, in.Series, nil))
	return r.Tree, r.Warnings
}

// chartOf returns the courses of the host.
func chartOf(in input) datamodel.Chart {
	return Account(OneHost(in.Run, in.Ledger, in.Series, nil)).Charts[0]
}

// energyOf returns the series that make up the machine's energy.
func energyOf(in input) energyChoice { return chooseEnergy(withSeenPeriods(in.Series)) }

// divisionOf returns how the energy of the CPUs was shared out.
func divisionOf(in input) division {
	h := &host{Host: in.host(), run: in.Run}
	h.Series = withSeenPeriods(h.Series)
	h.energy = chooseEnergy(h.Series)
	return h.shareCPUs(h.machineCPU(), datamodel.Pick(h.times(&doubts{}), datamodel.CPUTime), &doubts{}).division
}

func watts() sensors.Sensor {
	return sensortest.Declared(sensors.Sensor{
		ID: "gpu/GPU-1/power", Family: "gpu", Device: "GPU-1", Name: "power", Unit: units.Watt, Kind: sensors.Gauge,
		Source: "nvmlDeviceGetPowerUsage",
	})
}

// every returns n times from 0 on, d apart.
func every(d time.Duration, n int) []time.Duration {
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(i) * d
	}
	return at
}

// seriesOf returns the series of a sensor as its backend declares it.
func seriesOf(s sensors.Sensor, at []time.Duration, values []float64) *series.Series {
	out := series.New(sensortest.Declared(s))
	out.Add(at, values)
	return out
}

func metricOf(t *testing.T, s *series.Series, name string) datamodel.Metric {
	t.Helper()
	m := datamodel.Pick(s.Metrics(), name)
	if m.Unit == "" {
		t.Fatalf("%s: no metric %s", s.Sensor().ID, name)
	}
	return m
}

func isNear(got, want, share float64) bool { return math.Abs(got-want) <= share*math.Abs(want) }

func first(s *series.Series) float64 {
	_, v := s.First()
	return v
}

func lastAt(s *series.Series) time.Duration {
	at, _ := s.Last()
	return at
}

func bytesRead() sensors.Sensor {
	return sensors.Sensor{
		ID: "disk/vda/read", Family: "disk", Device: "vda", Name: "read", Unit: units.Byte, Kind: sensors.Counter,
	}
}

// step is 0 before at and 1 from then on.
func step(t, at float64) float64 {
	if t < at {
		return 0
	}
	return 1
}

// declared returns sensors as their backends declare them.
func declared(list ...sensors.Sensor) []sensors.Sensor {
	out := make([]sensors.Sensor, len(list))
	for i, s := range list {
		out[i] = sensortest.Declared(s)
	}
	return out
}
