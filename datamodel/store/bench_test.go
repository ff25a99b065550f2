package store_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

func BenchmarkSpoolAppend(b *testing.B) {
	s := create(b, b.TempDir(), header("cpu", 20))
	defer s.Close()
	values := make([]float64, 20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if !s.Append(time.Duration(i), values) {
			b.StopTimer()
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}

// BenchmarkSpoolFlush is a second's worth of readings at 10 Hz, appended and written.
func BenchmarkSpoolFlush(b *testing.B) {
	for _, n := range []int{1, 20, 200} {
		for _, rows := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("sensors=%d/rows=%d", n, rows), func(b *testing.B) {
				s := create(b, b.TempDir(), header("cpu", n))
				defer s.Close()
				values := make([]float64, n)
				for i := range values {
					values[i] = reading(5, i)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					for range rows {
						s.Append(time.Duration(i), values)
					}
					if err := s.Flush(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// The kinds of data a spool is filled with for the benchmarks.
const (
	// realistic has of five sensors a constant, an energy counter in steps of RAPL's 61 µJ, a counter of bytes that
	// rises now and then, a clock in ms like a CPU's busy time, and a gauge that wanders in steps of a thousandth.
	realistic = "realistic"
	// noise is a random double at every reading: what cannot be compressed.
	noise = "noise"
)

// series makes the readings of the benchmarks.
type series struct {
	kind string
	rng  *rand.Rand
	last []float64
}

func newSeries(kind string, n int) *series {
	s := &series{kind: kind, rng: rand.New(rand.NewPCG(1, 2)), last: make([]float64, n)}
	for i := range s.last {
		s.last[i] = math.Round(float64(1000*i)+100*s.rng.Float64()) / 4
	}
	return s
}

func (s *series) next(values []float64) {
	for i := range values {
		switch {
		case s.kind == noise:
			s.last[i] = s.rng.NormFloat64()
		case i%5 == 1: // counts of 61 µJ, at about 50 W and 10 Hz
			s.last[i] = math.Round(s.last[i]*16384+80000+2000*s.rng.NormFloat64()) / 16384
		case i%5 == 2:
			if s.rng.IntN(10) == 0 {
				s.last[i] += 4096 * float64(s.rng.IntN(64))
			}
		case i%5 == 3: // hundredths of a second, as USER_HZ gives
			s.last[i] = math.Round(s.last[i]*100+float64(s.rng.IntN(10))) / 100
		case i%5 == 4:
			s.last[i] = math.Round(s.last[i]*1000+10*s.rng.NormFloat64()) / 1000
		}
		values[i] = s.last[i]
	}
}

// writeSeries makes the spool of a source with n sensors.
func writeSeries(tb testing.TB, dir, source, kind string, n, ticks int) {
	tb.Helper()
	s := create(tb, dir, header(source, n))
	data, values := newSeries(kind, n), make([]float64, n)
	for tick := range ticks {
		data.next(values)
		// A beat is late by some microseconds.
		at := time.Duration(tick)*100*time.Millisecond + time.Duration(60_000+20_000*data.rng.ExpFloat64())
		s.Append(at, values)
		if s.Full() || tick%10 == 9 {
			if err := s.Flush(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkConvert turns about 3 million readings into Parquet. The peer it is to be held against is the goal: at
// least 3 million samples a second, and at most 3.2 bytes a sample for realistic data.
func BenchmarkConvert(b *testing.B) {
	for _, kind := range []string{realistic, noise} {
		for _, n := range []int{1, 4, 20, 100} {
			b.Run(fmt.Sprintf("%s/sensors=%d", kind, n), func(b *testing.B) {
				dir := b.TempDir()
				spool := filepath.Join(dir, store.SpoolFolder)
				writeSeries(b, spool, "cpu", kind, n, 3_000_000/n)
				var c store.Converted
				for b.Loop() {
					var err error
					if c, err = convert(spool, filepath.Join(dir, store.SamplesFile), nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(c.Samples)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
				b.ReportMetric(float64(c.Bytes)/float64(c.Samples), "B/sample")
			})
		}
	}
}

// BenchmarkConvertRun is a run of ten minutes at 10 Hz with the sources and sensors of a server.
func BenchmarkConvertRun(b *testing.B) {
	dir := b.TempDir()
	spool := filepath.Join(dir, store.SpoolFolder)
	for source, n := range map[string]int{"cpu": 40, "disk": 12, "memory": 4, "network": 12, "rapl": 6, "target": 14, "profiler": 6} {
		writeSeries(b, spool, source, realistic, n, 6000)
	}
	var c store.Converted
	for b.Loop() {
		var err error
		if c, err = convert(spool, filepath.Join(dir, store.SamplesFile), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(c.Samples)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
	b.ReportMetric(float64(c.Bytes)/float64(c.Samples), "B/sample")
}

// BenchmarkSaveSmall is what saving adds to the wrapping of `true`: a hundred sensors with two readings each.
func BenchmarkSaveSmall(b *testing.B) {
	root := b.TempDir()
	run, tree := sampleRun(), sampleTree(100)
	for i := 0; b.Loop(); i++ {
		dir, err := newRun(root, "true", run.Start, strconv.Itoa(i))
		if err != nil {
			b.Fatal(err)
		}
		spool := filepath.Join(dir, store.SpoolFolder)
		b.StopTimer()
		for _, source := range []string{"cpu", "disk", "memory", "network", "target"} {
			writeSeries(b, spool, source, realistic, 20, 2)
		}
		b.StartTimer()
		if _, err := convert(spool, filepath.Join(dir, store.SamplesFile), nil); err != nil {
			b.Fatal(err)
		}
		if err := saveTree(dir, run, tree); err != nil {
			b.Fatal(err)
		}
		if err := store.SaveManifest(folderAt(dir), run); err != nil {
			b.Fatal(err)
		}
		if err := store.RemoveSpool(folderAt(dir)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConvertHuge converts 100 million samples, some 28 hours of 100 sensors at 10 Hz, in a process of its own and reports
// what that took of memory at most. It takes a minute and 900 MB of disk: ERGON_BENCH_HUGE=1 asks for it.
func BenchmarkConvertHuge(b *testing.B) {
	if os.Getenv("ERGON_BENCH_HUGE") == "" {
		b.Skip("ERGON_BENCH_HUGE is not set")
	}
	if runtime.GOOS != "linux" {
		b.Skip("VmHWM is Linux's")
	}
	const ticks = 1_000_000
	dir := b.TempDir()
	for source, n := range map[string]int{"cpu": 40, "disk": 12, "memory": 4, "network": 12, "rapl": 6, "target": 26} {
		writeSeries(b, filepath.Join(dir, store.SpoolFolder), source, realistic, n, ticks)
	}
	for b.Loop() {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+childConvert, dirVariable+"="+dir)
		start := time.Now()
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		wall := time.Since(start)
		var samples, size, peak float64
		if _, err := fmt.Sscan(string(out), &samples, &size, &peak); err != nil {
			b.Fatalf("%q: %v", out, err)
		}
		if samples != 100*ticks {
			b.Fatalf("%v samples", samples)
		}
		b.ReportMetric(samples/wall.Seconds()/1e6, "Msamples/s")
		b.ReportMetric(samples/(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()/1e6, "Msamples/CPU-s")
		b.ReportMetric(size/samples, "B/sample")
		b.ReportMetric(peak/1024, "MiB-peak")
	}
}

// convertChild is the other process of BenchmarkConvertHuge.
func convertChild(dir string) error {
	var observed float64
	c, err := convert(filepath.Join(dir, store.SpoolFolder), filepath.Join(dir, store.SamplesFile),
		func(_ store.SpoolHeader, _ int, _ []time.Duration, values []float64) {
			for _, v := range values {
				observed += v
			}
		})
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := strings.Fields(string(rest))
	if len(fields) == 0 {
		return fmt.Errorf("no VmHWM")
	}
	_, err = fmt.Fprintln(os.Stdout, c.Samples, c.Bytes, fields[0])
	return err
}

func sampleRun() datamodel.Run {
	code, wall := 0, 1.25
	return datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: "20260304T050607Z-1a2b", Project: "train", Command: []string{"./train.sh", "--fast"},
		Folder: "/home/me", Outcome: datamodel.Done, ExitCode: &code, Start: anchor, WallTime: &wall,
		Host:     datamodel.HostInfo{Name: "node1", OS: "linux", CPUs: 8, Memory: 1 << 35},
		Sources:  []datamodel.SourceStats{{Name: "rapl", Interval: 0.1, Sensors: 2, Readings: 12}},
		Missing:  []sensors.Absence{{ID: "gpu", Family: "gpu", Reason: "no libnvidia-ml.so.1"}},
		Warnings: []datamodel.Warning{{Subject: "run", Text: "clock stepped", Count: 1}},
		Version:  "test",
	}
}

// sampleTree is a tree of n sensors, with all there is in a node and a metric.
func sampleTree(n int) *datamodel.Node {
	device := &datamodel.Node{Name: "rapl", Level: datamodel.DeviceLevel, Family: "rapl"}
	h := header("rapl", n)
	for i := range h.Sensors {
		s := h.Sensors[i]
		device.Children = append(device.Children, &datamodel.Node{
			Name: s.ID, Level: datamodel.SensorLevel, Family: "rapl", Sensor: &s,
			Metrics: []datamodel.Metric{{
				Name: "energy", Value: 1.1 * float64(i), Unit: s.Unit, Aggregation: "delta", Provenance: s.Origin(), Source: s.Source,
				Count: 12, Gaps: int64(i), Min: -1, Max: math.Inf(1), Mean: 0.1, Std: math.SmallestNonzeroFloat64, Uncertainty: 0.4,
			}},
		})
	}
	device.Children = append(device.Children, &datamodel.Node{Name: "a/b \"ü\"", Level: datamodel.SensorLevel})
	host := &datamodel.Node{
		Name: "node1", Level: datamodel.HostLevel, Meta: []datamodel.Pair{{Key: "cpu", Value: "EPYC"}, {Key: "a", Value: ""}, {Key: "cpu", Value: "two"}},
		Children: []*datamodel.Node{device},
	}
	run := &datamodel.Node{
		Name: "20260304T050607Z-1a2b", Level: datamodel.RunLevel, Children: []*datamodel.Node{host},
		Metrics: []datamodel.Metric{
			datamodel.Missing("energy", "J", "no powercap in this kernel"),
			datamodel.Value("wall_time", 1.25, "s", "delta", sensors.FromCounter, "clock_gettime"),
		},
	}
	return &datamodel.Node{Name: "train", Level: datamodel.App, Children: []*datamodel.Node{
		{Name: "multi", Level: datamodel.MultiRun, Children: []*datamodel.Node{run}},
	}}
}
