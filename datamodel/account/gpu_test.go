package account

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// gpuCounter is the counter of GPU-a, which moves every 100 ms.
func gpuCounter() sensors.Sensor {
	s := gpu("GPU-a", "energy", sensors.Counter, units.Joule)
	s.Update, s.MaxRate = 100*ms, 10000
	return s
}

// used returns the use of a GPU over 10 s: the greatest number of processes, and the share of the SMs that they had.
func used(uuid string, targets, others int, target, other float64) []*series.Series {
	const n = 11
	gauge := func(name string, unit units.Unit, v float64) *series.Series {
		at, values := every(sec, n), make([]float64, n)
		for i := 3; i < 9; i++ {
			values[i] = v
		}
		return seriesOf(gpu(uuid, name, sensors.Gauge, unit), at, values)
	}
	return []*series.Series{
		gauge("target_processes", units.Processes, float64(targets)), gauge("other_processes", units.Processes, float64(others)),
		gauge("target_utilization", units.Ratio, target), gauge("other_utilization", units.Ratio, other),
	}
}

func TestWhoseGPUEnergy(t *testing.T) {
	const d = 10 * sec
	nan := math.NaN()
	of := func(list ...*series.Series) input {
		return input{Ledger: datamodel.Ledger{WallTime: new(10.0)}, Series: append(list, line(gpuCounter(), 5, 1005, d))}
	}
	f := func(name string, in input, target, other, idle float64, says string) {
		t.Helper()
		tree, _ := build(t, in)
		host := tree.First(datamodel.HostLevel)
		for metric, want := range map[string]float64{"gpu_target_energy": target, "gpu_other_energy": other, "gpu_idle_energy": idle} {
			m := host.Metric(metric)
			if math.Abs(m.Value-want) > 1e-9 || math.IsNaN(m.Value) != math.IsNaN(want) {
				t.Errorf("%s: %s is %v (%s), want %v", name, metric, m.Value, m.Reason, want)
			}
			if m.Reason == "" && m.Provenance != sensors.Attributed {
				t.Errorf("%s: %s is %s", name, metric, m.Provenance)
			}
		}
		m := tree.First(datamodel.RunLevel).Metric("gpu_target_energy")
		if text := m.Source + m.Reason; !strings.Contains(text, says) {
			t.Errorf("%s: %q lacks %q", name, text, says)
		}
	}
	f("alone", of(used("GPU-a", 1, 0, 0, 0)...), 1000, 0, nan, "only processes of the target seen on the GPU in 11 looks")
	f("alone, and sampled", of(used("GPU-a", 1, 0, 0.4, 0)...), 1000, 0, nan, "share of SM time, 2.4 s of 2.4 s, in 1000 J of GPU-a")
	f("next to an idle process", of(used("GPU-a", 1, 1, 0.4, 0)...), 1000, 0, nan, "share of SM time")
	f("two", of(used("GPU-a", 1, 2, 0.6, 0.2)...), 750, 250, nan, "share of SM time, 3.6 s of 4.8 s, in 1000 J of GPU-a; equal time is not")
	f("not on it", of(used("GPU-a", 0, 3, 0, 0.5)...), 0, 1000, nan, "share of SM time, 0 s of 3 s")
	f("unused", of(used("GPU-a", 0, 0, 0, 0)...), 0, 1000, nan, "no process of the target seen on the GPU in 11 looks")
	f("two processes, no use reported", of(used("GPU-a", 1, 1, 0, 0)...), nan, nan, nan, "no use by process")
	f("not read", of(), nan, nan, nan, "the processes that used the GPU were not read")

	short := of(seriesOf(gpu("GPU-a", "target_processes", sensors.Gauge, units.Processes), every(5*sec, 2), []float64{0, 0}))
	f("too short", short, nan, nan, nan, "too short to see who used the GPU: 2 looks")
	mig := of(used("GPU-a", 1, 1, 0, 0)[:2]...)
	mig.Run.Missing = []sensors.Absence{{ID: "gpu/GPU-a/target_utilization", Reason: "in MIG mode the driver does not tell"}}
	f("MIG", mig, nan, nan, nan, "no use by process: in MIG mode")
	container := of()
	container.Run.Missing = []sensors.Absence{{ID: "gpu/GPU-a/target_memory", Reason: "run it with --pid=host"}}
	f("container", container, nan, nan, nan, "--pid=host")

	based := of(used("GPU-a", 1, 2, 0.6, 0.2)...)
	based.Run.Baseline = &datamodel.Baseline{Cover: "packages", GPUs: map[string]float64{"GPU-a": 60}}
	f("baseline", based, 300, 100, 600, "in 1000 J of GPU-a less 600 J idle")
	net := func(in input, want float64, says string) {
		t.Helper()
		tree, _ := build(t, in)
		if m := tree.First(datamodel.RunLevel).Metric("net_energy"); !(m.Value == want || math.IsNaN(m.Value) && math.IsNaN(want)) || !strings.Contains(m.Source+m.Reason, says) {
			t.Errorf("%+v, want %v: %q", m, want, says)
		}
	}
	net(based, 400, "1000 J less 600 J of the GPUs")
	both := based
	both.Series = append(slices.Clip(based.Series), line(zone("package-0"), 0, 2000, d))
	both.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 30, GPUs: map[string]float64{"GPU-a": 60}}
	net(both, 2100, "3000 J less 300 J less 600 J of the GPUs")
	both.Run.Baseline = &datamodel.Baseline{Cover: "packages", Power: 30}
	net(both, nan, "baseline")
	based.Run.Baseline = &datamodel.Baseline{GPUs: map[string]float64{"GPU-a": 160}}
	f("baseline above the run", based, 0, 0, 1000, "share of SM time")
	based.Run.Baseline = &datamodel.Baseline{GPUs: map[string]float64{"GPU-b": 60}}
	f("baseline of another", based, 750, 250, nan, "share of SM time")

	// A second GPU is used only by others.
	two := of(append(used("GPU-a", 1, 2, 0.6, 0.2), used("GPU-b", 0, 1, 0, 0.9)...)...)
	two.Series = append(two.Series, line(gpu("GPU-b", "power", sensors.Gauge, units.Watt), 300, 300, d))
	f("two GPUs", two, 750, 3250, nan, "GPU-b: share of SM time, 0 s of")
	two.Series = append(two.Series, line(gpu("GPU-c", "power", sensors.Gauge, units.Watt), 300, 300, d))
	f("a third one without any data", two, nan, nan, nan, "GPU-c: the processes")
}

// TestLearnedUpdatePeriod checks that the observed update period replaces its upper bound.
func TestLearnedUpdatePeriod(t *testing.T) {
	f := func(name string, period []float64, want float64) {
		t.Helper()
		list := []*series.Series{line(gpuCounter(), 0, 1000, 10*sec)}
		if period != nil {
			list = append(list, seriesOf(gpu("GPU-a", "update_period", sensors.Gauge, units.Second), every(sec, len(period)), period))
		}
		tree, _ := build(t, input{Series: list})
		if m := tree.First(datamodel.RunLevel).Metric("gpu_energy"); !isNear(m.Uncertainty, want, 1e-9) {
			t.Errorf("%s: %v ± %v, want ± %v", name, m.Value, m.Uncertainty, want)
		}
		if list[0].Sensor().Update != 100*ms {
			t.Errorf("%s: the input was changed", name)
		}
	}
	nan := math.NaN()
	f("none", nil, 10)
	f("not learnt", []float64{nan, nan, nan}, 10)
	f("learnt", []float64{nan, 0.02, 0.02}, 2)
	f("longer than thought", []float64{nan, 0.5, 0.5}, 50)
	f("nonsense", []float64{nan, 0, -1}, 10)
	f("out of bounds", []float64{nan, 1e300}, 10)
}

// TestCounterOfTheModule checks a GH200, whose counter counts the module. The GPU's energy comes from its power, next
// to the processor's own meter.
func TestCounterOfTheModule(t *testing.T) {
	const d = 10 * sec
	watts := func(name string, v float64) *series.Series {
		return line(gpu("GPU-a", name, sensors.Gauge, units.Watt), v, v, d)
	}
	f := func(name string, counted, module, want float64, source string) {
		t.Helper()
		tree, warnings := build(t, input{Series: []*series.Series{
			line(gpuCounter(), 0, counted*10, d), watts("power", 300), watts("module_power", module), watts("memory_power", 50),
		}})
		if m := tree.First(datamodel.RunLevel).Metric("gpu_energy"); !isNear(m.Value, want, 1e-12) || !strings.Contains(m.Source, source) {
			t.Errorf("%s: %v J by %q", name, m.Value, m.Source)
		}
		if len(warnings) > 0 {
			t.Errorf("%s: %v", name, warnings)
		}
	}
	f("of the module", 455, 460, 3000, "GPU-a (power over time)")
	f("of the GPU", 305, 460, 3050, "GPU-a (counter)")
	f("a driver that takes them for one", 303, 300, 3030, "GPU-a (counter)")
}

func TestGPUCrossCheck(t *testing.T) {
	const d = 10 * sec
	f := func(name string, counter, power *series.Series, want string) {
		t.Helper()
		_, warnings := build(t, input{Series: []*series.Series{counter, power}})
		if want == "" && len(warnings) > 0 || want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Text, want)) {
			t.Errorf("%s: %v, want %q", name, warnings, want)
		}
	}
	steady := func(v float64) *series.Series { return line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), v, v, d) }
	f("alike", line(gpuCounter(), 0, 1000, d), steady(100), "")
	f("4 % and the bound of 1 %", line(gpuCounter(), 0, 1000, d), steady(105), "")
	f("7 %", line(gpuCounter(), 0, 1000, d), steady(107), "the counter gives 100 W, the power readings over time 107 W: more than 5 % apart")
	f("far less", line(gpuCounter(), 0, 1000, d), steady(50), "more than 5 % apart")
	f("so short that nothing is known", line(gpuCounter(), 0, 10, 100*ms), line(gpu("GPU-a", "power", sensors.Gauge, units.Watt), 50, 50, 100*ms), "")
}

// TestPowerThatIsAMean checks a power that is a mean over one second and therefore lags by half of it.
func TestPowerThatIsAMean(t *testing.T) {
	average := gpu("GPU-a", "power", sensors.Gauge, units.Watt)
	average.Window = sec
	f := func(name string, energy func(t float64) float64, length, want, within float64) {
		t.Helper()
		var at []time.Duration
		var values []float64
		for x := 0.0; x <= length+1e-9; x += 0.01 {
			at, values = append(at, time.Duration(x*1e9)), append(values, energy(x)-energy(x-1))
		}
		s := seriesOf(average, at, values)
		m := s.Energy()
		if math.Abs(m.Value-want) > within*want+1e-9 || m.Provenance != sensors.Integrated {
			t.Errorf("%s: %v J (%s), want %v", name, m.Value, m.Provenance, want)
		}
		if p := metricOf(t, s, "power"); !isNear(p.Value*at[len(at)-1].Seconds(), m.Value, 1e-9) {
			t.Errorf("%s: %v W for %v s are not %v J", name, p.Value, length, m.Value)
		}
	}
	constant := func(w float64) func(float64) float64 { return func(x float64) float64 { return w * x } }
	step := func(x float64) float64 { return max(0, 100*x) } // 0 W until the start
	ramp := func(x float64) float64 { return 50 * max(0, x) * max(0, x) }
	f("constant", constant(100), 5, 500, 1e-9)
	f("constant and short", constant(100), 0.3, 30, 1e-9)
	f("from 0 W to 100 W at the start", step, 5, 500, 1e-4)
	f("the same, within a window", step, 0.4, 40, 1e-4)
	f("ramp from the start", ramp, 5, 1250, 0.007) // its last window is not constant
	f("from 1001 W to 1 W at the start", func(x float64) float64 { return 1000*min(x, 0) + x }, 0.5, 0.5, 1e-3)
}

// TestOtherUseInOneHalfOfTheGPU has two halves. In the first the target uses the GPU at 300 W, in the second another
// program uses it at 100 W. By its share of the whole run's SM time the target would have 4000 J of the 8000 J.
func TestOtherUseInOneHalfOfTheGPU(t *testing.T) {
	const n, d = 401, 100 * ms
	course := func(name string, unit units.Unit, kind sensors.Kind, first, second float64) *series.Series {
		at, values, sum := every(d, n), make([]float64, n), 0.0
		for i := range values {
			v := first
			if i > n/2 {
				v = second
			}
			if values[i] = v; kind == sensors.Counter {
				values[i] = sum
				sum += v * d.Seconds()
			}
		}
		return seriesOf(gpu("GPU-a", name, kind, unit), at, values)
	}
	in := input{Ledger: datamodel.Ledger{WallTime: new(40.0)}, Series: []*series.Series{
		course("energy", units.Joule, sensors.Counter, 300, 100),
		course("target_utilization", units.Ratio, sensors.Gauge, 0.8, 0), course("other_utilization", units.Ratio, sensors.Gauge, 0, 0.8),
	}}
	for _, base := range []*datamodel.Baseline{nil, {GPUs: map[string]float64{"GPU-a": 50}}} {
		in.Run.Baseline = base
		want, idle := 6000.0, 0.0
		if base != nil {
			want, idle = 5000, 2000
		}
		tree, _ := build(t, in)
		device := tree.Find(datamodel.DeviceLevel, "gpu/GPU-a")
		m := tree.First(datamodel.RunLevel).Metric("gpu_target_energy")
		// The change may fall into an interval, which is shared out as one.
		if math.Abs(m.Value-want) > 300 || !strings.Contains(m.Source, "SM time in each of 7 intervals, 16.") {
			t.Errorf("the target has %v J: %s", m.Value, m.Source)
		}
		chart, joules := chartOf(in), make(map[datamodel.CourseSubject]float64)
		for _, c := range chart.Courses {
			for i, v := range c.Values {
				if c.Metric == datamodel.Power && c.Covered[i] > 0 {
					joules[c.Subject] += v * c.Covered[i]
				}
			}
		}
		for subject, name := range map[datamodel.CourseSubject]string{
			datamodel.CommandCourse: "target_energy", datamodel.OtherCourse: "other_energy", datamodel.IdleCourse: "idle_energy",
		} {
			leaf := device.Find(datamodel.SensorLevel, name)
			if leaf == nil {
				if base != nil || subject != datamodel.IdleCourse || joules[subject] != 0 {
					t.Errorf("no sensor %s, %v J in the chart", name, joules[subject])
				}
				continue
			}
			if want := device.Metric(name).Value; leaf.Sensor.ID != "gpu/GPU-a/"+name || leaf.Metric(name).Value != want || !isNear(joules[subject], want, 1e-9) {
				t.Errorf("%s: %v J in the chart, the metric is %+v", name, joules[subject], device.Metric(name))
			}
		}
		if v := device.Metric("idle_energy").Value; base != nil && !isNear(v, idle, 1e-9) {
			t.Errorf("idle %v J", v)
		}
	}
}
