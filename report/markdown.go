package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// writeMarkdown writes the summary for GitHub and GitLab: a heading, one table, the processes, and footnotes.
func writeMarkdown(w io.Writer, r datamodel.Result, o Options) error {
	var b strings.Builder
	command := shorten(commandLine(r.Run.Command), unlimited)
	fmt.Fprintf(&b, "### %s: %s\n\n", code(command), markdown(verdict(r.Run)))
	if s := why(r.Run); s != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(s))
	}
	if s := replayed(r.Run); s != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(s))
	}
	all := rows(r)
	shown := known(all)
	if len(shown) > 0 {
		b.WriteString("| | command | | machine | |\n|:---|---:|:---|---:|:---|\n")
		for _, row := range shown {
			label := strings.Repeat("&emsp;", row.depth) + markdown(row.label)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", label,
				markdownValue(row.command), markdown(row.command.note), markdownValue(row.machine), markdownNote(row.machine))
		}
		b.WriteByte('\n')
	}
	if err := BudgetFindings(r.Run, false).WriteMarkdown(&b); err != nil {
		return err
	}
	for _, l := range slices.Concat(regions(r), processes(r), inventory(r)) {
		b.WriteString(markdownTable(l))
	}
	var notes []string
	if about := append(nonEmpty(named(r.Run.Host)), setup(r.Run.Host)...); len(about) > 0 {
		notes = append(notes, "machine: "+strings.Join(about, " · "))
	}
	if s := own(r); s != "" {
		notes = append(notes, "ergon itself: "+s)
	}
	if s := legend(shown); s != "" {
		notes = append(notes, s)
	}
	if gs := gaps(all); len(gs) > 0 {
		notes = append(notes, "not measured: "+byReason(gs))
	}
	for _, m := range r.Run.Warnings {
		notes = append(notes, "warning: "+warning(m))
	}
	if o.Results != "" {
		notes = append(notes, "kept in "+printable(o.Results))
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "- %s\n", markdown(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownTable returns a heading and a table.
func markdownTable(l listing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s\n\n", l.heading)
	for _, c := range l.columns {
		fmt.Fprintf(&b, "| %s ", markdown(c.text()))
	}
	b.WriteString("|\n")
	for _, c := range l.columns {
		if c.left {
			b.WriteString("|:---")
		} else {
			b.WriteString("|---:")
		}
	}
	b.WriteString("|\n")
	for _, row := range l.rows {
		for _, s := range row {
			fmt.Fprintf(&b, "| %s ", markdown(strings.TrimSpace(s)))
		}
		b.WriteString("|\n")
	}
	b.WriteByte('\n')
	return b.String()
}

func markdownValue(c cell) string {
	if c.empty() {
		return ""
	}
	s := c.value.String()
	if sign, _ := mark(c.from); sign != "" {
		s += " " + sign
	}
	return markdown(s)
}

func markdownNote(c cell) string {
	s := markdown(c.note)
	if c.spark != nil {
		s = strings.TrimSpace(s + " " + code(bars(c.spark, true)))
	}
	return s
}

// markdown escapes, in printable text, every character that means something in CommonMark or on GitHub.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '&':
			b.WriteString("&amp;")
			continue
		case r == '@': // GitHub would notify the person of that name
			b.WriteString("&#64;")
			continue
		case strings.ContainsRune("\\`*_[]#|~>!", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code returns printable text as a code span. It uses more backticks than the text has in a row. In a table a bar must be
// escaped even in a code span, but callers pass no text with bars there.
func code(s string) string {
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if fence == "`" && s != "" && strings.Trim(s, " ") == s {
		return fence + s + fence
	}
	return fence + " " + s + " " + fence
}
