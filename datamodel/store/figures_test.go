package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// readFigures prints what DuckDB, PyArrow, pandas and Polars find in the two files.
const readFigures = `
import json, sys
import duckdb, pandas, polars, pyarrow, pyarrow.ipc, pyarrow.parquet
parquet, arrow = sys.argv[1:]
def of(table):
    rows = table.to_pylist()
    return {"rows": rows, "types": {f.name: str(f.type).replace("large_string", "string") for f in table.schema}}
out = {
    "pyarrow parquet": of(pyarrow.parquet.read_table(parquet)),
    "pyarrow arrow": of(pyarrow.ipc.open_file(arrow).read_all()),
    "pandas arrow": of(pyarrow.Table.from_pandas(pandas.read_feather(arrow, dtype_backend="pyarrow"))),
    "polars parquet": of(polars.read_parquet(parquet).to_arrow(compat_level=polars.CompatLevel.oldest())),
    "polars arrow": of(polars.read_ipc(arrow).to_arrow(compat_level=polars.CompatLevel.oldest())),
    "duckdb parquet": of(duckdb.sql(f"select * from '{parquet}'").to_arrow_table()),
}
json.dump(out, sys.stdout)
`

// TestFigures writes a table of figures as Parquet and as Arrow. Readers find the same rows, with null for what is missing.
func TestFigures(t *testing.T) {
	energy := datamodel.Value(datamodel.Energy, 827.25, units.Joule, "delta", sensors.FromCounter, "packages + dram")
	energy.Count, energy.Uncertainty, energy.Bound = 170, math.Inf(1), datamodel.LowerBound
	rows := []datamodel.Row{
		{Run: "20260101T000000-abc", Level: "run", Metric: energy},
		{Run: "20260101T000000-abc", Path: "app/=1+1|\xff", Level: "process", Metric: datamodel.Missing(datamodel.Power, units.Watt, "no meter")},
	}
	dir := t.TempDir()
	var files []string
	for name, write := range map[string]func(*bytes.Buffer) error{
		"a.parquet": func(b *bytes.Buffer) error { return store.WriteFiguresParquet(b, rows) },
		"b.arrow":   func(b *bytes.Buffer) error { return store.WriteFiguresArrow(b, rows) },
	} {
		var b, none bytes.Buffer
		if err := errors.Join(write(&b), os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600)); err != nil {
			t.Fatal(name, err)
		}
		if err := errors.Join(store.WriteFiguresParquet(&none, nil), store.WriteFiguresArrow(&none, nil)); err != nil || none.Len() == 0 {
			t.Errorf("no rows: %v", err)
		}
	}
	files = append(files, filepath.Join(dir, "a.parquet"), filepath.Join(dir, "b.arrow"))
	c := exec.CommandContext(t.Context(), python(t), append([]string{"-c", readFigures}, files...)...)
	var said bytes.Buffer
	c.Stderr = &said
	text, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	var found map[string]struct {
		Rows  []map[string]any
		Types map[string]string
	}
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 6 {
		t.Errorf("%d readers", len(found))
	}
	for reader, got := range found {
		if len(got.Rows) != 2 {
			t.Errorf("%s: %d rows", reader, len(got.Rows))
			continue
		}
		for name, want := range map[string]any{
			"run": "20260101T000000-abc", "path": nil, "level": "run", "metric": "energy", "value": 827.25, "unit": "J",
			"provenance": "counter", "count": 170.0, "uncertainty": nil, "bound": "lower", "reason": nil,
		} {
			if got.Rows[0][name] != want {
				t.Errorf("%s: %s is %v, want %v", reader, name, got.Rows[0][name], want)
			}
		}
		for name, want := range map[string]any{"path": "app/=1+1|\uFFFD", "value": nil, "provenance": "missing", "reason": "no meter", "count": 0.0} {
			if got.Rows[1][name] != want {
				t.Errorf("%s: %s is %v, want %v", reader, name, got.Rows[1][name], want)
			}
		}
		if len(got.Types) != 19 || got.Types["value"] != "double" || got.Types["count"] != "int64" || got.Types["metric"] != "string" {
			t.Errorf("%s: %v", reader, got.Types)
		}
	}
}
