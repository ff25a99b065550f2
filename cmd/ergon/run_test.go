package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/screen"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
)

// fileProgram returns a program that writes to files, and what it wrote to stdout and stderr.
func fileProgram(t *testing.T) (p *program, written func() (out, err string)) {
	t.Helper()
	dir := t.TempDir()
	create := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	p = &program{stdio: stdio{out: screen.New(create("out")), err: screen.New(create("err"))}}
	return p, func() (string, string) { return read("out"), read("err") }
}

// TestOptionsWithoutParser calls subcommands with their options alone.
func TestOptionsWithoutParser(t *testing.T) {
	p, written := fileProgram(t)
	if err := p.run(t.Context(), RunOptions{}); !errors.Is(err, errNoCommand) {
		t.Errorf("run: %v", err)
	}
	if err := p.record(t.Context(), RecordOptions{RunOptions: RunOptions{Command: []string{"true"}}}); err == nil ||
		err.Error() != "record: no tape given: --tape FILE" {
		t.Errorf("record: %v", err)
	}
	results := t.TempDir()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	folder, err := store.NewRun(results, "demo", at, "20261128T120000-abcdef", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	wall := 1.5
	run := datamodel.Run{
		ID: "20261128T120000-abcdef", Project: "demo", Command: []string{"make", "\x1b[31mred"}, Outcome: datamodel.Done, Start: at, WallTime: &wall,
	}
	defer folder.Close()
	if err := store.SaveManifest(folder, run); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LC_ALL", "C.UTF-8")
	if err := p.ls(t.Context(), LsOptions{Results: results}); err != nil {
		t.Fatal(err)
	}
	want := "RUN                     START                  WALL  CPU  MEMORY  ENERGY  OUTCOME  PROJECT  TAGS  COMMAND\n" +
		"20261128T120000-abcdef  " + at.Local().Format("2006-01-02 15:04:05") + "  1.50 s    –       –       –  done     demo           make $'\\x1b[31mred'\n"
	if out, _ := written(); out != want {
		t.Errorf("ls:\n%s, want\n%s", out, want)
	}
}

// TestRunnerOptions converts the options of a run to those of the runner.
func TestRunnerOptions(t *testing.T) {
	p, _ := fileProgram(t)
	o := defaultRunOptions()
	o.Command, o.Timeout, o.Align, o.Arguments, o.Sensors = []string{"/bin/true"}, time.Minute, true, true, []string{"+cpu"}
	o.Intervals = map[string]time.Duration{"nvml": 500 * time.Millisecond}
	o.Baseline = BaselineOptions{time.Second, true}
	r := p.runner(t.Context(), o, "", runner.Tape{}, nil, nil)
	if r.Project != "true" || r.Timeout != time.Minute || r.Baseline.Duration != time.Second || !r.Baseline.Both || r.Results != "" {
		t.Errorf("%+v", r)
	}
	c := r.Config
	if !c.Align || !c.Setup.Arguments || c.Setup.Proc != "/proc" || c.Select[0] != "+cpu" || c.Interval != defaultInterval ||
		c.Intervals["nvml"] != 500*time.Millisecond || len(c.Setup.Dirs) != 0 {
		t.Errorf("%+v", c)
	}
	o.Project = "named"
	results := t.TempDir()
	if r := p.runner(t.Context(), o, filepath.Join(results, "new", "folder"), runner.Tape{}, nil, nil); r.Project != "named" || r.Config.Setup.Dirs[0] != results {
		t.Errorf("%+v", r)
	}
}
