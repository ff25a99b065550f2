package report_test

import (
	"bytes"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/chromium"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// told gives a run of 12.4 s regions, an event, progress and a figure of the command's own. Each region used 0.5 CPUs.
func told(r datamodel.Result, load, train string) datamodel.Result {
	mark := func(kind datamodel.MarkKind, at float64, name string) datamodel.Mark {
		return datamodel.Mark{Kind: kind, Name: name, At: time.Duration(at * 1e9), PID: 7, Thread: 7, Rank: -1}
	}
	marks := []datamodel.Mark{
		mark(datamodel.BeginMark, 0, load), mark(datamodel.EndMark, 3, load),
		mark(datamodel.BeginMark, 3, train), mark(datamodel.BeginMark, 4, "epoch"), mark(datamodel.EndMark, 6, "epoch"),
		mark(datamodel.EventMark, 7, "event "+load),
		mark(datamodel.BeginMark, 8, "epoch"), mark(datamodel.EndMark, 9, "epoch"), mark(datamodel.EndMark, 11, train),
	}
	for i, at := range []float64{6, 9} {
		m := mark(datamodel.ProgressMark, at, "")
		m.Value = float64(i+1) / 2
		marks = append(marks, m)
	}
	r.Regions, r.Events = datamodel.FindRegions(marks, 12*time.Second), datamodel.EventsOf(marks, r.Run.Start)
	used(r.Regions)
	if len(r.Charts) > 0 {
		c := &r.Charts[0]
		one := datamodel.NewCourse(c.Parts)
		one.Metric, one.Subject, one.Device, one.Unit = datamodel.CourseOwn, datamodel.CommandCourse, load, units.Ratio
		for i, v := range map[int]float64{c.Parts / 4: 0.75, c.Parts / 2: 0.5, 3 * c.Parts / 4: 0.25} {
			one.Values[i], one.Least[i], one.Most[i], one.Covered[i] = v, v, v, c.Step.Seconds()
		}
		c.Courses = append(c.Courses, one)
	}
	return r
}

// used gives regions wall and CPU time.
func used(r *datamodel.Regions) {
	wall := datamodel.RegionFigure{Name: datamodel.WallTime, Unit: units.Second, Provenance: sensors.FromCounter}
	for _, one := range r.List {
		wall.Values = append(wall.Values, (one.End - one.Start).Seconds())
	}
	wall.Own = wall.Values
	cpu := wall
	cpu.Name, cpu.Values, cpu.Own = datamodel.CPUTime, nil, nil
	for _, v := range wall.Values {
		cpu.Values = append(cpu.Values, v/2)
	}
	r.Figures = []datamodel.RegionFigure{wall, cpu}
}

// TestPageOfRegions opens the page of a run whose command told of itself, and points at what it told.
func TestPageOfRegions(t *testing.T) {
	b := chromium.Start(t)
	url := write(t, "run.html", report.Shown{Result: told(charted(build(), 100*time.Millisecond), "load", "train")})
	p := b.Open(url, chromium.Look{Width: 1280, Height: 900})
	live(p)
	var drawn []string
	p.Eval(`[...document.querySelectorAll(".chart")].map(c => c.id)`, &drawn)
	for _, want := range []string{"chart-regions", "chart-progress", "chart-own-load"} {
		if !slices.Contains(drawn, want) {
			t.Errorf("there is no %s: %v", want, drawn)
		}
	}
	if drawn[0] != "chart-regions" {
		t.Errorf("the first chart is %s", drawn[0])
	}
	var bars, lanes, across, lines int
	p.Eval(`document.querySelectorAll("#chart-regions rect.bar").length`, &bars)
	p.Eval(`new Set([...document.querySelectorAll("#chart-regions rect.bar")].map(r => r.getAttribute("y"))).size`, &lanes)
	p.Eval(`document.querySelectorAll("#chart-cpu path.region").length`, &across)
	p.Eval(`document.querySelectorAll("#chart-cpu path.event").length`, &lines)
	if bars != 4 || lanes != 2 || across != 2 || lines != 1 {
		t.Errorf("%d regions in %d lanes, %d colors across a chart, %d lines of events; want 4, 2, 2, 1", bars, lanes, across, lines)
	}

	x, y, width, _ := plot(p, "regions")
	at := func(s float64) float64 { return x + width*s/12.418 }
	p.Mouse("mouseMoved", at(5), y+22, 0, false)
	p.Wait(`!document.querySelector("#tip").hidden`)
	if got := text(p, "#tip"); !strings.HasPrefix(got, "train/epoch2.00 s") || !strings.Contains(got, "CPU time 1.00 s") {
		t.Errorf("the second lane at 5 s is %q", got)
	}
	if got := text(p, "#window-at"); !strings.HasSuffix(got, " in train/epoch") {
		t.Errorf("at 5 s the crosshair is %q", got)
	}
	if got := text(p, "#chart-own-load [data-line]"); got != "0.750" {
		t.Errorf("the last figure before 5 s is %q", got)
	}
	x, y, width, _ = plot(p, "cpu")
	p.Mouse("mouseMoved", at(7), y+30, 0, false)
	p.Wait(`document.querySelector("#tip").textContent.startsWith("event load")`)

	p.Mouse("mouseMoved", 5, 5, 0, false)
	p.Eval(`document.querySelector("#over-time").focus()`, nil)
	p.Key("Tab", false) // "show all" is disabled
	p.Wait(`document.activeElement.parentElement.id === "chart-regions" && document.querySelector("#tip").textContent.startsWith("load")`)
	p.Key("ArrowRight", false)
	p.Key("ArrowRight", false)
	p.Wait(`document.querySelector("#tip").textContent.startsWith("train/epoch") && document.querySelectorAll(".chosen").length === 1`)
	p.Key("Enter", false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	if got := text(p, "#window-sums"); !strings.Contains(got, "train 2.00 s") || !strings.Contains(got, "train/epoch 2.00 s") {
		t.Errorf("the part of an epoch has %q", got)
	}

	first := func() string { return text(p, "#regions tbody tr td") }
	p.Eval(`document.querySelector("#regions th:nth-child(3) button").click()`, nil)
	if first() != "train" {
		t.Errorf("sorted by wall time, the first region is %q", first())
	}
	p.Eval(`document.querySelector("#regions th:nth-child(3) button").click()`, nil)
	if first() == "train" {
		t.Error("sorted the other way, the longest region is still the first")
	}
	checkSilent(t, p)

	bare := b.Open(url, chromium.Look{Width: 1280, Height: 900, Bare: true})
	checkSilent(t, bare)
	bare.Eval(`document.querySelectorAll("#chart-regions rect.bar").length`, &bars)
	var title string
	bare.Eval(`document.querySelector("#chart-regions rect.bar title").textContent`, &title)
	if bars != 4 || title != "load · 3.00 s · CPU time 1.50 s" {
		t.Errorf("without scripts there are %d regions, the first is %q", bars, title)
	}
	bare.Eval(`document.querySelectorAll("#over-time use").length`, &across)
	if across < 3 {
		t.Errorf("without scripts %d charts show the regions of the first", across)
	}
}

// TestPageOfManyRegions has 100,000 regions of 50 µs in each of two threads: the page stays small and quick, and loses no time.
func TestPageOfManyRegions(t *testing.T) {
	r := charted(build(), 100*time.Millisecond)
	var marks []datamodel.Mark
	for i := range 100_000 {
		for thread := 1; thread <= 2; thread++ {
			at := time.Duration(i) * 100 * time.Microsecond
			m := datamodel.Mark{Kind: datamodel.BeginMark, Name: "step-" + strconv.Itoa(i%7), At: at, PID: 1, Thread: thread}
			marks = append(marks, m)
			m.Kind, m.At = datamodel.EndMark, at+50*time.Microsecond
			marks = append(marks, m)
			if thread == 1 && i%10 == 0 {
				marks = append(marks, datamodel.Mark{Kind: datamodel.EventMark, Name: "tick", At: at})
			}
		}
	}
	marks = datamodel.SortMarks(marks)
	r.Regions, r.Events = datamodel.FindRegions(marks, 10*time.Second), datamodel.EventsOf(marks, r.Run.Start)
	used(r.Regions)
	var page bytes.Buffer
	begin := time.Now()
	if err := report.WritePage(&page, []report.Shown{{Result: r}}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d regions: %d bytes in %v", len(r.Regions.List), page.Len(), time.Since(begin))
	if page.Len() > 3_000_000 {
		t.Errorf("the page has %d bytes", page.Len())
	}
	path := t.TempDir() + "/many.html"
	if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := chromium.Start(t).Open("file://"+path, chromium.Look{Width: 1280, Height: 900})
	live(p)
	var bars, count int
	var wall float64
	p.Eval(`JSON.parse(document.querySelector("#head").textContent).regions.rows.length`, &bars)
	p.Eval(`JSON.parse(document.querySelector("#head").textContent).regions.rows.reduce((n, r) => n + r[4], 0)`, &count)
	p.Eval(`JSON.parse(document.querySelector("#head").textContent).regions.rows.reduce((n, r) => n + r[6], 0)`, &wall)
	if bars > 2000 || count != 200_000 || math.Abs(wall-10) > 0.1 {
		t.Errorf("%d rectangles for %d regions of %.3f s, want at most 2000 for 200,000 of 10 s", bars, count, wall)
	}
	var took float64
	p.Eval(`new Promise(done => { const t = performance.now(); dispatchEvent(new Event("afterprint")); requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - t))); })`, &took)
	t.Logf("drawn anew within %.0f ms", took)
	checkSilent(t, p)
}
