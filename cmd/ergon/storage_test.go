//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestWrittenTruth compares the written bytes with commands that write a known amount, in ways that the kernel counts
// differently.
func TestWrittenTruth(t *testing.T) {
	testenv.Long(t)
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a setuid program and a PID namespace")
	}
	dd, err := exec.LookPath("dd")
	if err != nil {
		t.Skip(err)
	}
	dir, program := openToAll(t)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type == unix.TMPFS_MAGIC {
		t.Skipf("%s is in memory, so that nothing is written to storage (%v)", dir, err)
	}
	const mib, nobody = 1 << 20, 65534
	text, err := os.ReadFile(dd)
	if err != nil {
		t.Fatal(err)
	}
	setuid := filepath.Join(dir, "dd")
	if err := errors.Join(os.WriteFile(setuid, text, 0o755), os.Chmod(setuid, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	writes := func(program string, mib, option string) []string {
		return []string{program, "if=/dev/zero", "of=file", "bs=1M", "count=" + mib, "status=none", option}
	}
	for _, c := range []struct {
		name          string
		command       []string
		uid           uint32
		foreign       bool
		least, most   float64 // in MiB
		from          string
		bound, source string
	}{
		{"synced", writes("dd", "32", "conv=fsync"), 0, false, 32, 32.5, "counter", "", ""},
		{"still in memory", writes("dd", "32", "conv=notrunc"), 0, false, 32, 32.5, "counter", "", ""},
		{"removed", []string{"sh", "-c", "dd if=/dev/zero of=file bs=1M count=32 status=none; rm file"}, 0, false, 32, 32.5, "counter", "", ""},
		{"in memory only", []string{"dd", "if=/dev/zero", "of=/dev/shm/ergon-test-written", "bs=1M", "count=32", "status=none"}, 0, false, 0, 0.5, "counter", "", ""},
		// cat ends when the background job has ended, but does not wait for it.
		{"nobody waits", []string{"sh", "-c", "mkfifo p; (dd if=/dev/zero of=file bs=1M count=32 conv=fsync status=none) > p & exec cat p"}, 0, false, 0, 32.5, "sampled", "lower", ""},
		{"setuid", writes(setuid, "32", "conv=fsync"), nobody, false, 32, 32.5, "counter", "", "ergon's own /proc/PID/io"},
		{"the /proc of another PID namespace", writes("dd", "32", "conv=fsync"), 0, true, 32, 32.5, "counter", "", "ergon's own /proc/PID/io"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() { _ = os.Remove("/dev/shm/ergon-test-written") }()
			place := filepath.Join(dir, "place")
			if err := errors.Join(os.Mkdir(place, 0o777), os.Chmod(place, 0o777)); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(place) }()
			results := filepath.Join(place, "results")
			run := func(flags uintptr, words ...string) []byte {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, words...)
				cmd.Dir = place
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}, Cloneflags: flags}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v: %s", words, err, out)
				}
				return out
			}
			var flags uintptr
			if c.foreign {
				flags = syscall.CLONE_NEWPID
			}
			run(flags, append([]string{"-q", "-o", results}, c.command...)...)
			var r struct {
				Summary struct {
					Written struct {
						Value      *float64
						Provenance string
						Source     string
						Bound      *string
						Reason     *string
					} `json:"disk_write"`
				}
				Processes struct {
					Rows []struct{ Name *string }
				}
				Warnings []struct{ Cause *string }
			}
			if err := json.Unmarshal(run(0, "report", "-o", results, "-f", "json"), &r); err != nil {
				t.Fatal(err)
			}
			w := r.Summary.Written
			bound := ""
			if w.Bound != nil {
				bound = *w.Bound
			}
			if w.Value == nil || *w.Value < c.least*mib || *w.Value > c.most*mib || w.Provenance != c.from || bound != c.bound {
				t.Errorf("written %v MiB by %s, bound %q; want %v to %v by %s, bound %q", deref(w.Value)/mib, w.Provenance, bound, c.least, c.most, c.from, c.bound)
			}
			if len(w.Source) < len(c.source) || w.Source[:len(c.source)] != c.source {
				t.Errorf("source %q, want %q", w.Source, c.source)
			}
			for _, x := range r.Warnings {
				if x.Cause != nil {
					t.Errorf("an honest count is doubted: %s", *x.Cause)
				}
			}
			for _, p := range r.Processes.Rows {
				if c.foreign && p.Name != nil && !slices.Contains([]string{"dd", ""}, *p.Name) {
					t.Errorf("a stranger is in the table: %q", *p.Name)
				}
			}
		})
	}
}

// deref returns the value, -1 for none.
func deref(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}
