package units_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/units"
)

func TestParse(t *testing.T) {
	f := func(text string, u units.Unit, want float64) {
		t.Helper()
		if got, err := units.Parse(text, u); got != want || err != nil {
			t.Errorf("Parse(%q, %q) = %v, %v, want %v", text, u, got, err, want)
		}
	}
	f("500 J", units.Joule, 500)
	f("500J", units.Joule, 500)
	f(" 2.5  kJ ", units.Joule, 2500)
	f("3 kWh", units.Joule, 1.08e7)
	f("1 mWh", units.Joule, 3.6)
	f("61 µJ", units.Joule, 61e-6)
	f("61 \u03bcJ", units.Joule, 61e-6)
	f("61 uJ", units.Joule, 61e-6)
	f("240422366267 µJ", units.Joule, 240422.366267)
	f("-12.3 W", units.Watt, -12.3)
	f("1e3 W", units.Watt, 1000)
	f("1.5e+06W", units.Watt, 1.5e6)
	f("2 GiB", units.Byte, 2<<30)
	f("2 GB", units.Byte, 2e9)
	f("2 By", units.Byte, 2)
	f("2 MiBy", units.Byte, 2<<20)
	f("1 min 23.4 s", units.Second, 83.4)
	f("2 h 03 min", units.Second, 7380)
	f("1h30min", units.Second, 5400)
	f("10,000 h 00 min", units.Second, 36e6)
	f("83 ms", units.Second, 0.083)
	f("5 %", units.Ratio, 0.05)
	f("5%", units.Ratio, 0.05)
	f("2.4 GHz", units.Hertz, 2.4e9)
	f("-3.5 °C", units.Celsius, -3.5)
	f("-3.5 Cel", units.Celsius, -3.5)
	f("1,234", units.Processes, 1234)
	f("12 processes", units.Processes, 12)
	f("1 process", units.Processes, 1)
	f("1 {process}", units.Processes, 1)
	f("2.50", "", 2.5)
}

func TestParseErrors(t *testing.T) {
	f := func(text string, u units.Unit, want error) {
		t.Helper()
		if got, err := units.Parse(text, u); !errors.Is(err, want) || got != 0 {
			t.Errorf("Parse(%q, %q) = %v, %v, want %v", text, u, got, err, want)
		}
	}
	f("", units.Joule, units.ErrSyntax)
	f("J", units.Joule, units.ErrSyntax)
	f("500", units.Joule, units.ErrSyntax)
	f("500 J J", units.Joule, units.ErrSyntax)
	f("5 J 3 mJ", units.Joule, units.ErrSyntax)
	f("5 s 3 min", units.Second, units.ErrSyntax)
	f("5 s 3 s", units.Second, units.ErrSyntax)
	f("--5 J", units.Joule, units.ErrSyntax)
	f("1,23 J", units.Joule, units.ErrSyntax)
	f("1e999 J", units.Joule, units.ErrSyntax)
	f("1e300 PWh", units.Joule, units.ErrSyntax)
	f("NaN J", units.Joule, units.ErrSyntax)
	f("inf J", units.Joule, units.ErrSyntax)
	f(units.None, units.Joule, units.ErrSyntax)
	f("5 KB", units.Byte, units.ErrUnit)
	f("5 m", units.Second, units.ErrUnit)
	f("5 joule", units.Joule, units.ErrUnit)
	f("5 J", units.Watt, units.ErrDimension)
	f("5 packets", units.Processes, units.ErrDimension)
	f("5 J", units.Processes, units.ErrDimension)
}

// TestParseFormat checks that Parse reads the result of Format as the printed value.
func TestParseFormat(t *testing.T) {
	check := func(v float64, u units.Unit) {
		t.Helper()
		s := units.Format(v, u)
		if strings.Contains(units.Format(math.Abs(v), u), "<") { // less than the smallest printed value
			return
		}
		got, err := units.Parse(s, u)
		if err != nil {
			t.Fatal(err)
		}
		allowed := max(0.0051*math.Abs(v), places(u))
		switch {
		case u == units.Second && math.Abs(v) >= 3599:
			allowed = 30.001 + 1e-9*math.Abs(v)
		case u == units.Celsius:
			allowed += 0.0501
		}
		if math.Abs(got-v) > allowed {
			t.Errorf("Parse(%q, %q) = %v, want %v", s, u, got, v)
		}
	}
	for _, u := range units.All() {
		check(0, u)
		for e := -9; e <= 14; e++ {
			for _, m := range []float64{1, 2.345, 5.995, 9.995} {
				check(m*math.Pow10(e), u)
				check(-m*math.Pow10(e), u)
			}
		}
	}
}

// TestScales checks that ParseScale accepts every form that Scales lists, and that no form belongs to two units.
func TestScales(t *testing.T) {
	seen := map[string]units.Unit{}
	for _, u := range units.All() {
		scales := units.Scales(u)
		if len(scales) == 0 || scales[0].Word != u.Symbol() || scales[0].Unit != u {
			t.Errorf("%q: first scale %+v", u, scales)
		}
		for _, s := range scales {
			if other, twice := seen[s.Word]; twice && other != u {
				t.Errorf("%q belongs to %q and to %q", s.Word, other, u)
			}
			seen[s.Word] = u
			if got, err := units.ParseScale(s.Word); err != nil || got.Unit != u || got.Base(3) != s.Base(3) {
				t.Errorf("ParseScale(%q) = %+v, %v", s.Word, got, err)
			}
			if v, err := units.Parse("1 "+s.Word, u); err != nil || v != s.Base(1) {
				t.Errorf("1 %s is %v, %v", s.Word, v, err)
			}
		}
		if names := units.Names(u); len(names) == 0 {
			t.Errorf("%q has no names", u)
		}
	}
}

func ExampleParse() {
	for _, text := range []string{"3 kWh", "1 h 30 min", "2 GiB"} {
		for _, u := range []units.Unit{units.Joule, units.Second, units.Byte} {
			if v, err := units.Parse(text, u); err == nil {
				fmt.Println(text, "=", v, u)
			}
		}
	}
	// Output:
	// 3 kWh = 1.08e+07 J
	// 1 h 30 min = 5400 s
	// 2 GiB = 2.147483648e+09 By
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"500 J", "1 min 23.4 s", "-5%", "1,234 packets", "2GiB", "1e9 \u03bcs", "5 {packet}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, u := range units.All() {
			v, err := units.Parse(text, u)
			if err != nil && v != 0 || math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("Parse(%q, %q) = %v, %v", text, u, v, err)
			}
			number, unit, rest := units.Cut(text)
			if len(number)+len(unit)+len(rest) > len(text) {
				t.Fatalf("Cut(%q) = %q, %q, %q", text, number, unit, rest)
			}
		}
	})
}
