package backend

import (
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// filesystem reads the free space of the file systems of Setup.Dirs. It reads alone, because a call to a network file system
// without its server does not return.
func filesystem() sensors.Backend {
	return sensors.Backend{
		Name:  "filesystem",
		Doc:   "free space of the file systems of the working folder and the results folder",
		Alone: true,
		First: sensors.AtBeat,
		// Free space changes slowly, and its own lane has a cost.
		Interval: time.Second,
		Open:     openFilesystem,
	}
}

// filesystemSensor describes the free space of the file system mounted at mount.
func filesystemSensor(mount, source string) sensors.Sensor {
	return placed("disk", sensors.FileSystem(mount), "free", sensors.Sensor{
		Unit: units.Byte, Kind: sensors.Gauge, Source: source,
		Doc: "free space that users other than root may use",
	})
}
