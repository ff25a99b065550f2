package backend

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	// Sizes at and near the limits: of a pread that surely returned the whole file, of the first buffer, of a grown buffer.
	for _, size := range []int{0, 1, surelyWhole - 1, surelyWhole, firstBuffer - 1, firstBuffer, firstBuffer + 1, 5 * firstBuffer, 7} {
		want := strings.Repeat("x", size)
		write(want)
		got, err := f.read()
		if err != nil || string(got) != want {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
	}
	if runtime.GOOS == "linux" {
		if n := testing.AllocsPerRun(100, func() { _, err = f.read() }); n != 0 || err != nil {
			t.Errorf("read allocates %v times, %v", n, err)
		}
	}
	for range 2 {
		if err := f.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := f.read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestFileRefusesEndless(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, largestFile+1); err != nil {
		t.Fatal(err)
	}
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.close() }()
	if _, err := f.read(); !errors.Is(err, errTooLong) {
		t.Errorf("a file of more than 4 MiB: %v, want an error", err)
	}
}

func TestNumber(t *testing.T) {
	f := func(in string, want uint64, rest string, ok bool) {
		t.Helper()
		n, r, k := number([]byte(in))
		if n != want || string(r) != rest || k != ok {
			t.Errorf("number(%q) = %d, %q, %v", in, n, r, k)
		}
	}
	f("0", 0, "", true)
	f(" \t42 kB\n", 42, " kB\n", true)
	f("240422366267\n", 240422366267, "\n", true)
	f("18446744073709551615", math.MaxUint64, "", true)
	f("18446744073709551616", 0, "18446744073709551616", false)
	f("99999999999999999999", 0, "99999999999999999999", false)
	f("000000000000000000000000007", 7, "", true)
	f("", 0, "", false)
	f("\n1", 0, "\n1", false)
	f("-1", 0, "-1", false)
	f("1.5", 0, "1.5", false)
	f("12ab", 0, "12ab", false)
	f("<unknown>", 0, "<unknown>", false)
}

func TestFileNumber(t *testing.T) {
	f := func(text string, want uint64, ok bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "n")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.close() }()
		if n, err := file.number(); n != want || (err == nil) != ok {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	f("123\n", 123, true)
	f("123", 123, true)
	f("123\n\n", 123, true)
	f("123 456\n", 0, false)
	f("", 0, false)
	f("\n", 0, false)
	f("N/A\n", 0, false)
}

func FuzzNumber(f *testing.F) {
	f.Add([]byte(" 42 kB"))
	f.Add([]byte("18446744073709551616"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, rest, ok := number(b)
		if !strings.HasSuffix(string(b), string(rest)) {
			t.Fatalf("the rest %q is not the end of %q", rest, b)
		}
		if !ok && (n != 0 || len(rest) != len(b)) {
			t.Fatalf("%q: not ok, but %d and %q", b, n, rest)
		}
		if ok && len(rest) >= len(b) {
			t.Fatalf("%q: a number without digits", b)
		}
		w, after := word(b)
		if len(w) == 0 && len(after) > 0 && after[0] != '\n' {
			t.Fatalf("%q: word stops before the end of the line", b)
		}
	})
}

const linked = `
-- sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/name --
package-0
-- sys/class/powercap/intel-rapl:0 -> ../../devices/virtual/powercap/intel-rapl/intel-rapl:0 --
-- sys/class/powercap/absolute -> /sys/devices/virtual/powercap/intel-rapl/intel-rapl:0 --
-- sys/class/powercap/rooted -> /devices/virtual/powercap/intel-rapl/intel-rapl:0 --
-- sys/class/powercap/climbing -> ../../../../../../../devices/virtual/powercap/intel-rapl/intel-rapl:0 --
-- sys/class/powercap/twice -> absolute --
-- sys/class/powercap/round -> about --
-- sys/class/powercap/about -> round --
-- sys/class/powercap/outside -> /etc/hostname --
-- sys/class/powercap/dangling -> ../nowhere --
`

func TestResolve(t *testing.T) {
	host := fixture.Unpack(t, linked)
	want := filepath.Join(host.Sys, "devices", "virtual", "powercap", "intel-rapl", "intel-rapl:0", "name")
	for _, zone := range []string{"intel-rapl:0", "absolute", "rooted", "climbing", "twice"} {
		got, err := resolve(host.Sys, "class/powercap/"+zone+"/name")
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", zone, got, err, want)
		}
		f, err := openBelow(host.Sys, "class/powercap/"+zone+"/name")
		if err != nil {
			t.Errorf("%s: %v", zone, err)
			continue
		}
		if b, err := f.read(); string(b) != "package-0\n" || err != nil {
			t.Errorf("%s: read %q, %v", zone, b, err)
		}
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := resolve(host.Sys, "class/powercap/round/name"); !errors.Is(err, errLinks) {
		t.Errorf("circular links: %v", err)
	}
	for _, zone := range []string{"outside", "dangling", "none"} {
		if got, err := resolve(host.Sys, "class/powercap/"+zone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", zone, got, err)
		}
	}
	if got, err := resolve(host.Sys, "../../class/./powercap/"); err != nil || got != filepath.Join(host.Sys, "class", "powercap") {
		t.Errorf("a path that leads out of the tree: %q, %v", got, err)
	}
	// An absolute link that contains the path of the tree, as in a copy made in place.
	if err := os.Symlink(filepath.Dir(want), filepath.Join(host.Sys, "class", "powercap", "whole")); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(host.Sys, "class/powercap/whole/name"); err != nil || got != want {
		t.Errorf("whole: %q, %v", got, err)
	}
}

// FuzzResolve checks that resolve never leaves the tree, wherever links lead.
func FuzzResolve(f *testing.F) {
	f.Add("a/b", "../../..", "/etc")
	f.Add("one/two", "/sys/one", "two/../../../etc/passwd")
	f.Fuzz(func(t *testing.T, path, first, second string) {
		for _, s := range []string{path, first, second} {
			if strings.ContainsRune(s, 0) || len(s) > 200 {
				t.Skip()
			}
		}
		host := fixture.Empty(t)
		for name, target := range map[string]string{"one": first, "two": second} {
			if err := os.Symlink(target, filepath.Join(host.Sys, name)); err != nil {
				t.Skip(err)
			}
		}
		for _, p := range []string{path, "one/" + path, "one", "two/one"} {
			got, err := resolve(host.Sys, p)
			if err == nil && got != host.Sys && !strings.HasPrefix(got, host.Sys+string(filepath.Separator)) {
				t.Fatalf("%q leads out of the tree, to %q", p, got)
			}
		}
	})
}

func TestReason(t *testing.T) {
	_, err := open(filepath.Join(t.TempDir(), "none"))
	if got := reason(err); got != "no such file" {
		t.Errorf("reason(%v) = %q", err, got)
	}
	_, err = open(t.TempDir())
	if got := reason(err); err == nil || got != errNotRegular.Error() && runtime.GOOS != "windows" {
		t.Errorf("reason(%v) = %q", err, got)
	}
	if got := reason(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}); got != "permission denied" {
		t.Errorf("permission: %q", got)
	}
}

// rewrite changes a file of a fixture in place, so that a reader with an open descriptor sees the change.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
