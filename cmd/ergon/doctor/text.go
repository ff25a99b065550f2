package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Text returns the report as lines for people: a line or two for each family, then the fixes by number. Names and reasons
// are unchanged; the caller cleans the lines for a terminal.
func (r Report) Text() []string {
	var lines []string
	who := "an ordinary user"
	switch r.UID {
	case 0:
		who = "root"
	case -1:
		who = "this user"
	}
	lines = append(lines, fmt.Sprintf("What %s can measure here (%s):", who, r.System))
	for _, n := range r.Notes {
		lines = append(lines, "  note: "+n)
	}
	lines = append(lines, "")
	var numbered []*Fix
	number := func(f *Fix) int {
		i := slices.IndexFunc(numbered, func(g *Fix) bool { return g.ID == f.ID && g.Title == f.Title })
		if i < 0 {
			numbered = append(numbered, f)
			i = len(numbered) - 1
		}
		return i + 1
	}
	for _, block := range byFamily(r.Findings) {
		for i, text := range blockText(block, number) {
			head := ""
			if i == 0 {
				head = Status(block)
			}
			name := ""
			if i == 0 {
				name = block[0].Family
			}
			lines = append(lines, strings.TrimRight(fmt.Sprintf("  %-11s %-14s %s", name, head, text), " "))
		}
	}
	lines = append(lines, "")
	if r.Well() {
		lines = append(lines, "Everything that exists here can be read.")
	}
	if len(numbered) > 0 {
		lines = append(lines, "Nothing was changed. Changes that would help, each with its risk:")
		for i, f := range numbered {
			lines = append(lines, "")
			lines = append(lines, f.text(fmt.Sprintf("%2d. ", i+1))...)
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// byFamily groups findings by family, in the order in which families first appear.
func byFamily(all []Finding) [][]Finding {
	var blocks [][]Finding
	at := map[string]int{}
	for _, f := range all {
		i, known := at[f.Family]
		if !known {
			i = len(blocks)
			at[f.Family] = i
			blocks = append(blocks, nil)
		}
		blocks[i] = append(blocks[i], f)
	}
	return blocks
}

// blockText returns the lines about one family: what can be read, then each reason once with what it concerns.
func blockText(block []Finding, number func(*Fix) int) []string {
	var ok []string
	sensors := 0
	type because struct {
		ids  []string
		text string
	}
	var reasons []because
	for _, f := range block {
		if f.Readable {
			sensors += f.Sensors
			if f.ID != f.Family {
				ok = append(ok, strings.TrimPrefix(f.ID, f.Family+"/"))
			}
			continue
		}
		text := f.Reason
		if f.Instead != "" {
			text += "; instead: " + f.Instead
		}
		if f.Fix != nil {
			text += fmt.Sprintf(" -> %d", number(f.Fix))
		}
		i := slices.IndexFunc(reasons, func(b because) bool { return b.text == text })
		if i < 0 {
			i = len(reasons)
			reasons = append(reasons, because{text: text})
		}
		if f.ID != f.Family {
			reasons[i].ids = append(reasons[i].ids, strings.TrimPrefix(f.ID, f.Family+"/"))
		}
	}
	var lines []string
	switch {
	case len(ok) > 0:
		lines = append(lines, strings.Join(ok, ", "))
	case sensors > 0:
		lines = append(lines, plural(sensors, "sensor"))
	}
	for _, b := range reasons {
		const shown = 3
		names := strings.Join(b.ids, ", ")
		if len(b.ids) > shown {
			names = fmt.Sprintf("%s and %d more", strings.Join(b.ids[:shown], ", "), len(b.ids)-shown)
		}
		if names != "" {
			names += ": "
		}
		lines = append(lines, names+b.text)
	}
	return lines
}

// text returns a fix as lines, its alternatives below it.
func (f Fix) text(head string) []string {
	indent := strings.Repeat(" ", len(head))
	lines := []string{head + f.Title}
	for _, file := range f.Files {
		lines = append(lines, indent+"write to "+file.Path+":")
		for line := range strings.Lines(file.Content) {
			lines = append(lines, indent+"    "+strings.TrimSuffix(line, "\n"))
		}
	}
	if len(f.Files) > 0 && len(f.Commands) > 0 {
		lines = append(lines, indent+"then:")
	}
	for _, c := range f.Commands {
		lines = append(lines, indent+"    "+c.String())
	}
	lines = append(lines, wrap(indent, "risk: "+f.Risk)...)
	if f.Note != "" {
		lines = append(lines, wrap(indent, "note: "+f.Note)...)
	}
	for _, or := range f.Or {
		lines = append(lines, or.text(indent+"or: ")...)
	}
	return lines
}

// wrap breaks a text into lines of at most 110 columns.
func wrap(indent, text string) []string {
	const width = 110
	var lines []string
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+len(word) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = indent + "      "
		}
		line += word + " "
	}
	return append(lines, strings.TrimRight(line, " "))
}
