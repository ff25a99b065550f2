//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
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
			if left, _ := filepath.Glob(filepath.Join(dir, "ergon-bench-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			kept := filepath.Dir(onlyManifest(t, filepath.Join(dir, "ergon-results")))
			run, err := store.LoadManifest(kept)
			if err != nil || run.Outcome != datamodel.Cancelled || run.Bench == nil || run.Bench.Ended != datamodel.BenchInterrupted {
				t.Errorf("kept %+v, %v", run, err)
			}
			if b, err := store.LoadBench(kept); err != nil || len(b.Rounds) != result.Commands[0].Rounds {
				t.Errorf("kept %d rounds, shown %d (%v)", len(b.Rounds), result.Commands[0].Rounds, err)
			}
			noneLeft(t, mark)
		})
	}
}

// TestBenchKilled kills a bench. The rounds before that are in its folder, and recover makes the tables of them.
func TestBenchKilled(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "bench", "-o", dir, "--min-runs", "100000", "-c", "a", "true", "-c", "b", "true b")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	rounds := func() int {
		found, _ := filepath.Glob(dir + "/*/*/*/spool/rounds.jsonl")
		if len(found) != 1 {
			return 0
		}
		text, _ := os.ReadFile(found[0])
		return bytes.Count(text, []byte(`{"round":`))
	}
	eventually(t, "twenty rounds", func() bool { return rounds() >= 20 })
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	eventually(t, "the end of all", func() bool { return len(marked(mark)) == 0 })
	written := rounds()

	if out, err := command(t, newMark(), "ergon", "report", "-o", dir, "last").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("ergon recover")) {
		t.Errorf("before: %v: %s", err, out)
	}
	if out, err := command(t, newMark(), "ergon", "recover", "-o", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kept := filepath.Dir(onlyManifest(t, dir))
	b, err := store.LoadBench(kept)
	if err != nil || len(b.Rounds) < written-1 || len(b.Rounds) > written || b.Ended != datamodel.BenchUnfinished || len(b.Commands) != 2 {
		t.Errorf("%d rounds of %d that were written, %s (%v)", len(b.Rounds), written, b.Ended, err)
	}
	run, err := store.LoadManifest(kept)
	if err != nil || run.Outcome != datamodel.ProfilerFailed || !run.Recovered || run.WallTime == nil || run.Host.CPUs == 0 || len(run.Sources) == 0 ||
		len(run.Bench.Results) != 2 || run.Bench.Results[0].Medians[datamodel.WallTime].Value == nil {
		t.Errorf("%+v, %v", run, err)
	}
	if _, err := os.Stat(filepath.Join(kept, store.SpoolFolder)); err == nil {
		t.Error("the spool is still there")
	}
	out, err := command(t, newMark(), "ergon", "report", "-o", dir, "last").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("b against a")) || !bytes.Contains(out, []byte("ended early (unfinished)")) {
		t.Errorf("after: %v: %s", err, out)
	}
}
