package store

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/sensors"
)

// LoadBench reads the rounds of a run from its folder, each with its metrics and processes. A run that is no bench is
// one command with one round. The errors are those of Load.
//
// A metric that no round of a command has is only in the first round of that command, with the reason.
func LoadBench(dir string) (datamodel.Bench, error) {
	r, err := Load(dir)
	if err != nil {
		return datamodel.Bench{}, err
	}
	if r.Run.Bench != nil {
		return *r.Run.Bench, nil
	}
	return benchOf(r), nil
}

// benchOf makes a bench of a plain run.
func benchOf(r datamodel.Result) datamodel.Bench {
	round := datamodel.Round{
		Start: r.Run.Start, Outcome: r.Run.Outcome, Metrics: r.Summary, Processes: r.Processes,
		Conditions: datamodel.ConditionsIn(r.Run.Warnings),
	}
	if r.Run.ExitCode != nil {
		round.ExitCode = *r.Run.ExitCode
	}
	return datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: cmdline.Line(r.Run.Command), Command: r.Run.Command}},
		Rounds:   []datamodel.Round{round},
		Order:    datamodel.Grouped,
		Ended:    datamodel.BenchComplete,
	}
}

const (
	// benchRows is about how many rows a row group of a bench has. They are in memory together.
	benchRows = 32 << 10
	// mostProcesses is how many rows of processes a bench keeps one by one. Those of later rounds are added up by name.
	mostProcesses = 256 << 10
)

// SaveBench adds the tables of a bench to the batch: summary.parquet, nodes.parquet, metrics.parquet and, if the processes
// were tracked, processes.parquet. run.Bench has the rounds.
func (b *Files) SaveBench(run datamodel.Run) error {
	t := benchTables{run: run, Bench: *run.Bench}
	if t.Batch > 1 { // a sum over a table is what all executions took
		t.Rounds = slices.Clone(t.Rounds)
		for i, r := range t.Rounds {
			t.Rounds[i] = r.Together(t.Batch)
		}
	}
	if err := t.check(); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(b.dir.path, SummaryFile), err)
	}
	if err := saveTable(b, SummaryFile, summarySchema, summaryFields(), t.summary()); err != nil {
		return err
	}
	if err := saveTable(b, NodesFile, nodesSchema, nodeFields(), t.nodes()); err != nil {
		return err
	}
	if err := saveGroups(b, MetricsFile, metricsSchema, metricFields(), t.metrics()); err != nil {
		return err
	}
	if !slices.ContainsFunc(t.Rounds, func(r datamodel.Round) bool { return r.Processes != nil }) {
		return nil
	}
	return saveGroups(b, ProcessesFile, processesSchema, processFields(), t.processes())
}

// benchTables makes the rows of the tables of a bench.
type benchTables struct {
	run datamodel.Run
	datamodel.Bench
}

// check returns an error if a round has no command, or cannot be read back.
func (t *benchTables) check() error {
	for i, r := range t.Rounds {
		if r.Command < 0 || r.Command >= len(t.Commands) || r.Block < 0 || r.Block >= len(t.Rounds) {
			return fmt.Errorf("round %d of %d: command %d of %d, block %d", i, len(t.Rounds), r.Command, len(t.Commands), r.Block)
		}
	}
	return nil
}

// summary returns one row for each round.
func (t *benchTables) summary() []summaryRow {
	lines := make([]string, len(t.Commands))
	for c, command := range t.Commands {
		lines[c] = cmdline.Line(command.Command)
	}
	values := newSummaryValues()
	out := make([]summaryRow, len(t.Rounds))
	for i, r := range t.Rounds {
		out[i] = summaryRow{
			round: int64(i), exitCode: int64(r.ExitCode), block: int64(r.Block), host: t.run.Host.Name,
			command: lines[r.Command], outcome: string(r.Outcome), commit: commitOf(t.run), name: t.Commands[r.Command].Name,
			conditions: strings.Join(r.Conditions, " "), start: r.Start, values: values.of(r.Metrics),
		}
	}
	return out
}

// nodeOf and nodeOfRound are the ids of the nodes of a command and of a round.
func (t *benchTables) nodeOf(command int) int64    { return int64(1 + command) }
func (t *benchTables) nodeOfRound(round int) int64 { return int64(1 + len(t.Commands) + round) }

// nodes returns the tree: the project, its commands, and below each its rounds.
func (t *benchTables) nodes() []nodeRow {
	nan := math.NaN()
	node := func(id, parent int64, level datamodel.Level, name string) nodeRow {
		return nodeRow{id: id, parent: parent, level: string(level), name: name, wrap: nan, resolution: nan, update: nan}
	}
	out := make([]nodeRow, 0, t.nodeOfRound(len(t.Rounds)))
	out = append(out, node(0, -1, datamodel.App, t.run.Project))
	for c, command := range t.Commands {
		out = append(out, node(t.nodeOf(c), 0, datamodel.MultiRun, command.Name))
	}
	for i, r := range t.Rounds {
		out = append(out, node(t.nodeOfRound(i), t.nodeOf(r.Command), datamodel.RunLevel, strconv.Itoa(i)))
	}
	return out
}

// metrics yields the metrics of all rounds, one metric after another: most columns then repeat one value, and take hardly
// any room. A metric that no round of a command has gets one row, at the node of the command, in its first round.
func (t *benchTables) metrics() iter.Seq[[]metricRow] {
	return func(yield func([]metricRow) bool) {
		var rows []metricRow
		for _, name := range t.metricNames() {
			for c := range t.Commands {
				before := len(rows)
				known := false
				at := 0
				for i := range t.Rounds {
					if t.Rounds[i].Command != c {
						continue
					}
					if m := metricNamed(t.Rounds[i].Metrics, name, &at); m != nil {
						known = known || !math.IsNaN(m.Value)
						rows = append(rows, metricRow{int64(i), t.nodeOfRound(i), string(datamodel.RunLevel), t.run.Host.Name, encodeParts(m.Parts), *m})
					}
				}
				if !known && len(rows) > before {
					rows = rows[:before+1]
					rows[before].node, rows[before].level = t.nodeOf(c), string(datamodel.MultiRun)
				}
			}
			if len(rows) >= benchRows {
				if !yield(rows) {
					return
				}
				rows = rows[:0]
			}
		}
		yield(rows)
	}
}

// metricNames lists the names of the metrics, in their order in the rounds.
func (t *benchTables) metricNames() (names []string) {
	known := make(map[string]bool)
	for _, r := range t.Rounds {
		for _, m := range r.Metrics {
			if !known[m.Name] {
				known[m.Name] = true
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// metricNamed returns the metric with a name; nil if there is none. at is where to look first: rounds have the same order.
func metricNamed(list []datamodel.Metric, name string, at *int) *datamodel.Metric {
	if *at < len(list) && list[*at].Name == name {
		return &list[*at]
	}
	for i := range list {
		if list[i].Name == name {
			*at = i
			return &list[i]
		}
	}
	return nil
}

// processes yields the processes of all rounds.
func (t *benchTables) processes() iter.Seq[[]processRow] {
	return func(yield func([]processRow) bool) {
		var rows []processRow
		total := 0
		for i, r := range t.Rounds {
			list := r.Processes
			if total += len(list); total > mostProcesses {
				list = addedUp(list)
			}
			from := energyOf(r.Metrics)
			for _, p := range list {
				rows = append(rows, processRow{int64(i), t.run.Host.Name, from, p})
			}
			if len(rows) >= benchRows {
				if !yield(rows) {
					return
				}
				rows = rows[:0]
			}
		}
		yield(rows)
	}
}

// energyOf returns the provenance of the energy of processes, by the metrics of their round.
func energyOf(metrics []datamodel.Metric) sensors.Provenance {
	for _, c := range datamodel.ProcessColumns(metrics) {
		if c.Name == "energy" {
			return c.Provenance
		}
	}
	return sensors.Missing
}

// addedUp returns one row for each name. The first row, which is the command, stays as it is, and so do rows for what was
// not seen.
func addedUp(list []datamodel.Process) []datamodel.Process {
	at := make(map[string]int)
	var out []datamodel.Process
	for i, p := range list {
		if i == 0 || p.Kind == datamodel.UnseenProcesses {
			out = append(out, p)
			continue
		}
		k, ok := at[p.Name]
		if !ok {
			at[p.Name] = len(out)
			out = append(out, p)
			continue
		}
		out[k].Join(p)
		out[k].Kind, out[k].PID, out[k].Parent, out[k].CommandLine = datamodel.MergedProcesses, -1, -1, ""
	}
	return out
}

// loadRounds reads the rounds of a bench into run.Bench. The error wraps fs.ErrNotExist if there are no tables yet.
func loadRounds(in folderFiles, run *datamodel.Run) error {
	limit := budget(benchLimit)
	in.left = &limit
	b := run.Bench
	path := filepath.Join(in.dir, SummaryFile)
	err := readGroups(in, SummaryFile, layout[summaryRow]{summarySchema, roundFields()}, func(rows []summaryRow) error {
		if err := in.left.take(int64(len(rows)) * int64(unsafe.Sizeof(datamodel.Round{}))); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for _, r := range rows {
			command := slices.IndexFunc(b.Commands, func(c datamodel.BenchCommand) bool { return c.Name == r.name })
			if r.round != int64(len(b.Rounds)) || command < 0 {
				return fmt.Errorf("read %s: row %d: round %d of command %q: %w", path, len(b.Rounds), r.round, r.name, ErrForeign)
			}
			b.Rounds = append(b.Rounds, datamodel.Round{
				Command: command, Block: int(r.block), Start: r.start, ExitCode: int(r.exitCode), Outcome: datamodel.Outcome(r.outcome),
				Conditions: strings.Fields(r.conditions),
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	t := benchTables{run: *run, Bench: *b}
	if err := t.check(); err != nil { // a block that is too large would take any amount of memory
		return fmt.Errorf("read %s: %w: %w", path, err, ErrForeign)
	}
	if err := loadRoundMetrics(in, b.Rounds); err != nil {
		return err
	}
	for i, r := range b.Rounds {
		b.Rounds[i] = r.Each(b.Batch)
	}
	return loadRoundProcesses(in, b.Rounds)
}

// roundFields lists the columns of summary.parquet that a round is read from.
func roundFields() (fields []field[summaryRow]) {
	metrics := make(map[string]bool)
	for _, d := range datamodel.Summary() {
		metrics[d.Name] = true
	}
	for _, f := range summaryFields() {
		if !metrics[f.name] {
			fields = append(fields, f)
		}
	}
	return fields
}

// usualMetrics is how many metrics a round usually has.
const usualMetrics = 24

// loadRoundMetrics reads the metrics of the rounds. Each round gets its metrics in the order of the file.
func loadRoundMetrics(in folderFiles, rounds []datamodel.Round) error {
	path := filepath.Join(in.dir, MetricsFile)
	var text string
	var parts []datamodel.Part // of text
	return readGroups(in, MetricsFile, layout[metricRow]{metricsSchema, metricFields()}, func(rows []metricRow) error {
		if err := in.left.take(int64(len(rows)) * int64(unsafe.Sizeof(datamodel.Metric{}))); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for i := range rows {
			r := &rows[i]
			if r.round < 0 || r.round >= int64(len(rounds)) {
				return fmt.Errorf("read %s: no round %d: %w", path, r.round, ErrForeign)
			}
			if r.parts != text {
				if err := in.left.take(jsonCost([]byte(r.parts))); err != nil {
					return fmt.Errorf("read %s: parts: %w", path, err)
				}
				var err error
				if parts, err = decodeParts(r.parts); err != nil {
					return fmt.Errorf("read %s: parts: %w", path, err)
				}
				text = r.parts
			}
			r.Parts = parts
			of := &rounds[r.round]
			if of.Metrics == nil {
				of.Metrics = make([]datamodel.Metric, 0, usualMetrics)
			}
			of.Metrics = append(of.Metrics, r.Metric)
		}
		return nil
	})
}

// loadRoundProcesses reads the processes of the rounds, if they were tracked.
func loadRoundProcesses(in folderFiles, rounds []datamodel.Round) error {
	path := filepath.Join(in.dir, ProcessesFile)
	err := readGroups(in, ProcessesFile, layout[processRow]{processesSchema, processFields()}, func(rows []processRow) error {
		if err := in.left.take(int64(len(rows)) * int64(unsafe.Sizeof(datamodel.Process{}))); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for _, r := range rows {
			if r.round < 0 || r.round >= int64(len(rounds)) {
				return fmt.Errorf("read %s: no round %d: %w", path, r.round, ErrForeign)
			}
			rounds[r.round].Processes = append(rounds[r.round].Processes, r.Process)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
