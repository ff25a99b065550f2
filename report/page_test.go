package report_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"maps"
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
	"github.com/ergon-energy/ergon/internal/chromium"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/units"
)

// charted gives a result courses over its wall time: a machine with two packages, and a command that works in waves.
func charted(r datamodel.Result, step time.Duration) datamodel.Result {
	r = finished(r)
	noise := rand.New(rand.NewPCG(1, 2))
	wall := *r.Run.WallTime
	c := datamodel.Chart{Host: r.Run.Host.Name, Step: step, Parts: int(math.Ceil(wall / step.Seconds()))}
	add := func(metric string, subject datamodel.CourseSubject, device string, unit units.Unit, value func(t float64) float64) {
		one := datamodel.Course{Metric: metric, Subject: subject, Device: device, Unit: unit}
		for i := range c.Parts {
			v := value((float64(i) + 0.5) * step.Seconds())
			one.Values, one.Least, one.Most = append(one.Values, v), append(one.Least, v), append(one.Most, v)
			one.Covered = append(one.Covered, step.Seconds())
		}
		c.Courses = append(c.Courses, one)
	}
	busy := func(t float64) float64 { return 1.2 + 0.7*math.Sin(t/wall*20) }
	for i, device := range []string{"package-0", "package-1"} {
		load := func(t float64) float64 { return busy(t) * float64(30-10*i) }
		add(datamodel.Power, datamodel.MachineCourse, device, units.Watt, func(t float64) float64 { return 35 + load(t) })
		add(datamodel.Power, datamodel.CommandCourse, device, units.Watt, func(t float64) float64 { return load(t) - 5 })
		add(datamodel.Power, datamodel.OtherCourse, device, units.Watt, func(float64) float64 { return 15 })
		add(datamodel.Power, datamodel.IdleCourse, device, units.Watt, func(float64) float64 { return 25 })
	}
	add(datamodel.CourseCPU, datamodel.CommandCourse, "", units.Ratio, func(t float64) float64 { return busy(t) * (0.95 + 0.05*noise.Float64()) })
	add(datamodel.CourseCPU, datamodel.MachineCourse, "", units.Ratio, func(t float64) float64 { return min(2, busy(t)+0.1+0.1*noise.Float64()) })
	add(datamodel.Memory, datamodel.CommandCourse, "", units.Byte, func(t float64) float64 { return (100 + 700*t/wall) * (1 << 20) })
	add(datamodel.DiskWrite, datamodel.CommandCourse, "", units.BytesPerSecond, func(t float64) float64 {
		if noise.Float64() < 0.1 {
			return 1e8 * noise.Float64()
		}
		return 0
	})
	add(datamodel.DiskRead, datamodel.CommandCourse, "", units.BytesPerSecond, func(t float64) float64 { return max(0, 1e7-1e7*t) })
	add(datamodel.NetworkReceive, datamodel.MachineCourse, "eth0", units.BytesPerSecond, func(float64) float64 { return 0 })
	for i := range r.Run.Host.GPUs {
		device := "GPU-8f6a12ab-77c1-4c3e-9a55-0f1e2d3c4b5" + strconv.Itoa(i)
		add(datamodel.CourseGPUUtilization, datamodel.MachineCourse, device, units.Ratio, func(t float64) float64 { return busy(t) / 2 })
		add(datamodel.CourseGPUUtilization, datamodel.CommandCourse, device, units.Ratio, func(t float64) float64 { return busy(t) / 3 })
		add(datamodel.CourseGPUMemory, datamodel.MachineCourse, device, units.Byte, func(float64) float64 { return 12 << 30 })
		add(datamodel.CourseGPUTemperature, datamodel.MachineCourse, device, units.Celsius, func(t float64) float64 { return 40 + 20*busy(t) })
	}
	add(datamodel.CourseCPUPressure, datamodel.MachineCourse, "", units.Ratio, func(t float64) float64 {
		if t > wall/2 && t < wall/2+2*step.Seconds() {
			return math.NaN()
		}
		return 0.3 * busy(t)
	})
	r.Charts = []datamodel.Chart{c}
	return r
}

// write writes a page into a file and returns its address.
func write(t *testing.T, name string, runs ...report.Shown) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WritePage(f, runs); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// live waits until the page's script has drawn everything.
func live(p *chromium.Page) {
	p.Wait(`document.documentElement.classList.contains("live") && document.querySelector(".chart:last-of-type .hair")`)
}

// text returns the text of the first element that the selector finds.
func text(p *chromium.Page, selector string) string {
	var s string
	p.Eval(`document.querySelector(`+strconv.Quote(selector)+`)?.textContent ?? "(nothing)"`, &s)
	return s
}

// plot returns where the plot of a chart is in the window: its left, its top, its width and its height in px.
func plot(p *chromium.Page, chart string) (x, y, width, height float64) {
	var box [4]float64
	p.Eval(`(() => {
		const svg = document.querySelector("#chart-`+chart+` svg");
		svg.scrollIntoView({block: "center"});
		const b = svg.getBoundingClientRect();
		return [b.left + 66, b.top + 6, b.width - 76, b.height - 24];
	})()`, &box)
	return box[0], box[1], box[2], box[3]
}

// checkSilent fails if the page said something, or asked for anything but itself.
func checkSilent(t *testing.T, p *chromium.Page) {
	t.Helper()
	for _, m := range p.Messages() {
		t.Errorf("the page said %s", m)
	}
	if r := p.Requests(); len(r) > 2 || len(r) > 1 && r[1] != "data:," {
		t.Errorf("the page asked for %q", r)
	}
}

// TestPage opens the page of a run in a browser and uses it as a person would.
func TestPage(t *testing.T) {
	b := chromium.Start(t)
	url := write(t, "run.html", report.Shown{Result: charted(build(), 100*time.Millisecond), Results: "ergon-results/x"})
	p := b.Open(url, chromium.Look{Width: 1280, Height: 900})
	live(p)
	checkSilent(t, p)

	var drawn []string
	p.Eval(`[...document.querySelectorAll(".chart")].filter(c => c.querySelector("path.line, path.layer, rect.bar")).map(c => c.id)`, &drawn)
	if want := []string{"chart-power", "chart-domains", "chart-cpu", "chart-memory", "chart-disk", "chart-pressure", "chart-processes"}; !slices.Equal(drawn, want) {
		t.Errorf("the charts are %v, want %v: the network was silent", drawn, want)
	}
	whole := text(p, "#window-sums")
	if !strings.Contains(whole, "energy 634 J ≈") {
		t.Errorf("of the whole run the page says %q", whole)
	}

	before := text(p, "#chart-memory [data-line]")
	x, y, width, height := plot(p, "cpu")
	p.Mouse("mouseMoved", x+width/2, y+height/2, 0, false)
	p.Wait(`document.querySelector("#window-at").textContent !== ""`)
	if at := text(p, "#window-at"); !strings.HasPrefix(at, "at 6.2") {
		t.Errorf("in the middle of 12.418 s the crosshair is %q", at)
	}
	if got := text(p, "#chart-memory [data-line]"); got == before || got != "452 MiB" {
		t.Errorf("at the crosshair the memory is %q, without one %q", got, before)
	}
	var hairs int
	p.Eval(`document.querySelectorAll(".hair[visibility=visible]").length`, &hairs)
	if hairs != len(drawn) {
		t.Errorf("%d of %d charts show the crosshair", hairs, len(drawn))
	}

	outline := attribute(p, "#chart-memory path.line", "d")
	p.Drag(x+width/4, y+10, x+width/2, y+10, false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	p.Mouse("mouseMoved", 5, 5, 0, false)
	if got := text(p, "#window-time"); !strings.HasPrefix(got, "in this window of 3.1") {
		t.Errorf("after a drag over a quarter of the chart the page says %q", got)
	}
	if got := text(p, "#window-sums"); got == whole || !strings.Contains(got, "energy ") {
		t.Errorf("in the window it says %q", got)
	}
	p.Wait(`document.querySelector("#chart-memory path.line").getAttribute("d") !== ` + strconv.Quote(outline))
	x, y, width, _ = plot(p, "disk")
	p.DoubleClick(x+width/2, y+10)
	p.Wait(`document.querySelector("#window-sums").textContent === ` + strconv.Quote(whole))
	p.Wait(`document.querySelector("#chart-memory path.line").getAttribute("d") === ` + strconv.Quote(outline))

	p.Drag(x+width/4, y+10, x+width/2, y+10, true) // marks
	p.Wait(`Number(document.querySelector("#chart-cpu .mark").getAttribute("width")) > 100`)
	if got := text(p, "#window-time"); !strings.HasPrefix(got, "in this window of 3.1") {
		t.Errorf("of a marked part the page says %q", got)
	}
	p.Eval(`document.querySelector("#over-time").focus()`, nil)
	p.Key("Enter", false) // zooms to the mark
	p.Wait(`document.querySelector("#chart-memory path.line").getAttribute("d") !== ` + strconv.Quote(outline))
	p.Key("Home", false)
	p.Wait(`document.querySelector("#chart-memory path.line").getAttribute("d") === ` + strconv.Quote(outline))
	p.Key("+", false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	p.Key("-", false)
	p.Wait(`!document.querySelector("#window").classList.contains("part")`)
	p.Key("ArrowRight", false)
	p.Wait(`document.querySelector("#window-at").textContent !== ""`)

	first := func() string { return text(p, ".of-names tbody tr td") }
	if first() != "cc1" {
		t.Errorf("the first name is %q", first())
	}
	p.Eval(`document.querySelector(".of-names th:nth-child(2) button").click(); document.querySelector(".of-names th:nth-child(2) button").click()`, nil)
	if first() == "cc1" {
		t.Error("sorted by the number of processes, the name with most is still the first")
	}
	p.Eval(`document.querySelector(".of-names th:nth-child(3) button").click()`, nil)
	if first() != "cc1" {
		t.Errorf("sorted by CPU time, the first name is %q", first())
	}
	p.Eval(`document.querySelector("label[for=by-process]").click()`, nil)
	p.Wait(`document.querySelector(".of-names").offsetParent === null && document.querySelector(".of-processes").offsetParent !== null`)

	p.Eval(`(() => { const i = document.querySelector("input[type=search]"); i.value = "nvme0n1"; i.dispatchEvent(new Event("input")); })()`, nil)
	if got := text(p, "#found"); got != "1 found" {
		t.Errorf("the search says %q", got)
	}

	x, y, width, _ = plot(p, "processes")
	p.Mouse("mouseMoved", x+width-20, y+2, 0, false)
	p.Wait(`!document.querySelector("#tip").hidden`)
	if got := text(p, "#tip"); !strings.HasPrefix(got, "makeprocess 4000") {
		t.Errorf("the first lane is %q", got)
	}
	checkSilent(t, p)
}

// attribute returns an attribute of the first element that the selector finds.
func attribute(p *chromium.Page, selector, name string) string {
	var s string
	p.Eval(`document.querySelector(`+strconv.Quote(selector)+`).getAttribute(`+strconv.Quote(name)+`)`, &s)
	return s
}

// TestPageLooks opens pages in three widths and both themes: nothing is cut off, and all texts can be read.
func TestPageLooks(t *testing.T) {
	b := chromium.Start(t)
	long := charted(build(), 100*time.Millisecond)
	long.Run.Command = []string{"/opt/" + strings.Repeat("a-long-name-without-a-space/", 10) + "tool", strings.Repeat("x", 300)}
	long.Run.Warnings = []datamodel.Warning{{Subject: "other_load", Text: strings.Repeat("y", 200)}}
	runs := map[string]string{
		"run": write(t, "run.html", report.Shown{Result: long, Results: "ergon-results/" + strings.Repeat("z", 200)}),
		"two": write(t, "two.html", report.Shown{Result: long}, report.Shown{Result: charted(server(), time.Second)}),
		"gpu": write(t, "gpu.html", report.Shown{Result: charted(server(), time.Second)}),
		"not": write(t, "not.html", report.Shown{Result: finished(notFound())}),
		"told": write(t, "told.html", report.Shown{
			Result: told(charted(build(), 100*time.Millisecond), strings.Repeat("l", 200), strings.Repeat("a name ", 28)),
		}),
	}
	for name, url := range runs {
		p := b.Open(url, chromium.Look{Width: 1280, Height: 800})
		if name != "not" {
			live(p)
		}
		p.Eval(`document.querySelectorAll("details").forEach(d => { d.open = true; })`, nil)
		for _, width := range []int{320, 390, 768, 1280} {
			p.Resize(chromium.Look{Width: width, Height: 800, Phone: width < 500})
			p.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil) // drawn anew
			var wide []string
			p.Eval(`[...document.querySelectorAll("body *")].filter(e => !e.closest("pre, .card .tip, #tip") && !e.ownerSVGElement
				&& e.getBoundingClientRect().right > innerWidth + 1 && e.getBoundingClientRect().width > 0).map(e => e.tagName + "." + e.className + "#" + e.id)`, &wide)
			if len(wide) > 0 {
				t.Errorf("%s, %d px wide: cut off: %v", name, width, wide[:min(20, len(wide))])
			}
			var hidden []string
			p.Eval(`[...document.querySelectorAll(".card")].filter(c => {
				c.focus();
				const tip = c.querySelector(".tip")?.getBoundingClientRect();
				return tip && !(tip.width > 0 && tip.left >= 0 && tip.right <= innerWidth);
			}).map(c => c.textContent)`, &hidden)
			if len(hidden) > 0 {
				t.Errorf("%s, %d px wide: where these come from cannot be read: %v", name, width, hidden)
			}
			p.Eval(`document.activeElement.blur()`, nil)
			var size [2]int
			p.Eval(`[document.documentElement.scrollWidth, innerWidth]`, &size)
			if size[0] > width || size[1] != width {
				t.Errorf("%s, %d px wide: the page is %d px wide in a window of %d px", name, width, size[0], size[1])
			}
		}
		const lightness = `getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 765`
		for _, dark := range []bool{false, true} {
			p.Resize(chromium.Look{Width: 1280, Height: 800, Dark: dark})
			var before, turned float64
			p.Eval(lightness, &before)
			p.Eval(`document.querySelector("#theme").click()`, nil)
			p.Eval(lightness, &turned)
			p.Eval(`delete document.documentElement.dataset.theme`, nil)
			if dark != (before < 0.5) || dark != (turned > 0.5) {
				t.Errorf("%s: if dark is %v, the page has the lightness %.2f, and after the button %.2f", name, dark, before, turned)
			}
		}
		if pdf := p.Print(); !bytes.HasPrefix(pdf, []byte("%PDF")) {
			t.Errorf("%s: it prints as %q", name, pdf[:min(8, len(pdf))])
		}
		var kept bool
		p.Eval(`[...document.querySelectorAll(".chart:not(#chart-progress, [id^=chart-own-]) path.line:not(.gap)")].every(l => l.getAttribute("d").length > 100)`, &kept)
		if !kept {
			t.Errorf("%s: after printing, lines are gone", name)
		}
		checkSilent(t, p)
	}
}

// TestPageOfRuns compares runs of which one has a figure that is a bound, and one has a domain more.
func TestPageOfRuns(t *testing.T) {
	first, second := charted(build(), 100*time.Millisecond), charted(build(), 200*time.Millisecond)
	second.Run.ID = "20260314T101010-abcdef"
	for i, m := range second.Summary {
		switch m.Name {
		case datamodel.CPUTime:
			second.Summary[i].Value *= 1.1
		case datamodel.DiskRead:
			second.Summary[i].Value *= 30
		case datamodel.PeakMemory:
			second.Summary[i].Value, second.Summary[i].Bound = 2*m.Value, datamodel.LowerBound
		}
	}
	second.Charts[0].Courses = slices.DeleteFunc(second.Charts[0].Courses, func(c datamodel.Course) bool { return c.Device == "package-1" })
	b := chromium.Start(t)
	p := b.Open(write(t, "two.html", report.Shown{Result: first}, report.Shown{Result: second}), chromium.Look{Width: 1280, Height: 900})
	live(p)
	var differences map[string]string
	p.Eval(`Object.fromEntries([...document.querySelectorAll("main > section tbody tr")].map(r => [r.cells[0].textContent, r.cells[3]?.textContent]))`, &differences)
	for name, want := range map[string]string{"cpu time": "+10.0 %", "disk read": "× 30.0", "peak memory": "", "wall time": "±0 %"} {
		if differences[name] != want {
			t.Errorf("the difference of %s is %q, want %q", name, differences[name], want)
		}
	}
	var lines map[string]int
	p.Eval(`Object.fromEntries([...document.querySelectorAll(".chart")].map(c => [c.querySelector("h3").textContent, c.querySelectorAll("path.line:not(.gap)").length]))`, &lines)
	want := map[string]int{"Power: command ≈": 2, "CPU: command": 2, "Memory: command": 2, "Disk: written": 2, "Disk: read": 2}
	if !maps.Equal(lines, want) {
		t.Errorf("the charts have %v lines, want %v", lines, want)
	}
	checkSilent(t, p)
}

// TestPageBare opens the page without scripts: it has pictures, values and all tables, and nothing that does not work.
func TestPageBare(t *testing.T) {
	b := chromium.Start(t)
	p := b.Open(write(t, "run.html", report.Shown{Result: charted(build(), 100*time.Millisecond)}), chromium.Look{Width: 1280, Height: 900, Bare: true})
	checkSilent(t, p)
	page := p.Text()
	for _, want := range []string{"make -j2", "213 J", "Power by domain", "max 802 MiB", "cc1"} {
		if !strings.Contains(page, want) {
			t.Errorf("without scripts the page lacks %q", want)
		}
	}
	for _, not := range []string{"show all", "drag:"} {
		if strings.Contains(page, not) {
			t.Errorf("without scripts the page shows %q, which does nothing", not)
		}
	}
}

// TestPageNumbers compares the numbers that the script writes with those of the rest of the page.
func TestPageNumbers(t *testing.T) {
	r := charted(build(), 100*time.Millisecond)
	b := chromium.Start(t)
	tests := []struct {
		metric  string
		subject datamodel.CourseSubject
		chart   string
		values  [5]float64
		show    func(float64) string
	}{
		{datamodel.Memory, datamodel.CommandCourse, "memory", [5]float64{512, 1023, 1048576, 1.5e9, 3e12}, func(v float64) string { return units.Format(v, units.Byte) }},
		{datamodel.DiskWrite, datamodel.CommandCourse, "disk", [5]float64{1, 2000, 123456, 7.77e7, 9.99e8}, func(v float64) string { return units.FormatRate(v, units.Byte) }},
		{datamodel.CourseCPUPressure, datamodel.MachineCourse, "pressure", [5]float64{0.0042, 0.081, 0.5, 0.999, 1}, func(v float64) string { return units.Format(v, units.Ratio) }},
	}
	for k := range 5 {
		for _, tt := range tests {
			for i, c := range r.Charts[0].Courses {
				if c.Metric == tt.metric && c.Subject == tt.subject {
					same := slices.Repeat([]float64{tt.values[k]}, len(c.Values))
					r.Charts[0].Courses[i].Values, r.Charts[0].Courses[i].Least, r.Charts[0].Courses[i].Most = same, same, same
				}
			}
		}
		p := b.Open(write(t, "run.html", report.Shown{Result: r}), chromium.Look{Width: 1280, Height: 900})
		live(p)
		for _, tt := range tests {
			if got, want := text(p, "#chart-"+tt.chart+" [data-line]"), tt.show(tt.values[k]); got != want+" max "+want {
				t.Errorf("of %g %s the script says %q, want %q", tt.values[k], tt.metric, got, want)
			}
		}
		p.Close()
	}
}

// TestPageHostile gives every name of a run texts that would be markup, scripts or the end of an element. The page shows them.
func TestPageHostile(t *testing.T) {
	b := chromium.Start(t)
	for _, name := range []string{
		`</script><script>document.title="broken"</script>`, `<img src=x onerror='document.title="broken"'>`, evil,
		`</svg></style><svg onload='document.title="broken"'/>`, `"'--><b>`, "`]](javascript:alert(1))", "<!--<script>",
	} {
		r := hostile(name)
		r.Run.Outcome, r.Run.Signal, r.Run.ExitCode, r.Run.WallTime = datamodel.Done, "", new(0), new(12.4)
		r = charted(r, 100*time.Millisecond)
		for i := range r.Charts[0].Courses {
			r.Charts[0].Courses[i].Device = name
		}
		r = told(r, name, name)
		shown := report.Shown{Result: r, Results: name}
		for _, url := range []string{write(t, "run.html", shown), write(t, "two.html", shown, shown)} {
			p := b.Open(url, chromium.Look{Width: 1280, Height: 900})
			live(p)
			var title string
			p.Eval(`document.title`, &title)
			if !strings.HasPrefix(title, "ergon: ") {
				t.Errorf("%q became a script: the title is %q", name, title)
			}
			var extra []string
			p.Eval(`[...document.querySelectorAll("img, b:not(figcaption b, .run b), iframe, a, svg[onload], body script:not(#head):not(#values)")].map(e => e.outerHTML.slice(0, 80))`, &extra)
			if len(extra) != 1 { // the page's own script
				t.Errorf("%q became markup: %q", name, extra)
			}
			checkSilent(t, p)
			p.Close()
		}
	}
}

// TestPageOfManyProcesses has 500 processes at once and 3000 one after another.
func TestPageOfManyProcesses(t *testing.T) {
	r := charted(build(), 100*time.Millisecond)
	like := r.Processes[1]
	r.Processes = nil
	for i := range 3500 {
		p := like
		p.ID, p.PID, p.Name = int64(i), int64(10000+i), "worker-"+strconv.Itoa(i%300)
		p.FirstSeen, p.LastSeen = 1, 9
		if i >= 500 {
			p.FirstSeen = float64(i) / 400
			p.LastSeen = p.FirstSeen + 0.001
		}
		p.Start, p.CPUTime = r.Run.Start.Add(time.Duration(p.FirstSeen*1e9)), float64(i%17)/100
		r.Processes = append(r.Processes, p)
	}
	url := write(t, "many.html", report.Shown{Result: r})
	info, err := os.Stat(strings.TrimPrefix(url, "file://"))
	if err != nil || info.Size() > 1<<20 {
		t.Errorf("the page has %d bytes, %v", info.Size(), err)
	}
	p := chromium.Start(t).Open(url, chromium.Look{Width: 1280, Height: 900})
	live(p)
	var height float64
	p.Eval(`document.querySelector("#chart-processes").getBoundingClientRect().height`, &height)
	if height > 900 {
		t.Errorf("the timeline is %.0f px high", height)
	}
	if got := text(p, "#chart-processes figcaption"); !strings.Contains(got, "1,500 that used least are not drawn") {
		t.Errorf("its legend is %q", got)
	}
	var took float64
	x, y, width, _ := plot(p, "processes")
	p.Drag(x+10, y+10, x+width/2, y+10, false)
	p.Wait(`document.querySelector("#window").classList.contains("part")`)
	p.Eval(`new Promise(done => { const t = performance.now(); dispatchEvent(new Event("afterprint")); requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - t))); })`, &took)
	t.Logf("drawn anew within %.0f ms", took)
	checkSilent(t, p)
}

// TestPageOfAnHour checks the size of the page of an hour at 10 Hz, and that it has every reading.
func TestPageOfAnHour(t *testing.T) {
	r := charted(build(), 100*time.Millisecond)
	r.Run.WallTime = new(3600.0)
	r = charted(r, 100*time.Millisecond)
	noise := rand.New(rand.NewPCG(3, 4))
	for i, c := range r.Charts[0].Courses {
		// Each value has noise of 5 %. Each reading is up to 5 ms late, so that a part mixes two of them.
		for k := range c.Values {
			c.Values[k] *= 0.9 + 0.1*noise.Float64()
		}
		late := 0.05 * noise.Float64()
		for k := range c.Values {
			c.Least[k], c.Most[k] = c.Values[k], c.Values[k]
			if k > 0 {
				c.Values[k] = (1-late)*c.Most[k] + late*c.Most[k-1]
				c.Least[k], c.Most[k] = min(c.Values[k], c.Most[k]), max(c.Values[k], c.Most[k])
			}
		}
		if c.Metric == datamodel.CourseCPU && c.Subject == datamodel.CommandCourse {
			for _, list := range [][]float64{c.Values, c.Least, c.Most} { // one reading stands out
				list[20_000] = 1.999
			}
			r.Charts[0].Courses[i] = c
		}
	}
	url := write(t, "hour.html", report.Shown{Result: r})
	info, err := os.Stat(strings.TrimPrefix(url, "file://"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 1e6 {
		t.Errorf("the page has %d bytes", info.Size())
	}
	p := chromium.Start(t).Open(url, chromium.Look{Width: 1280, Height: 900})
	live(p)
	used := 0.0
	for _, c := range r.Charts[0].Course(datamodel.Power, datamodel.CommandCourse) {
		for i, v := range c.Values {
			used += v * c.Covered[i]
		}
	}
	if got, want := text(p, "#window-sums"), "energy "+units.Format(used, units.Joule)+" ≈"; !strings.Contains(got, want) {
		t.Errorf("the page says %q, want %q", got, want)
	}
	if got := text(p, "#chart-cpu [data-line]"); !strings.HasSuffix(got, "max 2.00 CPUs") {
		t.Errorf("the legend lost the peak: %q", got)
	}
	var highest float64
	p.Eval(`Math.min(...document.querySelector("#chart-cpu path.line.command").getAttribute("d").match(/[ V][\d.]+/g).map(s => Number(s.slice(1))))`, &highest)
	if highest > 8 {
		t.Errorf("the peak is not drawn: the highest place is at %.1f px", highest)
	}
	t.Logf("%d bytes", info.Size())
	checkSilent(t, p)
}

// TestPictures takes the pictures of docs/page.md: ERGON_PICTURES names pages, as FILE.html, separated by spaces. Beside each it
// writes FILE-light.png, FILE-dark.png and FILE-phone.png.
func TestPictures(t *testing.T) {
	pages := strings.Fields(os.Getenv("ERGON_PICTURES"))
	if len(pages) == 0 {
		t.Skip("ERGON_PICTURES names no page")
	}
	b := chromium.Start(t)
	for _, path := range pages {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, l := range map[string]chromium.Look{
			"light": {Width: 1040, Height: 900}, "dark": {Width: 1040, Height: 900, Dark: true}, "phone": {Width: 390, Height: 844},
		} {
			p := b.Open("file://"+path, l)
			var charted bool
			p.Eval(`document.querySelector("#over-time") !== null`, &charted)
			if charted {
				live(p)
				var chart string
				p.Eval(`document.querySelector(".chart").id.slice(6)`, &chart)
				x, y, width, height := plot(p, chart)
				p.Mouse("mouseMoved", x+0.42*width, y+height/2, 0, false)
				p.Wait(`document.querySelector("#window-at").textContent !== ""`)
			}
			if err := os.WriteFile(strings.TrimSuffix(path, ".html")+"-"+name+".png", small(t, p.Picture(true)), 0o644); err != nil {
				t.Fatal(err)
			}
			p.Close()
		}
	}
}

// small returns a picture with its 256 most frequent colors, which is a third of the bytes. Other colors become the nearest one.
func small(t *testing.T, text []byte) []byte {
	t.Helper()
	in, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[color.RGBA]int)
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(in.At(x, y)).(color.RGBA) }
	for y := range in.Bounds().Dy() {
		for x := range in.Bounds().Dx() {
			count[at(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range colors[:min(256, len(colors))] {
		palette = append(palette, c)
	}
	nearest := make(map[color.RGBA]uint8)
	for _, c := range colors {
		nearest[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(in.Bounds(), palette)
	for y := range in.Bounds().Dy() {
		for x := range in.Bounds().Dx() {
			out.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
