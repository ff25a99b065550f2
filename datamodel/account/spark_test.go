package account

import (
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// TestSparksOfTheCommand tests that the command's courses follow what the command did, also its share of the power.
func TestSparksOfTheCommand(t *testing.T) {
	both := func(float64) float64 { return 2 }
	in := load(both, halves(0.5, 1), halves(100, 60)) // a quarter of 100 W, then half of 60 W
	in.Series = append(in.Series,
		gaugeOf("target/memory", units.Byte, func(t float64) float64 { return 1 << 20 }),
		counterLine("target/read", units.Byte, 10e6, 20*sec), counterLine("target/written", units.Byte, 30e6, 20*sec))
	spark := Account(OneHost(in.Run, in.Ledger, in.Series, nil)).Spark
	for _, c := range []struct {
		name        string
		parts       int
		first, last float64
	}{
		{datamodel.SparkTargetPower, 0, 25, 30},
		{datamodel.SparkTargetCPU, 20, 0.5, 1},
		{datamodel.SparkTargetMemory, 20, 1 << 20, 1 << 20},
		{datamodel.SparkTargetDisk, 10, 2e6, 2e6},
	} {
		got := spark[c.name]
		if len(got) < leastReadings || c.parts > 0 && len(got) != c.parts {
			t.Errorf("%s has %d parts, want %d", c.name, len(got), c.parts)
			continue
		}
		for at, want := range map[int]float64{1: c.first, len(got) - 2: c.last} {
			if got[at] == nil || !isNear(*got[at], want, 0.02) {
				t.Errorf("%s, part %d: %v, want %v", c.name, at, got[at], want)
			}
		}
	}
}

// TestSparksNeedReadings tests that too few readings make no course of the command.
func TestSparksNeedReadings(t *testing.T) {
	cpu := sensor("target/cpu_time", sensors.Counter, units.Second, "cgroup v2 cpu.stat")
	for n, want := range map[int]int{2: 0, leastReadings - 1: 0, leastReadings: leastReadings - 1, 100: commandPoints} {
		at, values := every(100*time.Millisecond, n), make([]float64, n)
		for i := range values {
			values[i] = 0.1 * float64(i)
		}
		in := input{Ledger: datamodel.Ledger{WallTime: new(float64(n) / 10)}, Series: []*series.Series{seriesOf(cpu, at, values)}}
		if got := Account(OneHost(in.Run, in.Ledger, in.Series, nil)).Spark[datamodel.SparkTargetCPU]; len(got) != want {
			t.Errorf("%d readings: %d parts, want %d", n, len(got), want)
		}
	}
}
