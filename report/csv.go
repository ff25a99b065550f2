package report

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
)

// writeCSV writes one row for each metric of the summary, and for each metric of the files that were counted. With Options.All it writes one for each metric of each node instead, and
// one for each figure of the most expensive processes. Numbers are written in full. A missing value is an empty field. Fields are
// quoted as in RFC 4180, but lines end with a bare line feed, as line-oriented tools expect.
func writeCSV(w io.Writer, r datamodel.Result, o Options) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"run", "path", "level", "metric", "value", "unit", "aggregation", "provenance", "source",
		"count", "gaps", "min", "max", "mean", "std", "reason", "uncertainty", "at_most", "bound",
	}}
	for _, m := range Figures(r, o) {
		rows = append(rows, []string{
			screen.Cell(m.Run), screen.Cell(m.Path), screen.Cell(m.Level), screen.Cell(m.Name),
			plainNumber(m.Value), screen.Cell(string(m.Unit)), screen.Cell(m.Aggregation), string(m.Provenance),
			screen.Cell(m.Source), strconv.FormatInt(m.Count, 10), strconv.FormatInt(m.Gaps, 10),
			plainNumber(m.Min), plainNumber(m.Max), plainNumber(m.Mean), plainNumber(m.Std), screen.Cell(m.Reason),
			plainNumber(m.Uncertainty), plainNumber(m.AtMost), string(m.Bound),
		})
	}
	return out.WriteAll(rows)
}

// Figures returns the rows of a result as a table: the summary, or with Options.All the metrics of each node and the figures
// of the most expensive processes.
func Figures(r datamodel.Result, o Options) (rows []datamodel.Row) {
	add := func(path, level string, m datamodel.Metric) {
		m = settled(m)
		m.Reason = reasonOf(m)
		rows = append(rows, datamodel.Row{Run: r.Run.ID, Path: path, Level: level, Metric: m})
	}
	if !o.All {
		all := summary(r)
		for _, f := range datamodel.Reported() {
			add("", string(datamodel.RunLevel), all[f.Name])
		}
		counted := inventoryNodes(r.Tree)
		walk(r.Tree, "", func(n *datamodel.Node, path string) {
			for _, m := range n.Metrics {
				if counted[n] {
					add(path, string(n.Level), m)
				}
			}
		})
		return rows
	}
	walk(r.Tree, "", func(n *datamodel.Node, path string) {
		for _, m := range n.Metrics {
			add(path, string(n.Level), m)
		}
		if n.Level == datamodel.RunLevel && r.Run.Factors != (datamodel.Factors{}) {
			for _, m := range r.Run.Factors.Derive(summary(r)) {
				add(path, string(n.Level), m)
			}
		}
	})
	processMetrics(r, func(path string, m datamodel.Metric) { add(path, "process", m) })
	return rows
}

// walk calls f for n and all its descendants, parents first. The path is the names joined by '/'. A '/' within a name
// becomes '|'.
func walk(n *datamodel.Node, above string, f func(n *datamodel.Node, path string)) {
	if n == nil {
		return
	}
	path := strings.ReplaceAll(n.Name, "/", "|")
	if above != "" {
		path = above + "/" + path
	}
	f(n, path)
	for _, c := range n.Children {
		walk(c, path, f)
	}
}

// plainNumber returns the shortest text that parses back to v. It uses an exponent only if encoding/json does. If v is not
// finite, the text is empty.
func plainNumber(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0):
		return ""
	case size == 0, size >= 1e-6 && size < 1e21:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
