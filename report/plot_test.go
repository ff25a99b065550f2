package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/report"
)

// TestPlot draws every chart, alone and together, of a run whose devices have names that would be markup.
func TestPlot(t *testing.T) {
	r := charted(build(), 100*time.Millisecond)
	for i := range r.Charts[0].Courses {
		r.Charts[0].Courses[i].Device = `"/><script>alert(1)</script>` + evil
	}
	for _, names := range [][]string{nil, {"power"}, {"domains"}, {"cpu", "memory"}, {"disk"}, {"pressure"}} {
		var b bytes.Buffer
		if err := report.WritePlot(&b, r, names); err != nil {
			t.Fatalf("%v: %v", names, err)
		}
		checkQuiet(t, b.String())
		found := make(map[string]int)
		d := xml.NewDecoder(&b)
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v: not well formed: %v", names, err)
			}
			if e, ok := token.(xml.StartElement); ok {
				found[e.Name.Local]++
				if !slices.Contains([]string{"svg", "style", "rect", "g", "text", "path", "line"}, e.Name.Local) {
					t.Errorf("%v: the drawing has the unexpected element %s", names, e.Name.Local)
				}
			}
		}
		if found["path"] == 0 || found["svg"] != 1 {
			t.Errorf("%v: the drawing has %v", names, found)
		}
	}
	err := report.WritePlot(io.Discard, r, []string{"gpu"})
	if want := `nothing to draw of "gpu": the run has power, domains, cpu, memory, disk, pressure`; err == nil || err.Error() != want {
		t.Errorf("without a GPU the error is %v, want %s", err, want)
	}
	if err := report.WritePlot(io.Discard, finished(notFound()), nil); err == nil || !strings.Contains(err.Error(), "no readings over time") {
		t.Errorf("without courses the error is %v", err)
	}
	for _, name := range report.Plots() {
		if name != strings.ToLower(name) || strings.ContainsAny(name, " ,") {
			t.Errorf("%q cannot be typed in a list", name)
		}
	}
}
