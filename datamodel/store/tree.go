package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	nodesSchema   = "ergon.nodes/2"
	metricsSchema = "ergon.metrics/2"
	// nodesSchema1 and metricsSchema1 are read, but no longer written.
	nodesSchema1   = "ergon.nodes/1"
	metricsSchema1 = "ergon.metrics/1"
)

// nodeMeta is the column metadata of nodes.parquet: what has no column of its own.
type nodeMeta struct {
	// Sensor is the sensor of a leaf, if the columns do not say all that is kept of it.
	Sensor *sensors.Sensor `json:"sensor,omitempty"`
	// Doc is the sensor's, if the catalogue has none.
	Doc string `json:"doc,omitempty"`
	// Meta holds the pairs of the node in their order, each as a list of two. Those that the manifest says are left out,
	// unless Whole is true.
	Meta  [][2]string `json:"meta,omitempty"`
	Whole bool        `json:"whole,omitempty"`
}

// nodeRow is a row of nodes.parquet.
type nodeRow struct {
	id, parent                             int64 // parent is -1 for the root
	level, name, family, device, sensor    string
	unit, kind, provenance, source, readBy string
	wrap, resolution, update               float64
	metrics                                string
	metadata                               string
	node                                   *datamodel.Node
}

// nodeFields lists the columns of nodes.parquet.
func nodeFields() []field[nodeRow] {
	return []field[nodeRow]{
		whole("id", func(r *nodeRow) *int64 { return &r.id }).required().says(
			"", "number of the node, from 0 in the order of the rows"),
		whole("parent", func(r *nodeRow) *int64 { return &r.parent }).says("the root", "id of the node above"),
		word("level", func(r *nodeRow) *string { return &r.level }).says(
			"", "app, multi_run, run, host, device or sensor"),
		word("name", func(r *nodeRow) *string { return &r.name }).says(
			"of a sensor, what follows the last slash of its id", "name of the node"),
		word("family", func(r *nodeRow) *string { return &r.family }).says(
			"above the devices", "family of the sensors"),
		word("device", func(r *nodeRow) *string { return &r.device }).says(
			"the family as a whole", "device that the sensor measures"),
		word("sensor", func(r *nodeRow) *string { return &r.sensor }).says(
			"no sensor", "id of the sensor, as in samples.parquet"),
		word("unit", func(r *nodeRow) *string { return &r.unit }).says("no sensor", "unit of the readings"),
		word("kind", func(r *nodeRow) *string { return &r.kind }).says("no sensor", "counter or gauge"),
		figure("wrap", func(r *nodeRow) *float64 { return &r.wrap }).says(
			"the counter never wraps", "value at which the counter begins at 0 again, in unit"),
		figure("resolution", func(r *nodeRow) *float64 { return &r.resolution }).says(
			"unknown", "smallest step of the readings, in unit"),
		figure("update_period", func(r *nodeRow) *float64 { return &r.update }).in(units.Second).says(
			"unknown", "longest time between two new values"),
		word("provenance", func(r *nodeRow) *string { return &r.provenance }).says(
			"counter or sampled, as kind says", "provenance of what is computed from the readings"),
		word("source", func(r *nodeRow) *string { return &r.source }).says(
			"no sensor", "file, call or model that gives the readings"),
		word("read_by", func(r *nodeRow) *string { return &r.readBy }).says(
			"the family's name", "name of the manifest's source that read the sensor"),
		word("metrics", func(r *nodeRow) *string { return &r.metrics }).says(
			"exactly the rows with its node_id", "rows of metrics.parquet that hold the node's metrics, from 0: \"0-24 31\""),
		word("metadata", func(r *nodeRow) *string { return &r.metadata }).says("none", "more about the node, as JSON"),
	}
}

// nodeFields1 lists the columns of version 1 that are read.
func nodeFields1() []field[nodeRow] {
	return []field[nodeRow]{
		whole("id", func(r *nodeRow) *int64 { return &r.id }),
		whole("parent", func(r *nodeRow) *int64 { return &r.parent }),
		word("level", func(r *nodeRow) *string { return &r.level }),
		word("name", func(r *nodeRow) *string { return &r.name }),
		word("device", func(r *nodeRow) *string { return &r.family }),
		word("metadata", func(r *nodeRow) *string { return &r.metadata }),
	}
}

// metricRow is a row of metrics.parquet. level and host are those of its node.
type metricRow struct {
	round, node int64
	level, host string
	parts       string // those of the metric, as a list in JSON
	datamodel.Metric
}

// metricFields lists the columns of metrics.parquet.
func metricFields() []field[metricRow] {
	return append([]field[metricRow]{
		whole("round", func(r *metricRow) *int64 { return &r.round }).required().says("", "round, from 0"),
		word("host", func(r *metricRow) *string { return &r.host }).unread().says("of the whole run", "host"),
		whole("node_id", func(r *metricRow) *int64 { return &r.node }).required().says("", "id in nodes.parquet"),
		word("level", func(r *metricRow) *string { return &r.level }).unread().says("", "level of the node"),
	}, figureFields()...)
}

// metricFields1 lists the columns of version 1 that are read.
func metricFields1() []field[metricRow] {
	return append([]field[metricRow]{whole("node_id", func(r *metricRow) *int64 { return &r.node })}, figureFields()...)
}

// figureFields lists the columns of a metric itself.
func figureFields() []field[metricRow] {
	return []field[metricRow]{
		word("metric", func(r *metricRow) *string { return &r.Name }).says("", "name of the metric"),
		figure("value", func(r *metricRow) *float64 { return &r.Value }).says(
			"missing; reason says why", "the figure, in unit"),
		word("unit", func(r *metricRow) *units.Unit { return &r.Unit }).says("", "unit, as a UCUM code"),
		word("aggregation", func(r *metricRow) *string { return &r.Aggregation }).says(
			"missing", "how the value was made: delta, mean, sum, max, last, integral, share"),
		word("provenance", func(r *metricRow) *sensors.Provenance { return &r.Provenance }).says(
			"", "counter, sampled, integrated, attributed, estimated or missing"),
		word("source", func(r *metricRow) *string { return &r.Source }).says(
			"missing", "file, call or model that gave the value"),
		word("reason", func(r *metricRow) *string { return &r.Reason }).says(
			"there is a value", "why the value is missing"),
		word("absence", func(r *metricRow) *string { return &r.Absence }).added().says(
			"no absence is the reason", "id in the manifest's list of what is missing"),
		whole("count", func(r *metricRow) *int64 { return &r.Count }).required().says(
			"", "number of readings behind the value"),
		whole("gaps", func(r *metricRow) *int64 { return &r.Gaps }).required().says(
			"", "number of readings that were missing or refused"),
		figure("min", func(r *metricRow) *float64 { return &r.Min }).says(
			"no readings", "least reading; of a counter, least rate per second"),
		figure("max", func(r *metricRow) *float64 { return &r.Max }).says("no readings", "greatest reading or rate"),
		figure("mean", func(r *metricRow) *float64 { return &r.Mean }).says(
			"no readings", "mean of the readings or rates over time"),
		figure("std", func(r *metricRow) *float64 { return &r.Std }).says(
			"no readings", "standard deviation of the readings or rates over time"),
		figure("uncertainty", func(r *metricRow) *float64 { return &r.Uncertainty }).added().says(
			"unknown", "bound of the error of value in both directions, in unit"),
		word("bound", func(r *metricRow) *datamodel.Bound { return &r.Bound }).added().says(
			"value is the quantity itself", "lower or upper, if value is only a bound"),
		figure("at_most", func(r *metricRow) *float64 { return &r.AtMost }).added().says(
			"unknown", "upper bound of a lower bound or of a missing value, in unit"),
		word("parts", func(r *metricRow) *string { return &r.parts }).added().says(
			"no sum of energies", "parts of the machine that an energy covers, as JSON"),
	}
}

// SaveTree adds the tree of a run, with the app node at its root, to the batch, as nodes.parquet and metrics.parquet. A
// metric that several nodes of a branch have is stored once. Strings that are not UTF-8 are made so, since readers would
// refuse them. The names of the files are durable after the next SaveManifest.
func (b *Files) SaveTree(run datamodel.Run, tree *datamodel.Node) error {
	path := filepath.Join(b.dir.path, NodesFile)
	if tree == nil {
		return fmt.Errorf("write %s: no tree", path)
	}
	nodes, metrics, err := rowsOf(tree, run)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	saved := make(chan error, 1)
	go func() { saved <- saveTable(b, NodesFile, nodesSchema, nodeFields(), nodes) }()
	return errors.Join(saveTable(b, MetricsFile, metricsSchema, metricFields(), metrics), <-saved)
}

// rowsOf lists the nodes, parents first, and the metrics.
func rowsOf(tree *datamodel.Node, run datamodel.Run) ([]nodeRow, []metricRow, error) {
	w := treeWriter{run: run}
	if err := w.add(tree, -1); err != nil {
		return nil, nil, err
	}
	held := make([][]int, len(w.nodes)) // the rows of each node's metrics
	// The figures of a run are its own, though the nodes above it have them too, and those of a sensor are the sensor's,
	// though its device has them too.
	for _, first := range []datamodel.Level{datamodel.RunLevel, datamodel.SensorLevel, ""} {
		for i := range w.nodes {
			if held[i] == nil && (first == "" || w.nodes[i].node.Level == first) {
				held[i] = w.metricsOf(i, held)
			}
		}
	}
	w.sort(held)
	for i := range w.nodes {
		w.nodes[i].metrics = w.list(i, held[i])
	}
	return w.nodes, w.metrics, nil
}

// treeWriter makes the rows of a tree.
type treeWriter struct {
	run     datamodel.Run
	nodes   []nodeRow
	metrics []metricRow
}

// add adds a node and all below it.
func (w *treeWriter) add(n *datamodel.Node, parent int64) error {
	nan := math.NaN()
	row := nodeRow{
		id: int64(len(w.nodes)), parent: parent, level: string(n.Level), name: n.Name, family: n.Family, node: n,
		wrap: nan, resolution: nan, update: nan,
	}
	var meta nodeMeta
	if s := n.Sensor; s != nil {
		row.device, row.sensor, row.unit, row.kind, row.source = s.Device, s.ID, string(s.Unit), s.Kind.String(), s.Source
		if (sensors.Sensor{Kind: s.Kind}).Origin() != s.Origin() {
			row.provenance = string(s.Provenance)
		}
		row.wrap, row.resolution, row.update = orNull(s.Wrap), orNull(s.Resolution), orNull(s.Update.Seconds())
		if d, ok := datamodel.OfSensor(s.Family, s.Name); !ok || d.Doc == "" {
			meta.Doc = s.Doc
		}
		if n.Name == quantity(s.ID) {
			row.name = ""
		}
		if kept := row.described(meta.Doc); kept.ID != s.ID || kept.Family != s.Family || kept.Name != s.Name || kept.Update != s.Update {
			meta.Sensor = s
		}
	}
	for _, p := range n.Meta {
		if p.Key == datamodel.ReadBy && p.Value != n.Family {
			row.readBy = p.Value
		}
	}
	derived := datamodel.DerivedMeta(n, cmp.Or(row.readBy, n.Family), w.run)
	more := n.Meta
	if meta.Whole = len(more) < len(derived) || !slices.Equal(more[:len(derived)], derived); !meta.Whole {
		more = more[len(derived):]
	}
	for _, p := range more {
		meta.Meta = append(meta.Meta, [2]string{p.Key, p.Value})
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if string(text) != "{}" {
		row.metadata = string(text)
	}
	w.nodes = append(w.nodes, row)
	for _, c := range n.Children {
		if err := w.add(c, row.id); err != nil {
			return err
		}
	}
	return nil
}

// orNull returns v, or NaN, which is stored as null, if it is 0.
func orNull(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// metricsOf returns the rows that hold a node's metrics. It adds rows for those that no other node of its branch has. held
// has the rows of the nodes that have been asked before.
func (w *treeWriter) metricsOf(i int, held [][]int) []int {
	n := &w.nodes[i]
	var branch []int
	for p := n.parent; p >= 0; p = w.nodes[p].parent {
		branch = append(branch, held[p]...)
	}
	for k := i + 1; k < len(w.nodes) && w.nodes[k].parent >= n.id; k++ { // all nodes below it follow it
		switch level := w.nodes[k].node.Level; {
		case level == datamodel.RunLevel, level == datamodel.SensorLevel && w.nodes[k].parent == n.id:
			branch = append(branch, held[k]...)
		}
	}
	out := []int{}
	for _, m := range n.node.Metrics {
		m.Name = storedName(n.node, m.Name)
		k := slices.IndexFunc(branch, func(k int) bool { return sameMetric(w.metrics[k].Metric, m) })
		if k >= 0 {
			out = append(out, branch[k])
			continue
		}
		out = append(out, len(w.metrics))
		w.metrics = append(w.metrics, metricRow{0, n.id, n.level, w.hostOf(i), encodeParts(m.Parts), m})
	}
	return out
}

// sort puts the rows into the order of their nodes. held has the rows of each node, with their numbers before and after.
func (w *treeWriter) sort(held [][]int) {
	order := make([]int, len(w.metrics))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(w.metrics[a].node, w.metrics[b].node) })
	sorted, number := make([]metricRow, len(order)), make([]int, len(order))
	for k, from := range order {
		sorted[k], number[from] = w.metrics[from], k
	}
	for _, rows := range held {
		for k := range rows {
			rows[k] = number[rows[k]]
		}
	}
	w.metrics = sorted
}

// hostOf returns the name of the host that a node belongs to, "" above the hosts.
func (w *treeWriter) hostOf(i int) string {
	for p := int64(i); p >= 0; p = w.nodes[p].parent {
		if w.nodes[p].level == string(datamodel.HostLevel) {
			return w.nodes[p].name
		}
	}
	return ""
}

// list writes the rows of a node's metrics as text. It is empty if they are the node's own rows and no others.
func (w *treeWriter) list(i int, rows []int) string {
	own := 0
	for _, k := range rows {
		if w.metrics[k].node == int64(i) {
			own++
		}
	}
	if own == len(rows) { // they were added in this order
		return ""
	}
	var b strings.Builder
	for from := 0; from < len(rows); {
		to := from
		for to+1 < len(rows) && rows[to+1] == rows[to]+1 {
			to++
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, rows[from])
		if to > from {
			fmt.Fprintf(&b, "-%d", rows[to])
		}
		from = to + 1
	}
	return b.String()
}

// ofDevice reports whether the metrics of a node are those of a device or sensor. The nodes of the command and of ergon
// itself are devices of the tree, but their metrics are the run's.
func ofDevice(n *datamodel.Node) bool {
	return n.Level == datamodel.SensorLevel || n.Level == datamodel.DeviceLevel && n.Family != "target" && n.Family != "profiler"
}

// storedName returns the name of a node's metric in the table. A metric of a device or sensor begins with the family, as
// in the catalogue, so that a sum over a name has no figure twice.
func storedName(n *datamodel.Node, name string) string {
	if ofDevice(n) && n.Family != "" {
		return n.Family + "." + name
	}
	return name
}

// sameMetric reports whether two metrics are equal in all they say, with NaN equal to NaN.
func sameMetric(a, b datamodel.Metric) bool {
	same := func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
	return a.Name == b.Name && same(a.Value, b.Value) && a.Unit == b.Unit && a.Aggregation == b.Aggregation &&
		a.Provenance == b.Provenance && a.Source == b.Source && a.Reason == b.Reason && a.Count == b.Count && a.Gaps == b.Gaps &&
		same(a.Min, b.Min) && same(a.Max, b.Max) && same(a.Mean, b.Mean) && same(a.Std, b.Std) &&
		same(a.Uncertainty, b.Uncertainty) && a.Bound == b.Bound && same(a.AtMost, b.AtMost) && slices.Equal(a.Parts, b.Parts) &&
		a.Absence == b.Absence
}

// Load reads a run from its folder. The tree is nil if it was never made, as in an unfinished run. A bench has no tree: its
// rounds are in Run.Bench.
func Load(dir string) (datamodel.Result, error) { return unmoved(dir, loadResult) }

func loadResult(dir string) (datamodel.Result, error) {
	run, err := LoadManifest(dir)
	if err != nil {
		return datamodel.Result{}, err
	}
	left := budget(loadLimit)
	in := folderFiles{dir: dir, files: run.Files, left: &left}
	if run.Bench != nil {
		if err := loadRounds(in, &run); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return datamodel.Result{}, err
		}
		return datamodel.Result{Run: run}, nil
	}
	if run.Files == nil {
		run.Warnings = append(run.Warnings, datamodel.Warning{
			Subject: "run", Text: "an older ergon made it, without digests: damage to its files would not be seen",
		})
	}
	nodes, lists, err := loadNodes(in, run)
	if errors.Is(err, fs.ErrNotExist) {
		return datamodel.Result{Run: run}, nil
	}
	if err != nil {
		return datamodel.Result{}, err
	}
	if err := loadMetrics(in, nodes, lists); err != nil {
		return datamodel.Result{}, err
	}
	processes, err := loadProcesses(in)
	if err != nil {
		return datamodel.Result{}, err
	}
	regions, err := loadRegions(in)
	if err != nil {
		return datamodel.Result{}, err
	}
	events, err := loadEvents(in)
	if err != nil {
		return datamodel.Result{}, err
	}
	return datamodel.Result{
		Run: run, Tree: nodes[0], Summary: datamodel.SummaryOf(nodes[0]), Processes: processes, Regions: regions, Events: events,
	}, nil
}

// quantity returns what follows the last slash of a sensor's id.
func quantity(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// described returns the sensor of a row, as far as the columns describe it.
func (r *nodeRow) described(doc string) sensors.Sensor {
	s := sensors.Sensor{
		ID: r.sensor, Family: r.family, Device: r.device, Name: cmp.Or(r.name, quantity(r.sensor)), Unit: units.Unit(r.unit),
		Source: r.source, Provenance: sensors.Provenance(r.provenance), Doc: doc,
	}
	if r.kind == sensors.Counter.String() {
		s.Kind = sensors.Counter
	}
	for _, of := range []struct {
		to *float64
		v  float64
	}{{&s.Wrap, r.wrap}, {&s.Resolution, r.resolution}} {
		if of.v > 0 {
			*of.to = of.v
		}
	}
	if r.update > 0 {
		s.Update = time.Duration(math.Round(r.update * 1e9))
	}
	if d, ok := datamodel.OfSensor(s.Family, s.Name); ok && doc == "" {
		s.Doc = d.Doc
	}
	return s
}

// loadNodes reads the nodes and links them to a tree with the root first. lists has the text of each node's metrics.
func loadNodes(in folderFiles, run datamodel.Run) (nodes []*datamodel.Node, lists []string, err error) {
	path := filepath.Join(in.dir, NodesFile)
	rows, version, err := readTable(in, NodesFile, layout[nodeRow]{nodesSchema, nodeFields()}, layout[nodeRow]{nodesSchema1, nodeFields1()})
	if err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("read %s: no nodes: %w", path, ErrForeign)
	}
	nodes, lists = make([]*datamodel.Node, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		n := &datamodel.Node{Name: cmp.Or(r.name, quantity(r.sensor)), Level: datamodel.Level(r.level), Family: r.family}
		nodes[i], lists[i] = n, r.metrics
		// Parents come first and there is one root: so there is no circle, and nothing is lost.
		if r.id != int64(i) || r.parent >= int64(i) || r.parent < 0 != (i == 0) {
			return nil, nil, fmt.Errorf("read %s: node %d with parent %d in row %d", path, r.id, r.parent, i)
		}
		if err := in.left.take(jsonCost([]byte(r.metadata))); err != nil {
			return nil, nil, fmt.Errorf("read %s: node %d: metadata: %w", path, i, err)
		}
		var m nodeMeta
		if r.metadata != "" {
			if err := json.Unmarshal([]byte(r.metadata), &m); err != nil {
				return nil, nil, fmt.Errorf("read %s: node %d: metadata: %w", path, i, err)
			}
		}
		n.Sensor = m.Sensor
		if r.sensor != "" && m.Sensor == nil {
			s := r.described(m.Doc)
			n.Sensor = &s
		}
		if version == nodesSchema && !m.Whole {
			n.Meta = datamodel.DerivedMeta(n, cmp.Or(r.readBy, n.Family), run)
		}
		for _, pair := range m.Meta {
			n.Meta = append(n.Meta, datamodel.Pair{Key: pair[0], Value: pair[1]})
		}
		if i > 0 {
			above := nodes[r.parent]
			above.Children = append(above.Children, n)
		}
	}
	return nodes, lists, nil
}

// loadMetrics reads the metrics and gives them to their nodes. lists has the text of each node's metrics.
func loadMetrics(in folderFiles, nodes []*datamodel.Node, lists []string) error {
	path := filepath.Join(in.dir, MetricsFile)
	rows, version, err := readTable(in, MetricsFile, layout[metricRow]{metricsSchema, metricFields()}, layout[metricRow]{metricsSchema1, metricFields1()})
	if err != nil {
		return err
	}
	give := func(n *datamodel.Node, m datamodel.Metric) {
		if version == metricsSchema && ofDevice(n) {
			m.Name = strings.TrimPrefix(m.Name, n.Family+".")
		}
		n.Metrics = append(n.Metrics, m)
	}
	for i := range rows {
		r := &rows[i]
		if r.node < 0 || r.node >= int64(len(nodes)) {
			return fmt.Errorf("read %s: row %d: no node %d", path, i, r.node)
		}
		if err := in.left.take(jsonCost([]byte(r.parts))); err != nil {
			return fmt.Errorf("read %s: row %d: parts: %w", path, i, err)
		}
		if r.Parts, err = decodeParts(r.parts); err != nil {
			return fmt.Errorf("read %s: row %d: parts: %w", path, i, err)
		}
		if lists[r.node] == "" {
			give(nodes[r.node], r.Metric)
		}
	}
	for i, list := range lists {
		for part := range strings.FieldsSeq(list) {
			from, to, err := rowRange(part, len(rows))
			if err == nil {
				err = in.left.take(int64(to-from) * int64(unsafe.Sizeof(datamodel.Metric{})))
			}
			if err != nil {
				return fmt.Errorf("read %s: metrics of node %d: %w", filepath.Join(in.dir, NodesFile), i, err)
			}
			for _, r := range rows[from:to] {
				give(nodes[i], r.Metric)
			}
		}
	}
	return nil
}

// rowRange reads "3" or "3-7" as rows of a table of n rows, from the first to behind the last.
func rowRange(text string, n int) (from, to int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err = strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err != nil || err2 != nil || from < 0 || to < from || to >= n {
		return 0, 0, fmt.Errorf("rows %q of %d: %w", text, n, ErrForeign)
	}
	return from, to + 1, nil
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
