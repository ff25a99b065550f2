package readers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/units"
)

const (
	// trend is how many runs the notebook about many runs gets.
	trend = 50
	// work is the command of the notebook about one run. Its phases differ in what they use.
	work = `# One CPU is busy, then both and the memory, then come many short processes, then nothing happens.
head -c 80000000 /dev/urandom | gzip -9 | wc -c
seq 3000000 | rev | LC_ALL=C sort --parallel=2 --buffer-size=400M | tail -n 1
seq 300 | xargs -n 1 true
sleep 1
`
	// before and after are the two commits of the job of the other notebook.
	before = "seq 300000 | sort -r | gzip -2 | wc -c\n"
	after  = "seq 300000 | sort -r | gzip -6 | wc -c\n"
)

// notebook is a Jupyter notebook as far as the tests look at it.
type notebook struct {
	Cells []struct {
		CellType       string `json:"cell_type"`
		ExecutionCount *int   `json:"execution_count"`
		Source         any
		Metadata       struct{ Tags []string }
		Outputs        []struct {
			OutputType string         `json:"output_type"`
			Data       map[string]any `json:"data"`
		}
	}
}

// notebooks lists the notebooks, each with the least number of pictures.
func notebooks() map[string]int { return map[string]int{"inspect.ipynb": 4, "history.ipynb": 2} }

// load reads a notebook and checks that it was executed from top to bottom and has its pictures.
func load(t *testing.T, path string, pictures int) (notebook, string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var n notebook
	if err := json.Unmarshal(text, &n); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	count := 0
	for _, c := range n.Cells {
		if c.CellType != "code" {
			continue
		}
		if count++; c.ExecutionCount == nil || *c.ExecutionCount != count {
			t.Errorf("%s: code cell %d was not executed in its turn", path, count)
		}
		for _, o := range c.Outputs {
			if o.OutputType == "error" || o.OutputType == "stream" {
				t.Errorf("%s: code cell %d printed an error or a warning", path, count)
			}
			if o.Data["image/png"] != nil {
				pictures--
			}
		}
	}
	if pictures > 0 {
		t.Errorf("%s lacks %d pictures", path, pictures)
	}
	return n, string(text)
}

// TestNotebooksAsKept checks the notebooks of the repository: they show what an execution gave, and nothing of the machine that
// executed them.
func TestNotebooksAsKept(t *testing.T) {
	place := regexp.MustCompile(`(^|[^./\w])/(home|root|tmp|usr|var|work)/`)
	for name, pictures := range notebooks() {
		_, text := load(t, filepath.Join("../../notebooks", name), pictures)
		if at := place.FindStringIndex(text); at != nil {
			t.Errorf("%s names a folder of a machine: %.80q", name, text[at[0]:])
		}
		if len(text) > 500_000 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
}

// TestNotebooks executes the notebooks on runs that it measures. `make notebooks` sets the variable. With ERGON_UPDATE it keeps
// what the execution gave.
func TestNotebooks(t *testing.T) {
	interpreter := os.Getenv("ERGON_TEST_NOTEBOOKS")
	if interpreter == "" {
		t.Skip("make notebooks executes them")
	}
	script, err := filepath.Abs("../../testdata/readers/notebook.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	measure(t, dir)
	home := t.TempDir()
	for name, pictures := range notebooks() {
		t.Run(name, func(t *testing.T) {
			kept, err := filepath.Abs(filepath.Join("../../notebooks", name))
			if err != nil {
				t.Fatal(err)
			}
			made := filepath.Join(t.TempDir(), name)
			cmd := exec.CommandContext(t.Context(), interpreter, script, kept, made)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "IPYTHONDIR="+home, "MPLCONFIGDIR="+home, "JUPYTER_CONFIG_DIR="+home, "JUPYTER_RUNTIME_DIR="+home)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			n, text := load(t, made, pictures)
			runs, err := filepath.Glob(filepath.Join(dir, "ergon-results/project="+strings.TrimSuffix(name, ".ipynb"), "*/run=*"))
			if err != nil {
				t.Fatal(err)
			}
			checkEnergies(t, n, runs)
			if os.Getenv("ERGON_UPDATE") != "" && !t.Failed() {
				if err := os.WriteFile(kept, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// checkEnergies checks the cells with the tag "energy": the first number in their output is the energy of the runs, as ergon
// reports it.
func checkEnergies(t *testing.T, n notebook, runs []string) {
	t.Helper()
	want, checked := 0.0, 0
	for _, dir := range runs {
		summary, err := reported(dir)
		if err != nil {
			t.Fatal(err)
		}
		want += summary[datamodel.Energy]
	}
	number := regexp.MustCompile(`\d+\.\d+(e[+-]\d+)?`)
	for _, c := range n.Cells {
		if !slices.Contains(c.Metadata.Tags, "energy") {
			continue
		}
		for _, o := range c.Outputs {
			got, err := strconv.ParseFloat(number.FindString(fmt.Sprint(o.Data["text/plain"])), 64)
			if err != nil || !near(got, want) {
				t.Errorf("the notebook has %v J, but ergon reports %v: %v", got, want, err)
			}
			checked++
		}
	}
	if checked == 0 || want == 0 {
		t.Errorf("%d energies were compared with %v J", checked, want)
	}
}

// measure makes the runs of the notebooks in dir: one of the project inspect, and many of the project history, of two commits.
func measure(t *testing.T, dir string) {
	t.Helper()
	ergon := filepath.Join(t.TempDir(), "ergon")
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=u", "GIT_AUTHOR_EMAIL=u@localhost", "GIT_COMMITTER_NAME=u",
			"GIT_COMMITTER_EMAIL=u@localhost", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	run("go", "-C", root, "build", "-tags", "urfave_cli_no_docs,urfave_cli_no_suggest,noasm", "-o", ergon, "./cmd/ergon")
	if _, err := exec.LookPath("git"); err != nil {
		testenv.Lacks(t, testenv.Git, err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sys := meter(t)
	write("work.sh", work)
	run(ergon, "-q", "--path.sysfs", sys, "--project", "inspect", "--", "sh", "work.sh")
	run("git", "init", "-q", "-b", "main")
	write(".git/info/exclude", "*\n!job.sh\n")
	for _, job := range []string{before, after} {
		write("job.sh", job)
		run("git", "add", "job.sh")
		run("git", "commit", "-qm", "job: as it is now")
		for range trend / 2 {
			run(ergon, "-q", "--path.sysfs", sys, "--project", "history", "--interval", "10ms", "--", "sh", "job.sh")
		}
	}
}

// meter makes a powercap tree and lets its counters follow the machine's load until the test ends: 15 W, and 30 W more for each
// busy CPU. It returns the folder.
func meter(t *testing.T) string {
	t.Helper()
	const idle, busy = 15, 30
	dir := t.TempDir()
	if err := fakerapl.Create(dir); err != nil {
		t.Fatal(err)
	}
	tree, err := fakerapl.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		begin, first, err := time.Now(), 0.0, error(nil)
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil && err == nil; <-tick.C {
			var used float64
			if used, err = busyTime(); first == 0 {
				first = used
			}
			err = errors.Join(err, tree.Spend(units.Energy(idle*time.Since(begin).Seconds()+busy*(used-first))))
		}
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, tree.Close()); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// busyTime returns the time in s that all CPUs together were busy since the boot, from the first line of /proc/stat: user, nice,
// system, idle, iowait, irq, softirq and steal time in hundredths of a second.
func busyTime() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	sum := 0.0
	for i, word := range strings.Fields(string(line)) {
		if i == 0 || i == 4 || i == 5 || i > 7 {
			continue
		}
		ticks, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return 0, err
		}
		sum += ticks / 100
	}
	return sum, nil
}
