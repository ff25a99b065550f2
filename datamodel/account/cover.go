package account

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Resolution says for every energy sensor of a machine what it measures, what contains it, and whether it is summed.
type Resolution struct {
	// Cover names what is summed of the machine without its GPUs: "packages + dram", "psys", "hwmon power meter
	// (integrated)". It is empty if nothing is.
	Cover string
	// Domains has one entry for each energy sensor, in the order given. Sensors that cannot be read follow the others.
	Domains []Domain
}

// Domain is a part of a machine whose energy or power a sensor reads.
type Domain struct {
	// Sensor reads the domain. For a sensor that cannot be read, only ID, Family, Device, Name, Domain and Source are
	// known.
	Sensor sensors.Sensor
	// Parent is the ID of the sensor whose domain contains this one. It is empty for a root or if unknown.
	Parent string
	// Same is the ID of the sensor used instead of this one, because both read the same domain. It is empty if this one
	// is used.
	Same string
	// Covered is true if the domain is in the sum.
	Covered bool
	// Why explains in a phrase how the domain is used: "summed", "inside package-0", "same as perf/package-0/energy",
	// "holds package-0", "unknown name: not summed", "unreadable: permission denied".
	Why string
}

// summedWhy is the Why of a domain in the sum. unreadableWhy starts the Why of a domain that cannot be read, and noMeterWhy
// that of a counter that never moves.
const (
	summedWhy     = "summed"
	unreadableWhy = "unreadable: "
	noMeterWhy    = "not summed: "
)

// Name returns the name of everything that is summed: the cover and, if there are any, the GPUs.
func (r Resolution) Name() string {
	name := r.Cover
	if slices.ContainsFunc(r.Domains, func(d Domain) bool { return d.Covered && ofGPUs(d.Sensor.Domain) }) {
		if name != "" {
			name += " + "
		}
		name += gpusName
	}
	return name
}

// isEnergy reports whether s reads the energy of a part of the machine, or a power that can be integrated.
func isEnergy(s *sensors.Sensor) bool {
	if s.Domain.Kind == sensors.NoDomain {
		return false
	}
	if isCPUCounter(s) {
		return isOwnCounter(s)
	}
	return s.Kind == sensors.Counter && s.Unit == units.Joule || s.Kind == sensors.Gauge && s.Unit == units.Watt
}

// isCPUCounter reports whether s comes from an interface to the processors' own counters.
func isCPUCounter(s *sensors.Sensor) bool {
	return s.Method == sensors.ByPerf || s.Method == sensors.ByPowercap
}

// isOwnCounter reports whether s is one of the processors' own energy counters.
func isOwnCounter(s *sensors.Sensor) bool {
	return isCPUCounter(s) && s.Domain.Kind != sensors.NoDomain && s.Kind == sensors.Counter && s.Unit == units.Joule
}

// ofGPUs reports whether a domain is a GPU, a part of one, or a module with one.
func ofGPUs(d sensors.Domain) bool {
	return d.Kind == sensors.GPUDomain || d.Kind == sensors.GPUMemoryDomain || d.Kind == sensors.GPUModuleDomain
}

// Cover chooses the processors' own energy counters whose sum is the machine's CPU and memory energy, with no part
// counted twice. These are the packages and the dram outside them, or psys if there is no package.
// Cover returns their indices in list, in order, and a name for the choice ("packages + dram"). It returns none and ""
// if there is nothing to choose from. It is a simpler Resolve for callers that only add up counters.
func Cover(list []sensors.Sensor) (members []int, name string) {
	var counters []sensors.Sensor
	var at []int
	for i, s := range list {
		if isOwnCounter(&s) {
			counters, at = append(counters, s), append(at, i)
		}
	}
	r := Resolve(counters, nil)
	for i, d := range r.Domains {
		if d.Covered {
			members = append(members, at[i])
		}
	}
	return members, r.Cover
}

// Resolve builds the tree of what the energy sensors in list measure, finds sensors that read the same domain, and
// chooses what is summed. No part is counted twice. Resolve ignores sensors of other quantities. Sensors in missing
// that exist but cannot be read have a place in the tree.
//
// Of several sensors of one domain, perf comes before powercap because it is 64 bits wide. A plain zone comes before
// its MMIO twin, and a counter before a gauge. Core and uncore are inside the package, and psys contains it, so neither
// is added to it. A domain with an unknown name is never summed, because it may overlap another.
//
// Meters outside the processor are used only if the processor counts nothing itself. The meter of a processor comes
// before a meter of the machine, and that before a battery. If the meter that is summed includes the GPUs, they are not
// added.
func Resolve(list []sensors.Sensor, missing []sensors.Absence) Resolution {
	r := resolver{best: make(map[sensors.Domain]int)}
	for _, s := range list {
		if isEnergy(&s) {
			r.add(s, "")
		}
	}
	for _, a := range missing {
		if s, ok := unreadable(a); ok && !slices.ContainsFunc(r.entries, func(e entry) bool { return e.sensor.ID == s.ID }) {
			prefix := unreadableWhy
			if a.Cause == sensors.NoMeter {
				prefix = noMeterWhy
			}
			r.add(s, prefix+cmp.Or(a.Reason, "no reason given"))
		}
	}
	r.choose()
	out := Resolution{Cover: r.cover}
	for i := range r.entries {
		out.Domains = append(out.Domains, r.domain(i))
	}
	return out
}

// unreadable makes a sensor from the absence of one. It returns false if the absent sensor does not measure energy.
func unreadable(a sensors.Absence) (sensors.Sensor, bool) {
	if a.Domain.Kind == sensors.NoDomain {
		return sensors.Sensor{}, false
	}
	return sensors.Sensor{
		ID: a.ID, Family: a.Family, Device: a.Device, Name: path.Base(a.ID), Domain: a.Domain, Source: a.Source,
	}, true
}

// entry is a sensor in Resolve.
type entry struct {
	sensor sensors.Sensor
	kind   sensors.DomainKind
	// thing is equal for all sensors that read the same domain.
	thing sensors.Domain
	// reason is the Why of a sensor that cannot be read. It is "" if it can be read.
	reason  string
	covered bool
}

// resolver is the state of Resolve.
type resolver struct {
	entries []entry
	// best maps each domain to the index of the sensor that is used for it.
	best  map[sensors.Domain]int
	cover string
	// around is the index of the summed meter that includes the GPUs, plus 1. It is 0 if there is none.
	around int
}

func (r *resolver) add(s sensors.Sensor, reason string) {
	e := entry{sensor: s, kind: s.Domain.Kind, thing: s.Domain.Thing(), reason: reason}
	if best, known := r.best[e.thing]; !known || e.rank() < r.entries[best].rank() {
		r.best[e.thing] = len(r.entries)
	}
	r.entries = append(r.entries, e)
}

// rank orders the sensors of one domain. The lowest rank is used.
func (e entry) rank() int {
	switch {
	case e.reason != "":
		return 9
	case e.sensor.Method == sensors.ByPerf:
		return 0
	case e.sensor.Method == sensors.ByPowercap && !e.sensor.Domain.Mirror:
		return 1
	case e.sensor.Method == sensors.ByPowercap:
		return 2
	case e.sensor.Kind == sensors.Counter:
		return 3
	case e.sensor.Window == 0:
		return 4
	}
	return 5
}

// taken returns the index of the sensor that is used for a domain, or -1 if there is none. A sensor that cannot be read
// is used only if there is no other.
func (r *resolver) taken(thing sensors.Domain) int {
	if best, known := r.best[thing]; known {
		return best
	}
	return -1
}

// of returns the indices of the sensors of this kind that can be read and are used.
func (r *resolver) of(kind sensors.DomainKind) []int {
	var out []int
	for i, e := range r.entries {
		if e.kind == kind && e.reason == "" && r.taken(e.thing) == i {
			out = append(out, i)
		}
	}
	return out
}

// choose chooses the cover and the GPUs.
func (r *resolver) choose() {
	packages, dram := r.of(sensors.PackageDomain), r.of(sensors.DRAMDomain)
	var chosen []int
	switch psys, meters := r.of(sensors.PlatformDomain), r.meters(); {
	case len(packages) > 0 && len(dram) > 0:
		chosen, r.cover = slices.Concat(packages, dram), "packages + dram"
	case len(packages) > 0:
		chosen, r.cover = packages, "packages"
	case len(psys) > 0:
		// Several psys domains would be views of one board. Whether their sum means anything is unknown.
		chosen, r.cover = psys[:1], "psys"
	case len(meters) > 0:
		first := r.entries[meters[0]]
		chosen, r.cover = meters, "hwmon power meter"
		if first.kind == sensors.BatteryDomain {
			r.cover = "battery"
		}
		if first.sensor.Kind == sensors.Gauge {
			r.cover += " (integrated)"
		}
		if first.kind != sensors.SocketMeter {
			r.around = meters[0] + 1
		}
	}
	if r.around == 0 {
		chosen = append(chosen, r.of(sensors.GPUDomain)...)
	}
	for _, i := range chosen {
		r.entries[i].covered = true
	}
}

// meters returns the meters used instead of the processors' own counters, or none.
func (r *resolver) meters() []int {
	for _, kind := range []sensors.DomainKind{sensors.SocketMeter, sensors.ModuleMeter, sensors.MachineMeter, sensors.BatteryDomain} {
		found := r.of(kind)
		if len(found) == 0 || kind == sensors.MachineMeter && len(found) > 1 {
			continue // Several meters of a machine may be power supplies, to be added, or one behind the other.
		}
		return found
	}
	return nil
}

// domain returns the result of Resolve for the i-th entry.
func (r *resolver) domain(i int) Domain {
	e := r.entries[i]
	d := Domain{Sensor: e.sensor, Covered: e.covered}
	above := r.parent(e)
	if above >= 0 {
		d.Parent = r.entries[above].sensor.ID
	}
	if best := r.taken(e.thing); best != i && r.entries[best].reason == "" {
		d.Same = r.entries[best].sensor.ID
	}
	switch {
	case e.reason != "":
		d.Why = e.reason
	case d.Same != "":
		d.Why = "same as " + d.Same
	case e.covered:
		d.Why = summedWhy
	default:
		d.Why = r.leftOut(e, above)
	}
	return d
}

// parent returns the index of the sensor whose domain contains e, or -1 if there is none.
func (r *resolver) parent(e entry) int {
	first := func(kinds ...sensors.DomainKind) int {
		for _, kind := range kinds {
			for _, o := range r.of(kind) {
				if r.entries[o].thing.Socket == e.thing.Socket {
					return o
				}
			}
		}
		return -1
	}
	switch e.kind {
	case sensors.CoreDomain:
		return r.taken(e.thing.Package())
	case sensors.GPUMemoryDomain:
		return r.taken(sensors.Domain{Kind: sensors.GPUDomain, GPU: e.thing.GPU})
	case sensors.GPUDomain:
		return r.around - 1
	case sensors.SocketPartMeter:
		return first(sensors.SocketMeter, sensors.ModuleMeter)
	case sensors.SocketMeter:
		return first(sensors.ModuleMeter)
	case sensors.NoDomain, sensors.UnknownDomain, sensors.PackageDomain, sensors.DRAMDomain, sensors.PlatformDomain, sensors.GPUModuleDomain, sensors.ModuleMeter, sensors.MachineMeter,
		sensors.BatteryDomain:
	}
	return -1
}

// packageName returns the kernel's name for the package or die that holds a domain.
func packageName(d sensors.Domain) string {
	name := "package-" + strconv.Itoa(d.Socket)
	if d.Die > 0 {
		name += "-die-" + strconv.Itoa(d.Die-1)
	}
	return name
}

// leftOut says why e is not summed, although it can be read and is used for its domain.
func (r *resolver) leftOut(e entry, above int) string {
	const unknown = "unknown name: not summed"
	switch e.kind {
	case sensors.CoreDomain:
		if above >= 0 {
			return "inside " + r.entries[above].sensor.Device
		}
		if e.thing.Socket >= 0 {
			return "inside " + packageName(e.thing)
		}
		return "inside a package"
	case sensors.PlatformDomain:
		if held := r.devices(sensors.PackageDomain); held != "" {
			return "holds " + held
		}
		return "not summed: another view of the platform"
	case sensors.DRAMDomain:
		if r.cover == "psys" {
			return "not summed: psys may hold it"
		}
		return "not summed: its package is absent"
	case sensors.GPUDomain, sensors.GPUMemoryDomain, sensors.SocketPartMeter:
		if above >= 0 {
			return "inside " + r.entries[above].sensor.Device
		}
		return "not summed: part of an absent device"
	case sensors.GPUModuleDomain:
		return "holds " + e.sensor.Device + " and its processor"
	case sensors.SocketMeter:
		return "not summed: the processors' own counters are used"
	case sensors.ModuleMeter:
		for _, i := range r.of(sensors.SocketMeter) {
			if held := r.entries[i]; held.thing.Socket == e.thing.Socket {
				return "holds " + held.sensor.Device
			}
		}
		return "not summed: other counters and meters are used"
	case sensors.MachineMeter:
		if r.cover == "" {
			return "not summed: it is unknown how several meters of a machine overlap"
		}
		return "holds all of the machine"
	case sensors.BatteryDomain:
		return "holds all of the machine while it discharges"
	case sensors.PackageDomain, sensors.UnknownDomain, sensors.NoDomain:
	}
	return unknown
}

// devices lists the devices of a kind that can be read.
func (r *resolver) devices(kind sensors.DomainKind) string {
	var names []string
	for _, i := range r.of(kind) {
		names = append(names, r.entries[i].sensor.Device)
	}
	return strings.Join(names, ", ")
}
