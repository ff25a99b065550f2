package datamodel

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// energyChoice is which series make up the machine's energy.
type energyChoice struct {
	// name is that of the CPU's cover; "" where there is none.
	name string
	// cpu is the cover's series; gpus has one for each GPU whose energy is known.
	cpu, gpus []*Series
	// verdict says of every energy series whether it is in the sum, and if not, why.
	verdict  map[*Series]string
	warnings []Warning
}

// inSum is the verdict on a series that is summed.
const inSum = "yes"

// summed is all series of the sum.
func (c energyChoice) summed() []*Series { return slices.Concat(c.cpu, c.gpus) }

// chooseEnergy decides on what the series came to, not only on what was there to read: a package whose MSR zone gave
// nothing is taken from its MMIO twin, and psys stands in for packages that gave nothing.
func chooseEnergy(list []*Series) energyChoice {
	c := energyChoice{verdict: make(map[*Series]string)}
	var zones, alive []*Series
	for _, s := range list {
		if !isMachineEnergy(s.sensor) {
			continue
		}
		zones = append(zones, s)
		if reason := s.whyNoDelta(); reason == "" {
			alive = append(alive, s)
		} else {
			c.verdict[s] = "no: " + reason
		}
	}
	members, name := Cover(sensorsOf(alive))
	c.name = name
	for _, i := range members {
		s := alive[i]
		if twin := mirrored(c.cpu, s); twin != nil {
			c.verdict[s] = "no: shows the counter of " + twin.sensor.Device
			c.warnings = append(c.warnings, Warning{
				Subject: s.sensor.ID,
				Text:    "shows the same counter as " + twin.sensor.Device + " and is counted once",
			})
			continue
		}
		c.cpu = append(c.cpu, s)
		c.verdict[s] = inSum
	}
	for _, s := range alive {
		if c.verdict[s] == "" {
			c.verdict[s] = "no: " + leftOut(s.sensor)
		}
	}
	c.warnDead(zones)
	c.chooseGPUs(list)
	return c
}

// warnDead warns of zones that would be in the sum if they had given an energy. Where none did, the reason is in the
// missing metric, and a DRAM or die zone that never moves is no news without the rest.
func (c *energyChoice) warnDead(zones []*Series) {
	if len(c.cpu) == 0 {
		return
	}
	wanted, _ := Cover(sensorsOf(zones))
	for _, i := range wanted {
		s := zones[i]
		reason := s.whyNoDelta()
		if reason == "" || slices.ContainsFunc(c.cpu, func(o *Series) bool {
			return strings.TrimPrefix(o.sensor.Device, mirror) == strings.TrimPrefix(s.sensor.Device, mirror)
		}) {
			continue
		}
		c.warnings = append(c.warnings, Warning{Subject: s.sensor.ID, Text: "not in the machine's energy: " + reason})
	}
}

// mirrored finds among the series the one that s repeats: on some processors every die of a package shows the same
// counter. Two counters of their own, in joules since the machine was switched on, do not agree to a millionth both
// before and after a run.
func mirrored(list []*Series, s *Series) *Series {
	socket, _, isDie := strings.Cut(s.sensor.Device, "-die-")
	if !isDie {
		return nil
	}
	for _, o := range list {
		other, _, isDie := strings.Cut(o.sensor.Device, "-die-")
		if isDie && other == socket && domainOf(o.sensor.Device) == domainOf(s.sensor.Device) &&
			near(o.first, s.first) && near(o.last, s.last) {
			return o
		}
	}
	return nil
}

func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }

// chooseGPUs takes each GPU's energy counter, or where that has none its power over time.
func (c *energyChoice) chooseGPUs(list []*Series) {
	best := make(map[string]*Series)
	var order []string
	for _, s := range list {
		counter := s.sensor.Kind == sensors.Counter && s.sensor.Unit == units.Joule
		gauge := s.sensor.Kind == sensors.Gauge && s.sensor.Unit == units.Watt
		if s.sensor.Family != "gpu" || !counter && !gauge {
			continue
		}
		device := s.sensor.Device
		if reason := s.energy().Reason; reason != "" {
			c.verdict[s] = "no: " + reason
			if _, known := best[device]; !known {
				best[device], order = nil, append(order, device)
			}
			continue
		}
		old, known := best[device]
		switch {
		case !known:
			best[device], order = s, append(order, device)
		case old == nil, counter && old.sensor.Kind != sensors.Counter:
			best[device] = s
		}
	}
	for _, device := range order {
		if s := best[device]; s != nil {
			c.gpus = append(c.gpus, s)
			c.verdict[s] = inSum
			continue
		}
		c.warnings = append(c.warnings, Warning{Subject: "gpu/" + device, Text: "gave no energy and is in no sum"})
	}
	for _, s := range list {
		if s.sensor.Family == "gpu" && best[s.sensor.Device] != nil && c.verdict[s] == "" &&
			(s.sensor.Unit == units.Joule || s.sensor.Unit == units.Watt) {
			c.verdict[s] = "no: the device's energy is taken from " + best[s.sensor.Device].sensor.Name
		}
	}
}

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
