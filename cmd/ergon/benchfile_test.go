//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
)

// readBench reads the file of a bench and returns its options. The command line sets given.
func readBench(t *testing.T, text string, given ...setting) (BenchOptions, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{backends: backend.All()}
	t.Chdir(filepath.Dir(path)) // errors then name a short path
	options := p.benchCommand().options
	layers, err := options.benchFiles([]setting{{option: benchFileName, given: "b.yaml", place: "-f"}})
	if err == nil {
		err = options.settle(append(layers, layer{commandLine, given})...)
	}
	value, _ := options.find(benchFileName).value.(benchFile)
	return *value.to, err
}

func TestBenchFile(t *testing.T) {
	o, err := readBench(t, `
# all that a file can say
runs: 7
warmup: 2
seed: 5
threshold: [4%, energy=6%]
metric: [energy, edp]
prepare: sync
cooldown: idle
parameters:
  size: [small, 2]
  n: {from: 0.1, to: 0.3, step: 0.1}
commands:
  line: 'echo "{size} {n}"'
  words:
    command: [echo, "a b", "{level}"]
    work: "{n}e3 lines"
    prepare: |
      echo one
      echo two
    conclude: echo done
    parameters: {level: 3, size: big}
`, setting{option: "runs", given: "9", place: "--runs"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Runs != 9 || o.Warmup != 2 || o.Seed != 5 || o.Judge.Threshold != 0.04 || o.Judge.Thresholds["energy"] != 0.06 ||
		!slices.Equal(o.Metrics, []string{datamodel.Energy, datamodel.EDP}) || !o.Cooldown.idle {
		t.Errorf("%+v", o)
	}
	list, err := o.commands()
	if err != nil || len(list) != 12 {
		t.Fatalf("%d commands, %v", len(list), err)
	}
	first, last := list[0], list[len(list)-1]
	if first.name != "line size=small n=0.1" || !slices.Equal(first.argv, []string{"echo", "small 0.1"}) || first.prepare != "sync" || first.work != nil {
		t.Errorf("%+v", first)
	}
	if last.name != "words size=2 n=0.3 level=3 size=big" && last.name != "words n=0.3 level=3 size=big" {
		t.Errorf("the last one is called %q", last.name)
	}
	if !slices.Equal(last.argv, []string{"echo", "a b", "3"}) || last.prepare != "echo one\necho two\n" || last.conclude != "echo done" || last.work.Amount != 300 {
		t.Errorf("%+v", last)
	}
}

// TestBenchFileErrors checks that each error names its line and column, and the key that was meant.
func TestBenchFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"run: 3":                                      `b.yaml:1:1: no setting "run" (did you mean "runs"?)`,
		"comands: {}":                                 `b.yaml:1:1: no setting "comands" (did you mean "commands"?)`,
		"runs: many":                                  `b.yaml:1:7: invalid number "many" (a whole number from 1 on)`,
		"file: x":                                     `b.yaml:1:1: no setting "file"`,
		"config: x":                                   `b.yaml:1:1: no setting "config"`,
		"commands:\n  a: {comand: b}":                 `b.yaml:2:7: a command has no "comand" (did you mean "command"?)`,
		"commands:\n  a: {work: 3 x}":                 `b.yaml:2:3: the command a has no command`,
		"commands:\n  a: ''":                          `b.yaml:2:6: an empty command`,
		"commands:\n  a: []":                          `b.yaml:2:6: an empty command`,
		"commands:\n  a: [[b]]":                       `b.yaml:2:7: a word is not a text`,
		"commands:\n  a: null":                        `b.yaml:2:6: command is not a text`,
		"commands: echo":                              `b.yaml:1:11: commands is not a mapping (KEY: VALUE)`,
		"parameters:\n  n: []":                        `b.yaml:2:3: the parameter n has no values`,
		"parameters:\n  n: {from: 1}":                 `b.yaml:2:6: want from: NUMBER, to: NUMBER and perhaps step: NUMBER, with at most 1000 values`,
		"parameters:\n  n: {from: 1, to: x}":          `b.yaml:2:20: x is no number`,
		"parameters:\n  n: {from: 1, to: 9, stp: 2}":  `b.yaml:2:23: a parameter has no "stp" (did you mean "step"?)`,
		"parameters:\n  n: {from: 0, to: 1e6}":        `at most 1000 values`,
		"parameters:\n  n: {from: 0, to: 1, step: 0}": `at most 1000 values`,
		"a: [":            `b.yaml:1:4: not valid YAML`,
		"runs: 1\n---\nx": `b.yaml: has several documents`,
		"- a":             `b.yaml:1:1: the file is not a mapping`,
	} {
		if _, err := readBench(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if got, err := scanned(1, 2, 0.1); err != nil || len(got) != 11 || got[2] != "1.2" || got[10] != "2" {
		t.Errorf("from 1 to 2 by 0.1: %v, %v", got, err)
	}
}

// TestBenchTemplate runs the file that init --bench writes as it is, and reads it with its options as no comments.
func TestBenchTemplate(t *testing.T) {
	var b bytes.Buffer
	if err := (&program{backends: backend.All()}).benchTemplate(&b); err != nil {
		t.Fatal(err)
	}
	entries := 0
	options := (&program{backends: backend.All()}).benchCommand().options.ofBenchFile()
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		entry := strings.TrimPrefix(line, "# ")
		if key, value, _ := strings.Cut(strings.TrimSpace(entry), ":"); line != entry && options.findSetting(key) != nil && value != "" {
			text.WriteString(entry)
			entries++
			continue
		}
		text.WriteString(line)
	}
	if o, err := readBench(t, text.String()); err != nil || entries < 4 || len(o.Named) != 2 {
		t.Errorf("%d entries are read: %v\n%s", entries, err, text.String())
	}
	dir := t.TempDir()
	init := command(t, newMark(), "ergon", "init", "--bench")
	init.Dir = dir
	if out, err := init.CombinedOutput(); err != nil || string(out) != "wrote bench.yaml\n" {
		t.Fatalf("%v: %s", err, out)
	}
	again := command(t, newMark(), "ergon", "init", "--bench")
	again.Dir = dir
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "exists already (ergon bench -f bench.yaml runs it)") {
		t.Errorf("%v: %s", err, out)
	}
	bench := command(t, newMark(), "ergon", "bench", "-f", "bench.yaml", "--runs", "1")
	bench.Dir = dir
	out, err := bench.CombinedOutput()
	if err != nil || strings.Count(string(out), "  1 round\n") != 4 || strings.Count(string(out), "each of 4 sleeps: ") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestFormatAsFile checks that -f with a format says how to get the format.
func TestFormatAsFile(t *testing.T) {
	var errs bytes.Buffer
	t.Chdir(t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	code := run(t.Context(), []string{"ergon", "bench", "-f", "json", "true"}, stdio{nil, screen.New(w), screen.New(w)}, backend.All())
	_ = w.Close()
	if _, err := errs.ReadFrom(r); err != nil || code != 125 || !strings.Contains(errs.String(), "--format json prints the result in that format") {
		t.Errorf("%d, %v: %s", code, err, errs.String())
	}
}
