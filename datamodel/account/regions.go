package account

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// cumulated is an amount from the start of the run until each cut, and how far off each may be.
type cumulated struct {
	upTo, off []float64
	// total is the amount of the whole run.
	total float64
}

// Cuts reports whether the amounts of a sensor are needed when regions begin and end. Its series then needs the cuts
// (Series.Cut).
func Cuts(s sensors.Sensor) bool {
	switch s.Use {
	case sensors.TargetCPU, sensors.TargetPackageCPU, sensors.TargetMemory, sensors.TargetRead, sensors.TargetWritten, sensors.TargetReceived, sensors.TargetSent:
		return true
	default:
		return isEnergy(&s)
	}
}

// regions returns what each region cost. It is nil if the command told of none.
//
// Counters are read when a region begins and ends. The cost of a region is what they counted in between. A region that is
// shorter than the pause between such readings has its part of what was counted around it, in proportion to its time. The
// command's share of the energy of an interval is spread over the parts of the interval like the command's CPU time.
func (h *host) regions(made made, cpus cpuShares, gpus gpuShares) *datamodel.Regions {
	if h.Regions == nil || len(h.Regions.List) == 0 {
		return h.Regions
	}
	out := *h.Regions
	out.Figures = nil
	wall := h.regionWall(&out)
	out.Figures = append(out.Figures, wall)
	for _, f := range []struct {
		name   string
		series []*series.Series
	}{
		{datamodel.CPUTime, h.of(sensors.TargetCPU, "")},
		{datamodel.DiskRead, h.of(sensors.TargetRead, "")},
		{datamodel.DiskWrite, h.of(sensors.TargetWritten, "")},
		{datamodel.TargetNetworkReceive, h.of(sensors.TargetReceived, "")},
		{datamodel.TargetNetworkTransmit, h.of(sensors.TargetSent, "")},
		{datamodel.Energy, h.energy.summed()},
		{datamodel.GPUEnergy, h.energy.gpus},
	} {
		whole := made[f.name]
		c, y := along(&out, whole, f.series)
		out.Figures = append(out.Figures, figure(&out, whole, c, y))
	}
	target := cumulated{upTo: make([]float64, len(out.Cuts)), total: made[datamodel.TargetEnergy].Value}
	cpus.division.alongCuts(&out, h.of(sensors.TargetCPU, ""), target.upTo)
	out.Figures = append(out.Figures, figure(&out, made[datamodel.TargetEnergy], target, ""))
	onGPU := cumulated{upTo: make([]float64, len(out.Cuts)), total: made[datamodel.GPUTargetEnergy].Value}
	for _, g := range gpus.each {
		g.division.alongCuts(&out, nil, onGPU.upTo)
	}
	out.Figures = append(out.Figures, figure(&out, made[datamodel.GPUTargetEnergy], onGPU, ""))
	out.Figures = append(out.Figures, h.regionMemory(&out))
	order := datamodel.RegionMetrics()
	slices.SortFunc(out.Figures, func(a, b datamodel.RegionFigure) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
	return &out
}

// regionWall returns the wall time of each region.
func (h *host) regionWall(r *datamodel.Regions) datamodel.RegionFigure {
	c := cumulated{upTo: make([]float64, len(r.Cuts)), off: make([]float64, len(r.Cuts))}
	for i, at := range r.Cuts {
		c.upTo[i] = at.Seconds()
	}
	return figure(r, datamodel.Value(datamodel.WallTime, 0, units.Second, "delta", sensors.FromCounter, "clock, when the mark came"), c, "")
}

// along returns the amounts of several series together at the cuts. whole is their metric of the run, which has more than the
// readings: what gaps hide, or what the kernel counted at the end. So the amounts are scaled to it.
func along(r *datamodel.Regions, whole datamodel.Metric, list []*series.Series) (c cumulated, reason string) {
	if whole.Reason != "" {
		return c, whole.Reason
	}
	c = cumulated{upTo: make([]float64, len(r.Cuts)), off: make([]float64, len(r.Cuts)), total: whole.Value}
	sum := 0.0
	for _, s := range list {
		if !s.HasCuts() {
			return c, fmt.Sprintf("%s: too few readings to tell regions apart", s.Sensor().ID)
		}
		fastest, delay := s.Greatest(), s.Sensor().Update
		if s.Sensor().Kind == sensors.Gauge {
			delay = max(delay, s.Sensor().Window)
		}
		for i := range r.Cuts {
			v, off := s.UpTo(i)
			c.upTo[i] += v
			if c.off[i] += fastest * (off + delay).Seconds(); math.IsInf(fastest, 0) {
				c.off[i] = math.NaN()
			}
		}
		v, _ := s.Amount(0, math.MaxInt64)
		sum += v
	}
	if len(list) == 0 || !(sum > 0) && whole.Value > 0 {
		return c, "no reading between the start and the end of the command"
	}
	if sum > 0 {
		for i := range c.upTo {
			c.upTo[i] *= whole.Value / sum
			c.off[i] *= whole.Value / sum
		}
	}
	return c, ""
}

// figure returns a metric of all regions.
func figure(r *datamodel.Regions, whole datamodel.Metric, c cumulated, reason string) datamodel.RegionFigure {
	f := datamodel.RegionFigure{
		Name: whole.Name, Unit: whole.Unit, Provenance: whole.Provenance, Source: whole.Source, Reason: whole.Reason,
		Values: missingValues(len(r.List)), Own: missingValues(len(r.List)), Uncertainty: missingValues(len(r.List)),
	}
	if f.Reason == "" {
		f.Reason = reason
	}
	if f.Reason != "" {
		f.Provenance, f.Source = sensors.Missing, ""
		return f
	}
	between := func(from, to int) float64 { return max(0, c.upTo[to]-c.upTo[from]) }
	for i, region := range r.List {
		f.Values[i], f.Own[i] = between(region.From, region.To), 0
		if c.off != nil {
			f.Uncertainty[i] = min(c.off[region.From]+c.off[region.To], f.Values[i]+c.off[region.From]+c.off[region.To])
		}
	}
	for _, own := range r.Own {
		f.Own[own.Region] += between(own.From, own.To)
	}
	return f
}

func missingValues(n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = math.NaN()
	}
	return list
}

// regionMemory returns the most memory that the command was seen to hold in each region. It is a lower bound: the most of a
// moment between two looks is not known.
func (h *host) regionMemory(r *datamodel.Regions) datamodel.RegionFigure {
	f := datamodel.RegionFigure{
		Name: datamodel.PeakMemory, Unit: units.Byte, Values: missingValues(len(r.List)), Uncertainty: missingValues(len(r.List)),
	}
	s := h.find(sensors.TargetMemory)
	if s == nil || s.Peaks() == nil {
		f.Provenance, f.Reason = sensors.Missing, "the memory of the command was not read while it ran"
		return f
	}
	f.Provenance, f.Source = s.Sensor().Provenance, s.Sensor().Source
	peaks := s.Peaks()
	for i, region := range r.List {
		f.Values[i] = peaks.Between(region.From, region.To)
	}
	return f
}

// alongCuts adds the command's energy until each cut. The command's energy of an interval is spread over its pieces like the
// command's CPU time in them, or like the energy without used. No piece has more than was measured less its idle energy.
func (d division) alongCuts(r *datamodel.Regions, used []*series.Series, upTo []float64) {
	if len(d.cells) == 0 {
		return
	}
	n := len(d.edges) - 1
	next, sum := 0, 0.0
	for k := range n {
		from, to := d.edges[k], d.edges[k+1]
		first := next
		for next < len(r.Cuts) && (r.Cuts[next] <= to || k == n-1) {
			next++
		}
		inside := r.Cuts[first:next]
		pieces := make([]float64, len(inside)+1) // the command's energy, until each cut and to the end
		for g := range d.grounds {
			c := d.cells[k*d.grounds+g]
			on := d.on[g]
			by := on.used
			if len(by) == 0 {
				by = used
			}
			energies, lengths := amountsOf(on.energy, first, inside, from, to)
			parts := energies
			if len(by) > 0 {
				parts, _ = amountsOf(by, first, inside, from, to)
			}
			scale(energies, c.energy)
			room := make([]float64, len(energies))
			for i, idle := range filled(c.idle, lengths, energies) {
				room[i] = max(0, energies[i]-idle)
			}
			for i, v := range filled(c.target, parts, room) {
				pieces[i] += v
			}
		}
		for i := range inside {
			sum += pieces[i]
			upTo[first+i] += sum
		}
		sum += pieces[len(inside)]
	}
}

// amountsOf returns the amounts of series together in the pieces of an interval that cuts divide, and the lengths of the
// pieces. first is the index of the first of the cuts.
func amountsOf(list []*series.Series, first int, cuts []time.Duration, from, to time.Duration) (amounts, lengths []float64) {
	amounts, lengths = make([]float64, len(cuts)+1), make([]float64, len(cuts)+1)
	start := from
	for i := range lengths {
		end := to
		if i < len(cuts) {
			end = cuts[i]
		}
		lengths[i] = max(0, float64(end-start))
		start = end
	}
	for _, s := range list {
		if !s.HasCuts() {
			continue
		}
		// The ends of intervals are no cuts, but they are ends of slices, so the slices have the exact amount.
		before, _ := s.Amount(0, from)
		for i := range amounts {
			after := 0.0
			if i < len(cuts) {
				after, _ = s.UpTo(first + i)
			} else {
				after, _ = s.Amount(0, to)
			}
			amounts[i] += max(0, after-before)
			before = max(before, after)
		}
	}
	return amounts, lengths
}

// scale makes a list add up to a sum. Without amounts, all count alike.
func scale(list []float64, to float64) {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	for i := range list {
		if sum > 0 {
			list[i] *= to / sum
		} else {
			list[i] = to / float64(len(list))
		}
	}
}
