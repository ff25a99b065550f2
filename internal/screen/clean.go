package screen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns a text that somebody else chose as one printable line. It writes control characters, line ends among them,
// characters that change the direction of text, and invalid UTF-8 as Go does in a string.
func Clean(s string) string {
	clean := true
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !unicode.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// Cell returns Clean(s) as a cell of CSV that no spreadsheet takes for a formula (CWE-1236): names of commands, hosts and devices
// are somebody else's. Each part of a file that is text goes through it.
func Cell(s string) string {
	s = Clean(s)
	first, _ := utf8.DecodeRuneInString(s)
	if s != "" && strings.ContainsRune("=+-@\uff1d\uff0b\uff0d\uff20", first) { // the second four are their wide forms
		return "'" + s
	}
	return s
}

// CleanJSON escapes, as \u, what encoding/json leaves as it is although it could control a terminal: DEL, the C1 controls,
// and characters that change the direction of text. In JSON they occur only within strings.
func CleanJSON(b []byte) []byte {
	if !slices.ContainsFunc(b, func(c byte) bool { return c > '~' }) { // nearly always
		return b
	}
	out, _ := clean(nil, b, false)
	return out
}

// clean appends b to dst, with everything escaped that could control a terminal, except line ends and tabs. If styled is
// true, the looks of this package pass. It returns what is left at the end: the beginning of a character or of a look.
//
// A character is escaped as JSON does, so JSON keeps its meaning. A byte that is not UTF-8 is escaped as \x.
func clean(dst, b []byte, styled bool) (out, rest []byte) {
	for len(b) > 0 {
		if c := b[0]; c >= ' ' && c < 0x7f || c == '\n' || c == '\t' {
			dst, b = append(dst, c), b[1:]
			continue
		}
		if styled && b[0] == escape {
			n, whole := look(b)
			if !whole {
				return dst, b
			}
			if n > 0 {
				dst, b = append(dst, b[:n]...), b[n:]
				continue
			}
		}
		if !utf8.FullRune(b) {
			return dst, b
		}
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, b[0])
		case unicode.IsPrint(r):
			dst = append(dst, b[:n]...)
		case r > 0xffff: // JSON needs two surrogates
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		b = b[n:]
	}
	return dst, nil
}
