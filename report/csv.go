package report

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// writeCSV writes one row for each metric of each node and each figure of the processes that cost most, the numbers as they are and empty where there is none. Fields
// are quoted as RFC 4180 has it; lines end with a bare line feed, as the tools that read them line by line expect.
func writeCSV(w io.Writer, r datamodel.Result, _ Options) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"run", "path", "level", "metric", "value", "unit", "aggregation", "provenance", "source",
		"count", "gaps", "min", "max", "mean", "std", "reason", "uncertainty", "at_most",
	}}
	add := func(path, level string, m datamodel.Metric) {
		m = settled(m)
		rows = append(rows, []string{
			printable(r.Run.ID), printable(path), printable(level), printable(m.Name),
			plainNumber(m.Value), printable(string(m.Unit)), printable(m.Aggregation), string(m.Provenance),
			printable(m.Source), strconv.FormatInt(m.Count, 10), strconv.FormatInt(m.Gaps, 10),
			plainNumber(m.Min), plainNumber(m.Max), plainNumber(m.Mean), plainNumber(m.Std), printable(reasonOf(m)),
			plainNumber(m.Uncertainty), plainNumber(m.AtMost),
		})
	}
	walk(r.Tree, "", func(n *datamodel.Node, path string) {
		for _, m := range n.Metrics {
			add(path, string(n.Level), m)
		}
	})
	processMetrics(r, func(path string, m datamodel.Metric) { add(path, "process", m) })
	return out.WriteAll(rows)
}

// walk calls f for n and all below it, parents first. The path is the names joined by '/', a '/' in a name written '|'.
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

// plainNumber is the shortest text that reads back as v, with an exponent only where JSON has one; empty where there is
// no value.
func plainNumber(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0):
		return ""
	case size == 0, size >= 1e-6 && size < 1e21:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
