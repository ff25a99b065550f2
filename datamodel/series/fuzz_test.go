package series

import (
	"encoding/binary"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// FuzzAdd adds any readings at any times. It must not panic. No result may be negative or infinite, and each NaN needs
// a reason. One call and one call per reading must give the same result.
func FuzzAdd(f *testing.F) {
	row := func(at time.Duration, v float64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(at)), math.Float64bits(v))
	}
	var plain, wild []byte
	for i := range 20 {
		plain = append(plain, row(time.Duration(i)*100*ms, float64(i)*7)...)
		wild = append(wild, row(time.Duration(1)<<(3*i), math.Pow(-1e17, float64(i)))...)
	}
	wild = append(wild, row(math.MinInt64, math.Inf(-1))...)
	wild = append(wild, row(math.MaxInt64, math.MaxFloat64)...)
	for kind := range byte(8) {
		f.Add(kind, 262143.32885, 1000.0, plain)
		f.Add(kind, 100.0, 0.0, plain)
		f.Add(kind, 0.0, 0.0, wild)
		f.Add(kind, math.Inf(1), math.NaN(), wild)
	}
	f.Fuzz(func(t *testing.T, kind byte, wrap, maxRate float64, data []byte) {
		s := sensors.Sensor{ID: "x", Family: "rapl", Name: "energy", Unit: units.Joule, Wrap: wrap, MaxRate: maxRate}
		s.Kind = sensors.Kind(kind & 1)
		switch kind >> 1 & 3 {
		case 1:
			s.Family, s.Unit, s.Name = "target", units.Second, "cpu_time"
		case 2:
			s.Family, s.Unit, s.Name, s.Range = "gpu", units.Celsius, "temperature", sensors.Range{Least: -273.15, Most: 1000}
		case 3:
			s.Unit, s.Name = units.Watt, "power"
		}
		one, many := New(s), New(s)
		var at []time.Duration
		var values []float64
		for ; len(data) >= 16; data = data[16:] {
			at = append(at, time.Duration(binary.LittleEndian.Uint64(data)))
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(data[8:])))
			many.Add(at[len(at)-1:], values[len(at)-1:])
		}
		one.Add(at, values)
		checkMetrics(t, one)
		if d := one.Delta(); d < 0 || math.IsInf(d, 0) {
			t.Errorf("delta %v", d)
		}
		if !reflect.DeepEqual(printable(one), printable(many)) {
			t.Errorf("in one call %v, one by one %v", printable(one), printable(many))
		}
	})
}
