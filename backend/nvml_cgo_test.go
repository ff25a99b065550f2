//go:build linux && cgo

package backend

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/ergon-energy/ergon/internal/nvmlstub"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	gpu0 = "GPU-00000000-0000-0000-0000-000000000000"
	gpu1 = "GPU-11111111-1111-1111-1111-111111111111"
	gpu2 = "GPU-22222222-2222-2222-2222-222222222222"
)

// child is the environment variable with the path of the library for the re-executed test.
const child = "ERGON_TEST_NVML"

// inChild runs the calling test again in a child process, with a stub that lacks the named functions. A process can load
// only one NVML library. In the child, it returns the setup to open, and true. In the parent, it reports the child's result
// and returns false.
func inChild(t *testing.T, without []string, args ...string) (sensors.Setup, bool) {
	t.Helper()
	if library := os.Getenv(child); library != "" {
		return sensors.Setup{NVML: library}, true
	}
	library := nvmlstub.Build(t, without...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	args = append([]string{"-test.v", "-test.run=" + strings.Join(pattern, "/")}, args...)
	cmd := exec.CommandContext(t.Context(), self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CUDA_") && !strings.HasPrefix(v, "STUB_NVML_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, child+"="+library)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("child process: %v\n%s", err, out)
	}
	return sensors.Setup{}, false
}

// gpuValues returns the readings of a source, by the part of the ID after gpu/. Sensors that need a target are left out, and
// must read NaN.
func gpuValues(t *testing.T, source sensors.Source) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for i, v := range sensortest.Read(t, source) {
		if s := source.Sensors()[i]; !ofTarget(s) {
			all[strings.TrimPrefix(s.ID, "gpu/")] = v
		} else if !math.IsNaN(v) {
			t.Errorf("%s reads %v without a target", s.ID, v)
		}
	}
	return all
}

// ofTarget tells whether a sensor reads nothing before there is a target.
func ofTarget(s sensors.Sensor) bool {
	return s.Name == "update_period" || strings.HasPrefix(s.Name, "target_") || strings.HasPrefix(s.Name, "other_")
}

func TestNVML(t *testing.T) {
	// The allocations of a reading are tested below.
	host, ok := inChild(t, nil, "-test.skip=/^allocations$")
	if !ok {
		return
	}
	t.Setenv("STUB_NVML_GPUS", "2")
	sensortest.Run(t, nvmlBackend(), host)
	source, absences := sensortest.Open(t, nvmlBackend(), host)
	if len(absences) != 0 {
		t.Errorf("absent are %v, want none", absences)
	}
	t.Setenv("STUB_NVML_ENERGY", "123456789")
	t.Setenv("STUB_NVML_POWER", "250500")
	got := gpuValues(t, source)
	want := map[string]float64{
		gpu0 + "/energy": 123456.789, gpu0 + "/power": 250.5, gpu0 + "/utilization": 0.75,
		gpu0 + "/memory_used": 2 << 30, gpu0 + "/memory_total": 80 << 30, gpu0 + "/temperature": 41,
		gpu0 + "/clock_sm": 1410e6, gpu0 + "/clock_memory": 1593e6, gpu1 + "/power": 251.5,
	}
	for id, v := range want {
		if got[id] != v {
			t.Errorf("%s reads %v, want %v", id, got[id], v)
		}
	}
	if len(got) != 16 {
		t.Errorf("%d sensors, want 16: %v", len(got), got)
	}
	// After the driver was reloaded, the counter starts from 0. Noticing the reset is left to the accounting.
	t.Setenv("STUB_NVML_ENERGY", "0")
	if got := gpuValues(t, source)[gpu0+"/energy"]; got != 0 {
		t.Errorf("energy after a reload of the driver is %v", got)
	}
	// go-nvml allocates the result of each call, except for the fields. There are 5 such calls for each GPU.
	dst := make([]float64, len(source.Sensors()))
	const most = 2 * 5
	if n := testing.AllocsPerRun(100, func() { _ = source.Read(dst) }); n > most {
		t.Errorf("a reading of 2 GPUs allocates %v times, want at most %d", n, most)
	}
	t.Setenv("STUB_NVML_UTILIZATION", "101")
	for i, v := range sensortest.Read(t, source) {
		if s := source.Sensors()[i]; s.Name == "utilization" && s.Range.Holds(v) {
			t.Errorf("a utilization of %v is in the range %+v", v, s.Range)
		}
	}
}

// TestNVMLImpossible checks that a call whose answer is not possible gives way to the next one, and that such an answer is
// outside the sensor's range.
func TestNVMLImpossible(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	for _, c := range []struct {
		power, instant, call string
		want                 float64
		possible             bool
	}{
		{"250000", "250000", "NVML field POWER_INSTANT", 250, true},
		{"250000", "0", "nvmlDeviceGetPowerUsage", 250, true},
		{"250000", "4294967295", "nvmlDeviceGetPowerUsage", 250, true},
		{"250000", "4294967000", "nvmlDeviceGetPowerUsage", 250, true},
		{"0", "0", "NVML field POWER_INSTANT", 0, false}, // nothing answers better
	} {
		t.Setenv("STUB_NVML_POWER", c.power)
		t.Setenv("STUB_NVML_INSTANT", c.instant)
		source, absences := sensortest.Open(t, nvmlBackend(), host)
		got := gpuValues(t, source)[gpu0+"/power"]
		i := slices.IndexFunc(source.Sensors(), func(s sensors.Sensor) bool { return s.Use == sensors.GPUPower })
		s := source.Sensors()[i]
		if got != c.want || s.Source != c.call || s.Range.Holds(got) != c.possible || len(absences) > 0 {
			t.Errorf("power %s, instant %s: %v by %s, %+v; absent %+v", c.power, c.instant, got, s.Source, s.Range, absences)
		}
	}
}

// TestNVMLEnergy checks that the energy counter rises by the power times the time, for a GPU under constant load.
func TestNVMLEnergy(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	t.Setenv("STUB_NVML_POWER", "400000000") // 400 kW gives many steps in a short time
	source, _ := sensortest.Open(t, nvmlBackend(), host)
	outer := time.Now()
	before := gpuValues(t, source)[gpu0+"/energy"]
	inner := time.Now()
	for time.Since(inner) < 20*time.Millisecond {
		gpuValues(t, source)
	}
	least := time.Since(inner).Seconds()
	after := gpuValues(t, source)[gpu0+"/energy"]
	most := time.Since(outer).Seconds()
	if p := (after - before) / 400e3; p < least-1e-6 || p > most+1e-6 {
		t.Errorf("the energy %v J stands for %v s, want %v to %v", after-before, p, least, most)
	}
}

// TestNVMLMissingFunctions checks that the process survives if the library lacks a function. Another function is used, or
// the sensor is absent.
func TestNVMLMissingFunctions(t *testing.T) {
	testenv.Long(t)
	f := func(name string, without []string, absent ...string) {
		t.Run(name, func(t *testing.T) {
			host, ok := inChild(t, without)
			if !ok {
				return
			}
			t.Setenv("CUDA_VISIBLE_DEVICES", "MIG-x") // needs two more functions
			t.Setenv("STUB_NVML_MIG", "MIG-x")
			host.AllGPUs = true
			source, absences := sensortest.Open(t, nvmlBackend(), host)
			var got []string
			for _, a := range absences {
				if a.Reason == errMIGUse.reason {
					continue
				}
				got = append(got, strings.TrimPrefix(a.ID, "gpu/"+gpu0+"/"))
				if a.Cause != sensors.Unsupported && a.Cause != sensors.OtherNamespace {
					t.Errorf("the absence is %+v", a)
				}
			}
			if !slices.Equal(got, absent) {
				t.Errorf("absent are %q, want %q", got, absent)
			}
			all := gpuValues(t, source)
			if len(all) != 8-len(absent) {
				t.Errorf("%d sensors: %v", len(all), all)
			}
			for id, v := range all {
				if math.IsNaN(v) {
					t.Errorf("%s reads %v", id, v)
				}
			}
			host.AllGPUs = false
			if source, _, err := nvmlBackend().Open(t.Context(), host); err == nil {
				if err := source.Close(); err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, sensors.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	const fields, energy, power = "nvmlDeviceGetFieldValues", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"
	f("fields", []string{fields})
	f("energy", []string{fields, energy}, "energy")
	f("power", []string{fields, power}, "power")
	f("memory", []string{"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"}, "memory_used", "memory_total")
	f("others", []string{
		"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetName", "nvmlErrorString", "nvmlDeviceGetHandleByUUID",
		"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo",
		"nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
	}, "utilization", "temperature", "clock_sm", "clock_memory")
}

// TestNVMLForeignLibrary checks that a library other than NVML is refused. A call to it would end the process.
func TestNVMLForeignLibrary(t *testing.T) {
	host, ok := inChild(t, []string{"nvmlInit_v2"})
	if !ok {
		return
	}
	_, _, err := nvmlBackend().Open(t.Context(), host)
	if causeOf(err) != sensors.NoLibrary {
		t.Error(err)
	}
}

// TestNVMLNotSupported checks that an unsupported value is absent with a reason, or read in another way. A value that fails
// later is NaN.
func TestNVMLNotSupported(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	f := func(setting, value string, absent ...string) {
		t.Helper()
		t.Setenv(setting, value)
		source, absences := sensortest.Open(t, nvmlBackend(), host)
		var got []string
		for _, a := range absences {
			got = append(got, strings.TrimPrefix(a.ID, "gpu/"+gpu0+"/"))
			if a.Reason != "not supported by this GPU or driver" {
				t.Errorf("%s has the reason %q", a.ID, a.Reason)
			}
		}
		if !slices.Equal(got, absent) {
			t.Errorf("%s=%s: absent are %q, want %q", setting, value, got, absent)
		}
		for id, v := range gpuValues(t, source) {
			if math.IsNaN(v) {
				t.Errorf("%s=%s: %s reads %v", setting, value, id, v)
			}
		}
		t.Setenv(setting, "")
	}
	f("STUB_NVML_UNSUPPORTED", "field-83")
	f("STUB_NVML_UNSUPPORTED", "field-83,nvmlDeviceGetTotalEnergyConsumption", "energy")
	f("STUB_NVML_UNSUPPORTED", "field-186")
	f("STUB_NVML_UNSUPPORTED", "field-186,nvmlDeviceGetPowerUsage", "power")
	f("STUB_NVML_UNSUPPORTED", "nvmlDeviceGetFieldValues")
	f("STUB_NVML_UNSUPPORTED", "nvmlDeviceGetTemperature,nvmlDeviceGetUtilizationRates", "utilization", "temperature")
	f("STUB_NVML_UNKNOWN_FIELDS", "1")

	source, _ := sensortest.Open(t, nvmlBackend(), host)
	t.Setenv("STUB_NVML_FAIL", "nvmlDeviceGetMemoryInfo_v2,nvmlDeviceGetFieldValues")
	for id, v := range gpuValues(t, source) {
		name := strings.TrimPrefix(id, gpu0+"/")
		failed := slices.Contains([]string{"energy", "power", "memory_used", "memory_total"}, name)
		if math.IsNaN(v) != failed {
			t.Errorf("%s reads %v", id, v)
		}
	}
	t.Setenv("STUB_NVML_FAIL", "")
	for id, v := range gpuValues(t, source) {
		if math.IsNaN(v) {
			t.Errorf("%s reads %v after the failure has passed", id, v)
		}
	}
}

// TestNVMLLost checks that a GPU which falls off the bus reads NaN, and the others are still read. If all are lost, the error
// is ErrGone.
func TestNVMLLost(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	t.Setenv("STUB_NVML_GPUS", "2")
	source, _ := sensortest.Open(t, nvmlBackend(), host)
	t.Setenv("STUB_NVML_LOST", "1")
	for id, v := range gpuValues(t, source) {
		if math.IsNaN(v) != strings.HasPrefix(id, gpu1) {
			t.Errorf("%s reads %v; only GPU 1 is lost", id, v)
		}
	}
	other, absences := sensortest.Open(t, nvmlBackend(), host)
	if len(other.Sensors()) != 14 || len(absences) != 1 || absences[0].ID != "gpu/1" || absences[0].Cause != sensors.Gone {
		t.Errorf("opened with one GPU lost: %d sensors, absences %v", len(other.Sensors()), absences)
	}
	t.Setenv("STUB_NVML_LOST", "all")
	dst := make([]float64, len(source.Sensors()))
	if err := source.Read(dst); !errors.Is(err, sensors.ErrGone) || slices.ContainsFunc(dst, func(v float64) bool { return v == v }) {
		t.Errorf("all GPUs lost: %v, %v, want ErrGone", dst, err)
	}
	t.Setenv("STUB_NVML_LOST", "")
	t.Setenv("STUB_NVML_FAIL", "nvmlDeviceGetFieldValues,nvmlDeviceGetUtilizationRates,nvmlDeviceGetMemoryInfo_v2,"+
		"nvmlDeviceGetTemperature,nvmlDeviceGetClockInfo")
	if err := source.Read(dst); err == nil || errors.Is(err, sensors.ErrGone) {
		t.Errorf("all calls fail: %v", err)
	}
}

func TestNVMLCannotStart(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	f := func(setting, value string, want sensors.Cause) {
		t.Helper()
		t.Setenv(setting, value)
		_, _, err := nvmlBackend().Open(t.Context(), host)
		if causeOf(err) != want {
			t.Errorf("%s=%s: %v, want %q", setting, value, err, want)
		}
	}
	f("STUB_NVML_INIT", "4", sensors.Denied)
	f("STUB_NVML_INIT", "9", sensors.NoDriver)
	f("STUB_NVML_INIT", "10", sensors.TimedOut)
	f("STUB_NVML_INIT", "18", sensors.VersionMismatch)
	f("STUB_NVML_INIT", "77", sensors.Unreadable)
	t.Setenv("STUB_NVML_INIT", "0")
	f("STUB_NVML_GPUS", "0", sensors.NotPresent)
	t.Setenv("STUB_NVML_GPUS", "1")
	f("STUB_NVML_LOST", "0", sensors.Gone)
}

// TestNVMLVisible checks that only GPUs which the job may see are read. The others are absent.
func TestNVMLVisible(t *testing.T) {
	host, ok := inChild(t, nil)
	if !ok {
		return
	}
	t.Setenv("STUB_NVML_GPUS", "3")
	none := sensors.Hidden // the cause if no GPU is read
	f := func(setting string, all bool, want ...string) {
		t.Helper()
		t.Setenv("CUDA_VISIBLE_DEVICES", setting)
		host := host
		host.AllGPUs = all
		source, absences, err := nvmlBackend().Open(t.Context(), host)
		absences = slices.DeleteFunc(absences, func(a sensors.Absence) bool { return a.Reason == errMIGUse.reason })
		if len(want) == 0 {
			if causeOf(err) != none || len(absences) != 3 {
				t.Errorf("%q: %v, %v", setting, absences, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range source.Sensors() {
			if s.Name == "power" {
				got = append(got, s.Device)
			}
		}
		if !slices.Equal(got, want) || len(absences) != 3-len(want) {
			t.Errorf("%q: the GPUs %v are read, want %v; absent are %v", setting, got, want, absences)
		}
		for _, a := range absences {
			if slices.Contains(want, strings.TrimPrefix(a.ID, "gpu/")) || a.Cause != sensors.Hidden {
				t.Errorf("%q: %+v", setting, a)
			}
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
	f("2,0", false, gpu0, gpu2)
	f(gpu1, false, gpu1)
	f("", false)
	f("-1", false)
	f("1", true, gpu0, gpu1, gpu2)
	t.Setenv("STUB_NVML_MIG", "MIG-7")
	f("MIG-7", false, gpu0)
	f("MIG-8", false)
	t.Setenv("STUB_NVML_MODELS", "A,B,B")
	none = sensors.UnknownOrder
	f("1", false)
	f(gpu1, false, gpu1)
	f("0,1,2", false, gpu0, gpu1, gpu2)
	t.Setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
	f("1", false, gpu1)
}

func TestVisibleGPUs(t *testing.T) {
	gpus := []gpuIdentity{{"GPU-aa1", "A"}, {"GPU-aa2", "A"}, {"GPU-b", "A"}, {"", ""}}
	f := func(setting, want string) {
		t.Helper()
		shown, _ := visibleGPUs(gpus, setting, true, func(mig string) string { return map[string]string{"MIG-1": "GPU-b"}[mig] })
		got := ""
		for i, s := range shown {
			if s {
				got += string(rune('0' + i))
			}
		}
		if got != want {
			t.Errorf("%q shows %q, want %q", setting, got, want)
		}
	}
	f("0", "0")
	f(" 1 , 0 ", "01")
	f("0,0", "0")
	f("3", "3")
	f("0,4,1", "0")
	f("-1,0", "")
	f("0,-1,1", "0")
	f("NoDevFiles", "")
	f("GPU-aa1,GPU-b", "02")
	f("GPU-b1", "")
	f("GPU-a", "")
	f("GPU-aa2,GPU-a,GPU-b", "1")
	f("MIG-1", "2")
	f("MIG-2", "")
	f("MIG-", "")
	f("MIG-GPU-aa2/1/0", "1")
	f("99999999999999999999", "")
}

func FuzzVisibleGPUs(f *testing.F) {
	f.Add("0,GPU-1", true)
	f.Add("MIG-GPU-/,", false)
	gpus := []gpuIdentity{{"GPU-12", "A"}, {"GPU-13", "B"}}
	f.Fuzz(func(t *testing.T, setting string, busOrder bool) {
		parent := func(string) string { return "GPU-13" }
		shown, why := visibleGPUs(gpus, setting, busOrder, parent)
		if len(shown) != len(gpus) || why == nil {
			t.Fatalf("%q: %v, %v", setting, shown, why)
		}
		more, _ := visibleGPUs(gpus, setting+",0,1", true, parent)
		for i := range shown {
			if shown[i] && !more[i] {
				t.Fatalf("%q shows %v, with more entries %v", setting, shown, more)
			}
		}
	})
}

func TestFieldNumber(t *testing.T) {
	f := func(kind nvml.ValueType, bits uint64, want float64) {
		t.Helper()
		v := nvml.FieldValue{ValueType: uint32(kind)}
		binary.NativeEndian.PutUint64(v.Value[:], bits)
		if got := fieldNumber(&v); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("type %d, %x: %v, want %v", kind, bits, got, want)
		}
	}
	f(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG, 1<<40+1, 1<<40+1)
	f(nvml.VALUE_TYPE_UNSIGNED_LONG, 7, 7)
	f(nvml.VALUE_TYPE_SIGNED_LONG_LONG, math.MaxUint64, -1)
	f(nvml.VALUE_TYPE_DOUBLE, math.Float64bits(2.5), 2.5)
	f(nvml.VALUE_TYPE_COUNT, 7, math.NaN())
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		f(nvml.VALUE_TYPE_UNSIGNED_INT, 0xffffffff_00000005, 5)
		f(nvml.VALUE_TYPE_SIGNED_INT, 0xfffffffe, -2)
		f(nvml.VALUE_TYPE_UNSIGNED_SHORT, 0xffff_0003, 3)
	}
}

func BenchmarkNVML(b *testing.B) {
	source, _ := sensortest.Open(b, nvmlBackend(), sensors.Setup{NVML: nvmlstub.Build(b)})
	dst := make([]float64, len(source.Sensors()))
	b.ReportAllocs()
	for b.Loop() {
		if err := source.Read(dst); err != nil {
			b.Fatal(err)
		}
	}
}
