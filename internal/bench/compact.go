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
	const workers = 8 // most of the time they wait for the disk
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				errs[w] = keepLike(made, found[0].Dir, i)
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
	return errors.Join(os.CopyFS(results, os.DirFS(made)), os.RemoveAll(filepath.Dir(made)))
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

// keepLike keeps run i, which is like another one.
func keepLike(results, like string, i int) error {
	r, err := store.Load(like)
	if err != nil {
		return err
	}
	if r.Charts, err = store.LoadCharts(like); err != nil {
		return err
	}
	samples, err := os.ReadFile(filepath.Join(like, store.SamplesFile))
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(3, uint64(i)))
	r.Run.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 10 * time.Minute)
	r.Run.ID = fmt.Sprintf("%s-%012x", r.Run.Start.Format(store.IDTime), rng.Uint64()>>16)
	r.Run.Project, r.Run.Command = "project"+strconv.Itoa(i%10), []string{"make", "-j8", "target" + strconv.Itoa(i%100)}
	r.Run.Host.Git = &sensors.Git{Commit: commitOf(i), Branch: "main"}
	scale(r.Tree, rng)
	r.Summary = datamodel.SummaryOf(r.Tree)
	r.Run.Summary = datamodel.Figures(r.Summary)
	f, err := store.NewRun(results, r.Run.Project, r.Run.Start, r.Run.ID, store.Access{})
	if err != nil {
		return err
	}
	files := f.Files()
	err = errors.Join(files.SaveTree(r.Run, r.Tree), files.SaveSummary(r.Run, r.Summary), files.SaveProcesses(r.Run, r.Processes, nil),
		files.SaveCharts(r.Charts), os.WriteFile(filepath.Join(f.Path(), store.SamplesFile), samples, 0o600))
	if err == nil {
		err = files.Keep()
	}
	if err == nil {
		err = store.SaveManifest(f, r.Run)
	}
	return errors.Join(err, f.Close())
}

// scale gives the metrics of a tree values of their own. A metric that several nodes of a branch have stays one.
func scale(n *datamodel.Node, rng *rand.Rand) {
	by := map[string]float64{}
	var walk func(*datamodel.Node)
	walk = func(n *datamodel.Node) {
		for i := range n.Metrics {
			m := &n.Metrics[i]
			if by[m.Name] == 0 {
				by[m.Name] = 1 + rng.Float64()
			}
			m.Value *= by[m.Name]
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(n)
}
