package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// write makes a file of this many bytes, and the folders above it.
func write(t *testing.T, size int, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func pattern(t *testing.T, text string) *Pattern {
	t.Helper()
	p, err := NewPattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// twice counts, runs change, and counts again.
func twice(t *testing.T, o Options, change func(), ours ...string) []Counted {
	t.Helper()
	s, err := Take(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	change()
	all, err := s.Compare(context.Background(), ours...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func nothing() {}

// table writes the rows in short: "fits 2/30 > 3/40 +1/10".
func table(c Counted) []string {
	out := []string{}
	for _, r := range c.Rows {
		text := strings.Join(r.Groups, " ") + fmt.Sprintf(" %d/%d > %d/%d", r.Before.Files, r.Before.Bytes, r.After.Files, r.After.Bytes)
		for _, d := range []struct {
			sign string
			Amount
		}{{"made", r.Made}, {"grown", r.Grown}, {"shrunk", r.Shrunk}, {"deleted", r.Deleted}} {
			if d.Files != 0 || d.Bytes != 0 {
				text += fmt.Sprintf(" %s %d/%d", d.sign, d.Files, d.Bytes)
			}
		}
		out = append(out, text)
	}
	return out
}

func check(t *testing.T, c Counted, want ...string) {
	t.Helper()
	if c.Err != nil || c.Unknown != nil {
		t.Errorf("%s: %v, %v", c.Area.Name, c.Err, c.Unknown)
	}
	if got := table(c); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s:\n%s\nwant\n%s", c.Area.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sum adds the rows of all areas.
func sum(all []Counted) (out Row) {
	for _, c := range all {
		for _, r := range c.Rows {
			out.join(r)
		}
	}
	return out
}

func TestChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, 10, dir, "a.txt")
	write(t, 20, dir, "b.TXT")
	write(t, 30, dir, "sub", "c.log")
	write(t, 40, dir, "sub", "deep", "d.log")
	write(t, 50, dir, "sub", "same.log")
	write(t, 5, dir, "gone", "README")
	write(t, 60, dir, "old.tmp")
	write(t, 70, dir, "replaced.dat")
	got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, func() {
		write(t, 11, dir, "a.txt")
		write(t, 15, dir, "b.TXT")
		remove(t, dir, "sub", "c.log")
		write(t, 7, dir, "sub", "new", "e.log")
		remove(t, dir, "gone")
		if err := os.Rename(filepath.Join(dir, "old.tmp"), filepath.Join(dir, "old.bin")); err != nil {
			t.Fatal(err)
		}
		write(t, 75, dir, "next.dat~")
		if err := os.Rename(filepath.Join(dir, "next.dat~"), filepath.Join(dir, "replaced.dat")); err != nil {
			t.Fatal(err)
		}
	})[0]
	check(t, got,
		"bin 0/0 > 1/60 made 1/60",
		"dat 1/70 > 1/75 grown 1/5",
		"log 3/120 > 3/97 made 1/7 deleted 1/30",
		"other 1/5 > 0/0 deleted 1/5",
		"tmp 1/60 > 0/0 deleted 1/60",
		"txt 2/30 > 2/26 grown 1/1 shrunk 1/5",
	)
	if got.Errors.All() != 0 || got.FileSystem.Err != nil || got.FileSystem.Total < got.FileSystem.Used || got.FileSystem.Total == 0 {
		t.Errorf("errors %+v, file system %+v", got.Errors, got.FileSystem)
	}
}

func TestExtension(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "txt", "a.tar.GZ": "gz", ".bashrc": "", "README": "", "a.": "", "a..b": "b", ".a.b": "b",
		"Dr. Smith": "", "x.c++": "c++", "x.7z": "7z", "x.ÄÖ": "äö", "x.\xff": "", "x.a b": "", "x.a\n": "", "x.other": "",
		"x.seventeen-letters": "", "x.sixteen-letters": "sixteen-letters", "x.文书": "文书", "x.a\u202eb": "",
	} {
		if got := string(extension(nil, []byte(name))); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// FuzzExtension checks what holds for every name: an extension is short, printable and the same when it is looked at again.
func FuzzExtension(f *testing.F) {
	f.Add([]byte("a.Txt"))
	f.Add([]byte("a.\xff\x00"))
	f.Fuzz(func(t *testing.T, name []byte) {
		ext := extension(nil, name)
		if len(ext) > 0 && !showable(ext) {
			t.Errorf("%q: %q cannot be shown", name, ext)
		}
		if again := extension(nil, append([]byte("x."), ext...)); len(ext) > 0 && len(ext) <= longestExtension && string(again) != string(ext) {
			t.Errorf("%q: %q, then %q", name, ext, again)
		}
	})
}

// TestPattern has ten names and the exact table of two groups.
func TestPattern(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{
		"nircam_rate.fits", "nircam_rate.fits.bak", "nircam_cal.fits", "miri_rate.fits", "sub/miri_rate.fits", "_cal.fits",
		"miri_cal.fits", "notes.txt", "niriss_\xff.fits", "a/b/c/niriss_x1d.fits",
	} {
		write(t, 1<<i, dir, name)
	}
	area := Area{Name: "jwst", Path: dir, Pattern: pattern(t, `(?P<instrument>[a-z]*)_(?P<type>[^.]*)\.fits`)}
	check(t, twice(t, Options{Areas: []Area{area}}, nothing)[0],
		"miri cal 1/64 > 1/64", "miri rate 2/24 > 2/24", "nircam cal 1/4 > 1/4", "nircam rate 1/1 > 1/1",
		"niriss other 1/256 > 1/256", "niriss x1d 1/512 > 1/512", "other cal 1/32 > 1/32", "other other 2/130 > 2/130")
	// With a slash it is the path below the area.
	area.Pattern = pattern(t, `(?s)(?:.*/)?(?P<folder>[^/]*)/[^/]*`)
	check(t, twice(t, Options{Areas: []Area{area}}, nothing)[0], "c 1/512 > 1/512", "other 8/495 > 8/495", "sub 1/16 > 1/16")
}

func TestWrongPatterns(t *testing.T) {
	for text, want := range map[string]string{
		`(?P<a>`: "missing closing", `x`: "0 named groups", `(?P<a>x)(?P<b>y)(?P<c>z)`: "3 named groups",
		`(?P<a>x)(?P<a>y)`: "a", `(x)`: "0 named groups",
	} {
		if _, err := NewPattern(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestNested has areas in areas: each file is in one row, whatever the order of the areas is.
func TestNested(t *testing.T) {
	dir := t.TempDir()
	write(t, 1, dir, "a.x")
	write(t, 2, dir, "raw", "b.x")
	write(t, 4, dir, "raw", "new", "c.x")
	write(t, 8, dir, "raw", "new", "deep", "d.x")
	write(t, 16, dir, "raws", "e.x")
	areas := []Area{{Name: "all data", Path: dir}, {Name: "raw", Path: filepath.Join(dir, "raw")}, {Name: "new", Path: filepath.Join(dir, "raw/new")}}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		var o Options
		for _, i := range order {
			o.Areas = append(o.Areas, areas[i])
		}
		got := twice(t, o, func() { write(t, 32, dir, "raw", "new", "f.x") })
		at := func(name string) Counted {
			return got[slices.IndexFunc(got, func(c Counted) bool { return c.Area.Name == name })]
		}
		check(t, at("all data"), "x 2/17 > 2/17")
		check(t, at("raw"), "x 1/2 > 1/2")
		check(t, at("new"), "x 2/12 > 3/44 made 1/32")
		if at("new").Within != "raw" || at("raw").Within != "all data" || at("all data").Within != "" {
			t.Errorf("within: %q %q %q", at("new").Within, at("raw").Within, at("all data").Within)
		}
		if s := sum(got); s.After != (Amount{6, 63}) || s.Before != (Amount{5, 31}) {
			t.Errorf("sum %+v", s)
		}
		remove(t, dir, "raw/new/f.x")
	}
}

// TestFolderComesAndGoes has an area that the command makes, one that it removes, one that is never there, and a file.
func TestFolderComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	write(t, 3, dir, "old", "a.x")
	write(t, 9, dir, "file.dat")
	o := Options{}
	for _, name := range []string{"new", "old", "none", "file.dat"} {
		o.Areas = append(o.Areas, Area{Name: name, Path: filepath.Join(dir, name)})
	}
	got := twice(t, o, func() {
		write(t, 5, dir, "new", "b.y")
		remove(t, dir, "old")
	})
	check(t, got[0], "y 0/0 > 1/5 made 1/5")
	check(t, got[1], "x 1/3 > 0/0 deleted 1/3")
	if got[2].Err == nil || got[2].Err.Error() != "no such folder" || got[2].Rows != nil {
		t.Errorf("none: %+v", got[2])
	}
	check(t, got[3], "dat 1/9 > 1/9")
}

// TestOurs has a results folder in the area: what ergon adds to it does not count, what was there counts as it was.
func TestOurs(t *testing.T) {
	dir := t.TempDir()
	write(t, 1, dir, "a.x")
	write(t, 2, dir, "results", "old.parquet")
	write(t, 4, dir, "results", "removed.parquet")
	got := twice(t, Options{Areas: []Area{{Name: "d", Path: dir}}}, func() {
		write(t, 8, dir, "results", "run", "new.parquet")
		write(t, 16, dir, "results", "old.parquet")
		remove(t, dir, "results/removed.parquet")
		write(t, 32, dir, "b.x")
	}, filepath.Join(dir, "results"), filepath.Join(dir, "nowhere"))[0]
	check(t, got, "parquet 2/6 > 1/2 deleted 1/4", "x 1/1 > 2/33 made 1/32")
}

// TestLimits has more files than are remembered, and more types than are told apart.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	for i := range MostTypes + 10 {
		write(t, 1000+i, dir, fmt.Sprintf("file.t%03d", i))
	}
	write(t, 1, dir, "none")
	o := Options{Areas: []Area{{Name: "d", Path: dir}}}
	before := sum(twice(t, o, nothing))
	got := twice(t, o, func() { write(t, 5000, dir, "file.t000") })[0]
	if len(got.Rows) != MostTypes || got.Merged != 11 || got.Unknown != nil {
		t.Errorf("%d rows, %d merged, %v", len(got.Rows), got.Merged, got.Unknown)
	}
	after := sum([]Counted{got})
	if after.Before != before.Before || after.After.Files != before.After.Files || after.Grown != (Amount{1, 4000}) {
		t.Errorf("%+v, before %+v", after, before)
	}
	o.MostFiles = 100
	got = twice(t, o, func() { write(t, 6000, dir, "file.t001") })[0]
	if got.Unknown == nil || !errors.Is(got.Unknown, errTooMany) || !strings.Contains(got.Unknown.Error(), "100") {
		t.Errorf("unknown: %v", got.Unknown)
	}
	all := sum([]Counted{got})
	if all.Before.Bytes != after.After.Bytes || all.After.Bytes != after.After.Bytes+6000-1001 || all.Grown != (Amount{}) || all.Made != (Amount{}) {
		t.Errorf("%+v", all)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{Areas: []Area{{Name: "d", Path: t.TempDir()}}}
	s, err := Take(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Compare(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Compare: %v", err)
	}
	if _, err := Take(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("Take: %v", err)
	}
}

// TestTwoAreasOfOneFolder counts the files in the first.
func TestTwoAreasOfOneFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, 1, dir, "a.x")
	got := twice(t, Options{Areas: []Area{{Name: "a", Path: dir}, {Name: "b", Path: dir}}}, nothing)
	if s := sum(got); s.After != (Amount{1, 1}) {
		t.Errorf("%+v", s)
	}
	if !reflect.DeepEqual(table(got[0]), []string{"x 1/1 > 1/1"}) {
		t.Errorf("%v", table(got[0]))
	}
}
