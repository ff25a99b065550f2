package readers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/report"
)

// arrowJS is the code that reads an Arrow file with apache-arrow in Node.js.
const arrowJS = `const { readFileSync } = require("node:fs");
const { tableFromIPC } = require("apache-arrow");
const table = tableFromIPC(readFileSync("run.arrow"));
`

// modules is the folder of the packages that `make readers` installs for Node.js.
func modules(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		testenv.Lacks(t, testenv.Node, err)
	}
	return path
}

// found is what testdata/readers/sums.cjs has found in an Arrow file. Sums, First and Last are by sensor or metric.
type found struct {
	Rows, Missing     int
	Types             map[string]string
	Sums, First, Last map[string]float64
	Start             *float64 // ms since 1970
}

// energy returns the rise of the counters that make up the energy of a made-up run, in J.
func (f found) energy() float64 {
	sum := 0.0
	for _, counter := range []string{"rapl/package-0/energy", "rapl/dram/energy"} {
		rise := f.Last[counter] - f.First[counter]
		if rise < 0 {
			rise += wrapAt
		}
		sum += rise
	}
	return sum
}

// TestArrowJS lets apache-arrow for JavaScript read what `ergon export -f arrow` and `--export run.arrow` write of several runs,
// with the code that docs/readers.md shows.
func TestArrowJS(t *testing.T) {
	packages := modules(t)
	runs := makeRuns(t, t.TempDir(), 4)
	for i, r := range runs[2:] {
		f := readArrow(t, packages, func(w io.Writer) error { return store.ExportArrow(w, r.Dir) })
		rows, missing, sums := 0, 0, make(map[string]float64)
		for b, err := range store.Samples(r.Dir) {
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range b.Value {
				rows++
				if math.IsNaN(v) {
					missing++
				} else {
					sums[b.Sensor[k]] += v
				}
			}
		}
		if f.Rows != rows || f.Missing != missing || missing == 0 || len(f.Sums) != len(sums) {
			t.Errorf("run %s: %d rows and %d missing values of %d sensors, want %d, %d and %d",
				r.ID, f.Rows, f.Missing, len(f.Sums), rows, missing, len(sums))
		}
		for sensor, want := range sums {
			if !near(f.Sums[sensor], want) {
				t.Errorf("run %s: the sum of %s is %v, want %v", r.ID, sensor, f.Sums[sensor], want)
			}
		}
		if want := r.Summary[datamodel.Energy]; !near(f.energy(), want) {
			t.Errorf("run %s: the counters rose by %v J, but ergon reports %v J", r.ID, f.energy(), want)
		}
		if want := float64(r.Start.UnixMilli()); f.Start == nil || math.Abs(*f.Start-want) > 1 {
			t.Errorf("run %s begins at %v, want %v", r.ID, f.Start, want)
		}
		if f.Types["time"] != "Timestamp<MICROSECOND, UTC>" || f.Types["value"] != "Float64" {
			t.Errorf("types %v", f.Types)
		}
		result, err := store.Load(r.Dir)
		if err != nil {
			t.Fatal(err)
		}
		figures := readArrow(t, packages, func(w io.Writer) error {
			return store.WriteFiguresArrow(w, report.Figures(result, report.Options{}))
		})
		for name, want := range r.Summary {
			if !near(figures.Sums[name], want) {
				t.Errorf("run %s: %s is %v, but ergon reports %v", r.ID, name, figures.Sums[name], want)
			}
		}
		if i == 1 { // the run of the other rows
			checkPart(t, regexp.MustCompile("(?s)```js\n.*?```\n"), "```js\n"+arrowJS+"```\n")
			checkPart(t, regexp.MustCompile(`(?m)^\| apache-arrow \|.*$`), row("apache-arrow", version(t, packages), figures.Sums, nil))
		}
	}
}

// readArrow reads with Node.js what write writes.
func readArrow(t *testing.T, packages string, write func(io.Writer) error) found {
	t.Helper()
	script, err := filepath.Abs("../../testdata/readers/sums.cjs")
	if err != nil {
		t.Fatal(err)
	}
	name, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	var export, messages bytes.Buffer
	cmd := exec.Command("node", "-e", arrowJS+"console.log(JSON.stringify(require("+string(name)+")(table)))")
	cmd.Dir, cmd.Stderr = t.TempDir(), &messages
	cmd.Env = append(os.Environ(), "NODE_PATH="+packages)
	if err := errors.Join(write(&export), os.WriteFile(filepath.Join(cmd.Dir, "run.arrow"), export.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	var f found
	if err := errors.Join(err, json.Unmarshal(out, &f)); err != nil {
		t.Fatalf("%v: %s%s", err, out, messages.String())
	}
	return f
}

// version returns the version of apache-arrow.
func version(t *testing.T, packages string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packages, "apache-arrow/package.json"))
	var p struct{ Version string }
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil {
		t.Fatal(err)
	}
	return p.Version
}
