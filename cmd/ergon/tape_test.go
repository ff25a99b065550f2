//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/nvmlstub"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestReplayIsTheRun compares a replay with the run itself. All of report -f json is the same, the processes included, except
// what distinguishes the two.
func TestReplayIsTheRun(t *testing.T) {
	testenv.Long(t)
	f := func(name string, options ...string) {
		t.Run(name, func(t *testing.T) {
			sysfs, results, again := t.TempDir(), t.TempDir(), t.TempDir()
			if err := fakerapl.Create(sysfs); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "run.tape.zip")
			runErgon(t, results, slices.Concat([]string{
				"record", "-q", "--tape", file, "--names", "--arguments", "--path.sysfs", sysfs, "--interval", "20ms",
			}, options, []string{
				"sh", "-c", "fakerapl drive " + sysfs + " ramp:50:200:300ms 300ms; " +
					"ergon mark begin work; subject burn 50ms; ergon mark metric loss 0.3; ergon mark event done; ergon mark end work; subject exit 0",
			})...)
			runErgon(t, again, "--replay", file, "-q")
			measured, replayed := wholeReport(t, results), wholeReport(t, again)
			if p, ok := measured["processes"].(map[string]any); !ok || p["seen"] == nil {
				t.Errorf("processes %v, want some", measured["processes"])
			}
			if regions, ok := measured["regions"].([]any); !ok || len(regions) != 1 {
				t.Errorf("regions %v, want one", measured["regions"])
			}
			for part := range measured {
				if !reflect.DeepEqual(measured[part], replayed[part]) {
					a, _ := json.MarshalIndent(measured[part], "", " ")
					b, _ := json.MarshalIndent(replayed[part], "", " ")
					t.Errorf("%s: measured\n%s\nreplayed\n%s", part, a, b)
				}
			}
		})
	}
	f("plain")
	f("baseline", "--baseline", "1s")
	f("align", "--align")
	f("gpu", "--path.nvml", nvmlstub.Build(t))
}

// wholeReport returns report -f json of the last run without what distinguishes a replay: the id, also as a node's name, the note
// that it is a replay, and the environment, which is not on a tape.
func wholeReport(t *testing.T, results string) (all map[string]any) {
	t.Helper()
	if err := json.Unmarshal(runErgon(t, results, "report", "-f", "json", "--all"), &all); err != nil {
		t.Fatal(err)
	}
	run, _ := all["run"].(map[string]any)
	host, _ := run["host"].(map[string]any)
	if host == nil {
		t.Fatalf("no host in %v", all)
	}
	delete(run, "id")
	delete(run, "replayed")
	delete(host, "environment")
	var walk func(any)
	walk = func(n any) {
		node, _ := n.(map[string]any)
		if node["level"] == "multi_run" {
			delete(node, "name")
		}
		if meta, ok := node["metadata"].(map[string]any); ok {
			maps.DeleteFunc(meta, func(key string, _ any) bool { return strings.HasPrefix(key, "env/") })
		}
		children, _ := node["children"].([]any)
		for _, c := range children {
			walk(c)
		}
	}
	walk(all["tree"])
	return all
}

// TestTapeKeepsQuiet checks that a tape does not show who measured where, nor any argument.
func TestTapeKeepsQuiet(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "home", "alice", "hidden-project")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	t.Setenv("HOME", filepath.Dir(folder))
	t.Setenv("USER", "alice")
	t.Setenv("SLURM_JOB_NAME", "hidden-job")
	file := filepath.Join(t.TempDir(), "run.tape.zip")
	runErgon(t, t.TempDir(), "record", "-q", "--tape", file, "subject", "exit", "0", "hidden-argument")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, e := range archive.File {
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"hidden", "alice", `"` + host + `"`} {
			if i := bytes.Index(b, []byte(secret)); i >= 0 {
				t.Errorf("%s holds %s: …%s…", e.Name, secret, b[max(0, i-40):min(len(b), i+40)])
			}
		}
	}
}
