package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// Comparison is the result of a comparison, ready to be shown.
type Comparison struct {
	compare.Result
	// Rule is what the verdicts were made by.
	Rule compare.Rule
	// Version is the version of ergon.
	Version string
}

// CompareFormats lists what Comparison.Write takes, the default first.
func CompareFormats() []string { return []string{"text", "json"} }

// Comparable reports whether anything could be compared.
func (c Comparison) Comparable() bool {
	return slices.ContainsFunc(c.Against, func(a compare.Against) bool { return len(a.Benchmarks) > 0 })
}

// Write writes the result in one of the formats.
func (c Comparison) Write(w io.Writer, format string, o Options) error {
	if format == "json" {
		return c.writeJSON(w)
	}
	return c.writeText(w, o)
}

func (c Comparison) writeText(w io.Writer, o Options) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", c.Verdict())
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			fmt.Fprintf(&text, "\n%s: %s against %s\n", printable(b.Name), printable(a.New.Name), printable(c.Base.Name))
			for _, f := range b.Figures {
				fmt.Fprintf(&text, "  %-15s %10s %10s  %s\n", metricName(f.Metric), units.Format(f.Base.Median.Value, f.Metric.Unit),
					units.Format(f.New.Median.Value, f.Metric.Unit), changeText(f.Change))
			}
		}
		for _, d := range a.Differences {
			fmt.Fprintf(&text, "! not the same: %s: %s, %s\n", d.What, printable(d.Base), printable(d.New))
		}
	}
	out := text.String()
	if !o.Unicode {
		out = ascii(out)
	}
	_, err := io.WriteString(w, out)
	return err
}

// compareSchema names the shape of the JSON.
const compareSchema = "ergon.compare/1"

type comparisonJSON struct {
	Schema      string          `json:"schema"`
	Version     string          `json:"version"`
	Verdict     compare.Verdict `json:"verdict"`
	Comparisons []benchmarkJSON `json:"comparisons"`
}

type benchmarkJSON struct {
	Benchmark string                  `json:"benchmark"`
	Base      string                  `json:"base"`
	New       string                  `json:"new"`
	Metrics   map[string]comparedJSON `json:"metrics"`
}

type comparedJSON struct {
	Verdict compare.Verdict `json:"verdict"`
	Ratio   *float64        `json:"ratio"`
	Low     *float64        `json:"low"`
	High    *float64        `json:"high"`
	N       int             `json:"n"`
	Base    *float64        `json:"base"`
	New     *float64        `json:"new"`
}

func (c Comparison) writeJSON(w io.Writer) error {
	out := comparisonJSON{Schema: compareSchema, Version: c.Version, Verdict: c.Verdict(), Comparisons: []benchmarkJSON{}}
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			j := benchmarkJSON{Benchmark: b.Name, Base: c.Base.Name, New: a.New.Name, Metrics: map[string]comparedJSON{}}
			for _, f := range b.Figures {
				j.Metrics[f.Metric.Name] = comparedJSON{
					Verdict: f.Change.Verdict, Ratio: number(f.Change.Ratio.Value), Low: number(f.Change.Ratio.Low), High: number(f.Change.Ratio.High),
					N: min(f.Change.Base, f.Change.New), Base: number(f.Base.Median.Value), New: number(f.New.Median.Value),
				}
			}
			out.Comparisons = append(out.Comparisons, j)
		}
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
