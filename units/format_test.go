package units_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/units"
)

func below(v float64) float64 { return math.Nextafter(v, math.Inf(-1)) }

// TestFormat tests each boundary and the next float below it. If the prefix were chosen before rounding, the float below
// would give "1000 W".
func TestFormat(t *testing.T) {
	f := func(v float64, u units.Unit, want string) {
		t.Helper()
		if got := units.Format(v, u); got != want {
			t.Errorf("Format(%v, %q) = %q, want %q", v, u, got, want)
		}
	}
	f(0, units.Watt, "0 W")
	f(math.Copysign(0, -1), units.Watt, "0 W")
	f(999.95, units.Watt, "1.00 kW")
	f(999.5, units.Watt, "1.00 kW")
	f(below(999.5), units.Watt, "999 W")
	f(1000, units.Watt, "1.00 kW")
	f(99.95, units.Watt, "100 W")
	f(below(99.95), units.Watt, "99.9 W")
	f(9.995, units.Watt, "9.99 W") // the float is a little less than 9.995
	f(math.Nextafter(9.995, 10), units.Watt, "10.0 W")
	f(math.Nextafter(0.9995, 1), units.Watt, "1.00 W")
	f(below(0.9995), units.Watt, "999 mW")
	f(999.5e6, units.Joule, "1.00 GJ")
	f(below(999.5e6), units.Joule, "999 MJ")
	f(240422.366267, units.Joule, "240 kJ")
	f(61e-6, units.Joule, "61.0 µJ")
	f(-12.34, units.Watt, "-12.3 W")
	f(5e18, units.Joule, "5000 PJ")

	f(0, units.Byte, "0 B")
	f(1, units.Byte, "1 B")
	f(1023, units.Byte, "1023 B")
	f(1024, units.Byte, "1.00 KiB")
	f(0.25, units.Byte, "0.250 B")
	f(1023.5, units.Byte, "1.00 KiB")
	f(below(1023.5), units.Byte, "1023 B")
	f(1023.5*1024, units.Byte, "1.00 MiB")
	f(below(1023.5*1024), units.Byte, "1023 KiB")
	f(1.5*(1<<30), units.Byte, "1.50 GiB")
	f(16<<40, units.Byte, "16.0 TiB")

	f(0, units.Second, "0 s")
	f(0.3, units.Second, "300 ms")
	f(83.4e-9, units.Second, "83.4 ns")
	f(12.34e-6, units.Second, "12.3 µs")
	f(0.9995, units.Second, "1.00 s")
	f(2.0034, units.Second, "2.00 s")
	f(below(59.95), units.Second, "59.9 s")
	f(59.95, units.Second, "1 min 00.0 s")
	f(60, units.Second, "1 min 00.0 s")
	f(83.4, units.Second, "1 min 23.4 s")
	f(3599.9, units.Second, "59 min 59.9 s")
	f(3599.95, units.Second, "1 h 00 min")
	f(3600, units.Second, "1 h 00 min")
	f(7380, units.Second, "2 h 03 min")
	f(7409.999, units.Second, "2 h 03 min")
	f(7410, units.Second, "2 h 04 min")
	f(36e6, units.Second, "10,000 h 00 min")

	f(2.4e9, units.Hertz, "2.40 GHz")
	f(0.5, units.Hertz, "0.500 Hz")
	f(45.25, units.Celsius, "45.2 °C")
	f(-0.04, units.Celsius, "0.0 °C")
	f(-3.5, units.Celsius, "-3.5 °C")

	f(0, units.Ratio, "0 %")
	f(1, units.Ratio, "100 %")
	f(0.8123, units.Ratio, "81.2 %")
	f(0.00251, units.Ratio, "0.251 %")
	f(1.54e-5, units.Ratio, "<0.01 %")
	f(1e-4, units.Ratio, "0.010 %")
	f(5.55e-4, units.Ratio, "0.056 %")
	f(0.99999e-4, units.Ratio, "<0.01 %")
	f(64, units.Ratio, "6400 %")

	f(0, units.Processes, "0")
	f(999, units.Processes, "999")
	f(1000, units.Processes, "1,000")
	f(1234567, units.Faults, "1,234,567")
	f(3.416, units.Processes, "3.42")
	f(12345.6, units.Packets, "12,346")

	f(2.5, "", "2.50")
	f(2.5, "lm", "2.50 lm")
	f(2.5, "{}", "2.50 {}")
	f(0.0000896, "{EUR}", "8.96e-05 EUR")
	f(0.000896, "{EUR}", "0.000896 EUR")
	f(1234.4, "{JPY}", "1,234 JPY")
	f(0.1, "{USD}", "0.100 USD")
	f(1e-12, "{EUR}", "1.00e-12 EUR")
	f(0, "{EUR}", "0 EUR")
	f(0.0687, units.Gram, "68.7 mg")
	f(1e-300, units.Watt, "<1 µW")
	f(6.85e-14, units.Joule, "<1 µJ")
	f(0.99e-6, units.Joule, "<1 µJ")
	f(1e-6, units.Joule, "1.00 µJ")
	f(-6.85e-14, units.Joule, "0 µJ")
	f(1e-12, units.Second, "<1 ns")
	f(1e-5, units.Hertz, "<0.001 Hz")
	f(1e-5, "lm", "<0.001 lm")
	f(0.0123, "lm", "0.012 lm")
	for _, u := range append(units.All(), "", "lm") {
		f(math.NaN(), u, units.None)
		f(math.Inf(1), u, units.None)
		f(math.Inf(-1), u, units.None)
	}
}

// TestTextOf tests where a formatted value is split: before the last unit, and nowhere in a count.
func TestTextOf(t *testing.T) {
	f := func(got units.Text, number, unit string) {
		t.Helper()
		if want := (units.Text{Number: number, Unit: unit}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(units.TextOf(-12.34, units.Watt), "-12.3", "W")
	f(units.TextOf(83.4, units.Second), "1 min 23.4", "s")
	f(units.TextOf(7380, units.Second), "2 h 03", "min")
	f(units.TextOf(0.8123, units.Ratio), "81.2", "%")
	f(units.TextOf(1.5*(1<<30), units.Byte), "1.50", "GiB")
	f(units.TextOf(1234, units.Processes), "1,234", "")
	f(units.TextOf(math.NaN(), units.Joule), units.None, "")
	f(units.TextUncertain(1234, 40, units.Joule), "1.23 ± 0.04", "kJ")
	f(units.TextUncertain(1234, math.NaN(), units.Joule), "1.23", "kJ")
}

func TestFormatRate(t *testing.T) {
	f := func(v float64, u units.Unit, want string) {
		t.Helper()
		if got := units.FormatRate(v, u); got != want {
			t.Errorf("FormatRate(%v, %q) = %q, want %q", v, u, got, want)
		}
	}
	f(1.5*(1<<20), units.Byte, "1.50 MiB/s")
	f(999.95, units.Joule, "1.00 kW")
	f(1234, units.Packets, "1,234 packets/s")
	f(64, units.Second, "64.0 s/s")
	f(math.NaN(), units.Byte, units.None)
}

// TestSymbol checks the symbol of every unit. Codes are for files, and symbols for people. No two units share a symbol.
func TestSymbol(t *testing.T) {
	want := map[units.Unit]string{
		units.Joule: "J", units.Watt: "W", units.Byte: "B", units.Second: "s", units.Hertz: "Hz",
		units.Celsius: "°C", units.Ratio: "%", units.Gram: "g", units.JouleSecond: "Js", units.AnyCurrency: "currency", units.Operations: "operations", units.Packets: "packets",
		units.Processes: "processes", units.Threads: "threads", units.Switches: "switches",
		units.Faults: "faults", units.Calls: "calls", units.Beats: "beats", units.Events: "events",
		units.Files: "files", units.Errors: "errors",
	}
	seen := map[string]units.Unit{}
	for _, u := range units.All() {
		s := u.Symbol()
		if s != want[u] {
			t.Errorf("%q.Symbol() = %q, want %q", u, s, want[u])
		}
		if other, twice := seen[s]; twice {
			t.Errorf("%q and %q have the same symbol %q", u, other, s)
		}
		seen[s] = u
	}
	if len(want) != len(units.All()) {
		t.Errorf("the test has %d units, want %d", len(want), len(units.All()))
	}
}

// readBack returns the value that a person reads from the result of Format.
func readBack(t *testing.T, s string, u units.Unit) float64 {
	t.Helper()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
		if err != nil {
			t.Fatalf("%q does not begin with a number: %v", s, err)
		}
		return v
	}
	if before, after, ok0 := strings.Cut(s, " min "); ok0 && u == units.Second {
		return 60*number(before) + number(strings.TrimSuffix(after, " s"))
	}
	if before, after, ok0 := strings.Cut(s, " h "); ok0 && u == units.Second {
		return 3600*number(before) + 60*number(strings.TrimSuffix(after, " min"))
	}
	digits, unit, _ := strings.Cut(s, " ")
	v := number(strings.TrimPrefix(digits, "<"))
	if strings.HasPrefix(string(u), "{") {
		return v
	}
	prefix, ok := strings.CutSuffix(unit, u.Symbol())
	if !ok {
		t.Fatalf("%q does not end with %q", s, u.Symbol())
	}
	if u == units.Ratio {
		v /= 100
	}
	factors := map[string]float64{
		"": 1, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
	}
	switch {
	case u == units.Second, u == units.Ratio, u == units.Celsius, prefix == "P", prefix == "Pi":
	case u == units.Byte && v >= 1024, u != units.Byte && v >= 1000:
		t.Errorf("%q should have the next prefix", s)
	}
	factor, ok := factors[prefix]
	if !ok {
		t.Fatalf("%q has the unknown prefix %q", s, prefix)
	}
	return v * factor
}

func checkRoundTrip(t *testing.T, v float64, u units.Unit) {
	t.Helper()
	s := units.Format(v, u)
	if digits, _, _ := strings.Cut(s, " "); strings.Contains(s, "<") || v != 0 && digits == "0" {
		// The bound is the smallest value that is shown.
		if least := smallest(u); math.Abs(v) >= least || v < 0 && strings.Contains(s, "<") {
			t.Errorf("Format(%v, %q) = %q", v, u, s)
		}
		return
	}
	if _, places, _ := strings.Cut(strings.SplitN(s, " ", 2)[0], "."); len(places) > 3 && !strings.Contains(places, "e") && !u.IsMoney() {
		t.Errorf("Format(%v, %q) = %q has %d decimal places", v, u, s, len(places))
	}
	got := readBack(t, strings.TrimPrefix(s, "-"), u)
	if strings.HasPrefix(s, "-") {
		got = -got
	}
	allowed := 0.0051 * math.Abs(v) // half of the third digit, at worst 0.5 of 100
	allowed = max(allowed, places(u))
	switch {
	case u == units.Second && math.Abs(v) > 1e15:
	case u == units.Second && math.Abs(v) >= 3599:
		allowed = 30.001 + 1e-9*math.Abs(v)
	case u == units.Celsius:
		allowed += 0.0501
	}
	if math.Abs(got-v) > allowed {
		t.Errorf("Format(%v, %q) = %q, which reads as %v", v, u, s, got)
	}
}

// places returns half of the third decimal place of a value without a prefix.
func places(u units.Unit) float64 {
	if half, known := map[units.Unit]float64{units.Joule: 0, units.Watt: 0, units.Second: 0, units.Ratio: 0.51e-5, units.Gram: 0, units.JouleSecond: 0, units.AnyCurrency: 0}[u]; known {
		return half
	}
	return 0.51e-3
}

// smallest returns the smallest value of a unit that has digits.
func smallest(u units.Unit) float64 {
	if least, known := map[units.Unit]float64{units.Joule: 1e-6, units.Watt: 1e-6, units.Second: 1e-9, units.Ratio: 1e-4, units.Gram: 1e-6, units.JouleSecond: 1e-6, units.AnyCurrency: 0}[u]; known {
		return least
	}
	return 1e-3
}

func TestRoundTrip(t *testing.T) {
	for _, u := range units.All() {
		checkRoundTrip(t, 0, u)
		for e := -12; e <= 17; e++ {
			for _, m := range []float64{1, 1.004, 1.005, 2.345, 5.995, 9.94, 9.95, 9.994, 9.995, 9.9995} {
				v := m * math.Pow(10, float64(e))
				checkRoundTrip(t, v, u)
				checkRoundTrip(t, below(v), u)
				checkRoundTrip(t, -v, u)
			}
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(999.95, 0)
	f.Add(59.95, 3)
	f.Add(1023.5, 2)
	f.Add(-1e-300, 6)
	all := units.All()
	f.Fuzz(func(t *testing.T, v float64, i int) {
		u := all[int(uint(i)%uint(len(all)))]
		s := units.Format(v, u)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			if s != units.None {
				t.Fatalf("Format(%v, %q) = %q", v, u, s)
			}
			return
		}
		if len(s) > 40 {
			t.Fatalf("Format(%v, %q) = %q is too long", v, u, s)
		}
		checkRoundTrip(t, v, u)
	})
}
