package report

// Clean returns a name that somebody else chose, with every character escaped that could control a terminal.
func Clean(s string) string { return printable(s) }
