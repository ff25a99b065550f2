package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/units"
)

// Bench is the result of a benchmark, ready to be shown.
type Bench struct {
	datamodel.Bench
	// Run is the run that the bench was kept as. Its id is "" if nothing was kept.
	Run datamodel.Run
	// Sides describe the commands, in their order.
	Sides []compare.Side
	// Rule is what the verdicts were made by.
	Rule compare.Rule
	// Version is the version of ergon.
	Version string
	// Asked says that the caller chose the metrics.
	Asked bool
	// Detailed also shows mean, deviation, quartiles and outliers in the text, and metrics that only JSON and CSV have
	// otherwise.
	Detailed bool
}

// mostName is how many characters of a command's name the text shows.
const mostName = 50

// writeText writes a few lines a command.
func (b Bench) writeText(w io.Writer, o Options) error {
	var text strings.Builder
	for i, s := range b.Sides {
		name := []rune(printable(s.Command.Name))
		if len(name) > mostName {
			name = append(name[:mostName-1], '…')
		}
		count := plural(s.Rounds, "round")
		if s.Failed > 0 {
			count += fmt.Sprintf(", %d failed", s.Failed)
		}
		fmt.Fprintf(&text, "%s%*s\n", string(name), max(2, 80-len(name)), count)
		for _, f := range s.Figures {
			if f.Metric.OfRounds && !b.Detailed && !b.Asked {
				continue
			}
			text.WriteString(figureLine(f))
			if b.Detailed {
				text.WriteString(detailLine(f))
			}
		}
		text.WriteString(workLine(s))
		(&page{Options: Options{Unicode: true, Color: o.Color}, out: &text, width: briefWidth}).budgets(s.Command.Budgets)
		for _, n := range b.notes(s) {
			fmt.Fprintf(&text, "  ! %s\n", wrapped(n.Text, 4))
		}
		if note := conditionsText(s); note != "" {
			fmt.Fprintf(&text, "  ! %s\n", note)
		}
		if i+1 < len(b.Sides) {
			text.WriteByte('\n')
		}
	}
	for i, s := range b.Sides {
		if i == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%s against %s\n", printable(s.Command.Name), printable(b.Sides[0].Command.Name))
		for _, f := range s.Figures {
			if f.Change != nil && !math.IsNaN(f.Change.Ratio.Value) {
				fmt.Fprintf(&text, "  %-15s %s\n", metricName(f.Metric), changeText(*f.Change))
			}
		}
	}
	if b.Ended != datamodel.BenchComplete {
		fmt.Fprintf(&text, "\n! the bench ended early (%s)\n", strings.ReplaceAll(string(b.Ended), "_", " "))
	}
	if b.Detailed && b.Run.ID != "" {
		text.WriteString("\nno time series: only ergon run keeps those\n")
	}
	if o.Again != "" {
		fmt.Fprintf(&text, "\nrun %s · ergon report %s\n", ShortID(b.Run), o.Again)
	}
	out := text.String()
	if !o.Unicode {
		out = strings.NewReplacer("…", "..", "·", "-", "×", "x", "±", "+-", "µ", "u").Replace(out)
	}
	_, err := io.WriteString(w, out)
	return err
}

// figureLine shows the median with its interval, and the range.
func figureLine(f compare.Figure) string {
	if f.N == 0 {
		return fmt.Sprintf("  %-15s –  %s\n", metricName(f.Metric), shorten(printable(f.Reason), 60))
	}
	u := f.Metric.Unit
	line := fmt.Sprintf("  %-15s %-10s", metricName(f.Metric), units.Format(f.Median.Value, u))
	if f.Median.Known() {
		line += fmt.Sprintf(" ± %-6s", plusMinus(f.Median))
	} else {
		line += "         "
	}
	line += fmt.Sprintf("  %s … %s", units.Format(f.Min, u), units.Format(f.Max, u))
	if len(f.Outliers) > 0 {
		line += fmt.Sprintf(", %d far off", len(f.Outliers))
	}
	if f.Reason != "" {
		line += fmt.Sprintf(", of %d", f.N)
	}
	return strings.TrimRight(line, " ") + "\n"
}

// metricName is the name of a metric for people. A figure of the machine says so.
func metricName(d datamodel.Definition) string {
	if d.Of == datamodel.OfMachine {
		return d.Label + ", machine"
	}
	return d.Label
}

// plusMinus is the half width of an interval as a part of its value.
func plusMinus(i stats.Interval) string {
	if i.Value == 0 {
		return "0 %"
	}
	return units.Format((i.High-i.Low)/2/math.Abs(i.Value), units.Ratio)
}

// changeText is one line about a change.
func changeText(c compare.Change) string {
	line := fmt.Sprintf("× %.3f", c.Ratio.Value)
	if c.Ratio.Known() {
		line += fmt.Sprintf("  %.3f … %.3f", c.Ratio.Low, c.Ratio.High)
	}
	line += "  " + string(c.Verdict)
	switch {
	case c.Needed > 0 && c.Ratio.Known():
		line += " (about " + plural(c.Needed, "round") + " would decide)"
	case c.Needed > 0:
		line += " (" + plural(c.Needed, "round") + " are the least that could decide)"
	}
	return line
}

// conditionsText says what disturbed the rounds.
func conditionsText(s compare.Side) string {
	var parts []string
	for _, c := range s.Conditions {
		parts = append(parts, fmt.Sprintf("%s in %d", strings.ReplaceAll(c.Subject, "_", " "), c.Rounds))
	}
	if parts == nil {
		return ""
	}
	return strings.Join(parts, ", ") + " of " + plural(s.Rounds, "round")
}

// benchSchema names the shape of the JSON.
const benchSchema = "ergon.bench/1"

type benchJSON struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Run is the id of the run. It is null if the bench was not kept.
	Run      *string            `json:"run"`
	Order    string             `json:"order"`
	Seed     uint64             `json:"seed"`
	Warmup   int                `json:"warmup"`
	Ended    datamodel.BenchEnd `json:"ended"`
	Affinity []int              `json:"affinity,omitempty"`
	Batch    int                `json:"batch,omitempty"`
	Commands []sideJSON         `json:"commands"`
}

type sideJSON struct {
	datamodel.BenchCommand
	Rounds  int                   `json:"rounds"`
	Failed  int                   `json:"failed"`
	Metrics map[string]figureJSON `json:"metrics"`
	// ExitCodes and Values have one entry a round, in the order of the blocks.
	ExitCodes []int `json:"exit_codes"`
	// Conditions tell in how many rounds each condition of the machine held.
	Conditions map[string]int `json:"conditions"`
	// Notes say what the figures cannot tell, and what to do.
	Notes []BenchNote `json:"notes,omitempty"`
	// Budgets stands in for that of the command: it has the same shape as in the report of a run.
	Budgets []jsonBudget `json:"budgets"`
}

type figureJSON struct {
	Unit     units.Unit `json:"unit"`
	N        int        `json:"n"`
	Reason   string     `json:"reason,omitempty"`
	Median   *float64   `json:"median"`
	Low      *float64   `json:"low"`
	High     *float64   `json:"high"`
	Mean     *float64   `json:"mean"`
	Std      *float64   `json:"std"`
	Min      *float64   `json:"min"`
	Max      *float64   `json:"max"`
	Lower    *float64   `json:"quartile_1"`
	Upper    *float64   `json:"quartile_3"`
	Outliers []int      `json:"outliers"`
	// Uncertainty bounds the error of one round's value by the steps of its counters.
	Uncertainty *float64    `json:"uncertainty,omitempty"`
	Values      []*float64  `json:"values"`
	PerWork     *workJSON   `json:"per_work,omitempty"`
	Change      *changeJSON `json:"change,omitempty"`
}

type changeJSON struct {
	Verdict compare.Verdict `json:"verdict"`
	Ratio   *float64        `json:"ratio"`
	Low     *float64        `json:"low"`
	High    *float64        `json:"high"`
	P       *float64        `json:"p"`
	N       int             `json:"n"`
	Needed  *int            `json:"rounds_needed"`
}

func (b Bench) writeJSON(w io.Writer) error {
	out := benchJSON{Schema: benchSchema, Version: b.Version, Order: string(b.Order), Seed: b.Seed, Warmup: b.Warmup, Ended: b.Ended, Affinity: b.Affinity, Batch: b.Batch, Commands: []sideJSON{}}
	if b.Run.ID != "" {
		out.Run = &b.Run.ID
	}
	for c, s := range b.Sides {
		side := sideJSON{
			BenchCommand: s.Command, Rounds: s.Rounds, Failed: s.Failed, Metrics: map[string]figureJSON{}, ExitCodes: []int{}, Notes: b.notes(s),
			Conditions: map[string]int{},
			Budgets:    budgetsJSON(s.Command.Budgets),
		}
		for _, c := range s.Conditions {
			side.Conditions[c.Subject] = c.Rounds
		}
		for _, r := range b.Of(c) {
			side.ExitCodes = append(side.ExitCodes, r.ExitCode)
		}
		for _, f := range s.Figures {
			j := figureJSON{
				Unit: f.Metric.Unit, N: f.N, Reason: f.Reason, Median: number(f.Median.Value), Low: number(f.Median.Low), High: number(f.Median.High),
				Mean: number(f.Mean), Std: number(f.Std), Min: number(f.Min), Max: number(f.Max), Lower: number(f.Lower), Upper: number(f.Upper),
				Outliers: f.Outliers, Uncertainty: number(f.Uncertainty), Values: []*float64{},
			}
			j.PerWork = perWorkJSON(f, s.Command.Work)
			if j.Outliers == nil {
				j.Outliers = []int{}
			}
			for _, v := range f.Values {
				j.Values = append(j.Values, number(v))
			}
			if f.Change != nil {
				j.Change = &changeJSON{
					Verdict: f.Change.Verdict, Ratio: number(f.Change.Ratio.Value), Low: number(f.Change.Ratio.Low), High: number(f.Change.Ratio.High),
					P: number(f.Change.Corrected), N: min(f.Change.Base, f.Change.New),
				}
				if f.Change.Needed > 0 {
					j.Change.Needed = &f.Change.Needed
				}
			}
			side.Metrics[f.Metric.Name] = j
		}
		out.Commands = append(out.Commands, side)
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// writeCSV writes one row for each metric of each command.
func (b Bench) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"command", "metric", "unit", "rounds", "median", "low", "high", "mean", "std", "min", "max", "ratio", "ratio_low", "ratio_high", "verdict", "reason",
		"quartile_1", "quartile_3", "outliers", "per_work", "work_unit",
	}}
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			row := []string{
				screen.Cell(s.Command.Name), f.Metric.Name, string(f.Metric.Unit), strconv.Itoa(f.N), plainNumber(f.Median.Value), plainNumber(f.Median.Low), plainNumber(f.Median.High),
				plainNumber(f.Mean), plainNumber(f.Std), plainNumber(f.Min), plainNumber(f.Max), "", "", "", "", screen.Cell(f.Reason),
			}
			work, per := "", math.NaN()
			if w := s.Command.Work; w != nil && isCost(f.Metric) {
				work, per = screen.Cell(w.Unit), f.Median.Value/w.Amount
			}
			row = append(row, plainNumber(f.Lower), plainNumber(f.Upper), strconv.Itoa(len(f.Outliers)), plainNumber(per), work)
			if c := f.Change; c != nil {
				copy(row[11:], []string{plainNumber(c.Ratio.Value), plainNumber(c.Ratio.Low), plainNumber(c.Ratio.High), string(c.Verdict)})
			}
			rows = append(rows, row)
		}
	}
	return out.WriteAll(rows)
}

// writeMarkdown writes a table for a pull request.
func (b Bench) writeMarkdown(w io.Writer) error {
	var text strings.Builder
	text.WriteString("| command | metric | median | interval | range | rounds | change |\n| --- | --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			interval, change := "–", ""
			u := f.Metric.Unit
			if f.Median.Known() {
				interval = units.Format(f.Median.Low, u) + " … " + units.Format(f.Median.High, u)
			}
			if f.Change != nil && !math.IsNaN(f.Change.Ratio.Value) {
				change = changeText(*f.Change)
			}
			fmt.Fprintf(&text, "| %s | %s | %s | %s | %s … %s | %d | %s |\n", markdown(s.Command.Name), metricName(f.Metric), units.Format(f.Median.Value, u), interval,
				units.Format(f.Min, u), units.Format(f.Max, u), f.N, change)
		}
	}
	if list := b.BudgetFindings(false); len(list.List) > 0 {
		text.WriteByte('\n')
		if err := list.WriteMarkdown(&text); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
