package store

import (
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Runs of before uncertainties were stored are read as runs in which they are not known.
func TestMetricsWithoutUncertainty(t *testing.T) {
	value := datamodel.Value("energy", 12, "J", "delta", sensors.FromCounter, "rapl")
	value.Uncertainty = 0.4
	rows, err := nodeRows(nil, &datamodel.Node{Name: "a", Level: datamodel.App, Metrics: []datamodel.Metric{value}}, -1, "")
	if err != nil {
		t.Fatal(err)
	}
	table := tableOf(metricFields(), metricRows(rows, "id"))
	last := len(table.fields) - 1
	if name := table.fields[last].Name(); name != "uncertainty" {
		t.Fatalf("the last column is %s", name)
	}
	table.fields, table.columns, table.levels = table.fields[:last], table.columns[:last], table.levels[:last]
	path := filepath.Join(t.TempDir(), MetricsFile)
	var batch Files
	if err := errors.Join(table.save(&batch, path, metricsSchema, datamodel.Run{ID: "id"}), batch.Keep()); err != nil {
		t.Fatal(err)
	}
	node := &datamodel.Node{}
	if err := loadMetrics(path, []*datamodel.Node{node}); err != nil {
		t.Fatal(err)
	}
	if m := node.Metric("energy"); m.Value != 12 || !math.IsNaN(m.Uncertainty) {
		t.Errorf("%+v", m)
	}
}
