package report_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/chromium"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// benchOf makes a kept bench of commands that drift by 5 %. Each takes 10 % longer than the one before. A few rounds are far off,
// one failed, and one has no energy.
func benchOf(blocks int, names ...string) report.Bench {
	noise := rand.New(rand.NewPCG(5, 6))
	b := datamodel.Bench{Order: datamodel.Shuffled, Seed: 7, Warmup: 1, Ended: datamodel.BenchComplete}
	for _, name := range names {
		b.Commands = append(b.Commands, datamodel.BenchCommand{Name: name, Command: []string{"sh", "-c", name}})
	}
	run := build().Run
	for block := range blocks {
		for _, c := range noise.Perm(len(names)) {
			wall := (1 + 0.1*float64(c)) * (1 + 0.05*float64(block)/float64(blocks)) * (1 + 0.01*noise.NormFloat64())
			if block%23 == 3 {
				wall *= 1.3
			}
			energy := datamodel.Value(datamodel.TargetEnergy, 40*wall, units.Joule, "sum", sensors.Attributed, "rapl")
			r := datamodel.Round{Command: c, Block: block, Outcome: datamodel.Done, Start: run.Start.Add(time.Duration(len(b.Rounds)) * time.Second)}
			if block == 4 {
				energy = energy.Lacking("the counter stood still")
				r.Conditions = []datamodel.Condition{datamodel.OtherLoad}
			}
			if block == 5 && c == 0 {
				r.ExitCode, r.Outcome = 3, datamodel.TargetFailed
			}
			r.Metrics = []datamodel.Metric{
				datamodel.Value(datamodel.WallTime, wall, units.Second, "delta", sensors.FromCounter, "clock"),
				datamodel.Value(datamodel.CPUTime, 0.9*wall, units.Second, "delta", sensors.FromCounter, "cgroup"),
				datamodel.Value(datamodel.PeakMemory, 64<<20+float64(noise.IntN(5))*4096, units.Byte, "max", sensors.FromCounter, "cgroup"),
				energy,
			}
			b.Rounds = append(b.Rounds, r)
		}
	}
	rule := compare.Rule{Confidence: 0.95, Threshold: 0.03}
	run.Bench = &b
	return report.Bench{Bench: b, Run: run, Sides: rule.Sides(b, append(compare.DefaultMetrics(), datamodel.EDP), false), Rule: rule, Version: "test"}
}

// benchPage writes the page of a bench into a file and returns its address and its size.
func benchPage(t *testing.T, b report.Bench) (url string, size int) {
	t.Helper()
	var page bytes.Buffer
	if err := b.Write(&page, "html", report.Options{Results: "ergon-results/x"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bench.html")
	if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path, page.Len()
}

// TestBenchPage looks at the page of a bench without scripts: it has the figures, the verdicts, the doubts, and each round as a
// point.
func TestBenchPage(t *testing.T) {
	of := benchOf(40, "gzip -k file", "zstd -k file")
	url, _ := benchPage(t, of)
	p := chromium.Start(t).Open(url, chromium.Look{Width: 1280, Height: 900, Bare: true})
	page := p.Text()
	wall := of.Sides[0].Figures[0]
	for _, want := range []string{
		"Against gzip -k file", "regressed", "1 of 40 rounds failed", "other load in 1 of 40 rounds", "39 of 40", "without a value: the counter stood still",
		units.Format(wall.Median.Value, units.Second), units.Format(wall.Median.Low, units.Second) + " … " + units.Format(wall.Median.High, units.Second),
		units.Format(wall.Values[3], units.Second) + " in round 4", "order shuffled (seed 7)", "Every round", "drift +4",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	var points, rings, lacks, rounds int
	p.Eval(`(() => { const c = document.querySelectorAll(".pair")[0].children[1]; return [...c.querySelectorAll("path.points")].map(e => e.getAttribute("d").split("h0").length - 1).reduce((a, b) => a + b); })()`, &points)
	p.Eval(`document.querySelectorAll(".pair")[0].children[0].querySelectorAll("circle.far title").length`, &rings)
	p.Eval(`[...document.querySelectorAll("path.lack")].map(e => e.getAttribute("d").split("M").length - 1).reduce((a, b) => a + b)`, &lacks)
	p.Eval(`document.querySelectorAll("#rounds tbody tr").length`, &rounds)
	far := len(wall.Outliers) + len(of.Sides[1].Figures[0].Outliers)
	if points != 80 || rounds != 80 || rings != far || far < 4 {
		t.Errorf("of 80 rounds %d are points, %d rows; of %d outliers %d are rings", points, rounds, far, rings)
	}
	missing := 0
	for _, s := range of.Sides {
		for _, f := range s.Figures {
			missing += s.Rounds - f.N
		}
	}
	if lacks != missing || missing == 0 {
		t.Errorf("%d of %d missing values are marked", lacks, missing)
	}
	checkSilent(t, p)
}

// TestBenchPageLooks opens pages in three widths and both themes: nothing is cut off, and they print.
func TestBenchPageLooks(t *testing.T) {
	b := chromium.Start(t)
	budgeted := benchOf(30, "a", "b")
	budgeted.Commands[0].Budgets = []datamodel.Budget{{Rule: "energy <= 1 J", Metric: datamodel.Energy, Comparison: "<=", Verdict: datamodel.BudgetUnknown, Reason: "no meter"}}
	budgeted.Sides[0].Command.Budgets = budgeted.Commands[0].Budgets
	early := benchOf(3, "a")
	early.Ended = datamodel.BenchInterrupted
	long := strings.Repeat("a-long-name-without-a-space/", 12)
	for name, of := range map[string]report.Bench{
		"two": budgeted, "early": early, "long": benchOf(12, long, long+"2"),
		"many": benchOf(7, strings.Fields(strings.Repeat("x ", 40))...),
	} {
		url, _ := benchPage(t, of)
		p := b.Open(url, chromium.Look{Width: 1280, Height: 800})
		p.Eval(`document.querySelectorAll("details").forEach(d => { d.open = true; })`, nil)
		for _, width := range []int{320, 768, 1280} {
			p.Resize(chromium.Look{Width: width, Height: 800, Phone: width < 500})
			p.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil)
			var wide, left []string
			p.Eval(`[...document.querySelectorAll("body *")].filter(e => !e.closest("pre, #tip, .panel, details > div") && !e.ownerSVGElement
				&& e.getBoundingClientRect().right > innerWidth + 1 && e.getBoundingClientRect().width > 0).map(e => e.tagName + "." + e.className + "#" + e.id)`, &wide)
			var size int
			p.Eval(`document.documentElement.scrollWidth`, &size)
			if len(wide) > 0 || size > width {
				t.Errorf("%s, %d px wide: the page has %d px, cut off: %v", name, width, size, wide[:min(20, len(wide))])
			}
			p.Eval(`[...document.querySelectorAll(".chart svg text")].filter(e => { const s = e.ownerSVGElement.getBoundingClientRect(), b = e.getBoundingClientRect();
				return b.left < s.left - 1 || b.right > s.right + 1; }).map(e => e.textContent)`, &left)
			if len(left) > 0 {
				t.Errorf("%s, %d px wide: texts outside of their chart: %q", name, width, left)
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

// TestBenchPageHostile gives every name texts that would be markup or scripts. The page shows them.
func TestBenchPageHostile(t *testing.T) {
	b := chromium.Start(t)
	for _, name := range []string{
		`</script><script>document.title="broken"</script>`, `<img src=x onerror='document.title="broken"'>`, evil, `"'--><b>`, "<!--<script>", "%s%d%!",
	} {
		of := benchOf(12, name, name+"2")
		of.Run.ID, of.Run.Project, of.Run.Host.Name, of.Run.Host.CPU = name, name, name, name
		of.Run.Warnings = []datamodel.Warning{{Subject: name, Text: name}}
		of.Run.Missing = []sensors.Absence{{ID: name, Reason: name, Source: name}}
		of.Sides[0].Command.Work = &datamodel.Work{Amount: 3, Unit: name}
		of.Sides[1].Figures[0].Reason = name
		of.Rounds[0].Conditions = []datamodel.Condition{name}
		url, _ := benchPage(t, of)
		p := b.Open(url, chromium.Look{Width: 1280, Height: 900})
		var title string
		p.Eval(`document.title`, &title)
		if !strings.HasPrefix(title, "ergon: bench of ") {
			t.Errorf("%q became a script: the title is %q", name, title)
		}
		var extra []string
		p.Eval(`[...document.querySelectorAll("img, iframe, b:not(figcaption b, .about b, td b), body script")].map(e => e.outerHTML.slice(0, 80))`, &extra)
		if len(extra) != 1 { // the page's own script
			t.Errorf("%q became markup: %q", name, extra)
		}
		checkSilent(t, p)
		p.Close()
	}
}

// TestBenchPageOfMany has 1,000 rounds of each of five commands: the page stays small, and shows the outliers.
func TestBenchPageOfMany(t *testing.T) {
	of := benchOf(1000, "a", "b", "c", "d", "e")
	of.Sides[2].Figures[1].Values[17] = math.NaN()
	url, size := benchPage(t, of)
	if size > 1_500_000 {
		t.Errorf("the page has %d bytes", size)
	}
	t.Logf("%d bytes", size)
	p := chromium.Start(t).Open(url, chromium.Look{Width: 1280, Height: 900})
	var rings, rows int
	p.Eval(`document.querySelectorAll(".pair")[0].children[0].querySelectorAll("circle.far").length`, &rings)
	p.Eval(`document.querySelectorAll("#rounds tbody tr").length`, &rows)
	if rings < 5*40 || rows != 500 || !strings.Contains(p.Text(), strconv.Itoa(5000)) {
		t.Errorf("%d rings, %d rows", rings, rows)
	}
	checkSilent(t, p)
}
