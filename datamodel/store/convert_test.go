package store_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
)

// writeRun makes the spools of a run: one of three sensors, one of one, of many ticks.
func writeRun(t testing.TB, dir string, ticks int) (spool string) {
	t.Helper()
	spool = filepath.Join(dir, store.SpoolFolder)
	for source, n := range map[string]int{"cpu": 3, "rapl": 1} {
		s := create(t, spool, header(source, n))
		fill(t, s, n, ticks, 100)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return spool
}

// seen checks what Convert hands out: every sensor's readings in their order, none missing, none twice.
type seen map[string]int

func (s seen) observe(t testing.TB) store.Observer {
	t.Helper()
	return func(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
		if len(at) != len(values) || len(at) == 0 {
			t.Fatalf("%d times for %d values", len(at), len(values))
		}
		id := h.Sensors[sensor].ID
		for i, v := range values {
			tick := s[id]
			if at[i] != tickTime(tick) {
				t.Fatalf("%s: tick %d at %v, want %v", id, tick, at[i], tickTime(tick))
			}
			if want := reading(tick, sensor); v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
				t.Fatalf("%s: tick %d: %v, want %v", id, tick, v, want)
			}
			s[id]++
		}
	}
}

// checkSamples compares a run's samples.parquet, read back, with what was spooled.
func checkSamples(t *testing.T, dir string, ticks int) {
	t.Helper()
	got := seen{}
	for b, err := range store.Samples(dir) {
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range b.Sensor {
			tick := got[id]
			sensor := int(id[strings.Index(id, "device")+len("device")] - '0')
			want := reading(tick, sensor)
			if v := b.Value[i]; v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
				t.Fatalf("%s: tick %d: %v, want %v", id, tick, v, want)
			}
			if e := tickTime(tick).Seconds(); b.Elapsed[i] != e {
				t.Fatalf("%s: tick %d: elapsed %v, want %v", id, tick, b.Elapsed[i], e)
			}
			if at := anchor.Add(tickTime(tick)).UnixMicro(); b.Time[i] != at {
				t.Fatalf("%s: tick %d: time %d, want %d", id, tick, b.Time[i], at)
			}
			if b.Host[i] != "node1" {
				t.Fatalf("host %q", b.Host[i])
			}
			got[id]++
		}
	}
	if len(got) != 4 {
		t.Errorf("%d sensors, want 4", len(got))
	}
	for id, n := range got {
		if n != ticks {
			t.Errorf("%s: %d rows, want %d", id, n, ticks)
		}
	}
}

func TestConvert(t *testing.T) {
	// Below, at and above the block of 128, the chunk of 2048, snappy's 64k rows, and of several row groups.
	for _, ticks := range []int{2, 127, 128, 2048, 2049, 20_000, 300_000} {
		dir := t.TempDir()
		got := seen{}
		c, err := convert(writeRun(t, dir, ticks), filepath.Join(dir, store.SamplesFile), got.observe(t))
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range got {
			if n != ticks {
				t.Errorf("%d ticks: observed %d of %s", ticks, n, id)
			}
		}
		if c.Samples != int64(4*ticks) || len(c.Spools) != 2 || c.Bytes == 0 {
			t.Errorf("%d ticks: %+v", ticks, c)
		}
		for _, s := range c.Spools {
			if s.Err != nil || !s.Complete || s.Rows != int64(ticks) || s.Last != tickTime(ticks-1) || s.First != 0 {
				t.Errorf("%d ticks: %+v", ticks, s)
			}
		}
		checkSamples(t, dir, ticks)
		if err := store.RemoveSpool(folderAt(dir)); err != nil {
			t.Error(err)
		}
		onlyFiles(t, dir, store.SamplesFile)
	}
}

// onlyFiles fails where a folder holds anything but these.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// A spool that is torn, one that is garbage and one that is fine.
func TestConvertDamagedSpools(t *testing.T) {
	dir := t.TempDir()
	spool := writeRun(t, dir, 250)
	rapl := filepath.Join(spool, "rapl.arrows")
	info, err := os.Stat(rapl)
	if err != nil {
		t.Fatal(err)
	}
	// The last batch has 50 of the 250 rows; cut into it.
	if err := os.Truncate(rapl, info.Size()-600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spool, "gpu.arrows"), []byte("no Arrow at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := seen{}
	c, err := convert(spool, filepath.Join(dir, store.SamplesFile), got.observe(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Spools) != 3 {
		t.Fatalf("%d spools", len(c.Spools))
	}
	cpu, gpu, torn := c.Spools[0], c.Spools[1], c.Spools[2]
	if cpu.Err != nil || !cpu.Complete || cpu.Rows != 250 {
		t.Errorf("cpu: %+v", cpu)
	}
	if gpu.Err == nil || gpu.Complete || gpu.Rows != 0 {
		t.Errorf("gpu: %+v", gpu)
	}
	if !errors.Is(torn.Err, io.ErrUnexpectedEOF) || torn.Complete || torn.Rows != 200 || got["rapl/device0/energy"] != 200 {
		t.Errorf("rapl: %+v", torn)
	}
	if c.Samples != 3*250+200 {
		t.Errorf("%d samples", c.Samples)
	}
}

// Without a file, and where the file cannot be written, the readings are handed out all the same.
func TestConvertObservesWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	spool := writeRun(t, dir, 300)
	got := seen{}
	if c, err := convert(spool, "", got.observe(t)); err != nil || c.Samples != 1200 || got["rapl/device0/energy"] != 300 {
		t.Errorf("%+v, %v", c, err)
	}
	got = seen{}
	gone := filepath.Join(dir, "gone")
	files := folderAt(gone).Files()
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	conversion, err := files.Convert(folderAt(spool), got.observe(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := conversion.Close()
	if err == nil || c.Samples != 1200 || got["cpu/device2/energy"] != 300 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := convert(filepath.Join(dir, "none"), "", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if c, err := convert(t.TempDir(), "", nil); err != nil || len(c.Spools) != 0 {
		t.Errorf("no spools: %+v, %v", c, err)
	}
}
