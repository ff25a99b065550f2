package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/report"
)

// CheckOptions are the options of `ergon check`.
type CheckOptions struct {
	Results string
	// Run names the run, as history.Find takes it.
	Run string
	BudgetOptions
	// FromFile says that the budgets stand in a settings file: those of the run count more.
	FromFile bool
	Format   string
	Exports  []checkExport
	// Nagios prints one line and exits as a monitoring plugin does.
	Nagios bool
	// NoCI tells GitHub Actions nothing.
	NoCI bool
}

// checkExport is a file that the verdicts are written to.
type checkExport struct{ format, path string }

func (p *program) checkCommand() *subcommand {
	o := CheckOptions{Results: defaultResults, Format: report.CheckFormats()[0]}
	c := &subcommand{
		name: "check", takes: aRun, arguments: "[RUN]", usage: "judge a kept run by its budgets, or by others",
		example: "ergon check last --budget 'energy <= 500 J'",
		description: runMeaning + " Without RUN it is last. Without --budget the budgets of the run count or, if it has none, those of ergon.yaml. " +
			"The exit code is 120 if one is broken.",
		options: slices.Concat(table{resultsOption(&o.Results)}, o.table(), table{
			formatOption(&o.Format, report.CheckFormats()),
			{
				name: "export", group: forSummary, scope: once, value: checkExports{&o.Exports},
				usage: "also write the verdicts to a file: `FORMAT=FILE`; " + strings.Join(report.CheckFormats(), ", "),
			},
			{
				name: "nagios", group: forSummary, scope: once, value: toggle{&o.Nagios},
				usage: "print one line with performance data and exit with 0 to 3, as a monitoring plugin",
			},
			noCIOption(&o.NoCI),
		}),
	}
	c.run = func(ctx context.Context, words []string) (err error) {
		if o.Run, err = oneRun("check", words); err != nil {
			return err
		}
		o.FromFile = c.options.find("budget").from.kind == inFile
		return p.check(ctx, o)
	}
	return c
}

// checkExports collects files for the verdicts.
type checkExports struct{ to *[]checkExport }

func (v checkExports) Set(given string) error {
	format, path, ok := strings.Cut(given, "=")
	if !ok || path == "" || !slices.Contains(report.CheckFormats(), format) {
		return fmt.Errorf("want FORMAT=FILE with a format of %s, got %q", strings.Join(report.CheckFormats(), ", "), given)
	}
	*v.to = append(*v.to, checkExport{format, path})
	return nil
}

func (v checkExports) String() string { return "" }

func (v checkExports) Current() string { return "" }

// check judges a kept run.
func (p *program) check(_ context.Context, o CheckOptions) error {
	for _, e := range o.Exports {
		if err := writable(e.path); err != nil {
			return &usage{fmt.Errorf("--export: %w", err)}
		}
	}
	result, err := p.checked(o)
	if err == nil {
		err = o.export(result)
	}
	if o.Nagios {
		return p.nagios(result, err)
	}
	if err != nil {
		return err
	}
	if err := result.Write(p.out.Styled(), o.Format, reportOptions(p.out.File())); err != nil {
		return err
	}
	findings := result.Findings()
	if !o.NoCI {
		p.toJobPage(findings.WriteMarkdown)
		p.annotate(findings)
	}
	return judged(findings)
}

// export writes the files of --export.
func (o CheckOptions) export(result report.Check) error {
	for _, e := range o.Exports {
		err := store.WriteFile(e.path, here().owner(e.path).account(), func(w io.Writer) error {
			return result.Write(w, e.format, report.Options{Unicode: true})
		})
		if err != nil {
			return fmt.Errorf("--export: %w", err)
		}
	}
	return nil
}

// nagios prints the line of a monitoring plugin. Whatever prevents a verdict is UNKNOWN.
func (p *program) nagios(result report.Check, err error) error {
	if err != nil {
		const unknown = 3
		fmt.Fprintf(p.out, "ERGON UNKNOWN - %s\n", strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\n", "; "), "|", "¦"))
		return status(unknown)
	}
	line, exit := result.Findings().Nagios()
	fmt.Fprintln(p.out, line)
	if exit != 0 {
		return status(exit)
	}
	return nil
}

// checked loads the run and judges it.
func (p *program) checked(o CheckOptions) (out report.Check, err error) {
	out.Strict = o.Strict
	dir, err := p.history(o.Results).Find(o.Run)
	if err != nil {
		return out, err
	}
	result, err := store.Load(dir)
	if err != nil {
		return out, fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	out.Run = result.Run
	if result.Run.Bench != nil {
		return out, p.checkBench(dir, o, &out)
	}
	list, kept, err := o.choose(result.Run.Budgets)
	if err != nil {
		return out, fmt.Errorf("run %s: %w", result.Run.ID, err)
	}
	if slices.ContainsFunc(list, func(b rule.Budget) bool { return b.NeedsCourse() }) {
		if result.Charts, err = store.LoadCharts(dir); err != nil {
			return out, fmt.Errorf("run %s: %w", shortest(dir), err)
		}
	}
	name := cmdline.Line(result.Run.Command)
	list = p.lookUp(list, o.Results, judgedAs{command: name, alone: true, dir: dir})
	command := judgedCommand(name, list, rule.Of(result), result.Charts)
	if kept != nil {
		command.Budgets = rule.Keep(kept, command.Budgets)
	}
	out.Judged = []report.JudgedCommand{command}
	return out, nil
}

// choose returns the budgets that count: those of the call, else those of the run, else those of a settings file. kept is not nil
// if they are those of the run.
func (o CheckOptions) choose(ofRun []datamodel.Budget) (list []rule.Budget, kept []datamodel.Budget, err error) {
	switch {
	case len(o.Budgets) > 0 && !o.FromFile:
		return o.Budgets, nil, nil
	case len(ofRun) > 0:
		list, err = rule.Again(ofRun)
		return list, ofRun, err
	case len(o.Budgets) > 0:
		return o.Budgets, nil, nil
	}
	return nil, nil, errors.New("it has no budgets (give some with --budget RULE, or as budgets: in ergon.yaml)")
}

// judgedCommand returns the verdicts on budgets.
func judgedCommand(name string, list []rule.Budget, get rule.Values, charts []datamodel.Chart) report.JudgedCommand {
	out := report.JudgedCommand{Name: name}
	for _, b := range list {
		out.Budgets = append(out.Budgets, b.Judge(get, charts))
	}
	return out
}

// checkBench judges each command of a bench by the medians of its rounds.
func (p *program) checkBench(dir string, o CheckOptions, out *report.Check) error {
	b, err := store.LoadBench(dir)
	if err != nil {
		return fmt.Errorf("run %s: %w%s", store.IDOf(dir), err, wayOut(dir))
	}
	for c, command := range b.Commands {
		list, _, err := o.choose(command.Budgets)
		if err != nil {
			return fmt.Errorf("run %s: %w", out.Run.ID, err)
		}
		list = p.lookUp(list, o.Results, judgedAs{command: command.Name, alone: len(b.Commands) == 1, dir: dir})
		out.Judged = append(out.Judged, judgedCommand(command.Name, list, rule.OfRounds(b, c), nil))
	}
	return nil
}

// toJobPage adds text to the summary page of the job in GitHub Actions. GitHub makes the file, and each step of a job adds to its own.
func (p *program) toJobPage(write func(io.Writer) error) {
	path := jobPage()
	if path == "" {
		return
	}
	page, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		err = errors.Join(write(page), page.Close())
	}
	if err != nil {
		p.complain(fmt.Errorf("GITHUB_STEP_SUMMARY: %w (--no-ci leaves the job's page alone)", err))
	}
}

// jobPage returns the file of the job's summary page in GitHub Actions; empty elsewhere.
func jobPage() string {
	if os.Getenv("GITHUB_ACTIONS") != "true" {
		return ""
	}
	return os.Getenv("GITHUB_STEP_SUMMARY")
}
