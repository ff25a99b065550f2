package perun

import (
	"encoding/binary"
	"fmt"
	"hash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// The devices, as perun stores them.
const (
	ofSocket = "socket"
	ofCPU    = "cpu"
	ofSystem = "sysio"
	ofGPU    = "gpu"
	ofRAM    = "ram"
	ofDisk   = "disk"
	ofNet    = "net"
)

// likelyRate is the highest plausible power of a zone in W; see backend/rapl.go. raplUpdate is about the time between two
// updates of a counter.
const (
	likelyRate = 5000
	raplUpdate = time.Millisecond
)

// hostOf collects what was recorded on a host. It adds all of it to the digest.
func hostOf(round, n node, start time.Time, interval time.Duration, version string, sum hash.Hash) Host {
	h := Host{Machine: datamodel.HostInfo{Name: n.ID}}
	if round.fact("hostname") == n.ID { // perun describes the host of rank 0 alone
		h.Machine.OS, h.Machine.Kernel = platform(round.fact("platform"))
		h.Machine.CPU = round.fact("processor")
		h.Machine.Cores, _ = strconv.Atoi(round.fact("core_count"))
	}
	write(sum, n.ID)
	wall := math.NaN()
	for _, group := range n.Nodes {
		if group.Type != groupNode {
			continue
		}
		for _, s := range group.Nodes {
			if s.Type != sensorNode || s.Raw == nil {
				continue
			}
			sensor := sensorOf(s, version)
			r, err := readingsOf(s, sensor)
			if err != nil {
				h.Missing = append(h.Missing, sensors.Absence{
					ID: sensor.ID, Family: sensor.Family, Device: sensor.Device, Source: sensor.Source, Domain: sensor.Domain,
					Cause: sensors.Unreadable, Reason: err.Error(),
				})
				continue
			}
			r.add(sum, sensor.ID)
			if sensor.Use == sensors.MemoryUsed {
				h.Machine.Memory, _ = strconv.ParseUint(s.fact("total"), 10, 64)
			}
			if n := len(r.at); n > 0 && !(r.at[n-1].Seconds() <= wall) {
				wall = r.at[n-1].Seconds()
			}
			h.put(sensor, r, store.SpoolHeader{Host: n.ID, Interval: interval, Anchor: start, Version: version})
		}
	}
	if !math.IsNaN(wall) && wall > 0 {
		h.Ledger.WallTime, h.Ledger.WallTimeSource = &wall, version+": from its first reading to its last"
	}
	h.Missing = append(h.Missing, notKept(version)...)
	return h
}

// platform splits what Python says about the system: Linux-6.1.0-13-amd64-x86_64-with-glibc2.36.
func platform(text string) (system, kernel string) {
	system, rest, _ := strings.Cut(text, "-")
	kernel, _, _ = strings.Cut(rest, "-with-")
	return strings.ToLower(system), kernel
}

// notKept lists what perun never records.
func notKept(version string) []sensors.Absence {
	var list []sensors.Absence
	for _, m := range []struct{ family, reason string }{
		{"target", "keeps figures of the machine only"},
		{"cpu", "keeps the use of each CPU as a percentage, and no CPU times"},
		{"disk", "may count a partition beside its disk, so nothing is summed"},
		{"network", "counts loopback too, so nothing is summed"},
		{"profiler", "does not keep its own cost"},
	} {
		list = append(list, sensors.Absence{ID: m.family, Family: m.family, Cause: sensors.Unsupported, Reason: version + " " + m.reason})
	}
	return list
}

// readings are those of one sensor, in its unit. NaN is no reading.
type readings struct {
	at     []time.Duration
	values []float64
}

// readingsOf returns the readings of a sensor in the order of time.
func readingsOf(s node, of sensors.Sensor) (readings, error) {
	values, about := s.Raw.Values, s.Raw.AboutValues
	if of.Kind == sensors.Counter && len(s.Raw.Counter) > 0 && s.Raw.AboutCounter != nil {
		values, about = s.Raw.Counter, *s.Raw.AboutCounter
	}
	if len(values) != len(s.Raw.Times) {
		return readings{}, fmt.Errorf("%d readings have %d times", len(values), len(s.Raw.Times))
	}
	var r readings
	for i, t := range s.Raw.Times {
		if t == nil {
			continue
		}
		at := time.Duration(math.Round(*t * s.Raw.AboutTimes.Factor * float64(time.Second)))
		if n := len(r.at); n > 0 && at <= r.at[n-1] { // perun's times are 32 bits: after days, several are the same
			continue
		}
		r.at, r.values = append(r.at, at), append(r.values, reading(values[i], about, of))
	}
	if len(r.at) == 0 {
		return readings{}, fmt.Errorf("no readings")
	}
	return r, nil
}

// reading returns a number in the unit of a sensor. perun writes 0 for an energy or a power that it could not read.
func reading(v *float64, about about, of sensors.Sensor) float64 {
	if v == nil || *v == 0 && (of.Unit == units.Joule || of.Unit == units.Watt) {
		return math.NaN()
	}
	switch {
	case about.Unit == "%":
		return *v / 100
	case !(about.Factor > 0): // the file does not say how large its unit is
		return math.NaN()
	case about.Factor < 1: // by division: 1e-6 has no exact inverse
		return *v / math.Round(1/about.Factor)
	}
	return *v * about.Factor
}

// add adds the readings to a digest.
func (r readings) add(sum hash.Hash, id string) {
	write(sum, id)
	_ = binary.Write(sum, binary.LittleEndian, r.at) // a hash never fails
	_ = binary.Write(sum, binary.LittleEndian, r.values)
}

// put adds a sensor with its readings to the rows of its family. Sensors of a family that were read at other times get a
// source of their own.
func (h *Host) put(s sensors.Sensor, r readings, header store.SpoolHeader) {
	for i := range h.Rows {
		rows := &h.Rows[i]
		if rows.Header.Sensors[0].Family != s.Family || !slices.Equal(rows.At, r.at) {
			continue
		}
		n := len(rows.Header.Sensors)
		wide := make([]float64, 0, len(rows.Values)+len(r.values))
		for i, v := range r.values {
			wide = append(append(wide, rows.Values[i*n:(i+1)*n]...), v)
		}
		rows.Header.Sensors, rows.Values = append(rows.Header.Sensors, s), wide
		return
	}
	header.Source = s.Family
	for n := 2; slices.ContainsFunc(h.Rows, func(r store.Rows) bool { return r.Header.Source == header.Source }); n++ {
		header.Source = s.Family + "-" + strconv.Itoa(n)
	}
	header.Sensors = []sensors.Sensor{s}
	h.Rows = append(h.Rows, store.Rows{Header: header, At: r.at, Values: r.values})
}

// sensorOf describes a sensor of perun as one of ergon. What perun's types do not tell is read from its ids, which are
// perun's only place for it.
func sensorOf(n node, version string) sensors.Sensor {
	unit := n.Raw.AboutValues.Unit
	if a := n.Raw.AboutCounter; a != nil && len(n.Raw.Counter) > 0 {
		unit = a.Unit
	}
	s := sensors.Sensor{Name: n.ID, Source: version + ": " + n.ID, Doc: "imported from perun"}
	switch {
	case unit == "J":
		energyOf(n, &s)
	case unit == "W" && n.Device == ofGPU:
		s.Family, s.Device, s.Name, s.Use = "gpu", gpuOf(n), "power", sensors.GPUPower
		s.Domain = sensors.Domain{Kind: sensors.GPUDomain, GPU: s.Device}
		s.Unit, s.Range = units.Watt, sensors.Range{Runs: true}
	case unit == "W":
		s.Family, s.Device, s.Name, s.Unit = "hwmon", n.ID, "power", units.Watt
		s.Domain = sensors.Domain{Kind: meterOf(n.Device), Part: n.ID}
	case unit == "B" && n.Device == ofGPU:
		s.Family, s.Device, s.Name, s.Unit, s.Use = "gpu", gpuOf(n), "memory_used", units.Byte, sensors.GPUMemory
	case unit == "B" && n.Device == ofRAM:
		s.Family, s.Name, s.Unit, s.Use = "memory", "used", units.Byte, sensors.MemoryUsed
	case unit == "B" && (n.Device == ofDisk || n.Device == ofNet):
		s.Kind, s.Unit = sensors.Counter, units.Byte
		s.Family, s.Device, s.Name = bytesOf(n)
	case unit == "%":
		s.Family, s.Device, s.Name, s.Unit = familyOf(n.Device), indexed(n.ID, "cpu"), "usage", units.Ratio
	case unit == "Hz" && n.Device == ofGPU:
		s.Family, s.Device, s.Unit = "gpu", gpuOf(n), units.Hertz
		_, clock, _ := strings.Cut(n.ID, "_")
		s.Name = strings.ToLower(clock)
	case unit == "Hz":
		s.Family, s.Device, s.Name, s.Unit = familyOf(n.Device), indexed(n.ID, "cpu"), "frequency", units.Hertz
	default:
		s.Family, s.Unit = "other", units.Ratio
	}
	s.ID = s.Family + "/" + s.Name
	if s.Device != "" {
		s.ID = s.Family + "/" + s.Device + "/" + s.Name
	}
	return s
}

// energyOf describes an energy counter: cpu_0_package-0, ram_0_dram.
func energyOf(n node, s *sensors.Sensor) {
	s.Family, s.Name, s.Kind, s.Unit, s.Method = "rapl", "energy", sensors.Counter, units.Joule, sensors.ByPowercap
	s.MaxRate, s.Resolution, s.Update = likelyRate, 1e-6, raplUpdate
	if a := n.Raw.AboutCounter; a != nil && a.Most != nil {
		s.Wrap = *a.Most * a.Factor
	} else if a := n.Raw.AboutValues; a.Unit == "J" && a.Most != nil {
		s.Wrap = *a.Most * a.Factor
	}
	s.Device, s.Domain = n.ID, sensors.Domain{Kind: sensors.UnknownDomain, Part: n.ID}
	parts := strings.SplitN(n.ID, "_", 3)
	if len(parts) < 3 {
		return
	}
	socket, err := strconv.Atoi(parts[1])
	switch name := parts[2]; {
	case err != nil:
	case n.Device == ofCPU && name == fmt.Sprintf("package-%d", socket):
		s.Device, s.Domain = name, sensors.Domain{Kind: sensors.PackageDomain, Socket: socket}
	case n.Device == ofRAM && name == "dram":
		s.Device, s.Domain = fmt.Sprintf("package-%d-dram", socket), sensors.Domain{Kind: sensors.DRAMDomain, Socket: socket}
	}
}

// gpuOf returns the UUID of a GPU. Without one it returns perun's name: CUDA:0.
func gpuOf(n node) string {
	if id := n.fact("uuid"); id != "" {
		return id
	}
	name, _, _ := strings.Cut(n.ID, "_")
	return name
}

// meterOf returns what a power meter of the board measures.
func meterOf(device string) sensors.DomainKind {
	switch device {
	case ofSocket:
		return sensors.SocketMeter
	case ofCPU, ofSystem:
		return sensors.SocketPartMeter
	}
	return sensors.UnknownDomain
}

// bytesOf returns the family, the device and the name of a counter of bytes: NET_READ_BYTES_eth0, DISK_WRITE_BYTES.
func bytesOf(n node) (family, device, name string) {
	family, names := "disk", [2]string{"read", "write"}
	if n.Device == ofNet {
		family, names = "network", [2]string{"receive", "transmit"}
	}
	name = names[1]
	if strings.Contains(n.ID, "_READ_") || strings.HasSuffix(n.ID, "_READ") {
		name = names[0]
	}
	_, device, _ = strings.Cut(n.ID, "_BYTES_")
	return family, device, name
}

// familyOf returns the family of a gauge.
func familyOf(device string) string {
	switch device {
	case ofCPU, ofGPU:
		return device
	}
	return "other"
}

// indexed returns the name of a CPU from the number at the end of an id: CPU_FREQ_3 is cpu3.
func indexed(id, word string) string {
	n := id[strings.LastIndexByte(id, '_')+1:]
	if _, err := strconv.Atoi(n); err != nil {
		return id
	}
	return word + n
}
