package datamodel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// gpuAgreement is how far apart the counter of a GPU and its power over time may be before that is told: a GPU that
	// looks at its own power a quarter of the time is 5 % off (Yang et al., Part-time Power Measurements, SC '24).
	gpuAgreement = 0.05
	// leastLooks at who uses a GPU: the first and the last are before the target's start and after its end.
	leastLooks = 3
	// gpuInterval is the least time for the energy of a GPU to be shared out by itself: what the driver tells of its use
	// is of up to 1.2 s before.
	gpuInterval = 5 * time.Second
	// longestUpdate is the longest update period that is believed.
	longestUpdate = 10 * time.Second
)

// ofGPU is the series of that name of a GPU, nil where there is none.
func ofGPU(list []*Series, device, name string) *Series {
	for _, s := range list {
		if s.sensor.Family == "gpu" && s.sensor.Device == device && s.sensor.Name == name {
			return s
		}
	}
	return nil
}

// learned is the list with the update periods of GPUs as they were seen: for energy counters in place of what they are
// at most; of powers the readings stand for the period before them. The series given are not changed.
func learned(list []*Series) []*Series {
	out := slices.Clone(list)
	for i, s := range list {
		counter := s.sensor.Unit == units.Joule && s.sensor.Kind == sensors.Counter
		if s.sensor.Family != "gpu" || !counter && s.sensor.Unit != units.Watt {
			continue
		}
		period := ofGPU(list, s.sensor.Device, "update_period")
		if period == nil || period.count == 0 {
			continue
		}
		d := time.Duration(period.last * 1e9)
		if d <= 0 || d > longestUpdate {
			continue
		}
		with := *s
		with.sensor.Update = d
		if !counter {
			with.sensor.Window += d
		}
		out[i] = &with
	}
	return out
}

// countsModule says whether the energy counter of a GPU is that of the module on which it sits with a processor, as on
// a GH200 (ml-energy/zeus#172): its power is nearer to the module's than to the GPU's. NVML does not say which it is.
func countsModule(list []*Series, s *Series) bool {
	if s.sensor.Family != "gpu" || s.sensor.Kind != sensors.Counter || s.sensor.Name != "energy" {
		return false
	}
	gpu, module := ofGPU(list, s.sensor.Device, "power"), ofGPU(list, s.sensor.Device, "module_power")
	if gpu == nil || module == nil {
		return false
	}
	own, all, counted := meanPower(gpu), meanPower(module), meanPower(s)
	return all-own > gpuAgreement*all && math.Abs(counted-all) < math.Abs(counted-own)
}

// meanPower is the energy of a series over the time between its first and last reading, in W; NaN where there is none.
func meanPower(s *Series) float64 {
	if m := s.energy(); m.Reason == "" && s.weight > 0 {
		return m.Value / (s.weight / 1e9)
	}
	return math.NaN()
}

// crossCheck warns where the counter of a GPU and its power over time differ by more than gpuAgreement beyond what
// either can be off: the counter by its uncertainty, the power by what it may do within an update period at both ends
// and by how well the mean of that many readings is known.
func (c *energyChoice) crossCheck(counter *Series, list []*Series) {
	power := ofGPU(list, counter.sensor.Device, "power")
	if counter.sensor.Kind != sensors.Counter || power == nil || counter.weight == 0 || power.weight == 0 {
		return
	}
	a, b := meanPower(counter), meanPower(power)
	m := power.gaugeMetric("power")
	update := counter.sensor.Update.Seconds()
	ends := (m.Max - m.Min) * (2*update + power.sensor.Window.Seconds()/2) / (power.weight / 1e9)
	seen := min(float64(power.count), 1+power.weight/1e9/max(update, 1e-9))
	slack := counter.uncertainty()/(counter.weight/1e9) + ends + 3*m.Std/math.Sqrt(seen)
	if math.Abs(a-b) <= gpuAgreement*a+slack || math.IsNaN(a-b) || math.IsNaN(slack) {
		return
	}
	c.warn(counter, fmt.Sprintf("the counter gives %s, the power readings over time %s: more than %.0f %% apart",
		units.Format(a, units.Watt), units.Format(b, units.Watt), 100*gpuAgreement))
}

// gpuShare is whose the energy of one GPU was. Where they have values, target, other and idle add up to it, one that
// is missing left out.
type gpuShare struct {
	device              string
	target, other, idle Metric
	// division is how they came about; it is empty where they are not known.
	division division
}

// gpuLimit is what shares of a GPU's time cannot know.
const gpuLimit = "equal time is not equal energy: a kernel may use all or little of the GPU"

// gpuAttribution divides the energy of each GPU into what is the target's, what is others', and what the GPU takes
// when idle, and returns the target's. A GPU that no process of the target was on is others' entirely, one that no
// other process was on the target's. Between the two it goes by the time that each had of the multiprocessors, as far
// as the driver samples it, in each interval of at least gpuInterval. Without a baseline idling is in both, as with the
// CPUs' energy.
func (b *builder) gpuAttribution(gpu Metric) Metric {
	total := gpuShare{
		target: Missing("gpu_target_energy", units.Joule, gpu.Reason),
		other:  Missing("gpu_other_energy", units.Joule, gpu.Reason),
		idle:   Missing("gpu_idle_energy", units.Joule, gpu.Reason),
	}
	if gpu.Reason == "" {
		for _, s := range b.energy.gpus {
			b.gpus = append(b.gpus, b.gpuShareOf(s))
		}
		total.target = b.gpuTotal("gpu_target_energy", func(g gpuShare) Metric { return g.target })
		total.other = b.gpuTotal("gpu_other_energy", func(g gpuShare) Metric { return g.other })
		total.idle = b.gpuTotal("gpu_idle_energy", func(g gpuShare) Metric { return g.idle })
	}
	b.gpuWhose, b.gpusIdle = []Metric{total.other, total.idle}, total.idle
	return total.target
}

// gpuTotal adds one of the three of all GPUs; where one GPU has none there is no sum.
func (b *builder) gpuTotal(name string, of func(gpuShare) Metric) Metric {
	var parts []Metric
	for _, g := range b.gpus {
		m := of(g)
		if m.Reason != "" {
			reason := m.Reason
			if len(b.gpus) > 1 {
				reason = g.device + ": " + reason
			}
			return Missing(name, units.Joule, reason)
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
		texts[i] = b.gpus[i].device + ": " + m.Source
	}
	m := sum(name, units.Joule, parts, strings.Join(texts, "; "))
	m.Aggregation = "share"
	return m
}

// gpuShareOf divides the energy of the GPU that s is of.
func (b *builder) gpuShareOf(s *Series) gpuShare {
	whole := s.energy()
	device := s.sensor.Device
	part := func(name string, v float64, source string) Metric {
		m := Value(name, v, units.Joule, "share", weaker(sensors.Attributed, whole.Provenance), source)
		m.Count, m.Gaps = whole.Count, whole.Gaps
		return m
	}
	g := gpuShare{device: device, idle: b.gpuIdle(s, whole.Value)}
	within := fmt.Sprintf("%.6g J of %s", whole.Value, device)
	idle, isIdle, idleSource := 0.0, g.idle.Reason == "", g.idle.Source+", in "+within
	if isIdle {
		idle = g.idle.Value
		within += fmt.Sprintf(" less %.6g J idle", idle)
		g.idle = part("idle_energy", idle, idleSource)
	}
	share, model, reason := b.gpuUse(device)
	if reason != "" {
		g.target = Missing("target_energy", units.Joule, reason)
		g.other = Missing("other_energy", units.Joule, reason)
		return g
	}
	g.division = b.divideGPU(s, whole.Value, idle, share)
	g.division.isIdle = isIdle
	intervals := len(g.division.edges) - 1
	if intervals > 1 {
		model = strings.Replace(model, "SM time", fmt.Sprintf("SM time in each of %d intervals", intervals), 1) + " in all"
	}
	model += ", in " + within
	if share > 0 && share < 1 {
		model += "; " + gpuLimit
	}
	target, other, idle := g.division.sums(intervals)
	g.target = part("target_energy", target, model)
	g.other = part("other_energy", other, "the rest beside the target's: "+model)
	if isIdle {
		g.idle = part("idle_energy", idle, idleSource)
	}
	return g
}

// divideGPU shares out the energy of a GPU, of which so much is idle, by the use in each interval where there is more
// than one user, else by the share of the whole run.
func (b *builder) divideGPU(s *Series, whole, idle, share float64) division {
	d := division{edges: []time.Duration{s.firstAt, s.lastAt}, grounds: 1}
	target := ofGPU(b.in.Series, s.sensor.Device, "target_utilization")
	other := ofGPU(b.in.Series, s.sensor.Device, "other_utilization")
	if target != nil && other != nil && share > 0 && share < 1 {
		d.edges = gpuEdges(s, target, other)
	}
	if len(d.edges) == 2 || !d.count([]ground{{energy: []*Series{s}, busy: []*Series{target, other}, used: []*Series{target}}}) {
		d.edges = []time.Duration{s.firstAt, s.lastAt}
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

// gpuEdges is the ends of the intervals in which the energy of a GPU is shared out, as fine as the courses are kept.
func gpuEdges(list ...*Series) []time.Duration {
	from, to := list[0].firstAt, list[0].lastAt
	least, step := gpuInterval, firstWidth
	for _, s := range list {
		if s.strip.empty() || s.count < 2 {
			return []time.Duration{from, to}
		}
		least, step = max(least, 2*(s.lastAt-s.firstAt)/time.Duration(s.count-1)), max(step, s.strip.resolution())
	}
	edges := []time.Duration{from}
	for at := from + step; at+least <= to; at += step {
		if at-edges[len(edges)-1] >= least {
			edges = append(edges, at)
		}
	}
	return append(edges, to)
}

// gpuDerived is the courses of whose the energy of each GPU was, with the metrics that they end at.
func (b *builder) gpuDerived() (list []Derived, ends []Metric) {
	for _, g := range b.gpus {
		d := g.division
		if len(d.cells) == 0 {
			continue
		}
		first := len(list)
		add := func(m Metric, doc string) {
			ends = append(ends, m)
			list = append(list, Derived{Sensor: sensors.Sensor{
				ID: "gpu/" + g.device + "/" + m.Name, Family: "gpu", Device: g.device, Name: m.Name, Unit: units.Joule,
				Kind: sensors.Counter, Provenance: m.Provenance, Source: m.Source, Doc: doc,
			}})
		}
		add(g.target, "energy of the GPU that the target used, by its share of the use")
		add(g.other, "energy of the GPU that all else used, by its share of the use")
		if d.isIdle {
			add(g.idle, "energy that the GPU would have taken idle")
		}
		for n, at := range d.edges {
			target, other, idle := d.sums(n)
			for i, v := range []float64{target, other, idle}[:len(list)-first] {
				l := &list[first+i]
				l.At, l.Values = append(l.At, at), append(l.Values, v)
			}
		}
	}
	return list, ends
}

// gpuUse is the target's share of the use of a GPU by all processes, the model it comes from, and the reason where it
// is not known.
func (b *builder) gpuUse(device string) (share float64, model, reason string) {
	list := b.in.Series
	area := func(name string) float64 {
		if s := ofGPU(list, device, name); s != nil && s.count > 0 {
			return s.integral()
		}
		return 0
	}
	seen := func(name string) bool {
		s := ofGPU(list, device, name)
		return s != nil && s.count > 0 && s.max > 0
	}
	target, other := area("target_utilization"), area("other_utilization")
	users := ofGPU(list, device, "target_processes")
	ours, others := seen("target_processes") || target > 0, seen("other_processes") || other > 0
	switch {
	case target+other > 0:
		return target / (target + other), fmt.Sprintf("share of SM time, %.4g s of %.4g s", target, target+other), ""
	case users == nil || users.count == 0:
		return 0, "", orElse(b.absence("gpu/"+device+"/target_memory"), "which processes used the GPU was not read")
	case ours && !others:
		return 1, fmt.Sprintf("only processes of the target seen on the GPU in %d looks", users.count), ""
	case ours:
		reason := "other processes were on the GPU too, and the driver told of nobody's use"
		if why := b.absence("gpu/" + device + "/target_utilization"); why != "" {
			reason += ": " + why
		}
		return 0, "", reason
	case users.count < leastLooks:
		return 0, "", fmt.Sprintf("too short to see who used the GPU: %d looks", users.count)
	}
	return 0, fmt.Sprintf("no process of the target seen on the GPU in %d looks", users.count), ""
}

// absence is the reason why there is no sensor of that ID, "" where none was given.
func (b *builder) absence(id string) string {
	for _, a := range b.in.Run.Missing {
		if a.ID == id {
			return a.Reason
		}
	}
	return ""
}

// gpuIdle is the energy that a GPU would have taken idle, at most all of it.
func (b *builder) gpuIdle(s *Series, whole float64) Metric {
	const name = "idle_energy"
	base := b.in.Run.Baseline
	switch {
	case base == nil:
		return Missing(name, units.Joule, "no baseline was measured (--baseline)")
	case base.Reason != "":
		return Missing(name, units.Joule, "no baseline: "+base.Reason)
	}
	power, known := base.GPUs[s.sensor.Device]
	if !known || !(power >= 0 && power <= math.MaxFloat64) {
		return Missing(name, units.Joule, "the baseline has no power of this GPU")
	}
	length := s.weight / 1e9
	v := power * length
	if v > whole {
		b.warn("gpu/"+s.sensor.Device, "the baseline of %s is above the power of the run: it is all counted as idle",
			units.Format(power, units.Watt))
		v = whole
	}
	return Value(name, v, units.Joule, "share", sensors.Attributed,
		fmt.Sprintf("baseline of %.4g W for %.4g s", power, length))
}

// gpuPowers is the mean power of each GPU by its device.
func (c energyChoice) gpuPowers() map[string]float64 {
	var out map[string]float64
	for _, s := range c.gpus {
		if p := meanPower(s); p >= 0 && p <= math.MaxFloat64 {
			if out == nil {
				out = make(map[string]float64)
			}
			out[s.sensor.Device] = p
		}
	}
	return out
}

// meanOf is the mean of the powers of two baselines, of the GPUs that are in both.
func meanOf(a, b map[string]float64) map[string]float64 {
	var out map[string]float64
	for device, p := range a {
		if q, both := b[device]; both {
			if out == nil {
				out = make(map[string]float64)
			}
			out[device] = (p + q) / 2
		}
	}
	return out
}
