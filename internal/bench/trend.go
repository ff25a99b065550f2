package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// linesLimit is the most that the text of a trend over ten thousand runs may take, in seconds, if the disk's cache is warm.
const linesLimit = 1

// duckLines does by DuckDB over the summary of all runs what a trend needs: the values of two metrics of each command in the order
// of time, and the median of each command and commit. It finds no steps.
const duckLines = `
import duckdb, sys, time
begin = time.perf_counter()
db = duckdb.connect()
db.sql("set enable_progress_bar = false")
runs = f"read_parquet('{sys.argv[1]}/project=*/date=*/run=*/summary.parquet', hive_partitioning=true)"
lines = db.sql(f"select project, command, list(wall_time order by start) w, list(cpu_time order by start) c from {runs} group by 1, 2").fetchall()
commits = db.sql(f'select project, command, "commit", epoch(min(start)), median(wall_time), median(cpu_time), count(*) from {runs} group by 1, 2, 3 order by 4').fetchall()
print(len(lines), len(commits), time.perf_counter() - begin)
`

// trends measures trends over many runs beside DuckDB.
func (b *bench) trends(results string, rounds int) ([]figure, error) {
	metrics := datamodel.WallTime + "," + datamodel.CPUTime
	looks := []struct {
		name string
		args []string
	}{
		{"ergon trend", nil},
		{"ergon trend --by commit", []string{"--by", "commit"}},
		{"ergon trend -f json", []string{"-f", "json"}},
		{"ergon trend -f html", []string{"-f", "html"}},
		{"ergon trend --overdue", []string{"--overdue", "-f", "json"}},
	}
	times, cpus := make([][]float64, len(looks)), make([][]float64, len(looks))
	var duck []float64
	noPeer := ""
	for range rounds {
		for _, i := range rand.Perm(len(looks) + 1) {
			if i == len(looks) && noPeer == "" {
				took, err := queried(b, results)
				if err != nil {
					noPeer = "no DuckDB to compare with"
					_, _ = fmt.Fprintf(b.log, "bench: DuckDB: %v\n", err)
				} else {
					duck = append(duck, took)
				}
			}
			if i == len(looks) {
				continue
			}
			wall, cpu, err := b.look(append([]string{"trend", "--metric", metrics, "-o", results}, looks[i].args...)...)
			if err != nil && !overdue(err) {
				return nil, err
			}
			times[i], cpus[i] = append(times[i], wall), append(cpus[i], cpu)
		}
	}
	peer := median("DuckDB over each summary.parquet", units.Second, duck)
	peer.Note = noPeer
	var figures []figure
	for i, l := range looks {
		f := median(l.name, units.Second, times[i])
		f.CPU = quantile(cpus[i], 0.5)
		f.compare(peer)
		f.atMost(linesLimit)
		figures = append(figures, f)
	}
	return append(figures, peer), nil
}

// queried returns how long DuckDB takes, in seconds, without the start of its Python.
func queried(b *bench, results string) (float64, error) {
	out, err := exec.Command(python(b), "-c", duckLines, results).Output()
	if err != nil {
		return 0, err
	}
	words := strings.Fields(string(out))
	if len(words) != 3 {
		return 0, fmt.Errorf("it printed %q", out)
	}
	return strconv.ParseFloat(words[2], 64)
}

// overdue reports whether ergon says by its exit code that runs are overdue.
func overdue(err error) bool {
	failed, ok := errors.AsType[*exec.ExitError](err)
	return ok && failed.ExitCode() == 123
}

// nights keeps 50 made-up runs of a nightly training, from the manifest of a real run. From the 34th night on, a commit takes more
// energy and time. docs/trend.md shows their page.
func (b *bench) nights(results string) error {
	whole, err := b.realRun(results + "-like")
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(11, 12))
	near := func(v, variation float64) *float64 { return new(v * (1 + variation*rng.NormFloat64())) }
	for i := range 50 {
		run := whole
		run.Start = time.Date(2026, 10, 9, 2, 0, 5, 0, time.UTC).AddDate(0, 0, i).Add(time.Duration(rng.IntN(90)) * time.Second)
		run.ID = fmt.Sprintf("%s-%012x", run.Start.Format(store.IDTime), rng.Uint64()>>16)
		run.Project, run.Outcome = "nightly", datamodel.Done
		run.SetCommand([]string{"./train.sh", "--epochs", "3"})
		run.Host.Name, run.Host.CPU, run.Host.CPUs, run.Host.Kernel = "node7", "AMD EPYC 9354", 64, "6.8.0-47-generic"
		run.Host.Scaling.Governor = "performance"
		run.Host.Git = &sensors.Git{Commit: strings.Repeat(fmt.Sprintf("%08x", uint32(i/2+1)*2654435761), 5), Branch: "main"}
		energy, wall, memory := near(412e3, 0.015), near(1260, 0.01), near(9.4e9, 0.004)
		if i >= 34 {
			*energy, *wall = *energy*1.12, *wall*1.07
		}
		run.WallTime = wall
		run.Summary = map[string]datamodel.Figure{
			datamodel.WallTime:   {Value: wall, Unit: units.Second, Provenance: sensors.FromCounter},
			datamodel.PeakMemory: {Value: memory, Unit: units.Byte, Provenance: sensors.FromCounter},
			datamodel.Energy: {
				Value: energy, Unit: units.Joule, Provenance: sensors.FromCounter, Uncertainty: new(900.0),
				Parts: []datamodel.Part{{Kind: datamodel.CPUPart, Name: "packages + dram"}},
			},
		}
		if i == 12 || i == 13 {
			run.Summary[datamodel.Energy] = datamodel.Figure{Unit: units.Joule, Provenance: sensors.Missing, Reason: "you may not read energy_uj"}
		}
		if err := keep(results, run); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps a made-up run: its manifest and its summary.
func keep(results string, run datamodel.Run) error {
	f, err := store.NewRun(results, run.Project, run.Start, run.ID, store.Access{})
	if err != nil {
		return err
	}
	var summary []datamodel.Metric
	for _, d := range datamodel.Summary() {
		if of, ok := run.Summary[d.Name]; ok {
			summary = append(summary, of.Metric(d.Name))
		}
	}
	files := f.Files()
	err = files.SaveSummary(run, summary)
	if err == nil {
		err = files.SaveManifest(run)
	}
	return errors.Join(err, f.Close())
}

// realRun measures true in a new folder, and removes the folder. It returns the manifest.
func (b *bench) realRun(like string) (datamodel.Run, error) {
	if out, err := exec.Command(b.ergon, "-q", "-o", like, "true").CombinedOutput(); err != nil {
		return datamodel.Run{}, fmt.Errorf("ergon true: %w: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(like, "project=*", "date=*", "run=*"))
	if err != nil || len(found) != 1 {
		return datamodel.Run{}, errors.New(strconv.Itoa(len(found)) + " runs in " + like)
	}
	whole, err := store.LoadManifest(found[0])
	return whole, errors.Join(err, os.RemoveAll(like))
}
