package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// convertVariable is the environment variable with the folder that the child converts. The child is this program again, so
// that its memory can be measured alone.
const convertVariable = "ERGON_BENCH_CONVERT"

// converted is the child's answer.
type converted struct {
	Samples int64   `json:"samples"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	// Peak is the peak resident memory in bytes, or 0 if it is unknown.
	Peak float64 `json:"peak"`
}

// processing measures how long it takes to make samples.parquet and the figures of every sensor from the spools. A child does
// it with the runner's code. One set of readings is recorded here and repeated; another is made up like a server's. The peer
// is pyarrow, if Python has it. pyarrow does the same without the figures.
func processing(b *bench) ([]figure, error) {
	rounds, samples, huge := 5, 5_000_000, 10_000_000
	switch {
	case b.quick:
		rounds, samples, huge = 1, 100_000, 200_000
	case b.huge:
		huge = 100_000_000
	}
	tile, err := recorded(b)
	if err != nil {
		return nil, err
	}
	made := server()
	kinds := []struct {
		name     string
		readings []*readings
		note     string
	}{
		{"recorded", tile, "all families of this machine at 100 Hz while it writes and forks a little, repeated: counters go on, gauges recur"},
		{"made up", made, "100 sensors in six sources: constants, RAPL's steps of 61 µJ, hundredths of a second, bytes, gauges of three decimals"},
	}
	var figures []figure
	for _, kind := range kinds {
		dir := filepath.Join(b.dir, kind.name)
		if err := write(dir, kind.readings, samples); err != nil {
			return nil, err
		}
		var rates, arrow []float64
		var last, peer converted
		noPeer := ""
		for range rounds {
			for _, ours := range rand.Perm(2) {
				switch {
				case ours == 1:
					if last, err = convert(dir); err != nil {
						return nil, err
					}
					rates = append(rates, float64(last.Samples)/last.Seconds)
				case noPeer == "":
					if peer, err = pyarrow(b, dir); err != nil {
						noPeer = err.Error()
						continue
					}
					arrow = append(arrow, float64(peer.Samples)/peer.Seconds)
				}
			}
		}
		rate := median(kind.name+", samples a second", perSecond, rates)
		rate.compare(median("pyarrow", perSecond, arrow))
		rate.atLeast(3e6)
		rate.Note = kind.note
		if noPeer != "" {
			rate.Note += "; no pyarrow to compare with: " + noPeer
		}
		bytes := single(kind.name+", bytes a sample", perSample, float64(last.Bytes)/float64(last.Samples))
		bytes.atMost(3.2)
		if peer.Samples > 0 {
			bytes.compare(single("pyarrow", perSample, float64(peer.Bytes)/float64(peer.Samples)))
		}
		figures = append(figures, rate, bytes)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}

	dir := filepath.Join(b.dir, "huge")
	if err := write(dir, made, huge); err != nil {
		return nil, err
	}
	c, err := convert(dir)
	if err != nil {
		return nil, err
	}
	peak := single(fmt.Sprintf("peak memory, %d million samples", c.Samples/1e6), units.Byte, c.Peak)
	if c.Peak == 0 {
		peak.Value, peak.Note = nil, "this system does not report peak memory"
	} else {
		peak.atMost(200e6)
		peak.Note = fmt.Sprintf("%.1f s, %.2f M samples/s, %.2f B a sample", c.Seconds, float64(c.Samples)/c.Seconds/1e6,
			float64(c.Bytes)/float64(c.Samples))
	}
	return append(figures, peak), os.RemoveAll(dir)
}

// convert converts the spools below dir in a child.
func convert(dir string) (c converted, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), convertVariable+"="+dir)
	cmd.Stderr = os.Stderr
	return answered(cmd)
}

// answered reads the answer that a converting program prints.
func answered(cmd *exec.Cmd) (c converted, err error) {
	out, err := cmd.Output()
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return c, err
	}
	if c.Samples == 0 || c.Seconds <= 0 {
		return c, errors.New("nothing was converted")
	}
	return c, nil
}

// convertChild is the child of convert. Like package runner, it makes a series of every sensor.
func convertChild(dir string, out io.Writer) error {
	all := map[string]*series.Series{}
	charted := account.Charted()
	start := time.Now()
	folder, err := store.OpenFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // the process ends
	files := folder.Files()
	conversion, err := files.Convert(folder,
		func(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
			id := h.Sensors[sensor].ID
			s, ok := all[id]
			if !ok {
				s = series.New(h.Sensors[sensor])
				if charted(*s.Sensor()) {
					s.Chart(h.Interval)
				}
				all[id] = s
			}
			s.Add(at, values)
		})
	if err != nil {
		return err
	}
	done, err := conversion.Close()
	if err := errors.Join(err, files.Keep()); err != nil {
		return err
	}
	for _, s := range all {
		_ = s.Metrics()
	}
	for _, s := range done.Spools {
		if s.Err != nil || !s.Complete {
			return fmt.Errorf("%s: incomplete: %w", s.Path, s.Err)
		}
	}
	return json.NewEncoder(out).Encode(converted{done.Samples, done.Bytes, time.Since(start).Seconds(), ownPeak()})
}

//go:embed peer.py
var peerScript string

// pyarrow converts the spools with the Python of the tests, or with the system's Python.
func pyarrow(b *bench, dir string) (converted, error) {
	python := filepath.Join(b.root, ".venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pyarrow, numpy").Run(); err != nil {
		return converted{}, fmt.Errorf("`%s -c 'import pyarrow'`: %w", filepath.Base(python), err)
	}
	cmd := exec.Command(python, "-c", peerScript, dir, filepath.Join(dir, "peer.parquet"))
	cmd.Stderr = os.Stderr
	return answered(cmd)
}

// readings are the readings of one source. write repeats them.
type readings struct {
	source  string
	sensors []sensors.Sensor
	at      []time.Duration
	values  []float64 // one reading after another
}

// write makes a spool of each source, with the given number of samples in all. It repeats the readings. Times and counters
// continue from the end of the previous repetition.
func write(dir string, sources []*readings, samples int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	folder, err := store.OpenFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // nothing was written through it
	for _, r := range sources {
		n, have := len(r.sensors), len(r.at)
		all := 0 // the samples in one repetition of all sources
		for _, other := range sources {
			all += len(other.values)
		}
		ticks := int(float64(samples) * float64(len(r.values)) / float64(all) / float64(n))
		s, err := store.CreateSpool(folder, store.SpoolHeader{
			Source: r.source, Host: "bench", Interval: 100 * time.Millisecond, Sensors: r.sensors,
			Anchor: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		})
		if err != nil {
			return err
		}
		step := r.at[have-1] - r.at[0] + (r.at[have-1]-r.at[0])/time.Duration(have-1)
		rise := make([]float64, n)
		for i := range rise {
			if r.sensors[i].Kind == sensors.Counter {
				rise[i] = max(r.values[(have-1)*n+i]-r.values[i], 0)
			}
		}
		row := make([]float64, n)
		for tick := range ticks {
			again, from := tick/have, tick%have
			copy(row, r.values[from*n:(from+1)*n])
			for i := range row {
				row[i] += float64(again) * rise[i]
			}
			s.Append(r.at[from]+time.Duration(again)*step, row)
			if s.Full() || tick%10 == 9 { // a batch a second, at 10 Hz
				if err := s.Flush(); err != nil {
					return errors.Join(err, s.Close())
				}
			}
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// server makes up the readings of a server with 100 sensors. Constant, energy, bytes, CPU time and gauge alternate.
func server() []*readings {
	const ticks = 20_000 // long enough that zstd does not find one repetition in the next
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*readings
	for _, source := range []struct {
		name string
		n    int
	}{{"cpu", 40}, {"disk", 12}, {"memory", 4}, {"network", 12}, {"rapl", 6}, {"target", 26}} {
		r := &readings{source: source.name}
		last := make([]float64, source.n)
		for i := range last {
			kind := sensors.Counter
			if i%5 == 0 || i%5 == 4 {
				kind = sensors.Gauge
			}
			id := fmt.Sprintf("%s/device%d/reading", source.name, i)
			r.sensors = append(r.sensors, sensors.Sensor{ID: id, Family: source.name, Name: "reading", Unit: units.Joule, Kind: kind})
			last[i] = math.Round(float64(1000*i) + 100*rng.Float64())
		}
		for tick := range ticks {
			for i := range last {
				switch i % 5 {
				case 1: // counts of 61 µJ, at about 50 W and 10 Hz
					last[i] = math.Round(last[i]*16384+80000+2000*rng.NormFloat64()) / 16384
				case 2:
					if rng.IntN(10) == 0 {
						last[i] += 4096 * float64(rng.IntN(64))
					}
				case 3: // hundredths of a second, as USER_HZ gives
					last[i] = math.Round(last[i]*100+float64(rng.IntN(10))) / 100
				case 4:
					last[i] = math.Round(last[i]*1000+10*rng.NormFloat64()) / 1000
				}
			}
			r.values = append(r.values, last...)
			// A beat is late by some microseconds.
			r.at = append(r.at, time.Duration(tick)*100*time.Millisecond+time.Duration(60_000+20_000*rng.ExpFloat64()))
		}
		all = append(all, r)
	}
	return all
}

// load reads the spools in a folder.
func load(dir string) ([]*readings, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.arrows"))
	if err != nil {
		return nil, err
	}
	var all []*readings
	for _, path := range paths {
		r, err := loadOne(path)
		if err != nil {
			return nil, err
		}
		if len(r.at) < 2 {
			return nil, fmt.Errorf("%s: %d readings", path, len(r.at))
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no spools", dir)
	}
	return all, nil
}

func loadOne(path string) (*readings, error) {
	s, err := store.OpenSpool(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it is only read
	r := &readings{source: s.Header().Source, sensors: s.Header().Sensors}
	for {
		at, values, err := s.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		r.at = append(r.at, at...)
		r.values = append(r.values, values...)
	}
}
