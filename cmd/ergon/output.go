package main

import (
	"encoding/json"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/ergon-energy/ergon/internal/screen"
)

// writeJSON writes v as indented JSON. Commands in it are to be copied, so <, > and & stay as they are.
func writeJSON(to io.Writer, v any) error {
	out := json.NewEncoder(to)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

// columns is a table of text for people: left-aligned, with two blanks between columns.
type columns struct{ w *tabwriter.Writer }

func newColumns(to io.Writer, head ...string) columns {
	c := columns{tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)}
	c.row(head...)
	return c
}

// row adds a row. Control characters in cells are escaped.
func (c columns) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = screen.Clean(cell)
	}
	_, _ = io.WriteString(c.w, strings.Join(cells, "\t")+"\n") // flush reports errors
}

func (c columns) flush() error { return c.w.Flush() }

// orNaN returns the value, or NaN if there is none.
func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}
