//go:build linux

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestRoundAsRun checks that the rounds of a bench say of a command what a run of its own says. The command is one process
// that holds 40 MiB and reads 200 MiB.
func TestRoundAsRun(t *testing.T) {
	machine := testenv.Begin(t)
	words := []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=40M", "count=5", "status=none"}
	report := filepath.Join(t.TempDir(), "report.json")
	if err := command(t, newMark(), append([]string{"ergon", "-q", "--no-save", "--export", report, "--"}, words...)...).Run(); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var run struct {
		Summary map[string]struct {
			Value *float64 `json:"value"`
		} `json:"summary"`
	}
	if err := json.Unmarshal(out, &run); err != nil {
		t.Fatal(err)
	}
	out, err = command(t, newMark(), append([]string{
		"ergon", "bench", "-q", "--runs", "6", "--format", "json", "--metric", "peak_memory,processes,disk_write,cpu_time,wall_time", "--",
	}, words...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var bench struct {
		Commands []struct {
			Metrics map[string]struct {
				Values []*float64 `json:"values"`
			} `json:"metrics"`
		} `json:"commands"`
	}
	if err := json.Unmarshal(out, &bench); err != nil || len(bench.Commands) != 1 {
		t.Fatal(err, len(bench.Commands))
	}
	for name, within := range map[string]float64{"peak_memory": 0.05, "processes": 0, "disk_write": 0, "cpu_time": 20, "wall_time": 100} {
		want := run.Summary[name].Value
		values := bench.Commands[0].Metrics[name].Values
		if want == nil || len(values) != 6 {
			t.Errorf("%s: %v in a run of its own, %d rounds", name, want, len(values))
			continue
		}
		for round, v := range values {
			if v == nil || math.Abs(*v-*want) > within**want || *v <= 0 && *want > 0 {
				machine.Errorf("%s: %v in round %d, %v in a run of its own", name, v, round, *want)
			}
		}
	}
}
