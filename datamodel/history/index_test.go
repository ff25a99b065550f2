package history

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// manyRuns keeps n runs whose manifests have not changed for an hour, as far as the index can tell.
func manyRuns(tb testing.TB, results string, n int) []datamodel.Run {
	tb.Helper()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	runs := make([]datamodel.Run, n)
	for i := range runs {
		code, energy, dirty := i%3, float64(i), i%2 == 0
		run := datamodel.Run{
			ID: fmt.Sprintf("%s-%04d", at.Add(time.Duration(i)*time.Minute).Format(store.IDTime), i), Project: fmt.Sprintf("p%d", i%4),
			Outcome: datamodel.Done, ExitCode: &code, Start: at.Add(time.Duration(i)*time.Minute + 123456789), Folder: "/work",
			Version: "v1", Summary: map[string]datamodel.Figure{
				datamodel.Energy:  {Value: &energy, Unit: units.Joule, Provenance: sensors.FromCounter, Uncertainty: &energy, Bound: datamodel.LowerBound, AtMost: &energy},
				datamodel.CPUTime: {Unit: units.Second, Provenance: sensors.Missing, Reason: "no cgroup"},
			},
		}
		run.SetCommand([]string{"make", fmt.Sprint(i), string([]byte{0xff})}[:1+i%3])
		if i%5 == 0 {
			run.Bench = &datamodel.Bench{
				Commands: []datamodel.BenchCommand{{Name: "a", Command: []string{"make"}}, {Name: "b"}}, Ended: datamodel.BenchComplete,
				Results: []datamodel.BenchResult{{Rounds: 10, Failed: 1, Medians: map[string]datamodel.Figure{datamodel.WallTime: run.Summary[datamodel.WallTime]}}, {Rounds: 10}},
			}
		}
		run.Host.Name, run.Host.CPU, run.Host.CPUs, run.Host.Kernel = "vm", "Xeon", 8, "6.1.0"
		run.Host.Scaling.Governor = "powersave"
		if i%2 == 0 {
			run.Host.Git = &sensors.Git{Commit: fmt.Sprintf("%040x", i), Branch: "main", Dirty: &dirty}
		}
		if i%5 == 0 {
			wall := 1.5
			run.WallTime, run.Replayed, run.Signal, run.ExitCode = &wall, &datamodel.Replay{Tape: "t.zip"}, "SIGTERM", nil
		}
		f, err := store.NewRun(results, run.Project, run.Start, run.ID, store.Access{})
		if err != nil {
			tb.Fatal(err)
		}
		if err := errors.Join(store.NoteManifest(f, run), f.Close()); err != nil {
			tb.Fatal(err)
		}
		runs[i] = run
	}
	return runs
}

// list lists the runs as at a later time, when all manifests have settled.
func list(t *testing.T, h History) []Entry {
	t.Helper()
	dirs, err := store.RunFolders(h.Results, nil)
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := listAt(h, dirs, time.Now().Add(time.Hour))
	return newestFirst(entries)
}

// listAt lists runs and returns how many manifests were read.
func listAt(h History, dirs []string, now time.Time) ([]Entry, int64) {
	x := h.openIndex(len(dirs))
	x.now = now
	entries := make([]Entry, len(dirs))
	each(len(dirs), func(i int) { entries[i] = x.read(dirs[i]) })
	x.save(true)
	if !x.used {
		return entries, int64(len(dirs))
	}
	return entries, x.fresh.Load()
}

// sameList compares lists. Errors are the same if they say the same.
func sameList(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(x, y Entry) bool {
		return x.Dir == y.Dir && fmt.Sprint(x.Err) == fmt.Sprint(y.Err) && slices.Equal(x.Tags, y.Tags) && reflect.DeepEqual(x.Run, y.Run)
	})
}

func indexPath(t *testing.T, h History) string {
	t.Helper()
	name, ok := h.indexName()
	if !ok {
		t.Fatal("no index here")
	}
	return filepath.Join(h.Results, name)
}

// TestIndex holds that a list is the same with and without an index, and that a list with an index reads no manifest.
func TestIndex(t *testing.T) {
	h := History{Results: t.TempDir()}
	manyRuns(t, h.Results, 3*fewRuns)
	dirs, err := store.RunFolders(h.Results, nil)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	plain := make([]Entry, len(dirs))
	for i, dir := range dirs {
		plain[i] = read(dir)
	}
	if entries, n := listAt(h, dirs, time.Now()); n != int64(len(dirs)) || !sameList(entries, plain) {
		t.Fatalf("the first list read %d manifests", n)
	}
	if _, n := listAt(h, dirs, later); n != int64(len(dirs)) {
		t.Errorf("manifests that had just changed are in the index: %d were read", n)
	}
	info, err := os.Stat(indexPath(t, h))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others may read the index", info.Mode(), err)
	}
	if entries, n := listAt(h, dirs, later); n != 0 || !sameList(entries, plain) {
		t.Errorf("the list with an index read %d manifests", n)
	}
	// A list that starts anew agrees, and so does a search by the commit.
	all, err := h.List()
	if err != nil || len(all) != len(dirs) {
		t.Fatal(len(all), err)
	}
	if dir, err := h.Find(fmt.Sprintf("%040x", 8)); err != nil || !strings.HasSuffix(dir, "-0008") {
		t.Errorf("%s, %v", dir, err)
	}
}

// TestIndexIsNeverWrong changes the runs and the index. Every list is as without an index.
func TestIndexIsNeverWrong(t *testing.T) {
	h := History{Results: t.TempDir()}
	runs := manyRuns(t, h.Results, 2*fewRuns)
	list(t, h)
	good, err := os.ReadFile(indexPath(t, h))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		dirs, err := store.RunFolders(h.Results, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]Entry, len(dirs))
		for i, dir := range dirs {
			want[i] = read(dir)
		}
		if got := list(t, h); !sameList(got, newestFirst(want)) {
			t.Errorf("%s: the list is wrong", what)
		}
	}
	dirOf := func(i int) string {
		dir, err := store.FindID(h.Results, runs[i].ID)
		if err != nil || dir == "" {
			t.Fatal(dir, err)
		}
		return dir
	}
	manifest := filepath.Join(dirOf(7), store.ManifestFile)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(manifest)
	if err != nil {
		t.Fatal(err)
	}
	// Another byte in place, of the same size and with the old time.
	f, err := os.OpenFile(manifest, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("X"), int64(bytes.Index(text, []byte(`"done"`)))); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Chtimes(manifest, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("a changed manifest")
	if e := read(dirOf(7)); !errors.Is(e.Err, store.ErrDamaged) {
		t.Errorf("the changed manifest gives %v", e.Err)
	}
	// Another run in the place of one.
	if err := errors.Join(os.RemoveAll(dirOf(3)), os.Rename(dirOf(4), filepath.Join(filepath.Dir(dirOf(5)), "run=moved"))); err != nil {
		t.Fatal(err)
	}
	check("runs that were removed and renamed")

	path := indexPath(t, h)
	for what, change := range map[string]func() error{
		"no index":       func() error { return os.Remove(path) },
		"an empty index": func() error { return os.WriteFile(path, nil, 0o600) },
		"a cut index":    func() error { return os.WriteFile(path, good[:len(good)/2], 0o600) },
		"another version": func() error {
			return os.WriteFile(path, append([]byte("ergon.index/1\n"), good[len(indexFirst):]...), 0o600)
		},
		"a folder":          func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"an old index":      func() error { return errors.Join(os.RemoveAll(path), os.WriteFile(path, good, 0o600)) },
		"a link to nowhere": func() error { return errors.Join(os.RemoveAll(path), os.Symlink("nowhere", path)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		check(what)
		_ = os.RemoveAll(path)
		list(t, h)
	}
	for i := range good {
		if i%997 != 0 {
			continue
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if entries, err := decode(bad); err == nil || entries != nil {
			t.Errorf("byte %d of the index is damaged, and it is read all the same", i)
		}
	}
}

// TestIndexOfOthers puts an index of another user into a results folder. It is not believed.
func TestIndexOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a file of another user")
	}
	h := History{Results: t.TempDir()}
	runs := manyRuns(t, h.Results, 2*fewRuns)
	list(t, h)
	path := indexPath(t, h)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for at, e := range entries { // a valid index that lies
		e.run.Outcome = datamodel.TargetFailed
		entries[at] = e
	}
	if err := os.WriteFile(path, encode(entries), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, h); got[0].Run.Outcome != datamodel.TargetFailed {
		t.Fatal("this test does not lie well enough")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, e := range list(t, h) {
		if e.Run.Outcome != datamodel.Done {
			t.Fatalf("run %s of %d: believed another user's index", e.Run.ID, len(runs))
		}
	}
	// Root keeps no index in the folder of another user.
	if err := os.Chown(h.Results, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if name, ok := h.indexName(); ok {
		t.Errorf("root has the index %s in another user's folder", name)
	}
}

// filled sets every field of a value, so that a field which the index forgets shows.
func filled(v reflect.Value, depth int) {
	if depth == 0 { // a type that holds itself
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), depth-1)
	case reflect.Struct:
		if at, ok := reflect.TypeAssert[*time.Time](v.Addr()); ok {
			*at = time.Unix(1_700_000_000, 123456789).UTC()
			return
		}
		for _, field := range v.Fields() {
			filled(field, depth-1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		for i := range v.Len() {
			filled(v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		filled(key, depth-1)
		filled(value, depth-1)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(7)
	default:
		v.SetInt(-7)
	}
}

// TestIndexForgetsNothing holds that the index has every field that a list has, also those that a figure gets later.
func TestIndexForgetsNothing(t *testing.T) {
	var run datamodel.Run
	filled(reflect.ValueOf(&run).Elem(), 8)
	run.Factors = datamodel.Factors{}
	want := brief(run)
	got, err := decode(encode(map[string]indexed{"x": {run: want}}))
	if err != nil || !reflect.DeepEqual(got["x"].run, want) {
		t.Errorf("%v: %+v\nwant %+v", err, got["x"].run, want)
	}
}

// FuzzIndex decodes any bytes behind a right digest. What is decoded is the same when encoded again.
func FuzzIndex(f *testing.F) {
	h := History{Results: f.TempDir()}
	manyRuns(f, h.Results, 3)
	dirs, err := store.RunFolders(h.Results, nil)
	if err != nil {
		f.Fatal(err)
	}
	entries := map[string]indexed{}
	for _, dir := range dirs {
		entries[h.inside(dir)] = indexed{stamp{1, 2, 3, 4}, read(dir).Run}
	}
	whole := encode(entries)
	if again, err := decode(whole); err != nil || !reflect.DeepEqual(again, entries) {
		f.Fatalf("%+v\n%+v\n%v", again, entries, err)
	}
	f.Add(whole[len(encode(nil))-1:])
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &coder{in: string(body), reading: true}
		var e indexed
		for c.in != "" && !c.bad {
			c.entry(&e)
		}
		if len(e.run.Command) > len(body) || len(e.run.Summary) > len(body) {
			t.Fatal("more values than bytes")
		}
		if c.bad {
			return
		}
		again, err := decode(encode(map[string]indexed{"x": e}))
		if err != nil || !sameRun(again["x"].run, e.run) || again["x"].stamp != e.stamp {
			t.Fatalf("%+v is %+v when read again, %v", e, again["x"], err)
		}
	})
}

// sameRun compares what may hold NaN.
func sameRun(a, b datamodel.Run) bool {
	same := func(x, y *float64) bool {
		return (x == nil) == (y == nil) && (x == nil || math.Float64bits(*x) == math.Float64bits(*y))
	}
	if !same(a.WallTime, b.WallTime) || !slices.Equal(slices.Sorted(maps.Keys(a.Summary)), slices.Sorted(maps.Keys(b.Summary))) {
		return false
	}
	for name, f := range a.Summary {
		if g := b.Summary[name]; !same(f.Value, g.Value) || f.Reason != g.Reason || f.Unit != g.Unit {
			return false
		}
	}
	a.WallTime, b.WallTime, a.Summary, b.Summary = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// BenchmarkList lists two thousand runs from the index.
func BenchmarkList(b *testing.B) {
	h := History{Results: b.TempDir()}
	manyRuns(b, h.Results, 2000)
	dirs, err := store.RunFolders(h.Results, nil)
	if err != nil {
		b.Fatal(err)
	}
	listAt(h, dirs, time.Now().Add(time.Hour))
	for b.Loop() {
		if all, err := h.List(); err != nil || len(all) != len(dirs) {
			b.Fatal(len(all), err)
		}
	}
	if _, n := listAt(h, dirs, time.Now()); n > 0 {
		b.Fatalf("%d manifests were read", n)
	}
}
