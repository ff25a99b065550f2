package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// perf reads the energy counters of processors by perf events. They are the counters of powercap (see rapl), extended to
// 64 bits, and one call reads all of a processor. Every performance monitoring unit (PMU) with energy events is used,
// whatever its name (Documentation/ABI/testing/sysfs-bus-event_source-devices-events).
//
// The counters start at 0 when they are opened, and do not wrap if they are read often enough. The hardware counters have
// 32 bits, and the kernel takes the difference of two readings as signed (arch/x86/events/rapl.c, rapl_event_update). It
// reads by itself often enough for 200 W. Above that, the counter must be read before it has risen by 2³¹ units: 131 kJ
// in units of 61 µJ (Intel), 33 kJ in units of 15 µJ (AMD). Once a minute is enough for 500 W.
func perf() sensors.Backend {
	return sensors.Backend{
		Name:     "perf",
		Energy:   true,
		Doc:      "energy counters of processors, memory and platform (perf events)",
		First:    sensors.AtStart,
		Baseline: true,
		Open: func(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return openPerf(setup, false)
		},
	}
}

// perfCore reads the energy of each core on processors that count it: AMD's, in the PMU power_core. It is apart from perf and
// slower, because a reading interrupts every core and wakes sleeping ones. For a whole package, any one of its processors
// can read.
func perfCore() sensors.Backend {
	return sensors.Backend{
		Name:     "perf_core",
		Doc:      "energy counters of each core (perf events)",
		Alone:    true,
		First:    sensors.AtStart,
		Baseline: true,
		Interval: time.Second,
		Open: func(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return openPerf(setup, true)
		},
	}
}

const (
	eventSources = "bus/event_source/devices"
	// energyEvent is the prefix of the names of energy events. The domain follows it.
	energyEvent = "energy-"
	// largestCPUList bounds the processors in a list. It is above CONFIG_NR_CPUS of every kernel.
	largestCPUList = 1 << 16

	// needsPerfmon is the reason for ordinary users: energy events count for the whole machine
	// (Documentation/admin-guide/perf-security.rst).
	needsPerfmon = "permission denied: needs CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8) or " +
		"kernel.perf_event_paranoid at 0 or less"
	// isFiltered is the reason for EPERM, which perf_event_open itself does not return here.
	isFiltered = "perf_event_open is blocked by a container's system call filter or a security module: needs CAP_PERFMON in the " +
		"container, or no filter and kernel.perf_event_paranoid at 0 or less"
	// isElsewhere is the reason if sysfs has a PMU that perf_event_open does not know.
	isElsewhere = "the running kernel does not know this event: a recorded /sys, or an unloaded driver"
)

var (
	errNoTopology = errors.New("no physical_package_id")
	errTerm       = errors.New("not a term like event=0x02")
	errFormat     = errors.New("not a format like config:0-7")
	errTooWide    = errors.New("wider than its format")
	errCPUList    = errors.New("not a list of processors")
	errScale      = errors.New("not a scale")
	errNotCounted = errors.New("the event is no longer counted")
	errNegative   = errors.New("the counter is below 0")
)

// pmu is a performance monitoring unit that has energy events.
type pmu struct {
	name, dir string
	kind      uint32 // perf_event_attr.type
	events    []energyOf
	// cpus are the processors on which to open the events, one for each counted part of the machine. parts are these
	// parts: "package-0", "package-1-die-0", "package-0/core-3".
	cpus  []int
	parts []perfPart
	// eachCore is true if the parts are cores.
	eachCore bool
}

// perfPart is a part of the machine on which a PMU counts: its name, and the package, die or core that it is.
type perfPart struct {
	name   string
	domain sensors.Domain
}

// energyOf is one energy event of a PMU. domain is the rest of its name, scale the energy of one count in J.
type energyOf struct {
	domain string
	config [3]uint64 // config, config1 and config2 of perf_event_attr
	scale  float64
}

// perfSource reads a group of events for each PMU and processor.
type perfSource struct {
	groups []*perfGroup
	list   []sensors.Sensor
}

// openPerf opens the PMUs that count each core, or all other PMUs.
func openPerf(setup sensors.Setup, eachCore bool) (sensors.Source, []sensors.Absence, error) {
	pmus, absences, err := energyPMUs(setup.Sys)
	if err != nil {
		return nil, nil, err
	}
	if eachCore {
		absences = nil // perf reports what could not be parsed, once
	}
	p := &perfSource{}
	times := map[string]int{}
	for _, u := range pmus {
		if u.eachCore != eachCore {
			continue
		}
		absences = append(absences, p.add(u, times)...)
	}
	switch {
	case len(p.list) > 0:
		return p, absences, nil
	case len(absences) > 0:
		return nil, absences, noneOf(absences)
	case eachCore:
		return nil, nil, unavailable(sensors.Unsupported, "no PMU counts the energy of single cores (AMD processors do since Linux 6.14)")
	}
	return nil, nil, unavailable(sensors.Unsupported, "no PMU with energy events in "+filepath.Join(setup.Sys, filepath.FromSlash(eventSources))+
		": a virtual machine, or a processor without RAPL")
}

// add opens the events of a PMU on its processors and returns the absent ones. If the first error holds for all events, it
// returns one absence, because there may be hundreds of cores.
func (p *perfSource) add(u pmu, times map[string]int) []sensors.Absence {
	var absences []sensors.Absence
	opened := len(p.list)
	for i, cpu := range u.cpus {
		var group *perfGroup
		for _, e := range u.events {
			device := perfDevice(u, e, i)
			domain := perfDomain(u, e, i)
			if times[device]++; times[device] > 1 {
				device += "#" + strconv.Itoa(times[device])
				domain = sensors.Domain{Kind: sensors.UnknownDomain}
			}
			if domain.Kind == sensors.UnknownDomain {
				domain.Part = device
			}
			s := placed("perf", device, "energy", sensors.Sensor{
				Domain: domain, Method: sensors.ByPerf,
				Unit: units.Joule, Kind: sensors.Counter, MaxRate: likelyRate, Resolution: e.scale, Update: raplUpdate,
				Source: fmt.Sprintf("perf event %s/%s%s/ on CPU %d", u.name, energyEvent, e.domain, cpu),
				Doc:    perfDoc(u, e),
			})
			if u.eachCore {
				s.MaxRate = leastRate
			}
			// Events of one PMU share a group. If the kernel refuses that, the event starts another group.
			err := errors.ErrUnsupported
			if group != nil {
				err = group.open(u.kind, e, cpu)
			}
			if err != nil {
				alone := &perfGroup{first: len(p.list)}
				if err = alone.open(u.kind, e, cpu); err == nil {
					group = alone
					p.groups = append(p.groups, group)
				}
			}
			if err != nil {
				a := absent(s, u.dir, whyNoEvent(err))
				if len(p.list) == opened && holdsForAll(err) {
					a.ID, a.Domain, a.Device = "perf/"+strings.Map(plain, u.name), sensors.Domain{}, ""
					return append(absences, a)
				}
				absences = append(absences, a)
				continue
			}
			p.list = append(p.list, s)
		}
	}
	return absences
}

// holdsForAll reports whether every event of a PMU gives this error: missing rights, a PMU that does not exist.
func holdsForAll(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOSYS)
}

// whyNoEvent explains an error of perf_event_open.
func whyNoEvent(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM):
		return &absenceError{sensors.Denied, isFiltered}
	case errors.Is(err, fs.ErrPermission):
		return &absenceError{sensors.Denied, needsPerfmon}
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.EOPNOTSUPP):
		return &absenceError{sensors.Unsupported, isElsewhere}
	case errors.Is(err, syscall.ENOSYS):
		return &absenceError{sensors.Unsupported, "no perf events in this kernel"}
	case errors.Is(err, fs.ErrInvalid): // EINVAL: the kernel has no such event on this PMU
		return &absenceError{sensors.Unsupported, err.Error()}
	}
	return err
}

// perfDevice returns the device that an event counts on the i-th processor of its PMU. It has the name that rapl gives the
// powercap zone of the same counter. If it is not known to be the same counter, the name of the PMU comes first.
func perfDevice(u pmu, e energyOf, i int) string {
	device := u.parts[i].name
	switch e.domain {
	case "pkg":
	case "cores", "core":
		if !u.eachCore {
			device += "/core"
		}
	case "ram":
		device += "/dram"
	case "gpu":
		device += "/uncore"
	case "psys":
		device = "psys"
		if of := u.parts[i].domain; of.Kind == sensors.UnknownDomain {
			device += "-" + u.parts[i].name
		} else if of.Socket != 0 {
			device += "-" + strconv.Itoa(of.Socket)
		}
	default:
		device += "/" + raplName(e.domain, "domain")
	}
	if u.name != "power" && u.name != "power_core" {
		device = raplName(u.name, "pmu") + "/" + device
	}
	return device
}

// perfDomain returns the domain of an event on the i-th processor of its PMU, equal to rapl's for the same counter.
func perfDomain(u pmu, e energyOf, i int) sensors.Domain {
	unknown := sensors.Domain{Kind: sensors.UnknownDomain}
	d := u.parts[i].domain
	if u.name != "power" && u.name != "power_core" || d.Kind == sensors.UnknownDomain {
		return unknown
	}
	if u.eachCore {
		if e.domain == "core" || e.domain == "cores" || e.domain == "pkg" {
			return d
		}
		return unknown
	}
	switch e.domain {
	case "pkg":
		return d
	case "cores", "core":
		d.Kind, d.Part = sensors.CoreDomain, "core"
	case "gpu":
		d.Kind, d.Part = sensors.CoreDomain, "uncore"
	case "ram":
		d.Kind = sensors.DRAMDomain
	case "psys":
		return sensors.Domain{Kind: sensors.PlatformDomain, Socket: d.Socket}
	default:
		return unknown
	}
	return d
}

// perfDoc describes an event.
func perfDoc(u pmu, e energyOf) string {
	name := map[string]string{"pkg": "package", "cores": "core", "core": "core", "ram": "dram", "gpu": "uncore", "psys": "psys"}[e.domain]
	switch {
	case name == "":
		return "energy that the PMU " + raplName(u.name, "pmu") + " counts as " + energyEvent + raplName(e.domain, "domain")
	case name == "core" && u.eachCore:
		return "energy of one core, part of the package's energy"
	case name == "package" && len(u.parts) > 0 && u.parts[0].domain.Die > 0:
		name += "-die-"
	}
	return raplDoc(place{}, name)
}

func (p *perfSource) Sensors() []sensors.Sensor { return p.list }

func (p *perfSource) Read(dst []float64) error {
	var first error
	read := 0
	for _, g := range p.groups {
		if err := g.read(dst[g.first : g.first+len(g.scales)]); err == nil {
			read++
		} else if first == nil {
			first = err
		}
	}
	if read > 0 {
		return nil
	}
	missing(dst)
	return first
}

func (p *perfSource) Close() error {
	for _, g := range p.groups {
		g.close()
	}
	return nil
}

// energyPMUs finds the PMUs that have energy events. A PMU whose files cannot be parsed is an absence.
func energyPMUs(sys string) ([]pmu, []sensors.Absence, error) {
	shown := filepath.Join(sys, filepath.FromSlash(eventSources))
	dir, err := reach(sys, eventSources)
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, unavailable(sensors.Unsupported, "no perf events in this kernel (no "+shown+")")
	}
	if err != nil {
		return nil, nil, unreadable(shown, err)
	}
	var pmus []pmu
	var absences []sensors.Absence
	for _, entry := range entries {
		u := pmu{name: entry.Name()}
		names := energyEvents(sys, dir, u.name)
		if len(names) == 0 {
			continue
		}
		if u.dir, err = resolve(sys, eventSources+"/"+u.name); err != nil {
			continue
		}
		refuse := func(what string, err error) {
			absences = append(absences, absentGroup("perf", "perf/"+strings.Map(plain, u.name), filepath.Join(u.dir, what), whyNoPMU(err)))
		}
		for _, name := range names {
			e, err := readEvent(u.dir, strings.TrimPrefix(name, energyEvent))
			if err != nil {
				refuse("events/"+name, err)
				continue
			}
			u.events = append(u.events, e)
		}
		if len(u.events) == 0 {
			continue
		}
		kind, err := readNumber(filepath.Join(u.dir, "type"))
		if err == nil && kind > math.MaxUint32 {
			err = errNoNumber
		}
		if err != nil {
			refuse("type", err)
			continue
		}
		u.kind = uint32(kind)
		list, err := readString(filepath.Join(u.dir, "cpumask"))
		if err == nil {
			u.cpus, err = parseCPUs(list)
		}
		if err != nil {
			refuse("cpumask", err)
			continue
		}
		u.parts, u.eachCore = perfParts(sys, u.cpus)
		pmus = append(pmus, u)
	}
	return pmus, absences, nil
}

// energyEvents lists the energy events of a PMU, sorted. A large machine has hundreds of other PMUs, and every start of ergon
// looks at all. So the kernel follows the links, except absolute ones.
func energyEvents(sys, dir, name string) []string {
	path := filepath.Join(dir, name)
	if target, err := os.Readlink(path); err == nil && filepath.IsAbs(target) {
		if path, err = resolve(sys, eventSources+"/"+name); err != nil {
			return nil
		}
	}
	f, err := os.Open(filepath.Join(path, "events"))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	names, _ := f.Readdirnames(-1)                         // names listed before an error count
	names = slices.DeleteFunc(names, func(n string) bool { // .scale, .unit, .snapshot, .per-pkg
		return len(n) == len(energyEvent) || !strings.HasPrefix(n, energyEvent) || strings.Contains(n, ".")
	})
	slices.Sort(names)
	return names
}

// whyNoPMU explains an error of a file that describes a PMU. The PMU exists even if the file does not.
func whyNoPMU(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return &absenceError{sensors.Unreadable, reason(err)}
	}
	return &absenceError{sensors.Unreadable, strings.ReplaceAll(err.Error(), "\n", ", ")}
}

// readEvent reads the files of an event: its configuration, its unit, which must be Joules, and its scale.
func readEvent(dir, domain string) (energyOf, error) {
	path := filepath.Join(dir, "events", energyEvent+domain)
	e := energyOf{domain: domain}
	text, err := readString(path)
	if err != nil {
		return e, err
	}
	unit, err := readString(path + ".unit")
	if err != nil {
		return e, err
	}
	if unit != "Joules" {
		return e, fmt.Errorf("its unit is %q and not Joules", unit)
	}
	scale, err := readString(path + ".scale")
	if err != nil {
		return e, err
	}
	if e.scale, err = parseScale(scale); err != nil {
		return e, err
	}
	e.config, err = parseEvent(text, func(term string) (string, error) {
		return readString(filepath.Join(dir, "format", term))
	})
	return e, err
}

// parseScale parses the factor from counts to the unit: a decimal number above 0 that keeps every energy finite.
func parseScale(text string) (float64, error) {
	scale, err := strconv.ParseFloat(text, 64)
	if err != nil || !(scale > 0) || math.IsInf(scale*(1<<63), 0) {
		return 0, fmt.Errorf("%w: %q", errScale, text)
	}
	return scale, nil
}

// parseEvent translates an event of sysfs, such as "event=0x02,umask=0x1", into config, config1 and config2 of
// perf_event_attr. The function format returns the text that says where a term goes, such as "config:0-7,32-35"
// (Documentation/ABI/testing/sysfs-bus-event_source-devices-format). A term without a value is 1.
func parseEvent(text string, format func(term string) (string, error)) ([3]uint64, error) {
	var config [3]uint64
	for term := range strings.SplitSeq(text, ",") {
		where, mask, value, err := parseTerm(strings.TrimSpace(term), format)
		if err != nil {
			return [3]uint64{}, fmt.Errorf("event %q: %w", text, err)
		}
		config[where] = config[where]&^mask | value
	}
	return config, nil
}

// parseTerm translates one term. It returns the index of the word of perf_event_attr, the bits in it, and their value.
func parseTerm(term string, format func(term string) (string, error)) (where int, mask, value uint64, err error) {
	name, digits, ok := strings.Cut(term, "=")
	if !ok {
		digits = "1"
	}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return 0, 0, 0, errTerm
	}
	if value, err = parseCode(digits); err != nil {
		return 0, 0, 0, err
	}
	mask = ^uint64(0)
	switch name {
	case "config":
	case "config1":
		where = 1
	case "config2":
		where = 2
	default:
		text, err := format(name)
		if err == nil {
			where, mask, err = parseFormat(text)
		}
		if err != nil {
			return 0, 0, 0, err
		}
	}
	if bits.Len64(value) > bits.OnesCount64(mask) {
		return 0, 0, 0, errTooWide
	}
	return where, mask, spread(value, mask), nil
}

// parseCode parses a number of an event: 0x02 or 2.
func parseCode(digits string) (uint64, error) {
	base := 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, errTerm
	}
	return n, nil
}

// parseFormat parses where a term goes: the index of the word of perf_event_attr, 0 for config, and the bits in it.
func parseFormat(text string) (where int, mask uint64, err error) {
	word, ranges, ok := strings.Cut(strings.TrimSpace(text), ":")
	fail := func() (int, uint64, error) { return 0, 0, fmt.Errorf("%w: %q", errFormat, text) }
	switch word {
	case "config":
	case "config1":
		where = 1
	case "config2":
		where = 2
	default:
		return fail()
	}
	if !ok {
		return fail()
	}
	for r := range strings.SplitSeq(ranges, ",") {
		low, high, isRange := strings.Cut(r, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 6)
		last, err2 := strconv.ParseUint(high, 10, 6)
		if err1 != nil || err2 != nil || first > last {
			return fail()
		}
		mask |= ^uint64(0) >> (63 - (last - first)) << first
	}
	return where, mask, nil
}

// spread moves the bits of value, lowest first, to the ones of mask.
func spread(value, mask uint64) uint64 {
	var out uint64
	for ; mask != 0; mask &= mask - 1 {
		if value&1 != 0 {
			out |= mask & -mask
		}
		value >>= 1
	}
	return out
}

// parseCPUs parses a list of processors as the kernel prints masks: "0,32" or "0-3,8", in rising order without repeats.
func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for r := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		low, high, isRange := strings.Cut(r, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 31)
		last, err2 := strconv.ParseUint(high, 10, 31)
		if err1 != nil || err2 != nil || first > last || last >= largestCPUList ||
			len(cpus) > 0 && int(first) <= cpus[len(cpus)-1] {
			return nil, fmt.Errorf("%w: %.64q", errCPUList, text)
		}
		for n := int(first); n <= int(last); n++ {
			cpus = append(cpus, n)
		}
	}
	return cpus, nil
}

// perfParts derives the parts of the machine that a PMU counts from the processors on which it is read. The parts are packages
// if there is one processor in each, else dies, else cores. The processors may be in another order than the packages. If
// the topology is unknown, the parts are named "cpu0" and so on, and are never summed.
func perfParts(sys string, cpus []int) (parts []perfPart, eachCore bool) {
	core := func(n []int) perfPart {
		name := "core-" + strconv.Itoa(n[1])
		return perfPart{
			fmt.Sprintf("package-%d/%s", n[0], name), sensors.Domain{Kind: sensors.CoreDomain, Socket: n[0], Part: name},
		}
	}
	for _, level := range []struct {
		files []string
		part  func(numbers []int) perfPart
		cores bool
	}{
		{[]string{"physical_package_id"}, func(n []int) perfPart {
			return perfPart{fmt.Sprintf("package-%d", n[0]), sensors.Domain{Kind: sensors.PackageDomain, Socket: n[0]}}
		}, false},
		{[]string{"physical_package_id", "die_id"}, func(n []int) perfPart {
			return perfPart{
				fmt.Sprintf("package-%d-die-%d", n[0], n[1]),
				sensors.Domain{Kind: sensors.PackageDomain, Socket: n[0], Die: n[1] + 1},
			}
		}, false},
		{[]string{"physical_package_id", "core_id"}, core, true},
	} {
		parts = nil
		seen := map[string]bool{}
		for _, cpu := range cpus {
			numbers, err := topology(sys, cpu, level.files...)
			if err != nil {
				break
			}
			part := level.part(numbers)
			if seen[part.name] {
				break
			}
			parts, seen[part.name] = append(parts, part), true
		}
		if len(parts) == len(cpus) {
			return parts, level.cores
		}
	}
	parts = nil
	for _, cpu := range cpus {
		parts = append(parts, perfPart{"cpu" + strconv.Itoa(cpu), sensors.Domain{Kind: sensors.UnknownDomain}})
	}
	return parts, false
}

// topology reads numbers of a processor's topology (Documentation/admin-guide/cputopology.rst). The kernel writes -1 for an
// unknown number.
func topology(sys string, cpu int, files ...string) ([]int, error) {
	var numbers []int
	for _, name := range files {
		path, err := reach(sys, fmt.Sprintf("devices/system/cpu/cpu%d/topology/%s", cpu, name))
		if err != nil {
			return nil, err
		}
		n, err := readNumber(path)
		if err != nil || n > math.MaxInt32 {
			return nil, errors.Join(errNoTopology, err)
		}
		numbers = append(numbers, int(n))
	}
	return numbers, nil
}
