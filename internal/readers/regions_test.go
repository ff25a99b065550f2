package readers

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestRegionsInPython reads the regions and events of a run with DuckDB and with pandas.
func TestRegionsInPython(t *testing.T) {
	testenv.Long(t)
	interpreter := python(t)
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	run := datamodel.Run{ID: "regions", Project: "p", Start: start}
	begun, err := store.NewRun(t.TempDir(), run.Project, run.Start, run.ID, store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	mark := func(kind datamodel.MarkKind, name string, at time.Duration) datamodel.Mark {
		return datamodel.Mark{Kind: kind, Name: name, At: at, PID: 3, Thread: 4, Rank: -1}
	}
	told := []datamodel.Mark{
		mark(datamodel.BeginMark, "train", time.Second), mark(datamodel.BeginMark, "epoch", 2*time.Second), mark(datamodel.EndMark, "epoch", 3*time.Second),
		mark(datamodel.EventMark, "saved é", 3*time.Second), mark(datamodel.BeginMark, "epoch", 4*time.Second),
	}
	regions := datamodel.FindRegions(told, 6*time.Second)
	regions.Anchor = start
	files := begun.Files()
	if err := errors.Join(files.SaveRegions(run, regions), files.SaveEvents(run, datamodel.EventsOf(told, start)), files.SaveManifest(run)); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(begun.Path(), "*.parquet"))
	if err != nil || len(tables) != 2 {
		t.Fatalf("%q, %v", tables, err)
	}
	out, err := exec.CommandContext(t.Context(), interpreter, "-c", `
import sys, duckdb, pandas
events, regions = sys.argv[1:]
r = pandas.read_parquet(regions)
print([(p, int(t), (e - s).total_seconds()) for p, t, s, e in zip(r.path, r.truncated, r.start, r.end)])
e = pandas.read_parquet(events)
print(list(e.name), list(e.kind))
print(duckdb.sql(f"SELECT path, count(*), sum(truncated::int) FROM '{regions}' GROUP BY path ORDER BY path").fetchall())
print(duckdb.sql(f"SELECT name, elapsed, pid FROM '{events}'").fetchall())
`, tables[0], tables[1]).CombinedOutput()
	want := `[('train', 1, 5.0), ('train/epoch', 0, 1.0), ('train/epoch', 1, 2.0)]
['saved é'] ['event']
[('train', 1, 1), ('train/epoch', 2, 1)]
[('saved é', 3.0, 3)]`
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
	}
}
