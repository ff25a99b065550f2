package store_test

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

func TestExportArrow(t *testing.T) {
	dir := t.TempDir()
	if _, err := convert(writeRun(t, dir, 20_000), filepath.Join(dir, store.SamplesFile), nil); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := store.ExportArrow(&stream, dir); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&stream)
	if err != nil {
		t.Fatal(err)
	}
	ticks := map[string]int{}
	for r.Next() {
		batch := r.Record()
		ids, at := batch.Column(2).(*array.String), batch.Column(5).(*array.Timestamp)
		units, kinds := batch.Column(3).(*array.String), batch.Column(4).(*array.String)
		values := batch.Column(7).(*array.Float64)
		for i := range int(batch.NumRows()) {
			id := ids.Value(i)
			tick, sensor := ticks[id], int(id[len(id)-len("0/energy")]-'0')
			if want := anchor.Add(tickTime(tick)).UnixMicro(); int64(at.Value(i)) != want {
				t.Fatalf("%s: tick %d at %d, want %d", id, tick, at.Value(i), want)
			}
			if want := reading(tick, sensor); values.IsNull(i) != math.IsNaN(want) || values.IsValid(i) && values.Value(i) != want {
				t.Fatalf("%s: tick %d: %v, want %v", id, tick, values.ValueStr(i), want)
			}
			if units.Value(i) != "J" || kinds.Value(i) != sensors.Kind(sensor%2).String() {
				t.Fatalf("%s: unit %q, kind %q", id, units.Value(i), kinds.Value(i))
			}
			ticks[id]++
		}
	}
	if err := r.Err(); err != nil || len(ticks) != 4 || ticks["cpu/device2/energy"] != 20_000 {
		t.Errorf("%v, %v", ticks, err)
	}
	if err := store.ExportArrow(&stream, t.TempDir()); err == nil {
		t.Error("no samples")
	}
	if err := store.ExportArrow(broken{}, dir); !errors.Is(err, errBroken) {
		t.Errorf("broken pipe: %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// Leaving the loop early is no error and reads no further.
func TestSamplesStops(t *testing.T) {
	dir := t.TempDir()
	if _, err := convert(writeRun(t, dir, 20_000), filepath.Join(dir, store.SamplesFile), nil); err != nil {
		t.Fatal(err)
	}
	batches := 0
	for _, err := range store.Samples(dir) {
		if err != nil {
			t.Fatal(err)
		}
		batches++
		break
	}
	if batches != 1 {
		t.Errorf("%d batches", batches)
	}
}
