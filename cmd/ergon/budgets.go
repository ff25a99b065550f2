package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

// This file is --budget and what goes with it, of run, record, bench and check.

// BudgetOptions say what a run may cost.
type BudgetOptions struct {
	// Budgets are the rules.
	Budgets []rule.Budget
	// Strict lets an unknown verdict fail.
	Strict bool
}

// WatchOptions say what happens when a budget is broken while the command runs.
type WatchOptions struct {
	// OnBudget is warn, fail or kill.
	OnBudget string
	// KillAfter is the time until what was asked to end is killed. 0 is the default of each reason.
	KillAfter time.Duration
}

// The words of --on-budget.
const (
	budgetWarn = "warn"
	budgetFail = "fail"
	budgetKill = "kill"
)

// table lists the options, bound to o.
func (o *BudgetOptions) table() table {
	return table{
		{
			name: "budget", key: "budgets", group: forBudgets, value: budgets{&o.Budgets},
			usage: "a `RULE` that must hold at the end, else the exit code is 120: 'energy <= 500 J'; may be repeated; none forgets those of ergon.yaml",
		},
		{name: "strict", group: forBudgets, usage: "a budget that cannot be judged fails as well", value: toggle{&o.Strict}},
	}
}

// table lists the options, bound to o.
func (o *WatchOptions) table() table {
	return table{
		{
			name: "on-budget", group: forBudgets, scope: inTrusted, value: choice{&o.OnBudget, []string{budgetWarn, budgetFail, budgetKill}},
			usage: "`WHAT` a broken budget does: warn (only tell it), fail (exit with 120), kill (also end the command as soon as the budget is lost)",
		},
		{
			name: "kill-after", group: forBudgets, scope: inTrusted, value: limit{&o.KillAfter},
			usage: "kill what --timeout or --on-budget kill has asked to end, and what still runs after this `TIME` (default: 5s, 10s)",
		},
	}
}

// budgets collects budgets. The word none forgets those that were given before.
type budgets struct{ to *[]rule.Budget }

// noBudgets is the word that stands for no budgets.
const noBudgets = "none"

func (v budgets) Set(given string) error {
	if strings.TrimSpace(given) == noBudgets {
		*v.to = nil
		return nil
	}
	r, err := rule.Parse(given, datamodel.Catalogue())
	if err != nil {
		return err
	}
	text := strings.TrimSpace(given)                                                          // blanks within a label count
	*v.to = slices.DeleteFunc(*v.to, func(other rule.Budget) bool { return other.Rule == r }) // the same one twice is one
	*v.to = append(*v.to, rule.Budget{Rule: r, Given: text})
	return nil
}

// Stands takes the place of what was set last.
func (v budgets) Stands(at datamodel.Place) {
	if n := len(*v.to); n > 0 {
		(*v.to)[n-1].Place = at
	}
}

func (v budgets) String() string { return "" }

func (v budgets) Current() string {
	var all []string
	for _, b := range *v.to {
		all = append(all, b.Given)
	}
	return strings.Join(all, ", ")
}

// judgedAs says what a budget judges, to find its counterpart in the baseline.
type judgedAs struct {
	// command is the name of the command. alone is true if no other command is judged beside it.
	command string
	alone   bool
	// dir is the folder of the run if it was measured before; else empty.
	dir string
	// courses is true if a budget needs the courses of a run.
	courses bool
}

// lookUp returns the budgets with the values that they compare with. For a new run it is called before anything is measured:
// `last` is then the run before. A run that is not there is no error: the budget is unknown.
func (p *program) lookUp(list []rule.Budget, results string, of judgedAs) []rule.Budget {
	list = slices.Clone(list)
	of.courses = slices.ContainsFunc(list, func(b rule.Budget) bool { return b.NeedsCourse() })
	known := map[string]rule.Values{}
	for i, b := range list {
		name := b.Limit.Baseline
		if name == "" || b.Base != nil {
			continue
		}
		if _, ok := known[name]; !ok {
			values, err := p.valuesOf(results, name, of)
			if err != nil { // each value is missing with this reason
				values = func(t rule.Term, _ string) datamodel.Metric { return datamodel.Missing(t.Metric, t.Unit, err.Error()) }
			}
			known[name] = values
		}
		m := known[name](b.Term, "")
		m.Name = b.Metric
		base := datamodel.Figures([]datamodel.Metric{m})[b.Metric]
		list[i].Base = &base
	}
	return list
}

// valuesOf returns the values of a run that was kept. A bench has those of the command with the same name; one that has only one
// command is compared with what is judged alone, whatever the names are.
func (p *program) valuesOf(results, name string, of judgedAs) (rule.Values, error) {
	dir, err := p.history(results).Find(name)
	if err != nil {
		return nil, err
	}
	if of.dir != "" && store.IDOf(dir) == store.IDOf(of.dir) {
		return nil, errors.New("it is the run that is judged (last~1 is the run before last)")
	}
	result, err := store.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", store.IDOf(dir), err)
	}
	bench := result.Run.Bench
	if bench == nil {
		if of.courses {
			if result.Charts, err = store.LoadCharts(dir); err != nil {
				return nil, fmt.Errorf("run %s: %w", store.IDOf(dir), err)
			}
		}
		return rule.Of(result), nil
	}
	at := slices.IndexFunc(bench.Commands, func(c datamodel.BenchCommand) bool { return c.Name == of.command })
	if at < 0 && of.alone && len(bench.Commands) == 1 {
		at = 0
	}
	if at < 0 {
		return nil, fmt.Errorf("bench %s has no command %q", store.IDOf(dir), of.command)
	}
	return rule.OfRounds(*bench, at), nil
}

// onBreach returns what is called when a budget is found broken while the command runs; nil if nobody has to look.
func (p *program) onBreach(o WatchOptions, show *progress) func(datamodel.Budget) bool {
	switch o.OnBudget {
	case budgetWarn:
		return func(b datamodel.Budget) bool {
			show.erase()
			p.complain(fmt.Errorf("budget broken after %.1f s: %s", b.Breach.Elapsed, report.BudgetText(b)))
			return false
		}
	case budgetKill:
		return func(b datamodel.Budget) bool {
			show.erase()
			p.complain(fmt.Errorf("budget broken after %.1f s: %s: the command is asked to end", b.Breach.Elapsed, report.BudgetText(b)))
			return true
		}
	}
	return nil
}

// tellFindings says which budgets fail if no summary on stderr says it, and annotates them for GitHub Actions.
func (p *program) tellFindings(o SummaryOptions, f report.Findings) {
	if o.Quiet || o.Line != "" || o.file != nil {
		for _, one := range f.Failing() {
			p.complain(fmt.Errorf("budget %s: %s: %s", one.Word, one.Name, one.Text))
		}
	}
	if !o.NoCI {
		p.annotate(f)
	}
}

// judged returns the exit code that the verdicts on budgets ask for; 0 if none fails.
func judged(f report.Findings) error {
	if f.Worst() == report.Fails {
		return status(runner.ExitBudget)
	}
	return nil
}

// annotate writes the findings where GitHub Actions makes annotations of them. They go to stderr, which the runner reads as well
// as stdout: stdout belongs to the command. A command that does not end its last line cannot hide them.
func (p *program) annotate(f report.Findings) {
	if os.Getenv("GITHUB_ACTIONS") != "true" || f.Worst() == report.Passes {
		return
	}
	for i := range f.List {
		f.List[i].Place.File = inWorkspace(f.List[i].Place.File)
	}
	var text strings.Builder
	if err := f.WriteGitHub(&text); err != nil {
		return
	}
	_, _ = p.err.Write([]byte("\n" + text.String()))
}

// inWorkspace returns the path of a file as GitHub knows it: relative to the folder of the checkout.
func inWorkspace(file string) string {
	workspace := os.Getenv("GITHUB_WORKSPACE")
	if file == "" || workspace == "" {
		return file
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	relative, err := filepath.Rel(workspace, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return file
	}
	return filepath.ToSlash(relative)
}

// contradicts returns an error if the options about budgets make no sense together.
func (o BudgetOptions) contradicts(w WatchOptions) error {
	if o.Strict && w.OnBudget == budgetWarn {
		return &usage{errors.New("--strict and --on-budget warn contradict each other")}
	}
	return nil
}
