//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBatch counts the executions of a batch, and what each of them reads. A failure ends the batch with its exit code.
func TestBatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("in", "abc\n", 0o600)
	write("once", "#!/bin/sh\ncat >>seen\n[ ! -e stop ] || exit 7\n", 0o700)
	bench := func(words ...string) (string, error) {
		t.Helper()
		c := command(t, newMark(), append([]string{"ergon", "bench", "--runs", "2", "--batch", "5", "--input", "in", "--format", "json"}, words...)...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := bench("./once")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if seen, _ := os.ReadFile(filepath.Join(dir, "seen")); string(seen) != strings.Repeat("abc\n", 10) {
		t.Errorf("two rounds of five executions read %q", seen)
	}
	var got struct {
		Batch    int
		Commands []struct {
			Name    string
			Command []string
			Rounds  int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Batch != 5 || got.Commands[0].Rounds != 2 || got.Commands[0].Command[0] != "./once" {
		t.Errorf("%v: %s", err, out)
	}
	write("stop", "", 0o600)
	if out, err := bench("./once"); statusOf(t, err).ExitStatus() != 7 {
		t.Errorf("%v: %s", err, out)
	}
	if seen, _ := os.ReadFile(filepath.Join(dir, "seen")); string(seen) != strings.Repeat("abc\n", 11) {
		t.Errorf("a failed execution is followed by others: %q", seen)
	}
	if out, err := bench("-i", "./once"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if seen, _ := os.ReadFile(filepath.Join(dir, "seen")); string(seen) != strings.Repeat("abc\n", 21) {
		t.Errorf("ignored failures: %q", seen)
	}
	if out, err := bench("nothing-of-that-name"); statusOf(t, err).ExitStatus() != 127 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := bench("--input", "inherit", "true"); err == nil || !strings.Contains(out, "the first execution would read all of stdin") {
		t.Errorf("%v: %s", err, out)
	}
}
