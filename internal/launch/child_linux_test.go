package launch

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestIO compares the reported reads and writes of ended processes with what they did.
func TestIO(t *testing.T) {
	file := t.TempDir() + "/file"
	d := hold(t, "dd", "if=/dev/zero", "of="+file, "bs=4096", "count=25", "status=none")
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	if err := d.Exited(); err != nil {
		t.Fatal(err)
	}
	s, err := d.Reap()
	if err != nil {
		t.Fatal(err)
	}
	if s.IO == nil {
		t.Skip("no task accounting in this kernel")
	}
	if s.IO.WriteChars != 25*4096 || s.IO.WriteCalls != 25 || s.IO.ReadChars < 25*4096 || s.IO.ReadCalls < 25 {
		t.Errorf("%+v", *s.IO)
	}
}

// TestChildless checks whether an ended process is known to have had no children. A process that ignores the end of its
// children is not.
func TestChildless(t *testing.T) {
	for _, c := range []struct {
		command []string
		name    string
		want    bool
	}{
		{[]string{"sh", "-c", "exit"}, "sh", true},
		{[]string{"sh", "-c", "/bin/true; exit"}, "sh", false},
		{[]string{"env", "--ignore-signal=CHLD", "true"}, "true", false},
	} {
		d := hold(t, c.command...)
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		if err := d.Exited(); err != nil {
			t.Fatal(err)
		}
		s, err := d.Reap()
		if err != nil || s.Own == nil || s.Own.Childless != c.want || s.Own.Name != c.name {
			t.Errorf("%v: %+v, %v; want childless %v", c.command, s.Own, err, c.want)
		}
	}
}

func TestParseOwn(t *testing.T) {
	const rest = " Z 4241 4242 4242 34816 -1 4194304 150 0 1 0 5 3 40 12 20 0 1 0 812345 0 0 18446744073709551615 0 0 0 0 0 0 0 4096 0 0 0 0 17\n"
	for stat, want := range map[string]bool{
		"42 (a) b" + rest: false, "42 (sh)" + rest: true, "42 (sh)" + strings.Replace(rest, "150 0", "150 9", 1): false,
		"42 (sh)" + strings.Replace(rest, " 1 0 5", " 1 2 5", 1): false, "42 (sh)" + strings.Replace(rest, " 4096", " 69632", 1): false,
		"42 (sh)" + rest[:60]: false, "42 (sh": false, "": false,
	} {
		name, childless := parseOwn([]byte(stat))
		if childless != want || childless && name != "sh" {
			t.Errorf("%q: %q, %v; want %v", stat, name, childless, want)
		}
	}
}

// FuzzOwn checks that a process counts as childless only if all fields are there.
func FuzzOwn(f *testing.F) {
	f.Add([]byte("42 (sh) Z 1 1 1 0 -1 0 150 0 1 0 5 3 40 12 20 0 1 0 8 0 0 1 0 0 0 0 0 0 0 4096 0 0 0 0 17\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		after := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if name, childless := parseOwn(b); childless && (len(after) < 31 || !bytes.Contains(b, []byte(name))) {
			t.Errorf("%q: %q is childless", b, name)
		}
	})
}

// TestDescendants has a tree of three below a child of ours.
func TestDescendants(t *testing.T) {
	c := exec.Command("sh", "-c", "sh -c 'echo $$; read x; exit' <&3 & echo $$; wait")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{r}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	var pids []int
	for range 2 {
		var pid int
		if _, err := fmt.Fscan(out, &pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	all, err := Descendants(os.Getpid())
	for _, pid := range pids {
		if err != nil || !slices.Contains(all, pid) {
			t.Errorf("%v, %v: without %d", all, err, pid)
		}
	}
	but, err := Descendants(os.Getpid(), c.Process.Pid)
	for _, pid := range pids {
		if err != nil || slices.Contains(but, pid) {
			t.Errorf("%v, %v: with %d", but, err, pid)
		}
	}
	_ = w.Close()
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := awaitDead(c.Process.Pid); err != nil { // it is now a zombie, not a living descendant
		t.Error(err)
	}
	if all, err = Descendants(os.Getpid()); err != nil || slices.Contains(all, c.Process.Pid) {
		t.Errorf("%v, %v: with the dead %d", all, err, c.Process.Pid)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func awaitDead(pid int) error {
	e := Watch(pid)
	return e.await(pid)
}

func TestParseStat(t *testing.T) {
	for stat, want := range map[string]struct {
		parent int
		alive  bool
	}{
		"4711 (sleep) S 4710 1 1 0": {4710, true},
		"1 (a) Z 9 (b) R 7 0":       {7, true}, // named "a) Z 9 (b"
		"5 (x) Z 4 1":               {4, false},
		"5 (x) S 0 0":               {0, false}, // a child without a parent
		"5 (x) S":                   {0, false},
		"":                          {0, false},
	} {
		parent, alive := parseStat([]byte(stat))
		if alive != want.alive || alive && parent != want.parent {
			t.Errorf("%q: %d, %v", stat, parent, alive)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("1 (a) Z 9 (b) R 7 0"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if parent, alive := parseStat(stat); alive && (parent <= 0 || !bytes.Contains(stat, []byte(strconv.Itoa(parent)))) {
			t.Errorf("%q: parent %d", stat, parent)
		}
	})
}

func FuzzParseIO(f *testing.F) {
	own, err := os.ReadFile("/proc/self/io")
	if err == nil {
		f.Add(own)
	}
	f.Add([]byte("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n"))
	f.Add([]byte("rchar: 1\nrchar: 2\nrchar: 3\nrchar: 4\nrchar: 5\nrchar: 6\n"))
	f.Add([]byte("rchar: -1\nwchar: 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		io := parseIO(data)
		if io == nil {
			return
		}
		for name, value := range map[string]uint64{
			"rchar": io.ReadChars, "wchar": io.WriteChars, "syscr": io.ReadCalls, "syscw": io.WriteCalls,
			"read_bytes": io.Read, "write_bytes": io.Written,
		} {
			if !bytes.Contains(data, []byte(name+": ")) || value != 0 && !bytes.Contains(data, []byte(strconv.FormatUint(value, 10))) {
				t.Errorf("%q: %s is %d, but is not there", data, name, value)
			}
		}
	})
}
