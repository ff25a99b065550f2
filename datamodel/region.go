package datamodel

import (
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Region is one time in which a part of the command's work ran, such as one epoch of a training.
type Region struct {
	// Name is the name that the command gave. Path has the names of the regions around it in the same thread, too:
	// train/epoch.
	Name, Path string
	// PID, Thread, ID and Rank are those of the mark that began it.
	PID, Thread int
	ID          string
	Rank        int
	// Start and End are times of the run's clock.
	Start, End time.Duration
	// Truncated says that the command did not end it. End is then the end of the command.
	Truncated bool
	// From and To are the indices of Start and End in Regions.Cuts.
	From, To int
}

// Regions are the parts of the command's work that it told, and what each cost.
type Regions struct {
	// Anchor is the wall-clock time of moment 0 of the run's clock.
	Anchor time.Time
	// List has the regions in the order of their starts.
	List []Region
	// Cuts are the times at which a region begins or ends, in ascending order, each once.
	Cuts []time.Duration
	// Own tells, in the order of time, which region was the innermost of its thread. The pieces of a thread do not overlap, so
	// what the regions used by themselves adds up.
	Own []OwnTime
	// Strays is the number of ends without a beginning.
	Strays int64
	// Figures has the metrics of the regions, in the order of RegionMetrics.
	Figures []RegionFigure
}

// OwnTime is a time in which a region was the innermost of its thread. From and To are indices in Regions.Cuts.
type OwnTime struct{ Region, From, To int }

// RegionFigure is one metric of all regions.
type RegionFigure struct {
	Name string
	Unit units.Unit
	// Values has a value for each region, and Own what the region used outside the regions within it. Own is nil if the
	// metric does not add up. Uncertainty bounds the error of each value, in Unit. A missing value is NaN.
	Values, Own, Uncertainty []float64
	// Provenance and Source say where the values come from. Reason says why all are missing.
	Provenance     sensors.Provenance
	Source, Reason string
}

// thread is where regions nest.
type thread struct{ pid, tid int }

// RegionMetrics lists the metrics of a region, in the order of the catalogue.
func RegionMetrics() []string {
	return []string{
		WallTime, CPUTime, PeakMemory, DiskRead, DiskWrite, TargetNetworkReceive, TargetNetworkTransmit, Energy, TargetEnergy, GPUEnergy,
		GPUTargetEnergy,
	}
}

// Figure returns one metric of all regions. Its Reason says so if there is none.
func (r *Regions) Figure(name string) RegionFigure {
	for _, f := range r.Figures {
		if f.Name == name {
			return f
		}
	}
	d, _ := Lookup(name)
	return RegionFigure{Name: name, Unit: d.Unit, Provenance: sensors.Missing, Reason: "not measured"}
}

// FindRegions pairs the beginnings and ends of regions. end is the end of the command on the run's clock. It closes the
// regions that are still open. marks are in the order of their times.
//
// An end closes the youngest open region with its name and ID. A region of the same thread comes first, then one of the
// same process: the command `ergon mark` and systemd-notify end regions that another process has begun.
func FindRegions(marks []Mark, end time.Duration) *Regions {
	f := finder{open: make(map[[2]string][]int), stacks: make(map[thread]*stack)}
	for _, m := range marks {
		m.At = min(m.At, end)
		switch m.Kind {
		case BeginMark:
			f.begin(m)
		case EndMark:
			f.end(m)
		case EventMark, ProgressMark, MetricMark:
		}
	}
	if len(f.List) == 0 && f.Strays == 0 {
		return nil
	}
	for i := range f.List {
		if r := &f.List[i]; r.To < 0 {
			r.Truncated = true
			f.close(i, end)
		}
	}
	return &f.Regions
}

// finder pairs the marks of regions.
type finder struct {
	Regions
	open   map[[2]string][]int // the open regions of a name and an ID, the youngest last
	stacks map[thread]*stack
}

// stack has the open regions of a thread.
type stack struct {
	open  []int // the innermost last
	since int   // the cut from which the innermost is the innermost
}

// cut returns the index of a time in Cuts. No time is before the last one.
func (f *finder) cut(at time.Duration) int {
	if n := len(f.Cuts); n > 0 && f.Cuts[n-1] >= at {
		return n - 1
	}
	f.Cuts = append(f.Cuts, at)
	return len(f.Cuts) - 1
}

// own books the time until now for the innermost region.
func (f *finder) own(s *stack, now int) {
	if n := len(s.open); n > 0 && now > s.since {
		f.Own = append(f.Own, OwnTime{s.open[n-1], s.since, now})
	}
	s.since = now
}

func (f *finder) begin(m Mark) {
	in := thread{m.PID, m.Thread}
	s := f.stacks[in]
	if s == nil {
		s = &stack{}
		f.stacks[in] = s
	}
	r := Region{Name: m.Name, Path: m.Name, PID: m.PID, Thread: m.Thread, ID: m.ID, Rank: m.Rank, Start: m.At, From: f.cut(m.At), To: -1}
	if n := len(s.open); n > 0 {
		r.Path = f.List[s.open[n-1]].Path + "/" + m.Name
	}
	f.own(s, r.From)
	i := len(f.List)
	f.List = append(f.List, r)
	s.open = append(s.open, i)
	key := [2]string{m.Name, m.ID}
	f.open[key] = append(f.open[key], i)
}

func (f *finder) end(m Mark) {
	open := f.open[[2]string{m.Name, m.ID}]
	best, rank := -1, 0
	for at := len(open) - 1; at >= max(0, len(open)-mostTried) && rank < sameThread; at-- {
		r, near := &f.List[open[at]], anywhere
		switch {
		case r.PID == m.PID && r.Thread == m.Thread:
			near = sameThread
		case r.PID == m.PID:
			near = sameProcess
		}
		if near > rank {
			best, rank = open[at], near
		}
	}
	if best < 0 {
		f.Strays++
		return
	}
	f.close(best, m.At)
}

// mostTried is how many open regions of one name are looked at for the end of one.
const mostTried = 1000

// How near the mark that ends a region is to the one that began it.
const (
	anywhere = 1 + iota
	sameProcess
	sameThread
)

// close ends an open region.
func (f *finder) close(i int, at time.Duration) {
	r := &f.List[i]
	r.To, r.End = f.cut(at), at
	s := f.stacks[thread{r.PID, r.Thread}]
	f.own(s, r.To)
	s.open = without(s.open, i)
	key := [2]string{r.Name, r.ID}
	if f.open[key] = without(f.open[key], i); len(f.open[key]) == 0 {
		delete(f.open, key) // an ID may be used once only
	}
}

// without removes a number, which is near the end.
func without(list []int, n int) []int {
	for i, v := range slices.Backward(list) {
		if v == n {
			return slices.Delete(list, i, i+1)
		}
	}
	return list
}

// RegionGroup is all regions of one path together.
type RegionGroup struct {
	Path string
	// Count is the number of the regions. Truncated is the number of those that the command did not end.
	Count, Truncated int
	// Figures has the metrics, in the order of RegionMetrics.
	Figures []GroupFigure
}

// GroupFigure is one metric of the regions of a path. A figure without values is NaN, and Reason says why.
type GroupFigure struct {
	Name       string
	Unit       units.Unit
	Provenance sensors.Provenance
	Reason     string
	// Count is the number of regions with a value. Total, Mean, Std, Min and Max are those of their values. Total is NaN for a
	// metric that does not add up. Own is what they used outside the regions within them.
	Count                           int
	Total, Own, Mean, Std, Min, Max float64
}

// Groups puts the regions of each path together, in the order in which the paths first began.
func (r *Regions) Groups() []RegionGroup {
	if r == nil {
		return nil
	}
	at := make(map[string]int)
	var groups []RegionGroup
	var members [][]int
	for i, region := range r.List {
		g, ok := at[region.Path]
		if !ok {
			g = len(groups)
			at[region.Path] = g
			groups, members = append(groups, RegionGroup{Path: region.Path}), append(members, nil)
		}
		groups[g].Count++
		if region.Truncated {
			groups[g].Truncated++
		}
		members[g] = append(members[g], i)
	}
	for _, name := range RegionMetrics() {
		f := r.Figure(name)
		for g := range groups {
			groups[g].Figures = append(groups[g].Figures, f.group(members[g]))
		}
	}
	return groups
}

// Figure returns one metric of the group.
func (g RegionGroup) Figure(name string) GroupFigure {
	for _, f := range g.Figures {
		if f.Name == name {
			return f
		}
	}
	return RegionFigure{Name: name, Reason: "not measured"}.group(nil)
}

// group puts the values of some regions together.
func (f RegionFigure) group(members []int) GroupFigure {
	nan := math.NaN()
	g := GroupFigure{
		Name: f.Name, Unit: f.Unit, Provenance: f.Provenance, Reason: f.Reason, Total: nan, Own: nan, Mean: nan, Std: nan, Min: nan, Max: nan,
	}
	sum, own, squares, mean := 0.0, 0.0, 0.0, 0.0
	for _, i := range members {
		if f.Reason != "" || i >= len(f.Values) || math.IsNaN(f.Values[i]) {
			continue
		}
		v := f.Values[i]
		g.Count++
		sum += v
		off := v - mean
		mean += off / float64(g.Count)
		squares += off * (v - mean)
		if g.Count == 1 {
			g.Min, g.Max = v, v
		}
		g.Min, g.Max = min(g.Min, v), max(g.Max, v)
		if i < len(f.Own) {
			own += f.Own[i]
		}
	}
	if g.Count == 0 {
		return g
	}
	g.Mean = mean
	if g.Count > 1 {
		g.Std = math.Sqrt(squares / float64(g.Count-1))
	}
	if f.Name != PeakMemory {
		g.Total, g.Own = sum, own
	}
	return g
}
