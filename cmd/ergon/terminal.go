package main

import (
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/ergon-energy/ergon/report"
)

// unknownWidth stands for the width of a terminal that does not report one, in columns.
const unknownWidth = 80

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// isDumb reports whether the terminal says that it knows no escape sequences.
func isDumb() bool { return os.Getenv("TERM") == "dumb" }

// width returns the number of columns of the terminal.
func width(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 {
		return unknownWidth
	}
	return w
}

// reportOptions returns what the reader of a file can see: colour, lines of some width, more than ASCII.
func reportOptions(f *os.File) report.Options {
	o := report.Options{Unicode: utf8Locale()}
	if isTerminal(f) {
		o.Width = width(f)
		o.Color = os.Getenv("NO_COLOR") == "" && !isDumb()
	}
	return o
}

// utf8Locale reports whether the user's locale can show more than ASCII. Without a locale, as in most CI
// jobs and containers, the program that reads the output can.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}
