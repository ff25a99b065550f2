package perun_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/perun"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// The files are what perun 1.0.0 wrote on a machine with a simulated powercap tree: 100 W of a package, 10 W of dram. Host
// names are replaced, most devices left out, and a counter of app.json is shifted so that it wraps.

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func read(tb testing.TB, text []byte) []perun.Run {
	tb.Helper()
	runs, err := perun.Read(bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return runs
}

// find returns the readings of a sensor.
func find(t *testing.T, h perun.Host, id string) (sensors.Sensor, []time.Duration, []float64) {
	t.Helper()
	for _, rows := range h.Rows {
		for i, s := range rows.Header.Sensors {
			if s.ID != id {
				continue
			}
			var values []float64
			for at := i; at < len(rows.Values); at += len(rows.Header.Sensors) {
				values = append(values, rows.Values[at])
			}
			return s, rows.At, values
		}
	}
	t.Fatalf("no sensor %s", id)
	return sensors.Sensor{}, nil, nil
}

func TestRead(t *testing.T) {
	runs := read(t, file(t, "app.json"))
	if len(runs) != 2 {
		t.Fatalf("%d runs", len(runs))
	}
	for i, r := range runs {
		if r.Run.Project != "app" || r.Run.Version != "perun 1.0.0" || r.Run.ExitCode != nil || !r.Run.NoArguments {
			t.Errorf("round %d: %+v", i, r.Run)
		}
		if want := time.Date(2026, 11, 29, 1, 20, 13, 524735000, time.UTC); !r.Run.Start.Equal(want) {
			t.Errorf("round %d: start %v, want %v", i, r.Run.Start, want)
		}
		h := r.Hosts[0]
		if h.Machine.Name != "node1" || h.Machine.OS != "linux" || h.Machine.Kernel != "6.1.0-13-amd64-x86_64" || h.Machine.Cores != 32 {
			t.Errorf("round %d: %+v", i, h.Machine)
		}
		s, at, values := find(t, h, "rapl/package-0/energy")
		if s.Domain != (sensors.Domain{Kind: sensors.PackageDomain}) || s.Kind != sensors.Counter || s.Wrap != 262143.32885 {
			t.Errorf("round %d: %+v", i, s)
		}
		// The fake draws 100 W. A counter moves on in steps of a millisecond.
		last := len(values) - 1
		rise := values[last] - values[0]
		if i == 1 {
			rise += s.Wrap
		}
		if power := rise / at[last].Seconds(); math.Abs(power-100) > 0.5 {
			t.Errorf("round %d: %v W", i, power)
		}
		if *h.Ledger.WallTime != at[last].Seconds() || h.Ledger.WallTimeSource == "" {
			t.Errorf("round %d: %+v", i, h.Ledger)
		}
		if s, _, _ := find(t, h, "rapl/package-0-dram/energy"); s.Domain.Kind != sensors.DRAMDomain {
			t.Errorf("round %d: %+v", i, s)
		}
		if s, _, values := find(t, h, "memory/used"); s.Use != sensors.MemoryUsed || !(values[0] > 1e9) {
			t.Errorf("round %d: %+v %v", i, s, values)
		}
		if s, _, values := find(t, h, "network/eth0/receive"); s.Kind != sensors.Counter || values[0] != math.Trunc(values[0]) {
			t.Errorf("round %d: %+v %v", i, s, values)
		}
		if _, _, values := find(t, h, "cpu/cpu0/usage"); slices.Max(values) > 1 {
			t.Errorf("round %d: %v", i, values)
		}
		if _, _, values := find(t, h, "cpu/cpu0/frequency"); values[0] < 1e9 {
			t.Errorf("round %d: %v", i, values)
		}
		if !slices.ContainsFunc(h.Missing, func(a sensors.Absence) bool { return a.Family == "target" && a.Cause == sensors.Unsupported }) {
			t.Errorf("round %d: %+v", i, h.Missing)
		}
	}
	if runs[0].Run.ID == runs[1].Run.ID {
		t.Errorf("two rounds have the id %s", runs[0].Run.ID)
	}
}

// TestStableID reads a run again after perun has added others to the file. Its id stays; that of a run with other readings differs.
func TestStableID(t *testing.T) {
	text := file(t, "sleep.json")
	id := read(t, text)[0].Run.ID
	if !strings.HasPrefix(id, "20261129T012027-") {
		t.Errorf("%s", id)
	}
	longer := bytes.Replace(text, []byte(`"r1": {"id": "r1"`), []byte(`"r0": {"id": "r0", "type": 2, "metadata": {}, "metrics": {}, "nodes": [{}]}, "r1": {"id": "r1"`), 1)
	if bytes.Equal(longer, text) {
		t.Fatal("nothing was added")
	}
	if again := read(t, longer); len(again) != 1 || again[0].Run.ID != id {
		t.Errorf("with another run in the file: %+v", again)
	}
	other := bytes.Replace(text, []byte("214880831"), []byte("214880832"), 1)
	if read(t, other)[0].Run.ID == id {
		t.Error("other readings have the same id")
	}
}

// TestReadLosses reads what perun writes if a reading fails: 0 for an energy, NaN, times that do not move on, a sensor that lost readings.
func TestReadLosses(t *testing.T) {
	text := string(file(t, "sleep.json"))
	change := func(old, now string) {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("no %q", old)
		}
		text = strings.Replace(text, old, now, 1)
	}
	change("229854621", "0")
	change("2596.1298828125, 2596.1298828125", "NaN, -Infinity")
	change("100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 0.0]", "100.0]")
	h := read(t, []byte(text))[0].Hosts[0]
	if _, _, values := find(t, h, "rapl/package-0-dram/energy"); !math.IsNaN(values[3]) || math.IsNaN(values[4]) {
		t.Errorf("a failed reading: %v", values)
	}
	if _, _, values := find(t, h, "cpu/cpu0/frequency"); !math.IsNaN(values[0]) || !math.IsNaN(values[1]) || math.IsNaN(values[2]) {
		t.Errorf("not finite: %v", values)
	}
	at := slices.IndexFunc(h.Missing, func(a sensors.Absence) bool { return a.ID == "cpu/cpu0/usage" })
	if at < 0 || !strings.Contains(h.Missing[at].Reason, "1 readings have 7 times") {
		t.Errorf("%+v", h.Missing)
	}
	noSize := strings.Replace(text, `"v_md": {"unit": "B", "mag": 1.0, `, `"v_md": {"unit": "B", `, 1)
	if _, _, values := find(t, read(t, []byte(noSize))[0].Hosts[0], "memory/used"); noSize == text || !math.IsNaN(values[0]) {
		t.Errorf("a unit without its size: %v", values)
	}
	text = strings.ReplaceAll(text, "1.500252366065979", "1.0001580715179443") // 32 bits, after days
	if _, times, _ := find(t, read(t, []byte(text))[0].Hosts[0], "memory/used"); len(times) != 6 || !slices.IsSorted(times) {
		t.Errorf("times that do not move on: %v", times)
	}
}

func TestReadErrors(t *testing.T) {
	whole := string(file(t, "sleep.json"))
	for name, c := range map[string]struct {
		text, want string
		is         error
	}{
		"empty":      {"", "it is empty", perun.ErrForeign},
		"HDF5":       {"\x89HDF\r\n\x1a\n", "perun export FILE json", perun.ErrForeign},
		"pickle":     {"\x80\x04\x95", "perun export FILE json", perun.ErrForeign},
		"bench":      {`[{"name": "app", "unit": "s"}]`, "bench", perun.ErrForeign},
		"CSV":        {"run id,hostname\n", "invalid character", perun.ErrForeign},
		"other JSON": {`{"schema": "ergon.report/2"}`, "no application at its top", perun.ErrForeign},
		"no runs":    {`{"id": "a", "type": 1, "nodes": [{}]}`, "no runs", nil},
		"no time":    {strings.Replace(whole, `"execution_dt": "2026`, `"execution_dt": "x2026`, 1), "it has no time", perun.ErrForeign},
		"cut off":    {whole[:len(whole)/2], "ends in the middle", io.ErrUnexpectedEOF},
		"no hosts":   {`{"id":"a","type":1,"nodes":[{"r":{"id":"r","type":2,"metadata":{"execution_dt":"2026-01-01T00:00:00"},"nodes":[{"0":{"id":"0","type":3,"nodes":[{}]}}]}}]}`, "no hosts", nil},
		"wrong tree": {`{"id":"a","type":1,"nodes":[{"r":{"id":"r","type":6}}]}`, "is no run", perun.ErrForeign},
	} {
		_, err := perun.Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRead reads any file without a panic. What it reads is sound: rows are whole, and times rise.
func FuzzRead(f *testing.F) {
	f.Add(file(f, "sleep.json"))
	f.Add([]byte(`{"id":"a","type":1,"nodes":[{"r":{"id":"r","type":2,"metadata":{"execution_dt":"2026-01-01T00:00:00"},"nodes":[{"0":{"id":"0","type":3,"nodes":{"h":{"id":"h","type":4,"nodes":[{"cpu":{"id":"cpu","type":5,"nodes":[{"s":{"id":"cpu_0_package-0","type":6,"deviceType":"cpu","raw_data":{"timesteps":[0,1],"values":[NaN,5],"t_md":{"unit":"s","mag":1},"v_md":{"unit":"J","mag":1e-06,"max":7}}}}]}}]}}}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		runs, err := perun.Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range runs {
			if _, err := json.Marshal(r.Run); err != nil {
				t.Errorf("manifest: %v", err)
			}
			for _, h := range r.Hosts {
				for _, rows := range h.Rows {
					check(t, rows)
				}
			}
		}
	})
}

func check(t *testing.T, rows store.Rows) {
	t.Helper()
	if len(rows.Header.Sensors) == 0 || len(rows.Values) != len(rows.At)*len(rows.Header.Sensors) || len(rows.At) == 0 {
		t.Errorf("%d values, %d times, %d sensors", len(rows.Values), len(rows.At), len(rows.Header.Sensors))
	}
	for i := range rows.At {
		if i > 0 && rows.At[i] <= rows.At[i-1] {
			t.Errorf("times %v", rows.At)
		}
	}
}
