package units

import (
	"math"
	"strconv"
	"strings"
)

// None is shown if there is no value. It is never a number.
const None = "–"

// leastEnergy is the power of ten of the smallest energy, power or mass that is shown. Counters count in steps of 15 µJ and
// more.
const leastEnergy = -6

// Text is a formatted value in two parts, so that a table can align numbers and units: "1 min 23.4" and "s". A count has no
// Unit.
type Text struct{ Number, Unit string }

// String returns the number, a space and the unit: "1 min 23.4 s".
func (t Text) String() string {
	if t.Unit == "" {
		return t.Number
	}
	return t.Number + " " + t.Unit
}

// Symbol returns the unit's name for people: "B" for By, "°C" for Cel, "%" for a ratio, "packets" for {packet}, "EUR" for
// {EUR}. For a code that is not in All, it returns the code.
func (u Unit) Symbol() string {
	switch u {
	case Byte:
		return "B"
	case Celsius:
		return "°C"
	case Ratio:
		return "%"
	case AnyCurrency:
		return "currency"
	case JouleSecond:
		return "Js"
	default: // the code or its noun, below
	}
	if code := u.code(); code != "" {
		return code
	}
	noun, counts := u.noun()
	switch {
	case !counts:
		return string(u)
	case strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "s"):
		return noun + "es"
	}
	return noun + "s"
}

// noun returns the things that a unit counts: the annotation in its braces.
func (u Unit) noun() (string, bool) {
	s, opened := strings.CutPrefix(string(u), "{")
	s, closed := strings.CutSuffix(s, "}")
	return s, opened && closed && s != "" && !u.IsMoney()
}

// Format formats a value of the base unit u for people: "1.00 kW", "1.50 GiB", "83.4 ms", "1 min 23.4 s", "2 h 03 min",
// "81.2 %", "45.3 °C", "1,234". It gives three significant digits, or more if the whole part has more (1023 KiB). It never
// gives more than three decimal places, except for money. A value too small for that is shown as less than a bound: "<1 µJ",
// "<0.01 %". A value that is not finite gives None.
//
// The prefix is chosen after rounding, so it always fits the printed digits: there is no "1000 W".
func Format(v float64, u Unit) string { return TextOf(v, u).String() }

// TextOf is Format in two parts.
func TextOf(v float64, u Unit) Text {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Text{Number: None}
	}
	t := magnitude(math.Abs(v), u)
	switch {
	case v >= 0:
	case strings.HasPrefix(t.Number, "<"):
		t.Number = "0" // "-<1" says nothing
	case strings.ContainsAny(t.Number, "123456789"): // a value that rounds to 0 has no sign: -0.04 °C is 0.0 °C
		t.Number = "-" + t.Number
	}
	return t
}

// magnitude is TextOf for a finite value that is not negative.
func magnitude(v float64, u Unit) Text {
	_, counts := u.noun()
	switch {
	case u == Joule, u == Watt, u == Gram, u == JouleSecond:
		return prefixed(v, leastEnergy, Unit(u.Symbol()))
	case u.IsMoney():
		return Text{money(v), u.Symbol()}
	case u == Hertz:
		return prefixed(v, 0, u)
	case u == Byte && v < 1024 && v == math.Trunc(v):
		return Text{fixed(v, 0), "B"}
	case u == Byte:
		return prefixedBinary(v)
	case u == Second:
		return seconds(v)
	case u == Celsius && v < 1e6:
		// A temperature is a point on a scale, so the number of its digits says nothing about its precision.
		return Text{fixed(v, 1), u.Symbol()}
	case u == Ratio:
		return Text{percent(v), u.Symbol()}
	case counts:
		return Text{Number: count(v)}
	default:
		return Text{three(v), u.Symbol()}
	}
}

// FormatRate formats a rate, in u per second, for people: "1.50 MiB/s", "1,234 packets/s". Joules per second are watts.
func FormatRate(v float64, u Unit) string {
	t := TextOf(v, u)
	_, counts := u.noun()
	switch {
	case t.Number == None:
		return None
	case u == Joule:
		return Format(v, Watt)
	case u == Second:
		return three(v) + " s/s" // "1 min 23.4 s/s" would be hard to understand
	case counts:
		t.Unit = u.Symbol()
	}
	return t.String() + "/s"
}

// prefixed formats v, which is not negative, with an SI prefix from 10^least to P.
func prefixed(v float64, least int, u Unit) Text {
	number, power := scaled(v, least)
	return Text{number, prefix(power) + string(u)}
}

// prefix returns the SI prefix of a power of ten from n to P.
func prefix(power int) string {
	return [...]string{"n", "µ", "m", "", "k", "M", "G", "T", "P"}[power/3+3]
}

// scaled formats v, which is not negative, in units of 10^power, which is the power of an SI prefix from 10^least to P. It
// moves the decimal point in the three printed digits and does not multiply or divide. For example, 1000 ×
// 0.9994999999999999 W is 999.5 mW, which would be printed as 1000 mW.
func scaled(v float64, least int) (number string, power int) {
	if v == 0 {
		return "0", 0
	}
	digits, exp := threeDigits(v)
	power = max(least, min(15, exp-((exp%3)+3)%3))
	point := exp - power + 1
	switch {
	case point < 1 && power < 0:
		number = "<1"
	case point < 1:
		number = three(v)
	case point == 1, point == 2:
		number = digits[:point] + "." + digits[point:]
	case point == 3:
		number = digits
	default:
		number = three(v / math.Pow10(power))
	}
	return number, power
}

// prefixedBinary formats a number of bytes, which is not negative, with an IEC prefix. Dividing by a power of two is exact.
func prefixedBinary(v float64) Text {
	prefixes := [...]string{"", "Ki", "Mi", "Gi", "Ti", "Pi"}
	last := len(prefixes) - 1
	for i := 0; ; i++ {
		s := three(v)
		if i == last || printed(s) < 1024 {
			return Text{s, prefixes[i] + "B"}
		}
		v /= 1024
	}
}

// threeDigits rounds v, which is above 0, to three digits. It also returns the power of ten of the first digit.
func threeDigits(v float64) (digits string, exp int) {
	mantissa, power, _ := strings.Cut(strconv.FormatFloat(v, 'e', 2, 64), "e")
	exp, err := strconv.Atoi(power)
	if err != nil {
		return "NaN", 0 // v was not finite, which no caller allows
	}
	return mantissa[:1] + mantissa[2:], exp
}

// three formats v, which is not negative, with three significant digits, or with its whole part if that has more. It uses
// an exponent if there would be many zeros behind, and at most three decimal places.
func three(v float64) string {
	const decimals, least = 3, 0.001
	if v == 0 {
		return "0"
	}
	_, exp := threeDigits(v)
	switch {
	case v < least:
		return "<0.001"
	case exp > 15:
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	return fixed(v, min(decimals, max(0, 2-exp)))
}

// seconds formats a duration. Below a minute it is scaled like other quantities.
func seconds(v float64) Text {
	if v < 60 {
		if t := prefixed(v, -9, Second); t != (Text{"60.0", "s"}) {
			return t
		}
	}
	if v > 1e15 {
		return Text{three(v), "s"}
	}
	if tenths := max(600, int64(math.Round(v*10))); tenths < 36000 {
		whole, tenth := strconv.FormatInt(tenths/600, 10), strconv.FormatInt(tenths%10, 10)
		return Text{whole + " min " + two(tenths%600/10) + "." + tenth, "s"}
	}
	minutes := max(60, int64(math.Round(v/60)))
	return Text{group(strconv.FormatInt(minutes/60, 10)) + " h " + two(minutes%60), "min"}
}

// percent formats the number of a ratio in percent. A very small ratio is shown as less than a bound. Only 0 is shown as 0.
func percent(v float64) string {
	p := v * 100
	if p != 0 && p < 0.01 {
		return "<0.01"
	}
	return three(p)
}

// count formats a number of things. A whole number has no fraction, and commas between thousands.
func count(v float64) string {
	if v == math.Trunc(v) && v < 1e15 {
		return group(fixed(v, 0))
	}
	return group(three(v))
}

// group puts commas between the thousands of a number without a sign.
func group(s string) string {
	whole, rest := s, ""
	if i := strings.IndexAny(s, ".e"); i >= 0 {
		whole, rest = s[:i], s[i:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + rest
}

func two(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

func fixed(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

// printed parses the result of three. A bound is parsed as its value.
func printed(s string) float64 {
	s = strings.TrimPrefix(s, "<")
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.Inf(1)
	}
	return v
}
