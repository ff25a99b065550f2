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

// Resolution says of every energy sensor of a machine what it measures, beside or within which others, and which of
// them are summed.
type Resolution struct {
	// Cover names what is summed of the machine but for its GPUs: "packages + dram", "psys", "hwmon power meter
	// (integrated)"; empty where that is nothing.
	Cover string
	// Domains has one entry for each energy sensor in the order given, those that cannot be read after the others.
	Domains []Domain
}

// Domain is a part of a machine that a sensor reads the energy or power of.
type Domain struct {
	// Sensor is what reads it. Of one that cannot be read no more is known than ID, Family, Device, Name and Source.
	Sensor sensors.Sensor
	// Parent is the ID of the sensor whose domain has this one in it; empty for a root, and where that is not known.
	Parent string
	// Same is the ID of the sensor that is taken in this one's place, as both read one thing; empty where this one is.
	Same string
	// Covered says that it is in the sum.
	Covered bool
	// Why says in a phrase what becomes of it: "summed", "inside package-0", "same as perf/package-0/energy", "holds
	// package-0", "unknown name: not summed", "unreadable: permission denied".
	Why string
}

// summedWhy is the Why of a domain that is in the sum, unreadableWhy how that of one begins that cannot be read.
const (
	summedWhy     = "summed"
	unreadableWhy = "unreadable: "
)

// Name is the name of all that is summed: the cover, and the GPUs where there are any.
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

// isEnergy says whether s reads an energy of a part of the machine, or a power that can be integrated to one.
func isEnergy(s sensors.Sensor) bool {
	if s.Domain.Kind == sensors.NoDomain {
		return false
	}
	if isCPUCounter(s) {
		return isOwnCounter(s)
	}
	return s.Kind == sensors.Counter && s.Unit == units.Joule || s.Kind == sensors.Gauge && s.Unit == units.Watt
}

// isCPUCounter says whether s is read where the processors show their own counters.
func isCPUCounter(s sensors.Sensor) bool {
	return s.Method == sensors.ByPerf || s.Method == sensors.ByPowercap
}

// isOwnCounter says whether s is one of the processors' own counters of energy.
func isOwnCounter(s sensors.Sensor) bool {
	return isCPUCounter(s) && s.Domain.Kind != sensors.NoDomain && s.Kind == sensors.Counter && s.Unit == units.Joule
}

// ofGPUs says whether a domain is a GPU, a part of one or a module with one.
func ofGPUs(d sensors.Domain) bool {
	return d.Kind == sensors.GPUDomain || d.Kind == sensors.GPUMemoryDomain || d.Kind == sensors.GPUModuleDomain
}

// Cover chooses the processors' own energy counters that together are the machine's CPU and memory energy, no part
// counted twice: the packages and the dram beside them, or psys where there is no package. It gives their indices in
// list, in order, and a name for the choice ("packages + dram"); none and "" where there is nothing to choose from. It
// is Resolve for who wants to add up counters and nothing else.
func Cover(list []sensors.Sensor) (members []int, name string) {
	var counters []sensors.Sensor
	var at []int
	for i, s := range list {
		if isOwnCounter(s) {
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

// Resolve builds the tree of what the energy sensors in list measure, finds those that read the same thing, and picks
// what is summed, no part counted twice. Sensors of anything else are not looked at; those in missing that are
// there and cannot be read have their place in the tree.
//
// Of the sensors that read one thing, perf is taken before powercap, since it is 64 bits wide; a plain zone before its
// MMIO twin; a counter before a gauge. Core and uncore lie inside the package and psys around it, so neither is added to
// it. What has a name that is not known is never summed: whether it overlaps another cannot be told. Meters outside the
// processor stand in where it counts nothing itself, those of a processor before those of the machine, and these
// before a battery. Where the sum is that of a meter that has the GPUs behind it, these are not added.
func Resolve(list []sensors.Sensor, missing []sensors.Absence) Resolution {
	r := resolver{best: make(map[sensors.Domain]int)}
	for _, s := range list {
		if isEnergy(s) {
			r.add(s, "")
		}
	}
	for _, a := range missing {
		if s, ok := unreadable(a); ok && !slices.ContainsFunc(r.entries, func(e entry) bool { return e.sensor.ID == s.ID }) {
			r.add(s, cmp.Or(a.Reason, "no reason given"))
		}
	}
	r.choose()
	out := Resolution{Cover: r.cover}
	for i := range r.entries {
		out.Domains = append(out.Domains, r.domain(i))
	}
	return out
}

// unreadable makes a sensor of what is known of one that cannot be read; not ok if it is not one of energy.
func unreadable(a sensors.Absence) (sensors.Sensor, bool) {
	if a.Domain.Kind == sensors.NoDomain {
		return sensors.Sensor{}, false
	}
	family, _, _ := strings.Cut(a.ID, "/")
	return sensors.Sensor{
		ID: a.ID, Family: family, Device: a.Device, Name: path.Base(a.ID), Domain: a.Domain, Source: a.Source,
	}, true
}

// entry is a sensor within Resolve.
type entry struct {
	sensor sensors.Sensor
	kind   sensors.DomainKind
	// thing is the same for all that read the same thing.
	thing sensors.Domain
	// reason is why it cannot be read, "" where it can.
	reason  string
	covered bool
}

// resolver is the state of Resolve.
type resolver struct {
	entries []entry
	// best has for each thing the index of the sensor that is taken for it.
	best  map[sensors.Domain]int
	cover string
	// around is the index of the meter that has the GPUs behind it and is summed, plus 1; 0 is none.
	around int
}

func (r *resolver) add(s sensors.Sensor, reason string) {
	e := entry{sensor: s, kind: s.Domain.Kind, thing: s.Domain.Thing(), reason: reason}
	if best, known := r.best[e.thing]; !known || e.rank() < r.entries[best].rank() {
		r.best[e.thing] = len(r.entries)
	}
	r.entries = append(r.entries, e)
}

// rank orders the sensors that read the same thing, the one to be taken first.
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

// taken is the index of the sensor that is taken for a thing, one that cannot be read where no other is there; -1 where
// there is none.
func (r *resolver) taken(thing sensors.Domain) int {
	if best, known := r.best[thing]; known {
		return best
	}
	return -1
}

// of is the indices of the sensors of a kind that can be read and are taken.
func (r *resolver) of(kind sensors.DomainKind) []int {
	var out []int
	for i, e := range r.entries {
		if e.kind == kind && e.reason == "" && r.taken(e.thing) == i {
			out = append(out, i)
		}
	}
	return out
}

// choose picks the cover and the GPUs.
func (r *resolver) choose() {
	packages, dram := r.of(sensors.PackageDomain), r.of(sensors.DRAMDomain)
	var chosen []int
	switch psys, meters := r.of(sensors.PlatformDomain), r.meters(); {
	case len(packages) > 0 && len(dram) > 0:
		chosen, r.cover = slices.Concat(packages, dram), "packages + dram"
	case len(packages) > 0:
		chosen, r.cover = packages, "packages"
	case len(psys) > 0:
		// Several psys domains would be the views of one board; their sum is not known to be meaningful.
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

// meters is what stands in for the processors' own counters, none where nothing can.
func (r *resolver) meters() []int {
	for _, kind := range []sensors.DomainKind{sensors.SocketMeter, sensors.ModuleMeter, sensors.MachineMeter, sensors.BatteryDomain} {
		found := r.of(kind)
		if len(found) == 0 || kind == sensors.MachineMeter && len(found) > 1 {
			continue // Several meters of a machine: of its supplies, to be added, or one behind the other.
		}
		return found
	}
	return nil
}

// domain is what Resolve says of the i-th entry.
func (r *resolver) domain(i int) Domain {
	e := r.entries[i]
	d := Domain{Sensor: e.sensor, Covered: e.covered}
	above := r.above(e)
	if above >= 0 {
		d.Parent = r.entries[above].sensor.ID
	}
	if best := r.taken(e.thing); best != i && r.entries[best].reason == "" {
		d.Same = r.entries[best].sensor.ID
	}
	switch {
	case e.reason != "":
		d.Why = unreadableWhy + e.reason
	case d.Same != "":
		d.Why = "same as " + d.Same
	case e.covered:
		d.Why = summedWhy
	default:
		d.Why = r.leftOut(e, above)
	}
	return d
}

// above is the index of what has e in it, -1 where there is none.
func (r *resolver) above(e entry) int {
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

// packageName names the package or die that holds a domain, as the kernel does.
func packageName(d sensors.Domain) string {
	name := "package-" + strconv.Itoa(d.Socket)
	if d.Die > 0 {
		name += "-die-" + strconv.Itoa(d.Die-1)
	}
	return name
}

// leftOut says why e, which can be read and is taken for what it reads, is not summed.
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
		return "not summed: its package is not there"
	case sensors.GPUDomain, sensors.GPUMemoryDomain, sensors.SocketPartMeter:
		if above >= 0 {
			return "inside " + r.entries[above].sensor.Device
		}
		return "not summed: a part of something that is not there"
	case sensors.GPUModuleDomain:
		return "holds " + e.sensor.Device + " and its processor"
	case sensors.SocketMeter:
		return "not summed: the processors' own counters are"
	case sensors.ModuleMeter:
		for _, i := range r.of(sensors.SocketMeter) {
			if held := r.entries[i]; held.thing.Socket == e.thing.Socket {
				return "holds " + held.sensor.Device
			}
		}
		return "not summed: other counters and meters are"
	case sensors.MachineMeter:
		if r.cover == "" {
			return "not summed: how several meters of a machine overlap is not known"
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
