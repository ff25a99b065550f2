package backend

import (
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// disk reads the traffic of each whole device. No traffic counts twice, so the devices may be summed. Partitions are part of
// their device. Devices on top of others (LVM, RAID, encryption, a loop on a file) are left out, because the devices below
// count the same bytes. Disks in memory are left out too.
func disk() sensors.Backend {
	return sensors.Backend{
		Name:     "disk",
		Doc:      "bytes and operations of each whole device; traffic of LVM, RAID and loop devices counts at the devices below them",
		First:    sensors.AtStart,
		MayBlock: coveredFiles("diskstats", "pressure/io"),
		Open:     openDisk,
	}
}

// perDisk is the number of sensors of a device.
const perDisk = 4

// diskSensors describes a device: read, written, reads, writes.
func diskSensors(device, source string) []sensors.Sensor {
	counter := func(name string, unit units.Unit, use sensors.Use, doc string) sensors.Sensor {
		return placed("disk", device, name, sensors.Sensor{
			Unit: unit, Kind: sensors.Counter, Use: use, Source: source, Doc: doc,
		})
	}
	return []sensors.Sensor{
		counter("read", units.Byte, sensors.DiskRead, "bytes read from the device"),
		counter("written", units.Byte, sensors.DiskWritten, "bytes written to the device"),
		counter("reads", units.Operations, "", "read operations completed, adjacent ones merged"),
		counter("writes", units.Operations, "", "write operations completed, adjacent ones merged"),
	}
}
