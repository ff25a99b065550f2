package store

import (
	"errors"
	"io/fs"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const regionsSchema = "ergon.regions/2"

// regionRow is a row of regions.parquet.
type regionRow struct {
	round                    int64
	host                     string
	name, path, id           string
	pid, thread, rank        int64
	start, end               time.Time
	elapsedStart, elapsedEnd float64
	truncated                int64
	cells                    []regionCell // in the order of datamodel.RegionMetrics
}

// regionCell is one metric of a region.
type regionCell struct {
	value, own, uncertainty float64
	provenance              sensors.Provenance
	reason                  string
}

// regionFields lists the columns of regions.parquet.
func regionFields() []field[regionRow] {
	list := []field[regionRow]{
		whole("round", func(r *regionRow) *int64 { return &r.round }).unread().required().says("", "round, from 0"),
		word("host", func(r *regionRow) *string { return &r.host }).unread().says("unknown", "host"),
		word("name", func(r *regionRow) *string { return &r.name }).says("", "name that the command gave"),
		word("path", func(r *regionRow) *string { return &r.path }).says("", "names of the regions around it in its thread, and its own: train/epoch"),
		whole("pid", func(r *regionRow) *int64 { return &r.pid }).says("unknown", "process that began it"),
		whole("tid", func(r *regionRow) *int64 { return &r.thread }).says("not given", "thread that began it"),
		word("id", func(r *regionRow) *string { return &r.id }).says("not given", "tells apart instances that overlap"),
		whole("rank", func(r *regionRow) *int64 { return &r.rank }).says("not given", "rank of the process in a parallel job"),
		moment("start", func(r *regionRow) *time.Time { return &r.start }).unread().says("", "when it began"),
		moment("end", func(r *regionRow) *time.Time { return &r.end }).unread().says("", "when it ended"),
		figure("elapsed_start", func(r *regionRow) *float64 { return &r.elapsedStart }).in(units.Second).says("", "when it began, on the clock of elapsed"),
		figure("elapsed_end", func(r *regionRow) *float64 { return &r.elapsedEnd }).in(units.Second).says("", "when it ended, on the clock of elapsed"),
		whole("truncated", func(r *regionRow) *int64 { return &r.truncated }).required().says("", "1 if the command ended before the region did, else 0"),
	}
	for i, name := range datamodel.RegionMetrics() {
		d, _ := datamodel.Lookup(name)
		at := func(r *regionRow) *regionCell { return &r.cell()[i] }
		list = append(list, figure(name, func(r *regionRow) *float64 { return &at(r).value }).in(d.Unit).says("missing: "+name+"_reason", d.Doc+", in the region"))
		if name != datamodel.PeakMemory {
			list = append(list, figure("self_"+name, func(r *regionRow) *float64 { return &at(r).own }).in(d.Unit).says(
				"missing: "+name+"_reason", name+" outside the regions within it: adds up over a thread"))
			list = append(list, figure(name+"_uncertainty", func(r *regionRow) *float64 { return &at(r).uncertainty }).in(d.Unit).says("unknown", "bound of the error of "+name))
		}
		list = append(list,
			word(name+"_provenance", func(r *regionRow) *sensors.Provenance { return &at(r).provenance }).says("", "provenance of "+name),
			word(name+"_reason", func(r *regionRow) *string { return &at(r).reason }).says("it is not missing", "why "+name+" is missing"))
	}
	return list
}

// cell returns the cells, which it makes if there are none.
func (r *regionRow) cell() []regionCell {
	if r.cells == nil {
		r.cells = make([]regionCell, len(datamodel.RegionMetrics()))
	}
	return r.cells
}

// SaveRegions adds the table of the command's regions to the batch, as regions.parquet.
func (b *Files) SaveRegions(run datamodel.Run, regions *datamodel.Regions) error {
	rows := make([]regionRow, len(regions.List))
	var figures []datamodel.RegionFigure
	for _, name := range datamodel.RegionMetrics() {
		figures = append(figures, regions.Figure(name))
	}
	for i, r := range regions.List {
		row := &rows[i]
		*row = regionRow{
			host: run.Host.Name, name: r.Name, path: r.Path, id: r.ID, pid: known(r.PID), thread: known(r.Thread), rank: int64(r.Rank),
			start: regions.Anchor.Add(r.Start), end: regions.Anchor.Add(r.End), elapsedStart: r.Start.Seconds(), elapsedEnd: r.End.Seconds(),
		}
		if r.Truncated {
			row.truncated = 1
		}
		for j, f := range figures {
			row.cell()[j] = regionCell{value: at(f.Values, i), own: at(f.Own, i), uncertainty: at(f.Uncertainty, i), provenance: f.Provenance, reason: f.Reason}
		}
	}
	return saveTable(b, RegionsFile, regionsSchema, regionFields(), rows)
}

// known returns a number, or -1 if it is 0.
func known(n int) int64 {
	if n == 0 {
		return -1
	}
	return int64(n)
}

// at returns a value of a list that may be shorter.
func at(list []float64, i int) float64 {
	if i < len(list) {
		return list[i]
	}
	return math.NaN()
}

// loadRegions reads the table back, without what only the accounting needs. It is nil if the run has none.
func loadRegions(in folderFiles) (*datamodel.Regions, error) {
	rows, _, err := readTable(in, RegionsFile, layout[regionRow]{regionsSchema, regionFields()})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &datamodel.Regions{}
	for _, name := range datamodel.RegionMetrics() {
		d, _ := datamodel.Lookup(name)
		out.Figures = append(out.Figures, datamodel.RegionFigure{Name: name, Unit: d.Unit})
	}
	for _, r := range rows {
		out.List = append(out.List, datamodel.Region{
			Name: r.name, Path: r.path, ID: r.id, PID: int(max(0, r.pid)), Thread: int(max(0, r.thread)), Rank: int(r.rank),
			Start: duration(r.elapsedStart), End: duration(r.elapsedEnd), Truncated: r.truncated == 1,
		})
		for j, cell := range r.cell() {
			f := &out.Figures[j]
			f.Values, f.Own, f.Uncertainty = append(f.Values, cell.value), append(f.Own, cell.own), append(f.Uncertainty, cell.uncertainty)
			f.Provenance, f.Reason = cell.provenance, cell.reason
		}
	}
	return out, nil
}

// duration converts seconds. What is no number is 0.
func duration(seconds float64) time.Duration {
	if !(seconds >= 0 && seconds < math.MaxInt64/1e9) {
		return 0
	}
	return time.Duration(math.Round(seconds * 1e9))
}
