package readers

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
	"github.com/ergon-energy/ergon/internal/testenv"
)

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

// TestArrowJS lets apache-arrow for JavaScript read what `ergon export -f arrow` writes of several runs.
func TestArrowJS(t *testing.T) {
	packages := modules(t)
	runs := makeRuns(t, t.TempDir(), 3)
	script, err := filepath.Abs("../../testdata/readers/sums.cjs")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{script}
	for _, r := range runs {
		var b bytes.Buffer
		path := filepath.Join(t.TempDir(), "run.arrow")
		if err := errors.Join(store.ExportArrow(&b, r.Dir), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command("node", args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+packages)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, messages.String())
	}
	var all []struct {
		Rows, Missing     int
		Types             map[string]string
		Sums, First, Last map[string]float64
		Start             float64
	}
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(runs) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, r := range runs {
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
		found := all[i]
		if found.Rows != rows || found.Missing != missing || missing == 0 || len(found.Sums) != len(sums) {
			t.Errorf("run %s: %d rows and %d missing values of %d sensors, want %d, %d and %d",
				r.ID, found.Rows, found.Missing, len(found.Sums), rows, missing, len(sums))
		}
		for sensor, want := range sums {
			if !near(found.Sums[sensor], want) {
				t.Errorf("run %s: the sum of %s is %v, want %v", r.ID, sensor, found.Sums[sensor], want)
			}
		}
		energy := 0.0
		for _, counter := range []string{"rapl/package-0/energy", "rapl/dram/energy"} {
			rise := found.Last[counter] - found.First[counter]
			if rise < 0 {
				rise += wrapAt
			}
			energy += rise
		}
		if want := r.Summary[datamodel.Energy]; !near(energy, want) {
			t.Errorf("run %s: the counters rose by %v J, but ergon reports %v J", r.ID, energy, want)
		}
		if want := float64(r.Start.UnixMilli()); math.Abs(found.Start-want) > 1 { // apache-arrow gives milliseconds
			t.Errorf("run %s begins at %v, want %v", r.ID, found.Start, want)
		}
		if found.Types["time"] != "Timestamp<MICROSECOND, UTC>" || found.Types["value"] != "Float64" {
			t.Errorf("types %v", found.Types)
		}
	}
}
