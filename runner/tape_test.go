package runner_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// FuzzReplay checks that any tape is either refused or makes a result. Every format can show the result, and it can be kept and
// read again.
func FuzzReplay(f *testing.F) {
	manifest, spool := strangers(f)
	f.Add(manifest, spool)
	f.Add([]byte(`{"schema":"ergon.tape/2","run":{"schema":"ergon.run/1","id":"../x","project":"/","start":"0000-01-01T00:00:00Z"},"ledger":{"wall_time":-1e308}}`), spool[:len(spool)/2])
	f.Fuzz(func(t *testing.T, manifest, spool []byte) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, e := range []struct {
			name string
			body []byte
		}{{"tape.json", manifest}, {"spool/rapl.arrows", spool}, {"spool/processes.table", spool}, {"spool/processes.texts", spool}} {
			out, err := w.Create(e.name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := out.Write(e.body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file, results := filepath.Join(dir, "fuzz.zip"), filepath.Join(dir, "results")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		result, at, err := runner.Replay(file, results, "test", datamodel.Factors{}, store.Access{})
		if err != nil {
			return
		}
		if !strings.HasPrefix(at, results) || result.Run.Replayed == nil {
			t.Fatalf("kept in %s: %+v", at, result.Run)
		}
		for _, format := range report.All() {
			if err := format.Write(io.Discard, result, report.Options{}); err != nil {
				t.Fatalf("%s: %v", format.Name, err)
			}
		}
		again, err := store.Load(at)
		if err != nil || again.Run.ID != result.Run.ID {
			t.Fatalf("the kept result cannot be read: %v", err)
		}
	})
}

// TestReplayDate checks that the folder of a replayed run has the date of its id, even if the command started a day later.
func TestReplayDate(t *testing.T) {
	dir := t.TempDir()
	file, results := filepath.Join(dir, "t.zip"), filepath.Join(dir, "results")
	spool := spoolIn(t, dir)
	s, err := store.CreateSpool(spool, store.SpoolHeader{Source: "memory", Sensors: []sensors.Sensor{
		{ID: "memory/used", Family: "memory", Name: "used", Unit: units.Byte},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Append(0, []float64{1})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"20260314T235958-b11d00": "date=2026-03-14", "mine": "date=2026-03-15"} {
		tape := store.Tape{Run: datamodel.Run{
			Schema: datamodel.ManifestSchema, ID: id, Project: "p", Command: []string{"c"}, Outcome: datamodel.Done,
			Start: time.Date(2026, 3, 15, 0, 0, 8, 0, time.UTC),
		}, LeftOut: []string{}}
		if err := store.SaveTape(file, tape, spool, nil, store.Access{}); err != nil {
			t.Fatal(err)
		}
		_, at, err := runner.Replay(file, results, "test", datamodel.Factors{}, store.Access{})
		if err != nil || filepath.Base(filepath.Dir(at)) != want {
			t.Errorf("%s is kept in %s, want %s; %v", id, at, want, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// spoolIn opens the spool folder in a folder, and makes it if it is missing.
func spoolIn(t testing.TB, dir string) *store.Folder {
	t.Helper()
	path := filepath.Join(dir, store.SpoolFolder)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := store.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// strangers returns the manifest and a spool of a valid tape.
func strangers(f *testing.F) (manifest, spool []byte) {
	f.Helper()
	dir := f.TempDir()
	s, err := store.CreateSpool(spoolIn(f, dir), store.SpoolHeader{Source: "rapl", Sensors: []sensors.Sensor{
		{ID: "rapl/package-0/energy", Family: "rapl", Device: "package-0", Name: "energy", Unit: units.Joule, Kind: sensors.Counter, Wrap: 100, MaxRate: 5000, Update: time.Millisecond},
		{ID: "gpu/0/power", Family: "gpu", Device: "0", Name: "power", Unit: units.Watt},
	}})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 5 {
		s.Append(time.Duration(i)*100*time.Millisecond, []float64{float64(i * 10), float64(i * 20)})
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	wall := 0.5
	tape := store.Tape{
		Run:    datamodel.Run{Schema: datamodel.ManifestSchema, ID: "1", Project: "p", Command: []string{"c"}, Outcome: datamodel.Done},
		Ledger: datamodel.Ledger{WallTime: &wall}, LeftOut: []string{},
	}
	file := filepath.Join(dir, "t.zip")
	if err := store.SaveTape(file, tape, spoolIn(f, dir), nil, store.Access{}); err != nil {
		f.Fatal(err)
	}
	archive, err := zip.OpenReader(file)
	if err != nil {
		f.Fatal(err)
	}
	defer archive.Close()
	for i, to := range []*[]byte{&manifest, &spool} {
		r, err := archive.File[i].Open()
		if err != nil {
			f.Fatal(err)
		}
		if *to, err = io.ReadAll(r); err != nil {
			f.Fatal(err)
		}
	}
	return manifest, spool
}
