//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// ergonOut runs ergon and returns its stdout.
func ergonOut(t *testing.T, dir string, words ...string) string {
	t.Helper()
	c := command(t, newMark(), append([]string{"ergon"}, words...)...)
	c.Dir = dir
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("ergon %q: %v, %s", words, err, said.String())
	}
	return out.String()
}

// sortedLines returns the lines of a text in their order by bytes.
func sortedLines(text string) []string {
	list := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(list)
	return list
}

// TestExportFollow reads a run's lines while the run goes on. In the end there is each reading of the run once, in both formats.
func TestExportFollow(t *testing.T) {
	t.Parallel()
	mark, dir := newMark(), t.TempDir()
	c := command(t, mark, append([]string{"ergon", "-q", "-o", "ergon-results", "--interval", "20ms"}, waiting...)...)
	c.Dir = dir
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	k, _ := start(t, c)
	follow := command(t, mark, "ergon", "export", "last", "--follow", "-f", "jsonl")
	follow.Dir = dir
	reader, first := start(t, follow) // a line while the command runs
	lines := []string{first}
	for len(lines) < 500 {
		lines = append(lines, reader.line(t))
	}
	toFile := command(t, mark, "ergon", "export", "last", "--follow", "--to", "growing.csv")
	toFile.Dir = dir
	toFile.Stderr = os.Stderr
	if err := toFile.Start(); err != nil {
		t.Fatal(err)
	}
	growing := filepath.Join(dir, "growing.csv")
	eventually(t, "the file grows", func() bool {
		text, err := os.ReadFile(growing)
		return err == nil && bytes.Count(text, []byte("\n")) > 500
	})
	for _, line := range lines {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil || r["host"] == "" || r["sensor"] == "" {
			t.Fatalf("%q: %v", line, err)
		}
		if _, ok := r["value"]; !ok {
			t.Fatalf("no value: %q", line)
		}
	}
	if len(marked(mark)) < 4 { // both followers, and the command
		t.Error("the run has ended, so nothing is proven")
	}
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	k.end(t)
	rest, status := reader.end(t)
	if status != 0 {
		t.Errorf("follow: %#x, %s", status, reader.stderr.String())
	}
	if err := toFile.Wait(); err != nil {
		t.Error(err)
	}
	for format, got := range map[string]string{"jsonl": strings.Join(lines, "\n") + "\n" + rest, "csv": mustRead(t, growing)} {
		want := sortedLines(ergonOut(t, dir, "export", "last", "-f", format))
		if !slices.Equal(sortedLines(got), want) {
			t.Errorf("%s: %d lines, want the %d of the finished run in any order", format, len(sortedLines(got)), len(want))
		}
	}
	if again := ergonOut(t, dir, "export", "last", "--follow"); again != ergonOut(t, dir, "export", "last") {
		t.Error("a finished run is not exported as without --follow")
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExportFollowKilled kills ergon while somebody follows. What was written before is there, and then an error says it.
func TestExportFollowKilled(t *testing.T) {
	t.Parallel()
	mark, dir := newMark(), t.TempDir()
	c := command(t, mark, append([]string{"ergon", "-q", "-o", "ergon-results", "--interval", "20ms"}, waiting...)...)
	c.Dir = dir
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	k, _ := start(t, c)
	follow := command(t, mark, "ergon", "export", "last", "--follow")
	follow.Dir = dir
	reader, head := start(t, follow)
	line := reader.line(t)
	if !strings.HasPrefix(head, "round,host,sensor,unit,kind,time,elapsed,") || strings.Count(line, ",") < 4 {
		t.Errorf("%q, %q", head, line)
	}
	if err := k.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = k.Process.Wait() // the command keeps its stderr open
	if _, status := reader.end(t); status.ExitStatus() != 125 || !strings.Contains(reader.stderr.String(), "its ergon has ended before its result was made") ||
		!strings.Contains(reader.stderr.String(), "ergon recover") {
		t.Errorf("%#x, %q", status, reader.stderr.String())
	}
}

// TestFollowLines writes values that no number stands for, and names that a spreadsheet would execute.
func TestFollowLines(t *testing.T) {
	h := store.SpoolHeader{Host: "=cmd|' /C calc'!A0", Anchor: time.Unix(0, 0), Sensors: []sensors.Sensor{{ID: "+a/\"b,\n", Unit: "J", Kind: sensors.Counter}}}
	for name, open := range map[string]func(io.Writer) (lines, error){"csv": newCSVLines, "jsonl": newJSONLines} {
		var out bytes.Buffer
		l, err := open(&out)
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{lines: l, last: map[[2]string]float64{}}
		inf := math.Inf(1)
		f.observe(h, 0, []time.Duration{1, 2, 3}, []float64{inf - inf, inf, 1.5})
		if err := f.flush(); err != nil || f.err != nil {
			t.Fatal(err, f.err)
		}
		rows := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		switch name {
		case "csv":
			if len(rows) != 4 || rows[1] != `0,'=cmd|' /C calc'!A0,"'+a/""b,\n",J,counter,1970-01-01T00:00:00Z,1e-09,` || !strings.HasSuffix(rows[3], ",3e-09,1.5") {
				t.Errorf("%q", rows)
			}
		case "jsonl":
			for i, want := range []string{`"value":null}`, `"value":null}`, `"value":1.5}`} {
				if !strings.HasSuffix(rows[i], want) || !json.Valid([]byte(rows[i])) {
					t.Errorf("%q", rows[i])
				}
			}
		}
	}
}
