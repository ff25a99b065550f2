package datamodel

import (
	"cmp"
	"slices"
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
	if slices.ContainsFunc(r.Domains, func(d Domain) bool { return d.Covered && d.Sensor.Family == "gpu" }) {
		if name != "" {
			name += " + "
		}
		name += "GPUs"
	}
	return name
}

// domain is what a sensor measures, told by its family and the name of its device.
type domain uint8

const (
	unknownDomain domain = iota
	// packageDomain is a socket, or a die of one: package-0, package-0-die-1.
	packageDomain
	// dramDomain is memory, outside the package.
	dramDomain
	// insideDomain is core and uncore, which the package contains.
	insideDomain
	// platformDomain is psys, which contains the packages and on some boards much of the rest.
	platformDomain
	// gpuDomain is a GPU with its memory.
	gpuDomain
	// gpuPartDomain is the memory of a GPU by itself, gpuModuleDomain a module with the GPU and its processor on it.
	gpuPartDomain
	gpuModuleDomain
	// socketMeter is an ACPI power meter of a processor with its memory (NVIDIA Grace), socketPartMeter one of a part of
	// that, moduleMeter one of all that is on the module, GPUs too.
	socketMeter
	socketPartMeter
	moduleMeter
	// machineMeter is an ACPI power meter of the whole machine.
	machineMeter
	// batteryDomain is what a battery gives.
	batteryDomain
)

// mirror is how the devices of intel-rapl-mmio zones start: the same domains read through another register.
const mirror = "mmio/"

// energyFamilies lists the families whose joules and watts are of parts of the machine.
func energyFamilies() []string { return []string{"perf", "rapl", "gpu", "hwmon", "battery"} }

// isEnergy says whether s reads an energy, or a power that can be integrated to one.
func isEnergy(s sensors.Sensor) bool {
	switch s.Family {
	case "perf", "rapl":
		return isMachineEnergy(s)
	case "gpu", "hwmon", "battery":
		return s.Kind == sensors.Counter && s.Unit == units.Joule || s.Kind == sensors.Gauge && s.Unit == units.Watt
	}
	return false
}

// isMachineEnergy says whether s is one of the processors' own counters.
func isMachineEnergy(s sensors.Sensor) bool {
	return (s.Family == "rapl" || s.Family == "perf") && s.Kind == sensors.Counter && s.Unit == units.Joule
}

// kindOf tells the domain of a sensor by its names.
func kindOf(s sensors.Sensor) domain {
	switch s.Family {
	case "perf", "rapl":
		return domainOf(s.Device)
	case "gpu":
		switch {
		case strings.HasPrefix(s.Name, "memory"):
			return gpuPartDomain
		case strings.HasPrefix(s.Name, "module"):
			return gpuModuleDomain
		}
		return gpuDomain
	case "hwmon":
		if socket, core := amdEnergy(s.Device); socket != "" {
			return packageDomain
		} else if core {
			return insideDomain
		}
		return meterOf(s.Device + "/" + s.Name)
	case "battery":
		return batteryDomain
	}
	return unknownDomain
}

// domainOf tells the domain by the device of a perf or rapl sensor: "package-0", "package-0/dram", "psys-1",
// "mmio/package-0". The names are the kernel's (Documentation/power/powercap/powercap.rst). The folder a zone lies in
// says nothing: dram lies below a package and is not part of its energy.
func domainOf(device string) domain {
	device = strings.TrimPrefix(device, mirror)
	parent, name, nested := strings.Cut(device, "/")
	if !nested {
		name = parent
		if isPackage(name) {
			return packageDomain
		}
	} else if !isPackage(parent) {
		return unknownDomain
	}
	word, index, numbered := strings.Cut(name, "-")
	if numbered && !isNumber(index) {
		return unknownDomain
	}
	switch word {
	case "dram":
		return dramDomain
	case "core", "uncore":
		return insideDomain
	case "psys":
		return platformDomain
	}
	return unknownDomain
}

// meterOf tells what an ACPI power meter is of. NVIDIA's Grace names its own (power1_oem_info, "Grace Power Socket 0";
// NVIDIA Grace CPU Performance Tuning Guide, "Power Telemetry"): the module has all on it, Grace is the processor with
// its memory, CPU and SysIO are parts of that. One that has no such name measures the machine. Other chips of hwmon are
// not known: which rail a shunt is on, only the board's maker knows.
func meterOf(name string) domain {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	has := func(word string) bool { return slices.Contains(words, word) }
	switch {
	case has("socket") && has("module"):
		return moduleMeter
	case has("socket") && has("grace"):
		return socketMeter
	case has("socket") && (has("cpu") || has("sysio")):
		return socketPartMeter
	case has("power") && has("meter"):
		return machineMeter
	}
	return unknownDomain
}

// amdEnergy tells a counter of the driver amd_energy, which shows the processors' own counters in hwmon: the number of a
// socket ("Esocket0"), or that it is one of a core ("Ecore017"); Documentation/hwmon/amd_energy.rst of Linux 5.8 to 5.12.
func amdEnergy(device string) (socket string, core bool) {
	chip, label, _ := strings.Cut(device, "/")
	if !strings.HasPrefix(chip, "amd_energy") {
		return "", false
	}
	if n, ok := strings.CutPrefix(label, "Esocket"); ok && isNumber(n) {
		return n, false
	}
	n, ok := strings.CutPrefix(label, "Ecore")
	return "", ok && isNumber(n)
}

// socketOf is the number of the socket in the device of a Grace meter, for what belongs together.
func socketOf(device string) string {
	return device[len(strings.TrimRight(device, "0123456789")):]
}

// isPackage accepts package-N and package-N-die-M.
func isPackage(name string) bool {
	rest, ok := strings.CutPrefix(name, "package-")
	if !ok {
		return false
	}
	socket, die, hasDie := strings.Cut(rest, "-die-")
	return isNumber(socket) && (!hasDie || isNumber(die))
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Cover chooses the processors' own energy counters that together are the machine's CPU and memory energy, no part
// counted twice: the packages and the dram beside them, or psys where there is no package. It gives their indices in
// list, in order, and a name for the choice ("packages + dram"); none and "" where there is nothing to choose from. It
// is Resolve for who wants to add up counters and nothing else.
func Cover(list []sensors.Sensor) (members []int, name string) {
	var counters []sensors.Sensor
	var at []int
	for i, s := range list {
		if isMachineEnergy(s) {
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
	r := resolver{best: make(map[string]int)}
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

// unreadable makes a sensor of what is known of one that cannot be read; not ok where it is not one of energy.
func unreadable(a sensors.Absence) (sensors.Sensor, bool) {
	family, rest, _ := strings.Cut(a.ID, "/")
	i := strings.LastIndexByte(rest, '/')
	if i < 0 || !slices.Contains(energyFamilies(), family) {
		return sensors.Sensor{}, false
	}
	s := sensors.Sensor{ID: a.ID, Family: family, Device: rest[:i], Name: rest[i+1:], Source: a.Source}
	return s, s.Device != "" && (strings.HasSuffix(s.Name, "energy") || strings.HasSuffix(s.Name, "power"))
}

// entry is a sensor within Resolve.
type entry struct {
	sensor sensors.Sensor
	kind   domain
	// key is the same for all that read the same thing.
	key string
	// reason is why it cannot be read, "" where it can.
	reason  string
	covered bool
}

// resolver is the state of Resolve.
type resolver struct {
	entries []entry
	// best has for each key the index of the sensor that is taken for it.
	best  map[string]int
	cover string
	// around is the index of the meter that has the GPUs behind it and is summed, plus 1; 0 is none.
	around int
}

func (r *resolver) add(s sensors.Sensor, reason string) {
	e := entry{sensor: s, kind: kindOf(s), key: keyOf(s), reason: reason}
	if best, known := r.best[e.key]; !known || e.rank() < r.entries[best].rank() {
		r.best[e.key] = len(r.entries)
	}
	r.entries = append(r.entries, e)
}

// keyOf is what a sensor reads: the same for two that read the same thing.
func keyOf(s sensors.Sensor) string {
	switch s.Family {
	case "rapl":
		return "cpu/" + strings.TrimPrefix(s.Device, mirror)
	case "perf":
		return "cpu/" + s.Device
	case "hwmon":
		if socket, _ := amdEnergy(s.Device); socket != "" {
			return "cpu/package-" + socket
		}
	case "gpu":
		scope := ""
		if kind := kindOf(s); kind != gpuDomain {
			scope, _, _ = strings.Cut(s.Name, "_")
			scope = "/" + scope
		}
		return "gpu/" + s.Device + scope
	}
	return s.Family + "/" + s.Device
}

// rank orders the sensors that read the same thing, the one to be taken first.
func (e entry) rank() int {
	switch {
	case e.reason != "":
		return 9
	case e.sensor.Family == "perf":
		return 0
	case e.sensor.Family == "rapl" && !strings.HasPrefix(e.sensor.Device, mirror):
		return 1
	case e.sensor.Family == "rapl":
		return 2
	case e.sensor.Kind == sensors.Counter:
		return 3
	case e.sensor.Name == "power":
		return 4
	}
	return 5
}

// taken is the index of the sensor that is taken for a key, one that cannot be read where no other is there; -1 where
// there is none.
func (r *resolver) taken(key string) int {
	if best, known := r.best[key]; known {
		return best
	}
	return -1
}

// of is the indices of the sensors of a kind that can be read and are taken.
func (r *resolver) of(kind domain) []int {
	var out []int
	for i, e := range r.entries {
		if e.kind == kind && e.reason == "" && r.taken(e.key) == i {
			out = append(out, i)
		}
	}
	return out
}

// choose picks the cover and the GPUs.
func (r *resolver) choose() {
	packages, dram := r.of(packageDomain), r.of(dramDomain)
	var chosen []int
	switch psys, meters := r.of(platformDomain), r.meters(); {
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
		if first.kind == batteryDomain {
			r.cover = "battery"
		}
		if first.sensor.Kind == sensors.Gauge {
			r.cover += " (integrated)"
		}
		if first.kind != socketMeter {
			r.around = meters[0] + 1
		}
	}
	if r.around == 0 {
		chosen = append(chosen, r.of(gpuDomain)...)
	}
	for _, i := range chosen {
		r.entries[i].covered = true
	}
}

// meters is what stands in for the processors' own counters, none where nothing can.
func (r *resolver) meters() []int {
	for _, kind := range []domain{socketMeter, moduleMeter, machineMeter, batteryDomain} {
		found := r.of(kind)
		if len(found) == 0 || kind == machineMeter && len(found) > 1 {
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
	if best := r.taken(e.key); best != i && r.entries[best].reason == "" {
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
	first := func(kinds ...domain) int {
		for _, kind := range kinds {
			for _, o := range r.of(kind) {
				if socketOf(r.entries[o].sensor.Device) == socketOf(e.sensor.Device) {
					return o
				}
			}
		}
		return -1
	}
	switch e.kind {
	case insideDomain:
		if parent := packageOf(e.key); parent != "" {
			return r.taken("cpu/" + parent)
		}
	case gpuPartDomain:
		return r.taken("gpu/" + e.sensor.Device)
	case gpuDomain:
		return r.around - 1
	case socketPartMeter:
		return first(socketMeter, moduleMeter)
	case socketMeter:
		return first(moduleMeter)
	case unknownDomain, packageDomain, dramDomain, platformDomain, gpuModuleDomain, moduleMeter, machineMeter,
		batteryDomain:
	}
	return -1
}

// packageOf is the package in the key of what lies in one, "" where the key names none.
func packageOf(key string) string {
	device, ofCPU := strings.CutPrefix(key, "cpu/")
	parent, _, nested := strings.Cut(device, "/")
	if !ofCPU || !nested {
		return ""
	}
	return parent
}

// leftOut says why e, which can be read and is taken for what it reads, is not summed.
func (r *resolver) leftOut(e entry, above int) string {
	const unknown = "unknown name: not summed"
	switch e.kind {
	case insideDomain:
		if above >= 0 {
			return "inside " + r.entries[above].sensor.Device
		}
		if parent := packageOf(e.key); parent != "" {
			return "inside " + parent
		}
		return "inside a package"
	case platformDomain:
		if held := r.devices(packageDomain); held != "" {
			return "holds " + held
		}
		return "not summed: another view of the platform"
	case dramDomain:
		if r.cover == "psys" {
			return "not summed: psys may hold it"
		}
		return "not summed: its package is not there"
	case gpuDomain, gpuPartDomain, socketPartMeter:
		if above >= 0 {
			return "inside " + r.entries[above].sensor.Device
		}
		return "not summed: a part of something that is not there"
	case gpuModuleDomain:
		return "holds " + e.sensor.Device + " and its processor"
	case socketMeter:
		return "not summed: the processors' own counters are"
	case moduleMeter:
		for _, i := range r.of(socketMeter) {
			if held := r.entries[i].sensor.Device; socketOf(held) == socketOf(e.sensor.Device) {
				return "holds " + held
			}
		}
		return "not summed: other counters and meters are"
	case machineMeter:
		if r.cover == "" {
			return "not summed: how several meters of a machine overlap is not known"
		}
		return "holds all of the machine"
	case batteryDomain:
		return "holds all of the machine while it discharges"
	case packageDomain, unknownDomain:
	}
	return unknown
}

// devices lists the devices of a kind that can be read.
func (r *resolver) devices(kind domain) string {
	var names []string
	for _, i := range r.of(kind) {
		names = append(names, r.entries[i].sensor.Device)
	}
	return strings.Join(names, ", ")
}
