package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// isCost reports whether a metric divided by an amount of work says what one unit of work costs. A peak or a mean does not.
func isCost(d datamodel.Definition) bool { return d.Name == datamodel.WallTime || d.Adds }

// workLine says what one unit of work cost: "each of 1,000 requests: 1.2 µs wall time, 3 µJ energy". It is "" if the work is unknown.
func workLine(s compare.Side) string {
	w := s.Command.Work
	if w == nil {
		return ""
	}
	var parts []string
	for _, f := range s.Figures {
		if isCost(f.Metric) && f.N > 0 {
			parts = append(parts, units.Format(f.Median.Value/w.Amount, f.Metric.Unit)+" "+metricName(f.Metric))
		}
	}
	if parts == nil {
		return ""
	}
	return fmt.Sprintf("  each of %s %s: %s\n", units.Format(w.Amount, "{work}"), printable(w.Unit), strings.Join(parts, ", "))
}

// workJSON is the cost of one unit of work.
type workJSON struct {
	// Unit is the metric's unit over the word for the work, as UCUM writes it: "J/{requests}".
	Unit   string   `json:"unit"`
	Median *float64 `json:"median"`
	Low    *float64 `json:"low"`
	High   *float64 `json:"high"`
}

// perWorkJSON returns the cost of one unit of work; nil if the metric is no cost, or the work is unknown.
func perWorkJSON(f compare.Figure, w *datamodel.Work) *workJSON {
	if w == nil || !isCost(f.Metric) {
		return nil
	}
	return &workJSON{
		Unit: string(f.Metric.Unit) + "/{" + w.Unit + "}", Median: number(f.Median.Value / w.Amount), Low: number(f.Median.Low / w.Amount),
		High: number(f.Median.High / w.Amount),
	}
}

// mostNamed is how many outliers the text names.
const mostNamed = 4

// detailLine shows mean, deviation and quartiles of a metric, and names the values that are far off.
func detailLine(f compare.Figure) string {
	if f.N == 0 {
		return ""
	}
	show := func(v float64) string { return units.Format(v, f.Metric.Unit) }
	line := "    mean " + show(f.Mean)
	if !math.IsNaN(f.Std) {
		line += ", σ " + show(f.Std)
	}
	line += fmt.Sprintf(", quartiles %s … %s\n", show(f.Lower), show(f.Upper))
	if len(f.Outliers) == 0 {
		return line
	}
	return line + "    far off: " + strings.Join(namedOutliers(f), ", ") + "\n"
}

// namedOutliers names the first values that are far off, with their rounds.
func namedOutliers(f compare.Figure) (named []string) {
	for _, i := range f.Outliers[:min(len(f.Outliers), mostNamed)] {
		named = append(named, fmt.Sprintf("%s in round %d", units.Format(f.Values[i], f.Metric.Unit), i+1))
	}
	if more := len(f.Outliers) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return named
}
