package units

import (
	"math"
	"strings"
)

// FormatUncertain formats a value with its uncertainty, half, for people: "12.3 ± 0.4 J". Both have the base unit u. half
// has one significant digit, or two if the first is 1, and the value is rounded to the same place. If half is NaN (unknown)
// or below the last digit that Format prints, it is left out. It is also left out if u is neither J nor W.
//
// A value that is not above its uncertainty is None: no digit of it is known.
func FormatUncertain(v, half float64, u Unit) string { return TextUncertain(v, half, u).String() }

// TextUncertain is FormatUncertain in two parts: "12.3 ± 0.4" and "J".
func TextUncertain(v, half float64, u Unit) Text {
	plain := TextOf(v, u)
	prefixes := u == Joule || u == Watt || u == Gram
	if !prefixes && !u.IsMoney() || plain.Number == None || !(half > 0 && half <= math.MaxFloat64) {
		return plain
	}
	if half >= math.Abs(v) {
		return Text{Number: None}
	}
	if !prefixes {
		return plain
	}
	number, power := scaled(math.Abs(v), leastEnergy)
	_, decimals, _ := strings.Cut(number, ".")
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
	return Text{value + " ± " + shown, prefix(power) + string(u)}
}

// rounded formats v, which is not negative, in units of 10^power, with so many decimal places. A negative number of places
// rounds to tens, hundreds and so on.
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
