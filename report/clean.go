package report

// Clean is a name that others chose, without anything in it that a terminal would obey.
func Clean(s string) string { return printable(s) }
