package store_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

func saveRun(t testing.TB, results string, run datamodel.Run) (dir string) {
	t.Helper()
	dir, err := newRun(results, run.Project, run.Start, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SaveManifest(folderAt(dir), run); err != nil {
		t.Fatal(err)
	}
	return dir
}

// same compares results, but not what the manifest says of files, with NaN equal to NaN and times by their instant, as JSON keeps
// no more.
func same(a, b datamodel.Result) bool {
	if !a.Run.Start.Equal(b.Run.Start) {
		return false
	}
	a.Run.Start = b.Run.Start
	a.Run.Files, b.Run.Files = nil, nil // TestFlips looks at them
	return reflect.DeepEqual(a.Run, b.Run) && sameTree(a.Tree, b.Tree)
}

func sameTree(a, b *datamodel.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Name != b.Name || a.Level != b.Level || a.Family != b.Family || len(a.Children) != len(b.Children) ||
		len(a.Metrics) != len(b.Metrics) || !reflect.DeepEqual(a.Sensor, b.Sensor) || !reflect.DeepEqual(a.Meta, b.Meta) {
		return false
	}
	for i := range a.Metrics {
		x, y := a.Metrics[i], b.Metrics[i]
		for _, f := range [][2]*float64{
			{&x.Value, &y.Value},
			{&x.Min, &y.Min},
			{&x.Max, &y.Max},
			{&x.Mean, &y.Mean},
			{&x.Std, &y.Std},
			{&x.Uncertainty, &y.Uncertainty},
			{&x.AtMost, &y.AtMost},
		} {
			if math.IsNaN(*f[0]) && math.IsNaN(*f[1]) {
				*f[0], *f[1] = 0, 0
			}
		}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	for i := range a.Children {
		if !sameTree(a.Children[i], b.Children[i]) {
			return false
		}
	}
	return true
}

func TestSaveAndLoad(t *testing.T) {
	run := sampleRun()
	part := 0.5
	run.Spark = map[string][]*float64{"power": {nil, &part}}
	dir := saveRun(t, t.TempDir(), run)
	got, err := store.Load(dir)
	if err != nil || !same(got, datamodel.Result{Run: run}) {
		t.Fatalf("without a tree: %+v, %v", got, err)
	}
	for _, tree := range []*datamodel.Node{sampleTree(0), sampleTree(3), sampleTree(3000), {Name: "alone", Level: datamodel.App}} {
		if err := errors.Join(saveTree(dir, run, tree), saveManifest(dir, run)); err != nil { // over the one before
			t.Fatal(err)
		}
		got, err := store.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, datamodel.Result{Run: run, Tree: tree}) {
			t.Errorf("%s with %d children: not what was written", tree.Name, len(tree.Children))
		}
	}
	onlyFiles(t, dir, store.ManifestFile, store.MetricsFile, store.NodesFile)
	if err := saveTree(dir, run, nil); err == nil {
		t.Error("saved no tree")
	}
}

func TestSaveManifestRefusesWhatJSONCannotHold(t *testing.T) {
	run := sampleRun()
	nan := math.NaN()
	run.WallTime = &nan
	dir := t.TempDir()
	if err := store.SaveManifest(folderAt(dir), run); err == nil {
		t.Error("no error")
	}
	onlyFiles(t, dir)
}

func TestLoadMissingAndForeign(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	manifest := filepath.Join(dir, store.ManifestFile)
	for text, foreign := range map[string]bool{
		"": false, "{": false, "[]": false, `{"schema":"other/1"}`: true, `{"schema":"ergon.run/1","start":5}`: false,
		strings.Repeat(" ", 17<<20): true,
	} {
		if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load(dir); err == nil || errors.Is(err, store.ErrForeign) != foreign {
			t.Errorf("manifest of %d bytes %.30q: %v", len(text), text, err)
		}
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(manifest, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(dir); err == nil {
		t.Error("a folder for a manifest")
	}
}

// Any cut of any file is an error.
func TestLoadTruncated(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	run := sampleRun()
	dir := saveRun(t, t.TempDir(), run)
	if err := saveTree(dir, run, sampleTree(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := convert(writeRun(t, dir, 20), filepath.Join(dir, store.SamplesFile), nil); err != nil {
		t.Fatal(err)
	}
	if err := saveManifest(dir, run); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{store.ManifestFile, store.NodesFile, store.MetricsFile, store.SamplesFile} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for size := 0; size < len(whole)-1; size += 1 + size/50 {
			if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Load(dir); (err == nil) != (name == store.SamplesFile) {
				t.Fatalf("%s cut to %d of %d bytes: %v", name, size, len(whole), err)
			}
			if err := drain(dir); (err == nil) != (name == store.NodesFile || name == store.MetricsFile) {
				t.Fatalf("%s cut to %d of %d bytes: samples: %v", name, size, len(whole), err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Load(dir); err != nil {
		t.Error(err)
	}
}

func drain(dir string) error {
	for _, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestNewRunDir(t *testing.T) {
	root := filepath.Join(t.TempDir(), "results")
	start := time.Date(2026, 3, 4, 23, 30, 0, 0, time.FixedZone("west", -3600)) // 00:30 UTC on the 5th
	for project, want := range map[string]string{
		"train": "train", "": "unnamed", ".hidden": "%2Ehidden", "..": "%2E%2E", "a/b=c": "a%2Fb%3Dc", "my job": "my%20job",
		"naïve-ø": "naïve-ø", "100%": "100%25", "x\x00\xffy": "x%00%FFy", "c++_v1.2": "c++_v1.2",
		strings.Repeat("é", 300): strings.Repeat("é", 100),
	} {
		dir, err := newRun(root, project, start, "id")
		if err != nil {
			t.Fatal(err)
		}
		if rel, _ := filepath.Rel(root, dir); rel != filepath.Join("project="+want, "date=2026-03-05", "run=id") {
			t.Errorf("%q: %s", project, rel)
		}
	}
	if _, err := newRun(root, "train", start, "id"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	if _, err := newRun(root, "train", start, ""); err == nil {
		t.Error("no id")
	}
}

func TestRemoveSpool(t *testing.T) {
	dir := t.TempDir()
	if err := store.RemoveSpool(folderAt(dir)); err != nil {
		t.Errorf("none there: %v", err)
	}
	spool := writeRun(t, dir, 2)
	other := filepath.Join(spool, "notes.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.RemoveSpool(folderAt(dir)); err == nil {
		t.Error("somebody else's file is in the way")
	}
	onlyFiles(t, spool, "notes.txt")
}

func FuzzLoadManifest(f *testing.F) {
	text, err := json.Marshal(sampleRun())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"schema":"ergon.run/1","start":"2026-03-04T05:06:07Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, store.ManifestFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		run, err := store.LoadManifest(dir)
		if err != nil {
			return
		}
		// What could be read can be written, and is the same when read again.
		if err := store.SaveManifest(folderAt(dir), run); err != nil {
			t.Fatal(err)
		}
		again, err := store.LoadManifest(dir)
		run.Files, again.Files = nil, nil // those in the folder, not those in the text
		if err != nil || !same(datamodel.Result{Run: run}, datamodel.Result{Run: again}) {
			t.Fatalf("%+v is %+v when read again, %v", run, again, err)
		}
	})
}

// FuzzLoad is given the Parquet files of a run: nodes, metrics or samples by the first argument.
func FuzzLoad(f *testing.F) {
	names := []string{store.NodesFile, store.MetricsFile, store.SamplesFile}
	run := sampleRun()
	good := saveRun(f, f.TempDir(), run)
	if err := saveTree(good, run, sampleTree(2)); err != nil {
		f.Fatal(err)
	}
	for _, ticks := range []int{3, 17_000} { // snappy, zstd
		if err := store.RemoveSpool(folderAt(good)); err != nil {
			f.Fatal(err)
		}
		if _, err := convert(writeRun(f, good, ticks), filepath.Join(good, store.SamplesFile), nil); err != nil {
			f.Fatal(err)
		}
		for i, name := range names {
			b, err := os.ReadFile(filepath.Join(good, name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), b)
		}
	}
	if err := saveTree(good, run, sampleTree(2)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		dir := t.TempDir()
		for i, name := range append(names, store.ManifestFile) {
			content, err := os.ReadFile(filepath.Join(good, name))
			if err != nil {
				t.Fatal(err)
			}
			if i == int(which)%len(names) {
				content = b
			}
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := saveManifest(dir, run); err != nil { // an attacker can make digests, too
			t.Fatal(err)
		}
		if int(which)%len(names) != 2 {
			if got, err := store.Load(dir); err == nil && got.Tree == nil {
				t.Fatal("neither a tree nor an error")
			}
			return
		}
		rows := 0
		for batch, err := range store.Samples(dir) {
			if err != nil {
				break
			}
			n := len(batch.Host)
			if n == 0 || len(batch.Sensor) != n || len(batch.Time) != n || len(batch.Elapsed) != n || len(batch.Value) != n {
				t.Fatalf("columns of %d, %d, %d, %d, %d rows", n, len(batch.Sensor), len(batch.Time), len(batch.Elapsed), len(batch.Value))
			}
			if rows += n; rows > 1<<22 {
				return // a run of one value may be long
			}
		}
	})
}

// TestResultsIgnored makes results folders. One that ergon has made is ignored by git, one that was there is the user's.
func TestResultsIgnored(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "out", "results")
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, results := range []string{made, made, theirs} {
		run, err := store.NewRun(results, "p", time.Now(), string(rune(48+i)), store.Access{})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		if i == 0 { // what the user makes of it stays
			text, err := os.ReadFile(filepath.Join(made, ".gitignore"))
			if err != nil || !strings.HasSuffix(string(text), "\n*\n") {
				t.Errorf("%q, %v", text, err)
			}
			if err := os.WriteFile(filepath.Join(made, ".gitignore"), []byte("own"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(made, ".gitignore")); err != nil || string(text) != "own" {
		t.Errorf("changed: %q, %v", text, err)
	}
	for _, other := range []string{theirs, filepath.Join(dir, "out")} {
		if _, err := os.Stat(filepath.Join(other, ".gitignore")); err == nil {
			t.Errorf("%s: a .gitignore in a folder that ergon has not made for results", other)
		}
	}
}
