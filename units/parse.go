package units

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Errors that Parse and ParseScale wrap.
var (
	// ErrSyntax means that a text is not a number followed by a unit.
	ErrSyntax = errors.New("not a number with a unit")
	// ErrUnit means that a unit is unknown.
	ErrUnit = errors.New("unknown unit")
	// ErrDimension means that a unit belongs to another quantity.
	ErrDimension = errors.New("unit of another quantity")
)

// Scale is a unit as people write it: "kWh", "GiB", "min", "%". Base converts a number with this unit to the base unit.
type Scale struct {
	// Word is the written form, and Unit the base unit that it belongs to.
	Word string
	Unit Unit
	// A number is multiplied by mul and divided by div. Dividing by a power of ten gives the nearest float, and multiplying
	// by its inverse does not.
	mul, div float64
}

// Base returns the value of a number with this unit in the base unit: 3 kWh are 1.08e7 J.
func (s Scale) Base(number float64) float64 { return number * s.mul / s.div }

// stem is a written unit that may have prefixes.
type stem struct {
	unit   Unit
	word   string
	factor float64 // base units in one
	small  bool    // n, µ and m may precede it
	large  bool    // k, M, G, T and P may
	binary bool    // Ki, Mi, Gi, Ti and Pi may
}

// stems lists the written forms of all units except counts. Format uses the first form of a unit.
func stems() []stem {
	return []stem{
		{unit: Joule, word: "J", factor: 1, small: true, large: true},
		{unit: Joule, word: "Wh", factor: 3600, small: true, large: true},
		{unit: Watt, word: "W", factor: 1, small: true, large: true},
		{unit: Byte, word: "B", factor: 1, large: true, binary: true},
		{unit: Byte, word: "By", factor: 1, large: true, binary: true},
		{unit: Second, word: "s", factor: 1, small: true},
		{unit: Second, word: "min", factor: 60},
		{unit: Second, word: "h", factor: 3600},
		{unit: Second, word: "d", factor: 86400},
		{unit: Hertz, word: "Hz", factor: 1, large: true},
		{unit: Celsius, word: "°C", factor: 1},
		{unit: Celsius, word: "Cel", factor: 1},
		{unit: Ratio, word: "%", factor: 1.0 / 100},
		{unit: Gram, word: "g", factor: 1, small: true, large: true},
		{unit: Gram, word: "t", factor: 1e6},
		{unit: JouleSecond, word: "Js", factor: 1, small: true, large: true},
	}
}

// scales returns all forms of a stem. The form without a prefix comes first.
func (s stem) scales() []Scale {
	out := []Scale{{s.word, s.unit, s.factor, 1}}
	if s.word == "%" {
		out[0].mul, out[0].div = 1, 100
	}
	if s.small {
		for i, p := range []string{"m", "µ", "n"} {
			out = append(out, Scale{p + s.word, s.unit, s.factor, math.Pow10(3 * (i + 1))})
		}
	}
	if s.large {
		for i, p := range []string{"k", "M", "G", "T", "P"} {
			out = append(out, Scale{p + s.word, s.unit, s.factor * math.Pow10(3*(i+1)), 1})
		}
	}
	if s.binary {
		for i, p := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
			out = append(out, Scale{p + s.word, s.unit, s.factor * math.Pow(1024, float64(i+1)), 1})
		}
	}
	return out
}

// Bare returns the scale of a number without a unit, as a count may have none.
func Bare(u Unit) Scale { return Scale{"", u, 1, 1} }

// Counts reports whether u counts things or is empty, so that a number needs no unit.
func (u Unit) Counts() bool {
	_, counts := u.noun()
	return counts || u == ""
}

// Scales returns the ways to write unit u: "J", "mJ", ..., "Wh", .... The way of Format comes first. A count has the plural
// and the singular of its noun, and the UCUM code.
func Scales(u Unit) []Scale {
	var out []Scale
	for _, s := range stems() {
		if s.unit == u {
			out = append(out, s.scales()...)
		}
	}
	if u.IsMoney() {
		out = append(out, Scale{u.Symbol(), u, 1, 1})
	}
	if noun, counts := u.noun(); counts {
		for _, word := range []string{u.Symbol(), noun, string(u)} {
			out = append(out, Scale{word, u, 1, 1})
		}
	}
	return out
}

// ParseScale finds a unit by its written form or its UCUM code. Case matters: "mJ" and "MJ" differ. The prefix for a
// millionth may be "µ" (either code point) or "u". Three capital letters are a currency. The error wraps ErrUnit.
func ParseScale(word string) (Scale, error) {
	if u, ok := Money(word); ok {
		return Scale{word, u, 1, 1}, nil
	}
	plain := strings.Replace(word, "\u03bc", "\u00b5", 1)
	if rest, ok := strings.CutPrefix(plain, "u"); ok {
		plain = "\u00b5" + rest
	}
	for _, u := range All() {
		for _, s := range Scales(u) {
			if s.Word == plain || s.Word == word {
				return s, nil
			}
		}
	}
	return Scale{}, fmt.Errorf("%q: %w", word, ErrUnit)
}

// Parse parses a value of unit u as Format prints it or people write it: "500 J", "3kWh", "1.50 GiB", "1 min 23.4 s",
// "81.2 %", "1,234", "12 packets". It returns the value in the base unit. Only a count needs no unit. The error wraps
// ErrSyntax, ErrUnit or ErrDimension.
func Parse(text string, u Unit) (float64, error) {
	rest := strings.TrimSpace(text)
	negative := strings.HasPrefix(rest, "-")
	rest = strings.TrimPrefix(rest, "-")
	sum, smallest := 0.0, math.Inf(1)
	for first := true; first || rest != ""; first = false {
		number, word, after := Cut(rest)
		value, err := ParseNumber(number)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", text, err)
		}
		s, err := scaleOf(word, u)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", text, err)
		}
		// Only a time has several parts: hours, minutes, seconds.
		if !first && (u != Second || s.Base(1) >= smallest) {
			return 0, fmt.Errorf("%q: %w", text, ErrSyntax)
		}
		sum, smallest, rest = sum+s.Base(value), s.Base(1), after
	}
	if math.IsInf(sum, 0) {
		return 0, fmt.Errorf("%q: too large: %w", text, ErrSyntax)
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

// scaleOf finds the scale of a word. The error wraps ErrUnit, or ErrDimension if the word is not a form of unit u.
func scaleOf(word string, u Unit) (Scale, error) {
	if word == "" && u.Counts() {
		return Bare(u), nil
	}
	if word == "" {
		return Scale{}, fmt.Errorf("no unit: %w", ErrSyntax)
	}
	s, err := ParseScale(word)
	if err == nil && s.Unit != u {
		err = fmt.Errorf("%q: %w", word, ErrDimension)
	}
	return s, err
}

// Cut splits a text after its first number and unit: "1 min 23.4 s" gives "1", "min" and "23.4 s". A missing part is empty.
func Cut(text string) (number, unit, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	n := numberLength(text)
	number, rest = text[:n], strings.TrimLeftFunc(text[n:], unicode.IsSpace)
	end := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune("%°{}_", r) })
	if end < 0 {
		end = len(rest)
	}
	return number, rest[:end], strings.TrimLeftFunc(rest[end:], unicode.IsSpace)
}

// numberLength returns the length of the number at the start of a text. A number has digits, with or without commas between
// groups of three, and may have a fraction and an exponent.
func numberLength(text string) int {
	digits := func(i int) int {
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i
	}
	i := digits(0)
	for i > 0 && i < len(text) && text[i] == ',' && digits(i+1) == i+4 {
		i += 4
	}
	if i < len(text) && text[i] == '.' && digits(i+1) > i+1 {
		i = digits(i + 1)
	}
	if i > 0 && i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		j := i + 1
		if j < len(text) && (text[j] == '+' || text[j] == '-') {
			j++
		}
		if end := digits(j); end > j {
			i = end
		}
	}
	return i
}

// ParseNumber parses a number in the form that Cut returns: "1,234.5", "1e6". The error wraps ErrSyntax.
func ParseNumber(number string) (float64, error) {
	if number == "" || numberLength(number) != len(number) {
		return 0, fmt.Errorf("no number: %w", ErrSyntax)
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil {
		return 0, fmt.Errorf("%s: too large: %w", number, ErrSyntax)
	}
	return v, nil
}

// Names lists the written forms of unit u for people: "J, kJ, MJ, Wh, kWh". It leaves out rare prefixes.
func Names(u Unit) []string {
	usual := []string{
		"J", "kJ", "MJ", "Wh", "kWh", "mW", "W", "kW", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "ms", "s", "min", "h",
		"Hz", "MHz", "GHz", "°C", "%", "mg", "g", "kg", "Js",
	}
	var out []string
	for _, word := range usual {
		if slices.ContainsFunc(Scales(u), func(s Scale) bool { return s.Word == word }) {
			out = append(out, word)
		}
	}
	if _, counts := u.noun(); counts || u.IsMoney() {
		out = append(out, u.Symbol())
	}
	return out
}
