package store_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestVersion1 tests that runs of version 1, as an ergon of then made them, are found and read whole.
func TestVersion1(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("..", "..", "testdata", "v1", "*", "*", "*"))
	if err != nil || len(dirs) != 2 {
		t.Fatalf("%d runs, %v", len(dirs), err)
	}
	for i, want := range []struct {
		command string
		energy  float64
	}{{"./fakerapl", 250}, {"true", math.NaN()}} {
		dir := dirs[i]
		r, err := store.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Run.Schema != "ergon.run/1" || r.Run.Command[0] != want.command || len(r.Run.Summary) == 0 {
			t.Fatalf("%+v", r.Run)
		}
		energy := datamodel.Pick(r.Summary, datamodel.Energy)
		if math.IsNaN(want.energy) != math.IsNaN(energy.Value) || math.Abs(energy.Value-want.energy) > 0.01*want.energy {
			t.Errorf("%s: energy %+v", want.command, energy)
		}
		figure := r.Run.Summary[datamodel.Energy]
		if (figure.Value == nil) != (energy.Reason != "") || figure.Reason != energy.Reason || figure.Unit != "J" || figure.Provenance != energy.Provenance {
			t.Errorf("%s: the manifest has %+v, the table %+v", want.command, figure, energy)
		}
		leaves, metrics := 0, 0
		var walk func(*datamodel.Node)
		walk = func(n *datamodel.Node) {
			metrics += len(n.Metrics)
			if n.Sensor != nil {
				leaves++
				if n.Sensor.ID == "" || n.Sensor.Unit == "" || len(n.Metrics) == 0 {
					t.Errorf("sensor %+v with %d metrics", n.Sensor, len(n.Metrics))
				}
			}
			for _, c := range n.Children {
				walk(c)
			}
		}
		walk(r.Tree)
		if leaves < 80 || metrics < 250 || len(r.Tree.Metrics) != len(datamodel.Summary()) || len(r.Processes) == 0 {
			t.Errorf("%s: %d sensors, %d metrics, %d of them at the root, %d processes", want.command, leaves, metrics, len(r.Tree.Metrics), len(r.Processes))
		}
		rows, values := 0, 0
		for b, err := range store.Samples(dir) {
			if err != nil {
				t.Fatal(err)
			}
			rows += len(b.Sensor)
			for _, v := range b.Value {
				if !math.IsNaN(v) {
					values++
				}
			}
		}
		if rows < 170 || values < 150 {
			t.Errorf("%s: %d readings in %d rows", want.command, values, rows)
		}
		if charts, err := store.LoadCharts(dir); err != nil || charts != nil {
			t.Errorf("%s: %d charts, %v", want.command, len(charts), err)
		}
	}
}
