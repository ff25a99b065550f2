package account

import (
	"math"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// liveSensor returns a sensor as the backends make it.
func liveSensor(family, device, name string, unit units.Unit, kind sensors.Kind) sensors.Sensor {
	id := family + "/" + name
	if device != "" {
		id = family + "/" + device + "/" + name
	}
	return sensors.Sensor{ID: id, Family: family, Device: device, Name: name, Unit: unit, Kind: kind, Source: "a test"}
}

// TestLive checks that the figures are the differences between the results at two moments, and that they add up to the
// result.
func TestLive(t *testing.T) {
	package0 := series.New(sensortest.Declared(liveSensor("rapl", "package-0", "energy", units.Joule, sensors.Counter)))
	core := series.New(sensortest.Declared(liveSensor("rapl", "package-0/core", "energy", units.Joule, sensors.Counter)))
	package1 := series.New(sensortest.Declared(liveSensor("rapl", "package-1", "energy", units.Joule, sensors.Counter)))
	user := series.New(sensortest.Declared(liveSensor("cpu", "", "user", units.Second, sensors.Counter)))
	system := series.New(sensortest.Declared(liveSensor("cpu", "", "system", units.Second, sensors.Counter)))
	idle := series.New(sensortest.Declared(liveSensor("cpu", "", "idle", units.Second, sensors.Counter)))
	memory := series.New(sensortest.Declared(liveSensor("target", "", "memory", units.Byte, sensors.Gauge)))
	all := []*series.Series{package0, core, package1, user, system, idle, memory}
	// In the n-th second package 0 uses 100 n W and package 1 50 W. Of 4 CPUs, n/8 are busy. The command holds n MiB.
	e0, busy, free := 1000.0, 50.0, 70.0
	add := func(second int) {
		for beat := range 10 {
			at := []time.Duration{time.Duration(second)*time.Second + time.Duration(beat)*100*time.Millisecond}
			n := float64(second + 1)
			one := func(s *series.Series, v float64) { s.Add(at, []float64{v}) }
			one(package0, e0)
			one(core, e0/2)
			one(package1, at[0].Seconds()*50)
			one(user, busy)
			one(system, 20)
			one(idle, free)
			one(memory, n*(1<<20))
			e0 += 10 * n
			busy += 0.4 * n / 8
			free += 0.4 * (1 - n/8)
		}
	}
	var live Live
	near := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	if now := live.Now(nil, 0); !math.IsNaN(now.Power) || !math.IsNaN(now.CPU) || !math.IsNaN(now.Memory) {
		t.Errorf("without a reading: %+v", now)
	}
	joules, from := 0.0, time.Duration(0)
	for second := range 5 {
		add(second)
		now := live.Now(all, 0)
		n := float64(second + 1)
		steps := 10.0 // from the last reading of a second to the last of the next; the first step belongs to the second before
		was := n - 1
		if second == 0 {
			steps, was = 9, n
		}
		near("power", now.Power, (100*n*9+100*was*(steps-9))/steps+50)
		near("cpu", now.CPU, (n/8*9+was/8*(steps-9))/steps)
		near("memory", now.Memory, n*(1<<20))
		joules += now.Power * (lastAt(package0) - from).Seconds()
		from = lastAt(package0)
		if again := live.Now(all, 0); again != now {
			t.Errorf("without a new reading: %+v, want %+v", again, now)
		}
	}
	near("the sum over all calls", joules, package0.Delta()+package1.Delta())
	if now := live.Now(all, 4901*time.Millisecond); !math.IsNaN(now.Power) || !math.IsNaN(now.CPU) || !math.IsNaN(now.Memory) {
		t.Errorf("too old: %+v", now)
	}
}
