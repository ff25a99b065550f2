package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// compactLimit is the most that joining ten thousand runs may take, in seconds, and trendLimit a trend over them in DuckDB.
	compactLimit = 60
	trendLimit   = 1
)

// duckTrend prints the mean and the median of two metrics by project and week, from the files that the pattern names, and then the
// time that the query took. The result has a line a group.
const duckTrend = `
import duckdb, sys, time
begin = time.perf_counter()
rows = duckdb.sql(f"""select project, date_trunc('week', date) as week, count(*), round(avg(wall_time), 9), round(median(cpu_time), 9)
	from read_parquet('{sys.argv[1]}', hive_partitioning = true, union_by_name = true, hive_types_autocast = true) group by all order by all""").fetchall()
print(*rows, time.perf_counter() - begin, sep="\n")
`

// compaction measures how long it takes to join ten thousand runs with all their tables, and what DuckDB needs for a trend over the
// joined tables and over the folders of the runs.
func compaction(b *bench) ([]figure, error) {
	runs, rounds := 10_000, 5
	if b.quick {
		runs, rounds = 30, 1
	}
	results := filepath.Join(b.dir, "compact")
	if err := b.makeWhole(results, runs); err != nil {
		return nil, err
	}
	folders := filepath.Join(results, "**", store.SummaryFile)
	joined := filepath.Join(results, store.TablesFolder, "summary", "**", "*.parquet")
	want, before, noPeer := "", []float64(nil), ""
	for range min(rounds, 3) {
		rows, took, err := trend(b, folders)
		if err != nil {
			noPeer = "no DuckDB to compare with"
			break
		}
		want, before = rows, append(before, took)
	}
	took, peak, err := timed("", b.ergon, "runs", "compact", "-o", results)
	if err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(results, "project=*"))
	if err != nil || len(left) > 0 {
		return nil, fmt.Errorf("%d projects were not joined as a whole: %w", len(left), err)
	}
	total := single(fmt.Sprintf("ergon runs compact, %d runs with %d tables each", runs, 6), units.Second, took)
	total.atMost(compactLimit)
	memory := single("its peak memory", units.Byte, peak)
	memory.atMost(300e6)
	var after []float64
	for range rounds {
		if noPeer != "" {
			break
		}
		rows, took, err := trend(b, joined)
		if err != nil {
			return nil, err
		}
		if rows != want {
			return nil, errors.New("DuckDB finds another trend in the joined tables than in the folders of the runs")
		}
		after = append(after, took)
	}
	t := median("a trend over them in DuckDB, joined tables", units.Second, after)
	t.compare(median("DuckDB over the folders", units.Second, before))
	t.atMost(trendLimit)
	t.Note = noPeer
	wall, cpu, err := b.look("ls", "-o", results)
	if err != nil {
		return nil, err
	}
	list := single("ergon ls of the archive", units.Second, wall)
	list.CPU = &cpu
	list.Note = "the index of before still counts"
	return []figure{total, memory, t, list}, os.RemoveAll(results)
}

// trend asks DuckDB for a trend. It returns the rows, and how long the query took, in s.
func trend(b *bench, pattern string) (rows string, seconds float64, err error) {
	out, err := exec.Command(python(b), "-c", duckTrend, pattern).Output()
	if err != nil {
		return "", math.NaN(), err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := len(lines) - 1
	seconds, err = strconv.ParseFloat(lines[last], 64)
	return strings.Join(lines[:last], "\n"), seconds, err
}

// makeWhole keeps runs of ten projects with all tables, one run every ten minutes. They are like a real run of 0.3 s, but each has
// values of its own.
func (b *bench) makeWhole(results string, n int) error {
	like := results + "-like"
	if out, err := exec.Command(b.ergon, "-q", "-o", like, "sleep", "0.3").CombinedOutput(); err != nil {
		return fmt.Errorf("ergon sleep: %w: %s", err, out)
	}
	found, err := history.History{Results: like}.List()
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d runs in %s: %w", len(found), like, err)
	}
	made := inMemory(results)
	if made != results {
		defer func() { _ = os.RemoveAll(filepath.Dir(made)) }() // it was copied, or it is of no use
	}
	const workers = 8 // most of the time they wait for the disk
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			var m *model
			if m, errs[w] = openModel(found[0].Dir); errs[w] != nil {
				return
			}
			for i := w; i < n && errs[w] == nil; i += workers {
				errs[w] = m.keep(made, i)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errors.Join(errs...), os.RemoveAll(like)); err != nil {
		return err
	}
	if made == results {
		return nil
	}
	return os.CopyFS(results, os.DirFS(made))
}

// inMemory returns a new folder in memory, or the path itself if the system has none. Each run is synced several times, which a disk
// would need minutes for.
func inMemory(path string) string {
	dir, err := os.MkdirTemp("/dev/shm", "ergon-bench-")
	if err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(path))
}

// model is a run that others are made like.
type model struct {
	datamodel.Result
	samples []byte
	metrics []*datamodel.Metric // of the tree
	values  []float64           // their values in the run
}

func openModel(dir string) (m *model, err error) {
	m = &model{}
	if m.Result, err = store.Load(dir); err != nil {
		return nil, err
	}
	if m.Charts, err = store.LoadCharts(dir); err != nil {
		return nil, err
	}
	m.collect(m.Tree)
	m.samples, err = os.ReadFile(filepath.Join(dir, store.SamplesFile))
	return m, err
}

// collect notes the metrics of a tree.
func (m *model) collect(n *datamodel.Node) {
	for i := range n.Metrics {
		m.metrics, m.values = append(m.metrics, &n.Metrics[i]), append(m.values, n.Metrics[i].Value)
	}
	for _, c := range n.Children {
		m.collect(c)
	}
}

// keep keeps run i. Each metric gets a value of its own; one that several nodes of a branch have stays one.
func (m *model) keep(results string, i int) error {
	rng, factors := rand.New(rand.NewPCG(3, uint64(i))), map[string]float64{}
	for k, metric := range m.metrics {
		if factors[metric.Name] == 0 {
			factors[metric.Name] = 1 + rng.Float64()
		}
		metric.Value = m.values[k] * factors[metric.Name]
	}
	run := m.Run
	run.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 10 * time.Minute)
	run.ID = fmt.Sprintf("%s-%012x", run.Start.Format(store.IDTime), rng.Uint64()>>16)
	run.Project, run.Command = "project"+strconv.Itoa(i%10), []string{"make", "-j8", "target" + strconv.Itoa(i%100)}
	run.Host.Git = &sensors.Git{Commit: commitOf(i), Branch: "main"}
	summary := datamodel.SummaryOf(m.Tree)
	run.Summary = datamodel.Figures(summary)
	f, err := store.NewRun(results, run.Project, run.Start, run.ID, store.Access{})
	if err != nil {
		return err
	}
	files := f.Files()
	err = errors.Join(files.SaveTree(run, m.Tree), files.SaveSummary(run, summary), files.SaveProcesses(run, m.Processes, nil),
		files.SaveCharts(m.Charts), os.WriteFile(filepath.Join(f.Path(), store.SamplesFile), m.samples, 0o600))
	if err == nil {
		err = files.Keep()
	}
	if err == nil {
		err = store.SaveManifest(f, run)
	}
	return errors.Join(err, f.Close())
}
