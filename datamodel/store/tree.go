package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	nodesSchema   = "ergon.nodes/1"
	metricsSchema = "ergon.metrics/1"
)

// nodeMeta is the column metadata of nodes.parquet: the parts of a node that have no column of their own.
type nodeMeta struct {
	Sensor *sensors.Sensor `json:"sensor,omitempty"`
	// Meta holds the pairs of the node in their order, each as a list of two.
	Meta [][2]string `json:"meta,omitempty"`
}

// nodeRow is a row of nodes.parquet.
type nodeRow struct {
	id, parent                                              int64 // parent is -1 for the root
	path, name, device, unit, kind, source, metadata, level string
	node                                                    *datamodel.Node
}

// nodeFields lists the columns of nodes.parquet.
func nodeFields() []field[nodeRow] {
	return []field[nodeRow]{
		whole("id", func(r *nodeRow) *int64 { return &r.id }),
		whole("parent", func(r *nodeRow) *int64 { return &r.parent }),
		word("path", func(r *nodeRow) *string { return &r.path }).unread(),
		word("level", func(r *nodeRow) *string { return &r.level }),
		word("name", func(r *nodeRow) *string { return &r.name }),
		word("device", func(r *nodeRow) *string { return &r.device }),
		word("unit", func(r *nodeRow) *string { return &r.unit }).unread(),
		word("kind", func(r *nodeRow) *string { return &r.kind }).unread(),
		word("source", func(r *nodeRow) *string { return &r.source }).unread(),
		word("metadata", func(r *nodeRow) *string { return &r.metadata }),
	}
}

// metricRow is a row of metrics.parquet.
type metricRow struct {
	run, path string
	node      int64
	parts     string // those of the metric, as a list in JSON
	datamodel.Metric
}

// metricFields lists the columns of metrics.parquet.
func metricFields() []field[metricRow] {
	return []field[metricRow]{
		word("run_id", func(r *metricRow) *string { return &r.run }).unread(),
		whole("node_id", func(r *metricRow) *int64 { return &r.node }),
		word("path", func(r *metricRow) *string { return &r.path }).unread(),
		word("metric", func(r *metricRow) *string { return &r.Name }),
		figure("value", func(r *metricRow) *float64 { return &r.Value }),
		word("unit", func(r *metricRow) *units.Unit { return &r.Unit }),
		word("aggregation", func(r *metricRow) *string { return &r.Aggregation }),
		word("provenance", func(r *metricRow) *sensors.Provenance { return &r.Provenance }),
		word("source", func(r *metricRow) *string { return &r.Source }),
		word("reason", func(r *metricRow) *string { return &r.Reason }),
		whole("count", func(r *metricRow) *int64 { return &r.Count }),
		figure("min", func(r *metricRow) *float64 { return &r.Min }),
		figure("max", func(r *metricRow) *float64 { return &r.Max }),
		figure("mean", func(r *metricRow) *float64 { return &r.Mean }),
		figure("std", func(r *metricRow) *float64 { return &r.Std }),
		whole("gaps", func(r *metricRow) *int64 { return &r.Gaps }),
		figure("uncertainty", func(r *metricRow) *float64 { return &r.Uncertainty }).added(),
		figure("at_most", func(r *metricRow) *float64 { return &r.AtMost }).added(),
		word("parts", func(r *metricRow) *string { return &r.parts }).added(),
		word("absence", func(r *metricRow) *string { return &r.Absence }).added(),
		word("bound", func(r *metricRow) *datamodel.Bound { return &r.Bound }).added(),
	}
}

// SaveTree adds the tree of a run, with the app node at its root, to the batch, as nodes.parquet and metrics.parquet. Strings that are not UTF-8 are made so, since readers would refuse them. The names of the files are durable
// after the next SaveManifest.
func (b *Files) SaveTree(run datamodel.Run, tree *datamodel.Node) error {
	path := filepath.Join(b.dir.path, NodesFile)
	if tree == nil {
		return fmt.Errorf("write %s: no tree", path)
	}
	nodes, err := nodeRows(nil, tree, -1, "")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	saved := make(chan error, 1)
	go func() { saved <- tableOf(nodeFields(), nodes).save(b, NodesFile, nodesSchema, run) }()
	metrics := tableOf(metricFields(), metricRows(nodes, run.ID))
	return errors.Join(metrics.save(b, MetricsFile, metricsSchema, run), <-saved)
}

// nodeRows appends a node and all below it to rows, parents first.
func nodeRows(rows []nodeRow, n *datamodel.Node, parent int64, above string) ([]nodeRow, error) {
	id := int64(len(rows))
	path := above + strings.ReplaceAll(n.Name, "/", "|")
	meta := nodeMeta{Sensor: n.Sensor}
	for _, p := range n.Meta {
		meta.Meta = append(meta.Meta, [2]string{p.Key, p.Value})
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", path, err)
	}
	row := nodeRow{
		id: id, parent: parent, path: path, level: string(n.Level), name: n.Name, device: n.Family, metadata: string(text), node: n,
	}
	if s := n.Sensor; s != nil {
		row.unit, row.kind, row.source = string(s.Unit), s.Kind.String(), s.Source
	}
	rows = append(rows, row)
	for _, c := range n.Children {
		if rows, err = nodeRows(rows, c, id, path+"/"); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// metricRows lists the metrics of the nodes.
func metricRows(nodes []nodeRow, run string) []metricRow {
	var rows []metricRow
	for _, n := range nodes {
		for _, m := range n.node.Metrics {
			rows = append(rows, metricRow{run, n.path, n.id, encodeParts(m.Parts), m})
		}
	}
	return rows
}

// Load reads a run from its folder. The tree is nil if it was never made, as in an unfinished run.
func Load(dir string) (datamodel.Result, error) {
	run, err := LoadManifest(dir)
	if err != nil {
		return datamodel.Result{}, err
	}
	left := budget(loadLimit)
	in := folderFiles{dir, run.Files, &left}
	if run.Files == nil {
		run.Warnings = append(run.Warnings, datamodel.Warning{
			Subject: "run", Text: "an older ergon made it, without digests: damage to its files would not be seen",
		})
	}
	nodes, err := loadNodes(in)
	if errors.Is(err, fs.ErrNotExist) {
		return datamodel.Result{Run: run}, nil
	}
	if err != nil {
		return datamodel.Result{}, err
	}
	if err := loadMetrics(in, nodes); err != nil {
		return datamodel.Result{}, err
	}
	processes, err := loadProcesses(in)
	if err != nil {
		return datamodel.Result{}, err
	}
	return datamodel.Result{Run: run, Tree: nodes[0], Summary: datamodel.SummaryOf(nodes[0]), Processes: processes}, nil
}

// loadNodes reads the nodes and links them to a tree with the root first.
func loadNodes(in folderFiles) ([]*datamodel.Node, error) {
	path := filepath.Join(in.dir, NodesFile)
	rows, err := readTable(in, NodesFile, nodesSchema, nodeFields())
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read %s: no nodes: %w", path, ErrForeign)
	}
	nodes := make([]*datamodel.Node, len(rows))
	for i, r := range rows {
		n := &datamodel.Node{Name: r.name, Level: datamodel.Level(r.level), Family: r.device}
		nodes[i] = n
		// Parents come first and there is one root: so there is no circle, and nothing is lost.
		if r.id != int64(i) || r.parent >= int64(i) || r.parent < 0 != (i == 0) {
			return nil, fmt.Errorf("read %s: node %d with parent %d in row %d", path, r.id, r.parent, i)
		}
		if err := in.left.take(jsonCost([]byte(r.metadata))); err != nil {
			return nil, fmt.Errorf("read %s: node %d: metadata: %w", path, i, err)
		}
		var m nodeMeta
		if err := json.Unmarshal([]byte(r.metadata), &m); err != nil {
			return nil, fmt.Errorf("read %s: node %d: metadata: %w", path, i, err)
		}
		n.Sensor = m.Sensor
		for _, pair := range m.Meta {
			n.Meta = append(n.Meta, datamodel.Pair{Key: pair[0], Value: pair[1]})
		}
		if i > 0 {
			above := nodes[r.parent]
			above.Children = append(above.Children, n)
		}
	}
	return nodes, nil
}

// loadMetrics reads the metrics and gives them to their nodes.
func loadMetrics(in folderFiles, nodes []*datamodel.Node) error {
	path := filepath.Join(in.dir, MetricsFile)
	rows, err := readTable(in, MetricsFile, metricsSchema, metricFields())
	if err != nil {
		return err
	}
	for i, r := range rows {
		if r.node < 0 || r.node >= int64(len(nodes)) {
			return fmt.Errorf("read %s: row %d: no node %d", path, i, r.node)
		}
		if err := in.left.take(jsonCost([]byte(r.parts))); err != nil {
			return fmt.Errorf("read %s: row %d: parts: %w", path, i, err)
		}
		if r.Parts, err = decodeParts(r.parts); err != nil {
			return fmt.Errorf("read %s: row %d: parts: %w", path, i, err)
		}
		nodes[r.node].Metrics = append(nodes[r.node].Metrics, r.Metric)
	}
	return nil
}

// encodeParts writes the parts of an energy as a list in JSON, "" for none.
func encodeParts(parts []datamodel.Part) string {
	if len(parts) == 0 {
		return ""
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return "" // texts alone cannot fail
	}
	return string(text)
}

func decodeParts(text string) (parts []datamodel.Part, err error) {
	if text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &parts)
	return parts, err
}
