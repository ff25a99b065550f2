package store_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// tapeOfTwo writes a tape of two sources, one of them cut off, and returns its file, the tape and the spool folder.
func tapeOfTwo(t testing.TB) (file string, tape store.Tape, spool string) {
	t.Helper()
	dir := t.TempDir()
	spool, file = filepath.Join(dir, "spool"), filepath.Join(dir, "run.zip")
	for _, name := range []string{"cpu", "rapl"} {
		s := create(t, spool, header(name, 3))
		fill(t, s, 3, 40, 7)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if name == "rapl" {
			info, err := os.Stat(s.Path())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(s.Path(), info.Size()-100); err != nil {
				t.Fatal(err)
			}
		}
	}
	wall := 4.25
	tape = store.Tape{
		Run: datamodel.Run{
			Schema: datamodel.ManifestSchema, ID: "20260304T050607-abcdef", Project: "p", Command: []string{"train.sh"},
			Folder: "/home/alice/secret", Outcome: datamodel.Done, Start: anchor, WallTime: &wall,
			Host: datamodel.HostInfo{Name: "machine", CPUs: 2}, Version: "v1",
		},
		Ledger:  datamodel.Ledger{WallTime: &wall},
		LeftOut: []string{"the environment"},
	}
	if err := store.SaveTape(file, tape, folderAt(spool), nil, store.Access{}); err != nil {
		t.Fatal(err)
	}
	return file, tape, spool
}

// What comes out of a tape is what went in, torn ends included, but for the name of the machine.
func TestTape(t *testing.T) {
	file, tape, spool := tapeOfTwo(t)
	r, err := store.OpenTape(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !reflect.DeepEqual(r.Tape, tape) {
		t.Errorf("%+v, want %+v", r.Tape, tape)
	}
	out := t.TempDir()
	if err := r.Unpack(folderAt(out)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cpu.arrows", "rapl.arrows"} {
		wantTicks, wantComplete, wantErr := read(filepath.Join(spool, name), 3)
		ticks, complete, err := read(filepath.Join(out, name), 3)
		if ticks != wantTicks || complete != wantComplete || errors.Is(err, io.ErrUnexpectedEOF) != errors.Is(wantErr, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %d ticks, %v, %v; want %d, %v, %v", name, ticks, complete, err, wantTicks, wantComplete, wantErr)
		}
		before, err := store.OpenSpool(filepath.Join(spool, name))
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		after, err := store.OpenSpool(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		defer after.Close()
		want := before.Header()
		if want.Host = "machine"; !reflect.DeepEqual(after.Header(), want) {
			t.Errorf("%s: header %+v, want %+v", name, after.Header(), want)
		}
	}
	readings, err := store.FirstReadings(folderAt(out))
	if err != nil || len(readings) != 2 {
		t.Fatalf("%d sources, %v", len(readings), err)
	}
	for i, v := range readings[0].Values {
		if want := reading(0, i); v != want && !math.IsNaN(want) {
			t.Errorf("the first reading of sensor %d is %v, want %v", i, v, want)
		}
	}
	if err := store.SaveTape(file, tape, folderAt(spool), nil, store.Access{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
}

// The strings of manifest and headers go through the function, numbers and readings do not.
func TestTapeHides(t *testing.T) {
	_, tape, spool := tapeOfTwo(t)
	file := filepath.Join(t.TempDir(), "run.zip")
	hide := func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "/home/alice/secret", "."), "/sys", "/gone")
	}
	marks := []datamodel.Mark{
		{Kind: datamodel.BeginMark, Name: "load /home/alice/secret", ID: "/home/alice/secret/1", At: 5, PID: 3, Thread: 4, Rank: -1},
		{Kind: datamodel.MetricMark, Name: "loss", Value: 0.1, At: 6, PID: 3, Rank: 2},
	}
	kept := store.NewMarkSpool(folderAt(spool), 1)
	if err := errors.Join(kept.Put(marks), kept.Close()); err != nil {
		t.Fatal(err)
	}
	if err := store.SaveTape(file, tape, folderAt(spool), hide, store.Access{}); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, e := range archive.File {
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"alice", "node1", "/sys/"} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds %q", e.Name, secret)
			}
		}
	}
	r, err := store.OpenTape(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := t.TempDir()
	if err := r.Unpack(folderAt(out)); err != nil {
		t.Fatal(err)
	}
	marks[0].Name, marks[0].ID = "load .", "./1"
	if got, err := store.ReadMarks(folderAt(out)); err != nil || !slices.Equal(got, marks) {
		t.Errorf("%+v, %v; want %+v", got, err, marks)
	}
	if r.Run.Folder != "." || *r.Run.WallTime != 4.25 || !r.Run.Start.Equal(anchor) {
		t.Errorf("%+v", r.Run)
	}
}

// entry is a file within an archive that is made by hand.
type entry struct {
	name string
	body []byte
}

func archive(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.name, "/") {
			continue // a folder
		}
		if _, err := f.Write(e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hostile.zip")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// bomb is an archive with a MB of zeros that says it has size bytes.
func bomb(t *testing.T, first entry, size uint64) string {
	t.Helper()
	var packed, b bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deflate.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := deflate.Close(); err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(&b)
	out, err := w.Create(first.name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(first.body); err != nil {
		t.Fatal(err)
	}
	out, err = w.CreateRaw(&zip.FileHeader{
		Name: "spool/bomb", Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: size,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bomb.zip")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A tape that was unpacked and packed again by zip -r has an entry for the folder.
func TestTapePackedAgain(t *testing.T) {
	manifest := entry{"tape.json", []byte(`{"schema":"ergon.tape/2","version":"v1","run":{"schema":"` + datamodel.ManifestSchema + `"}}`)}
	r, err := store.OpenTape(archive(t, entry{"spool/", nil}, entry{"spool/cpu.arrows", []byte("x")}, manifest))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := t.TempDir()
	if err := r.Unpack(folderAt(out)); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 1 || left[0].Name() != "cpu.arrows" {
		t.Errorf("unpacked are %v, %v", left, err)
	}
}

// A tape comes from a stranger: whatever is in it, it writes to no other folder, grows to no size, and the error says what
// is wrong with it.
func TestTapeRefuses(t *testing.T) {
	good := entry{"tape.json", []byte(`{"schema":"ergon.tape/2","version":"v1","run":{"schema":"` + datamodel.ManifestSchema + `"}}`)}
	f := func(want string, entries ...entry) {
		t.Helper()
		file := archive(t, entries...)
		out := filepath.Join(t.TempDir(), "a", "b")
		if err := os.MkdirAll(out, 0o700); err != nil {
			t.Fatal(err)
		}
		r, err := store.OpenTape(file)
		if err == nil {
			defer r.Close()
			err = r.Unpack(folderAt(out))
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || !errors.Is(err, store.ErrForeign) {
			t.Errorf("%v, want %q", err, want)
		}
		left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(out)), "*"))
		if err != nil || len(left) != 1 {
			t.Errorf("beside the folder there is %v, %v", left, err)
		}
	}
	f("no tape.json in it")
	f("no tape.json in it", entry{"spool/cpu.arrows", nil})
	for _, name := range []string{
		"spool/../../x", "../x", "/etc/x", "spool/a/b", `spool/a\b`, "spool/..", "spool/.x", "spool/a:b", "other", "spool/a\x00b",
	} {
		f("a tape has tape.json and spool/*", good, entry{name, []byte("x")})
	}
	for _, name := range []string{"other/", "spool/a/", "tape.json/", "/", "../"} {
		f("a tape has tape.json and spool/*", good, entry{name, nil})
	}
	f("is there twice", good, good)
	f("is there twice", good, entry{"spool/", nil}, entry{"spool/", nil})
	f("is there twice", good, entry{"spool/A", nil}, entry{"spool/a", nil})
	f(`made by ergon "v9"; this ergon reads ergon.tape/2`, entry{"tape.json", []byte(`{"schema":"ergon.tape/3","version":"v9"}`)})
	f(`made by ergon "v9"`, entry{"tape.json", []byte(`{"schema":"ergon.tape/2","version":"v9","run":{"schema":"ergon.run/9"}}`)})
	f(`schema "x"`, entry{"tape.json", []byte(`{"schema":"x"}`)})
	f("tape.json: 5242880 bytes, more than 4194304", entry{"tape.json", make([]byte, 5<<20)})
	many := []entry{good}
	for i := range 300 {
		many = append(many, entry{"spool/" + strings.Repeat("x", i+1), nil})
	}
	f("301 entries, more than 256", many...)

	// Bombs: one that says what it would become, and one that does not.
	for size, want := range map[uint64]string{2 << 30: "would become 2147483648 bytes", 10: "spool/bomb: damaged"} {
		file := bomb(t, good, size)
		r, err := store.OpenTape(file)
		if err == nil {
			defer r.Close()
			err = r.Unpack(folderAt(t.TempDir()))
		}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, store.ErrForeign) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	for _, junk := range []string{"", "x", "PK\x05\x06"} {
		file := filepath.Join(t.TempDir(), "junk")
		if err := os.WriteFile(file, []byte(junk), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenTape(file); !errors.Is(err, store.ErrForeign) {
			t.Errorf("%q: %v", junk, err)
		}
	}
	if _, err := store.OpenTape(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
}

// However a tape is cut, it is refused: its table of contents stands at the end.
func TestTapeCut(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	file, _, _ := tapeOfTwo(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := store.OpenTape(file)
		if err == nil {
			r.Close()
			t.Fatalf("%d of %d bytes are a tape", n, len(whole))
		}
	}
}

// FuzzTape: whatever the bytes, no panic, no file outside of the folder, and no more out of it than it may.
func FuzzTape(f *testing.F) {
	file, _, _ := tapeOfTwo(f)
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-30])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path, out := filepath.Join(dir, "fuzz.zip"), filepath.Join(dir, "out")
		if err := errors.Join(os.Mkdir(out, 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		r, err := store.OpenTape(path)
		if err != nil {
			return
		}
		defer r.Close()
		if _, err := json.Marshal(r.Tape); err != nil {
			t.Fatalf("the manifest cannot be written again: %v", err)
		}
		if r.Unpack(folderAt(out)) == nil {
			if _, err := store.FirstReadings(folderAt(out)); err != nil {
				t.Fatal(err)
			}
		}
		size, entries := int64(0), 0
		err = filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil && filepath.Dir(name) == out {
				size, entries = size+info.Size(), entries+1
			} else if name != path {
				t.Fatalf("%s is not where it should be", name)
			}
			return err
		})
		if err != nil || entries > 256 || size > 1<<30+100*int64(len(b)) {
			t.Fatalf("%d files of %d bytes from %d, %v", entries, size, len(b), err)
		}
	})
}
