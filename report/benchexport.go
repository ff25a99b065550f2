package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
)

// BenchFormat is one way to show or write a bench.
type BenchFormat struct {
	// Name is what -f and --export take.
	Name string
	// Extension is the end of a file's name that stands for the format, with the dot. It is "" if no name does.
	Extension string
	// Tool says that the format is for another tool. -f takes the others.
	Tool  bool
	write func(Bench, io.Writer, Options) error
}

// BenchFormats lists the formats, the default first.
func BenchFormats() []BenchFormat {
	plain := func(write func(Bench, io.Writer) error) func(Bench, io.Writer, Options) error {
		return func(b Bench, w io.Writer, _ Options) error { return write(b, w) }
	}
	return []BenchFormat{
		{"text", ".txt", false, Bench.writeText},
		{"json", ".json", false, plain(Bench.writeJSON)},
		{"csv", ".csv", false, plain(Bench.writeCSV)},
		{"markdown", ".md", false, plain(Bench.writeMarkdown)},
		{"html", ".html", false, Bench.writePage},
		{"hyperfine", "", true, plain(Bench.writeHyperfine)},
		{"gobench", "", true, plain(Bench.writeGoBench)},
		{"github", "", true, plain(Bench.writeGitHub)},
		{"bencher", "", true, plain(Bench.writeBencher)},
		{"junit", ".xml", true, plain(Bench.writeJUnit)},
		{"openmetrics", ".prom", true, plain(Bench.writeOpenMetrics)},
	}
}

// Write writes the result in one of the formats, by its name.
func (b Bench) Write(w io.Writer, format string, o Options) error {
	for _, f := range BenchFormats() {
		if f.Name == format {
			return f.write(b, w, o)
		}
	}
	return fmt.Errorf("a bench cannot be shown as %s (text, json, csv, markdown or html)", format)
}

// hyperfineResult is one element of `results` in hyperfine's JSON, version 1.20.
type hyperfineResult struct {
	Command    string            `json:"command"`
	Mean       *float64          `json:"mean"`
	Stddev     *float64          `json:"stddev"`
	Median     *float64          `json:"median"`
	User       *float64          `json:"user"`
	System     *float64          `json:"system"`
	Min        *float64          `json:"min"`
	Max        *float64          `json:"max"`
	Times      []float64         `json:"times"`
	Memory     []int64           `json:"memory_usage_byte,omitempty"`
	ExitCodes  []int             `json:"exit_codes"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// writeHyperfine writes hyperfine's JSON. A round without a wall time is left out: hyperfine has no null in times.
func (b Bench) writeHyperfine(w io.Writer) error {
	out := struct {
		Results []hyperfineResult `json:"results"`
	}{[]hyperfineResult{}}
	for c, s := range b.Sides {
		wall := compare.Rule{Confidence: 0.95}.Describe(b.Bench, c, datamodel.WallTime)
		r := hyperfineResult{
			Command: s.Command.Name, Mean: number(wall.Mean), Stddev: number(wall.Std), Median: number(wall.Median.Value),
			User: b.mean(c, datamodel.CPUUserTime), System: b.mean(c, datamodel.CPUSystemTime), Min: number(wall.Min), Max: number(wall.Max),
			Times: []float64{}, ExitCodes: []int{},
		}
		memory := b.Values(c, datamodel.PeakMemory)
		for _, round := range b.Of(c) {
			t := round.Metric(datamodel.WallTime).Value
			if math.IsNaN(t) {
				continue
			}
			r.Times = append(r.Times, t)
			r.ExitCodes = append(r.ExitCodes, round.ExitCode)
			if m := memory[round.Block]; !math.IsNaN(m) {
				r.Memory = append(r.Memory, int64(m))
			}
		}
		if len(r.Memory) != len(r.Times) { // its readers take both lists as columns of one table
			r.Memory = nil
		}
		for _, p := range s.Command.Parameters {
			if r.Parameters == nil {
				r.Parameters = map[string]string{}
			}
			r.Parameters[p.Name] = p.Value
		}
		out.Results = append(out.Results, r)
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// mean returns the mean of a metric over the rounds of a command.
func (b Bench) mean(command int, metric string) *float64 {
	return number(compare.Rule{Confidence: 0.95}.Describe(b.Bench, command, metric).Mean)
}

// goUnit returns the unit of a metric in Go's benchmark text, and the factor to it.
func goUnit(d datamodel.Definition) (unit string, factor float64) {
	switch d.Name {
	case datamodel.WallTime:
		return "ns/op", 1e9
	case datamodel.CPUTime:
		return "cpu-ns/op", 1e9
	case datamodel.PeakMemory:
		return "peak-B/op", 1
	}
	return strings.ReplaceAll(d.Name, "_", "-") + "-" + string(d.Unit) + "/op", 1
}

// writeGoBench writes the text that benchstat reads: one line a round.
func (b Bench) writeGoBench(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "tool: ergon %s\n", b.Version)
	seen := map[string]bool{}
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			unit, _ := goUnit(f.Metric)
			if !seen[unit] && unit != "ns/op" && f.Metric.Better == datamodel.Lower {
				fmt.Fprintf(&text, "Unit %s better=lower\n", unit)
			}
			seen[unit] = true
		}
	}
	for c, s := range b.Sides {
		for _, r := range b.Of(c) {
			fmt.Fprintf(&text, "Benchmark%s 1", benchName(s.Command.Name))
			for _, f := range s.Figures {
				unit, factor := goUnit(f.Metric)
				if v := r.Metric(f.Metric.Name).Value; !math.IsNaN(v) {
					fmt.Fprintf(&text, " %s %s", strconv.FormatFloat(v*factor, 'f', -1, 64), unit)
				}
			}
			text.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// benchName makes a name for Go's benchmark text: it begins with a capital letter and has no space.
func benchName(name string) string {
	name = strings.Join(strings.Fields(printable(name)), "_")
	if name == "" {
		return "X"
	}
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// writeGitHub writes customSmallerIsBetter of github-action-benchmark. Metrics of which more is better are left out.
func (b Bench) writeGitHub(w io.Writer) error {
	type entry struct {
		Name  string  `json:"name"`
		Unit  string  `json:"unit"`
		Value float64 `json:"value"`
		Range string  `json:"range,omitempty"`
		Extra string  `json:"extra,omitempty"`
	}
	out := []entry{}
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			if f.N == 0 || f.Metric.Better == datamodel.Higher {
				continue
			}
			e := entry{
				Name: s.Command.Name + ": " + f.Metric.Label, Unit: string(f.Metric.Unit), Value: f.Median.Value, Extra: fmt.Sprintf("median of %d rounds", f.N),
			}
			if f.Median.Known() {
				e.Range = "± " + strconv.FormatFloat((f.Median.High-f.Median.Low)/2, 'g', 3, 64)
			}
			out = append(out, e)
		}
	}
	return encoder(w).Encode(out)
}

// Bencher's limits of a name.
const (
	mostBenchmark = 1024
	mostMeasure   = 64
)

// writeBencher writes Bencher Metric Format. The slug latency has its unit, nanoseconds; others have base units.
func (b Bench) writeBencher(w io.Writer) error {
	type value struct {
		Value float64  `json:"value"`
		Lower *float64 `json:"lower_value,omitempty"`
		Upper *float64 `json:"upper_value,omitempty"`
	}
	out := map[string]map[string]value{}
	for _, s := range b.Sides {
		name := shorten(s.Command.Name, mostBenchmark)
		measures := map[string]value{}
		for _, f := range s.Figures {
			if f.N == 0 {
				continue
			}
			slug, factor := strings.ReplaceAll(f.Metric.Name, "_", "-"), 1.0
			if f.Metric.Name == datamodel.WallTime {
				slug, factor = "latency", 1e9
			}
			v := value{Value: f.Median.Value * factor}
			if f.Median.Known() {
				v.Lower, v.Upper = number(f.Median.Low*factor), number(f.Median.High*factor)
			}
			measures[slug[:min(len(slug), mostMeasure)]] = v
		}
		out[name] = measures
	}
	return json.NewEncoder(w).Encode(out)
}

// writeJUnit writes a test case for each metric of each command. A regression is a failure; what is inconclusive is skipped.
func (b Bench) writeJUnit(w io.Writer) error {
	var cases []junitCase
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			c := junitCase{Class: printable(s.Command.Name), Name: f.Metric.Name}
			if f.Metric.Name == datamodel.WallTime && f.N > 0 {
				c.Time = strconv.FormatFloat(f.Median.Value, 'f', 6, 64)
			}
			switch {
			case f.N == 0:
				c.Skipped = &junitMessage{Message: printable(f.Reason)}
			case f.Change == nil:
			case f.Change.Verdict == compare.Regressed:
				c.Failure = &junitMessage{Message: changeText(*f.Change), Type: "PerformanceRegression"}
			case f.Change.Verdict == compare.Inconclusive:
				c.Skipped = &junitMessage{Message: changeText(*f.Change)}
			}
			cases = append(cases, c)
		}
	}
	return writeJUnit(w, "ergon bench", append(cases, b.BudgetFindings(false).cases()...))
}

// writeOpenMetrics writes the medians and the verdicts on budgets as OpenMetrics text, for GitLab's metrics report.
func (b Bench) writeOpenMetrics(w io.Writer) error {
	var m openMetrics
	for _, s := range b.Sides {
		for _, f := range s.Figures {
			m.add(f.Metric.Name, f.Metric.Unit, f.Median.Value, "command", s.Command.Name)
		}
	}
	for _, f := range b.BudgetFindings(false).List {
		m.add("verdict_good", "", f.good(), "command", f.Subject, "name", f.Name)
	}
	return m.write(w)
}
