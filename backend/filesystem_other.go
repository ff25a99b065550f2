//go:build !linux

package backend

import (
	"context"
	"path/filepath"
	"slices"

	gopsutil "github.com/shirou/gopsutil/v3/disk"

	"github.com/ergon-energy/ergon/sensors"
)

// openFilesystem treats each folder as a file system of its own, because it cannot tell which file system a folder is on.
func openFilesystem(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	const source = "gopsutil disk.Usage"
	var dirs []string
	var list []sensors.Sensor
	var absences []sensors.Absence
	for _, dir := range setup.Dirs {
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		s := filesystemSensor(filepath.ToSlash(dir), source)
		if slices.Contains(dirs, dir) {
			continue
		}
		if _, err := gopsutil.Usage(dir); err != nil {
			absences = append(absences, absent(s, dir, err))
			continue
		}
		dirs, list = append(dirs, dir), append(list, s)
	}
	switch {
	case len(dirs) == 0 && len(absences) > 0:
		return nil, absences, noneOf(absences)
	case len(dirs) == 0:
		return nil, nil, unavailable(sensors.NotPresent, "no folder was given")
	}
	opened, _, err := newAsked(list, func(dst []float64) error {
		for i, dir := range dirs {
			if u, err := gopsutil.Usage(dir); err == nil && u.Total > 0 {
				dst[i] = float64(u.Free)
			}
		}
		return nil
	})
	return opened, absences, err
}
