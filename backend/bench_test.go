package backend

import (
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// BenchmarkRead measures a reading of each family that this machine has.
func BenchmarkRead(b *testing.B) {
	for _, backend := range All() {
		b.Run(backend.Name, func(b *testing.B) {
			host := sensors.Setup{Proc: "/proc", Sys: "/sys", Dirs: []string{b.TempDir()}}
			source, _, err := backend.Open(b.Context(), host)
			if err != nil {
				b.Skip(err)
			}
			defer func() {
				if err := source.Close(); err != nil {
					b.Error(err)
				}
			}()
			dst := make([]float64, len(source.Sensors()))
			b.ReportAllocs()
			b.ReportMetric(float64(len(dst)), "sensors")
			for b.Loop() {
				if err := source.Read(dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
