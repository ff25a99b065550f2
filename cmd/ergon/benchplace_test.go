//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/launch"
)

func TestProcessors(t *testing.T) {
	allowed, err := launch.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	last := allowed[len(allowed)-1]
	var list []int
	word := strconv.Itoa(last)
	if err := (processors{&list}).Set(word + "," + word + "-" + word); err != nil || !slices.Equal(list, []int{last}) {
		t.Errorf("%v, %v", list, err)
	}
	for _, given := range []string{"", "x", "-1", "1-0", "0-99999", "0,,1", strconv.Itoa(mostNumber)} {
		if err := (processors{&list}).Set(given); err == nil {
			t.Errorf("%q is taken as %v", given, list)
		}
	}
	if got := ranges([]int{0, 2, 3, 4, 9}); got != "0,2-4,9" {
		t.Errorf("ranges: %s", got)
	}
}

// TestAffinity lets commands say where they may run: with a held process, and with one that is made at its start.
func TestAffinity(t *testing.T) {
	allowed, err := launch.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	last := strconv.Itoa(allowed[len(allowed)-1])
	dir := t.TempDir()
	c := command(t, newMark(), "ergon", "bench", "--runs", "1", "--affinity", last, "--format", "json", "--output", "out", "sh", "-c", "grep Cpus_allowed_list /proc/self/status")
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	if said, _ := os.ReadFile(filepath.Join(dir, "out")); strings.TrimSpace(strings.TrimPrefix(string(said), "Cpus_allowed_list:")) != last {
		t.Errorf("the command may run on %q, want %s", said, last)
	}
	if want := "\"affinity\": [\n    " + last + "\n  ]"; !strings.Contains(string(out), want) {
		t.Errorf("the result lacks %s:\n%s", want, out)
	}
	path := filepath.Join(dir, "direct")
	target, err := (launch.Direct{}).Hold(launch.Command{
		Argv: []string{"grep", "Cpus_allowed_list", "/proc/self/status"}, Output: path, Processors: allowed[len(allowed)-1:],
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	if err := target.Exited(); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Reap(); err != nil {
		t.Fatal(err)
	}
	if said, _ := os.ReadFile(path); strings.TrimSpace(strings.TrimPrefix(string(said), "Cpus_allowed_list:")) != last {
		t.Errorf("the command that Direct started may run on %q, want %s", said, last)
	}
	if now, err := launch.Allowed(); err != nil || !slices.Equal(now, allowed) {
		t.Errorf("afterwards this process may run on %v, want %v: %v", now, allowed, err)
	}
}

func TestCooldownValue(t *testing.T) {
	var c cooldown
	for given, want := range map[string]cooldown{"2s": {time: 2 * time.Second}, "idle": {idle: true}} {
		if err := c.Set(given); err != nil || c != want || c.Current() != given {
			t.Errorf("%q: %+v (%q), %v", given, c, c.Current(), err)
		}
	}
	if err := c.Set("warm"); err == nil || !strings.Contains(err.Error(), "or idle") {
		t.Errorf("%v", err)
	}
}
