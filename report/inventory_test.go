package report_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// withFiles returns a result with these areas in its tree.
func withFiles(r datamodel.Result, areas ...datamodel.Area) datamodel.Result {
	host := r.Tree.First(datamodel.HostLevel)
	for _, a := range areas {
		n := datamodel.AreaNode(a)
		errors := datamodel.Value(datamodel.FileErrors, float64(a.Errors()), units.Errors, "last", sensors.FromCounter, "walk")
		if a.Reason != "" {
			errors = errors.Lacking(a.Reason)
		}
		n.Metrics = append(n.Metrics, errors)
		host.Children = append(host.Children, n)
		for _, t := range a.Types {
			n := datamodel.TypeNode(a, t)
			for _, of := range []struct {
				files, bytes string
				datamodel.FileAmount
			}{
				{datamodel.Files, datamodel.FileBytes, t.After},
				{datamodel.FilesBefore, datamodel.BytesBefore, t.Before},
				{datamodel.FilesMade, datamodel.BytesMade, t.Made},
				{datamodel.FilesGrown, datamodel.BytesGrown, t.Grown},
				{datamodel.FilesShrunk, datamodel.BytesShrunk, t.Shrunk},
				{datamodel.FilesDeleted, datamodel.BytesDeleted, t.Deleted},
			} {
				n.Metrics = append(n.Metrics,
					datamodel.Value(of.files, float64(of.Files), units.Files, "last", sensors.FromCounter, "walk"),
					datamodel.Value(of.bytes, float64(of.Bytes), units.Byte, "last", sensors.FromCounter, "walk"))
			}
			host.Children = append(host.Children, n)
		}
	}
	return r
}

// fileType has as many files before as after, but one more was made and one was deleted.
func fileType(files, bytes int64, groups ...string) datamodel.FileType {
	return datamodel.FileType{
		Groups: groups, Before: datamodel.FileAmount{Files: files, Bytes: bytes}, After: datamodel.FileAmount{Files: files, Bytes: bytes},
		Made: datamodel.FileAmount{Files: 1, Bytes: 1024}, Deleted: datamodel.FileAmount{Files: 1, Bytes: 2048},
	}
}

// archive has an area in an area, and an area that does not exist.
func archive() []datamodel.Area {
	kind := []string{"type"}
	data := datamodel.Area{Name: "data", Path: "/data", Groups: kind, Dangling: 3}
	for i := range 14 {
		data.Types = append(data.Types, fileType(10, int64(1000*(i+1)), fmt.Sprintf("t%02d", i)))
	}
	return []datamodel.Area{
		data,
		{Name: "raw", Path: "/data/raw", Within: "data", Groups: []string{"instrument", "type"}, Types: []datamodel.FileType{
			fileType(1, 1000, "miri", "cal"), fileType(2, 4000, "nircam", "cal"), fileType(3, 9000, "nircam", "rate"),
		}},
		{Name: "none", Path: "/none", Groups: kind, Reason: "no such folder"},
	}
}

func TestFiles(t *testing.T) {
	r := withFiles(vm(), archive()...)
	text := render(t, "text", r, report.Options{Unicode: true, Verbose: true})
	for _, want := range []string{
		"\n  files\n area", "\n  all         ≥ 146  ", "\n  data          146  ", "  3\n", "    · t13        10  13.7 KiB", "    · 4 more types", "    raw, in data  6  ",
		"      · nircam × rate", "\n  none            –", "\n  files of raw: instrument × type\n", "  nircam      3 · 8.79 KiB  2 · 3.91 KiB\n",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	brief := render(t, "text", r, report.Options{Unicode: true, Width: 80})
	if !strings.Contains(brief, "  files ") || !strings.Contains(brief, "≥ 17 made") || !strings.Contains(brief, "≥ 17 deleted with 34.0 KiB") {
		t.Errorf("the short text:\n%s", brief)
	}
	if same := render(t, "text", vm(), report.Options{Unicode: true, Verbose: true}); strings.Contains(same, "file systems") || strings.Contains(same, "  files") {
		t.Errorf("files without an inventory:\n%s", same)
	}

	var doc struct {
		Inventory struct {
			All   map[string]*float64
			Areas []struct {
				Name   string
				Within *string
				Reason *string
				Total  map[string]*float64
				Types  []struct {
					Type  []string
					Files float64
				}
			}
		}
	}
	out := render(t, "json", r, report.Options{})
	if err := schema(t).Validate(parse(t, out)); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	i := doc.Inventory
	if *i.All["files"] != 146 || *i.Areas[0].Total["files"] != 146 || *i.Areas[1].Total["files"] != 6 || i.Areas[2].Total["files"] != nil ||
		*i.Areas[2].Reason != "no such folder" || *i.Areas[1].Within != "data" || len(i.Areas[0].Types) != 14 {
		t.Errorf("JSON: %+v", i)
	}
	sum := 0.0
	for _, a := range i.Areas {
		for _, kind := range a.Types {
			sum += kind.Files
		}
	}
	if sum != 146 {
		t.Errorf("the types in JSON have %v files", sum)
	}
	if page := render(t, "html", r, report.Options{}); !strings.Contains(page, `<td class="name">&emsp;raw, in data</td><td class="n" data-l="files">6</td>`) {
		t.Error("the page lacks the area in an area")
	}
	if csv := render(t, "csv", r, report.Options{}); strings.Count(csv, ",files,") != 17 {
		t.Errorf("CSV:\n%s", csv)
	}
}

// TestFilesOfStrangers has names that somebody else chose, in every format and width.
func TestFilesOfStrangers(t *testing.T) {
	const name = "a\x1b[31m<script>|`*\u202e\n" + `"'&`
	long := strings.Repeat("ü", 300)
	area := datamodel.Area{Name: name, Path: "/" + name, Groups: []string{name, long}, Types: []datamodel.FileType{fileType(1, 1, name, long), fileType(1, 1, long, name)}}
	for i := range 30 {
		area.Types = append(area.Types, fileType(1, int64(i), name, fmt.Sprint(i)))
	}
	r := withFiles(vm(), area)
	for _, format := range []string{"text", "markdown", "html", "csv", "json"} {
		for _, width := range []int{20, 80, 0} {
			out := render(t, format, r, report.Options{Unicode: true, Verbose: true, Width: width})
			if strings.ContainsAny(out, "\x1b\u202e") || !utf8.ValidString(out) {
				t.Errorf("%s: a control character comes through", format)
			}
			if format == "html" && strings.Contains(out, "<script>|") {
				t.Error("markup comes through")
			}
		}
	}
	if err := schema(t).Validate(parse(t, render(t, "json", r, report.Options{All: true}))); err != nil {
		t.Error(err)
	}
}
