package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// shownRegions is how many paths of regions a report lists. The JSON has all.
	shownRegions = 30
	// briefRegions is how many the summary names.
	briefRegions = 4
)

// regionColumn is a column of the table of regions. A cell without a value is empty.
type regionColumn struct {
	header
	// unit is "" for a plain number.
	unit  units.Unit
	value func(g datamodel.RegionGroup) float64
}

func (c regionColumn) text(g datamodel.RegionGroup) string {
	if c.unit == "" {
		return strconv.Itoa(int(c.value(g)))
	}
	return shown(c.value(g), c.unit)
}

// regionColumns returns the columns after the path. groups is not empty.
func regionColumns(r datamodel.Result, groups []datamodel.RegionGroup) []regionColumn {
	wall := summary(r)[datamodel.WallTime].Value
	total := func(name string) func(g datamodel.RegionGroup) float64 {
		return func(g datamodel.RegionGroup) float64 { return g.Figure(name).Total }
	}
	several := func(of func(f datamodel.GroupFigure) float64) func(g datamodel.RegionGroup) float64 {
		return func(g datamodel.RegionGroup) float64 {
			if g.Count < 2 {
				return math.NaN()
			}
			return of(g.Figure(datamodel.WallTime))
		}
	}
	energy := func(name, metric string) regionColumn {
		return regionColumn{header{name: name, mark: provenanceOf(groups, metric)}, units.Joule, total(metric)}
	}
	return []regionColumn{
		{header{name: "count"}, "", func(g datamodel.RegionGroup) float64 { return float64(g.Count) }},
		{header{name: "wall time"}, units.Second, total(datamodel.WallTime)},
		{header{name: "share"}, units.Ratio, func(g datamodel.RegionGroup) float64 {
			if !(wall > 0) {
				return math.NaN()
			}
			return g.Figure(datamodel.WallTime).Total / wall
		}},
		{header{name: "mean"}, units.Second, several(func(f datamodel.GroupFigure) float64 { return f.Mean })},
		{header{name: "σ"}, units.Second, several(func(f datamodel.GroupFigure) float64 { return f.Std })},
		{header{name: "cpu time"}, units.Second, total(datamodel.CPUTime)},
		energy("energy", datamodel.Energy),
		energy("command's energy", datamodel.TargetEnergy),
		energy("gpu energy", datamodel.GPUEnergy),
		{header{name: "memory", mark: sensors.Sampled}, units.Byte, func(g datamodel.RegionGroup) float64 { return g.Figure(datamodel.PeakMemory).Max }},
		{header{name: "read", mark: sensors.Sampled}, units.Byte, total(datamodel.DiskRead)},
		{header{name: "written", mark: sensors.Sampled}, units.Byte, total(datamodel.DiskWrite)},
	}
}

// groupName returns the path of regions, and whether the command did not end them.
func groupName(g datamodel.RegionGroup) string {
	if g.Truncated > 0 {
		return g.Path + " (not ended)"
	}
	return g.Path
}

// regions returns the table of the regions: a row a path, in the order in which they first began. It is empty if there are
// none.
func regions(r datamodel.Result) []listing {
	groups := r.Regions.Groups()
	if len(groups) == 0 {
		return nil
	}
	list := regionColumns(r, groups)
	all := listing{heading: "regions", columns: []header{{name: "region", left: true}}}
	for _, c := range list {
		all.columns = append(all.columns, c.header)
	}
	for _, g := range groups[:min(shownRegions, len(groups))] {
		row := []string{groupName(g)}
		for _, c := range list {
			row = append(row, c.text(g))
		}
		all.rows = append(all.rows, row)
	}
	if more := len(groups) - shownRegions; more > 0 {
		row := make([]string, len(all.columns))
		row[0] = strconv.Itoa(more) + " more"
		all.rows = append(all.rows, row)
	}
	return []listing{all.filled()}
}

// provenanceOf returns where a metric of the regions comes from.
func provenanceOf(groups []datamodel.RegionGroup, name string) sensors.Provenance {
	if f := groups[0].Figure(name); f.Reason == "" {
		return f.Provenance
	}
	return ""
}

// costliestRegions returns the paths that cost most, for the summary: by the command's energy, or by wall time if that is not
// known. A path within another shown one is left out.
func costliestRegions(r datamodel.Result) []string {
	groups := r.Regions.Groups()
	if len(groups) == 0 {
		return nil
	}
	by := datamodel.TargetEnergy
	if groups[0].Figure(by).Reason != "" {
		by = datamodel.WallTime
	}
	whole := summary(r)[by].Value
	slices.SortStableFunc(groups, func(a, b datamodel.RegionGroup) int { return cmp.Compare(b.Figure(by).Own, a.Figure(by).Own) })
	var out []string
	for _, g := range groups[:min(briefRegions, len(groups))] {
		f := g.Figure(by)
		text := g.Path
		if g.Count > 1 {
			text += " ×" + strconv.Itoa(g.Count)
		}
		text += " " + shown(f.Total, f.Unit)
		if part := f.Total / whole; part >= 0 && !math.IsInf(part, 0) {
			text += " " + percent(part)
		}
		out = append(out, text)
	}
	return out
}

// jsonRegion is all regions of one path. metrics has an entry for each metric of a region.
type jsonRegion struct {
	Path      string             `json:"path"`
	Count     int                `json:"count"`
	Truncated int                `json:"truncated"`
	Metrics   []jsonRegionMetric `json:"metrics"`
}

type jsonRegionMetric struct {
	Name       string   `json:"name"`
	Unit       string   `json:"unit"`
	Provenance string   `json:"provenance"`
	Reason     *string  `json:"reason"`
	Count      int      `json:"count"`
	Total      *float64 `json:"total"`
	Self       *float64 `json:"self"`
	Mean       *float64 `json:"mean"`
	Std        *float64 `json:"std"`
	Min        *float64 `json:"min"`
	Max        *float64 `json:"max"`
}

func regionsJSON(r *datamodel.Regions) (list []jsonRegion) {
	for _, g := range r.Groups() {
		out := jsonRegion{Path: g.Path, Count: g.Count, Truncated: g.Truncated}
		for _, f := range g.Figures {
			out.Metrics = append(out.Metrics, jsonRegionMetric{
				Name: f.Name, Unit: string(f.Unit), Provenance: string(f.Provenance), Reason: text(f.Reason), Count: f.Count,
				Total: number(f.Total), Self: number(f.Own), Mean: number(f.Mean), Std: number(f.Std), Min: number(f.Min), Max: number(f.Max),
			})
		}
		list = append(list, out)
	}
	return list
}

// jsonEvent is an event of the run.
type jsonEvent struct {
	Time    time.Time `json:"time"`
	Elapsed float64   `json:"elapsed"`
	Kind    string    `json:"kind"`
	Name    *string   `json:"name"`
	Level   *int      `json:"level"`
	Value   *float64  `json:"value"`
	Unit    *string   `json:"unit"`
	Text    *string   `json:"text"`
}

func eventsJSON(events []datamodel.Event) (list []jsonEvent) {
	for _, e := range events {
		out := jsonEvent{
			Time: e.Time, Elapsed: e.Elapsed.Seconds(), Kind: string(e.Kind), Name: text(e.Name), Value: number(e.Value),
			Unit: text(string(e.Unit)), Text: text(e.Text),
		}
		if e.Level >= 0 {
			out.Level = &e.Level
		}
		list = append(list, out)
	}
	return list
}
