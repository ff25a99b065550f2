package store_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
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

func TestListAndResolve(t *testing.T) {
	root := t.TempDir()
	if runs, err := store.ListRuns(filepath.Join(root, "none"), nil); err != nil || len(runs) != 0 {
		t.Errorf("no results: %v, %v", runs, err)
	}
	if _, err := store.Resolve(root, "last", nil); err == nil {
		t.Error("last of none")
	}
	dirs := map[string]string{}
	for i, id := range []string{"20260304-cc", "20260304-ca", "20260305-aa", "20260306"} {
		run := sampleRun()
		run.ID, run.Project, run.Start = id, []string{"b", "a/1"}[i%2], anchor.Add(time.Duration(i)*time.Hour)
		dirs[id] = saveRun(t, root, run)
	}
	// One that was killed before its manifest was written, the last of all by its folder.
	broken, err := newRun(root, "a b", anchor.AddDate(0, 0, 2), "20260306-broken")
	if err != nil {
		t.Fatal(err)
	}
	runs, err := store.ListRuns(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range runs {
		ids = append(ids, e.Run.ID)
		if (e.Err != nil) != (e.Dir == broken) {
			t.Errorf("%s: %v", e.Dir, e.Err)
		}
	}
	if got := strings.Join(ids, " "); got != "20260304-cc 20260304-ca 20260305-aa 20260306 20260306-broken" {
		t.Errorf("runs %s", got)
	}
	if e := runs[len(runs)-1]; e.Run.Project != "a b" || e.Run.Outcome != datamodel.Unfinished {
		t.Errorf("broken run: %+v", e.Run)
	}

	for name, want := range map[string]string{
		"last": dirs["20260306"], "20260306": dirs["20260306"], "20260305": dirs["20260305-aa"], "20260304-cc": dirs["20260304-cc"],
		"20260304-ca": dirs["20260304-ca"], "20260306-": broken, dirs["20260305-aa"]: dirs["20260305-aa"],
		dirs["20260305-aa"] + "/": dirs["20260305-aa"],
	} {
		if got, err := store.Resolve(root, name, nil); err != nil || got != want {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"20260304": "20260304-ca", "x": root, "": "name", root: "neither", filepath.Join(dirs["20260306"], store.ManifestFile): "folder",
		"./none": "none",
	} {
		if got, err := store.Resolve(root, name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, error %v does not name %q", name, got, err, want)
		}
	}
}

// TestResolveLast: the newest second decides, and within it the start. A run that cannot be read is passed over. A run without
// a time in its id is the oldest of its day.
func TestResolveLast(t *testing.T) {
	root := t.TempDir()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	save := func(project, id string, start time.Time) string {
		run := sampleRun()
		run.ID, run.Project, run.Start = id, project, start
		return saveRun(t, root, run)
	}
	last := func(want string) {
		t.Helper()
		if got, err := store.Resolve(root, store.Last, nil); err != nil || got != want {
			t.Errorf("last is %s, %v, want %s", got, err, want)
		}
	}
	byHand := save("z", "named-by-hand", at.Add(time.Hour))
	last(byHand)
	first := save("b", "20261128T120000-ff", at)
	last(first)
	second := save("a", "20261128T120000-aa", at.Add(time.Millisecond)) // in the same second
	last(second)
	third := save("a", "20261128T120001-00", at.Add(time.Second))
	last(third)
	replayed := save("a", "20261128T110000-00-replay", at.Add(-time.Hour)) // of an older tape
	last(third)
	next := save("a", "20261129T000000-00", at.Add(12*time.Hour))
	last(next)
	broken, err := newRun(root, "c", at.AddDate(0, 0, 2), "20261130T000000-00")
	if err != nil {
		t.Fatal(err)
	}
	last(next)
	for _, dir := range []string{byHand, first, second, third, next} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	last(replayed)
	if err := os.RemoveAll(replayed); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Resolve(root, store.Last, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(broken, store.ManifestFile)) {
		t.Errorf("none can be read: %v", err)
	}
}

// TestResolveEnd tests that the end of an id names a run, and that a beginning counts first.
func TestResolveEnd(t *testing.T) {
	root := t.TempDir()
	dirs := make(map[string]string)
	for _, id := range []string{"20261128T120000-aabb", "20261128T120001-aacc", "20261128T120002-ddcc", "bbx"} {
		run := sampleRun()
		run.ID = id
		dirs[id] = saveRun(t, root, run)
	}
	for name, want := range map[string]string{"aabb": "20261128T120000-aabb", "aacc": "20261128T120001-aacc", "bb": "bbx", "cc": "", "dd": ""} {
		if got, err := store.Resolve(root, name, nil); got != dirs[want] || (err == nil) != (want != "") {
			t.Errorf("%s is %s, %v, want %s", name, got, err, want)
		}
	}
}

// BenchmarkResolveLast finds the last of ten thousand runs.
func BenchmarkResolveLast(b *testing.B) {
	root := b.TempDir()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		run := sampleRun()
		run.Start = at.Add(time.Duration(i) * 10 * time.Minute)
		run.ID, run.Project = run.Start.Format(store.IDTime)+"-00", "p"+strconv.Itoa(i%10)
		saveRun(b, root, run)
	}
	for b.Loop() {
		if _, err := store.Resolve(root, store.Last, nil); err != nil {
			b.Fatal(err)
		}
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

// TestFoldersThatCannotBeListed puts entries beside the runs of others that are no folders or cannot be listed. Each costs only
// itself.
func TestFoldersThatCannotBeListed(t *testing.T) {
	root := t.TempDir()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	dir, err := newRun(root, "shared", at, "20261128T120000-abcdef")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SaveManifest(folderAt(dir), datamodel.Run{ID: "20261128T120000-abcdef", Start: at, Outcome: datamodel.Done}); err != nil {
		t.Fatal(err)
	}
	day := filepath.Dir(dir)
	for _, err := range []error{
		os.WriteFile(filepath.Join(root, "project=file"), nil, 0o666),
		os.Symlink("nowhere", filepath.Join(root, "project=gone")),
		os.Symlink("project=loop", filepath.Join(root, "project=loop")),
		os.WriteFile(filepath.Join(filepath.Dir(day), "date=2026-11-29"), nil, 0o666),
		os.Mkdir(filepath.Join(root, "project=private"), 0), // root can list it all the same
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := 4
	if os.Getuid() != 0 {
		want++
	}
	notes := 0
	note := func(err error) {
		if notes++; !strings.Contains(err.Error(), "no run below it can be shown") {
			t.Error(err)
		}
	}
	if runs, err := store.ListRuns(root, note); err != nil || len(runs) != 1 || runs[0].Err != nil || notes != want {
		t.Errorf("%+v, %v, %d notes, want %d", runs, err, notes, want)
	}
	for _, name := range []string{store.Last, "20261128T120000-abcdef", "2026"} {
		notes = 0
		if got, err := store.Resolve(root, name, note); err != nil || got != dir || notes == 0 || notes > want {
			t.Errorf("%s: %s, %v, %d notes, want up to %d", name, got, err, notes, want)
		}
	}
	if _, err := store.ListRuns(filepath.Join(root, "project=file"), nil); err == nil {
		t.Error("a results folder that is a file has runs")
	}
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
