package report

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/screen"
)

// printable returns a string that somebody else chose as one line that cannot control a terminal.
func printable(s string) string { return screen.Clean(s) }

// ascii returns printable text in ASCII. It replaces ergon's own signs by similar ASCII text, and other characters by their
// code.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		like, own := likeness(r)
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case own:
			b.WriteString(like)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// likeness returns the ASCII text for a sign that ergon itself writes.
func likeness(r rune) (string, bool) {
	switch r {
	case 'µ':
		return "u", true
	case '°':
		return "", true
	case '–':
		return "-", true
	case '…':
		return "...", true
	case '∫':
		return "^", true
	case '≈':
		return "*", true
	case '×':
		return "x", true
	case '≥':
		return ">=", true
	case '±':
		return "+-", true
	case '·':
		return "-", true
	case '≤':
		return "<=", true
	case '→':
		return "->", true
	case '−':
		return "-", true
	}
	return "", false
}

// commandLine returns argv as one printable line that a shell could run.
func commandLine(argv []string) string { return cmdline.Line(argv) }

// columns returns the number of terminal columns of printable text. It knows only common wide characters, because a full
// table of widths is larger than this package.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.Is(unicode.M, r):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x3000 && r <= 0x303f, r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// shorten cuts printable text to n columns. If it cuts, the last column is an ellipsis.
func shorten(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		w := runeColumns(r)
		if used+w > n-1 {
			if n < 1 {
				return ""
			}
			return s[:i] + "…"
		}
		used += w
	}
	return s
}

// pad fills text with spaces up to n columns. If right is set, the text is aligned to the right.
func pad(s string, n int, right bool) string {
	space := strings.Repeat(" ", max(0, n-columns(s)))
	if right {
		return space + s
	}
	return s + space
}
