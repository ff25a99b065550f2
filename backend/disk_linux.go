package backend

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// sector is the unit of /proc/diskstats in bytes, whatever the device's own sector size (Documentation/block/stat.rst).
const sector = 512

// diskSource reads /proc/diskstats, a line for each device and partition:
//
//	254       0 vda 77572 26881 2757906 11364 9130 31271 1806096 5524 0 5716 17075 …
//
// The fields after the name are reads completed, reads merged, sectors read, ms reading, and the same for writes
// (Documentation/admin-guide/iostats.rst). A device that is unplugged has no line and reads NaN.
type diskSource struct {
	diskstats *file
	list      []sensors.Sensor
	// slot is the place of each device, by its name in diskstats.
	slot map[string]int
	// pressure is the last reading, if the kernel has it.
	pressure pressure
}

func openDisk(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	diskstats, err := openQuick(setup.Proc, "diskstats")
	if err != nil {
		return nil, nil, unreadable(setup.Proc+"/diskstats", err)
	}
	d := &diskSource{diskstats: diskstats, slot: map[string]int{}}
	fail := func(err error) (sensors.Source, []sensors.Absence, error) {
		return nil, nil, errors.Join(err, d.Close())
	}
	b, err := diskstats.read()
	if err != nil {
		return fail(unreadable(diskstats.path, err))
	}
	counts := map[string][perDisk]float64{}
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		if name, c, ok := diskLine(l); ok {
			counts[string(name)] = c
		}
	}
	dir, err := reach(setup.Sys, "block")
	if err != nil {
		return fail(unreadable(setup.Sys+"/block", err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fail(unreadable(dir, err))
	}
	for _, e := range entries {
		device := e.Name()
		name := strings.ReplaceAll(device, "!", "/") // sysfs writes cciss!c0d0 for cciss/c0d0
		if c, ok := counts[name]; !ok || !wanted(setup, device, c, counts) {
			continue
		}
		d.slot[name] = len(d.slot)
		d.list = append(d.list, inSteps(diskSensors(device, diskstats.path), units.Byte, sector)...)
	}
	if len(d.list) == 0 {
		return fail(unavailable(sensors.NotPresent, "no disk in "+dir))
	}
	if p, ok := openPressure(setup, "io"); ok {
		d.pressure = p
		d.list = append(d.list, p.sensor("disk", sensors.DiskPressure, "time in which some task waited for a disk"))
	}
	return d, nil, nil
}

// wanted tells whether a device of /sys/block is read. It is not if its traffic also counts at another device, or if it is
// memory or empty.
func wanted(setup sensors.Setup, device string, own [perDisk]float64, all map[string][perDisk]float64) bool {
	// loop is on a file and zd on a ZFS pool, although they have no slaves. ram and zram are memory.
	if notADisk(device) {
		return false
	}
	attribute := func(name string) string {
		path, err := reach(setup.Sys, "block/"+device+"/"+name)
		if err != nil {
			return ""
		}
		s, err := readString(path)
		if err != nil {
			return ""
		}
		return s
	}
	// An empty device, such as a card reader without a card or an nbd without a server.
	if own == [perDisk]float64{} && attribute("size") == "0" {
		return false
	}
	if path, err := reach(setup.Sys, "block/"+device+"/slaves"); err == nil {
		if under, err := os.ReadDir(path); err == nil && len(under) > 0 {
			return false
		}
	}
	// The paths of a multipath NVMe disk nvme0n1 are hidden devices nvme0c0n1, nvme0c1n1. Newer kernels count the traffic
	// at the disk and at the path, older ones at the path only.
	if attribute("hidden") == "1" {
		head, tail, _ := strings.Cut(device, "c")
		if i := strings.LastIndexByte(tail, 'n'); i >= 0 {
			return all[head+tail[i:]] == [perDisk]float64{}
		}
	}
	return true
}

// diskLine splits a line into the device's name and the values of diskSensors.
func diskLine(l []byte) (name []byte, v [perDisk]float64, ok bool) {
	_, l = word(l)
	_, l = word(l)
	name, l = word(l)
	var f [7]uint64
	for i := range f {
		if f[i], l, ok = number(l); !ok {
			return nil, v, false
		}
	}
	return name, [perDisk]float64{
		float64(f[2]) * sector, float64(f[6]) * sector, float64(f[0]), float64(f[4]),
	}, true
}

func (d *diskSource) Sensors() []sensors.Sensor { return d.list }

func (d *diskSource) Read(dst []float64) error {
	b, err := d.diskstats.read()
	if err != nil {
		missing(dst)
		return err
	}
	d.parse(b, dst)
	if d.pressure.f != nil {
		dst[len(dst)-1] = d.pressure.read()
	}
	return nil
}

func (d *diskSource) parse(b []byte, dst []float64) {
	missing(dst)
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		name, v, ok := diskLine(l)
		if !ok {
			continue
		}
		if at, ok := d.slot[string(name)]; ok {
			copy(dst[at*perDisk:], v[:])
		}
	}
}

func (d *diskSource) Close() error { return errors.Join(d.diskstats.close(), d.pressure.f.close()) }
