package cmdline

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns argv as one printable line of UTF-8 that a shell could run. So all bytes of all arguments come back.
func Line(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = quote(a)
	}
	return strings.Join(words, " ")
}

// quote writes an argument plain, in single quotes, or in $” with escapes.
func quote(a string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	switch {
	case a != "" && strings.Trim(a, safe) == "":
		return a
	case printable(a):
		return "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	q := strconv.Quote(a)
	return "$'" + strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), "'", `\'`) + "'"
}

// printable reports whether a text is UTF-8 without anything that could control a terminal.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0
}

var errLine = errors.New("not a line of arguments")

// Split returns the arguments of a Line.
func Split(line string) ([]string, error) {
	var argv []string
	for line != "" {
		var b strings.Builder
		for line != "" && line[0] != ' ' {
			switch {
			case line[0] == '\'':
				text, rest, ok := strings.Cut(line[1:], "'")
				if !ok {
					return nil, errLine
				}
				b.WriteString(text)
				line = rest
			case strings.HasPrefix(line, "$'"):
				line = line[2:]
				for !strings.HasPrefix(line, "'") {
					r, multibyte, rest, err := strconv.UnquoteChar(line, '\'')
					if err != nil {
						return nil, errLine
					}
					if multibyte || r < utf8.RuneSelf {
						b.WriteRune(r)
					} else {
						b.WriteByte(byte(r))
					}
					line = rest
				}
				line = line[1:]
			case strings.HasPrefix(line, `\'`):
				b.WriteByte('\'')
				line = line[2:]
			default:
				b.WriteByte(line[0])
				line = line[1:]
			}
		}
		argv = append(argv, b.String())
		line = strings.TrimPrefix(line, " ")
	}
	return argv, nil
}
