package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestPackaged checks the versions of packages, in the order in which dpkg and rpm sort them.
func TestPackaged(t *testing.T) {
	for version, want := range map[string]string{
		"0.1.0":     "0.1.0",
		"0.1.0-dev": "0.1.0~dev",
		"0.0.0-20261129003207-577dee7f1234+dirty": "0.0.0~20261129003207.577dee7f1234+dirty",
	} {
		if got := packaged(version); got != want {
			t.Errorf("packaged(%q) is %q, want %q", version, got, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "2.2.5", true}, {"2.4", "2.34", true}, {"2.34", "2.4", false}, {"2.34", "2.34", false}, {"2.2.5", "2.2", false}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) is %v", c.a, c.b, got)
		}
	}
}

// TestTargets checks that every target has its own name, and that an unknown one is refused.
func TestTargets(t *testing.T) {
	seen := map[string]bool{}
	for _, target := range targets() {
		seen[target.String()] = true
	}
	if len(seen) != len(targets()) {
		t.Errorf("%d targets have %d names", len(targets()), len(seen))
	}
	chosen, err := choose("windows_amd64,linux_arm64_static")
	if err != nil || !slices.Equal(chosen, []target{{"windows", "amd64", false}, {"linux", "arm64", false}}) {
		t.Errorf("%v, %v", chosen, err)
	}
	if _, err := choose("plan9_amd64"); err == nil || !strings.Contains(err.Error(), "linux_amd64_static") {
		t.Errorf("an unknown target: %v", err)
	}
}

// TestOurs checks that dist removes no folder that it did not make.
func TestOurs(t *testing.T) {
	f := func(name string, refused bool) {
		t.Helper()
		dir := t.TempDir()
		if name != "" {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := ours(dir); (err != nil) != refused {
			t.Errorf("a folder with %q: %v, refused should be %t", name, err, refused)
		}
	}
	f("", false)
	f(sums, false)
	f(workFolder, false)
	f("thesis.tex", true)
}

// TestArchive checks names, modes, owners and dates in both kinds of archive. The dates and the order on the disk do not matter.
func TestArchive(t *testing.T) {
	date := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	tree := func(mode fs.FileMode, when time.Time) fs.FS {
		return fstest.MapFS{
			"ergon":            {Data: []byte("program"), Mode: 0o100 | mode, ModTime: when},
			"LICENSE":          {Data: []byte("licence"), Mode: mode, ModTime: when},
			"man/man1/ergon.1": {Data: []byte("page"), Mode: mode, ModTime: when},
		}
	}
	first, second := tree(0o600, date), tree(0o664, date.Add(time.Hour))
	var tars, zips [2]bytes.Buffer
	for i, files := range []fs.FS{first, second} {
		if err := packTar(&tars[i], files, "ergon_1", date); err != nil {
			t.Fatal(err)
		}
		if err := packZip(&zips[i], files, "ergon_1", date); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(tars[0].Bytes(), tars[1].Bytes()) || !bytes.Equal(zips[0].Bytes(), zips[1].Bytes()) {
		t.Error("the same content gives different archives")
	}
	unpacked, err := gzip.NewReader(&tars[0])
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]fs.FileMode{}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.FileInfo().Mode()
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(date) {
			t.Errorf("%s belongs to %d:%d %q and is of %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
	}
	if modes["ergon_1/ergon"] != 0o755 || modes["ergon_1/LICENSE"] != 0o644 || modes["ergon_1/man/man1/"] != fs.ModeDir|0o755 || len(modes) != 6 {
		t.Errorf("in the archive: %v", modes)
	}
	z, err := zip.NewReader(bytes.NewReader(zips[0].Bytes()), int64(zips[0].Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 3 || z.File[1].Name != "ergon_1/ergon" || z.File[1].Mode() != 0o755 || !z.File[0].Modified.Equal(date) {
		t.Errorf("in the archive: %+v", z.File)
	}
}

// TestGlibc checks a program that surely needs glibc, if there is one.
func TestGlibc(t *testing.T) {
	if got, err := glibc("/bin/sh"); runtime.GOOS == "linux" && (err != nil || older(got, "2.1")) {
		testenv.Lacks(t, testenv.Compiler, err)
	}
	empty := filepath.Join(t.TempDir(), "ergon")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := glibc(empty); err == nil {
		t.Errorf("of an empty file: %q", got)
	}
}
