package units

import (
	"math"
	"strings"
)

// FormatUncertain shows a value that may be off by half to either side, both of unit u, a base unit: "12.3 ± 0.4 J".
// The half-width has one significant digit, two where the first is 1, and the value is rounded to the same place. A
// half-width below the last digit that Format prints, or one that is not known (NaN), is left out, and so is that of
// any unit but J and W.
func FormatUncertain(v, half float64, u Unit) string {
	plain := Format(v, u)
	if u != Joule && u != Watt || plain == None || !(half > 0 && half <= math.MaxFloat64) {
		return plain
	}
	// The greater of the two decides on the prefix, as 3 mJ that may be off by 1 J is 0.0 ± 1.0 J.
	widest := max(math.Abs(v), half)
	number, symbol, _ := strings.Cut(scaled(widest, -9, string(u)), " ")
	_, decimals, _ := strings.Cut(number, ".")
	power := prefixPower(strings.TrimSuffix(symbol, string(u)))
	digits, exp := threeDigits(half)
	places := power - exp
	if digits[0] == '1' {
		places++
	}
	places = min(places, len(decimals))
	shown := rounded(half, power, places)
	if !strings.ContainsAny(shown, "123456789") {
		return plain
	}
	value := rounded(math.Abs(v), power, places)
	if v < 0 && strings.ContainsAny(value, "123456789") {
		value = "-" + value
	}
	return value + " ± " + shown + " " + symbol
}

// prefixPower is the power of ten of an SI prefix from n to P.
func prefixPower(prefix string) int {
	switch prefix {
	case "n":
		return -9
	case "µ":
		return -6
	case "m":
		return -3
	case "k":
		return 3
	case "M":
		return 6
	case "G":
		return 9
	case "T":
		return 12
	case "P":
		return 15
	}
	return 0
}

// rounded shows v, which is not negative, in steps of 10^power with so many places behind the point; with fewer than
// none it is rounded to tens, hundreds and so on.
func rounded(v float64, power, places int) string {
	if power < 0 {
		v *= math.Pow10(-power)
	} else {
		v /= math.Pow10(power)
	}
	if places < 0 {
		step := math.Pow10(-places)
		return fixed(math.Round(v/step)*step, 0)
	}
	return fixed(v, places)
}
