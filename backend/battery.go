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
		Name: "battery",
		Doc:  "power drawn from batteries, and the energy left in them",
		// A reading asks the firmware. That takes milliseconds on some machines, and the firmware updates every few seconds.
		Alone:    true,
		Baseline: true,
		Interval: time.Second,
		There:    thereBattery,
		Open:     openBattery,
	}
}

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
		Domain: whole, Unit: units.Watt, Kind: sensors.Gauge,
		Doc: "power that the whole machine draws from the battery; no reading unless the battery discharges",
	})
	stored := placed("battery", name, "stored", sensors.Sensor{
		Unit: units.Joule, Kind: sensors.Gauge, Doc: "energy left in the battery, by its own gauge",
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
	f, err := open(filepath.Join(dir, "energy_now"))
	if err == nil {
		if _, err = f.number(); err != nil {
			_ = f.close() // nothing was written, and the first error says more
		}
	}
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
	if c.power, err = open(filepath.Join(dir, "power_now")); err == nil {
		if _, err = signed(c.power); err == nil || temporary(err) {
			return nil
		}
		if err = c.power.close(); err != nil {
			return err
		}
		c.power = nil
	}
	if c.voltage, err = open(filepath.Join(dir, "voltage_now")); err != nil {
		return err
	}
	c.current, err = open(filepath.Join(dir, "current_now"))
	return err
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

// watts returns the power drawn from the battery, NaN if it does not discharge.
func (c *cell) watts() (float64, error) {
	status, err := c.status.read()
	if err != nil {
		return math.NaN(), err
	}
	if string(bytes.TrimSpace(status)) != discharging {
		return math.NaN(), nil
	}
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

func (b *batterySource) Sensors() []sensors.Sensor { return b.list }

func (b *batterySource) Read(dst []float64) error {
	missing(dst)
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
			put(c.watts())
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
