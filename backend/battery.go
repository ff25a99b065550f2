package backend

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// battery reads the power that the machine draws from its batteries, by their own gauges
// (Documentation/ABI/testing/sysfs-class-power). It covers the whole machine, including the display. There is a reading only
// while the battery discharges: the power into a battery does not tell the power of the machine.
func battery() sensors.Backend {
	return sensors.Backend{
		Name:   "battery",
		Energy: true,
		Doc:    "power drawn from batteries, and the energy left in them",
		// A reading asks the firmware. That takes milliseconds on some machines, and the firmware updates every few seconds.
		Alone:    true,
		Baseline: true,
		Interval: time.Second,
		There:    thereBattery,
		Open:     openBattery,
	}
}

// mostBattery is a power in W, and mostStored an energy in J, that no battery of a machine has. ACPI's word for "unknown"
// is far above (ACPI 6.5, 10.2.2.11: 0xffffffff mW).
const (
	mostBattery = 10_000
	mostStored  = 1e9
)

const supplyClass = "class/power_supply"

// discharging is the content of the file status while the machine runs on the battery.
const discharging = "Discharging"

// joulesPerMicrowattHour converts the unit of energy_now.
const joulesPerMicrowattHour = 3600.0 / 1e6

var errNoBattery = &absenceError{sensors.NotPresent, "the battery bay is empty"}

// cell is one battery. A file that it does not have is nil.
type cell struct {
	status *file
	// power is in µW. Without it, there are voltage in µV and current in µA.
	power, voltage, current *file
	// stored is in µWh.
	stored *file
	// discharges and idle are what status said last. Both are false if the state is unknown. failed is why it said nothing.
	discharges, idle bool
	failed           error
}

// batterySource has one or two sensors for each battery: power if status is set, stored if stored is set.
type batterySource struct {
	cells []*cell
	list  []sensors.Sensor
}

// batteries returns the names of the batteries and their folders.
func batteries(setup sensors.Setup) (names, dirs []string, err error) {
	shown := filepath.Join(setup.Sys, filepath.FromSlash(supplyClass))
	dir, err := resolve(setup.Sys, supplyClass)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, unavailable(sensors.Unsupported, "no power supplies in this kernel (no "+shown+")")
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, nil, unreadable(shown, err)
	}
	for _, e := range entries {
		supply, err := resolve(setup.Sys, supplyClass+"/"+e.Name())
		if err == nil && isBattery(supply, e.Name()) {
			names, dirs = append(names, e.Name()), append(dirs, supply)
		}
	}
	if len(dirs) == 0 {
		return nil, nil, unavailable(sensors.NotPresent, "no battery in "+shown)
	}
	return names, dirs, nil
}

// thereBattery returns nil if there is a battery. It does not read its charge.
func thereBattery(setup sensors.Setup) error {
	_, _, err := batteries(setup)
	return err
}

func openBattery(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	names, dirs, err := batteries(setup)
	if err != nil {
		return nil, nil, err
	}
	b := &batterySource{}
	var absences []sensors.Absence
	for i, dir := range dirs {
		absences = append(absences, b.add(dir, raplName(names[i], "battery"))...)
	}
	if len(b.list) > 0 {
		return b, absences, nil
	}
	return nil, absences, errors.Join(noneOf(absences), b.Close())
}

// isBattery reports whether a supply is a battery that feeds the machine, not a charger or the battery of a mouse.
func isBattery(dir, name string) bool {
	kind, err := readString(filepath.Join(dir, "type"))
	if err != nil {
		return strings.HasPrefix(name, "BAT")
	}
	scope, _ := readString(filepath.Join(dir, "scope")) // most supplies have none
	return kind == "Battery" && scope != "Device"
}

// add opens the files of a battery.
func (b *batterySource) add(dir, name string) []sensors.Absence {
	var absences []sensors.Absence
	c := &cell{}
	b.cells = append(b.cells, c)
	whole := sensors.Domain{Kind: sensors.BatteryDomain, Part: name}
	power := placed("battery", name, "power", sensors.Sensor{
		Domain: whole, Unit: units.Watt, Kind: sensors.Gauge, Range: sensors.Range{Most: mostBattery},
		Doc: "power that the whole machine draws from the battery; no reading unless a battery discharges",
	})
	stored := placed("battery", name, "stored", sensors.Sensor{
		Unit: units.Joule, Kind: sensors.Gauge, Range: sensors.Range{Most: mostStored}, Doc: "energy left in the battery, by its own gauge",
	})
	if present, err := readString(filepath.Join(dir, "present")); err == nil && present == "0" {
		return []sensors.Absence{absent(power, dir, errNoBattery)}
	}
	if err := c.openPower(dir); err != nil {
		absences = append(absences, absent(power, dir, noPower(err)))
	} else {
		power.Source = filepath.Join(dir, "voltage_now") + " and current_now"
		if c.power != nil {
			power.Source = c.power.path
		}
		b.list = append(b.list, power)
	}
	f, err := openSigned(filepath.Join(dir, "energy_now"))
	switch {
	case err == nil:
		c.stored, stored.Source = f, f.path
		b.list = append(b.list, stored)
	case errors.Is(err, fs.ErrNotExist):
		absences = append(absences, sensors.Absence{
			ID: stored.ID, Family: stored.Family, Source: dir, Cause: sensors.Unsupported,
			Reason: "the battery reports charge, not energy: no energy_now",
		})
	default:
		absences = append(absences, absent(stored, filepath.Join(dir, "energy_now"), err))
	}
	return absences
}

// noPower explains the error of openPower.
func noPower(err error) error {
	why := &absenceError{cause(err), "needs status and either power_now or voltage_now and current_now: " + reason(err)}
	if why.cause == sensors.NotPresent { // the battery is there, but does not have these files
		why.cause = sensors.Unsupported
	}
	return why
}

// openPower opens the files that give the power, all of them or none.
func (c *cell) openPower(dir string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
			*c = cell{}
		}
	}()
	if c.status, err = open(filepath.Join(dir, "status")); err != nil {
		return err
	}
	// A file counts only if it can be read. A reading that is not possible lets the others be tried first.
	var power *file
	if power, err = open(filepath.Join(dir, "power_now")); err == nil {
		var microwatts float64
		if microwatts, err = signed(power); err == nil && microwatts/1e6 <= mostBattery || temporary(err) {
			c.power = power
			return nil
		}
	}
	readable := err == nil
	if c.voltage, err = openSigned(filepath.Join(dir, "voltage_now")); err == nil {
		c.current, err = openSigned(filepath.Join(dir, "current_now"))
	}
	if err != nil && readable {
		c.power = power
		return nil
	}
	return errors.Join(err, power.close())
}

// openSigned opens a file and reads it once.
func openSigned(path string) (*file, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if _, err = signed(f); err != nil && !temporary(err) {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// signed reads the absolute value of a number. Discharge is negative in some drivers, as the kernel documents, and positive in
// others.
func signed(f *file) (float64, error) {
	b, err := f.read()
	if err != nil {
		return math.NaN(), err
	}
	n, ok := amount(b)
	if !ok {
		return math.NaN(), f.wrap(errNoNumber)
	}
	return n, nil
}

// amount parses the absolute value of a whole number.
func amount(b []byte) (float64, bool) {
	b = b[blanks(b):]
	if len(b) > 1 && b[0] == '-' && b[1] != ' ' && b[1] != '\t' {
		b = b[1:]
	}
	n, rest, ok := number(b)
	if !ok || len(bytes.TrimSpace(rest)) != 0 {
		return 0, false
	}
	return float64(n), true
}

// watts returns the power that the battery's files tell, in either direction.
func (c *cell) watts() (float64, error) {
	if c.power != nil {
		microwatts, err := signed(c.power)
		return microwatts / 1e6, err
	}
	microvolts, err := signed(c.voltage)
	if err != nil {
		return math.NaN(), err
	}
	microamperes, err := signed(c.current)
	return microvolts / 1e6 * (microamperes / 1e6), err
}

// drawn returns the power drawn from the battery. What discharges gives more than 0 W. A battery that does not discharge
// gives 0 W while another one feeds the machine, else NaN. If its state is unknown, it gives nothing if its power is 0.
func (c *cell) drawn(another bool) (float64, error) {
	if c.failed != nil {
		return math.NaN(), c.failed
	}
	switch w, err := c.watts(); {
	case c.discharges && !(w > 0):
		return math.NaN(), err
	case c.discharges:
		return w, err
	case another && (c.idle || w == 0):
		return 0, nil
	}
	return math.NaN(), nil
}

// look reads what state the battery is in.
func (c *cell) look() {
	if c.status == nil {
		return
	}
	var text []byte
	text, c.failed = c.status.read()
	text = bytes.TrimSpace(text)
	c.discharges = string(text) == discharging
	c.idle = string(text) == "Charging" || string(text) == "Not charging" || string(text) == "Full"
}

func (b *batterySource) Sensors() []sensors.Sensor { return b.list }

func (b *batterySource) Read(dst []float64) error {
	missing(dst)
	feeds := false // a battery feeds the machine
	for _, c := range b.cells {
		c.look()
		feeds = feeds || c.discharges
	}
	var first error
	i, answered := 0, false
	put := func(v float64, err error) {
		dst[i] = v
		i++
		answered = answered || err == nil
		if first == nil {
			first = err
		}
	}
	for _, c := range b.cells {
		if c.status != nil {
			put(c.drawn(feeds))
		}
		if c.stored != nil {
			n, err := signed(c.stored)
			put(n*joulesPerMicrowattHour, err)
		}
	}
	if answered { // also if a battery does not discharge
		return nil
	}
	return first
}

// close closes the battery's files. A nil file is not open.
func (c *cell) close() error {
	var err error
	for _, f := range []*file{c.status, c.power, c.voltage, c.current, c.stored} {
		err = errors.Join(err, f.close())
	}
	return err
}

func (b *batterySource) Close() error {
	var err error
	for _, c := range b.cells {
		err = errors.Join(err, c.close())
	}
	return err
}
