package rule

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error says what is wrong with the text of a rule, and where.
type Error struct {
	// Text is the rule as it was given.
	Text string
	// Start and End are the place, as offsets in bytes into Text. They are equal if something is missing there.
	Start, End int
	// Problem says what is wrong: `unknown metric "enrgy"`.
	Problem string
	// Hint is the way out, if one is known: `did you mean "energy"?`.
	Hint string
}

// Error shows the problem, the rule and a caret under the place, on three lines.
func (e *Error) Error() string {
	text := visible(e.Text)
	start := utf8.RuneCountInString(visible(e.Text[:e.Start]))
	width := max(1, utf8.RuneCountInString(visible(e.Text[e.Start:e.End])))
	return e.Line() + "\n  " + text + "\n  " + strings.Repeat(" ", start) + strings.Repeat("^", width)
}

// Line is the problem and the hint on one line.
func (e *Error) Line() string {
	if e.Hint == "" {
		return e.Problem
	}
	return e.Problem + " (" + e.Hint + ")"
}

// visible replaces what would move the caret or the cursor: control characters, and bytes that are no text.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\u00b7'
		}
		return r
	}, text)
}
