//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// emptyRun bounds the files of a run of true in bytes, on a machine with a few sensors and a short description of itself.
// More of both takes more room.
const (
	emptyRun   = 20_000
	fewSensors = 90
	perSensor  = 60
	shortHost  = 700
)

// TestEmptyRun tests that the files of a run of true are small.
func TestEmptyRun(t *testing.T) {
	results := t.TempDir()
	runErgon(t, results, "-q", "true")
	files, err := filepath.Glob(filepath.Join(results, "*", "*", "*", "*"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v", files, err)
	}
	size := int64(0)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", filepath.Base(f), info.Size())
		size += info.Size()
	}
	run := onlyRun(t, results)
	sensors := 0
	for _, s := range run.Sources {
		sensors += s.Sensors
	}
	host, err := json.Marshal(run.Host)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(emptyRun + perSensor*max(0, sensors-fewSensors) + max(0, len(host)-shortHost)); size > most {
		t.Errorf("%d files of %d bytes, want at most %d with %d sensors and %d bytes about the host", len(files), size, most, sensors, len(host))
	}
	t.Logf("%d bytes, %d sensors, %d bytes about the host", size, sensors, len(host))
}
