package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const processesSchema = "ergon.processes/1"

// SaveProcesses adds the table of a run's processes to the batch, as processes.parquet. The file's metadata
// describes the columns of times and figures under ergon.columns: unit, provenance and source. If the energy is missing, a
// column has the reason too. The file's name is durable after the next SaveManifest.
func (b *Files) SaveProcesses(run datamodel.Run, rows []datamodel.Process, columns []datamodel.ProcessColumn) error {
	type column struct {
		Name       string             `json:"name"`
		Unit       string             `json:"unit,omitempty"`
		Provenance sensors.Provenance `json:"provenance,omitempty"`
		Source     string             `json:"source,omitempty"`
	}
	about := []column{
		{Name: "start", Source: "/proc/PID/stat, in steps of 10 ms, but never before the start of the run"},
		{Name: "end", Provenance: sensors.Sampled, Source: "the first look that missed it or found it dead: it ended between last_seen " +
			"and end; for the command itself, when it was reaped; null if it lived on"},
		{"first_seen", string(units.Second), sensors.Sampled, "the first look that found it; on the clock of elapsed in samples.parquet"},
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
		return fmt.Errorf("write %s: %w", filepath.Join(b.dir.path, ProcessesFile), err)
	}
	table := make([]processRow, len(rows))
	for i, r := range rows {
		table[i] = processRow{run: run.ID, from: from, noEnergy: noEnergy, Process: r}
	}
	return tableOf(processFields(), table).save(b, ProcessesFile, processesSchema, run, "ergon.columns", string(text))
}

// processRow is a row of processes.parquet.
type processRow struct {
	run, noEnergy string
	from          sensors.Provenance // of the energy
	datamodel.Process
}

// processFields lists the columns of processes.parquet.
func processFields() []field[processRow] {
	return []field[processRow]{
		word("run_id", func(r *processRow) *string { return &r.run }).unread(),
		whole("id", func(r *processRow) *int64 { return &r.ID }),
		whole("parent_id", func(r *processRow) *int64 { return &r.ParentID }),
		word("kind", func(r *processRow) *datamodel.ProcessKind { return &r.Kind }),
		whole("pid", func(r *processRow) *int64 { return &r.PID }),
		whole("parent", func(r *processRow) *int64 { return &r.Parent }),
		word("name", func(r *processRow) *string { return &r.Name }),
		word("command_line", func(r *processRow) *string { return &r.CommandLine }),
		moment("start", func(r *processRow) *time.Time { return &r.Start }),
		moment("end", func(r *processRow) *time.Time { return &r.End }),
		figure("first_seen", func(r *processRow) *float64 { return &r.FirstSeen }),
		figure("last_seen", func(r *processRow) *float64 { return &r.LastSeen }),
		count("processes", func(r *processRow) *float64 { return &r.Count }),
		figure("cpu_time", func(r *processRow) *float64 { return &r.CPUTime }),
		word("provenance", func(r *processRow) *sensors.Provenance { return &r.Provenance }),
		figure("peak_memory", func(r *processRow) *float64 { return &r.PeakMemory }),
		figure("read", func(r *processRow) *float64 { return &r.Read }),
		figure("written", func(r *processRow) *float64 { return &r.Written }),
		figure("energy", func(r *processRow) *float64 { return &r.Energy }),
		word("energy_provenance", func(r *processRow) *sensors.Provenance { return &r.from }).unread(),
		word("energy_reason", func(r *processRow) *string { return &r.noEnergy }).unread(),
	}
}

// loadProcesses reads the table back. It is nil if the run has none.
func loadProcesses(in folderFiles) ([]datamodel.Process, error) {
	rows, err := readTable(in, ProcessesFile, processesSchema, processFields())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]datamodel.Process, len(rows))
	for i, r := range rows {
		out[i] = r.Process
	}
	return out, nil
}
