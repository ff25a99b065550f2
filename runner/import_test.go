package runner_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/perun"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// TestImport keeps runs of perun. The energy is last minus first over a wrap, of two hosts the sum of both.
func TestImport(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "datamodel", "perun", "testdata", "app.json"))
	if err != nil {
		t.Fatal(err)
	}
	runs, err := perun.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const first = (262143.32885 - 262072.824551) + 133.597997 // of the package; the counter wraps between
	second := runs[1]
	other := second.Hosts[0]
	other.Machine.Name = "node2"
	other.Rows = append([]store.Rows{}, other.Rows...)
	for i := range other.Rows {
		other.Rows[i].Header.Host = "node2"
	}
	two := second
	two.Run.ID += "-two"
	two.Hosts = []perun.Host{second.Hosts[0], other}
	results := filepath.Join(t.TempDir(), "results")
	for name, c := range map[string]struct {
		run   perun.Run
		hosts float64
	}{"one host": {second, 1}, "two hosts": {two, 2}} {
		dir, err := runner.Import(results, c.run, store.Access{})
		if err != nil {
			t.Fatal(name, err)
		}
		result, err := store.Load(dir)
		if err != nil {
			t.Fatal(name, err)
		}
		energy := datamodel.Pick(result.Summary, datamodel.Energy)
		if energy.Provenance != sensors.FromCounter || math.Abs(energy.Value-c.hosts*(first+20.39)) > 0.01*c.hosts {
			t.Errorf("%s: %v J by %s, want %v and dram", name, energy.Value, energy.Provenance, c.hosts*first)
		}
		if wall := datamodel.Pick(result.Summary, datamodel.WallTime); wall.Provenance != sensors.Sampled || wall.Value != *second.Run.WallTime {
			t.Errorf("%s: wall time %+v", name, wall)
		}
		for _, missing := range []string{datamodel.CPUTime, datamodel.TargetEnergy, datamodel.PeakMemory} {
			if m := datamodel.Pick(result.Summary, missing); !math.IsNaN(m.Value) || m.Reason == "" {
				t.Errorf("%s: %s: %v, %q", name, missing, m.Value, m.Reason)
			}
		}
		if result.Run.ExitCode != nil || len(result.Run.Warnings) == 0 {
			t.Errorf("%s: %+v", name, result.Run)
		}
		again, err := runner.Import(results, c.run, store.Access{})
		if !errors.Is(err, fs.ErrExist) || again != dir {
			t.Errorf("%s: imported again: %v, %v", name, again, err)
		}
	}
}
