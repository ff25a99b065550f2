//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestPeakMemoryTruth compares the peak memory with commands that hold a known amount, as root and as an ordinary user. It has no
// page cache, and it is the same quantity with every privilege.
func TestPeakMemoryTruth(t *testing.T) {
	testenv.Long(t)
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	type value struct {
		Value, AtMost *float64
		Bound, Reason string
		Provenance    string
	}
	dir, program := openToAll(t)
	subject := filepath.Join(dir, "subject")
	if err := os.Link(program, subject); err != nil {
		t.Fatal(err)
	}
	measure := func(t *testing.T, uid int, before, command []string) (peak, charge value) {
		t.Helper()
		results := filepath.Join(dir, "results")
		if err := os.Mkdir(results, 0o777); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(results) }()
		if err := os.Chown(results, uid, uid); err != nil {
			t.Fatal(err)
		}
		var out []byte
		words := append(append(append([]string{}, before...), program, "-q", "-o", results), command...)
		for _, line := range [][]string{words, {program, "report", "-o", results, "-f", "json"}} {
			c := exec.CommandContext(t.Context(), line[0], line[1:]...)
			c.Dir = results
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
			var err error
			if out, err = c.CombinedOutput(); err != nil {
				t.Fatalf("as user %d: %v: %v: %s", uid, line, err, out)
			}
		}
		var r struct{ Summary map[string]json.RawMessage }
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		read := func(name string) (v value) {
			var fields struct {
				Value      *float64
				AtMost     *float64 `json:"at_most"`
				Bound      *string
				Reason     *string
				Provenance string
			}
			if err := json.Unmarshal(r.Summary[name], &fields); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v = value{Value: fields.Value, AtMost: fields.AtMost, Provenance: fields.Provenance}
			if fields.Bound != nil {
				v.Bound = *fields.Bound
			}
			if fields.Reason != nil {
				v.Reason = *fields.Reason
			}
			return v
		}
		return read("peak_memory"), read("peak_memory_charge")
	}
	if testenv.RaceDetector {
		t.Skip("the race detector's own memory is several times that of the commands here")
	}
	const mib = 1 << 20
	// A command cannot have less than its process had before it executed the command: 3 MiB if the program is the test binary.
	four := strings.Repeat(fmt.Sprintf("%s hold %d 1500ms & ", subject, 60*mib), 4) + "wait"
	for _, c := range []struct {
		name        string
		before      []string
		command     []string
		least, most float64 // in MiB
		single      bool
		file        bool // it writes a file, whose page cache is charged
	}{
		{"dd of 300 MB", nil, []string{"dd", "if=/dev/zero", "of=file", "bs=1M", "count=300", "status=none"}, 1, 6, true, true},
		{"sleep", nil, []string{"sleep", "0.2"}, 0.5, 4, true, false},
		{"sleep below a parent of 300 MiB", []string{subject, "large", fmt.Sprint(300 * mib)}, []string{"sleep", "0.2"}, 0.5, 4, true, false},
		{
			"100 MiB below a parent of 300 MiB, without the launcher",
			[]string{"env", "ERGON_EARLY=off", subject, "large", fmt.Sprint(300 * mib)},
			[]string{subject, "spike", fmt.Sprint(100 * mib)},
			100, 130, true, false,
		},
		{"a spike of 300 MiB", nil, []string{subject, "spike", fmt.Sprint(300 * mib)}, 300, 330, true, false},
		{"a spike of 300 MiB in a child", nil, []string{"sh", "-c", fmt.Sprintf("%s spike %d; true", subject, 300*mib)}, 300, 330, false, false},
		{"4 of 60 MiB at once", nil, []string{"sh", "-c", four}, 240, 290, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var known []float64
			for _, uid := range []int{0, 65534} {
				peak, charge := measure(t, uid, c.before, c.command)
				if peak.Value == nil {
					t.Fatalf("user %d: no peak memory: %s", uid, peak.Reason)
				}
				got := *peak.Value / mib
				known = append(known, got)
				t.Logf("user %d: %.1f MiB, %s %s", uid, got, peak.Provenance, peak.Bound)
				if got < c.least || got > c.most {
					t.Errorf("user %d: %.1f MiB, want %v to %v", uid, got, c.least, c.most)
				}
				if single := peak.Bound == "" && peak.Provenance == "counter"; single != c.single || !c.single && peak.Bound != "lower" {
					t.Errorf("user %d: %+v; a single process has an exact peak, several have a lower bound", uid, peak)
				}
				if peak.AtMost != nil && *peak.AtMost < c.least*mib {
					t.Errorf("user %d: at most %.1f MiB", uid, *peak.AtMost/mib)
				}
				switch {
				case charge.Value == nil:
					if charge.Reason == "" {
						t.Errorf("user %d: the charge has neither value nor reason", uid)
					}
				case c.file && *charge.Value < 300e6:
					t.Errorf("user %d: the charge of %.0f B lacks the page cache", uid, *charge.Value)
				}
			}
			if math.Abs(known[0]-known[1]) > 2+0.05*known[0] {
				t.Errorf("%.1f MiB as root, %.1f MiB as an ordinary user", known[0], known[1])
			}
		})
	}
}
