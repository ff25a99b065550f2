package account

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// energyChoice says which series make up the machine's energy.
type energyChoice struct {
	// name is the name of the CPUs' cover. It is "" if there is none.
	name string
	// cpu holds the cover's series. gpus has one series for each GPU whose energy is known.
	cpu, gpus []*series.Series
	// gpusBehind is true if the cover's energy includes the GPUs.
	gpusBehind bool
	// verdict says for every energy series whether it is summed, and why not.
	verdict  map[*series.Series]verdict
	warnings []datamodel.Warning
}

// verdict says whether an energy series is summed, also as text.
type verdict struct {
	summed bool
	text   string
}

// leftOut returns the verdict on a series that is not summed, with the reason.
func leftOut(reason string) verdict { return verdict{text: "no: " + reason} }

// summed returns all series of the sum.
func (c energyChoice) summed() []*series.Series { return slices.Concat(c.cpu, c.gpus) }

// chooseEnergy decides by the results of the series, not only by which ones exist. If a package's counter has no result
// from perf, powercap is used. If an MSR zone has none, its MMIO twin is used. If packages have none, psys is used.
func chooseEnergy(list []*series.Series) energyChoice {
	c := energyChoice{verdict: make(map[*series.Series]verdict)}
	var all, alive []*series.Series
	for _, s := range list {
		if !isEnergy(s.Sensor()) {
			continue
		}
		all = append(all, s)
		if reason := s.Energy().Reason; reason == "" {
			alive = append(alive, s)
		} else {
			c.verdict[s] = leftOut(reason)
		}
	}
	found := sensorsOf(alive)
	for i, s := range alive {
		if countsModule(alive, s) {
			found[i].Domain.Kind = sensors.GPUModuleDomain
		}
	}
	chosen := Resolve(found, nil)
	c.name = chosen.Cover
	taken := make(map[string]*series.Series)
	for i, d := range chosen.Domains {
		s := alive[i]
		taken[d.Sensor.ID] = s
		c.verdict[s] = leftOut(d.Why)
		c.gpusBehind = c.gpusBehind || !d.Covered && d.Sensor.Domain.Kind == sensors.GPUDomain && d.Same == ""
		if !d.Covered {
			continue
		}
		if ofGPUs(d.Sensor.Domain) {
			c.gpus = append(c.gpus, s)
		} else if twin := mirrored(c.cpu, s); twin != nil {
			c.verdict[s] = leftOut("shows the counter of " + twin.Sensor().Device)
			c.warn(s, "shows the same counter as "+twin.Sensor().Device+" and is counted once")
			continue
		} else {
			c.cpu = append(c.cpu, s)
		}
		c.verdict[s] = verdict{summed: true, text: "yes"}
	}
	for i, d := range chosen.Domains {
		if other := taken[d.Same]; other != nil && isOwnCounter(&d.Sensor) {
			c.compare(other, alive[i])
		}
	}
	for _, s := range c.gpus {
		c.crossCheck(s, alive)
	}
	c.warnDead(all)
	return c
}

func (c *energyChoice) warn(s *series.Series, text string) {
	c.warnings = append(c.warnings, datamodel.Warning{Subject: s.Sensor().ID, Text: text})
}

// agreement is the difference between two sensors of one domain that causes a warning, as a part of the power.
const agreement = 0.01

// compare warns if two sensors of one domain differ by more than agreement plus their errors. It compares powers,
// because the sensors may have been read at different times.
func (c *energyChoice) compare(taken, other *series.Series) {
	power := func(s *series.Series) (mean, half float64) {
		window := s.Span().Seconds()
		half = s.Uncertainty()
		if math.IsNaN(half) {
			half = s.Delta() / window * raplStep.Seconds()
		}
		return s.Delta() / window, half / window
	}
	a, aHalf := power(taken)
	b, bHalf := power(other)
	if math.Abs(a-b) > agreement*a+aHalf+bHalf {
		c.warn(taken, fmt.Sprintf("gives %s, but %s gives %s for the same domain", units.Format(a, units.Watt),
			other.Sensor().ID, units.Format(b, units.Watt)))
	}
}

// warnDead warns about series that would be in the sum if they had an energy. If no series has one, the missing metric
// has the reason. A DRAM or die zone that never moves is then not worth a warning.
func (c *energyChoice) warnDead(all []*series.Series) {
	covered := make(map[sensors.Domain]bool)
	for _, s := range c.summed() {
		covered[s.Sensor().Domain.Thing()] = true
	}
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		reason := all[i].Energy().Reason
		if !d.Covered || reason == "" || covered[d.Sensor.Domain.Thing()] {
			continue
		}
		switch {
		case ofGPUs(d.Sensor.Domain):
			c.warnings = append(c.warnings, datamodel.Warning{
				Subject: "gpu/" + d.Sensor.Device, Text: "gave no energy and is not in the sum: " + reason,
			})
		case len(c.cpu) > 0:
			c.warn(all[i], "not in the machine's energy: "+reason)
		}
	}
}

// lack is a part of the machine that a sum of energies should include and does not.
type lack struct {
	// series is what was read of the part without a result. It is nil if the part was not read.
	series *series.Series
}

// lacks returns the parts of the machine that a sum over list lacks, although it includes others of their kind: a package
// or a GPU whose counter is dead, cannot be read, or does not exist.
func (h *host) lacks(list []*series.Series) []lack {
	kinds, seen := make(map[sensors.DomainKind]bool), make(map[sensors.Domain]bool)
	sockets := make(map[int]bool)
	see := func(d sensors.Domain) {
		seen[d.Thing()] = true
		if d.Kind == sensors.PackageDomain {
			sockets[d.Socket] = true
		}
	}
	for _, s := range list {
		d := s.Sensor().Domain
		if isOwnCounter(s.Sensor()) && d.Kind != sensors.PlatformDomain || d.Kind == sensors.GPUDomain {
			kinds[d.Kind] = true
		}
		see(d)
	}
	for s, v := range h.energy.verdict { // a domain that is summed by another sensor, or twice
		if v.summed || s.Energy().Reason == "" {
			see(s.Sensor().Domain)
		}
	}
	var out []lack
	var all []*series.Series
	for _, s := range h.Series {
		if isEnergy(s.Sensor()) {
			all = append(all, s)
		}
	}
	for i, d := range Resolve(sensorsOf(all), nil).Domains {
		thing := d.Sensor.Domain.Thing()
		if d.Covered && kinds[thing.Kind] && !seen[thing] {
			see(thing)
			out = append(out, lack{all[i]})
		}
	}
	for _, a := range h.Missing {
		thing := a.Domain.Thing()
		if kinds[thing.Kind] && !seen[thing] && a.Cause != sensors.Hidden {
			see(thing)
			out = append(out, lack{})
		}
	}
	if kinds[sensors.PackageDomain] {
		for range h.Machine.Sockets - len(sockets) {
			out = append(out, lack{})
		}
	}
	return out
}

// noMeters returns the energy counters that never moved, as absences.
func (h *host) noMeters() []sensors.Absence {
	var out []sensors.Absence
	for _, s := range h.Series {
		if s.Dead() {
			of := s.Sensor()
			out = append(out, sensors.Absence{
				ID: of.ID, Family: of.Family, Source: of.Source, Cause: sensors.NoMeter, Reason: s.WhyNoDelta(), Domain: of.Domain, Device: of.Device,
			})
		}
	}
	return out
}

// warnUnreadable warns about packages and memory that could not be read although others could. The sum lacks them.
func (c *energyChoice) warnUnreadable(missing []sensors.Absence) []datamodel.Warning {
	if len(c.cpu) == 0 || !isOwnCounter(c.cpu[0].Sensor()) {
		return nil
	}
	seen := make(map[sensors.Domain]bool)
	for _, s := range c.cpu {
		seen[s.Sensor().Domain.Thing()] = true
	}
	var out []datamodel.Warning
	for _, a := range missing {
		thing := a.Domain.Thing()
		if thing.Kind != sensors.PackageDomain && thing.Kind != sensors.DRAMDomain || seen[thing] {
			continue
		}
		seen[thing] = true
		out = append(out, datamodel.Warning{Subject: a.ID, Text: "not in the machine's energy: " + a.Reason})
	}
	return out
}

// mirrored returns the series in list that s repeats, or nil. On some processors every die of a package shows the same
// counter. Independent counters, in joules since power-on, do not agree to a millionth both before and after a run. Nor
// do they rise alike over many readings.
func mirrored(list []*series.Series, s *series.Series) *series.Series {
	d := s.Sensor().Domain
	if d.Die == 0 {
		return nil
	}
	_, first := s.First()
	_, last := s.Last()
	for _, o := range list {
		other := o.Sensor().Domain
		if other.Die == 0 || other.Socket != d.Socket || other.Kind != d.Kind || o.Sensor().Method != s.Sensor().Method {
			continue
		}
		_, otherFirst := o.First()
		_, otherLast := o.Last()
		if near(otherFirst, first) && near(otherLast, last) || o.RisesWith(s) {
			return o
		}
	}
	return nil
}

// near reports whether two numbers above 0 differ by a millionth at most.
func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }

// sensorsOf returns the sensors of the series.
func sensorsOf(list []*series.Series) []sensors.Sensor {
	out := make([]sensors.Sensor, len(list))
	for i, s := range list {
		out[i] = *s.Sensor()
	}
	return out
}

// sourceCPU names the CPUs' cover and its members.
func (c energyChoice) sourceCPU() string {
	names := make([]string, len(c.cpu))
	for i, s := range c.cpu {
		names[i] = s.Sensor().Device
		if s.Sensor().Method != sensors.ByPowercap {
			names[i] = s.Sensor().Family + "/" + names[i]
		}
	}
	return c.name + ": " + strings.Join(names, ", ")
}

// sourceGPU names the GPUs and the source of each one's energy.
func (c energyChoice) sourceGPU() string {
	names := make([]string, len(c.gpus))
	for i, s := range c.gpus {
		how := "counter"
		if s.Sensor().Kind != sensors.Counter {
			how = "power over time"
		}
		if s.Sensor().Domain.Wider {
			how += ", the whole GPU: a MIG instance has no energy of its own"
		}
		names[i] = fmt.Sprintf("%s (%s)", s.Sensor().Device, how)
	}
	return gpusName + ": " + strings.Join(names, ", ")
}

// parts returns the parts of the sum as the report shows them.
func (c energyChoice) parts() []datamodel.Part {
	var out []datamodel.Part
	if len(c.cpu) > 0 {
		kind := datamodel.CPUPart
		if c.cpu[0].Sensor().Domain.Kind == sensors.PlatformDomain {
			kind = datamodel.PlatformPart
		}
		out = append(out, datamodel.Part{Kind: kind, Name: c.name})
	}
	if len(c.gpus) > 0 {
		out = append(out, datamodel.Part{Kind: datamodel.GPUPart, Name: gpusName})
	}
	return out
}

// gpusName is the name of the GPUs in the sum.
const gpusName = "GPUs"

// source names everything in the sum.
func (c energyChoice) source() string {
	switch {
	case len(c.gpus) == 0:
		return c.sourceCPU()
	case len(c.cpu) == 0:
		return c.sourceGPU()
	}
	return c.sourceCPU() + "; " + c.sourceGPU()
}
