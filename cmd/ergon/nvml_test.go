//go:build linux && cgo

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/nvmlstub"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// stubGPU is the first GPU of the stub.
const stubGPU = "GPU-00000000-0000-0000-0000-000000000000"

// gpuRun is the result of a run with the NVML stub.
type gpuRun struct {
	datamodel.Result
	// out is what ergon printed.
	out string
	// from and to are the times of the first and the last reading of the GPU's energy, in s after the origin of the stub's
	// curves.
	from, to float64
}

// metric returns a metric of a node: the run itself, the host, or a device.
func (r gpuRun) metric(t *testing.T, level datamodel.Level, node, name string) datamodel.Metric {
	t.Helper()
	n := r.Tree.First(level)
	if node != "" {
		n = r.Tree.Find(level, node)
	}
	if n == nil {
		t.Fatalf("no %s %s", level, node)
	}
	return n.Metric(name)
}

// runOnGPU measures a command with the library. The settings are environment variables for the stub; ORIGIN in them becomes the
// present time. If the sensor had no reading, from and to are 0.
func runOnGPU(t *testing.T, library, settings, sensor string, words ...string) gpuRun {
	t.Helper()
	var monotonic, wall unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		t.Fatal(err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := command(t, newMark(), append([]string{"ergon", "-o", dir, "--path.nvml", library}, words...)...)
	c.Env = slices.DeleteFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, "CUDA_") })
	c.Env = append(c.Env, fmt.Sprintf("STUB_NVML_ORIGIN=%.9f", float64(monotonic.Nano())/1e9))
	for word := range strings.FieldsSeq(settings) {
		if name, rest, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "CUDA_") {
			c.Env = append(c.Env, name+"="+rest)
		} else {
			c.Env = append(c.Env, "STUB_NVML_"+word)
		}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	runs, err := history.History{Results: dir}.List()
	if err != nil || len(runs) != 1 || runs[0].Err != nil {
		t.Fatalf("%+v, %v: %s", runs, err, out)
	}
	r := gpuRun{out: string(out)}
	if r.Result, err = store.Load(runs[0].Dir); err != nil {
		t.Fatal(err)
	}
	for b, err := range store.Samples(runs[0].Dir) {
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range b.Sensor {
			if id != "gpu/"+stubGPU+"/"+sensor || math.IsNaN(b.Value[i]) {
				continue
			}
			at := float64(b.Time[i]*1000-wall.Nano()) / 1e9
			if r.from == 0 {
				r.from = at
			}
			r.to = at
		}
	}
	return r
}

// The curves that the stub plays: the energy from 0 to t in J.
func rampCurve(t float64) float64 { // ramp:100:400:2
	if t < 2 {
		return 100*t + 75*t*t
	}
	return 500 + 400*(t-2)
}

func squareCurve(period float64) func(float64) float64 { // square:350:50:PERIOD
	return func(t float64) float64 {
		whole := math.Floor(t / period)
		part := t - whole*period
		return whole*period*200 + 350*min(part, period/2) + 50*max(0, part-period/2)
	}
}

func constantCurve(t float64) float64 { return 250 * t }

// TestGPUEnergyOfKnownCurves measures commands of 2 s on GPUs with a known power, at intervals from 1 ms to 1 s, and on GPUs that
// lack functions. The result must be the energy between the first and the last reading, within the counter's update period. A
// tool that drops readings that did not rise is 75 % short at 10 ms. From power readings, the stated fraction is permitted.
func TestGPUEnergyOfKnownCurves(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	library := nvmlstub.Build(t)
	bare := nvmlstub.Build(t, "nvmlDeviceGetFieldValues", "nvmlDeviceGetProcessUtilization", "nvmlDeviceGetMigMode",
		"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetCudaComputeCapability")
	old := nvmlstub.Build(t, "nvmlDeviceGetFieldValues")
	const noCounter = " UNSUPPORTED=field-83,nvmlDeviceGetTotalEnergyConsumption"
	const noInstant = ",field-186"
	cases := []struct {
		name, library, settings, interval string
		curve                             func(float64) float64
		sensor                            string
		within                            float64 // a fraction of the truth, in addition to the stated uncertainty
	}{
		{"constant", library, "CURVE=constant:250 UPDATE=100 WINDOW=25", "100ms", constantCurve, "energy", 0},
		{"constant at 1 ms", library, "CURVE=constant:250 UPDATE=100 WINDOW=25", "1ms", constantCurve, "energy", 0},
		{"constant at 10 ms", library, "CURVE=constant:250 UPDATE=100 WINDOW=25", "10ms", constantCurve, "energy", 0},
		{"constant at 1 s", library, "CURVE=constant:250 UPDATE=100 WINDOW=25", "1s", constantCurve, "energy", 0},
		{"constant, aligned", library, "CURVE=constant:250 UPDATE=100 WINDOW=25", "100ms --align", constantCurve, "energy", 0},
		{"ramp, aligned", library, "CURVE=ramp:100:400:2 UPDATE=100 WINDOW=25", "100ms --align", rampCurve, "energy", 0},
		{"ramp, V100, aligned", library, "CURVE=ramp:100:400:2 UPDATE=20 WINDOW=10", "100ms --align", rampCurve, "energy", 0},
		{"constant, always new", library, "CURVE=constant:250", "10ms", constantCurve, "energy", 0.005},
		{"ramp", library, "CURVE=ramp:100:400:2 UPDATE=100 WINDOW=25", "100ms", rampCurve, "energy", 0},
		{"ramp, V100", library, "CURVE=ramp:100:400:2 UPDATE=20 WINDOW=10", "5ms", rampCurve, "energy", 0},
		{"ramp, always new", library, "CURVE=ramp:100:400:2", "100ms", rampCurve, "energy", 0.005},
		{"square at the interval", library, "CURVE=square:350:50:0.1 UPDATE=100 WINDOW=25", "100ms", squareCurve(0.1), "energy", 0},
		{"square off the interval", library, "CURVE=square:350:50:0.77 UPDATE=100 WINDOW=25", "10ms", squareCurve(0.77), "energy", 0},
		{"square, always new", library, "CURVE=square:350:50:0.23", "1ms", squareCurve(0.23), "energy", 0.005},
		{"without optional functions", bare, "CURVE=ramp:100:400:2 UPDATE=100", "10ms", rampCurve, "energy", 0},
		// Power readings have no stated bound: each covers only 25 ms of 100 ms. The fractions are measured ones.
		{"power alone", library, "CURVE=constant:250" + noCounter, "100ms", constantCurve, "power", 0.005},
		{"power alone, ramp", library, "CURVE=ramp:100:400:2 UPDATE=100 WINDOW=25" + noCounter, "100ms", rampCurve, "power", 0.06},
		{"mean of a second", library, "CURVE=constant:250 AVERAGE=1000" + noCounter + noInstant, "100ms", constantCurve, "power", 0.005},
		{"mean of a second, ramp", library, "CURVE=ramp:100:400:2 AVERAGE=1000" + noCounter + noInstant, "50ms", rampCurve, "power", 0.03},
		{"mean by the old function", old, "CURVE=ramp:100:400:2 AVERAGE=1000" + noCounter, "50ms", rampCurve, "power", 0.03},
	}
	trials(t, len(cases), func(t *testing.T, i int) {
		c := cases[i]
		machine := testenv.Begin(t)
		words := strings.Fields("--interval nvml=" + c.interval + " sleep 2")
		r := runOnGPU(t, c.library, c.settings, c.sensor, words...)
		m := r.metric(t, datamodel.RunLevel, "", "gpu_energy")
		truth := c.curve(r.to) - c.curve(r.from)
		bound := c.within * truth
		if m.Uncertainty > 0 {
			bound = max(bound, m.Uncertainty)
		}
		t.Logf("%-28s %6.2f J ± %.2f of %.2f J (%+.2f %%)", c.name, m.Value, m.Uncertainty, truth, 100*(m.Value/truth-1))
		if !(math.Abs(m.Value-truth) <= bound+0.002) || r.to-r.from < 1.9 { // the counter is in mJ
			t.Errorf("%s: %v J ± %v, but %v J from %v s to %v s", c.name, m.Value, m.Uncertainty, truth, r.from, r.to)
		}
		from := map[string]sensors.Provenance{"energy": sensors.FromCounter, "power": sensors.Integrated}[c.sensor]
		if m.Provenance != from {
			t.Errorf("%s by %s", m.Provenance, m.Source)
		}
		// 350 W and 50 W for half a period each differ by 15 J in 100 ms; 40 J at the most.
		if c.sensor == "energy" && !(m.Uncertainty > 0 && m.Uncertainty < 60) {
			machine.Errorf("± %v J", m.Uncertainty) // a busy machine reads late, and the bound says so
		}
		// The power readings see only the last 25 ms of each 100 ms, so the cross-check warns.
		blind, told := strings.Contains(c.settings, "square:350:50:0.1 "), false
		for _, w := range r.Run.Warnings {
			if strings.HasPrefix(w.Subject, "gpu/") && !strings.Contains(w.Text, "its energy covers") {
				apart := strings.Contains(w.Text, "more than 5 % apart")
				told = told || apart
				if !apart || !blind {
					machine.Errorf("%+v", w) // late readings warn of a long update period
				}
			}
		}
		if blind && !told {
			t.Errorf("no warning about power readings that see half of the curve: %+v", r.Run.Warnings)
		}
	})
}

// TestGPUUpdatePeriod checks that the counter's update period is learnt and stored in the result.
func TestGPUUpdatePeriod(t *testing.T) {
	t.Parallel()
	library := nvmlstub.Build(t)
	for _, ms := range []int{20, 100} {
		t.Run(strconv.Itoa(ms), func(t *testing.T) {
			t.Parallel()
			machine := testenv.Begin(t)
			r := runOnGPU(t, library, fmt.Sprintf("UPDATE=%d", ms), "update_period", "sleep", "1.2")
			m := r.metric(t, datamodel.DeviceLevel, "gpu/"+stubGPU, "update_period")
			// Never less than it is. More by a sixteenth at each end, and by what a busy machine adds.
			least := float64(ms) / 1e3
			if !(m.Value >= least) {
				t.Fatalf("%v s (%s), want %v s", m.Value, m.Reason, least)
			}
			if m.Value >= 2*least {
				machine.Errorf("%v s, want less than twice %v s", m.Value, least)
			}
		})
	}
}

// TestGPUCounterReset checks that a reset loses one interval at most, and that a warning says so.
func TestGPUCounterReset(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	r := runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:250 UPDATE=100 RESET=1", "energy", "sleep", "2")
	m, truth := r.metric(t, datamodel.RunLevel, "", "gpu_energy"), 250*(r.to-r.from)
	if short := truth - m.Value; !(short >= -m.Uncertainty && short <= 250*0.4) || m.Gaps == 0 {
		t.Errorf("%v J ± %v with %d gaps, of %v J", m.Value, m.Uncertainty, m.Gaps, truth)
	}
	if !slices.ContainsFunc(r.Run.Warnings, func(w datamodel.Warning) bool { return strings.Contains(w.Text, "the counter was reset") }) {
		t.Errorf("%+v", r.Run.Warnings)
	}
}

// TestGPUHangs checks that a driver that hangs loses its own later readings and nothing else.
func TestGPUHangs(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	machine := testenv.Begin(t)
	r := runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:250 HANG=nvmlDeviceGetFieldValues HANG_FROM=1.5", "energy", "sleep", "2")
	m, truth := r.metric(t, datamodel.RunLevel, "", "gpu_energy"), 250*(r.to-r.from)
	if !(math.Abs(m.Value-truth) <= 250*0.1) {
		t.Errorf("%v J (%s), but %v J from %v s to %v s", m.Value, m.Reason, truth, r.from, r.to)
	}
	for _, text := range []string{"no last reading within 2 s: the source hangs", "its energy covers"} {
		if !slices.ContainsFunc(r.Run.Warnings, func(w datamodel.Warning) bool { return strings.Contains(w.Text, text) }) {
			t.Errorf("no %q in %+v", text, r.Run.Warnings)
		}
	}
	if m := r.metric(t, datamodel.RunLevel, "", "wall_time"); !(m.Value < 2.5) {
		machine.Errorf("the command ran for %v s", m.Value)
	}
	for _, s := range r.Run.Sources {
		due := int64(2 / s.Interval) // beats: each one is a reading or was missed
		if s.Hung != (s.Name == "nvml") || s.Hung && (s.Readings == 0 || s.Missed < due/5 || s.Readings+s.Missed < due) {
			t.Errorf("%+v", s)
		}
	}
}

// TestGPUOfTheCommand checks that the command's share follows the GPU use of its processes, even of a grandchild that no
// process waits for.
func TestGPUOfTheCommand(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != "pid:[4026531836]" {
		t.Skip("in a container, process ids differ from those of the driver")
	}
	library := nvmlstub.Build(t)
	cases := []struct {
		name, settings, script string
		share                  float64 // NaN: unknown
		memory                 float64 // MiB
		says                   string
	}{
		{"alone", "", `echo "0 $$ 2048 60" >$1; sleep 2`, 1, 2048, "share of SM time"},
		{"beside another", "", `printf "0 $$ 2048 60\n0 1 512 20\n" >$1; sleep 2`, 0.75, 2048, "share of SM time"},
		{
			"an orphan", "", `(sh -c 'printf "0 $$ 1000 30\n0 1 512 30 graphics\n" >$1; sleep 1.8' sh $1 &); sleep 2`,
			0.5, 1000, "share of SM time",
		},
		{"only another", "", `echo "0 1 512 20" >$1; sleep 2`, 0, 0, "share of SM time, 0 s of"},
		{"nobody", "", `sleep 2`, 0, 0, "no process of the target seen on the GPU"},
		{"samples that do not fit", "GROWS=1", `echo "0 $$ 2048 60" >$1; sleep 2`, 1, 2048, "only processes of the target seen"},
		{"more than all", "", `printf "0 $$ 2048 90\n0 1 512 90\n0 2 1 4000000\n" >$1; sleep 2`, 0.5, 2048, "share of SM time"},
		{"MIG", "MIG=MIG-x CUDA_VISIBLE_DEVICES=MIG-x", `printf "0 $$ 2048 60\n0 1 512 20\n" >$1; sleep 2`, math.NaN(), 2048, "in MIG mode"},
		{"MIG, alone", "MIG=MIG-x CUDA_VISIBLE_DEVICES=MIG-x", `echo "0 $$ 2048 60" >$1; sleep 2`, 1, 2048, "only processes of the target"},
		{
			"not told", "UNSUPPORTED=nvmlDeviceGetComputeRunningProcesses_v3,nvmlDeviceGetGraphicsRunningProcesses_v3,nvmlDeviceGetProcessUtilization",
			`sleep 1`, math.NaN(), math.NaN(), "not supported by this GPU or driver",
		},
	}
	trials(t, len(cases), func(t *testing.T, i int) {
		c := cases[i]
		list := filepath.Join(t.TempDir(), "processes")
		r := runOnGPU(t, library, "CURVE=constant:250 PROCESSES="+list+" "+c.settings, "energy", "sh", "-c", c.script, "sh", list)
		whole := r.metric(t, datamodel.RunLevel, "", "gpu_energy")
		target := r.metric(t, datamodel.RunLevel, "", "gpu_target_energy")
		other := r.metric(t, datamodel.HostLevel, "", "gpu_other_energy")
		// The last sample may fall after the command's end, while the other process goes on.
		within := 0.05
		if c.share == 0 || c.share == 1 {
			within = 1e-9
		}
		if math.IsNaN(c.share) != math.IsNaN(target.Value) || math.Abs(target.Value/whole.Value-c.share) > within {
			t.Errorf("%s: %v J (%s) of %v J, want %v of it", c.name, target.Value, target.Reason, whole.Value, c.share)
		}
		if text := target.Source + target.Reason; !strings.Contains(text, c.says) {
			t.Errorf("%s: %q does not say %q", c.name, text, c.says)
		}
		if !math.IsNaN(c.share) && math.Abs(target.Value+other.Value-whole.Value) > 1e-9 {
			t.Errorf("%s: %v J and %v J are not %v J", c.name, target.Value, other.Value, whole.Value)
		}
		if m := r.metric(t, datamodel.DeviceLevel, "target", "gpu_memory_peak"); m.Value != c.memory*(1<<20) && !math.IsNaN(c.memory+m.Value) {
			t.Errorf("%s: %v bytes of memory (%s), want %v MiB", c.name, m.Value, m.Reason, c.memory)
		}
		if mig := strings.Contains(c.settings, "MIG"); mig != strings.Contains(whole.Source, "a MIG instance has no energy of its own") {
			t.Errorf("%s: the source is %q", c.name, whole.Source)
		}
	})
}

// TestGPUBaseline checks that the GPU's idle energy is subtracted first, even if the GPU is the only meter.
func TestGPUBaseline(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	r := runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:100", "energy", "--baseline", "1s", "sleep", "1")
	idle, m := r.metric(t, datamodel.HostLevel, "", "gpu_idle_energy"), r.metric(t, datamodel.RunLevel, "", "gpu_energy")
	if !(math.Abs(idle.Value-m.Value) < 0.01*m.Value) || !strings.HasPrefix(idle.Source, "baseline of ") {
		t.Errorf("idle %v J (%s, %s) of %v J at the same power", idle.Value, idle.Source, idle.Reason, m.Value)
	}
	if base := r.Run.Baseline; base == nil || math.Abs(base.GPUs[stubGPU]-100) > 1 {
		t.Errorf("%+v", base)
	}
}

// TestGPUModule plays a GH200. Its counter covers the module with its processor, so the GPU's energy comes from its power.
func TestGPUModule(t *testing.T) {
	t.Parallel()
	r := runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:250 MODULE=150 COUNTS_MODULE=1 MEMORY=40", "power", "sleep", "1")
	m, truth := r.metric(t, datamodel.RunLevel, "", "gpu_energy"), 250*(r.to-r.from)
	if math.Abs(m.Value/truth-1) > 0.005 || m.Provenance != sensors.Integrated {
		t.Errorf("%v J by %s, not %v J", m.Value, m.Source, truth)
	}
	for name, want := range map[string]float64{"module_power": 400, "memory_power": 40} {
		if m := r.metric(t, datamodel.DeviceLevel, "gpu/"+stubGPU, name); math.Abs(m.Value-want) > 1e-6 {
			t.Errorf("%s is %v W (%s)", name, m.Value, m.Reason)
		}
	}
	// A driver that ignores scopes returns the GPU's power for each scope. Such values are not sensors.
	r = runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:250 MODULE=150 MEMORY=40 SCOPES=0", "energy", "true")
	if m := r.metric(t, datamodel.DeviceLevel, "gpu/"+stubGPU, "module_power"); m.Reason == "" {
		t.Errorf("module_power is %v", m.Value)
	}
}

// TestGPUShortCommand runs less than one update of the counter. The energy comes from power, or there is a bound; it is never 0.
func TestGPUShortCommand(t *testing.T) {
	t.Parallel()
	machine := testenv.Begin(t)
	start := time.Now()
	r := runOnGPU(t, nvmlstub.Build(t), "CURVE=constant:250 UPDATE=100 WINDOW=25", "power", "true")
	m := r.metric(t, datamodel.RunLevel, "", "gpu_energy")
	if m.Reason == "" && !(m.Value > 0 && m.Value <= 250*(time.Since(start).Seconds()+0.1)) || m.Reason != "" && !math.IsNaN(m.Value) {
		t.Errorf("%+v", m)
	}
	if m := r.metric(t, datamodel.RunLevel, "", "gpu_target_energy"); m.Reason == "" {
		machine.Errorf("after so short a time the share must be unknown: %+v", m)
	}
}
