package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/units"
)

// compareSchema names the shape of the JSON. ergon.compare-1.schema.json describes it.
const compareSchema = "ergon.compare/1"

// noBase is the verdict if there is no base.
const noBase = "no_base"

type comparisonJSON struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Verdict is that of the whole comparison, or no_base. Reason is then why there is no base.
	Verdict    string             `json:"verdict"`
	Reason     string             `json:"reason,omitempty"`
	Confidence *float64           `json:"confidence,omitempty"`
	Threshold  *float64           `json:"threshold,omitempty"`
	Thresholds map[string]float64 `json:"thresholds,omitempty"`
	// Run is the id of the run that the rounds were just kept as. It is left out if they were not measured now or not kept.
	Run  string            `json:"run,omitempty"`
	Base *comparedSideJSON `json:"base"`
	// Comparisons has one entry for each command of each new side.
	Comparisons []benchmarkJSON `json:"comparisons"`
}

type comparedSideJSON struct {
	Name   string            `json:"name"`
	Rounds int               `json:"rounds"`
	Runs   []comparedRunJSON `json:"runs"`
}

type comparedRunJSON struct {
	ID      string     `json:"id"`
	Project string     `json:"project"`
	Start   *time.Time `json:"start"`
	Host    string     `json:"host"`
	Commit  *string    `json:"commit"`
}

type benchmarkJSON struct {
	Benchmark   string                  `json:"benchmark"`
	Command     []string                `json:"command"`
	New         comparedSideJSON        `json:"new"`
	Metrics     map[string]comparedJSON `json:"metrics"`
	Differences []compare.Difference    `json:"differences"`
	// MeasuredApart is true if all rounds of one side were measured before those of the other.
	MeasuredApart bool       `json:"measured_apart"`
	Cause         *causeJSON `json:"cause"`
}

type comparedJSON struct {
	Verdict compare.Verdict `json:"verdict"`
	Unit    units.Unit      `json:"unit"`
	// Ratio is new/base, Low and High its interval.
	Ratio *float64 `json:"ratio"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	// P is corrected for the number of comparisons.
	P *float64 `json:"p"`
	// N is the smaller number of rounds that were compared, BaseN and NewN those of the sides.
	N     int `json:"n"`
	BaseN int `json:"base_n"`
	NewN  int `json:"new_n"`
	// Base and New are the medians.
	Base      *float64 `json:"base"`
	New       *float64 `json:"new"`
	Threshold float64  `json:"threshold"`
	// Detectable is the smallest change that would have been found.
	Detectable   *float64 `json:"detectable"`
	RoundsNeeded *int     `json:"rounds_needed"`
	Comparable   bool     `json:"comparable"`
	BaseReason   string   `json:"base_reason,omitempty"`
	NewReason    string   `json:"new_reason,omitempty"`
	// BaseValues and NewValues have the values of the rounds, by block.
	BaseValues []*float64 `json:"base_values"`
	NewValues  []*float64 `json:"new_values"`
}

type causeJSON struct {
	// Text is the cause in words, "" if no program changed.
	Text string `json:"text"`
	// Tested is false if there are too few rounds to tell a change from noise.
	Tested    bool          `json:"tested"`
	BaseN     int           `json:"base_n"`
	NewN      int           `json:"new_n"`
	Programs  []programJSON `json:"programs"`
	Unchanged int           `json:"unchanged"`
}

type programJSON struct {
	Name    string              `json:"name"`
	Kind    string              `json:"kind"`
	Energy  *float64            `json:"energy"`
	Changes []programChangeJSON `json:"changes"`
}

type programChangeJSON struct {
	Measure    compare.Measure `json:"measure"`
	Unit       units.Unit      `json:"unit"`
	Base       *float64        `json:"base"`
	New        *float64        `json:"new"`
	Difference *float64        `json:"difference"`
	Low        *float64        `json:"low"`
	High       *float64        `json:"high"`
	P          *float64        `json:"p"`
}

func (c Comparison) writeJSON(w io.Writer, _ Options) error {
	base := sideJSONOf(c.Base)
	out := comparisonJSON{
		Schema: compareSchema, Version: c.Version, Verdict: string(c.Verdict()), Confidence: &c.Rule.Confidence, Threshold: &c.Rule.Threshold,
		Thresholds: c.Rule.Thresholds, Run: c.Kept.ID, Base: &base, Comparisons: []benchmarkJSON{},
	}
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			j := benchmarkJSON{
				Benchmark: b.Name, Command: a.New.Commands[b.New].Command, New: sideJSONOf(a.New), Metrics: map[string]comparedJSON{},
				Differences: append(append([]compare.Difference{}, a.Differences...), b.Differences...), MeasuredApart: a.Apart, Cause: causeJSONOf(b),
			}
			if j.Command == nil {
				j.Command = []string{}
			}
			for _, f := range b.Figures {
				j.Metrics[f.Metric.Name] = c.comparedJSON(a, b, f)
			}
			out.Comparisons = append(out.Comparisons, j)
		}
	}
	return writeIndented(w, out)
}

func writeIndented(w io.Writer, v any) error {
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func sideJSONOf(s compare.Set) comparedSideJSON {
	out := comparedSideJSON{Name: s.Name, Rounds: len(s.Rounds), Runs: []comparedRunJSON{}}
	for _, run := range s.Runs {
		j := comparedRunJSON{ID: run.ID, Project: run.Project, Host: run.Host.Name}
		if !run.Start.IsZero() {
			start := run.Start.UTC()
			j.Start = &start
		}
		if g := run.Host.Git; g != nil && g.Commit != "" {
			j.Commit = &g.Commit
		}
		out.Runs = append(out.Runs, j)
	}
	return out
}

func (c Comparison) comparedJSON(a compare.Against, b compare.Benchmark, f compare.Compared) comparedJSON {
	change := f.Change
	j := comparedJSON{
		Verdict: change.Verdict, Unit: f.Metric.Unit, Ratio: number(change.Ratio.Value), Low: number(change.Ratio.Low), High: number(change.Ratio.High),
		P: number(change.Corrected), N: min(change.Base, change.New), BaseN: change.Base, NewN: change.New, Base: number(f.Base.Median.Value),
		New: number(f.New.Median.Value), Threshold: c.Rule.For(f.Metric.Name).Threshold, Detectable: number(change.Detectable),
		Comparable: !f.Incomparable, BaseReason: f.Base.Reason, NewReason: f.New.Reason,
		BaseValues: numbers(c.Base.Values(b.Base, f.Metric.Name)), NewValues: numbers(a.New.Values(b.New, f.Metric.Name)),
	}
	if change.Needed > 0 {
		j.RoundsNeeded = &change.Needed
	}
	return j
}

func numbers(values []float64) []*float64 {
	list := make([]*float64, len(values))
	for i, v := range values {
		list[i] = number(v)
	}
	return list
}

// causeJSONOf returns nil if there are no process tables.
func causeJSONOf(b compare.Benchmark) *causeJSON {
	c := b.Cause
	if c.Base == 0 || c.New == 0 {
		return nil
	}
	out := causeJSON{Text: causeText(b, plainName), Tested: c.Tested, BaseN: c.Base, NewN: c.New, Programs: []programJSON{}, Unchanged: c.Others}
	for _, p := range c.Programs {
		j := programJSON{Name: p.Name, Kind: string(p.Kind), Energy: number(p.Energy)}
		for _, change := range p.Changes {
			d := change.Difference
			j.Changes = append(j.Changes, programChangeJSON{
				change.Measure, change.Measure.Unit(), number(change.Base), number(change.New), number(d.Value), number(d.Low), number(d.High), number(change.Corrected),
			})
		}
		out.Programs = append(out.Programs, j)
	}
	return &out
}

// writeCSV writes one row for each metric of each command on each new side.
func (c Comparison) writeCSV(w io.Writer, _ Options) error {
	rows := [][]string{{
		"new", "benchmark", "metric", "unit", "verdict", "ratio", "low", "high", "p", "base_n", "new_n", "base", "new", "threshold", "detectable", "rounds_needed", "reason",
	}}
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			for _, f := range b.Figures {
				needed, reason := "", ""
				if f.Change.Needed > 0 {
					needed = strconv.Itoa(f.Change.Needed)
				}
				if math.IsNaN(f.Change.Ratio.Value) {
					reason = lackText(f)
				}
				r := f.Change.Ratio
				rows = append(rows, []string{
					screen.Cell(a.New.Name), screen.Cell(b.Name), f.Metric.Name, string(f.Metric.Unit), string(f.Change.Verdict), plainNumber(r.Value), plainNumber(r.Low),
					plainNumber(r.High), plainNumber(f.Change.Corrected), strconv.Itoa(f.Change.Base), strconv.Itoa(f.Change.New), plainNumber(f.Base.Median.Value),
					plainNumber(f.New.Median.Value), plainNumber(c.Rule.For(f.Metric.Name).Threshold), plainNumber(f.Change.Detectable), needed, screen.Cell(reason),
				})
			}
		}
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// writeMarkdown writes a heading with the verdict, a table for each command, the cause, and what the numbers stand on.
func (c Comparison) writeMarkdown(w io.Writer, _ Options) error {
	var text strings.Builder
	fmt.Fprintf(&text, "### %s\n\n", headline(c))
	for _, a := range c.Against {
		fmt.Fprintf(&text, "base: %s  \nnew: %s\n\n", markdown(sideText(c.Base)), markdown(sideText(a.New)))
		for _, b := range a.Benchmarks {
			fmt.Fprintf(&text, "#### %s\n\n| | base | new | ratio | interval | verdict |\n|:---|---:|---:|---:|:---:|:---|\n", code(printable(b.Name)))
			for _, f := range b.Figures {
				fmt.Fprintf(&text, "| %s | %s |\n", markdown(metricName(f.Metric)), strings.Join(markdownCells(f), " | "))
			}
			text.WriteByte('\n')
			if why := causeText(b, func(name string) string { return "\x00" + printable(name) + "\x00" }); why != "" {
				fmt.Fprintf(&text, "**why:** %s\n\n", markdownNames(why))
			}
			for _, note := range c.notes(b) {
				fmt.Fprintf(&text, "- %s\n", markdown(note))
			}
			for _, s := range append(doubtsOf(c.Base, b.Base, "base"), doubtsOf(a.New, b.New, "new")...) {
				fmt.Fprintf(&text, "- ⚠️ %s\n", markdown(s))
			}
			text.WriteByte('\n')
		}
		for _, d := range differencesOf(a) {
			fmt.Fprintf(&text, "- ⚠️ %s\n", markdown(d))
		}
	}
	_, err := io.WriteString(w, strings.TrimRight(text.String(), "\n")+"\n")
	return err
}

// headline is the verdict with the metrics that it is about.
func headline(c Comparison) string {
	v := c.Verdict()
	var of []string
	for _, a := range c.Against {
		for _, b := range a.Benchmarks {
			for _, f := range b.Figures {
				if f.Change.Verdict == v && v != compare.Unchanged && len(of) < 4 {
					text := metricName(f.Metric)
					if r := f.Change.Ratio.Value; !math.IsNaN(r) {
						text += " × " + ratioText(r)
					}
					of = append(of, text)
				}
			}
		}
	}
	sign := map[compare.Verdict]string{compare.Regressed: "❌ ", compare.Improved: "✅ ", compare.Unchanged: "✅ ", compare.Inconclusive: "❔ "}[v]
	text := sign + string(v)
	if of != nil {
		text += ": " + strings.Join(of, ", ")
	}
	return text
}

// markdownCells are the cells of a metric's row.
func markdownCells(f compare.Compared) []string {
	if math.IsNaN(f.Change.Ratio.Value) {
		return []string{"", "", "", "", markdown(lackText(f))}
	}
	interval, verdict := "–", string(f.Change.Verdict)
	if r := f.Change.Ratio; r.Known() {
		interval = ratioText(r.Low) + " … " + ratioText(r.High)
	}
	switch f.Change.Verdict {
	case compare.Regressed, compare.Improved, compare.Changed:
		verdict = "**" + verdict + "**"
	case compare.Unchanged, compare.Inconclusive:
	}
	value := func(d stats.Summary) string { return markdown(units.Format(d.Median.Value, f.Metric.Unit)) }
	return []string{value(f.Base.Summary), value(f.New.Summary), "× " + ratioText(f.Change.Ratio.Value), interval, verdict}
}

// markdownNames escapes text in which names of programs stand between zero bytes. A name becomes a code span.
func markdownNames(text string) string {
	var out strings.Builder
	for i, part := range strings.Split(text, "\x00") {
		if i%2 == 1 {
			out.WriteString(code(part))
		} else {
			out.WriteString(markdown(part))
		}
	}
	return out.String()
}

// WriteNoBase writes that there is nothing to compare with, in a format of a comparison. The text is the notice that the caller
// prints, so it has no more than the verdict's word.
func WriteNoBase(w io.Writer, format, reason, version string) error {
	switch format {
	case "json":
		return writeIndented(w, comparisonJSON{Schema: compareSchema, Version: version, Verdict: noBase, Reason: reason, Comparisons: []benchmarkJSON{}})
	case "csv":
		return Comparison{}.writeCSV(w, Options{})
	case "markdown":
		_, err := fmt.Fprintf(w, "### no base\n\n%s\n", markdown(printable(reason)))
		return err
	case "html":
		return writeNoBasePage(w, reason, version)
	case "github":
		_, err := fmt.Fprintf(w, "::notice title=no base::%s\n", data(reason))
		return err
	case "gitlab":
		return Findings{}.WriteOpenMetrics(w)
	case "junit":
		return Findings{List: []Finding{{Subject: "compare", Name: "base", State: Undecided, Word: noBase, Text: reason, Value: math.NaN()}}}.WriteJUnit(w)
	}
	_, err := fmt.Fprintln(w, noBase)
	return err
}
