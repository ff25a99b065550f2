package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestMarksAtTheSeam checks that each mark that the socket took is kept once: those before the sampler joins, those while it
// takes over, and those after.
func TestMarksAtTheSeam(t *testing.T) {
	t.Parallel()
	for _, interval := range []string{"10ms", "100ms"} {
		dir := t.TempDir()
		c := command(t, newMark(), "ergon", "-q", "-o", dir, "--interval", interval, "subject", "marks", "400ms")
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		taken, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || taken < 20 {
			t.Fatalf("%s: %v", out, err)
		}
		result, err := store.Load(filepath.Dir(only(t, dir, store.ManifestFile)))
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Events) != taken {
			t.Errorf("interval %s: %d of %d marks were kept", interval, len(result.Events), taken)
		}
		var names []int
		for _, e := range result.Events {
			n, err := strconv.Atoi(e.Name)
			if err != nil || e.Kind != datamodel.ToldEvent {
				t.Fatalf("%+v", e)
			}
			names = append(names, n)
		}
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("interval %s: a mark was kept twice", interval)
		}
		for _, w := range result.Run.Warnings {
			if w.Subject == "marks" {
				t.Errorf("%+v", w)
			}
		}
	}
}

// TestSocketIsGone checks that the folder of the socket goes with the run, also if the command could not be started.
func TestSocketIsGone(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"true"}, {"/nonexistent"}, {"sh", "-c", "kill -9 $$"}} {
		temp := t.TempDir()
		c := command(t, newMark(), append([]string{"ergon", "-q", "--no-save"}, words...)...)
		c.Env = append(c.Env, "TMPDIR="+temp, "XDG_RUNTIME_DIR=")
		_ = c.Run() // the exit code is the command's
		left, err := os.ReadDir(temp)
		if err != nil || len(left) > 0 {
			t.Errorf("%q: %v, %v", words, left, err)
		}
	}
}

// TestSocketOfLongPath checks that the socket is elsewhere if the path of the usual folder is too long.
func TestSocketOfLongPath(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	c := command(t, newMark(), "ergon", "-q", "--no-save", "sh", "-c", "echo ${ERGON_SOCKET-none}")
	c.Env = append(c.Env, "TMPDIR="+long, "XDG_RUNTIME_DIR="+long)
	out, err := c.Output()
	// /tmp has a short path, so there is a socket after all.
	if err != nil || !strings.HasPrefix(string(out), "/tmp/ergon-") {
		t.Errorf("%v: %s", err, out)
	}
}
