package units

import (
	"math"
	"strings"
	"testing"
)

func TestFormatUncertain(t *testing.T) {
	f := func(v, half float64, u Unit, want string) {
		t.Helper()
		if got := FormatUncertain(v, half, u); got != want {
			t.Errorf("%v ± %v %s is %q, want %q", v, half, u, got, want)
		}
	}
	f(12.345, 0.4, Joule, "12.3 ± 0.4 J")
	f(12.345, 0.04, Joule, "12.3 J") // below the last digit
	f(12.345, 0.06, Joule, "12.3 ± 0.1 J")
	f(12.345, 0.14, Joule, "12.3 ± 0.1 J")
	f(12.345, 1.26, Joule, "12.3 ± 1.3 J")
	f(12.345, 5, Joule, "12 ± 5 J")
	f(123.4, 26, Joule, "120 ± 30 J")
	f(123.4, 12, Joule, "123 ± 12 J")
	f(1.234, 0.096, Joule, "1.23 ± 0.10 J")
	f(0.0123, 0.004, Joule, "12 ± 4 mJ")
	f(0.003, 1, Joule, None)
	f(1, 1, Joule, None)
	f(1, 0.999, Joule, "1.0 ± 1.0 J")
	f(-1, 2, Watt, None)
	f(18.83e6, 100, Joule, "18.8 MJ")
	f(1500, 300, Watt, "1.5 ± 0.3 kW")
	f(12.345, math.NaN(), Joule, "12.3 J")
	f(12.345, 0, Joule, "12.3 J")
	f(12.345, math.Inf(1), Joule, "12.3 J")
	f(math.NaN(), 1, Joule, None)
	f(12.345, 4, Second, "12.3 s")
	f(-12.345, 0.4, Joule, "-12.3 ± 0.4 J")
	f(0, 0.5, Joule, None)
	f(6.85e-14, 1e-14, Joule, "<1 µJ")
	f(999.96, 5, Joule, "1.00 ± 0.01 kJ")
}

func FuzzFormatUncertain(f *testing.F) {
	f.Add(12.3, 0.4)
	f.Add(0.0, 1e-12)
	f.Add(1e300, 1e299)
	f.Fuzz(func(t *testing.T, v, half float64) {
		got := FormatUncertain(v, half, Joule)
		if got == "" || strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
			t.Errorf("%v ± %v is %q", v, half, got)
		}
		if strings.Contains(got, "±") && strings.HasPrefix(got[strings.Index(got, "±")+len("± "):], "0 ") {
			t.Errorf("%v ± %v is %q: an uncertainty is shown as 0", v, half, got)
		}
	})
}
