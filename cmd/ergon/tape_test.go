//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ergon-energy/ergon/internal/fakerapl"
)

// TestReplayIsTheRun holds a replay against the run itself: all that report -f json tells is the same, the processes included,
// but for what tells the two apart.
func TestReplayIsTheRun(t *testing.T) {
	sysfs, results, again := t.TempDir(), t.TempDir(), t.TempDir()
	if err := fakerapl.Create(sysfs); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "run.tape.zip")
	runErgon(t, results, "record", "-q", "--tape", file, "--names", "--arguments", "--path.sysfs", sysfs, "--interval", "20ms",
		"sh", "-c", "fakerapl drive "+sysfs+" ramp:50:200:300ms 300ms; subject burn 50ms; subject exit 0")
	runErgon(t, again, "--replay", file, "-q")
	report := func(results string) (all map[string]any) {
		t.Helper()
		if err := json.Unmarshal(runErgon(t, results, "report", "-f", "json"), &all); err != nil {
			t.Fatal(err)
		}
		run, ok := all["run"].(map[string]any)
		if !ok {
			t.Fatalf("%v", all)
		}
		host, ok := run["host"].(map[string]any)
		if !ok {
			t.Fatalf("%v", run)
		}
		for _, own := range []string{"id", "replayed"} {
			delete(run, own)
		}
		delete(host, "environment") // is never on a tape
		return all
	}
	measured, replayed := report(results), report(again)
	cut := func(tree any) { // the id is the name of a node, and the environment may be in the metadata of one
		var walk func(any)
		walk = func(n any) {
			m, ok := n.(map[string]any)
			if !ok {
				return
			}
			if m["level"] == "multi_run" {
				delete(m, "name")
			}
			if meta, ok := m["metadata"].(map[string]any); ok {
				for key := range meta {
					if len(key) > 11 && key[:11] == "environment" {
						delete(meta, key)
					}
				}
			}
			if children, ok := m["children"].([]any); ok {
				for _, c := range children {
					walk(c)
				}
			}
		}
		walk(tree)
	}
	cut(measured["tree"])
	cut(replayed["tree"])
	if p, ok := measured["processes"].(map[string]any); !ok || p["seen"] == nil {
		t.Errorf("processes %v, want some", measured["processes"])
	}
	for part := range measured {
		if !reflect.DeepEqual(measured[part], replayed[part]) {
			a, _ := json.MarshalIndent(measured[part], "", " ")
			b, _ := json.MarshalIndent(replayed[part], "", " ")
			t.Errorf("%s: measured\n%s\nreplayed\n%s", part, a, b)
		}
	}
}

// TestTapeKeepsQuiet: who reads a tape learns nothing of who measured where, and no argument.
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
