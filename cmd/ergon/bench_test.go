//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestBenchInterrupted sends the signals that end programs to a bench. The rounds so far are kept, the cleanup is run, and
// nothing is left.
func TestBenchInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			dir, mark := t.TempDir(), newMark()
			c := command(t, mark, "ergon", "bench", "--format", "json", "--min-runs", "100000", "--prepare", "echo >> prepared", "--cleanup", "echo > cleaned", "sleep", "0.01")
			c.Dir = dir
			c.Env = append(c.Env, "TMPDIR="+dir)
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "five rounds", func() bool {
				info, err := os.Stat(filepath.Join(dir, "prepared"))
				return err == nil && info.Size() > 5
			})
			if err := c.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if status := statusOf(t, c.Wait()); status.ExitStatus() != 128+int(s) {
				t.Errorf("exit status %d, want %d: %s", status.ExitStatus(), 128+int(s), errs.String())
			}
			var result struct {
				Ended    string `json:"ended"`
				Commands []struct {
					Rounds  int `json:"rounds"`
					Metrics map[string]struct {
						Values []float64 `json:"values"`
					} `json:"metrics"`
				} `json:"commands"`
			}
			if err := json.Unmarshal(out.Bytes(), &result); err != nil {
				t.Fatal(err, out.String())
			}
			if result.Ended != "interrupted" || len(result.Commands) != 1 || result.Commands[0].Rounds < 5 ||
				len(result.Commands[0].Metrics["wall_time"].Values) != result.Commands[0].Rounds {
				t.Errorf("%+v", result)
			}
			if _, err := os.Stat(filepath.Join(dir, "cleaned")); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "ergon-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			noneLeft(t, mark)
		})
	}
}
