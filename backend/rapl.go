package backend

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// rapl reads the energy counters of processors from the kernel's powercap zones: Intel's Running Average Power Limit and
// AMD's equivalent (Documentation/power/powercap/powercap.rst).
//
// The code compiles on every system. On other systems than Linux the folder does not exist, and Open says so.
func rapl() sensors.Backend {
	return sensors.Backend{
		Name:     "rapl",
		Energy:   true,
		Doc:      "energy counters of processors, memory and platform (powercap)",
		First:    sensors.AtStart,
		Baseline: true,
		Open:     openRAPL,
	}
}

var errAboveRange = errors.New("above max_energy_range_uj")

const (
	// plainControl is the control type that reads the counters from the processor's own registers.
	plainControl = "intel-rapl"

	// powercapClass has a link to every control type and zone. powercapDevices has the nested zones themselves.
	powercapClass   = "class/powercap"
	powercapDevices = "devices/virtual/powercap"

	// likelyRate is the highest plausible power in W of a zone without a maximum power: ten times the power of today's
	// largest processors. leastRate is the lowest bound for a zone with a maximum power, which may be as low as 5 W for
	// a core domain. A higher power is junk, or a reset counter.
	likelyRate = 5000
	leastRate  = 1000
	// rateMargin multiplies a zone's maximum power (constraint_*_max_power_uw, usually the TDP) to bound its real power.
	// Peaks of a few milliseconds reach two or three times the TDP.
	rateMargin = 10

	// raplUpdate is the approximate time between two counter updates (Intel SDM volume 3, "RAPL interfaces", energy
	// status registers). AMD's counters are alike. Hähnel et al. (2012) found that the steps differ in length.
	raplUpdate = time.Millisecond

	// onlyRoot is the usual reason why energy_uj cannot be read. Linux commit 949dd0104c49 (5.10) restricted it to root,
	// because power reveals what is computed.
	onlyRoot = "permission denied (root only since Linux 5.10, CVE-2020-8694)"
	// isMasked is the reason inside a container: Docker and Podman mount an empty tmpfs over
	// /sys/devices/virtual/powercap, which breaks the links in /sys/class/powercap.
	isMasked = "masked by the container: the link is broken"
)

// raplSource reads energy_uj of each zone.
type raplSource struct {
	zones []zone
	list  []sensors.Sensor
}

// zone is an open counter. top is its largest value in µJ; 0 means that it is unknown.
type zone struct {
	energy *file
	top    uint64
}

func openRAPL(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	places, err := powercapZones(setup.Sys)
	if err != nil {
		return nil, nil, err
	}
	r := &raplSource{}
	var absences []sensors.Absence
	devices := map[string]string{}         // by kernel name
	domains := map[string]sensors.Domain{} // the same
	times := map[string]int{}
	for _, p := range places {
		name := p.kernel
		if text, err := readString(filepath.Join(p.dir, "name")); err == nil && p.dir != "" {
			name = raplName(text, p.kernel)
		}
		device := raplDevice(p, name, devices)
		domain := raplDomain(p, name, domains)
		if times[device]++; times[device] > 1 { // possible in a dtpm tree; the order tells them apart
			device += "#" + strconv.Itoa(times[device])
			domain = sensors.Domain{Kind: sensors.UnknownDomain, Part: device}
		}
		if domain.Kind == sensors.UnknownDomain {
			domain.Part = device
		}
		devices[p.kernel], domains[p.kernel] = device, domain
		z, sensor, err := openZone(setup, p, device, name, domain)
		if err != nil {
			absences = append(absences, absent(sensor, sensor.Source, whyNoZone(p, err)))
			continue
		}
		r.zones, r.list = append(r.zones, z), append(r.list, sensor)
	}
	if len(r.zones) == 0 {
		return nil, absences, noneOf(absences)
	}
	return r, absences, nil
}

// whyNoZone explains the error of opening a zone.
func whyNoZone(p place, err error) error {
	switch {
	case p.dir == "":
		return &absenceError{sensors.Masked, isMasked}
	case errors.Is(err, fs.ErrPermission):
		return &absenceError{sensors.Denied, onlyRoot}
	case errors.Is(err, fs.ErrNotExist): // zones of dtpm have only power_uw
		return &absenceError{sensors.Unsupported, "the zone has no energy counter"}
	}
	return err
}

// place is the place of a zone. The kernel's name contains its parents and is unique: "intel-rapl:0:2" is zone 2 in zone 0
// of the control type intel-rapl. The numbers count zones in the order of registration; they are not socket numbers.
type place struct {
	kernel  string
	control string
	numbers []uint64
	// path is where the zone was found, relative to the root of sysfs. dir is its real folder, empty if the link to it is
	// broken.
	path, dir string
}

// parsePlace splits a kernel name. It is not ok if the name is not a zone's.
func parsePlace(kernel string) (p place, ok bool) {
	parts := strings.Split(kernel, ":")
	if len(parts) < 2 || parts[0] == "" {
		return place{}, false
	}
	p = place{kernel: kernel, control: parts[0]}
	for _, digits := range parts[1:] {
		n, rest, ok := number([]byte(digits))
		if !ok || len(rest) > 0 || strconv.FormatUint(n, 10) != digits {
			return place{}, false
		}
		p.numbers = append(p.numbers, n)
	}
	return p, true
}

// parent returns the kernel name of the zone that contains this zone, or of the control type.
func (p place) parent() string { return p.kernel[:strings.LastIndexByte(p.kernel, ':')] }

// comparePlaces sorts by control type, intel-rapl first, then by number. A zone comes after the zone that contains it.
func comparePlaces(a, b place) int {
	if plain := a.control == plainControl; plain != (b.control == plainControl) {
		if plain {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.control, b.control), slices.Compare(a.numbers, b.numbers))
}

// powercapZones finds all zones.
func powercapZones(sys string) ([]place, error) {
	root := powercapClass
	if _, err := resolve(sys, root); errors.Is(err, fs.ErrNotExist) {
		root = powercapDevices
	}
	shown := filepath.Join(sys, filepath.FromSlash(root))
	found := map[string]place{}
	switch err := gather(sys, root, true, found); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, unavailable(sensors.Unsupported, "no powercap in this kernel (no "+filepath.Join(sys, filepath.FromSlash(powercapClass))+
			"): a virtual machine, or a processor without RAPL")
	case err != nil:
		return nil, unreadable(shown, err)
	case len(found) == 0:
		return nil, unavailable(sensors.NotPresent, shown+" is empty: a virtual machine, a container that masks it, or the kernel module "+
			"intel_rapl_msr is not loaded")
	}
	return slices.SortedFunc(maps.Values(found), comparePlaces), nil
}

// gather adds the zones in a folder below sys, and the zones inside them. The class has a link to each zone. The device
// folders contain the zones nested below their control type. A copy may have either or both, so a zone may turn up twice;
// its name identifies it. Links are followed at the top only: links inside zones lead back up.
func gather(sys, path string, top bool, found map[string]place) error {
	dir, err := resolve(sys, path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		link := e.Type()&fs.ModeSymlink != 0
		p, isZone := parsePlace(e.Name())
		if !e.IsDir() && !link || !top && (link || !isZone) {
			continue
		}
		p.path = path + "/" + e.Name()
		if p.dir, err = resolve(sys, p.path); err != nil {
			p.dir = ""
		}
		if known, again := found[p.kernel]; isZone && (!again || known.dir == "") {
			found[p.kernel] = p
		}
		if p.dir != "" {
			// If a folder cannot be listed, its files cannot be opened either. Each zone then gives its own reason.
			_ = gather(sys, p.path, false, found)
		}
	}
	return nil
}

// raplDevice returns the device that a zone measures: the kernel's name such as "package-0" or "psys", below the device of
// the zone that contains it: "package-0/dram". Zones of other control types than intel-rapl may repeat the same counters,
// so the control type comes first: intel-rapl-mmio:0 is "mmio/package-0".
func raplDevice(p place, name string, devices map[string]string) string {
	if parent, ok := devices[p.parent()]; ok {
		return parent + "/" + name
	}
	if p.control == plainControl {
		return name
	}
	return strings.TrimPrefix(p.control, plainControl+"-") + "/" + name
}

// raplDomain tells what a zone measures by the name that the kernel gives it (Documentation/power/powercap/powercap.rst)
// and by the zone that contains it. The folder alone says nothing: dram is below a package, but not part of its energy.
func raplDomain(p place, name string, domains map[string]sensors.Domain) sensors.Domain {
	unknown := sensors.Domain{Kind: sensors.UnknownDomain}
	mirror := p.control == plainControl+"-mmio"
	if p.control != plainControl && !mirror {
		return unknown
	}
	in, nested := domains[p.parent()]
	if !nested {
		if d, ok := packageDomain(name); ok {
			d.Mirror = mirror
			return d
		}
	} else if in.Kind != sensors.PackageDomain {
		return unknown
	}
	d := sensors.Domain{Socket: in.Socket, Die: in.Die, Mirror: mirror}
	word, index, numbered := strings.Cut(name, "-")
	n, err := strconv.Atoi(index)
	if numbered && (err != nil || n < 0) {
		return unknown
	}
	switch word {
	case "dram":
		d.Kind = sensors.DRAMDomain
	case "core", "uncore":
		d.Kind = sensors.CoreDomain
	case "psys":
		d.Kind, d.Socket = sensors.PlatformDomain, n
		return d
	default:
		return unknown
	}
	if d.Kind == sensors.CoreDomain || numbered || !nested {
		d.Part = name
	}
	return d
}

// packageDomain reads package-N and package-N-die-M.
func packageDomain(name string) (sensors.Domain, bool) {
	rest, ok := strings.CutPrefix(name, "package-")
	socket, die, hasDie := strings.Cut(rest, "-die-")
	n, err := strconv.ParseUint(socket, 10, 31)
	if !ok || err != nil {
		return sensors.Domain{}, false
	}
	d := sensors.Domain{Kind: sensors.PackageDomain, Socket: int(n)}
	if hasDie {
		m, err := strconv.ParseUint(die, 10, 30)
		if err != nil {
			return sensors.Domain{}, false
		}
		d.Die = int(m) + 1
	}
	return d, true
}

// raplName turns the content of the file "name" into a part of an ID. An empty name, or one longer than 64 bytes, gives the
// kernel's name of the zone. Unprintable characters and those that divide IDs are replaced.
func raplName(text, kernel string) string {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 64 {
		return kernel
	}
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '_'
		}
		return plain(r)
	}, text)
}

// raplDoc describes a zone by its name.
func raplDoc(p place, name string) string {
	doc := "energy of the powercap zone " + name
	switch base, _, _ := strings.Cut(name, "-"); base {
	case "package":
		doc = "energy of a processor package: cores, caches, memory controllers and graphics, but not the memory"
		if strings.Contains(name, "-die-") {
			doc = "energy of one die of a processor package: cores, caches and memory controllers"
		}
	case "core":
		doc = "energy of the package's cores, part of the package's energy"
	case "uncore":
		doc = "energy outside the cores, usually of the graphics; part of the package's energy"
	case "dram":
		doc = "energy of the memory at the package, not part of the package's energy"
	case "psys":
		doc = "energy of the platform: the packages and more, which depends on the board"
	}
	if p.control == plainControl+"-mmio" {
		doc += "; the same counter as the zone without mmio, read another way"
	}
	return doc
}

// openZone opens a zone's counter and describes it. If that fails, the sensor's ID and Source are still right.
func openZone(setup sensors.Setup, p place, device, name string, domain sensors.Domain) (zone, sensors.Sensor, error) {
	path := filepath.Join(cmp.Or(p.dir, filepath.Join(setup.Sys, filepath.FromSlash(p.path))), "energy_uj")
	s := placed("rapl", device, "energy", sensors.Sensor{
		Domain: domain, Method: sensors.ByPowercap, Unit: units.Joule, Kind: sensors.Counter, Update: raplUpdate, Source: path, Doc: raplDoc(p, name),
	})
	energy, err := open(path)
	if err != nil {
		return zone{}, s, err
	}
	z := zone{energy: energy}
	now, err := z.read()
	if err != nil {
		return zone{}, s, errors.Join(err, energy.close())
	}
	// Without a plausible range, a wrap looks like a reset and costs the energy between two readings. Everything else
	// stays right.
	if top, err := readNumber(filepath.Join(p.dir, "max_energy_range_uj")); err == nil && top >= now {
		z.top = top
	}
	s.Wrap = float64(units.Microjoules(z.top))
	s.MaxRate = raplRate(p.dir)
	return z, s, nil
}

// raplRate returns an upper bound of the zone's power in W, from the highest power limit that can be set.
func raplRate(dir string) float64 {
	var most uint64
	for i := 0; ; i++ {
		constraint := filepath.Join(dir, "constraint_"+strconv.Itoa(i)+"_")
		if _, err := os.Stat(constraint + "name"); err != nil {
			break
		}
		if microwatts, err := readNumber(constraint + "max_power_uw"); err == nil {
			most = max(most, microwatts)
		}
	}
	if most == 0 {
		return likelyRate
	}
	return max(leastRate, rateMargin*float64(most)/1e6)
}

// readNumber reads a file of one whole number once.
func readNumber(path string) (uint64, error) {
	f, err := open(path)
	if err != nil {
		return 0, err
	}
	n, err := f.number()
	return n, errors.Join(err, f.close())
}

// read returns the counter in µJ. It repeats a failed or torn reading once, at once. A value above the range is an error.
func (z *zone) read() (uint64, error) {
	n, err := z.energy.number()
	if err != nil || z.top > 0 && n > z.top {
		n, err = z.energy.number()
	}
	if err == nil && z.top > 0 && n > z.top {
		err = errAboveRange
	}
	return n, err
}

func (r *raplSource) Sensors() []sensors.Sensor { return r.list }

func (r *raplSource) Read(dst []float64) error {
	var first error
	read, gone := 0, 0
	for i := range r.zones {
		n, err := r.zones[i].read()
		if err == nil {
			dst[i] = float64(units.Microjoules(n))
			read++
			continue
		}
		dst[i] = math.NaN()
		if errors.Is(err, syscall.ENODEV) { // the driver was unloaded; if it comes back, the file is another
			gone++
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case read > 0:
		return nil
	case gone == len(r.zones):
		return sensors.ErrGone
	}
	return first
}

func (r *raplSource) Close() error {
	var err error
	for i := range r.zones {
		err = errors.Join(err, r.zones[i].energy.close())
	}
	return err
}
