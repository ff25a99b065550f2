package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// AnyCurrency is the unit of an amount of money whose currency is not known yet.
const AnyCurrency Unit = "{currency}"

// Money returns the unit of a currency, given its code of ISO 4217: "EUR" gives "{EUR}". It returns false if the text is not
// three capital letters. It does not know which codes exist.
func Money(code string) (Unit, bool) {
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", false
	}
	return Unit("{" + code + "}"), true
}

// IsMoney reports whether u is the unit of a currency.
func (u Unit) IsMoney() bool { return u == AnyCurrency || u.code() != "" }

// code returns the code of a currency, or "" if u is another unit.
func (u Unit) code() string {
	code := strings.TrimSuffix(strings.TrimPrefix(string(u), "{"), "}")
	if of, ok := Money(code); ok && of == u {
		return code
	}
	return ""
}

// money formats an amount with three significant digits and no prefix: "0.00896", "12.3", "1,234". It uses an exponent if
// there would be many zeros: "8.96e-05".
func money(v float64) string {
	const least, most = -4, 15
	if v == 0 {
		return "0"
	}
	_, exp := threeDigits(v)
	if exp < least || exp > most {
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	return group(fixed(v, max(0, 2-exp)))
}

// ParseIntensity parses a carbon intensity: "230 g/kWh", "0.23 kgCO2e/kWh". It returns grams of CO2 equivalent per joule. The
// error wraps ErrSyntax, ErrUnit or ErrDimension.
func ParseIntensity(text string) (float64, error) {
	number, word, energy, err := cutPerEnergy(text)
	if err != nil {
		return 0, err
	}
	for _, gas := range []string{"CO2eq", "CO2e", "CO2"} {
		word = strings.TrimSuffix(word, gas)
	}
	mass, err := scaleOf(strings.TrimSpace(word), Gram)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	return perEnergy(text, mass.Base(number), energy)
}

// ParsePrice parses a price of energy: "0.30 EUR/kWh", "300 EUR/MWh". It returns the amount per joule and the unit of the
// currency. The error wraps ErrSyntax, ErrUnit or ErrDimension.
func ParsePrice(text string) (float64, Unit, error) {
	number, word, energy, err := cutPerEnergy(text)
	if err != nil {
		return 0, "", err
	}
	currency, ok := Money(word)
	if !ok {
		return 0, "", fmt.Errorf("%q is not a currency of three capital letters: %w", word, ErrUnit)
	}
	price, err := perEnergy(text, number, energy)
	return price, currency, err
}

// cutPerEnergy splits "0.30 EUR/kWh" into 0.3, "EUR" and the scale of kWh.
func cutPerEnergy(text string) (number float64, word string, energy Scale, err error) {
	trimmed := strings.TrimSpace(text)
	n := numberLength(trimmed)
	if number, err = ParseNumber(trimmed[:n]); err != nil {
		return 0, "", energy, fmt.Errorf("%q: %w", text, err)
	}
	above, below, divided := strings.Cut(trimmed[n:], "/")
	if !divided {
		return 0, "", energy, fmt.Errorf("%q: no unit per energy: %w", text, ErrSyntax)
	}
	if energy, err = scaleOf(strings.TrimSpace(below), Joule); err != nil {
		return 0, "", energy, fmt.Errorf("%q: %w", text, err)
	}
	return number, strings.TrimSpace(above), energy, nil
}

// perEnergy divides an amount by an energy. The result is finite.
func perEnergy(text string, amount float64, energy Scale) (float64, error) {
	v := amount / energy.Base(1)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("%q: too large: %w", text, ErrSyntax)
	}
	return v, nil
}

// FormatPerKWh formats an amount of u per joule for people, as one per kWh: "230 g/kWh", "0.30 EUR/kWh". It gives as many
// digits as the number has, up to 12, because people compare it with what they typed.
func FormatPerKWh(v float64, u Unit) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return None
	}
	const digits, joules = 12, 3.6e6
	number := strconv.FormatFloat(v*joules, 'g', digits, 64)
	if !strings.Contains(number, "e") {
		if _, cents, fraction := strings.Cut(number, "."); u.IsMoney() && fraction && len(cents) == 1 {
			number += "0"
		}
	}
	return number + " " + u.Symbol() + "/kWh"
}
