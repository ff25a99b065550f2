package readers

import (
	"bytes"
	"html"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
)

// TestPageInPython carries out the lines of Python that the page of a run shows. They give the courses of that run.
func TestPageInPython(t *testing.T) {
	interpreter := python(t)
	d := newDataset(t, 1)
	run := d.runs[0].Dir
	r, err := store.Load(run)
	if err != nil {
		t.Fatal(err)
	}
	if r.Charts, err = store.LoadCharts(run); err != nil || len(r.Charts) != 1 {
		t.Fatalf("%d charts, %v", len(r.Charts), err)
	}
	relative, err := filepath.Rel(d.dir, run)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := report.WritePage(&page, []report.Shown{{Result: r, Results: relative}}); err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?s)<pre>(import .*?)</pre>`).FindStringSubmatch(page.String())
	if code == nil || strings.Count(code[1], "\n") != 2 {
		t.Fatalf("the page shows no three lines of Python: %q", code)
	}
	cmd := exec.Command(interpreter, "-c", html.UnescapeString(code[1])+"\nprint(lines[('memory', 'command')].max())")
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", code[1], err, out)
	}
	got, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	want := math.Inf(-1)
	for _, c := range r.Charts[0].Course(datamodel.Memory, datamodel.CommandCourse) {
		for _, v := range c.Values {
			if v > want {
				want = v
			}
		}
	}
	if err != nil || !near(got, want) {
		t.Errorf("Python finds %v (%v), the run has %v", got, err, want)
	}
}
