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

// regions returns the table of the regions: a row a path, in the order in which they first began. It is empty if there are
// none.
func regions(r datamodel.Result) []listing {
	groups := r.Regions.Groups()
	if len(groups) == 0 {
		return nil
	}
	wall := summary(r)[datamodel.WallTime].Value
	all := listing{heading: "regions", columns: []header{
		{name: "region", left: true},
		{name: "count"},
		{name: "wall time"},
		{name: "share"},
		{name: "mean"},
		{name: "σ"},
		{name: "cpu time"},
		{name: "energy", mark: provenanceOf(groups, datamodel.Energy)},
		{name: "command's energy", mark: provenanceOf(groups, datamodel.TargetEnergy)},
		{name: "gpu energy", mark: provenanceOf(groups, datamodel.GPUEnergy)},
		{name: "memory", mark: sensors.Sampled},
		{name: "read", mark: sensors.Sampled},
		{name: "written", mark: sensors.Sampled},
	}}
	for _, g := range groups[:min(shownRegions, len(groups))] {
		total := func(name string, unit units.Unit) string { return shown(g.Figure(name).Total, unit) }
		w := g.Figure(datamodel.WallTime)
		mean, deviation := "", ""
		if g.Count > 1 {
			mean, deviation = shown(w.Mean, units.Second), shown(w.Std, units.Second)
		}
		path := g.Path
		if g.Truncated > 0 {
			path += " (not ended)"
		}
		all.rows = append(all.rows, []string{
			path, strconv.Itoa(g.Count), total(datamodel.WallTime, units.Second), shareOf(w.Total, wall), mean, deviation,
			total(datamodel.CPUTime, units.Second), total(datamodel.Energy, units.Joule), total(datamodel.TargetEnergy, units.Joule),
			total(datamodel.GPUEnergy, units.Joule), shown(g.Figure(datamodel.PeakMemory).Max, units.Byte),
			total(datamodel.DiskRead, units.Byte), total(datamodel.DiskWrite, units.Byte),
		})
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
