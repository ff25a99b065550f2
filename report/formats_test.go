package report_test

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
)

// checkQuiet fails if s has a character that could control a terminal.
func checkQuiet(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("not UTF-8: %q", s)
	}
	for i, r := range s {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%U reaches the terminal: %q", r, s[max(0, i-20):min(len(s), i+20)])
		}
	}
}

// checkHTML fails if the page is not well formed or has an element that ergon does not write.
func checkHTML(t *testing.T, page string) {
	t.Helper()
	own := " html head meta link title style body main header section footer h1 h2 h3 code pre span b i p table thead tbody tr th td div ul li " +
		"details summary figure figcaption button input label script svg g path line rect text "
	// A script is no XML. The page's own one is the last.
	begin, end := strings.LastIndex(page, "<script>"), strings.LastIndex(page, "</script>")
	if begin < 0 || end < begin {
		t.Fatal("the page has no script")
	}
	page = page[:begin] + page[end+len("</script>"):]
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = true
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !strings.Contains(own, " "+e.Name.Local+" ") {
			t.Fatalf("the page has the unexpected element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			loads := a.Name.Local == "src" || a.Name.Local == "href" && a.Value != "data:,"
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "style" || loads {
				t.Fatalf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
}

func checkCSV(t *testing.T, doc string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(doc)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(rows[0], ","), "run,path,level,metric,value,unit,aggregation,provenance,source,"+
		"count,gaps,min,max,mean,std,reason,uncertainty,at_most,bound"; got != want {
		t.Fatalf("the columns are %s, want %s", got, want)
	}
	for _, row := range rows[1:] {
		if (row[4] == "") != (row[7] == "missing") {
			t.Fatalf("the value is %q with the provenance %s", row[4], row[7])
		}
		if row[4] == "" && row[15] == "" {
			t.Fatalf("%s has neither value nor reason", row[3])
		}
	}
	return rows
}

// TestCSVIsNoFormula: no cell that somebody else named begins with what a spreadsheet takes for a formula.
func TestCSVIsNoFormula(t *testing.T) {
	for _, name := range []string{`=HYPERLINK("x")`, "+1", "-1+2", "@SUM(1)"} {
		for _, o := range []report.Options{{}, {All: true}} {
			for _, row := range checkCSV(t, render(t, "csv", hostile(name), o))[1:] {
				for i, c := range row {
					if _, err := strconv.ParseFloat(c, 64); err != nil && c != "" && strings.ContainsAny(c[:1], "=+-@") {
						t.Errorf("column %d is %q", i, c)
					}
				}
			}
		}
	}
}

func TestCSV(t *testing.T) {
	rows := checkCSV(t, render(t, "csv", vm(), report.Options{All: true}))
	if want := 1 + len(datamodel.Summary()) + 1; len(rows) != want {
		t.Errorf("there are %d rows, want %d", len(rows), want)
	}
	got := strings.Join(rows[len(rows)-1], ",")
	want := "20260314T092653-7f3a,go/go/20260314T092653-7f3a/build-7/nvme0n1/read|bytes,sensor,read,12582912,By," +
		"delta,counter,/proc/diskstats,125,1,0,9437184,1013280.4638,2500000,,,,"
	if got != want {
		t.Errorf("the sensor's row is\n%s, want\n%s", got, want)
	}
	if doc := render(t, "csv", killed(), report.Options{All: true}); strings.Count(doc, "\n") != 1 {
		t.Errorf("without a tree the CSV has more than the header: %q", doc)
	}
}

func TestHTML(t *testing.T) {
	for _, r := range []datamodel.Result{vm(), server(), failed(), samplerFailed(), killed(), notFound(), build(), hostile(evil)} {
		page := render(t, "html", r, report.Options{Results: evil})
		checkHTML(t, page)
		checkQuiet(t, page)
	}
}

// checkMarkdown fails if a row has the wrong number of cells, which is five in the first table, or if a tag may begin in it.
func checkMarkdown(t *testing.T, doc string) {
	t.Helper()
	bars := 6
	for line := range strings.SplitSeq(strings.TrimSuffix(doc, "\n"), "\n") {
		line = strings.ReplaceAll(line, `\\`, "")
		switch {
		case strings.HasPrefix(line, "#### "): // another table
			bars = 0
		case strings.HasPrefix(line, "|"):
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if bars == 0 {
				bars = n
			}
			if n != bars {
				t.Fatalf("a row has %d bars, want %d: %s", n, bars, line)
			}
		}
		if !strings.HasPrefix(line, "###") && strings.ContainsAny(line, "<@") {
			t.Fatalf("a tag or a mention may begin in: %s", line)
		}
	}
}

func TestMarkdown(t *testing.T) {
	for _, r := range []datamodel.Result{
		vm(), server(), samplerFailed(), killed(), build(), hostile(evil), hostile("a|b``c` @ada"),
	} {
		checkMarkdown(t, render(t, "markdown", r, report.Options{}))
	}
	r := vm()
	r.Run.Command = []string{"echo", "``", "|"}
	doc := render(t, "markdown", r, report.Options{})
	if want := "### ``` echo '``' '|' ```: exit 0\n"; !strings.HasPrefix(doc, want) {
		t.Errorf("the heading is %q, want %q", doc[:strings.Index(doc, "\n")+1], want)
	}
}

// FuzzWriters puts any text into every name of a result. In no format may the text break out of its place.
func FuzzWriters(f *testing.F) {
	f.Add(evil, 80, true)
	f.Add("", 0, false)
	f.Add("\x9b31m", 1, true)
	f.Add("]]>--></style></title>", 40, true)
	f.Add("``` | \\` | <b>\u2028\U000e0001", -5, false)
	f.Add("日本語 e\u0301 👩‍🚀", 33, true)
	s := schema(f)
	f.Fuzz(func(t *testing.T, name string, width int, unicode bool) {
		r := hostile(name)
		o := report.Options{Width: width, Unicode: unicode, Results: name, Again: name}
		for _, format := range []string{"text", "long"} {
			text := render(t, format, r, o)
			checkQuiet(t, text)
			if !unicode && strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
				t.Fatalf("not ASCII: %q", text)
			}
		}
		doc := render(t, "json", r, o)
		checkQuiet(t, doc)
		if err := s.Validate(parse(t, doc)); err != nil {
			t.Fatal(err)
		}
		table := render(t, "csv", r, o)
		checkQuiet(t, table)
		checkCSV(t, table)
		page := render(t, "html", r, o)
		checkQuiet(t, page)
		checkHTML(t, page)
		md := render(t, "markdown", r, o)
		checkQuiet(t, md)
		checkMarkdown(t, md)
	})
}

// FuzzNumbers puts any number into a summary. No format may show a number that was not measured, and nothing may break.
func FuzzNumbers(f *testing.F) {
	f.Add(0.0, "counter", 0.0)
	f.Add(math.NaN(), "sampled", 1.0)
	f.Add(math.Inf(1), "integrated", 1e300)
	f.Add(-1e-300, "missing", -1.0)
	s, notNumber := schema(f), regexp.MustCompile(`\b(NaN|Inf)\b`)
	f.Fuzz(func(t *testing.T, v float64, from string, wall float64) {
		r := server()
		for i, m := range r.Tree.First(datamodel.RunLevel).Metrics {
			m.Value, m.Provenance, m.Min, m.Max, m.Mean, m.Std = v, sensors.Provenance(from), v, v, v, v
			if m.Name == "wall_time" {
				m.Value, m.Provenance = wall, sensors.FromCounter
			}
			r.Tree.First(datamodel.RunLevel).Metrics[i] = m
		}
		r.Run.Spark = map[string][]*float64{"cpu": course(v, wall, v, 1, wall), "power": course(wall, v, -v, v)}
		for _, name := range []string{"target_power", "target_cpu", "target_memory", "target_disk"} {
			r.Run.Spark[name] = course(v, wall, -v, 0, wall)
		}
		if err := s.Validate(parse(t, render(t, "json", r, report.Options{All: true}))); err != nil {
			t.Fatal(err)
		}
		checkCSV(t, render(t, "csv", r, report.Options{All: true}))
		checkHTML(t, render(t, "html", r, report.Options{}))
		c := datamodel.Chart{Step: time.Second, Parts: 5}
		for _, metric := range []string{datamodel.Power, datamodel.CourseCPU, datamodel.Memory, datamodel.DiskWrite, datamodel.CourseGPUTemperature} {
			for _, subject := range []datamodel.CourseSubject{datamodel.CommandCourse, datamodel.MachineCourse} {
				c.Courses = append(c.Courses, datamodel.Course{
					Metric: metric, Subject: subject, Values: []float64{v, math.NaN(), -v, wall, v}, Least: []float64{v, math.NaN(), v, 0, -v},
					Most: []float64{v, math.NaN(), wall, wall, v}, Covered: []float64{1, 0, 1, 1, 1},
				})
			}
		}
		r.Charts = []datamodel.Chart{c}
		for _, format := range []string{"text", "long", "markdown", "html"} {
			out := render(t, format, r, report.Options{Unicode: true})
			if format == "html" {
				checkHTML(t, out)
				out = outline(out)
			}
			if at := notNumber.FindStringIndex(out); at != nil {
				t.Fatalf("%s shows %q", format, out[max(0, at[0]-40):at[1]])
			}
		}
	})
}

// TestColor tests that Color adds only colors, and that each ends on its line.
func TestColor(t *testing.T) {
	all := []datamodel.Result{vm(), server(), failed(), samplerFailed(), notFound(), build(), hostile(evil), doubted(trained())}
	for i, r := range slices.Concat(all, all) {
		format := "text"
		if i >= len(all) {
			format = "long"
		}
		plain := render(t, format, r, report.Options{Width: 100, Unicode: true})
		checkQuiet(t, plain)
		colored := render(t, format, r, report.Options{Width: 100, Unicode: true, Color: true})
		var stripped strings.Builder
		for _, line := range strings.SplitAfter(colored, "\n") {
			parts := strings.Split(line, "\x1b[")
			if len(parts)%2 == 0 {
				t.Errorf("a color does not end: %q", line)
			}
			stripped.WriteString(parts[0])
			for i, part := range parts[1:] {
				code, rest, ok := strings.Cut(part, "m")
				if n, err := strconv.Atoi(code); !ok || err != nil || (n == 0) != (i%2 == 1) {
					t.Errorf("%q is not a color, or stands in the wrong place", part)
				}
				stripped.WriteString(rest)
			}
		}
		if stripped.String() != plain {
			t.Errorf("with color the text is\n%s, without\n%s", stripped.String(), plain)
		}
	}
}

// TestWidth tests that no line of the table is wider than the terminal.
func TestWidth(t *testing.T) {
	for _, width := range []int{60, 72, 80, 100, 120, 200} {
		for _, r := range []datamodel.Result{vm(), server(), failed(), samplerFailed()} {
			r.Run.Command = append(r.Run.Command, strings.Repeat("日本語", 40))
			for i, line := range strings.Split(render(t, "long", r, report.Options{Width: width, Unicode: true}), "\n") {
				n := utf8.RuneCountInString(line)
				for _, c := range line {
					if unicode.Is(unicode.Han, c) {
						n++
					}
				}
				if n > width && !strings.Contains(line, "ergon itself") {
					t.Errorf("line %d takes %d of %d columns: %s", i, n, width, line)
				}
			}
		}
	}
}

func TestTextSaysWhatMatters(t *testing.T) {
	f := func(r datamodel.Result, want ...string) {
		t.Helper()
		got := render(t, "long", r, report.Options{Width: 120, Unicode: true})
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q is not in\n%s", w, got)
			}
		}
	}
	f(vm(), "(exit 0)", "3 of 250 beats missed",
		"not measured: energy, power (no powercap in this kernel); gpu (no NVIDIA driver)")
	f(failed(), "(exit 3)")
	f(killed(), "ended by SIGTERM", "5.00 s")
	f(samplerFailed(), "sampler failed", "exit 0")
	f(notFound(), "not found")
	r := vm()
	r.Run.Command = []string{"sh", "-c", "echo 'it''s' $HOME", "", "--x=1"}
	f(r, `sh -c 'echo '\''it'\'''\''s'\'' $HOME' '' --x=1`)
	r.Run.Outcome, r.Run.Reason = datamodel.ProfilerFailed, "results: disk full"
	f(r, "(ergon failed, exit 0)", "results: disk full")
	for range 9 {
		r.Run.Warnings = append(r.Run.Warnings, datamodel.Warning{Subject: "run", Text: "odd"})
	}
	f(r, strings.Repeat("  warning: odd\n", 9))
	r.Run.Outcome = datamodel.Unfinished
	f(r, "unfinished")
	cpu := func(seconds float64, want string) {
		t.Helper()
		r := vm()
		r.Tree.First(datamodel.RunLevel).Metrics[1].Value = seconds
		f(r, want)
	}
	cpu(12.418, "  1.00 CPU ")
	cpu(0.03, "  <0.01 CPUs")
	cpu(0, "  0.00 CPUs")
}

// TestLegend tests that the legend explains exactly the marks that occur.
func TestLegend(t *testing.T) {
	f := func(want string, from ...sensors.Provenance) {
		t.Helper()
		r := vm()
		metrics := r.Tree.First(datamodel.RunLevel).Metrics
		for i := range metrics {
			metrics[i].Provenance = sensors.FromCounter
		}
		for i, p := range from {
			metrics[i].Provenance = p
		}
		out := render(t, "long", r, report.Options{Unicode: true})
		got := ""
		for line := range strings.SplitSeq(out, "\n") {
			for _, meaning := range []string{"sampled", "integrated", "model", "estimated"} {
				if strings.Contains(line, meaning) {
					got = strings.TrimSpace(line)
				}
			}
		}
		if got != want {
			t.Errorf("%v: the legend is %q, want %q", from, got, want)
		}
	}
	f("")
	f("~ sampled", sensors.Sampled)
	f("≈ modelled share   ? estimated, no sensor", sensors.Estimated, sensors.Attributed)
	f("~ sampled   ∫ integrated", sensors.Integrated, sensors.Integrated, sensors.Sampled)
}

func TestSpark(t *testing.T) {
	f := func(values []*float64, o report.Options, want string) {
		t.Helper()
		r := vm()
		r.Run.Spark = map[string][]*float64{"cpu": values}
		out := render(t, "long", r, o)
		for line := range strings.SplitSeq(out, "\n") {
			if strings.HasPrefix(line, "  cpu ") {
				_, got, _ := strings.Cut(line, "87.3 %")
				if got = strings.TrimSpace(got); got != want {
					t.Errorf("the course is %q, want %q", got, want)
				}
			}
		}
	}
	u, nan := report.Options{Unicode: true}, math.NaN()
	f(course(0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.8), u, "▁▂▃▄▅▆▇█ to 80.0 %")
	f(course(0.8, nan, 0, 0.4), u, "█ ▁▅ to 80.0 %")
	f(course(0.8, nan, 0, 0.4), report.Options{}, "@ .+ to 80.0 %")
	f(course(0, 0, 0), u, "▁▁▁ to 0 %")
	f(course(0.5, nan, 0.5), u, "") // two readings make no course
	f(nil, u, "")
	f(course(math.Inf(1), 1, 1, 1), u, "███ to 100 %")

	// two differences over many columns make no course either
	r := vm()
	for i, m := range r.Tree.First(datamodel.RunLevel).Metrics {
		if m.Name == "cpu_utilization" {
			r.Tree.First(datamodel.RunLevel).Metrics[i].Count = 3
		}
	}
	if out := render(t, "long", r, u); strings.Contains(out, "▁") || strings.Contains(out, "█") {
		t.Errorf("three readings have a course:\n%s", out)
	}
}

type brokenPipe struct{ left int }

func (w *brokenPipe) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestWriteError(t *testing.T) {
	for _, f := range report.All() {
		for _, left := range []int{0, 100} {
			if err := f.Write(&brokenPipe{left}, vm(), report.Options{}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s, after %d bytes: the error is %v", f.Name, left, err)
			}
		}
	}
}

func TestStatus(t *testing.T) {
	nan := math.NaN()
	f := func(s report.Status, width int, want string) {
		t.Helper()
		if got := s.Line(report.Options{Width: width, Unicode: true}); got != want {
			t.Errorf("%+v in %d columns is %q, want %q", s, width, got, want)
		}
	}
	all := report.Status{Elapsed: 83400 * time.Millisecond, Now: datamodel.Now{Power: 115.2, CPU: 0.8123, Memory: 3 << 30}}
	const full = "ergon 1:23  machine power 115 W  cpu 81.2 %  command memory 3.00 GiB"
	f(all, 0, full)
	f(all, len(full), full)
	f(all, len(full)-1, "ergon 1:23  machine power 115 W  cpu 81.2 %")
	f(all, 34, "ergon 1:23  machine power 115 W")
	f(all, 10, "ergon 1:23")
	f(all, 9, "ergon 1:2")
	f(all, 6, "ergon")
	f(report.Status{Elapsed: 2 * time.Hour, Now: datamodel.Now{Power: nan, CPU: nan, Memory: 12}}, 80, "ergon 2:00:00  command memory 12 B")
	f(report.Status{Elapsed: -time.Second, Now: datamodel.Now{Power: nan, CPU: math.Inf(1), Memory: nan}}, 80, "ergon 0:00")
	line := report.Status{Now: datamodel.Now{Power: 3e-6, CPU: nan, Memory: nan}}.Line(report.Options{})
	if line != "ergon 0:00  machine power 3.00 uW" {
		t.Errorf("the line in ASCII is %q", line)
	}
}
