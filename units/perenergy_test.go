package units_test

import (
	"errors"
	"math"
	"testing"

	"github.com/ergon-energy/ergon/units"
)

func TestParseIntensity(t *testing.T) {
	for text, want := range map[string]float64{
		"230g/kWh":        230 / 3.6e6,
		"230 g/kWh":       230 / 3.6e6,
		"0.23 kg / kWh":   230 / 3.6e6,
		"230gCO2eq/kWh":   230 / 3.6e6,
		"230 gCO2e/kWh":   230 / 3.6e6,
		"230 g CO2eq/kWh": 230 / 3.6e6,
		"0.23 t/MWh":      230 / 3.6e6,
		"1 g/J":           1,
		"1,230.5 g/kWh":   1230.5 / 3.6e6,
		"63.9 \u00b5g/J":  63.9e-6,
		"0 g/kWh":         0,
		"  18 gCO2 /kWh ": 18 / 3.6e6,
	} {
		if got, err := units.ParseIntensity(text); err != nil || math.Abs(got-want) > 1e-15*want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"230": units.ErrSyntax, "": units.ErrSyntax, "g/kWh": units.ErrSyntax, "-5 g/kWh": units.ErrSyntax, "1e308 kg/J": units.ErrSyntax,
		"230 g": units.ErrSyntax, "230 g/": units.ErrSyntax, "230 /kWh": units.ErrSyntax, "230 lb/MWh": units.ErrUnit, "230 g/h": units.ErrDimension,
		"230 J/kWh": units.ErrDimension, "230 EUR/kWh": units.ErrDimension, "NaN g/kWh": units.ErrSyntax, "Inf g/kWh": units.ErrSyntax,
	} {
		if got, err := units.ParseIntensity(text); !errors.Is(err, want) || got != 0 {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParsePrice(t *testing.T) {
	for text, want := range map[string]struct {
		perKWh   float64
		currency units.Unit
	}{
		"0.30EUR/kWh": {0.3, "{EUR}"}, "0.30 EUR/kWh": {0.3, "{EUR}"}, "300 USD/MWh": {0.3, "{USD}"}, "45 JPY / kWh": {45, "{JPY}"}, "0 XXX/kWh": {0, "{XXX}"},
	} {
		got, currency, err := units.ParsePrice(text)
		if err != nil || math.Abs(got*3.6e6-want.perKWh) > 1e-12 || currency != want.currency {
			t.Errorf("%q is %v %s, %v; want %v", text, got*3.6e6, currency, err, want)
		}
	}
	for text, want := range map[string]error{
		"0.30": units.ErrSyntax, "0.30EUR": units.ErrSyntax, "0.30/kWh": units.ErrUnit, "0.30 \u20ac/kWh": units.ErrUnit, "0.30 eur/kWh": units.ErrUnit,
		"0.30 EURO/kWh": units.ErrUnit, "EUR/kWh": units.ErrSyntax, "0.30 EUR/h": units.ErrDimension, "0.30 EUR/kwh": units.ErrUnit, "-1 EUR/kWh": units.ErrSyntax,
	} {
		if got, currency, err := units.ParsePrice(text); !errors.Is(err, want) || got != 0 {
			t.Errorf("%q is %v %q, %v; want %v", text, got, currency, err, want)
		}
	}
}

func TestFormatPerKWh(t *testing.T) {
	f := func(perKWh float64, u units.Unit, want string) {
		t.Helper()
		if got := units.FormatPerKWh(perKWh/3.6e6, u); got != want {
			t.Errorf("%v is %q, want %q", perKWh, got, want)
		}
	}
	f(230, units.Gram, "230 g/kWh")
	f(0.3, "{EUR}", "0.30 EUR/kWh")
	f(0.2945, "{EUR}", "0.2945 EUR/kWh")
	f(45, "{JPY}", "45 JPY/kWh")
	f(0, units.Gram, "0 g/kWh")
	f(417.8, units.Gram, "417.8 g/kWh")
	f(math.NaN(), units.Gram, units.None)
}

// TestMoney checks that a currency is no count, and no other unit a currency.
func TestMoney(t *testing.T) {
	for _, u := range units.All() {
		if u.IsMoney() != (u == units.AnyCurrency) {
			t.Errorf("%q: money is %v", u, u.IsMoney())
		}
	}
	eur, ok := units.Money("EUR")
	if !ok || !eur.IsMoney() || eur.Counts() || eur.Symbol() != "EUR" {
		t.Errorf("%q, %v", eur, ok)
	}
	if v, err := units.Parse("0.01 EUR", eur); err != nil || v != 0.01 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := units.Parse("0.01 USD", eur); !errors.Is(err, units.ErrDimension) {
		t.Error(err)
	}
	if _, err := units.Parse("0.01", eur); !errors.Is(err, units.ErrSyntax) {
		t.Error(err)
	}
	if got := units.FormatUncertain(0.01, 0.02, eur); got != units.None {
		t.Errorf("an amount below its uncertainty is %q", got)
	}
}
