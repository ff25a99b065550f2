package store

import (
	"errors"
	"io/fs"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	processesSchema = "ergon.processes/2"
	// processesSchema1 is read, but no longer written.
	processesSchema1 = "ergon.processes/1"
)

// SaveProcesses adds the table of a run's processes to the batch, as processes.parquet. columns says how the energy was
// obtained. The file's name is durable after the next SaveManifest.
func (b *Files) SaveProcesses(run datamodel.Run, rows []datamodel.Process, columns []datamodel.ProcessColumn) error {
	from := sensors.Attributed
	for _, c := range columns {
		if c.Name == "energy" {
			from = c.Provenance
		}
	}
	table := make([]processRow, len(rows))
	for i, r := range rows {
		table[i] = processRow{host: run.Host.Name, from: from, Process: r}
	}
	return saveTable(b, ProcessesFile, processesSchema, processFields(), table)
}

// processRow is a row of processes.parquet.
type processRow struct {
	round int64
	host  string
	from  sensors.Provenance // of the energy
	datamodel.Process
}

// processFields lists the columns of processes.parquet.
func processFields() []field[processRow] {
	return append([]field[processRow]{
		whole("round", func(r *processRow) *int64 { return &r.round }).required().says("", "round, from 0"),
		word("host", func(r *processRow) *string { return &r.host }).unread().says("unknown", "host"),
		word("energy_provenance", func(r *processRow) *sensors.Provenance { return &r.from }).unread().says(
			"", "provenance of energy; if it is missing, the metric target_energy has the reason"),
	}, processFields1()...)
}

// processFields1 lists the columns that version 1 has too.
func processFields1() []field[processRow] {
	return []field[processRow]{
		whole("id", func(r *processRow) *int64 { return &r.ID }).says("", "number of the row, from 0"),
		whole("parent_id", func(r *processRow) *int64 { return &r.ParentID }).says(
			"its parent has no row", "id of the parent's row"),
		word("kind", func(r *processRow) *datamodel.ProcessKind { return &r.Kind }).says(
			"", "process, or what several processes were added to"),
		whole("pid", func(r *processRow) *int64 { return &r.PID }).says("several processes", "process id"),
		whole("parent", func(r *processRow) *int64 { return &r.Parent }).says(
			"several processes", "process id of the parent when first seen"),
		word("name", func(r *processRow) *string { return &r.Name }).says(
			"not seen", "name of the file that it executes"),
		word("command_line", func(r *processRow) *string { return &r.CommandLine }).says(
			"not asked for", "its arguments as one line, with --arguments"),
		moment("start", func(r *processRow) *time.Time { return &r.Start }).says(
			"unknown", "when it was forked, in steps of 10 ms, but not before the run"),
		moment("end", func(r *processRow) *time.Time { return &r.End }).says(
			"it lived on", "when it was first missed: it ended between last_seen and end; for the command, when it was reaped"),
		figure("first_seen", func(r *processRow) *float64 { return &r.FirstSeen }).in(units.Second).says(
			"not seen", "first look that saw it, on the clock of elapsed"),
		figure("last_seen", func(r *processRow) *float64 { return &r.LastSeen }).in(units.Second).says(
			"not seen", "last look that saw it alive"),
		count("processes", func(r *processRow) *float64 { return &r.Count }).says(
			"unknown", "number of processes in the row"),
		figure("cpu_time", func(r *processRow) *float64 { return &r.CPUTime }).in(units.Second).says(
			"unknown", "CPU time without its children"),
		word("provenance", func(r *processRow) *sensors.Provenance { return &r.Provenance }).says(
			"unknown", "provenance of cpu_time"),
		figure("peak_memory", func(r *processRow) *float64 { return &r.PeakMemory }).in(units.Byte).says(
			"unknown", "largest resident memory seen"),
		figure("read", func(r *processRow) *float64 { return &r.Read }).in(units.Byte).says(
			"unknown", "bytes read from storage, with those of children that no look saw"),
		figure("written", func(r *processRow) *float64 { return &r.Written }).in(units.Byte).says(
			"unknown", "bytes written to storage, like read"),
		figure("energy", func(r *processRow) *float64 { return &r.Energy }).in(units.Joule).says(
			"unknown", "share of the command's energy, by its share of the CPU time"),
	}
}

// loadProcesses reads the table back. It is nil if the run has none.
func loadProcesses(in folderFiles) ([]datamodel.Process, error) {
	rows, _, err := readTable(in, ProcessesFile,
		layout[processRow]{processesSchema, processFields()}, layout[processRow]{processesSchema1, processFields1()})
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
