package store_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// anchor has nanoseconds below a microsecond, which rounding must not get wrong.
var anchor = time.Date(2026, 3, 4, 5, 6, 7, 123_456_789, time.UTC)

func header(source string, n int) store.SpoolHeader {
	h := store.SpoolHeader{Source: source, Host: "node1", Interval: 100 * time.Millisecond, Anchor: anchor, Version: "test"}
	for i := range n {
		h.Sensors = append(h.Sensors, sensors.Sensor{
			ID: fmt.Sprintf("%s/device%d/energy", source, i), Family: source, Device: fmt.Sprintf("device%d", i),
			Name: "energy", Unit: units.Joule, Kind: sensors.Kind(i % 2), Wrap: 262143.328850, MaxRate: 500,
			Source: "/sys/class/powercap", Doc: "Energy of the package.",
		})
	}
	return h
}

// reading is the value of a sensor at a tick: every seventh is missing.
func reading(tick, sensor int) float64 {
	if (tick+sensor)%7 == 3 {
		return math.NaN()
	}
	return float64(tick)*1.25 + float64(sensor)*1000
}

func tickTime(tick int) time.Duration {
	return time.Duration(tick)*100*time.Millisecond + time.Duration(tick*7919%9973)
}

// fill appends so many ticks, flushing every so many.
func fill(t testing.TB, s *store.Spool, n, ticks, every int) {
	t.Helper()
	values := make([]float64, n)
	for tick := range ticks {
		for i := range values {
			values[i] = reading(tick, i)
		}
		if !s.Append(tickTime(tick), values) {
			t.Fatalf("tick %d refused", tick)
		}
		if (tick+1)%every == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func create(t testing.TB, dir string, h store.SpoolHeader) *store.Spool {
	t.Helper()
	s, err := store.CreateSpool(folderAt(dir), h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read reads a spool to its end and compares every value with reading. It returns the number of ticks and the error
// at the end.
func read(path string, n int) (ticks int, complete bool, err error) {
	r, err := store.OpenSpool(path)
	if err != nil {
		return 0, false, err
	}
	defer r.Close()
	for {
		at, values, err := r.Next()
		if err != nil {
			return ticks, r.Complete(), err
		}
		if len(values) != len(at)*n {
			return ticks, false, fmt.Errorf("%d values for %d rows", len(values), len(at))
		}
		for i, a := range at {
			if a != tickTime(ticks) {
				return ticks, false, fmt.Errorf("tick %d at %v, want %v", ticks, a, tickTime(ticks))
			}
			for s, v := range values[i*n : (i+1)*n] {
				if want := reading(ticks, s); v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
					return ticks, false, fmt.Errorf("tick %d sensor %d: %v, want %v", ticks, s, v, want)
				}
			}
			ticks++
		}
	}
}

func TestSpoolRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, 3, 20, 300} {
		h := header("rapl", n)
		dir := t.TempDir()
		s := create(t, dir, h)
		fill(t, s, n, 95, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		path := filepath.Join(dir, "rapl.arrows")
		if s.Path() != path {
			t.Errorf("path %s, want %s", s.Path(), path)
		}
		ticks, complete, err := read(path, n)
		if ticks != 95 || !complete || !errors.Is(err, io.EOF) {
			t.Errorf("%d sensors: %d ticks, complete %v, %v", n, ticks, complete, err)
		}
		r, err := store.OpenSpool(path)
		if err != nil {
			t.Fatal(err)
		}
		got := r.Header()
		if !got.Anchor.Equal(h.Anchor) {
			t.Errorf("anchor %v, want %v", got.Anchor, h.Anchor)
		}
		got.Anchor = h.Anchor
		if !reflect.DeepEqual(got, h) {
			t.Errorf("header %+v, want %+v", got, h)
		}
		r.Close()
	}
}

// A spool is an Arrow stream to any reader, its end mark a batch without rows.
func TestSpoolIsArrow(t *testing.T) {
	const n, ticks = 4, 30
	s := create(t, t.TempDir(), header("cpu", n))
	fill(t, s, n, ticks, 7)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ipc.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	tick, empty := 0, 0
	for r.Next() {
		batch := r.Record()
		if batch.NumRows() == 0 {
			empty++
		}
		elapsed := batch.Column(0).(*array.Int64)
		values := batch.Column(1).(*array.FixedSizeList).ListValues().(*array.Float64)
		for i := range int(batch.NumRows()) {
			if got := time.Duration(elapsed.Value(i)); got != tickTime(tick) {
				t.Fatalf("tick %d at %v", tick, got)
			}
			for s := range n {
				want := reading(tick, s)
				if j := i*n + s; values.IsNull(j) != math.IsNaN(want) || values.IsValid(j) && values.Value(j) != want {
					t.Fatalf("tick %d sensor %d: %s, want %v", tick, s, values.ValueStr(j), want)
				}
			}
			tick++
		}
	}
	if err := r.Err(); err != nil || tick != ticks || empty != 1 {
		t.Errorf("%d ticks, %d empty batches, %v", tick, empty, err)
	}
}

// A crash leaves a readable file at any moment after CreateSpool.
func TestSpoolWithoutClose(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir, header("cpu", 3))
	if ticks, complete, err := read(s.Path(), 3); ticks != 0 || complete || !errors.Is(err, io.EOF) {
		t.Errorf("before the first flush: %d ticks, complete %v, %v", ticks, complete, err)
	}
	fill(t, s, 3, 25, 10)
	if ticks, complete, err := read(s.Path(), 3); ticks != 20 || complete || !errors.Is(err, io.EOF) {
		t.Errorf("before close: %d ticks, complete %v, %v", ticks, complete, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if ticks, complete, _ := read(s.Path(), 3); ticks != 25 || !complete {
		t.Errorf("after close: %d ticks, complete %v", ticks, complete)
	}
}

// Any beginning of a file gives a beginning of its rows, and only the whole file is complete.
func TestSpoolEveryPrefix(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	const n = 3
	dir := t.TempDir()
	s := create(t, dir, header("disk", n))
	fill(t, s, n, 20, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut")
	last, torn := 0, 0
	for size := range whole {
		if err := os.WriteFile(cut, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		ticks, _, err := read(cut, n)
		switch {
		case ticks%5 != 0 || ticks < last:
			t.Fatalf("%d of %d bytes: %d ticks after %d", size, len(whole), ticks, last)
		case errors.Is(err, io.ErrUnexpectedEOF):
			torn++
		case err == nil || ticks > 0 && !errors.Is(err, io.EOF):
			t.Fatalf("%d of %d bytes: %v", size, len(whole), err)
		}
		last = ticks
	}
	if last != 20 || torn == 0 {
		t.Errorf("%d ticks at the end, %d torn files", last, torn)
	}
}

func TestSpoolAppendRefuses(t *testing.T) {
	s := create(t, t.TempDir(), header("gpu", 2))
	if s.Append(0, []float64{1}) {
		t.Error("took one value for two sensors")
	}
	rows := 0
	for s.Append(time.Duration(rows), []float64{1, 2}) {
		if rows++; rows > 1<<20 {
			t.Fatal("never full")
		}
	}
	if !s.Full() {
		t.Error("refused a reading without being full")
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.Full() || !s.Append(time.Duration(rows), []float64{3, 4}) {
		t.Error("full after a flush")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolAppendDoesNotAllocate(t *testing.T) {
	s := create(t, t.TempDir(), header("cpu", 20))
	defer s.Close()
	values := make([]float64, 20)
	at := time.Duration(0)
	if got := testing.AllocsPerRun(500, func() { at++; s.Append(at, values) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestCreateSpoolErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.CreateSpool(folderAt(dir), store.SpoolHeader{Source: "none"}); err == nil {
		t.Error("a spool without sensors")
	}
	create(t, dir, header("twice", 1)).Close()
	if _, err := store.CreateSpool(folderAt(dir), header("twice", 1)); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an existing spool: %v", err)
	}
	file := filepath.Join(dir, "twice.arrows")
	if _, err := store.OpenFolder(file); err == nil {
		t.Error("in a file")
	}
	s := create(t, dir, header("../up and=away", 1))
	defer s.Close()
	if filepath.Dir(s.Path()) != dir {
		t.Errorf("spool in %s, want it in %s", s.Path(), dir)
	}
}

func TestSpoolTimeGoesBack(t *testing.T) {
	s := create(t, t.TempDir(), header("cpu", 1))
	s.Append(2, []float64{1})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Append(1, []float64{1})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenSpool(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if at, _, err := r.Next(); len(at) != 1 || err != nil {
		t.Fatalf("first batch: %v, %v", at, err)
	}
	if _, _, err := r.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("time went back: %v", err)
	}
}

func FuzzOpenSpool(f *testing.F) {
	dir := f.TempDir()
	for _, n := range []int{1, 5} {
		s := create(f, filepath.Join(dir, fmt.Sprint(n)), header("seed", n))
		fill(f, s, n, 12, 5)
		if err := s.Close(); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(s.Path())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-20])
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "fuzz.arrows")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := store.OpenSpool(path)
		if err != nil {
			return
		}
		defer r.Close()
		n, last := len(r.Header().Sensors), time.Duration(math.MinInt64)
		for {
			at, values, err := r.Next()
			if err != nil {
				return
			}
			if len(at) == 0 || len(values) != n*len(at) || 8*len(values) > len(b) {
				t.Fatalf("%d times and %d values of %d sensors from %d bytes", len(at), len(values), n, len(b))
			}
			for _, a := range at {
				if a < last {
					t.Fatalf("time goes back from %v to %v", last, a)
				}
				last = a
			}
		}
	})
}
