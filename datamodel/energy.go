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

// energyChoice is which series make up the machine's energy.
type energyChoice struct {
	// name is that of the CPU's cover; "" where there is none.
	name string
	// cpu is the cover's series; gpus has one for each GPU whose energy is known.
	cpu, gpus []*Series
	// gpusBehind is true where the GPUs' energy is in that of the cover.
	gpusBehind bool
	// verdict says of every energy series whether it is in the sum, and if not, why.
	verdict  map[*Series]string
	warnings []Warning
}

// inSum is the verdict on a series that is summed.
const inSum = "yes"

// summed is all series of the sum.
func (c energyChoice) summed() []*Series { return slices.Concat(c.cpu, c.gpus) }

// chooseEnergy decides on what the series came to, not only on what was there to read: a package whose counter gave
// nothing by perf is taken from powercap, one whose MSR zone gave nothing from its MMIO twin, and psys stands in for
// packages that gave nothing.
func chooseEnergy(list []*Series) energyChoice {
	c := energyChoice{verdict: make(map[*Series]string)}
	var all, alive []*Series
	for _, s := range list {
		if !isEnergy(s.sensor) {
			continue
		}
		all = append(all, s)
		if reason := s.energy().Reason; reason == "" {
			alive = append(alive, s)
		} else {
			c.verdict[s] = "no: " + reason
		}
	}
	found := sensorsOf(alive)
	for i, s := range alive {
		if countsModule(alive, s) {
			found[i].Name = "module_energy"
		}
	}
	chosen := Resolve(found, nil)
	c.name = chosen.Cover
	taken := make(map[string]*Series)
	for i, d := range chosen.Domains {
		s := alive[i]
		taken[d.Sensor.ID] = s
		c.verdict[s] = "no: " + d.Why
		c.gpusBehind = c.gpusBehind || !d.Covered && kindOf(d.Sensor) == gpuDomain && d.Same == ""
		if !d.Covered {
			continue
		}
		if d.Sensor.Family == "gpu" {
			c.gpus = append(c.gpus, s)
		} else if twin := mirrored(c.cpu, s); twin != nil {
			c.verdict[s] = "no: shows the counter of " + twin.sensor.Device
			c.warn(s, "shows the same counter as "+twin.sensor.Device+" and is counted once")
			continue
		} else {
			c.cpu = append(c.cpu, s)
		}
		c.verdict[s] = inSum
	}
	for i, d := range chosen.Domains {
		if other := taken[d.Same]; other != nil && isMachineEnergy(d.Sensor) {
			c.compare(other, alive[i])
		}
	}
	for _, s := range c.gpus {
		c.crossCheck(s, alive)
	}
	c.warnDead(all)
	return c
}

func (c *energyChoice) warn(s *Series, text string) {
	c.warnings = append(c.warnings, Warning{Subject: s.sensor.ID, Text: text})
}

// agreement is how far apart two readings of one domain may be before that is told.
const agreement = 0.01

// compare warns where two sensors of one domain differ in power, which is compared as they need not have been read at
// the same time, by more than they may.
func (c *energyChoice) compare(taken, other *Series) {
	power := func(s *Series) (mean, half float64) {
		window := (s.lastAt - s.firstAt).Seconds()
		half = s.uncertainty()
		if math.IsNaN(half) {
			half = s.delta() / window * raplStep.Seconds()
		}
		return s.delta() / window, half / window
	}
	a, aHalf := power(taken)
	b, bHalf := power(other)
	if math.Abs(a-b) > agreement*a+aHalf+bHalf {
		c.warn(taken, fmt.Sprintf("gives %s where %s gives %s of the same thing", units.Format(a, units.Watt),
			other.sensor.ID, units.Format(b, units.Watt)))
	}
}

// warnDead warns of what would be in the sum if it had given an energy. Where nothing did, the reason is in the missing
// metric, and a DRAM or die zone that never moves is no news without the rest.
func (c *energyChoice) warnDead(all []*Series) {
	covered := make(map[string]bool)
	for _, s := range c.summed() {
		covered[keyOf(s.sensor)] = true
	}
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		reason := all[i].energy().Reason
		if !d.Covered || reason == "" || covered[keyOf(d.Sensor)] {
			continue
		}
		switch {
		case d.Sensor.Family == "gpu":
			c.warnings = append(c.warnings, Warning{
				Subject: "gpu/" + d.Sensor.Device, Text: "gave no energy and is in no sum: " + reason,
			})
		case len(c.cpu) > 0:
			c.warn(all[i], "not in the machine's energy: "+reason)
		}
	}
}

// warnUnreadable warns of packages and memory that could not be read while others were: what is summed lacks them.
func (c *energyChoice) warnUnreadable(missing []sensors.Absence) []Warning {
	if len(c.cpu) == 0 || !isMachineEnergy(c.cpu[0].sensor) {
		return nil
	}
	told := make(map[string]bool)
	for _, s := range c.cpu {
		told[keyOf(s.sensor)] = true
	}
	var out []Warning
	for _, a := range missing {
		s, ok := unreadable(a)
		if kind := kindOf(s); !ok || kind != packageDomain && kind != dramDomain || told[keyOf(s)] {
			continue
		}
		told[keyOf(s)] = true
		out = append(out, Warning{Subject: s.ID, Text: "not in the machine's energy: " + a.Reason})
	}
	return out
}

// mirrored finds among the series the one that s repeats: on some processors every die of a package shows the same
// counter. Two counters of their own, in joules since the machine was switched on, do not agree to a millionth both
// before and after a run, nor do they rise alike over many readings.
func mirrored(list []*Series, s *Series) *Series {
	socket, _, isDie := strings.Cut(s.sensor.Device, "-die-")
	if !isDie {
		return nil
	}
	for _, o := range list {
		other, _, isDie := strings.Cut(o.sensor.Device, "-die-")
		if isDie && other == socket && o.sensor.Family == s.sensor.Family &&
			domainOf(o.sensor.Device) == domainOf(s.sensor.Device) &&
			(near(o.first, s.first) && near(o.last, s.last) || o.strip.rises(&s.strip)) {
			return o
		}
	}
	return nil
}

func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }

// sensorsOf is the sensors of the series.
func sensorsOf(list []*Series) []sensors.Sensor {
	out := make([]sensors.Sensor, len(list))
	for i, s := range list {
		out[i] = s.sensor
	}
	return out
}

// sourceCPU names the CPU's cover and its members.
func (c energyChoice) sourceCPU() string {
	names := make([]string, len(c.cpu))
	for i, s := range c.cpu {
		names[i] = s.sensor.Device
		if s.sensor.Family != "rapl" {
			names[i] = s.sensor.Family + "/" + names[i]
		}
	}
	return c.name + ": " + strings.Join(names, ", ")
}

// sourceGPU names the GPUs and how the energy of each is known.
func (c energyChoice) sourceGPU() string {
	names := make([]string, len(c.gpus))
	for i, s := range c.gpus {
		how := "counter"
		if s.sensor.Kind != sensors.Counter {
			how = "power over time"
		}
		if strings.Contains(s.sensor.Source, "MIG") {
			how += ", all of it: a MIG instance has no energy of its own"
		}
		names[i] = fmt.Sprintf("%s (%s)", s.sensor.Device, how)
	}
	return "GPUs: " + strings.Join(names, ", ")
}

// source names all of it.
func (c energyChoice) source() string {
	switch {
	case len(c.gpus) == 0:
		return c.sourceCPU()
	case len(c.cpu) == 0:
		return c.sourceGPU()
	}
	return c.sourceCPU() + "; " + c.sourceGPU()
}

// Below is how the reason of an energy begins of which no more is known than what it was below: "less than 26.7 J: …".
const Below = "less than "

// stoodStill is the reason of the machine's energy where every counter that would be summed did not move: it was less than
// what they allow together. It is "" where that is not so.
func (b *builder) stoodStill() string {
	var all []*Series
	for _, s := range b.in.Series {
		if isEnergy(s.sensor) && s.sensor.Family != "gpu" {
			all = append(all, s)
		}
	}
	var still []*Series
	most, window := 0.0, time.Duration(0)
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		if !d.Covered {
			continue
		}
		if !strings.HasPrefix(all[i].energy().Reason, Below) {
			return ""
		}
		still = append(still, all[i])
		length := all[i].lastAt - all[i].firstAt
		most, window = most+all[i].sensor.MaxRate*length.Seconds(), max(window, length)
	}
	switch len(still) {
	case 0:
		return ""
	case 1:
		return still[0].energy().Reason
	}
	return fmt.Sprintf("%s%s: the %d counters did not move in %s", Below, units.Format(most, units.Joule), len(still), brief(window))
}

// energies is the energy metrics of the series.
func energies(list []*Series) []Metric {
	out := make([]Metric, len(list))
	for i, s := range list {
		out[i] = s.energy()
	}
	return out
}

// sum adds metrics that have values. It is as certain as the least certain of them, and its uncertainty, the sum of
// theirs, is not known where that of one is not.
func sum(name string, unit units.Unit, parts []Metric, source string) Metric {
	m := Value(name, 0, unit, "sum", sensors.FromCounter, source)
	m.Uncertainty = 0
	for _, p := range parts {
		m.Value += p.Value
		m.Uncertainty += p.Uncertainty
		m.Count += p.Count
		m.Gaps += p.Gaps
		m.Provenance = weaker(m.Provenance, p.Provenance)
	}
	m.Uncertainty = finite(m.Uncertainty)
	return m.withValue(m.Value)
}

// weaker is the less certain of two provenances.
func weaker(a, b sensors.Provenance) sensors.Provenance {
	order := []sensors.Provenance{
		sensors.FromCounter, sensors.Integrated, sensors.Sampled, sensors.Attributed, sensors.Estimated, sensors.Missing,
	}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
