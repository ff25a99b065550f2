//go:build linux && cgo

package backend

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// go-nvml leaves the functions of NVML undefined in the program. The dynamic linker finds them at the first call, in a
// library loaded at run time. Three things follow:
//
//   - A call of a function that the library does not have ends the process. So every function is looked up before it is
//     called, and only the sampler uses this file.
//   - The program must be linked for lazy binding. With -z now (a hardening flag of distributions) or with LD_BIND_NOW in
//     the environment it does not start.
//   - The first library that was called stays in use as long as the process lives.

const (
	nvmlLibrary  = "libnvidia-ml.so.1"
	notSupported = "not supported by this GPU or driver"
	// gpuRate is a power in W that no GPU, and no module of several GPUs, reaches.
	gpuRate = 10000
	// gpuUpdate is the longest time between two updates of a GPU's energy counter and power: 20 ms on a V100, 100 ms on an
	// A100 or H100 (Yang et al., Part-time Power Measurements, SC '24).
	gpuUpdate = 100 * time.Millisecond
	// powerWindow is the time over which some powers are averaged (nvml.h, NVML_FI_DEV_POWER_AVERAGE).
	powerWindow = time.Second
	// ofInstance is added to the source of an energy or power of a GPU in MIG mode.
	ofInstance = ", of the whole GPU: nothing measures one MIG instance"
	// aMean is added to the doc of an averaged power.
	aMean = ", averaged over a second"
)

// errImpossible is the reason of a sensor whose only answer is not possible, such as 0 W.
var errImpossible = &absenceError{sensors.Unreadable, "the answer is not possible"}

// errNoAnswer is Read's error if no GPU gave a reading.
var errNoAnswer = errors.New("nvml: no GPU answers")

// nvmlSource reads several GPUs, one after another.
type nvmlSource struct {
	lib  nvml.Interface
	gpus []gpu
	list []sensors.Sensor
	// users reads the use of the GPUs by processes, and periods measures their update periods. Both start with the target.
	users   gpuUsers
	periods updatePeriods
}

// gpu is a GPU and how its sensors are read. at is their place in the source's list.
type gpu struct {
	device nvml.Device
	at, n  int
	// fields are read in one call that allocates nothing. Each of the other calls makes one small allocation, inside
	// go-nvml. The reading of a field goes to fieldAt, counted from at.
	fields  []nvml.FieldValue
	fieldAt []int
	scale   []float64
	calls   []gpuCall
	// model is the model of the GPU. GPUs of one model have the same update period.
	model string
	// periodAt is the place of the update period; negative if there is none. users is the use by processes.
	periodAt int
	users    gpuUse
}

// gpuCall is a call and its place, counted from gpu.at.
type gpuCall struct {
	at, n int
	read  func(nvml.Device, []float64) nvml.Return
}

// gpuReading is a row of the table of possible readings: the sensors of one call. If two rows have the same sensors, the first
// that answers is used.
type gpuReading struct {
	sensors []sensors.Sensor
	// symbol is the function that the library must have, call the source that people see.
	symbol, call string
	// field is the number of a field, and its value is divided by unit. If it is 0, read is called. scope selects a part of
	// the module.
	field, scope uint32
	unit         float64
	read         func(nvml.Device, []float64) nvml.Return
	// averages means that the reading is averaged over powerWindow on Ampere and later, except GA100.
	averages bool
	// rare means that few GPUs have it, so its absence is not reported.
	rare bool
	// anyway accepts a first reading that is not possible: nothing else answers, and it may become possible.
	anyway bool
}

// gpuPart is a domain of a GPU that is filled in when the GPU is known.
func gpuPart(kind sensors.DomainKind) sensors.Domain { return sensors.Domain{Kind: kind} }

// gpuReadings returns the table, in the order in which sensors are listed.
func gpuReadings() []gpuReading {
	energy := []sensors.Sensor{{
		Name: "energy", Use: sensors.GPUEnergy, Domain: gpuPart(sensors.GPUDomain),
		Unit: units.Joule, Kind: sensors.Counter, MaxRate: gpuRate, Update: gpuUpdate,
		Doc: "energy of the GPU and its memory since the driver was loaded; Volta and later",
	}}
	watts := func(name string, use sensors.Use, of sensors.DomainKind, doc string, window time.Duration) []sensors.Sensor {
		return []sensors.Sensor{{
			Name: name, Use: use, Domain: gpuPart(of), Unit: units.Watt, Range: sensors.Range{Most: gpuRate, Runs: true},
			Update: gpuUpdate, Window: window, Doc: doc,
		}}
	}
	const ofGPU, ofModule = "power drawn by the GPU and its memory", "power drawn by the module: GPU, memory and processor"
	memory := []sensors.Sensor{
		{Name: "memory_used", Use: sensors.GPUMemory, Unit: units.Byte, Doc: "memory of the GPU in use by all programs"},
		{Name: "memory_total", Unit: units.Byte, Doc: "total memory of the GPU"},
	}
	clock := func(name, doc string, kind nvml.ClockType) gpuReading {
		return gpuReading{
			sensors: []sensors.Sensor{{Name: name, Unit: units.Hertz, Range: sensors.Range{Most: 1e11}, Doc: doc}},
			symbol:  "nvmlDeviceGetClockInfo", call: "nvmlDeviceGetClockInfo",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				megahertz, ret := d.GetClockInfo(kind)
				dst[0] = given(megahertz) * 1e6
				return ret
			},
		}
	}
	const fields = "nvmlDeviceGetFieldValues"
	return []gpuReading{
		{
			sensors: energy, symbol: fields, call: "NVML field TOTAL_ENERGY_CONSUMPTION",
			field: nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION, unit: 1e3,
		},
		{
			sensors: energy, symbol: "nvmlDeviceGetTotalEnergyConsumption", call: "nvmlDeviceGetTotalEnergyConsumption",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				n, ret := d.GetTotalEnergyConsumption()
				dst[0] = float64(units.Millijoules(n))
				return ret
			},
		},
		{
			sensors: watts("power", sensors.GPUPower, sensors.GPUDomain, ofGPU, 0), symbol: fields, call: "NVML field POWER_INSTANT",
			field: nvml.FI_DEV_POWER_INSTANT, unit: 1e3,
		},
		{ // on Ampere and later, except GA100
			sensors: watts("power", sensors.GPUPower, sensors.GPUDomain, ofGPU+aMean, powerWindow), symbol: fields, call: "NVML field POWER_AVERAGE",
			field: nvml.FI_DEV_POWER_AVERAGE, unit: 1e3,
		},
		{
			sensors: watts("power", sensors.GPUPower, sensors.GPUDomain, ofGPU, 0), symbol: "nvmlDeviceGetPowerUsage", call: "nvmlDeviceGetPowerUsage",
			averages: true,
			read: func(d nvml.Device, dst []float64) nvml.Return {
				n, ret := d.GetPowerUsage()
				dst[0] = given(n) / 1e3
				return ret
			},
		},
		{
			sensors: watts("module_power", sensors.GPUModulePower, sensors.GPUModuleDomain, ofModule, 0),
			symbol:  fields, call: "NVML field POWER_INSTANT, scope MODULE",
			field: nvml.FI_DEV_POWER_INSTANT, scope: nvml.POWER_SCOPE_MODULE, unit: 1e3, rare: true,
		},
		{
			sensors: watts("module_power", sensors.GPUModulePower, sensors.GPUModuleDomain, ofModule+aMean, powerWindow),
			symbol:  fields, call: "NVML field POWER_AVERAGE, scope MODULE",
			field: nvml.FI_DEV_POWER_AVERAGE, scope: nvml.POWER_SCOPE_MODULE, unit: 1e3, rare: true,
		},
		{
			sensors: watts("memory_power", "", sensors.GPUMemoryDomain, "power drawn by the memory of the GPU"+aMean, powerWindow),
			symbol:  fields, call: "NVML field POWER_AVERAGE, scope MEMORY",
			field: nvml.FI_DEV_POWER_AVERAGE, scope: nvml.POWER_SCOPE_MEMORY, unit: 1e3, rare: true,
		},
		{
			sensors: []sensors.Sensor{{
				Name: "utilization", Use: sensors.GPUUtilization, Unit: units.Ratio,
				Doc: "share of the driver's last sample period (1/6 s to 1 s) in which a kernel ran",
			}},
			symbol: "nvmlDeviceGetUtilizationRates", call: "nvmlDeviceGetUtilizationRates",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				u, ret := d.GetUtilizationRates()
				dst[0] = given(u.Gpu) / 100
				return ret
			},
		},
		{
			sensors: memory, symbol: "nvmlDeviceGetMemoryInfo_v2", call: "nvmlDeviceGetMemoryInfo_v2",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				m, ret := d.GetMemoryInfo_v2()
				dst[0], dst[1] = float64(m.Used), float64(m.Total)
				return ret
			},
		},
		{ // the older function counts memory that the driver reserves as used
			sensors: memory, symbol: "nvmlDeviceGetMemoryInfo", call: "nvmlDeviceGetMemoryInfo",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				m, ret := d.GetMemoryInfo()
				dst[0], dst[1] = float64(m.Used), float64(m.Total)
				return ret
			},
		},
		{
			sensors: []sensors.Sensor{{
				Name: "temperature", Use: sensors.GPUTemperature, Unit: units.Celsius, Range: sensors.Range{Least: -50, Most: 200}, Doc: "temperature of the GPU's die",
			}},
			symbol: "nvmlDeviceGetTemperature", call: "nvmlDeviceGetTemperature",
			read: func(d nvml.Device, dst []float64) nvml.Return {
				degrees, ret := d.GetTemperature(nvml.TEMPERATURE_GPU)
				dst[0] = float64(int32(degrees)) // only the interface is unsigned
				if math.IsNaN(given(degrees)) {
					dst[0] = math.NaN()
				}
				return ret
			},
		},
		clock("clock_sm", "clock of the multiprocessors", nvml.CLOCK_SM),
		clock("clock_memory", "clock of the memory", nvml.CLOCK_MEM),
	}
}

// driverFiles returns the device nodes of drivers: on PCs and servers, on a Jetson, and below WSL 2.
func driverFiles() []string {
	return []string{"/dev/nvidiactl", "/dev/nvgpu", "/dev/nvhost-ctrl-gpu", "/dev/dxg"}
}

// driver reports whether there is a driver. A search for the library would go through 25 folders at every start.
func driver() bool {
	return slices.ContainsFunc(driverFiles(), func(f string) bool {
		_, err := os.Stat(f)
		return err == nil
	})
}

func openNVML(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	if setup.NVML == "" && os.Getenv("LD_LIBRARY_PATH") == "" && !driver() {
		return nil, nil, unavailable(sensors.NoDriver, "no NVIDIA driver: none of "+strings.Join(driverFiles(), ", ")+" exists")
	}
	lib, err := loadNVML(setup.NVML)
	if err != nil {
		return nil, nil, err
	}
	n := &nvmlSource{lib: lib, users: newGPUUsers(setup)}
	absences, err := n.open(setup)
	if err != nil {
		return nil, absences, errors.Join(err, n.Close())
	}
	return n, absences, nil
}

// loadNVML loads and starts the library. It loads it before go-nvml does, because go-nvml does not say why loading failed, and
// calls functions that another library would not have. The library stays loaded, because this program keeps the addresses
// of its functions.
func loadNVML(path string) (nvml.Interface, error) {
	if path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, unreadable(path, err)
		}
		path = abs
	}
	path = cmp.Or(path, nvmlLibrary)
	library := dl.New(path, dl.RTLD_LAZY|dl.RTLD_GLOBAL)
	if err := library.Open(); err != nil {
		return nil, unavailable(sensors.NoLibrary, "the NVML library cannot be loaded: "+err.Error())
	}
	for _, symbol := range []string{
		"nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID",
	} {
		if err := library.Lookup(symbol); err != nil {
			return nil, errors.Join(unavailable(sensors.NoLibrary, path+": not NVML, or too old: no function "+symbol), library.Close())
		}
	}
	lib := nvml.New(nvml.WithLibraryPath(path))
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return nil, unreadable(path+": nvmlInit", nvmlError(ret))
	}
	return lib, nil
}

// has reports whether the library has a function.
func (n *nvmlSource) has(symbol string) bool { return n.lib.Extensions().LookupSymbol(symbol) == nil }

// open finds the GPUs and their sensors.
func (n *nvmlSource) open(setup sensors.Setup) ([]sensors.Absence, error) {
	count, ret := n.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, unreadable("nvmlDeviceGetCount", nvmlError(ret))
	}
	if count == 0 {
		return nil, unavailable(sensors.NotPresent, "NVML finds no GPU")
	}
	var absences []sensors.Absence
	var found []gpuIdentity
	var devices []nvml.Device
	for i := range count {
		device, ret := n.lib.DeviceGetHandleByIndex(i)
		id := gpuIdentity{}
		if ret == nvml.SUCCESS {
			id.uuid, ret = device.GetUUID()
		}
		if ret != nvml.SUCCESS {
			absences = append(absences, sensors.Absence{
				ID: fmt.Sprintf("gpu/%d", i), Family: "gpu", Source: "NVML", Cause: cause(nvmlError(ret)), Reason: "GPU " + nvmlError(ret).Error(),
			})
		} else if n.has("nvmlDeviceGetName") {
			id.model, _ = device.GetName() // empty if it has none
		}
		// A GPU that does not answer keeps its number.
		found, devices = append(found, id), append(devices, device)
	}
	shown, why := make([]bool, len(found)), error(nil)
	setting, set := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	if setup.AllGPUs || !set {
		for i := range shown {
			shown[i] = true
		}
	} else {
		shown, why = visibleGPUs(found, setting, os.Getenv("CUDA_DEVICE_ORDER") == "PCI_BUS_ID", n.parentOfMIG)
	}
	for i, id := range found {
		switch {
		case id.uuid == "":
		case shown[i]:
			absences = append(absences, n.add(devices[i], id)...)
		default:
			absences = append(absences, absentGroup("gpu", "gpu/"+id.uuid, "CUDA_VISIBLE_DEVICES", why))
		}
	}
	if len(n.list) == 0 {
		return absences, unavailable(absences[0].Cause, "none of "+plural(count, "GPU")+" can be read: "+absences[0].Reason)
	}
	return absences, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// parentOfMIG returns the UUID of the GPU that contains a MIG instance, empty if it is unknown.
func (n *nvmlSource) parentOfMIG(uuid string) string {
	if !n.has("nvmlDeviceGetHandleByUUID") || !n.has("nvmlDeviceGetDeviceHandleFromMigDeviceHandle") {
		return ""
	}
	instance, ret := n.lib.DeviceGetHandleByUUID(uuid)
	if ret != nvml.SUCCESS {
		return ""
	}
	parent, ret := instance.GetDeviceHandleFromMigDeviceHandle()
	if ret != nvml.SUCCESS {
		return ""
	}
	id, ret := parent.GetUUID()
	if ret != nvml.SUCCESS {
		return ""
	}
	return id
}

// add tries each reading of the table once on a GPU and keeps those that answer. It returns the others with the error of their
// last call.
func (n *nvmlSource) add(device nvml.Device, id gpuIdentity) []sensors.Absence {
	g := gpu{device: device, at: len(n.list), model: id.model, periodAt: -1, users: noGPUUse()}
	uuid, mig := id.uuid, n.inMIGMode(device)
	refused := map[string]sensors.Absence{}
	var order []string
	taken := map[string]bool{}
	rows := gpuReadings()
	for i := 0; i < len(rows); i++ {
		row := rows[i]
		if taken[row.sensors[0].Name] {
			continue
		}
		why := noFunction(row.symbol)
		if n.has(row.symbol) {
			possible, ret := row.probe(device)
			switch why = nvmlError(ret); {
			case why != nil:
			case possible || row.anyway:
				g.take(row)
			default:
				why = errImpossible
				row.anyway = true
				rows = append(rows, row) // after all others
			}
		}
		for _, s := range row.sensors {
			s.Source = row.call
			s = placed("gpu", uuid, s.Name, s)
			if s.Domain.Kind != sensors.NoDomain {
				s.Domain.GPU = uuid
			}
			if mig && s.Domain.Kind != sensors.NoDomain {
				s.Source += ofInstance
				s.Domain.Wider = true
			}
			if row.averages && n.averages(device) {
				s.Window, s.Doc = powerWindow, s.Doc+aMean
			}
			if why != nil && row.rare {
				continue
			}
			if why != nil {
				refused[s.ID] = absent(s, row.call, why)
				order = append(order, s.ID)
				continue
			}
			taken[s.Name] = true
			delete(refused, s.ID)
			n.list = append(n.list, s)
		}
	}
	var absences []sensors.Absence
	for _, id := range order {
		if a, ok := refused[id]; ok {
			absences = append(absences, a)
			delete(refused, id)
		}
	}
	if g.n == 0 {
		return absences
	}
	var list []sensors.Sensor
	if taken["energy"] || taken["power"] {
		g.periodAt = g.n
		list = append(list, updatePeriod())
	}
	use, ofUsers, reasons := n.users.probe(n, device, mig)
	for _, a := range reasons {
		a.ID = "gpu/" + uuid + "/" + a.ID
		absences = append(absences, a)
	}
	g.users = use.placed(g.n + len(list))
	for _, s := range append(list, ofUsers...) {
		n.list = append(n.list, placed("gpu", uuid, s.Name, s))
		g.n++
	}
	n.gpus = append(n.gpus, g)
	return absences
}

// inMIGMode reports whether a GPU is divided into instances.
func (n *nvmlSource) inMIGMode(device nvml.Device) bool {
	if !n.has("nvmlDeviceGetMigMode") {
		return false
	}
	current, _, ret := device.GetMigMode()
	return ret == nvml.SUCCESS && current == nvml.DEVICE_MIG_ENABLE
}

// averages reports whether nvmlDeviceGetPowerUsage averages over a second. It does on Ampere and later, except GA100, whose
// compute capability is 8.0 (nvml.h; CUDA C++ Programming Guide, Compute Capabilities).
func (n *nvmlSource) averages(device nvml.Device) bool {
	if !n.has("nvmlDeviceGetCudaComputeCapability") {
		return false
	}
	major, minor, ret := device.GetCudaComputeCapability()
	return ret == nvml.SUCCESS && (major > 8 || major == 8 && minor > 0)
}

// probe tries the reading once. It also tells whether the reading is possible.
func (r gpuReading) probe(device nvml.Device) (possible bool, ret nvml.Return) {
	dst := make([]float64, len(r.sensors))
	if r.field == 0 {
		ret = r.read(device, dst)
	} else {
		dst[0], ret = r.probeField(device)
	}
	possible = true
	for i, s := range r.sensors {
		if s.Range == (sensors.Range{}) {
			s.Range = gaugeRange(s.Unit)
		}
		possible = possible && (s.Kind == sensors.Counter || s.Range.Holds(dst[i]))
	}
	return possible, ret
}

// probeField tries a field once.
func (r gpuReading) probeField(device nvml.Device) (float64, nvml.Return) {
	v := []nvml.FieldValue{
		{FieldId: r.field, ScopeId: r.scope, NvmlReturn: uint32(nvml.ERROR_UNKNOWN)},
		{FieldId: r.field, NvmlReturn: uint32(nvml.ERROR_UNKNOWN)},
	}
	if r.scope == 0 {
		v = v[:1]
	}
	if ret := device.GetFieldValues(v); ret != nvml.SUCCESS {
		return 0, ret
	}
	if ret := nvml.Return(v[0].NvmlReturn); ret != nvml.SUCCESS {
		return 0, ret
	}
	n := fieldNumber(&v[0])
	// Older drivers ignore the scope and return the power of the GPU. Nothing that exists draws 0 W.
	if math.IsNaN(n) || r.scope != 0 && (n == 0 || n == fieldNumber(&v[1])) {
		return 0, nvml.ERROR_NOT_SUPPORTED
	}
	return n / r.unit, nvml.SUCCESS
}

// take adds a reading. Its sensors come next in the list.
func (g *gpu) take(r gpuReading) {
	if r.field != 0 {
		g.fields = append(g.fields, nvml.FieldValue{FieldId: r.field, ScopeId: r.scope})
		g.fieldAt, g.scale = append(g.fieldAt, g.n), append(g.scale, r.unit)
	} else {
		g.calls = append(g.calls, gpuCall{at: g.n, n: len(r.sensors), read: r.read})
	}
	g.n += len(r.sensors)
}

// given returns a number, NaN for NVML's word for "not available" (NVML_VALUE_NOT_AVAILABLE, -1).
func given(n uint32) float64 {
	if n == math.MaxUint32 {
		return math.NaN()
	}
	return float64(n)
}

// fieldNumber returns the value of a field, NaN if its type is unknown or the value is not available.
func fieldNumber(v *nvml.FieldValue) float64 {
	bits := binary.NativeEndian.Uint64(v.Value[:])
	low := binary.NativeEndian.Uint32(v.Value[:])
	switch nvml.ValueType(v.ValueType) {
	case nvml.VALUE_TYPE_DOUBLE:
		return math.Float64frombits(bits)
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return given(low)
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG: // long has 64 bits on every Linux system with NVML
		if bits == math.MaxUint64 {
			return math.NaN()
		}
		return float64(bits)
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(bits))
	case nvml.VALUE_TYPE_SIGNED_INT:
		return float64(int32(low))
	case nvml.VALUE_TYPE_UNSIGNED_SHORT:
		return float64(binary.NativeEndian.Uint16(v.Value[:]))
	case nvml.VALUE_TYPE_COUNT: // the number of types, not a type
	}
	return math.NaN()
}

func (n *nvmlSource) Sensors() []sensors.Sensor { return n.list }

func (n *nvmlSource) Read(dst []float64) error {
	missing(dst)
	if n.lib == nil {
		return fmt.Errorf("nvml: %w", os.ErrClosed)
	}
	answers, lost := false, true
	for i := range n.gpus {
		g := &n.gpus[i]
		ok, gone := g.readAll(dst[g.at : g.at+g.n])
		answers, lost = answers || ok, lost && gone
		if g.periodAt >= 0 {
			dst[g.at+g.periodAt] = n.periods.of(g.model)
		}
	}
	n.users.read(n.gpus, dst)
	switch {
	case answers:
		return nil
	case lost: // a GPU that fell off the bus comes back only after a reboot
		return sensors.ErrGone
	}
	return errNoAnswer
}

// readAll reads one GPU into dst, which is all NaN. A value whose call fails stays NaN. ok is true if any call gave a number.
// gone is true if all calls say that the GPU is lost.
func (g *gpu) readAll(dst []float64) (ok, gone bool) {
	gone = true
	said := func(ret nvml.Return) bool {
		gone = gone && ret == nvml.ERROR_GPU_IS_LOST
		ok = ok || ret == nvml.SUCCESS
		return ret == nvml.SUCCESS
	}
	if len(g.fields) > 0 {
		for i := range g.fields {
			g.fields[i].NvmlReturn = uint32(nvml.ERROR_UNKNOWN) // the driver overwrites it if it gives a value
		}
		ret := g.device.GetFieldValues(g.fields)
		for i := range g.fields {
			v := &g.fields[i]
			each := ret
			if ret == nvml.SUCCESS {
				each = nvml.Return(v.NvmlReturn)
			}
			if said(each) {
				dst[g.fieldAt[i]] = fieldNumber(v) / g.scale[i]
			}
		}
	}
	for i := range g.calls {
		c := &g.calls[i]
		part := dst[c.at : c.at+c.n]
		if ret := c.read(g.device, part); !said(ret) {
			missing(part)
		}
	}
	return ok, gone
}

// Follow starts to distinguish the target's processes from others, and to measure the update periods.
func (n *nvmlSource) Follow(pid int) error {
	if n.lib == nil {
		return fmt.Errorf("nvml: follow process %d: %w", pid, os.ErrClosed)
	}
	n.users.follow(pid)
	n.periods.learn(n.gpus)
	return nil
}

func (n *nvmlSource) Close() error {
	if n.lib == nil {
		return nil
	}
	n.periods.stop()
	n.users.close()
	ret := n.lib.Shutdown()
	n.lib = nil
	if ret != nvml.SUCCESS {
		return fmt.Errorf("nvmlShutdown: %w", nvmlError(ret))
	}
	return nil
}

// noFunction returns the error of a function that the library does not have.
func noFunction(symbol string) error {
	return &absenceError{sensors.Unsupported, "no function " + symbol + " in this library"}
}

// nvmlError translates the return code of a call. Success gives nil. NVML has a function for the text, but a library may lack
// it.
func nvmlError(ret nvml.Return) error {
	known := map[nvml.Return]absenceError{
		nvml.ERROR_NOT_SUPPORTED:     {sensors.Unsupported, notSupported},
		nvml.ERROR_INVALID_ARGUMENT:  {sensors.Unsupported, notSupported}, // for fields that a driver does not know
		nvml.ERROR_NO_PERMISSION:     {sensors.Denied, "permission denied"},
		nvml.ERROR_DRIVER_NOT_LOADED: {sensors.NoDriver, "the driver is not loaded"},
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: {
			sensors.VersionMismatch, "library and driver have different versions, as after an update without a restart",
		},
		nvml.ERROR_GPU_IS_LOST:        {sensors.Gone, "lost: it has fallen off the bus"},
		nvml.ERROR_RESET_REQUIRED:     {sensors.Unreadable, "needs a reset"},
		nvml.ERROR_TIMEOUT:            {sensors.TimedOut, "no answer in time"},
		nvml.ERROR_INSUFFICIENT_POWER: {sensors.Unreadable, "a power cable is not connected"},
	}
	if ret == nvml.SUCCESS {
		return nil
	}
	if e, ok := known[ret]; ok {
		return &e
	}
	return &absenceError{sensors.Unreadable, fmt.Sprintf("NVML error %d", int32(ret))}
}
