//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestByUser measures with and without privileges. Every figure says where it comes from or why it is missing, and the processes
// add up. What the command read and wrote is known in both cases, although the command has ended.
func TestByUser(t *testing.T) {
	testenv.Long(t)
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	type value struct {
		Value                      *float64
		Provenance, Source, Reason string
	}
	type result struct {
		Run     struct{ Accounting string }
		Summary map[string]value
		Table   struct {
			Rows []struct {
				Name, Kind string
				Time       float64 `json:"cpu_time"`
			}
		} `json:"processes"`
	}
	dir, program := openToAll(t)
	measure := func(uid int) (r result) {
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
		for _, words := range [][]string{
			{"-q", "-o", results, "sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"}, {"report", "-o", results, "-f", "json"},
		} {
			c := exec.CommandContext(t.Context(), program, words...)
			c.Dir = dir
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
			var stderr strings.Builder
			c.Stderr = &stderr
			var err error
			if out, err = c.Output(); errors.Is(err, os.ErrPermission) {
				t.Skip("the test binary cannot be executed by an ordinary user")
			} else if err != nil || stderr.Len() > 0 {
				t.Fatalf("as user %d: %v: %s", uid, err, stderr.String())
			}
		}
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, uid := range []int{0, 65534} {
		machine := testenv.Begin(t)
		r := measure(uid)
		for name, v := range r.Summary {
			if v.Value == nil && v.Reason == "" || v.Value != nil && (v.Source == "" || v.Provenance == "") {
				t.Errorf("user %d: %s: %+v", uid, name, v)
			}
		}
		t.Logf("user %d: CPU time by %s, memory by %s", uid, r.Run.Accounting, r.Summary["peak_memory"].Source)
		if uid != 0 && strings.HasPrefix(r.Run.Accounting, "cgroup") {
			t.Errorf("user %d: accounted by %s", uid, r.Run.Accounting)
		}
		if v := r.Summary["disk_write"]; v.Value != nil && v.Provenance != "counter" {
			t.Errorf("user %d: disk_write: %+v", uid, v)
		}
		sum := 0.0
		for _, p := range r.Table.Rows {
			sum += p.Time
		}
		whole := r.Summary["cpu_time"].Value
		if whole == nil || len(r.Table.Rows) != 2 || r.Table.Rows[0].Name != "sh" || r.Table.Rows[1].Kind != "unseen" ||
			math.Abs(sum-*whole) > 1e-9 {
			t.Errorf("user %d: %+v do not make %v s", uid, r.Table.Rows, whole)
			continue
		}
		if r.Table.Rows[0].Time < 0.9**whole { // the rest is no process's: what perf counts of interrupts
			machine.Errorf("user %d: %+v make less than %v s", uid, r.Table.Rows, *whole)
		}
		user, system := r.Summary["cpu_user_time"].Value, r.Summary["cpu_system_time"].Value
		switch {
		case user == nil || system == nil:
			t.Errorf("user %d: %+v and %+v are not %v s", uid, r.Summary["cpu_user_time"], r.Summary["cpu_system_time"], *whole)
		case math.Abs(*user+*system-*whole) > 0.25**whole:
			t.Errorf("user %d: %v s and %v s are not %v s", uid, *user, *system, *whole)
		case math.Abs(*user+*system-*whole) > 0.05**whole: // perf also counts interrupts, of which a busy machine has more
			machine.Errorf("user %d: %v s and %v s are not %v s", uid, *user, *system, *whole)
		}
	}
}
