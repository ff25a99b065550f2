package store

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/parquet/schema"

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
	last := slices.IndexFunc(table.fields, func(n schema.Node) bool { return n.Name() == "uncertainty" })
	if last < 0 {
		t.Fatal("no column uncertainty")
	}
	table.fields, table.columns, table.levels = table.fields[:last], table.columns[:last], table.levels[:last]
	dir, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	batch := dir.Files()
	if err := errors.Join(table.save(batch, MetricsFile, metricsSchema, datamodel.Run{ID: "id"}), batch.Keep()); err != nil {
		t.Fatal(err)
	}
	node := &datamodel.Node{}
	if err := loadMetrics(folderFiles{dir: dir.Path()}, []*datamodel.Node{node}); err != nil {
		t.Fatal(err)
	}
	if m := node.Metric("energy"); m.Value != 12 || !math.IsNaN(m.Uncertainty) || !math.IsNaN(m.AtMost) || m.Parts != nil {
		t.Errorf("%+v", m)
	}
}
