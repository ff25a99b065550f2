package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
)

// TrendOptions are the options of `ergon trend`.
type TrendOptions struct {
	// Results are the folders that keep the runs.
	Results []string
	// Metrics are what trend.Parse reads; none is the default.
	Metrics []string
	By      string
	Filter  history.Filter
	// Outcomes are those that fit; none is done.
	Outcomes []string
	// Command is a text that the command contains.
	Command string
	// Overdue prints only what is overdue, and makes it the exit code.
	Overdue bool
	Format  string
	// Export is the file to write instead of stdout.
	Export string
	// Pages is the folder that gets the page of each run.
	Pages string
}

// defaultTrend are the metrics without --metric.
const defaultTrend = datamodel.WallTime + "," + datamodel.Energy

// namedRuns is how many unreadable runs are named.
const namedRuns = 10

func (p *program) trendCommand() *subcommand {
	o := TrendOptions{By: trend.Ways()[0], Format: report.TrendFormats()[0]}
	formats := report.TrendFormats()
	return &subcommand{
		name: "trend", usage: "show how metrics went over many runs, and where their level changed",
		example: "ergon trend --metric energy,wall_time --by commit --since 90d -f html --export trend.html",
		description: "One line has the runs of one command on machines with the same processors, kernel and governor, measured by the same means. " +
			"Only runs that ended with done count, unless --outcome says otherwise. Commands whose runs came regularly and stopped are named.",
		options: append(table{
			{
				name: "results", group: forResults, short: "o", variable: "ERGON_RESULTS", scope: inTrusted, value: folders{&o.Results},
				usage: "the `DIR` that keeps the results; may be repeated",
			},
			{
				name: "metric", key: "trend-metric", value: trendMetrics{&o.Metrics},
				usage: "the `METRICS`: energy,wall_time, inventory.bytes, inventory.files[AREA/TYPE], disk.free[PATH] (default: " + defaultTrend + ")",
			},
			{name: "by", key: "trend-by", usage: "make one point of each `WORD`: " + strings.Join(trend.Ways(), ", "), value: choice{&o.By, trend.Ways()}},
		}, append(filterOptions(&o.Filter, &o.Outcomes),
			&option{name: "command", short: "c", scope: once, usage: "only commands that contain this `TEXT`", value: required{&o.Command, "text"}},
			&option{
				name: "overdue", scope: once, value: toggle{&o.Overdue},
				usage: fmt.Sprintf("print only commands whose next run is overdue; the exit code is %d if there is one", runner.ExitOverdue),
			},
			formatOption(&o.Format, formats),
			&option{name: "export", scope: once, usage: "write to `FILE`, not to stdout", value: required{&o.Export, "file"}},
			&option{name: "pages", scope: once, usage: "with -f html: write the page of each run into `DIR`, unless it is there, and link to it", value: required{&o.Pages, "folder"}},
		)...),
		run: func(ctx context.Context, words []string) error {
			switch {
			case len(words) > 0:
				return misused("trend", "trend: takes no argument, not %q: --command chooses a command, -o DIR another folder", words[0])
			case o.Pages != "" && o.Format != pageFormat:
				return misused("trend", "trend: --pages is for -f html")
			}
			return p.trend(ctx, o)
		},
	}
}

// folders collects the results folders. Without one it is the default.
type folders struct{ to *[]string }

func (v folders) Set(given string) error {
	if given == "" {
		return errors.New("no folder given")
	}
	if !slices.Contains(*v.to, given) {
		*v.to = append(*v.to, given)
	}
	return nil
}

func (v folders) String() string { return defaultResults }

func (v folders) Current() string {
	if len(*v.to) == 0 {
		return defaultResults
	}
	return strings.Join(*v.to, ",")
}

// trendMetrics are metrics between commas.
type trendMetrics struct{ to *[]string }

func (v trendMetrics) Set(given string) error {
	return list{v.to, func(part string) error { _, err := trend.Parse(part); return err }}.Set(given)
}

func (v trendMetrics) String() string { return "" }

func (v trendMetrics) Current() string {
	if len(*v.to) == 0 {
		return defaultTrend
	}
	return strings.Join(*v.to, ",")
}

// trend prints how metrics went over many runs.
func (p *program) trend(ctx context.Context, o TrendOptions) error {
	now := time.Now()
	runs, err := p.trendRuns(&o)
	if err != nil {
		return err
	}
	late := slices.DeleteFunc(trend.Late(runs, now), func(l trend.Overdue) bool { return !o.of(l.Command) })
	t := report.Trend{Since: o.Filter.Since, Now: now, Overdue: late, OnlyOverdue: o.Overdue, Version: version()}
	if !o.Overdue {
		q := trend.Query{By: trend.By(o.By), Command: o.Command}
		for text := range strings.SplitSeq((trendMetrics{&o.Metrics}).Current(), ",") {
			m, err := trend.Parse(text)
			if err != nil {
				return &usage{err}
			}
			q.Metrics = append(q.Metrics, m)
		}
		fit := o.finished(runs)
		if slices.ContainsFunc(q.Metrics, trend.Metric.NeedsTree) {
			if err := p.readTrees(ctx, fit); err != nil {
				return err
			}
		}
		t.Trend, t.Metrics = trend.Make(fit, q), q.Metrics
		if left := len(runs) - len(fit); left > 0 {
			p.note(fmt.Errorf("left out %s that did not end with done (--outcome chooses)", plural(left, "run")))
		}
		if t.Ungrouped > 0 {
			p.note(fmt.Errorf("left out %s without a %s", plural(t.Ungrouped, "run"), o.By))
		}
		if len(t.Lines) == 0 && (o.Format == report.TrendFormats()[0] || len(runs) == 0) {
			p.note(fmt.Errorf("no run in %s fits", strings.Join(o.Results, ", ")))
		}
	}
	if err := p.writeTrend(ctx, t, o); err != nil {
		return err
	}
	if o.Overdue && len(t.Overdue) > 0 {
		return status(runner.ExitOverdue)
	}
	return nil
}

// of reports whether a command is asked for.
func (o TrendOptions) of(command string) bool { return strings.Contains(command, o.Command) }

// finished returns the runs that lines are made of.
func (o TrendOptions) finished(runs []trend.Run) []trend.Run {
	outcomes := o.Filter.Outcomes
	if len(outcomes) == 0 {
		outcomes = []datamodel.Outcome{datamodel.Done}
	}
	return slices.DeleteFunc(slices.Clone(runs), func(r trend.Run) bool { return !slices.Contains(outcomes, r.Outcome) })
}

// trendRuns lists the runs of all folders that fit. A run in two folders counts once. What cannot be read is named on stderr.
func (p *program) trendRuns(o *TrendOptions) ([]trend.Run, error) {
	if len(o.Results) == 0 {
		o.Results = []string{defaultResults}
	}
	for _, word := range o.Outcomes {
		o.Filter.Outcomes = append(o.Filter.Outcomes, datamodel.Outcome(word))
	}
	filter := o.Filter
	filter.Outcomes = nil // a run that failed came, too
	var runs []trend.Run
	seen := map[[2]string]bool{}
	var bad []history.Entry
	private := 0
	for _, results := range o.Results {
		all, err := p.history(results).List()
		if err != nil {
			return nil, err
		}
		for i := range all {
			if e := &all[i]; e.Err != nil && !errors.Is(e.Err, fs.ErrPermission) {
				bad = append(bad, *e)
			} else if e.Err != nil {
				private++
			}
		}
		entries, unknown := filter.Select(slices.DeleteFunc(all, func(e history.Entry) bool { return e.Err != nil }))
		if unknown > 0 {
			p.note(fmt.Errorf("left out %s without a value that --where is about", plural(unknown, "run")))
		}
		for i := range entries {
			e := &entries[i]
			key := [2]string{e.Run.Project, e.Run.ID}
			run := trend.Run{Run: e.Run, Dir: e.Dir, Tags: e.Tags, Summary: e.Metric}
			if seen[key] || o.Command != "" && !slices.ContainsFunc(run.Commands(), o.of) {
				continue
			}
			seen[key] = true
			runs = append(runs, run)
		}
	}
	for i, e := range bad {
		if i == namedRuns {
			p.note(fmt.Errorf("%d more runs cannot be read (`ergon ls` lists them)", len(bad)-namedRuns))
			break
		}
		p.note(fmt.Errorf("left out run %s: %s", e.Run.ID, e.Problem()))
	}
	if private > 0 {
		p.note(fmt.Errorf("%s may not be read by you (who measures with --share lets others read)", plural(private, "run")))
	}
	return runs, nil
}

// readTrees reads the metrics of files and file systems. A run without them is only read.
func (p *program) readTrees(ctx context.Context, runs []trend.Run) error {
	for i := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		result, err := store.Load(runs[i].Dir)
		if err != nil {
			runs[i].Unread = err.Error()
			p.note(fmt.Errorf("left out run %s: %w%s", runs[i].ID, err, wayOut(runs[i].Dir)))
			continue
		}
		runs[i].Tree = result.Tree
	}
	return nil
}

// writeTrend writes the trend to stdout or to a file, and the pages of its runs.
func (p *program) writeTrend(ctx context.Context, t report.Trend, o TrendOptions) error {
	if o.Pages != "" {
		if err := p.runPages(ctx, t, o.Pages); err != nil {
			return err
		}
		from := "."
		if o.Export != "" {
			from = filepath.Dir(o.Export)
		}
		t.Link = func(r *trend.Run) string { return link(from, filepath.Join(o.Pages, pageName(r))) }
	}
	options := reportOptions(p.out.File())
	if o.Export == "" && o.Format != report.TrendFormats()[0] {
		return t.Write(p.out, o.Format, options)
	}
	if o.Export == "" {
		return t.Write(p.out.Styled(), o.Format, options)
	}
	if err := writable(o.Export); err != nil {
		return &usage{fmt.Errorf("--export: %w", err)}
	}
	err := store.WriteFile(o.Export, here().owner(o.Export).account(), func(w io.Writer) error {
		return t.Write(w, o.Format, report.Options{Unicode: true})
	})
	if err != nil {
		return fmt.Errorf("--export: %w", err)
	}
	return nil
}

// pageName is the file name of a run's page. The id in the manifest could be a path that a stranger chose; the folder's name cannot.
func pageName(r *trend.Run) string { return store.IDOf(r.Dir) + ".html" }

// link returns the address of a file, as seen from a page in a folder. It is "" if no page is there.
func link(from, file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return ""
	}
	to, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		rel = to
	}
	return (&url.URL{Path: "./" + filepath.ToSlash(rel)}).String()
}

// runPages writes the page of each run of a trend that has none yet. A run does not change, so its page stays true.
func (p *program) runPages(ctx context.Context, t report.Trend, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the umask says who may read it
		return fmt.Errorf("--pages: %w", err)
	}
	for _, r := range t.Runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := filepath.Join(dir, pageName(r))
		if _, err := os.Stat(to); err == nil {
			continue
		}
		result, err := store.Load(r.Dir)
		if err == nil {
			result.Charts, err = store.LoadCharts(r.Dir)
		}
		if err != nil {
			p.note(fmt.Errorf("run %s has no page: %w", r.ID, err))
			continue
		}
		write := func(w io.Writer) error {
			return report.WritePage(w, []report.Shown{{Result: result, Results: shortest(r.Dir)}})
		}
		if b := result.Run.Bench; b != nil {
			write = func(w io.Writer) error {
				return benchResult(*b, result.Run, false).Write(w, pageFormat, report.Options{Unicode: true, Results: shortest(r.Dir)})
			}
		}
		if err := store.WriteFile(to, here().owner(to).account(), write); err != nil {
			return fmt.Errorf("--pages: %w", err)
		}
	}
	return nil
}
