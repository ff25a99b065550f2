package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/units"
)

func (p *program) reportCommand() *cli.Command {
	var names []string
	for _, f := range report.All() {
		names = append(names, f.Name)
	}
	return &cli.Command{
		Name: "report", Usage: "show a run again", ArgsUsage: "[RUN]",
		Description: "RUN is a folder, a run id, the beginning of one, or last (the default).",
		Flags: []cli.Flag{
			resultsFlag(),
			&cli.StringFlag{
				Name: "format", Aliases: []string{"f"}, Value: names[0],
				Usage: "the `FORMAT`: " + strings.Join(names, ", "),
			},
		},
		Action: func(c *cli.Context) error {
			for _, f := range report.All() {
				if f.Name == c.String("format") {
					return p.show(c, f)
				}
			}
			return &usage{fmt.Errorf("-f: no format %q: there are %s", c.String("format"), strings.Join(names, ", "))}
		},
	}
}

// show writes a stored run to stdout.
func (p *program) show(c *cli.Context, f report.Format) error {
	dir, err := resolve(c)
	if err != nil {
		return err
	}
	result, err := store.Load(dir)
	if err != nil {
		return fmt.Errorf("run %s: %w%s", shortest(dir), err, wayOut(dir))
	}
	options := p.options(p.out)
	options.Results, options.Processes, options.Setup = shortest(dir), true, true
	return f.Write(p.out, result, options)
}

// wayOut says what can be done about a run that cannot be loaded.
func wayOut(dir string) string {
	if run, err := store.LoadManifest(dir); err == nil && run.Outcome == datamodel.Unfinished {
		return fmt.Sprintf(": the run was not finished; `ergon recover %s` makes what it can of it", run.ID)
	}
	return ""
}

// resolve finds the run that the only argument names.
func resolve(c *cli.Context) (string, error) {
	name := store.Last
	switch c.NArg() {
	case 0:
	case 1:
		name = c.Args().First()
	default:
		return "", misused(c.Command.Name, "%s: one run at a time, not %d", c.Command.Name, c.NArg())
	}
	return store.Resolve(c.String("results"), name)
}

func (p *program) lsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the runs", Flags: []cli.Flag{resultsFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return misused("ls", "ls: takes no argument, not %q: another folder is given with -o DIR", c.Args().First())
			}
			return p.list(c.String("results"))
		},
	}
}

// list writes a line for each run, the earliest first.
func (p *program) list(results string) error {
	entries, err := store.ListRuns(results)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		fmt.Fprintf(p.err, "ergon: no runs in %s\n", results)
		return nil
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTART\tWALL\tOUTCOME\tPROJECT\tCOMMAND")
	for _, e := range entries {
		if e.Err != nil {
			fmt.Fprintf(w, "%s\t\t\tunreadable\t%s\t%v\n", report.Clean(e.Run.ID), report.Clean(e.Run.Project), e.Err)
			continue
		}
		wall := "-"
		if e.Run.WallTime != nil {
			wall = units.Format(*e.Run.WallTime, units.Second)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", report.Clean(e.Run.ID), e.Run.Start.Local().Format("2006-01-02 15:04:05"), wall,
			e.Run.Outcome, report.Clean(e.Run.Project), report.Clean(strings.Join(e.Run.Command, " ")))
	}
	return w.Flush()
}

func (p *program) recoverCommand() *cli.Command {
	return &cli.Command{
		Name: "recover", Usage: "finish a run whose ergon was ended before it could", ArgsUsage: "[RUN]",
		Description: "Without RUN every unfinished run of the results folder is finished.",
		Flags:       []cli.Flag{resultsFlag()},
		Action:      p.recover,
	}
}

func (p *program) recover(c *cli.Context) error {
	if c.NArg() > 0 {
		dir, err := resolve(c)
		if err != nil {
			return err
		}
		return p.recoverOne(dir)
	}
	runner.Sweep()
	entries, err := store.ListRuns(c.String("results"))
	if err != nil {
		return err
	}
	found, failed := 0, 0
	for _, e := range entries {
		if e.Err == nil && e.Run.Outcome != datamodel.Unfinished {
			continue
		}
		found++
		if err := p.recoverOne(e.Dir); err != nil {
			failed++
			p.complain(err)
		}
	}
	switch {
	case found == 0:
		fmt.Fprintf(p.err, "ergon: no unfinished run in %s\n", c.String("results"))
	case failed > 0:
		return status(exitErgon)
	}
	return nil
}

func (p *program) recoverOne(dir string) error {
	result, err := runner.Recover(dir)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	fmt.Fprintf(p.err, "ergon: recovered run %s: `ergon report %s` shows it\n", result.Run.ID, result.Run.ID)
	return nil
}

// options says what a reader of the file can see.
func (p *program) options(f *os.File) report.Options {
	terminal := isTerminal(f)
	o := report.Options{Unicode: utf8Locale()}
	if terminal {
		o.Width = width(f)
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return o
}

// utf8Locale says whether the user's locale can show more than ASCII; where none is set, as in most CI jobs and
// containers, what reads the output can.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// shortest is the path from the working folder where that is below it, else the path itself.
func shortest(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}
