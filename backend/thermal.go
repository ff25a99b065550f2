package backend

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// thermal counts how often processors were throttled for heat. Linux counts it on Intel processors only
// (arch/x86/kernel/cpu/mce/therm_throt.c), and not in virtual machines. Each processor has a file, so they are read apart from
// the rest, and seldom.
func thermal() sensors.Backend {
	return sensors.Backend{
		Name:     "thermal",
		Doc:      "how often processors were throttled for heat",
		Alone:    true,
		First:    sensors.AtBeat,
		Interval: time.Second,
		Open:     openThermal,
	}
}

// thermalSource reads one file for each sensor.
type thermalSource struct {
	files []*file
	list  []sensors.Sensor
}

// openThermal opens cpuN/thermal_throttle/core_throttle_count of each processor, which counts for its core. It opens
// package_throttle_count of the first processor in each package.
func openThermal(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	none := unavailable(sensors.Unsupported, "the kernel counts no throttling here: not an Intel processor, or a virtual machine")
	// This check comes first because most machines have no such folder, and every start waits for it.
	if _, err := os.Lstat(filepath.Join(setup.Sys, cpus, "cpu0/thermal_throttle")); err != nil {
		return nil, nil, none
	}
	dir, err := resolve(setup.Sys, cpus)
	if err != nil {
		return nil, nil, unreadable(setup.Sys+"/"+cpus, err)
	}
	t := &thermalSource{}
	var absences []sensors.Absence
	add := func(processor, device, name string, use sensors.Use, doc, file string) (there bool) {
		s := placed("cpu", device, name, sensors.Sensor{Unit: units.Events, Kind: sensors.Counter, Use: use, Doc: doc})
		s.Source = filepath.Join(dir, processor, "thermal_throttle", file)
		f, err := open(s.Source)
		if err == nil {
			_, err = f.number()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return false
		case err != nil:
			_ = f.close() // nothing was written, and the first error says more
			absences = append(absences, absent(s, s.Source, err))
			return true
		}
		t.files, t.list = append(t.files, f), append(t.list, s)
		return true
	}
	covered := map[int]bool{} // processors whose package is in the list
	for _, n := range members(text(dir, "online")) {
		processor := "cpu" + strconv.Itoa(n)
		if !add(processor, processor, "core_throttles", sensors.CoreThrottles, "times the core was throttled for heat", "core_throttle_count") {
			break // the processor's model decides, so it holds for all
		}
		if covered[n] {
			continue
		}
		for _, sibling := range members(text(dir, processor+"/topology/core_siblings_list")) {
			covered[sibling] = true
		}
		device := "package-" + text(dir, processor+"/topology/physical_package_id")
		add(processor, device, "package_throttles", sensors.PackageThrottles, "times the package was throttled for heat", "package_throttle_count")
	}
	switch {
	case len(t.files) > 0:
		return t, absences, nil
	case len(absences) > 0:
		return nil, absences, unavailable(absences[0].Cause, "no readable count: "+absences[0].Reason)
	}
	return nil, nil, none
}

func (t *thermalSource) Sensors() []sensors.Sensor { return t.list }

func (t *thermalSource) Read(dst []float64) error { return readNumbers(t.files, 1, dst) }

func (t *thermalSource) Close() error { return closeAll(t.files) }

// readNumbers reads files of one number each and multiplies by scale. It fails only if no file can be read, because a
// processor may have gone offline.
func readNumbers(files []*file, scale float64, dst []float64) error {
	missing(dst)
	var first error
	read := 0
	for i, f := range files {
		n, err := f.number()
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		dst[i] = float64(n) * scale
		read++
	}
	if read > 0 {
		return nil
	}
	return first
}

func closeAll(files []*file) error {
	var errs error
	for _, f := range files {
		errs = errors.Join(errs, f.close())
	}
	return errs
}
