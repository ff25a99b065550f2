package readers

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
)

// page is the document that shows the readers. Each test of a reader owns a row of its table and a section with the code.
const page = "../../docs/readers.md"

// schemaPage shows the lines for the joined tables.
const schemaPage = "../../docs/schema.md"

// shown lists the metrics whose sums are in the table.
func shown() []string { return []string{datamodel.Energy, datamodel.CPUTime} }

// row is the reader's row of the table: its name, its version, and the sums over one run and over many, where it has made them.
func row(name, version string, one, all map[string]float64) string {
	cells := []string{name, version}
	for _, metric := range shown() {
		for _, sums := range []map[string]float64{one, all} {
			cell := "–"
			if v, ok := sums[metric]; ok {
				cell = strconv.FormatFloat(v, 'g', 10, 64)
			}
			cells = append(cells, cell)
		}
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// section is the reader's code.
func section(r reader) string {
	return fmt.Sprintf("## %s\n\n```python\n%s\n\n# one run\n%s\n# all runs\n%s\n# all runs, with the types of the partitions\n%s\n"+
		"# runs that are joined by `ergon runs compact`\n%s\n```\n", r.Name, r.Setup, r.One, r.All, r.Typed, r.Joined)
}

// checkPage checks that the page shows a reader as it is and what it has found. With ERGON_UPDATE it writes that into the page.
func checkPage(t *testing.T, r reader, one, all answer) {
	t.Helper()
	checkPart(t, regexp.MustCompile(`(?m)^\| `+r.Name+` \|.*$`), row(r.Name, one.Version, one.Sums, all.Sums))
	checkPart(t, regexp.MustCompile("(?s)## "+r.Name+"\n.*?\n```\n"), section(r))
}

// checkPart checks that a part of the page is as it should be. With ERGON_UPDATE it replaces the part.
func checkPart(t *testing.T, where *regexp.Regexp, want string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	at := where.FindIndex(text)
	switch {
	case at == nil:
		t.Errorf("%s has nothing like %s", filepath.Base(page), where)
	case string(text[at[0]:at[1]]) == want:
	case os.Getenv("ERGON_UPDATE") != "":
		if err := os.WriteFile(page, slices.Concat(text[:at[0]], []byte(want), text[at[1]:]), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has\n%s\nwant (ERGON_UPDATE=1 writes it)\n%s", filepath.Base(page), text[at[0]:at[1]], want)
	}
}

// checkReported checks the row of the page with what ergon reports.
func checkReported(t *testing.T, one, all []made) {
	t.Helper()
	checkPart(t, regexp.MustCompile("(?m)^\\| `ergon report -f json` \\|.*$"), row("`ergon report -f json`", "", sums(one), sums(all)))
}

// TestPage checks that the page has a row and a section for each reader, also for those whose tests need something that is not
// here.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile(schemaPage)
	if err != nil {
		t.Fatal(err)
	}
	pinned := make(map[string]string)
	for _, file := range []string{"requirements.txt", "spark.txt"} {
		maps.Copy(pinned, requirements(t, filepath.Join("../../testdata/readers", file)))
	}
	for _, r := range append(embedded(), spark()) {
		if !strings.Contains(string(text), section(r)) {
			t.Errorf("the page lacks the code of %s (ERGON_UPDATE=1 and make readers or make engines write it)", r.Name)
		}
		if !strings.Contains(string(schema), "```python\n"+r.Joined+"\n```") {
			t.Errorf("%s lacks the line of %s for the joined tables:\n%s", schemaPage, r.Name, r.Joined)
		}
		if !strings.Contains(string(text), fmt.Sprintf("| %s | %s |", r.Name, pinned[r.Module])) {
			t.Errorf("the page lacks a row of %s %s", r.Name, pinned[r.Module])
		}
	}
}

// requirements returns the versions that a file pins.
func requirements(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			all[name] = version
		}
	}
	return all
}
