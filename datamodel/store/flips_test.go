package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// readings returns all rows of samples.parquet as text, and the first error.
func readings(dir string) (string, error) {
	var b strings.Builder
	for batch, err := range store.Samples(dir) {
		if err != nil {
			return b.String(), err
		}
		fmt.Fprint(&b, batch)
	}
	return b.String(), nil
}

// TestFlips flips bits of every file of a finished run: the first and last bytes, every bit of the manifest's end, and many in
// between. Each flip is an error for whoever reads the file, or has no effect.
func TestFlips(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	run := sampleRun()
	dir := saveRun(t, t.TempDir(), run)
	rows := []datamodel.Process{{Kind: datamodel.OneProcess, PID: 5, Name: "make", CPUTime: 1, Provenance: "counter"}}
	files, spool := folderAt(dir).Files(), folderAt(writeRun(t, dir, 20))
	c, err := files.Convert(spool, nil)
	if err == nil {
		_, err = c.Close()
	}
	if err := errors.Join(err, files.SaveTree(run, sampleTree(2)), files.SaveProcesses(run, rows, nil),
		files.SaveCharts([]datamodel.Chart{sampleChart(20)}), files.SaveManifest(run)); err != nil {
		t.Fatal(err)
	}
	charts, err := store.LoadCharts(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, err := store.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := readings(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Run.Files) != 5 {
		t.Fatalf("the manifest lists %+v", want.Run.Files)
	}
	// The list is that of a plain look at the folder.
	if err := saveManifest(dir, run); err != nil {
		t.Fatal(err)
	}
	if again, err := store.LoadManifest(dir); err != nil || !reflect.DeepEqual(again.Files, want.Run.Files) {
		t.Errorf("written: %+v, read: %+v, %v", want.Run.Files, again.Files, err)
	}
	flips, seen := 0, 0
	for _, name := range []string{store.ManifestFile, store.NodesFile, store.MetricsFile, store.ProcessesFile, store.SamplesFile, store.SeriesFile} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			inside := i > 100 && i < len(whole)-200
			if inside && rand.IntN(len(whole)) > 60 {
				continue
			}
			bit := rand.IntN(8)
			whole[i] ^= 1 << bit
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			whole[i] ^= 1 << bit
			flips++
			result, err := store.Load(dir)
			if err == nil && !same(result, want) {
				t.Errorf("%s: bit %d of byte %d: other figures, and no error", name, bit, i)
			}
			got, errSamples := readings(dir)
			if errSamples == nil && got != samples {
				t.Errorf("%s: bit %d of byte %d: other readings, and no error", name, bit, i)
			}
			drawn, errCharts := store.LoadCharts(dir)
			if errCharts == nil && !equalCharts(drawn, charts) {
				t.Errorf("%s: bit %d of byte %d: other courses, and no error", name, bit, i)
			}
			if errors.Join(err, errSamples, errCharts) != nil {
				seen++
			} else {
				t.Errorf("%s: bit %d of byte %d: not seen", name, bit, i)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_, err = store.Load(dir)
		_, errSamples := readings(dir)
		_, errCharts := store.LoadCharts(dir)
		ofTree := name != store.SamplesFile && name != store.SeriesFile
		if name != store.ManifestFile && (name == store.SamplesFile) == (errSamples == nil) || ofTree == (err == nil) ||
			name != store.ManifestFile && (name == store.SeriesFile) == (errCharts == nil) {
			t.Errorf("without %s: %v, %v, %v", name, err, errSamples, errCharts)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips, %d seen", flips, seen)
	// Files of another run are not this run's.
	if err := os.Rename(filepath.Join(dir, store.NodesFile), filepath.Join(dir, store.MetricsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(dir); err == nil {
		t.Error("a file in the place of another is no error")
	}
}

// TestRunWithoutDigests reads a run of an ergon that kept no digests, and says so.
func TestRunWithoutDigests(t *testing.T) {
	run := sampleRun()
	dir := saveRun(t, t.TempDir(), run)
	if err := errors.Join(saveTree(dir, run, sampleTree(2)), saveManifest(dir, run)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, store.ManifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := strings.Cut(string(text), ",\n  \"digest\"")
	begin, rest, _ := strings.Cut(body, "  \"files\": [")
	_, rest, _ = strings.Cut(rest, "],\n")
	for name, old := range map[string]string{
		"neither files nor digest": begin + strings.TrimSuffix(rest, ",\n") + "\n}\n", "no digest": body + "\n}\n",
	} {
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(old, ",\n\n}", "\n}")), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := store.Load(dir)
		if name == "no digest" {
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || result.Tree == nil {
			t.Errorf("%s: %v\n%s", name, err, old)
		}
		if n := len(result.Run.Warnings); n == 0 || !strings.Contains(result.Run.Warnings[n-1].Text, "without digests") {
			t.Errorf("%s: no word: %+v", name, result.Run.Warnings)
		}
	}
}

// TestStateFlips flips bits of what the runner leaves for recover.
func TestStateFlips(t *testing.T) {
	dir := t.TempDir()
	state := store.State{Run: sampleRun()}
	state.Run.Schema = datamodel.ManifestSchema
	folder := folderAt(dir)
	room, err := store.ReserveState(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(room.Save(state), room.Close()); err != nil {
		t.Fatal(err)
	}
	want, err := store.LoadState(folder)
	if err != nil || want.Run.ID != state.Run.ID {
		t.Fatal(want, err)
	}
	path := filepath.Join(dir, "run.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(strings.TrimRight(string(whole), " ")) {
		whole[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		whole[i] ^= 1 << (i % 8)
		if got, err := store.LoadState(folder); err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("bit %d of byte %d: another state, and no error", i%8, i)
		}
	}
}

// TestTapeFlips flips bits of a tape. A flip is an error, or the tape has the same manifest, readings and processes. So a name
// that has become another one must not hide a file.
func TestTapeFlips(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	_, tape, spool := tapeOfTwo(t)
	s, err := store.CreateProcessSpool(folderAt(spool), 0, anchor, store.MostProcesses)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Put(sensors.Process{PID: 5, Name: "make", Start: anchor, FirstSeen: anchor, LastSeen: anchor}), s.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "run.zip")
	if err := store.SaveTape(path, tape, folderAt(spool), nil, store.Access{}); err != nil {
		t.Fatal(err)
	}
	read := func() (string, error) {
		r, err := store.OpenTape(path)
		if err != nil {
			return "", err
		}
		defer r.Close()
		out := filepath.Join(dir, "out")
		if err := errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o777)); err != nil {
			t.Fatal(err)
		}
		if err := r.Unpack(folderAt(out)); err != nil {
			return "", err
		}
		seen, err := store.ReadProcesses(folderAt(out))
		if err != nil {
			return "", err
		}
		got := log{}
		if _, err := convert(out, "", got.observe); err != nil {
			return "", err
		}
		return fmt.Sprintf("%+v %+v %+v", r.Run.ID, seen, got), nil
	}
	want, err := read()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flips, seen := 0, 0
	for i := range whole {
		if i < len(whole)-600 && rand.IntN(len(whole)) > 400 { // the end is the directory
			continue
		}
		bit := rand.IntN(8)
		whole[i] ^= 1 << bit
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		whole[i] ^= 1 << bit
		flips++
		got, err := read()
		if err != nil {
			seen++
		} else if got != want {
			t.Errorf("bit %d of byte %d of %d: another result, and no error", bit, i, len(whole))
		}
	}
	t.Logf("%d flips, %d seen, the others changed nothing", flips, seen)
}

// TestSpoolFlips flips bits of a spool. A flip is told, or all readings are the same: whoever recovers a run learns of it.
func TestSpoolFlips(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	dir := t.TempDir()
	s := create(t, dir, header("cpu", 3))
	fill(t, s, 3, 100, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (string, bool) {
		got := log{}
		c, err := convert(dir, "", got.observe)
		if err != nil {
			return "", true
		}
		told := len(c.Spools) != 1 || c.Spools[0].Err != nil || !c.Spools[0].Complete
		return fmt.Sprintf("%+v %+v", got, c.Spools[0].Header), told
	}
	want, told := read()
	if told {
		t.Fatalf("%s is told as damaged", want)
	}
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	flips, seen := 0, 0
	for i := range whole {
		if rand.IntN(len(whole)) > 2500 {
			continue
		}
		bit := rand.IntN(8)
		whole[i] ^= 1 << bit
		if err := os.WriteFile(s.Path(), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		whole[i] ^= 1 << bit
		flips++
		got, told := read()
		if told {
			seen++
		} else if got != want {
			t.Errorf("bit %d of byte %d of %d: other readings, and nobody is told", bit, i, len(whole))
		}
	}
	t.Logf("%d flips, %d seen, the others changed nothing", flips, seen)
}
