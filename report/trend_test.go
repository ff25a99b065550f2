package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/trend"
	"github.com/ergon-energy/ergon/internal/chromium"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// nights makes runs of one command, a night each. From the run at step on, energy is 12 % higher. change may change a run.
func nights(n, step int, change func(i int, r *trend.Run)) []trend.Run {
	random := rand.New(rand.NewPCG(1, 2))
	var runs []trend.Run
	for i := range n {
		r := trend.Run{Run: datamodel.Run{
			ID: fmt.Sprintf("2026%04d-abcdef", i), Project: "nightly", Command: []string{"./train.sh"}, Outcome: datamodel.Done,
			Start: time.Date(2026, 10, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, i),
		}}
		r.Host.Name, r.Host.CPU, r.Host.Kernel, r.Host.CPUs = "node7", "Xeon", "6.1", 8
		r.Host.Git = &sensors.Git{Commit: fmt.Sprintf("%02x0123456789abcdef", i/2)}
		energy := datamodel.Value(datamodel.Energy, 400*(1+0.01*random.NormFloat64()), units.Joule, "delta", sensors.FromCounter, "rapl")
		if i >= step {
			energy.Value *= 1.12
		}
		energy.Uncertainty = 2
		if i == 3 {
			energy = datamodel.Missing(datamodel.Energy, units.Joule, "you may not read energy_uj")
		}
		wall := datamodel.Value(datamodel.WallTime, 60*(1+0.01*random.NormFloat64()), units.Second, "delta", sensors.FromCounter, "clock")
		r.Summary = func(name string) datamodel.Metric {
			switch name {
			case datamodel.Energy:
				return energy
			case datamodel.WallTime:
				return wall
			}
			return datamodel.Missing(name, "", "not measured")
		}
		if change != nil {
			change(i, &r)
		}
		runs = append(runs, r)
	}
	return runs
}

// trendOf makes a trend of runs, ready to be shown.
func trendOf(t *testing.T, runs []trend.Run, by trend.By, metrics ...string) report.Trend {
	t.Helper()
	out := report.Trend{Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Version: "v1"}
	for _, text := range metrics {
		m, err := trend.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out.Metrics = append(out.Metrics, m)
	}
	out.Trend = trend.Make(runs, trend.Query{Metrics: out.Metrics, By: by})
	out.Overdue = trend.Late(runs, out.Now)
	return out
}

// trendText writes a trend in one of the formats.
func trendText(t *testing.T, of report.Trend, format string, o report.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := of.Write(&b, format, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// trendAddress writes the page of a trend into a file and returns its address.
func trendAddress(t *testing.T, of report.Trend) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trend.html")
	if err := os.WriteFile(path, []byte(trendText(t, of, "html", report.Options{})), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

func TestTrendText(t *testing.T) {
	text := trendText(t, trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time"), "text", report.Options{Unicode: true, Width: 80})
	for _, want := range []string{
		"energy, machine\n  ./train.sh", "50 runs  2026-10-01 – 2026-11-19", "energy rose 1", "at commit 100123456 (run abcdef, 2026-11-02 02:00 UTC)",
		"1 run without a value: you may not read energy_uj", "\nwall time\n", "\noverdue\n", "50 runs came every 24 h 00 min",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(text, " rose ")+strings.Count(text, " fell ") != 1 {
		t.Errorf("one line has one step:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	ascii := trendText(t, trendOf(t, nights(50, 32, nil), trend.ByCommit, "energy"), "text", report.Options{Width: 80, Color: true})
	for _, r := range ascii {
		if r > 127 {
			t.Errorf("not ASCII: %q", r)
			break
		}
	}
	if !strings.Contains(ascii, "the last 20 of 25:") || !strings.Contains(ascii, "180123456") {
		t.Errorf("by commit:\n%s", ascii)
	}
	few := nights(2, 9, func(i int, r *trend.Run) {
		if i == 1 {
			r.Host.Kernel = "6.2"
		}
	})
	if text := trendText(t, trendOf(t, few, trend.ByRun, "energy"), "text", report.Options{}); strings.Count(text, "1 run ") != 2 ||
		!strings.Contains(text, "kernel 6.1") || !strings.Contains(text, "kernel 6.2") {
		t.Errorf("lines of one point:\n%s", text)
	}
	if text := trendText(t, trendOf(t, nil, trend.ByRun, "energy"), "text", report.Options{}); text != "" {
		t.Errorf("of no runs: %q", text)
	}
	many := nights(60, 99, func(i int, r *trend.Run) { r.Command = []string{"make", strconv.Itoa(i / 2)} })
	if text := trendText(t, trendOf(t, many, trend.ByRun, "energy"), "text", report.Options{Width: 80}); !strings.Contains(text, "10 lines more") {
		t.Errorf("of 30 lines a terminal shows 20:\n%s", text)
	}
}

func TestTrendJSON(t *testing.T) {
	var got struct {
		Schema string
		By     string
		Lines  []struct {
			Metric, Unit, Better, Command, CPU, Kernel, Provenance string
			Of                                                     *string
			Runs                                                   int
			Points                                                 []struct {
				Runs             []string
				Value, Low, High *float64
				Reason, Commit   *string
				Start            time.Time
			}
			Steps []struct {
				Point         int
				Run, Verdict  string
				Change        float64
				Before, After float64
			}
		}
		Overdue []struct {
			Project string
			Gap     float64
			Due     time.Time
		}
	}
	text := trendText(t, trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time"), "json", report.Options{})
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "ergon.trend/1" || got.By != "run" || len(got.Lines) != 2 || len(got.Overdue) != 1 || got.Overdue[0].Gap != 86400 {
		t.Fatalf("%+v", got)
	}
	l := got.Lines[0]
	if l.Metric != "energy" || l.Unit != "J" || l.Better != "lower" || l.Of != nil || l.Runs != 50 || len(l.Points) != 50 || l.CPU != "Xeon" {
		t.Errorf("%+v", l)
	}
	if p := l.Points[3]; p.Value != nil || p.Low != nil || p.Reason == nil || *p.Reason != "you may not read energy_uj" {
		t.Errorf("a missing value: %+v", p)
	}
	if p := l.Points[4]; p.Value == nil || p.Reason != nil || math.Abs(*p.High-*p.Low-4) > 1e-9 || p.Runs[0] != "20260004-abcdef" {
		t.Errorf("%+v", p)
	}
	if len(l.Steps) != 1 || l.Steps[0].Point != 32 || l.Steps[0].Verdict != "worse" || math.Abs(l.Steps[0].Change-0.12) > 0.01 {
		t.Errorf("%+v", l.Steps)
	}
	only := trendOf(t, nights(50, 32, nil), trend.ByRun, "energy")
	only.OnlyOverdue = true
	if text := trendText(t, only, "json", report.Options{}); !strings.Contains(text, `"lines":[]`) || !strings.Contains(text, `"last_run":"20260049-abcdef"`) {
		t.Errorf("%s", text)
	}
}

func TestTrendCSV(t *testing.T) {
	text := trendText(t, trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time"), "csv", report.Options{})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 101 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	at := func(row int, column string) string { return rows[row][slices.Index(rows[0], column)] }
	if at(4, "value") != "" || at(4, "reason") != "you may not read energy_uj" || at(5, "value") == "" || at(1, "kernel") != "6.1" {
		t.Errorf("%q", rows[4:6])
	}
	for i := range rows[1:] {
		if step := at(i+1, "step"); (step != "") != (i == 32) {
			t.Errorf("row %d has the step %q", i+1, step)
		}
	}
}

// TestTrendOverdue has more overdue commands than a terminal shows beside the lines.
func TestTrendOverdue(t *testing.T) {
	runs := nights(60, 99, func(i int, r *trend.Run) { r.Command = []string{"make", strconv.Itoa(i % 12)} })
	of := trendOf(t, runs, trend.ByRun, "energy")
	of.Now = of.Now.AddDate(1, 0, 0)
	of.Overdue = trend.Late(runs, of.Now)
	count := func(o report.Options) int { return strings.Count(trendText(t, of, "text", o), "the last run began") }
	if n, piped := count(report.Options{Width: 200}), count(report.Options{}); n != 10 || piped != 12 {
		t.Errorf("%d on a terminal, %d in a pipe", n, piped)
	}
	if of.OnlyOverdue = true; count(report.Options{Width: 200}) != 12 {
		t.Error("--overdue does not name all")
	}
}

// TestTrendPage opens a page in a browser and uses it as a person would.
func TestTrendPage(t *testing.T) {
	b := chromium.Start(t)
	of := trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time")
	of.Link = func(r *trend.Run) string { return "./pages/" + r.ID + ".html" }
	p := b.Open(trendAddress(t, of), chromium.Look{Width: 1280, Height: 900})
	live(p)
	checkSilent(t, p)
	var drawn []string
	p.Eval(`[...document.querySelectorAll(".chart")].map(c => c.querySelector("h3").textContent + " " + c.querySelectorAll("circle").length + " " + c.querySelectorAll("line.step").length + " " + c.querySelectorAll(".lack").length)`, &drawn)
	if want := []string{"energy, machine 49 1 1", "wall time 50 0 0"}; !slices.Equal(drawn, want) {
		t.Errorf("points, steps and missing ones are %q, want %q", drawn, want)
	}
	if got := text(p, "#changes li"); !strings.HasPrefix(got, "energy rose 1") || attribute(p, "#changes li", "class") != "worse" {
		t.Errorf("what changed is %q", got)
	}
	if got := text(p, "#overdue"); !strings.Contains(got, "the next was due by") {
		t.Errorf("overdue is %q", got)
	}
	if got := text(p, "#chart-t0 .step-label"); !strings.HasPrefix(got, "+12") && !strings.HasPrefix(got, "+11") {
		t.Errorf("the step is labelled %q", got)
	}
	if got := attribute(p, "#chart-t0 a", "href"); got != "./pages/20260000-abcdef.html" {
		t.Errorf("the first point leads to %q", got)
	}

	// The crosshair stands on the same run in all charts, and the legends have its values.
	x, y, width, height := plot(p, "t0")
	p.Mouse("mouseMoved", x+width/2, y+height/2, 0, false)
	p.Wait(`!document.querySelector("#tip").hidden`)
	var hairs []string
	p.Eval(`[...document.querySelectorAll(".hair[visibility=visible]")].map(h => h.getAttribute("x1"))`, &hairs)
	if len(hairs) != 2 || hairs[0] != hairs[1] {
		t.Errorf("the crosshairs are at %q", hairs)
	}
	tip := text(p, "#tip")
	for _, want := range []string{" J", "run 20260", "on node7", "commit ", "click: its page"} {
		if !strings.Contains(tip, want) {
			t.Errorf("the tip lacks %q: %q", want, tip)
		}
	}
	value := text(p, "#chart-t0 [data-line]")
	if !strings.HasPrefix(tip, value) || strings.HasPrefix(value, "last") {
		t.Errorf("the legend says %q, and the tip %q", value, tip)
	}
	if got := text(p, "#chart-t1 [data-line]"); !strings.HasSuffix(got, " s") && !strings.Contains(got, "min") || strings.HasPrefix(got, "last") {
		t.Errorf("the other chart's legend says %q", got)
	}
	p.Mouse("mouseMoved", 5, 5, 0, false)
	p.Wait(`document.querySelector("#tip").hidden`)
	if got := text(p, "#chart-t0 [data-line]"); !strings.HasPrefix(got, "last ") {
		t.Errorf("without a crosshair the legend says %q", got)
	}

	// The place of a missing value says why.
	p.Eval(`document.querySelector("#over-time").focus({preventScroll: true})`, nil)
	for range 4 {
		p.Key("ArrowRight", false)
	}
	p.Wait(`document.querySelector("#window-at").textContent.startsWith("2026-10-04")`)
	if got := text(p, "#chart-t0 [data-line]"); got != "–" {
		t.Errorf("of a missing value the legend says %q", got)
	}

	// Drag zooms all charts, double-click shows all again, and the keyboard does the same.
	outline := attribute(p, "#chart-t1 path.line", "d")
	p.Drag(x+width/2, y+10, x+3*width/4, y+10, false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	p.Wait(`document.querySelector("#chart-t1 path.line").getAttribute("d") !== ` + strconv.Quote(outline))
	if got := text(p, "#window-time"); !strings.HasPrefix(got, "2026-10-25") {
		t.Errorf("in the window the time is %q", got)
	}
	x, y, width, _ = plot(p, "t1")
	p.DoubleClick(x+width/2, y+20)
	p.Wait(`document.querySelector("#chart-t1 path.line").getAttribute("d") === ` + strconv.Quote(outline))
	p.Eval(`document.querySelector("#over-time").focus({preventScroll: true})`, nil)
	p.Key("+", false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	p.Key("Home", false)
	p.Wait(`!document.querySelector("#window").classList.contains("part")`)

	p.Eval(`document.querySelector("details").open = true`, nil)
	p.Eval(`(() => { const i = document.querySelector("input[type=search]"); i.value = "you may not"; i.dispatchEvent(new Event("input")); })()`, nil)
	if got := text(p, "#found"); got != "1 found" {
		t.Errorf("the search says %q", got)
	}
	checkSilent(t, p)
}

// TestTrendLooks opens pages in four widths and both themes: nothing is cut off, and they print.
func TestTrendLooks(t *testing.T) {
	b := chromium.Start(t)
	long := func(i int, r *trend.Run) {
		r.Command = []string{"/opt/" + strings.Repeat("a-long-name-without-a-space/", 8) + "tool"}
		r.Host.CPU = strings.Repeat("z", 60) + strconv.Itoa(i%3)
		r.Project = strings.Repeat("p", 100)
	}
	only := trendOf(t, nights(50, 32, nil), trend.ByRun, "energy")
	only.OnlyOverdue = true
	for name, of := range map[string]report.Trend{
		"nights":  trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time"),
		"commits": trendOf(t, nights(50, 32, long), trend.ByCommit, "energy", "wall_time"),
		"one":     trendOf(t, nights(1, 9, nil), trend.ByRun, "energy"),
		"none":    trendOf(t, nil, trend.ByRun, "energy"),
		"missing": trendOf(t, nights(20, 9, nil), trend.ByRun, "carbon"),
		"overdue": only,
	} {
		p := b.Open(trendAddress(t, of), chromium.Look{Width: 1280, Height: 800})
		if name != "none" && name != "overdue" {
			live(p)
		}
		p.Eval(`document.querySelectorAll("details").forEach(d => { d.open = true; })`, nil)
		for _, width := range []int{320, 390, 768, 1280} {
			p.Resize(chromium.Look{Width: width, Height: 800, Phone: width < 500})
			p.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil)
			var wide []string
			p.Eval(`[...document.querySelectorAll("body *")].filter(e => !e.closest("pre, #tip, .panel, details > div") && !e.ownerSVGElement
				&& e.getBoundingClientRect().right > innerWidth + 1 && e.getBoundingClientRect().width > 0).map(e => e.tagName + "." + e.className + "#" + e.id)`, &wide)
			var size [2]int
			p.Eval(`[document.documentElement.scrollWidth, innerWidth]`, &size)
			if len(wide) > 0 || size[0] > width {
				t.Errorf("%s, %d px wide: the page has %d px, cut off: %v", name, width, size[0], wide[:min(20, len(wide))])
			}
			var left []string // texts of a chart outside of it
			p.Eval(`[...document.querySelectorAll(".chart svg text")].filter(e => { const s = e.ownerSVGElement.getBoundingClientRect(), b = e.getBoundingClientRect();
				return b.left < s.left - 1 || b.right > s.right + 1; }).map(e => e.textContent)`, &left)
			if len(left) > 0 {
				t.Errorf("%s, %d px wide: cut off: %q", name, width, left)
			}
		}
		var light, dark float64
		const lightness = `getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 765`
		p.Eval(lightness, &light)
		p.Resize(chromium.Look{Width: 1280, Height: 800, Dark: true})
		p.Eval(lightness, &dark)
		if light < 0.5 || dark > 0.5 {
			t.Errorf("%s: the lightness is %.2f, and %.2f if dark", name, light, dark)
		}
		if pdf := p.Print(); !bytes.HasPrefix(pdf, []byte("%PDF")) {
			t.Errorf("%s: it prints as %q", name, pdf[:min(8, len(pdf))])
		}
		checkSilent(t, p)
		p.Close()
	}
}

// TestTrendBare opens the page without scripts.
func TestTrendBare(t *testing.T) {
	b := chromium.Start(t)
	p := b.Open(trendAddress(t, trendOf(t, nights(50, 32, nil), trend.ByRun, "energy", "wall_time")), chromium.Look{Width: 1280, Height: 900, Bare: true})
	page := p.Text()
	for _, want := range []string{"energy rose 1", "Overdue", "energy, machine", "last", "Every point"} {
		if !strings.Contains(page, want) {
			t.Errorf("without scripts the page lacks %q", want)
		}
	}
	for _, not := range []string{"show all", "drag:"} {
		if strings.Contains(page, not) {
			t.Errorf("without scripts the page shows %q, which does nothing", not)
		}
	}
	var points int
	p.Eval(`document.querySelectorAll("circle title").length`, &points)
	if points != 99 {
		t.Errorf("without scripts %d points have a text", points)
	}
	checkSilent(t, p)
}

// TestTrendHostile gives every name texts that would be markup or scripts. The page shows them.
func TestTrendHostile(t *testing.T) {
	b := chromium.Start(t)
	for _, name := range []string{
		`</script><script>document.title="broken"</script>`, `<img src=x onerror='document.title="broken"'>`, evil, `"'--><b>`, "<!--<script>",
	} {
		runs := nights(12, 99, func(i int, r *trend.Run) {
			r.ID, r.Project, r.Command, r.Tags = name, name, []string{name}, []string{name}
			r.Host.Name, r.Host.CPU, r.Host.Git = name, name+strconv.Itoa(i%2), &sensors.Git{Commit: name}
			if i == 5 {
				r.Summary = func(n string) datamodel.Metric { return datamodel.Missing(n, "", name) }
			}
		})
		of := trendOf(t, runs, trend.ByRun, "energy")
		of.Link = func(*trend.Run) string { return "./" + name }
		p := b.Open(trendAddress(t, of), chromium.Look{Width: 1280, Height: 900})
		live(p)
		x, y, width, height := plot(p, "t0")
		p.Mouse("mouseMoved", x+width/2, y+height/2, 0, false)
		p.Wait(`!document.querySelector("#tip").hidden`)
		var title string
		p.Eval(`document.title`, &title)
		if !strings.HasPrefix(title, "ergon: ") {
			t.Errorf("%q became a script: the title is %q", name, title)
		}
		var extra []string
		p.Eval(`[...document.querySelectorAll("img, iframe, b:not(figcaption b, #tip b), body script:not(#head)")].map(e => e.outerHTML.slice(0, 80))`, &extra)
		if len(extra) != 1 { // the page's own script
			t.Errorf("%q became markup: %q", name, extra)
		}
		checkSilent(t, p)
		p.Close()
		for _, format := range []string{"text", "csv", "json"} {
			if text := trendText(t, of, format, report.Options{}); strings.ContainsAny(text, "\x1b\x07\x00") {
				t.Errorf("%s has control characters: %q", format, text)
			}
		}
	}
}

// TestTrendOfMany has ten thousand runs of a hundred commands: the page stays small, and draws some of them.
func TestTrendOfMany(t *testing.T) {
	runs := nights(10_000, 99_999, func(i int, r *trend.Run) { r.Command = []string{"make", strconv.Itoa(i % 100)} })
	of := trendOf(t, runs, trend.ByRun, "energy", "wall_time")
	page := trendText(t, of, "html", report.Options{})
	if len(page) > 4<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	t.Logf("%d bytes", len(page))
	b := chromium.Start(t)
	p := b.Open(trendAddress(t, of), chromium.Look{Width: 1280, Height: 900})
	live(p)
	var drawn int
	p.Eval(`document.querySelectorAll(".chart path.line").length`, &drawn)
	if drawn != 40 || !strings.Contains(page, "160 charts more are only in the table") {
		t.Errorf("%d charts are drawn", drawn)
	}
	checkSilent(t, p)
}
