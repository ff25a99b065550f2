package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const processesSchema = "ergon.processes/1"

// SaveProcesses writes the table of a run's processes as processes.parquet into the run's folder. What the columns of
// times and figures are, with unit, provenance and source, is in the file's metadata under ergon.columns; the energy's reason to
// be missing also in a column. The file's name is durable after the next SaveManifest or RemoveSpool.
func SaveProcesses(dir string, run datamodel.Run, rows []datamodel.Process, columns []datamodel.ProcessColumn) error {
	type column struct {
		Name       string             `json:"name"`
		Unit       string             `json:"unit,omitempty"`
		Provenance sensors.Provenance `json:"provenance,omitempty"`
		Source     string             `json:"source,omitempty"`
	}
	path := filepath.Join(dir, ProcessesFile)
	about := []column{
		{Name: "start", Source: "/proc/PID/stat, in steps of 10 ms, but never before the start of the run"},
		{Name: "end", Provenance: sensors.Sampled, Source: "at the latest: the first look that missed it or found it dead, so that it ended " +
			"between last_seen and end; of the command itself, when it was reaped; null where it lived on"},
		{"first_seen", string(units.Second), sensors.Sampled, "the first look that found it, on the clock of elapsed in samples.parquet"},
		{"last_seen", string(units.Second), sensors.Sampled, "the last look that found it alive, on the same clock"},
	}
	noEnergy, from := "", sensors.Attributed
	for _, c := range columns {
		about = append(about, column{c.Name, string(c.Unit), c.Provenance, c.Source})
		if c.Name == "energy" {
			from = c.Provenance
			if from == sensors.Missing {
				noEnergy = c.Source
			}
		}
	}
	text, err := json.Marshal(about)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	var t table
	n := len(rows)
	number := func(name string, get func(*datamodel.Process) int64) {
		t.ints(name, n, func(i int) (int64, bool) { v := get(&rows[i]); return v, v >= 0 })
	}
	word := func(name string, get func(*datamodel.Process) string) {
		t.strings(name, n, func(i int) (string, bool) { s := get(&rows[i]); return s, s != "" })
	}
	figure := func(name string, get func(*datamodel.Process) float64) {
		t.doubles(name, n, func(i int) float64 { return get(&rows[i]) })
	}
	t.strings("run_id", n, func(int) (string, bool) { return run.ID, true })
	number("id", func(p *datamodel.Process) int64 { return p.ID })
	number("parent_id", func(p *datamodel.Process) int64 { return p.ParentID })
	word("kind", func(p *datamodel.Process) string { return string(p.Kind) })
	number("pid", func(p *datamodel.Process) int64 { return p.PID })
	number("parent", func(p *datamodel.Process) int64 { return p.Parent })
	word("name", func(p *datamodel.Process) string { return p.Name })
	word("command_line", func(p *datamodel.Process) string { return p.CommandLine })
	t.times("start", n, func(i int) time.Time { return rows[i].Start })
	t.times("end", n, func(i int) time.Time { return rows[i].End })
	figure("first_seen", func(p *datamodel.Process) float64 { return p.FirstSeen })
	figure("last_seen", func(p *datamodel.Process) float64 { return p.LastSeen })
	t.ints("processes", n, func(i int) (int64, bool) { return int64(rows[i].Count), !math.IsNaN(rows[i].Count) })
	figure("cpu_time", func(p *datamodel.Process) float64 { return p.CPUTime })
	word("provenance", func(p *datamodel.Process) string { return string(p.Provenance) })
	figure("peak_memory", func(p *datamodel.Process) float64 { return p.PeakMemory })
	figure("read", func(p *datamodel.Process) float64 { return p.Read })
	figure("written", func(p *datamodel.Process) float64 { return p.Written })
	figure("energy", func(p *datamodel.Process) float64 { return p.Energy })
	word("energy_provenance", func(*datamodel.Process) string { return string(from) })
	word("energy_reason", func(*datamodel.Process) string { return noEnergy })
	return t.save(path, processesSchema, run, "ergon.columns", string(text))
}

// times adds a nullable column of wall-clock times; a zero time is null.
func (t *table) times(name string, n int, get func(int) time.Time) {
	node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
		schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0, -1)
	t.err = errors.Join(t.err, err)
	t.column(node, nullable(t, n, func(i int) (int64, bool) { at := get(i); return at.UnixMicro(), !at.IsZero() }))
}

// loadProcesses reads the table back; nil where a run has none.
func loadProcesses(path string) (rows []datamodel.Process, err error) {
	defer guard("read "+path, &err)
	p, err := openParquet(path, processesSchema)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.close()
	var l loader
	id, parentID, kind := l.ints(p, "id"), l.ints(p, "parent_id"), l.strings(p, "kind")
	pid, parent := l.ints(p, "pid"), l.ints(p, "parent")
	name, line := l.strings(p, "name"), l.strings(p, "command_line")
	start, end := l.times(p, "start"), l.times(p, "end")
	first, last := l.doubles(p, "first_seen"), l.doubles(p, "last_seen")
	count, cpu, from := l.ints(p, "processes"), l.doubles(p, "cpu_time"), l.strings(p, "provenance")
	memory, read, written := l.doubles(p, "peak_memory"), l.doubles(p, "read"), l.doubles(p, "written")
	energy := l.doubles(p, "energy")
	if l.err != nil {
		return nil, l.err
	}
	rows = make([]datamodel.Process, len(id))
	for i := range rows {
		n := float64(count[i])
		if count[i] < 0 {
			n = math.NaN()
		}
		rows[i] = datamodel.Process{
			Kind: datamodel.ProcessKind(kind[i]), ID: id[i], ParentID: parentID[i], PID: pid[i], Parent: parent[i],
			Name: name[i], CommandLine: line[i], Start: start[i], End: end[i], FirstSeen: first[i], LastSeen: last[i],
			Count: n, CPUTime: cpu[i], Provenance: sensors.Provenance(from[i]), PeakMemory: memory[i],
			Read: read[i], Written: written[i], Energy: energy[i],
		}
	}
	return rows, nil
}

func (l *loader) times(p *parquetFile, name string) []time.Time {
	const null = math.MinInt64
	return load(l, p, name, null, func(v int64) time.Time {
		if v == null {
			return time.Time{}
		}
		return time.UnixMicro(v).UTC()
	})
}
