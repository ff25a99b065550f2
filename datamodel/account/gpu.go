package account

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// gpuAgreement is the difference between a GPU's counter and its integrated power that causes a warning, as a part
	// of the power. A GPU that samples its own power a quarter of the time is 5 % off (Yang et al., Part-time Power
	// Measurements, SC '24).
	gpuAgreement = 0.05
	// leastLooks is the least number of looks at the users of a GPU. The first look is before the target's start, and
	// the last is after its end.
	leastLooks = 3
	// gpuInterval is the shortest time whose GPU energy is shared out by itself. The use that the driver reports is up
	// to 1.2 s old.
	gpuInterval = 5 * time.Second
	// longestUpdate is the longest update period that is accepted.
	longestUpdate = 10 * time.Second
)

// ofGPU returns the series with this use of a GPU. It returns nil if there is none.
func ofGPU(list []*series.Series, device string, use sensors.Use) *series.Series {
	for _, s := range list {
		if s.Sensor().Use == use && s.Sensor().Device == device {
			return s
		}
	}
	return nil
}

// withSeenPeriods returns the list with the observed update periods of GPUs. For an energy counter the observed period
// replaces the upper bound. For a power the readings cover the period before them. The given series do not change.
func withSeenPeriods(list []*series.Series) []*series.Series {
	out := slices.Clone(list)
	for i, s := range list {
		of := s.Sensor()
		counter := of.Unit == units.Joule && of.Kind == sensors.Counter
		if !ofGPUs(of.Domain) || !counter && of.Unit != units.Watt {
			continue
		}
		period := ofGPU(list, of.Device, sensors.GPUUpdatePeriod)
		if period == nil || period.Count() == 0 {
			continue
		}
		_, last := period.Last()
		d := time.Duration(last * 1e9)
		if d <= 0 || d > longestUpdate {
			continue
		}
		sensor := *of
		sensor.Update = d
		if !counter {
			sensor.Window += d
		}
		out[i] = s.With(sensor)
	}
	return out
}

// countsModule reports whether the energy counter of a GPU counts the whole module of GPU and processor, as on a GH200
// (ml-energy/zeus#172). It does if its power is nearer to the module's than to the GPU's. NVML does not say which of
// them it counts.
func countsModule(list []*series.Series, s *series.Series) bool {
	if s.Sensor().Use != sensors.GPUEnergy || s.Sensor().Kind != sensors.Counter {
		return false
	}
	gpu, module := ofGPU(list, s.Sensor().Device, sensors.GPUPower), ofGPU(list, s.Sensor().Device, sensors.GPUModulePower)
	if gpu == nil || module == nil {
		return false
	}
	own, all, counted := gpu.MeanPower(), module.MeanPower(), s.MeanPower()
	return all-own > gpuAgreement*all && math.Abs(counted-all) < math.Abs(counted-own)
}

// crossCheck warns if the counter of a GPU and its integrated power differ by more than gpuAgreement plus their errors.
// The counter's error is its uncertainty. The power's error has two parts. One is its range within an update period at
// both ends. The other is the standard error of the mean of that many readings.
func (c *energyChoice) crossCheck(counter *series.Series, list []*series.Series) {
	power := ofGPU(list, counter.Sensor().Device, sensors.GPUPower)
	if counter.Sensor().Kind != sensors.Counter || power == nil || counter.Counted() == 0 || power.Counted() == 0 {
		return
	}
	a, b := counter.MeanPower(), power.MeanPower()
	m := power.Gauge(datamodel.Power)
	update := counter.Sensor().Update.Seconds()
	ends := (m.Max - m.Min) * (2*update + power.Sensor().Window.Seconds()/2) / power.Counted()
	seen := min(float64(power.Count()), 1+power.Counted()/max(update, 1e-9))
	slack := counter.Uncertainty()/counter.Counted() + ends + 3*m.Std/math.Sqrt(seen)
	if math.Abs(a-b) <= gpuAgreement*a+slack || math.IsNaN(a-b) || math.IsNaN(slack) {
		return
	}
	c.warn(counter, fmt.Sprintf("the counter gives %s, the power readings over time %s: more than %.0f %% apart",
		units.Format(a, units.Watt), units.Format(b, units.Watt), 100*gpuAgreement))
}

// gpuShare is how the energy of one GPU was shared out. target, other and idle add up to it. A missing one is left out
// of the sum.
type gpuShare struct {
	device              string
	target, other, idle datamodel.Metric
	// division is how the shares were computed. It is empty if they are unknown.
	division division
}

// gpuLimit is the limit of a model that shares a GPU's energy by time.
const gpuLimit = "equal time is not equal energy: a kernel may use all or little of the GPU"

// gpuShares is how the energy of all GPUs was shared out, in total and for each GPU.
type gpuShares struct {
	target, other, idle datamodel.Metric
	each                []gpuShare
}

// shareGPUs divides the energy of each GPU into the target's, others' and idle energy. If no process of the target used
// a GPU, all its energy is others'. If only the target used it, all is the target's.
//
// If both used it, each has a share by its time on the multiprocessors, as the driver samples it. This is done in each
// interval of at least gpuInterval. Without a baseline both shares include idle energy, as for the CPUs.
func (h *host) shareGPUs(gpu datamodel.Metric, w *doubts) gpuShares {
	if gpu.Reason != "" {
		y := whyOf(gpu)
		return gpuShares{
			target: missing(datamodel.GPUTargetEnergy, units.Joule, y),
			other:  missing(datamodel.GPUOtherEnergy, units.Joule, y),
			idle:   missing(datamodel.GPUIdleEnergy, units.Joule, y),
		}
	}
	var out gpuShares
	for _, s := range h.energy.gpus {
		out.each = append(out.each, h.shareGPU(s, w))
	}
	out.target = gpuTotal(datamodel.GPUTargetEnergy, out.each, func(g gpuShare) datamodel.Metric { return g.target })
	out.other = gpuTotal(datamodel.GPUOtherEnergy, out.each, func(g gpuShare) datamodel.Metric { return g.other })
	out.idle = gpuTotal(datamodel.GPUIdleEnergy, out.each, func(g gpuShare) datamodel.Metric { return g.idle })
	return out
}

// gpuTotal adds one of the three shares over all GPUs. If one GPU lacks it, there is no sum.
func gpuTotal(name string, each []gpuShare, of func(gpuShare) datamodel.Metric) datamodel.Metric {
	var parts []datamodel.Metric
	for _, g := range each {
		m := of(g)
		if m.Reason != "" {
			y := whyOf(m)
			if len(each) > 1 {
				y = y.of(g.device)
			}
			return missing(name, units.Joule, y)
		}
		parts = append(parts, m)
	}
	if len(parts) == 1 {
		m := parts[0]
		m.Name = name
		return m
	}
	texts := make([]string, len(parts))
	for i, m := range parts {
		texts[i] = each[i].device + ": " + m.Source
	}
	m := datamodel.Total(name, units.Joule, parts, strings.Join(texts, "; "))
	m.Aggregation = "share"
	return m
}

// shareGPU shares out the energy of the GPU that s measures.
func (h *host) shareGPU(s *series.Series, w *doubts) gpuShare {
	whole := h.whole(s)
	device := s.Sensor().Device
	part := func(name string, v float64, source string) datamodel.Metric {
		m := datamodel.Value(name, v, units.Joule, "share", sensors.Attributed.Weaker(whole.Provenance), source)
		m.Count, m.Gaps, m.Bound = whole.Count, whole.Gaps, whole.Bound
		return m
	}
	g := gpuShare{device: device, idle: h.gpuIdle(s, whole.Value, w)}
	within := fmt.Sprintf("%.6g J of %s", whole.Value, device)
	idle, isIdle, idleSource := 0.0, g.idle.Reason == "", g.idle.Source+", in "+within
	if isIdle {
		idle = g.idle.Value
		within += fmt.Sprintf(" less %.6g J idle", idle)
		g.idle = part(datamodel.IdleEnergy, idle, idleSource)
	}
	use, y := h.gpuUse(device)
	if y != (why{}) {
		g.target = missing(datamodel.TargetEnergy, units.Joule, y)
		g.other = missing(datamodel.OtherEnergy, units.Joule, y)
		return g
	}
	g.division = h.divideGPU(s, whole.Value, idle, use.share)
	g.division.isIdle = isIdle
	intervals := len(g.division.edges) - 1
	model := use.model(intervals) + ", in " + within
	if use.share > 0 && use.share < 1 {
		model += "; " + gpuLimit
	}
	target, other, idle := g.division.sums(intervals)
	g.target = part(datamodel.TargetEnergy, target, model)
	g.other = part(datamodel.OtherEnergy, other, "the rest after the target's: "+model)
	if isIdle {
		g.idle = part(datamodel.IdleEnergy, idle, idleSource)
	}
	return g
}

// divideGPU shares out the energy of a GPU. Several users share by their use in each interval. Otherwise the target has
// the given share of the whole run. The parameter idle is the idle part of whole.
func (h *host) divideGPU(s *series.Series, whole, idle, share float64) division {
	d := division{edges: ends(s), on: []ground{{energy: []*series.Series{s}}}, grounds: 1}
	target := ofGPU(h.Series, s.Sensor().Device, sensors.GPUTargetTime)
	other := ofGPU(h.Series, s.Sensor().Device, sensors.GPUOtherTime)
	if target != nil && other != nil && share > 0 && share < 1 {
		d.edges = gpuEdges(s, target, other)
	}
	if len(d.edges) == 2 || !d.count([]ground{{energy: []*series.Series{s}, busy: []*series.Series{target, other}, used: []*series.Series{target}}}) {
		d.edges = ends(s)
		d.cells = []cell{{energy: whole, busy: 1, used: share}}
	}
	energy, length := make([]float64, len(d.cells)), make([]float64, len(d.cells))
	for i, c := range d.cells {
		energy[i], length[i] = c.energy, float64(d.edges[i+1]-d.edges[i])
	}
	for i, v := range filled(idle, length, energy) {
		c := &d.cells[i]
		c.idle = v
		c.target = min((c.energy-c.idle)*d.share(i, share), c.energy-c.idle)
	}
	return d
}

// ends returns the times of the first and the last reading.
func ends(s *series.Series) []time.Duration {
	from, _ := s.First()
	to, _ := s.Last()
	return []time.Duration{from, to}
}

// gpuEdges returns the ends of the intervals in which the energy of a GPU is shared out. They are as fine as the
// courses allow.
func gpuEdges(list ...*series.Series) []time.Duration {
	from, to := ends(list[0])[0], ends(list[0])[1]
	least, step := gpuInterval, series.FirstStep
	for _, s := range list {
		if !s.HasCourse() || s.Count() < 2 {
			return []time.Duration{from, to}
		}
		least, step = max(least, 2*s.Span()/time.Duration(s.Count()-1)), max(step, s.Step())
	}
	edges := []time.Duration{from}
	for at := from + step; at+least <= to; at += step {
		if at-edges[len(edges)-1] >= least {
			edges = append(edges, at)
		}
	}
	return append(edges, to)
}

// shares returns the shares of each GPU's energy.
func (g gpuShares) shares() []share {
	var out []share
	for _, of := range g.each {
		out = append(out, of.shares()...)
	}
	return out
}

// shares returns the shares of the GPU's energy: the target's, others', and idle if that is known.
func (g gpuShare) shares() []share {
	if len(g.division.cells) == 0 {
		return nil
	}
	of := func(m datamodel.Metric, doc string) share {
		return share{metric: m, sensor: sensors.Sensor{
			ID: "gpu/" + g.device + "/" + m.Name, Family: "gpu", Device: g.device, Name: m.Name, Unit: units.Joule,
			Kind: sensors.Counter, Provenance: m.Provenance, Source: m.Source, Doc: doc,
		}}
	}
	out := []share{
		of(g.target, "energy of the GPU for the target, by its share of the use"),
		of(g.other, "energy of the GPU for everything else, by its share of the use"),
	}
	if g.division.isIdle {
		out = append(out, of(g.idle, "energy that the GPU would have used at idle"))
	}
	return out
}

// gpuUse is the target's share of all processes' use of a GPU, and its source.
type gpuUse struct {
	share float64
	// by names what was counted, and counted gives the numbers: "share of SM time", ", 2 s of 5 s".
	by, counted string
	// timed is true if the share is one of time. It can then differ between intervals.
	timed bool
}

// model describes the use in words, if it was shared out in this number of intervals.
func (u gpuUse) model(intervals int) string {
	if u.timed && intervals > 1 {
		return fmt.Sprintf("%s in each of %d intervals%s in all", u.by, intervals, u.counted)
	}
	return u.by + u.counted
}

// gpuUse returns the use of a GPU, or the reason why it is unknown.
func (h *host) gpuUse(device string) (gpuUse, why) {
	of := func(use sensors.Use) *series.Series { return ofGPU(h.Series, device, use) }
	area := func(use sensors.Use) float64 {
		if s := of(use); s != nil && s.Count() > 0 {
			return s.Integral()
		}
		return 0
	}
	seen := func(use sensors.Use) bool {
		s := of(use)
		return s != nil && s.Count() > 0 && s.Greatest() > 0
	}
	target, other := area(sensors.GPUTargetTime), area(sensors.GPUOtherTime)
	users := of(sensors.GPUTargetProcesses)
	ours, others := seen(sensors.GPUTargetProcesses) || target > 0, seen(sensors.GPUOtherProcesses) || other > 0
	switch {
	case target+other > 0:
		return gpuUse{
			target / (target + other), "share of SM time", fmt.Sprintf(", %.4g s of %.4g s", target, target+other), true,
		}, why{}
	case users == nil || users.Count() == 0:
		return gpuUse{}, cmp.Or(h.absence("gpu/"+device+"/target_memory"), because("the processes that used the GPU were not read"))
	case ours && !others:
		return gpuUse{share: 1, by: fmt.Sprintf("only processes of the target seen on the GPU in %d looks", users.Count())}, why{}
	case ours:
		y := because("other processes used the GPU too, and the driver reported no use by process")
		if a := h.absence("gpu/" + device + "/target_utilization"); a != (why{}) {
			y = a.of(y.text)
		}
		return gpuUse{}, y
	case users.Count() < leastLooks:
		return gpuUse{}, because(fmt.Sprintf("too short to see who used the GPU: %d looks", users.Count()))
	}
	return gpuUse{by: fmt.Sprintf("no process of the target seen on the GPU in %d looks", users.Count())}, why{}
}

// gpuIdle returns the energy that a GPU would have used at idle, in J. It is at most whole.
func (h *host) gpuIdle(s *series.Series, whole float64, w *doubts) datamodel.Metric {
	const name = datamodel.IdleEnergy
	base := h.Baseline
	switch {
	case base == nil:
		return datamodel.Missing(name, units.Joule, "no baseline was measured (--baseline)")
	case base.Reason != "":
		return datamodel.Missing(name, units.Joule, "no baseline: "+base.Reason)
	}
	power, known := base.GPUs[s.Sensor().Device]
	if !known || !(power >= 0 && power <= math.MaxFloat64) {
		return datamodel.Missing(name, units.Joule, "the baseline has no power for this GPU")
	}
	length := s.Counted()
	v := power * length
	if v > whole {
		w.add("gpu/"+s.Sensor().Device, "the baseline of %s is above the power of the run: all energy counts as idle",
			units.Format(power, units.Watt))
		v = whole
	}
	return datamodel.Value(name, v, units.Joule, "share", sensors.Attributed,
		fmt.Sprintf("baseline of %.4g W for %.4g s", power, length))
}

// gpuPowers returns the mean power of each GPU in W, by device.
func (c energyChoice) gpuPowers() map[string]float64 {
	var out map[string]float64
	for _, s := range c.gpus {
		if p := s.MeanPower(); p >= 0 && p <= math.MaxFloat64 {
			if out == nil {
				out = make(map[string]float64)
			}
			out[s.Sensor().Device] = p
		}
	}
	return out
}
