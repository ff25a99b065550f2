package series

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// BenchmarkAdd adds readings as they come from a spool, 4096 at a time. A long run has a hundred million of them.
func BenchmarkAdd(b *testing.B) {
	const chunk = 4096
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name   string
		sensor sensors.Sensor
		next   func(before float64) float64
	}{
		{"counter", sensors.Sensor{ID: "disk/vda/read", Unit: units.Byte, Kind: sensors.Counter}, func(before float64) float64 {
			return before + float64(r.IntN(5000))
		}},
		{"counter wrapping", sensors.Sensor{
			ID: "rapl/package-0/energy", Unit: units.Joule, Kind: sensors.Counter, Wrap: 262143.32885, MaxRate: 1000,
		}, func(before float64) float64 {
			if before += 5 * r.Float64(); before >= 262143.32885 {
				before -= 262143.32885
			}
			return before
		}},
		{"gauge", sensors.Sensor{ID: "gpu/0/power", Unit: units.Watt, Kind: sensors.Gauge}, func(float64) float64 {
			return 300 * r.Float64()
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			at, values := make([]time.Duration, chunk), make([]float64, chunk)
			v := 0.0
			for i := range values {
				v = c.next(v)
				values[i] = v
			}
			s := New(c.sensor)
			now := time.Duration(0)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += chunk {
				for i := range at {
					now += 100 * time.Millisecond
					at[i] = now
				}
				s.Add(at, values)
			}
			if s.count*10 < int64(b.N)*9 {
				b.Fatalf("only %d of %d readings were accepted, so this measures the wrong path", s.count, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mvalues/s")
		})
	}
}
