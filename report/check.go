package report

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/sensors"
)

// Check is the verdict on the budgets of a run that was kept.
type Check struct {
	// Run is the run with its budgets. Judged are the budgets of each of its commands; a plain run has one.
	Run    datamodel.Run
	Judged []JudgedCommand
	// Strict lets an unknown verdict fail.
	Strict bool
}

// JudgedCommand has the verdicts on the budgets of one command.
type JudgedCommand struct {
	Name    string
	Budgets []datamodel.Budget
}

// Findings returns the findings of all commands.
func (c Check) Findings() Findings {
	out := Findings{Title: "Budgets", Strict: c.Strict}
	for _, j := range c.Judged {
		for _, b := range j.Budgets {
			out.List = append(out.List, budgetFinding(j.Name, b))
		}
	}
	return out
}

// CheckFormats lists what Check.Write takes, the default first.
func CheckFormats() []string { return []string{"text", "json", "markdown", "junit", "openmetrics"} }

// Write writes the verdicts in one of the formats.
func (c Check) Write(w io.Writer, format string, o Options) error {
	switch format {
	case "json":
		return c.writeJSON(w)
	case "markdown":
		return c.Findings().WriteMarkdown(w)
	case "junit":
		return c.Findings().WriteJUnit(w)
	case "openmetrics":
		return c.Findings().WriteOpenMetrics(w)
	}
	return c.writeText(w, o)
}

// writeText writes how the run ended, and a line for each budget.
func (c Check) writeText(w io.Writer, o Options) error {
	p := &page{Options: o, out: w, width: briefWidth}
	if o.Width > 0 {
		p.width = min(briefWidth, o.Width)
	}
	if c.Run.Bench == nil {
		wall := datamodel.Missing(datamodel.WallTime, "", "")
		if t := c.Run.WallTime; t != nil {
			wall = datamodel.Value(datamodel.WallTime, *t, "s", "delta", sensors.FromCounter, "")
		}
		p.ended(c.Run, wall)
	}
	for _, j := range c.Judged {
		if c.Run.Bench != nil {
			p.line(p.look(bold, p.plain(shorten(printable(j.Name), p.width))))
		}
		p.budgets(j.Budgets)
	}
	return p.err
}

// checkSchema names the shape of the JSON.
const checkSchema = "ergon.check/1"

// writeJSON writes the verdicts as one object.
func (c Check) writeJSON(w io.Writer) error {
	type judged struct {
		Name    string       `json:"name"`
		Budgets []jsonBudget `json:"budgets"`
	}
	out := struct {
		Schema   string   `json:"schema"`
		Run      string   `json:"run"`
		Verdict  string   `json:"verdict"`
		Commands []judged `json:"commands"`
	}{checkSchema, c.Run.ID, c.verdict(), []judged{}}
	for _, j := range c.Judged {
		out.Commands = append(out.Commands, judged{j.Name, budgetsJSON(j.Budgets)})
	}
	var b strings.Builder
	e := encoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := w.Write(screen.CleanJSON([]byte(b.String())))
	return err
}

// verdict returns the worst verdict.
func (c Check) verdict() string {
	worst := datamodel.BudgetKept
	for _, j := range c.Judged {
		for _, b := range j.Budgets {
			if b.Verdict == datamodel.BudgetBroken || worst == datamodel.BudgetKept {
				worst = b.Verdict
			}
		}
	}
	return string(worst)
}

// WriteJUnit writes a run as JUnit XML: whether the command succeeded, and its budgets.
func WriteJUnit(w io.Writer, r datamodel.Result, o Options) error {
	name := printable(commandLine(r.Run.Command))
	c := junitCase{Class: name, Name: "command"}
	if t := r.Run.WallTime; t != nil {
		c.Time = strconv.FormatFloat(*t, 'f', 6, 64)
	}
	switch r.Run.Outcome {
	case datamodel.Done:
	case datamodel.OverBudget: // the budget says it
		c.Skipped = &junitMessage{Message: verdict(r.Run)}
	default:
		c.Failure = &junitMessage{Message: strings.Join(nonEmpty(verdict(r.Run), why(r.Run)), ": "), Type: string(r.Run.Outcome)}
	}
	return writeJUnit(w, "ergon", append([]junitCase{c}, BudgetFindings(r.Run, o.Strict).cases()...))
}

// WriteOpenMetrics writes the summary of a run and the verdicts on its budgets as OpenMetrics text.
func WriteOpenMetrics(w io.Writer, r datamodel.Result, o Options) error {
	var m openMetrics
	name := commandLine(r.Run.Command)
	all := summary(r)
	for _, d := range datamodel.Reported() {
		if one := all[d.Name]; d.Of != datamodel.OfProfiler {
			m.add(d.Name, one.Unit, one.Value, "command", name)
		}
	}
	for _, f := range BudgetFindings(r.Run, o.Strict).List {
		m.add("verdict_good", "", f.good(), "command", name, "name", f.Name)
	}
	return m.write(w)
}

// good is 1 if nothing is wrong, 0 if something is, and NaN if that is unknown.
func (f Finding) good() float64 {
	switch f.State {
	case Passes:
		return 1
	case Warns, Fails:
		return 0
	case Undecided:
	}
	return math.NaN()
}
