package main

import (
	"os"
	"strings"

	"github.com/ergon-energy/ergon/report"
)

// reportOptions says what a reader of the file can see: colour, a width, more than ASCII.
func reportOptions(f *os.File) report.Options {
	o := report.Options{Unicode: utf8Locale()}
	if isTerminal(f) {
		o.Width = width(f)
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return o
}

// utf8Locale reports whether the user's locale can show more than ASCII. If none is set, as in most CI jobs and containers,
// what reads the output can.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}
