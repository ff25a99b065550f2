package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	nodesSchema   = "ergon.nodes/1"
	metricsSchema = "ergon.metrics/1"
	// treeRows bounds what Load takes from a file: many times the largest machine's tree.
	treeRows = 1 << 20
)

// nodeMeta is the column metadata of nodes.parquet: what of a node has no column of its own.
type nodeMeta struct {
	Sensor *sensors.Sensor `json:"sensor,omitempty"`
	// Meta are the pairs in their order, each a list of two.
	Meta [][2]string `json:"meta,omitempty"`
}

// table collects the columns of a small file.
type table struct {
	fields  schema.FieldList
	columns []any // []int64, []float64 or []string, one for each field
	levels  [][]int16
	err     error
}

// SaveTree writes the tree of a run, the app node at its root, as nodes.parquet and metrics.parquet into the run's
// folder. Strings that are not UTF-8, which readers would refuse, are made so. The files' names are durable after the
// next SaveManifest or RemoveSpool.
func SaveTree(dir string, run datamodel.Run, tree *datamodel.Node) error {
	if tree == nil {
		return fmt.Errorf("write %s: no tree", filepath.Join(dir, NodesFile))
	}
	var rows nodeRows
	rows.add(tree, -1, "")
	if rows.err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(dir, NodesFile), rows.err)
	}
	// Side by side, since most of the time of a small file is its fsync.
	metrics := make(chan error, 1)
	go func() { metrics <- rows.metrics(run.ID).save(filepath.Join(dir, MetricsFile), metricsSchema, run) }()
	nodesErr := rows.nodes().save(filepath.Join(dir, NodesFile), nodesSchema, run)
	return errors.Join(nodesErr, <-metrics)
}

// nodeRows is the tree as a list, parents first.
type nodeRows struct {
	node   []*datamodel.Node
	parent []int64 // -1 for the root
	path   []string
	meta   []string
	err    error
}

func (r *nodeRows) add(n *datamodel.Node, parent int64, above string) {
	id := int64(len(r.node))
	path := above + strings.ReplaceAll(n.Name, "/", "|")
	meta := nodeMeta{Sensor: n.Sensor}
	for _, p := range n.Meta {
		meta.Meta = append(meta.Meta, [2]string{p.Key, p.Value})
	}
	text, err := json.Marshal(meta)
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("node %s: %w", path, err))
	}
	r.node, r.parent, r.path, r.meta = append(r.node, n), append(r.parent, parent), append(r.path, path), append(r.meta, string(text))
	for _, c := range n.Children {
		r.add(c, id, path+"/")
	}
}

func (r *nodeRows) nodes() *table {
	var t table
	n := len(r.node)
	sensor := func(f func(*sensors.Sensor) string) func(int) (string, bool) {
		return func(i int) (string, bool) {
			if s := r.node[i].Sensor; s != nil {
				return f(s), true
			}
			return "", false
		}
	}
	t.ints("id", n, func(i int) (int64, bool) { return int64(i), true })
	t.ints("parent", n, func(i int) (int64, bool) { return r.parent[i], r.parent[i] >= 0 })
	t.strings("path", n, func(i int) (string, bool) { return r.path[i], true })
	t.strings("level", n, func(i int) (string, bool) { return string(r.node[i].Level), true })
	t.strings("name", n, func(i int) (string, bool) { return r.node[i].Name, true })
	t.strings("device", n, func(i int) (string, bool) { return r.node[i].Device, r.node[i].Device != "" })
	t.strings("unit", n, sensor(func(s *sensors.Sensor) string { return string(s.Unit) }))
	t.strings("kind", n, sensor(func(s *sensors.Sensor) string { return s.Kind.String() }))
	t.strings("source", n, sensor(func(s *sensors.Sensor) string { return s.Source }))
	t.strings("metadata", n, func(i int) (string, bool) { return r.meta[i], true })
	return &t
}

func (r *nodeRows) metrics(run string) *table {
	var ids []int64
	var of []*datamodel.Metric
	for id, n := range r.node {
		for i := range n.Metrics {
			ids, of = append(ids, int64(id)), append(of, &n.Metrics[i])
		}
	}
	var t table
	text := func(name string, f func(*datamodel.Metric) string) {
		t.strings(name, len(of), func(i int) (string, bool) { s := f(of[i]); return s, s != "" })
	}
	number := func(name string, f func(*datamodel.Metric) float64) {
		t.doubles(name, len(of), func(i int) float64 { return f(of[i]) })
	}
	t.strings("run_id", len(of), func(int) (string, bool) { return run, true })
	t.ints("node_id", len(of), func(i int) (int64, bool) { return ids[i], true })
	t.strings("path", len(of), func(i int) (string, bool) { return r.path[ids[i]], true })
	t.strings("metric", len(of), func(i int) (string, bool) { return of[i].Name, true })
	number("value", func(m *datamodel.Metric) float64 { return m.Value })
	text("unit", func(m *datamodel.Metric) string { return string(m.Unit) })
	text("aggregation", func(m *datamodel.Metric) string { return m.Aggregation })
	text("provenance", func(m *datamodel.Metric) string { return string(m.Provenance) })
	text("source", func(m *datamodel.Metric) string { return m.Source })
	text("reason", func(m *datamodel.Metric) string { return m.Reason })
	t.ints("count", len(of), func(i int) (int64, bool) { return of[i].Count, true })
	number("min", func(m *datamodel.Metric) float64 { return m.Min })
	number("max", func(m *datamodel.Metric) float64 { return m.Max })
	number("mean", func(m *datamodel.Metric) float64 { return m.Mean })
	number("std", func(m *datamodel.Metric) float64 { return m.Std })
	t.ints("gaps", len(of), func(i int) (int64, bool) { return of[i].Gaps, true })
	number("uncertainty", func(m *datamodel.Metric) float64 { return m.Uncertainty })
	return &t
}

// ints, doubles and strings add a nullable column of n rows; the second result of get is whether there is a value.
func (t *table) ints(name string, n int, get func(int) (int64, bool)) {
	t.column(schema.NewInt64Node(name, parquet.Repetitions.Optional, -1), nullable(t, n, get))
}

func (t *table) doubles(name string, n int, get func(int) float64) {
	t.column(schema.NewFloat64Node(name, parquet.Repetitions.Optional, -1),
		nullable(t, n, func(i int) (float64, bool) { v := get(i); return v, !math.IsNaN(v) }))
}

func (t *table) strings(name string, n int, get func(int) (string, bool)) {
	node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{},
		parquet.Types.ByteArray, 0, -1)
	t.err = errors.Join(t.err, err)
	t.column(node, nullable(t, n, func(i int) (parquet.ByteArray, bool) {
		s, ok := get(i)
		return parquet.ByteArray(strings.ToValidUTF8(s, "\uFFFD")), ok
	}))
}

func (t *table) column(node schema.Node, values any) {
	t.fields, t.columns = append(t.fields, node), append(t.columns, values)
}

// nullable makes the dense values and, in t, the levels of a column.
func nullable[T any](t *table, n int, get func(int) (T, bool)) []T {
	values, levels := make([]T, 0, n), make([]int16, n)
	for i := range n {
		if v, ok := get(i); ok {
			values = append(values, v)
			levels[i] = 1
		}
	}
	t.levels = append(t.levels, levels)
	return values
}

// save writes the table as one row group, or none where it has no rows, with more pairs of metadata. The files are small: snappy starts at once,
// zstd with tables of its own for every page.
func (t *table) save(path, version string, run datamodel.Run, more ...string) error {
	meta, err := keyValues(append([]string{schemaKey, version, "ergon.version", run.Version, "ergon.run", run.ID}, more...)...)
	if err := errors.Join(t.err, err); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, t.fields, -1)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	props := parquet.NewWriterProperties(parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("ergon"),
		parquet.WithDataPageSize(8<<20), parquet.WithMaxRowGroupLength(treeRows))
	return replaceFile(path, func(w io.Writer) (err error) {
		defer guard(path, &err)
		f := file.NewParquetWriter(w, root, file.WithWriterProps(props), file.WithWriteMetadata(meta))
		if len(t.levels[0]) > 0 {
			if err := t.write(f.AppendRowGroup()); err != nil {
				return err
			}
		}
		return f.Close()
	})
}

func (t *table) write(group file.SerialRowGroupWriter) error {
	for i, values := range t.columns {
		column, err := group.NextColumn()
		if err != nil {
			return err
		}
		switch values := values.(type) {
		case []int64:
			_, err = column.(*file.Int64ColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		case []float64:
			_, err = column.(*file.Float64ColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		case []parquet.ByteArray:
			_, err = column.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", t.fields[i].Name(), err)
		}
	}
	return group.Close()
}

// Load reads a run back from its folder. The tree is nil where it was never made, as in a run that is not finished.
func Load(dir string) (datamodel.Result, error) {
	run, err := LoadManifest(dir)
	if err != nil {
		return datamodel.Result{}, err
	}
	nodes, err := loadNodes(filepath.Join(dir, NodesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return datamodel.Result{Run: run}, nil
	}
	if err != nil {
		return datamodel.Result{}, err
	}
	if err := loadMetrics(filepath.Join(dir, MetricsFile), nodes); err != nil {
		return datamodel.Result{}, err
	}
	processes, err := loadProcesses(filepath.Join(dir, ProcessesFile))
	if err != nil {
		return datamodel.Result{}, err
	}
	return datamodel.Result{Run: run, Tree: nodes[0], Processes: processes}, nil
}

// loadNodes reads the nodes, linked to a tree with the root first.
func loadNodes(path string) (nodes []*datamodel.Node, err error) {
	defer guard("read "+path, &err)
	p, err := openParquet(path, nodesSchema)
	if err != nil {
		return nil, err
	}
	defer p.close()
	var l loader
	id, parent := l.ints(p, "id"), l.ints(p, "parent")
	level, name, device, meta := l.strings(p, "level"), l.strings(p, "name"), l.strings(p, "device"), l.strings(p, "metadata")
	if l.err != nil {
		return nil, l.err
	}
	if len(id) == 0 {
		return nil, fmt.Errorf("read %s: no nodes: %w", path, ErrForeign)
	}
	nodes = make([]*datamodel.Node, len(id))
	for i := range nodes {
		n := &datamodel.Node{Name: name[i], Level: datamodel.Level(level[i]), Device: device[i]}
		nodes[i] = n
		// Parents first and one root: so nothing can be a circle, and nothing is lost.
		if id[i] != int64(i) || parent[i] >= int64(i) || parent[i] < 0 != (i == 0) {
			return nil, fmt.Errorf("read %s: node %d with parent %d in row %d", path, id[i], parent[i], i)
		}
		var m nodeMeta
		if err := json.Unmarshal([]byte(meta[i]), &m); err != nil {
			return nil, fmt.Errorf("read %s: node %d: metadata: %w", path, i, err)
		}
		n.Sensor = m.Sensor
		for _, pair := range m.Meta {
			n.Meta = append(n.Meta, datamodel.Pair{Key: pair[0], Value: pair[1]})
		}
		if i > 0 {
			above := nodes[parent[i]]
			above.Children = append(above.Children, n)
		}
	}
	return nodes, nil
}

// loadMetrics reads the metrics and gives them to their nodes.
func loadMetrics(path string, nodes []*datamodel.Node) (err error) {
	defer guard("read "+path, &err)
	p, err := openParquet(path, metricsSchema)
	if err != nil {
		return err
	}
	defer p.close()
	var l loader
	node, name, value, unit := l.ints(p, "node_id"), l.strings(p, "metric"), l.doubles(p, "value"), l.strings(p, "unit")
	aggregation, provenance := l.strings(p, "aggregation"), l.strings(p, "provenance")
	source, reason := l.strings(p, "source"), l.strings(p, "reason")
	count, gaps := l.ints(p, "count"), l.ints(p, "gaps")
	least, most, mean, std := l.doubles(p, "min"), l.doubles(p, "max"), l.doubles(p, "mean"), l.doubles(p, "std")
	uncertainty := make([]float64, len(node))
	for i := range uncertainty {
		uncertainty[i] = math.NaN()
	}
	if _, has := p.cols["uncertainty"]; has { // runs of before it was stored have none
		uncertainty = l.doubles(p, "uncertainty")
	}
	if l.err != nil {
		return l.err
	}
	for i, id := range node {
		if id < 0 || id >= int64(len(nodes)) {
			return fmt.Errorf("read %s: row %d: no node %d", path, i, id)
		}
		nodes[id].Metrics = append(nodes[id].Metrics, datamodel.Metric{
			Name: name[i], Value: value[i], Unit: units.Unit(unit[i]),
			Aggregation: aggregation[i], Provenance: sensors.Provenance(provenance[i]), Source: source[i], Reason: reason[i],
			Count: count[i], Gaps: gaps[i], Min: least[i], Max: most[i], Mean: mean[i], Std: std[i],
			Uncertainty: uncertainty[i],
		})
	}
	return nil
}

// loader reads columns of equal length and keeps the first error.
type loader struct {
	rows int // of the first column, plus 1
	err  error
}

func (l *loader) ints(p *parquetFile, name string) []int64 {
	return load(l, p, name, -1, func(v int64) int64 { return v })
}

func (l *loader) doubles(p *parquetFile, name string) []float64 {
	return load(l, p, name, math.NaN(), func(v float64) float64 { return v })
}

func (l *loader) strings(p *parquetFile, name string) []string {
	return load(l, p, name, nil, func(v parquet.ByteArray) string { return string(v) })
}

func load[T physical, V any](l *loader, p *parquetFile, name string, missing T, convert func(T) V) []V {
	if l.err != nil {
		return nil
	}
	values, err := all(p, name, missing, treeRows, convert)
	if err == nil && l.rows > 0 && len(values) != l.rows-1 {
		err = fmt.Errorf("read %s: column %s has %d rows of %d", p.path, name, len(values), l.rows-1)
	}
	l.rows, l.err = len(values)+1, err
	return values
}
