package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// python is an interpreter that has the packages of testdata/readers/requirements.txt.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ERGON_TEST_PYTHON")
	if path == "" {
		var err error
		if path, err = filepath.Abs("../../.venv/bin/python"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			testenv.Lacks(t, testenv.Readers, fmt.Sprintf("%v; ERGON_TEST_PYTHON names one", err))
		}
	}
	return path
}

// written is what the readers are to find.
type written struct {
	samples, values, counts, nodes, metrics, metricValues int64
	sum, elapsed, wrap, metricSum, oneSum                 float64
	first, last, oneRows                                  int64
	processes, named, started                             int64
	cpu                                                   float64
}

// saveProcesses writes a table of n processes, without a name or a start each third.
func (w *written) saveProcesses(t *testing.T, dir string, run datamodel.Run, n int) {
	t.Helper()
	rows := make([]datamodel.Process, n)
	for i := range rows {
		p := datamodel.Process{
			Kind: datamodel.OneProcess, ID: int64(i), ParentID: int64(i - 1), PID: int64(i + 10), Parent: int64(i + 9), Count: 1,
			CPUTime: float64(i) / 7, Provenance: sensors.Sampled, Energy: math.NaN(),
		}
		if i%3 > 0 {
			p.Name, p.Start = "a\xffb", run.Start.Add(time.Duration(i)*time.Millisecond)
			w.named++
			w.started = max(w.started, p.Start.UnixMicro())
		}
		w.processes, w.cpu = w.processes+1, w.cpu+p.CPUTime
		rows[i] = p
	}
	if err := saveProcesses(dir, run, rows, datamodel.ProcessColumns(nil)); err != nil {
		t.Fatal(err)
	}
}

// count adds a run of so many ticks, as spooled by writeRun.
func (w *written) count(ticks int) {
	for _, n := range []int{3, 1} {
		for tick := range ticks {
			for s := range n {
				w.samples++
				w.elapsed += tickTime(tick).Seconds()
				if v := reading(tick, s); !math.IsNaN(v) {
					w.values++
					w.sum += v
				}
			}
		}
	}
	w.last = max(w.last, anchor.Add(tickTime(ticks-1)).UnixMicro())
}

func (w *written) tree(n *datamodel.Node) {
	w.nodes++
	if n.Sensor != nil {
		w.wrap += n.Sensor.Wrap
	}
	for _, m := range n.Metrics {
		w.metrics++
		w.counts += m.Count
		if !math.IsNaN(m.Value) {
			w.metricValues++
			w.metricSum += m.Value
		}
	}
	for _, c := range n.Children {
		w.tree(c)
	}
}

// near is equal but for the order in which a reader adds up.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// DuckDB, pandas and Polars read several runs as one table and see exactly what was written: a tiny file, one of
// several pages in snappy, one in zstd and one of several row groups.
func TestReaders(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	interpreter := python(t)
	results := t.TempDir()
	want := written{first: anchor.UnixMicro()}
	var last string
	for i, ticks := range []int{2, 10_000, 20_000, 300_000} {
		run := sampleRun()
		run.ID, run.Project = fmt.Sprintf("r%d", i), []string{"a b", "train"}[i%2]
		run.Start = anchor.AddDate(0, 0, i)
		dir := saveRun(t, results, run)
		tree := sampleTree(5 + i)
		if err := saveTree(dir, run, tree); err != nil {
			t.Fatal(err)
		}
		if _, err := convert(writeRun(t, dir, ticks), filepath.Join(dir, store.SamplesFile), nil); err != nil {
			t.Fatal(err)
		}
		want.count(ticks)
		want.tree(tree)
		want.saveProcesses(t, dir, run, 5+1000*i)
		if err := saveManifest(dir, run); err != nil {
			t.Fatal(err)
		}
		if run.ID == "r1" {
			want.oneRows = int64(ticks)
			for tick := range ticks {
				if v := reading(tick, 1); !math.IsNaN(v) {
					want.oneSum += v
				}
			}
		}
		last = dir
	}
	streams(t, results, last)

	cmd := exec.Command(interpreter, filepath.Join("..", "..", "testdata", "readers", "read.py"), results)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %s", err, exit.Stderr)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"duckdb", "pandas", "polars"} {
		got := all[name]
		for key, want := range map[string]float64{
			"samples": float64(want.samples), "values": float64(want.values), "sum": want.sum, "elapsed": want.elapsed,
			"first": float64(want.first), "last": float64(want.last), "sensors": 4, "runs": 4, "roots": 4,
			"one_rows": float64(want.oneRows), "one_sum": want.oneSum, "nodes": float64(want.nodes), "wrap": want.wrap,
			"metrics": float64(want.metrics), "metric_values": float64(want.metricValues), "metric_sum": want.metricSum,
			"counts": float64(want.counts), "processes": float64(want.processes), "named": float64(want.named),
			"started": float64(want.started), "cpu_time": want.cpu,
		} {
			if n, ok := got[key].(float64); !ok || !near(n, want) {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], want)
			}
		}
		for key, want := range map[string]string{
			"host": "node1", "project": "train", "date": anchor.Format(time.DateOnly), "reason": "no powercap in this kernel",
		} {
			if got[key] != want {
				t.Errorf("%s: %s is %v, want %s", name, key, got[key], want)
			}
		}
	}
	for name, want := range map[string]string{"duckdb": "TIMESTAMP WITH TIME ZONE", "pandas": "us, UTC", "polars": "UTC"} {
		if zone := fmt.Sprint(all[name]["zone"]); !strings.Contains(zone, want) {
			t.Errorf("%s: time is %s, want %s", name, zone, want)
		}
		if zone := fmt.Sprint(all[name]["process_zone"]); !strings.Contains(zone, want) {
			t.Errorf("%s: a process starts in %s, want %s", name, zone, want)
		}
	}
	if got := all["duckdb"]["schema"]; got != "ergon.samples/2" {
		t.Errorf("metadata: schema %v", got)
	}

	var one written
	one.count(300_000)
	cpu, cpuNulls, cpuSum := 0.0, 0.0, 0.0
	for tick := range 50 {
		cpu++
		for s := range 3 {
			if v := reading(tick, s); math.IsNaN(v) {
				cpuNulls++
			} else {
				cpuSum += v
			}
		}
	}
	got := all["streams"]
	for key, want := range map[string]any{
		"export": float64(one.samples), "export_nulls": float64(one.samples - one.values), "export_time": "timestamp[us, tz=UTC]",
		"spool": cpu, "spool_nulls": cpuNulls, "spool_sum": cpuSum,
	} {
		if got[key] != want {
			t.Errorf("Arrow stream: %s is %v, want %v", key, got[key], want)
		}
	}
}

// streams writes the samples of a run as an Arrow stream, and a spool, into a folder.
func streams(t *testing.T, dir, run string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "export.arrows"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.ExportArrow(f, run), f.Close()); err != nil {
		t.Fatal(err)
	}
	s := create(t, dir, header("cpu", 3))
	fill(t, s, 3, 50, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
