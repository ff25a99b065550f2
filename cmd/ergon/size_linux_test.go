//go:build linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// emptyRun bounds the files of a run of true on two processors, in bytes. Each further processor has sensors of its own.
const (
	emptyRun     = 20_000
	perProcessor = 800
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
	if most := int64(emptyRun + perProcessor*max(0, runtime.NumCPU()-2)); size > most {
		t.Errorf("%d files of %d bytes, want at most %d", len(files), size, most)
	}
}
