package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// made returns the folder with the files of `make dist`. The tests of this file are for them, so `make dist-test` runs them.
func made(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ERGON_DIST")
	if dir == "" {
		t.Skip("make dist-test runs this test")
	}
	return dir
}

// one returns the only file that fits a pattern.
func one(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(made(t), pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}

// unpacked returns the folder of a target's archive. It returns "" if the archive was left out.
func unpacked(t *testing.T, of target) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(made(t), "ergon_*_"+of.String()+".*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && of.cgo && !of.native() {
		testenv.Lacks(t, testenv.CrossCompiler, of)
	}
	if len(files) != 1 {
		t.Fatalf("%s: %v", of, files)
	}
	dir := t.TempDir()
	unpack := untar
	if of.goos == "windows" {
		unpack = unzip
	}
	if err := unpack(files[0], dir); err != nil {
		t.Fatal(err)
	}
	tops, err := names(dir)
	if err != nil || len(tops) != 1 || !strings.HasPrefix(filepath.Base(files[0]), tops[0]+".") {
		t.Fatalf("%s has %v, %v", files[0], tops, err)
	}
	return filepath.Join(dir, tops[0])
}

func untar(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(filepath.Join(dir, h.Name), 0o755)
		default:
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(filepath.Join(dir, h.Name), content, h.FileInfo().Mode())
			}
		}
		if err != nil {
			return err
		}
	}
}

func unzip(file, dir string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	return errors.Join(os.CopyFS(dir, z), z.Close())
}

// version returns the version in the names of the archives.
func version(t *testing.T) string {
	t.Helper()
	name := filepath.Base(one(t, "ergon_*_linux_amd64_static.tar.gz"))
	return strings.TrimSuffix(strings.TrimPrefix(name, "ergon_"), "_linux_amd64_static.tar.gz")
}

// TestChecksums checks that SHA256SUMS has every other file, with its sum.
func TestChecksums(t *testing.T) {
	dir := made(t)
	text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	all, err := names(dir)
	if err != nil || len(all) != len(lines)+1 {
		t.Fatalf("%d lines for %v, %v", len(lines), all, err)
	}
	for _, name := range all {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("%x  %s", sha256.Sum256(content), name); name != "SHA256SUMS" && !slices.Contains(lines, line) {
			t.Errorf("no line %s", line)
		}
	}
}

// TestArchives checks what is in each archive, and how its program was built.
func TestArchives(t *testing.T) {
	for _, target := range targets() {
		t.Run(target.String(), func(t *testing.T) {
			dir := unpacked(t, target)
			want := []string{"LICENSE", "NOTICES.md", "README.md", "CHANGELOG.md"}
			if target.goos != "windows" {
				want = append(want, "completion/_ergon", "completion/ergon.bash", "completion/ergon.fish", "man/man1/ergon.1", "man/man1/ergon-report.1")
			}
			for _, name := range want {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: empty, or %v", name, err)
				}
			}
			program := filepath.Join(dir, target.program())
			info, err := buildinfo.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			if v := "v" + version(t); info.Main.Version != v && info.Main.Version != "(devel)" {
				t.Errorf("the program is %s, the archive %s", info.Main.Version, v)
			}
			settings := map[string]string{}
			for _, s := range info.Settings {
				settings[s.Key] = s.Value
			}
			cgo := map[bool]string{true: "1", false: "0"}[target.cgo]
			if settings["GOOS"] != target.goos || settings["GOARCH"] != target.goarch || settings["CGO_ENABLED"] != cgo || settings["-trimpath"] != "true" {
				t.Errorf("built with %v", settings)
			}
			if target.goos == "linux" {
				checkELF(t, program, target)
			}
		})
	}
}

// checkELF checks that a program has no symbols and no debugging information. Without cgo it needs no dynamic linker.
func checkELF(t *testing.T, program string, of target) {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Name == ".symtab" || strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_") {
			t.Errorf("it is not stripped: %s", s.Name)
		}
	}
	if dynamic := f.Section(".interp") != nil; dynamic != of.cgo {
		t.Errorf("with a dynamic linker: %v", dynamic)
	}
}

// emulated returns the words before a program of another processor, so that QEMU runs it. The second result is false if there
// is no QEMU.
func emulated(t *testing.T, of target) []string {
	t.Helper()
	if of.native() {
		return nil
	}
	for _, qemu := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		if path, err := exec.LookPath(qemu); err == nil {
			return []string{path, "-L", "/usr/aarch64-linux-gnu"}
		}
	}
	testenv.Lacks(t, testenv.Emulator, "no qemu-aarch64 in PATH")
	return nil
}

// TestPrograms runs each program for Linux.
func TestPrograms(t *testing.T) {
	for _, target := range targets() {
		if target.goos != "linux" || runtime.GOOS != "linux" {
			continue
		}
		t.Run(target.String(), func(t *testing.T) {
			words := append(emulated(t, target), filepath.Join(unpacked(t, target), "ergon"))
			dir := t.TempDir()
			said := func(want int, more ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), words[0], slices.Concat(words[1:], more)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if code := cmd.ProcessState.ExitCode(); code != want {
					t.Fatalf("%v: %v (exit code %d)\n%s", more, err, code, out)
				}
				return string(out)
			}
			v := said(0, "version")
			if !strings.Contains(v, "ergon v"+version(t)+"\n") || !strings.Contains(v, "linux/"+target.goarch) || strings.Contains(v, "without cgo") == target.cgo {
				t.Errorf("version: %s", v)
			}
			if out := said(0, "true"); !strings.Contains(out, "exit 0") {
				t.Errorf("true: %s", out)
			}
			if out := said(0, "report", "last"); !strings.Contains(out, "exit 0") || !strings.Contains(out, "true") {
				t.Errorf("report: %s", out)
			}
			said(3, "-q", "--", "sh", "-c", "exit 3")
			if out := said(0, "--no-save", "--", "sleep", "0.3"); !strings.Contains(out, "exit 0") {
				t.Errorf("sleep: %s", out)
			}
		})
	}
}

// TestReproducible builds the programs and packages for this processor again, from a copy of the source in another folder and
// without the compiler's cache, and compares the bytes.
func TestReproducible(t *testing.T) {
	first := made(t)
	if runtime.GOOS != "linux" {
		t.Skip("for the targets of Linux")
	}
	dir := t.TempDir()
	source, again := filepath.Join(dir, "other", "source"), filepath.Join(dir, "dist")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	// The copy has the repository too, so that both programs know their commit.
	packed := exec.CommandContext(t.Context(), "sh", "-c", `cd ../.. && { git ls-files -z -co --exclude-standard; printf '.git\0'; } | tar -c --null -T - | tar -x -C "$1"`, "sh", source)
	if out, err := packed.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	chosen := "linux_" + runtime.GOARCH + ",linux_" + runtime.GOARCH + "_static"
	cmd := exec.CommandContext(t.Context(), "go", "run", "./internal/dist", "-out", again, "-only", chosen, "-nfpm", os.Getenv("ERGON_NFPM"))
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=-tags=ignored", "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := names(again)
	if err != nil || len(made) != 7 { // two archives, two packages with the program and two without, the sums
		t.Errorf("built again: %v, %v", made, err)
	}
	for _, name := range made {
		if name == "SHA256SUMS" { // it has the other targets, too
			continue
		}
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(again, name))
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(a) != sha256.Sum256(b) {
			t.Errorf("%s: built again, it has other bytes", name)
		}
	}
}
