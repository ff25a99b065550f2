package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// hwmon reads the power and energy meters of chips on the board: ACPI power meters (also of NVIDIA's Grace modules), INA
// current monitors, graphics cards, amd_energy (Documentation/hwmon/sysfs-interface.rst). Every chip with a meter is used,
// whatever its driver. Only the label tells what a meter covers. Meters overlap each other and the counters of rapl.
func hwmon() sensors.Backend {
	return sensors.Backend{
		Name:   "hwmon",
		Energy: true,
		Doc:    "power and energy meters on the board: ACPI, Grace, INA, graphics cards",
		// A driver may wait for its chip on a slow bus, or for the firmware.
		Alone:    true,
		Baseline: true,
		There:    thereHWMon,
		Open:     openHWMon,
	}
}

// thereHWMon returns nil if a chip has a meter. It reads no meter.
func thereHWMon(setup sensors.Setup) error {
	chips, err := hwmonChips(setup.Sys)
	if err != nil {
		return err
	}
	for _, c := range chips {
		if meters, err := c.meters(setup.Sys); err != nil || len(meters) > 0 {
			return nil //nolint:nilerr // a chip that cannot be read may have a meter
		}
	}
	return noMeter(setup.Sys)
}

// noMeter returns the error if no chip has a meter.
func noMeter(sys string) error {
	return unavailable(sensors.NotPresent, "no chip in "+filepath.Join(sys, filepath.FromSlash(hwmonClass))+" measures power or energy")
}

const hwmonClass = "class/hwmon"

// mostBoard is a power in W that no board draws. ACPI's word for an error is far above: 0xffffffff mW.
const mostBoard = 100_000

// hwmonSource reads the file of each meter, in µW or µJ.
type hwmonSource struct {
	files []*file
	list  []sensors.Sensor
}

// chip is one hwmonN.
type chip struct {
	// number is N, which changes from boot to boot. name comes from the driver. instance tells chips of one name apart by
	// their device, such as 0000:03:00.0 or ACPI000D:01.
	number         int
	name, instance string
	// path is the folder, relative to the root of sysfs.
	path string
}

// meter is one channel of a chip, such as power1 or energy3, and its files, the best first.
type meter struct {
	energy bool
	number int
	files  []meterFile
}

// meterFile is a file with the reading of a channel. average means that the chip averages it.
type meterFile struct {
	average bool
	path    string
}

func openHWMon(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	chips, err := hwmonChips(setup.Sys)
	if err != nil {
		return nil, nil, err
	}
	h := &hwmonSource{}
	var absences []sensors.Absence
	ids, files := map[string]int{}, map[string]bool{}
	for _, c := range chips {
		meters, err := c.meters(setup.Sys)
		if err != nil {
			absences = append(absences, absentGroup("hwmon", "hwmon/"+c.instance, filepath.Join(setup.Sys, c.path), err))
			continue
		}
		for _, m := range meters {
			source, err := resolve(setup.Sys, m.files[0].path)
			if err != nil || files[source] { // two chips of one device show the same files
				continue
			}
			files[source] = true
			s, f, err := openMeter(setup.Sys, c, m, ids)
			if err != nil {
				absences = append(absences, absent(s, s.Source, err))
				continue
			}
			h.files, h.list = append(h.files, f), append(h.list, s)
		}
	}
	switch {
	case len(h.files) > 0:
		return h, absences, nil
	case len(absences) > 0:
		return nil, absences, noneOf(absences)
	}
	return nil, nil, noMeter(setup.Sys)
}

// openMeter opens the first file of a channel that has a possible reading. If there is none, it opens the first that can be
// read, because its reading may become possible. The error is that of the best file.
func openMeter(sys string, c chip, m meter, ids map[string]int) (s sensors.Sensor, f *file, err error) {
	described := hwmonSensor(sys, c, m, ids)
	for i, candidate := range m.files {
		this, next, possible, failed := described.open(sys, candidate)
		switch {
		case failed != nil && i == 0:
			s, err = this, failed
		case failed != nil:
		case possible:
			return this, next, f.close()
		case f == nil:
			s, f = this, next
		default:
			_ = next.close() // it was only read from
		}
	}
	if f != nil {
		return s, f, nil
	}
	return s, nil, err
}

// open opens a file of the channel, and tells whether it has a possible reading.
func (s meterSensor) open(sys string, from meterFile) (this sensors.Sensor, f *file, possible bool, err error) {
	this = s.Sensor
	if from.average {
		this.Doc = s.averaged
	}
	if this.Source, err = resolve(sys, from.path); err != nil {
		return this, nil, false, err
	}
	if f, err = open(this.Source); err != nil {
		return this, nil, false, err
	}
	n, err := f.number()
	switch {
	case temporary(err):
		return this, f, false, nil
	case err != nil:
		_ = f.close() // nothing was written, and the first error says more
		return this, nil, false, err
	}
	return this, f, this.Kind == sensors.Counter || this.Range.Holds(watts(n)), nil
}

// temporary reports whether an error is temporary: a busy bus, a sleeping graphics card.
func temporary(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ETIMEDOUT)
}

// hwmonChips lists the chips. It gives each an instance that stays the same from boot to boot, as far as the kernel has one.
func hwmonChips(sys string) ([]chip, error) {
	shown := filepath.Join(sys, filepath.FromSlash(hwmonClass))
	dir, err := resolve(sys, hwmonClass)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unavailable(sensors.Unsupported, "no hardware monitoring in this kernel (no "+shown+")")
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, unreadable(shown, err)
	}
	var chips []chip
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "hwmon")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil {
			continue
		}
		c := chip{number: n, path: hwmonClass + "/" + e.Name()}
		c.name = e.Name()
		for _, file := range []string{"/name", "/device/name"} {
			named, err := resolve(sys, c.path+file)
			if err != nil {
				continue
			}
			if text, err := readString(named); err == nil {
				c.name = raplName(text, e.Name())
				break
			}
		}
		c.instance = c.name
		if device, err := resolve(sys, c.path+"/device"); err == nil {
			if filepath.Base(filepath.Dir(device)) == "power_supply" {
				continue // battery reads it
			}
			c.instance += "-" + raplName(filepath.Base(device), "device")
		}
		chips = append(chips, c)
	}
	slices.SortFunc(chips, func(a, b chip) int {
		if order := strings.Compare(a.instance, b.instance); order != 0 {
			return order
		}
		return a.number - b.number
	})
	times := map[string]int{}
	for i := range chips {
		c := &chips[i]
		if times[c.instance]++; times[c.instance] > 1 {
			c.instance += "#" + strconv.Itoa(times[c.instance])
		}
	}
	return chips, nil
}

// meters lists the channels of power and energy, in order. The files are in the chip's folder, or with older drivers in the
// device's folder. If a power has an average over the meter's interval, the average is preferred: between readings it misses
// less than momentary values do.
func (c chip) meters(sys string) ([]meter, error) {
	found := map[string]meter{}
	for i, folder := range []string{c.path, c.path + "/device"} {
		dir, err := resolve(sys, folder)
		if err != nil {
			if i > 0 {
				continue
			}
			return nil, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			if i > 0 {
				continue
			}
			return nil, err
		}
		for _, e := range entries {
			m, ok := parseMeter(e.Name())
			if !ok {
				continue
			}
			known := found[m.channel()]
			m.files[0].path = folder + "/" + e.Name()
			m.files = append(known.files, m.files...)
			found[m.channel()] = m
		}
	}
	var meters []meter
	for _, m := range found {
		slices.SortStableFunc(m.files, func(a, b meterFile) int {
			switch {
			case a.average == b.average:
				return 0
			case a.average:
				return -1
			}
			return 1
		})
		meters = append(meters, m)
	}
	slices.SortFunc(meters, func(a, b meter) int {
		if a.energy != b.energy {
			return strings.Compare(a.channel(), b.channel())
		}
		return a.number - b.number
	})
	return meters, nil
}

// channel returns the prefix of the names of a meter's files.
func (m meter) channel() string {
	if m.energy {
		return "energy" + strconv.Itoa(m.number)
	}
	return "power" + strconv.Itoa(m.number)
}

// parseMeter parses the name of a file. It is not ok if the file is not a reading of power or energy.
func parseMeter(name string) (m meter, ok bool) {
	channel, item, ok := strings.Cut(name, "_")
	if !ok || item != "input" && item != "average" {
		return meter{}, false
	}
	digits, ok := strings.CutPrefix(channel, "power")
	if !ok {
		if digits, ok = strings.CutPrefix(channel, "energy"); !ok || item != "input" {
			return meter{}, false
		}
		m.energy = true
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return meter{}, false
	}
	m.number, m.files = int(n), []meterFile{{average: item == "average"}}
	return m, m.channel() == channel
}

// meterSensor is the sensor of a channel, before its file is chosen.
type meterSensor struct {
	sensors.Sensor
	averaged string // the doc of an average
}

// hwmonSensor describes a meter: by its label, by the maker's text of an ACPI meter, or else by its channel.
func hwmonSensor(sys string, c chip, m meter, ids map[string]int) meterSensor {
	label := m.channel()
	for _, item := range []string{"_label", "_oem_info"} {
		if file, err := resolve(sys, path.Dir(m.files[0].path)+"/"+m.channel()+item); err == nil {
			if text, err := readString(file); err == nil && text != "" {
				label = raplName(text, label)
				break
			}
		}
	}
	name := "power"
	device := c.instance + "/" + label
	s := sensors.Sensor{
		Unit: units.Watt, Kind: sensors.Gauge, Range: sensors.Range{Most: mostBoard},
		Doc: fmt.Sprintf("power at %s of the chip %s", label, c.name),
	}
	if m.energy {
		name = "energy"
		s = sensors.Sensor{
			Unit: units.Joule, Kind: sensors.Counter, MaxRate: likelyRate,
			Doc: fmt.Sprintf("energy counted at %s of the chip %s", label, c.name),
		}
	}
	if ids[device+name]++; ids[device+name] > 1 {
		device += "#" + strconv.Itoa(ids[device+name])
	}
	s.Domain = c.domain(label, device)
	// The machine, its modules and processors run. A rail of a chip may be off.
	s.Range.Runs = !m.energy && s.Domain.Kind != sensors.UnknownDomain
	s = placed("hwmon", device, name, s)
	return meterSensor{s, s.Doc + ", averaged by the chip"}
}

// watts converts a reading in µW. 0xffffffff is a driver's word for an error.
func watts(n uint64) float64 {
	if n == math.MaxUint32 {
		return math.NaN()
	}
	return float64(n) / 1e6
}

// domain tells what a channel of the chip measures. The driver amd_energy shows the processors' own counters
// (Documentation/hwmon/amd_energy.rst of Linux 5.8 to 5.12). ACPI power meters of NVIDIA's Grace have names
// (power1_oem_info, "Grace Power Socket 0"; NVIDIA Grace CPU Performance Tuning Guide, "Power Telemetry"). The module
// contains everything, Grace is the processor with its memory, and CPU and SysIO are parts of it. An ACPI power meter
// without such a name measures the machine. For other chips, only the board's maker knows what is measured.
func (c chip) domain(label, device string) sensors.Domain {
	d := sensors.Domain{Kind: sensors.UnknownDomain, Part: device}
	if c.name == "amd_energy" {
		if digits, ok := strings.CutPrefix(label, "Esocket"); ok {
			if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
				return sensors.Domain{Kind: sensors.PackageDomain, Socket: int(n)}
			}
		}
		if digits, ok := strings.CutPrefix(label, "Ecore"); ok {
			if _, err := strconv.ParseUint(digits, 10, 31); err == nil {
				return sensors.Domain{Kind: sensors.CoreDomain, Socket: -1, Part: device} // its package is unknown
			}
		}
		return d
	}
	words := strings.FieldsFunc(strings.ToLower(c.name+" "+label), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	has := func(word string) bool { return slices.Contains(words, word) }
	switch {
	case has("socket") && has("module"):
		d.Kind = sensors.ModuleMeter
	case has("socket") && has("grace"):
		d.Kind = sensors.SocketMeter
	case has("socket") && (has("cpu") || has("sysio")):
		d.Kind = sensors.SocketPartMeter
	case has("power") && has("meter"):
		d.Kind = sensors.MachineMeter
	}
	if has("socket") {
		if n, err := strconv.ParseUint(words[len(words)-1], 10, 31); err == nil {
			d.Socket = int(n)
		}
	}
	return d
}

func (h *hwmonSource) Sensors() []sensors.Sensor { return h.list }

func (h *hwmonSource) Read(dst []float64) error {
	missing(dst)
	var first error
	read, gone := 0, 0
	for i, f := range h.files {
		n, err := f.number()
		if err == nil {
			dst[i] = float64(n) / 1e6
			if h.list[i].Kind == sensors.Gauge {
				dst[i] = watts(n)
			}
			read++
			continue
		}
		if errors.Is(err, syscall.ENODEV) {
			gone++
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case read > 0:
		return nil
	case gone == len(h.files):
		return sensors.ErrGone
	}
	return first
}

func (h *hwmonSource) Close() error {
	var err error
	for _, f := range h.files {
		err = errors.Join(err, f.close())
	}
	return err
}
