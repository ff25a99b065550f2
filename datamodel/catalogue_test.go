package datamodel

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/units"
)

func TestCatalogue(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range Catalogue() {
		if seen[d.Name] {
			t.Errorf("%s is defined twice", d.Name)
		}
		seen[d.Name] = true
		if d.Label == "" || d.Doc == "" || strings.HasSuffix(d.Doc, ".") {
			t.Errorf("%s: label %q, doc %q: want both, the doc without a period", d.Name, d.Label, d.Doc)
		}
		if d.Detail != "" && !strings.HasSuffix(d.Detail, ".") {
			t.Errorf("%s: detail %q: want whole sentences", d.Name, d.Detail)
		}
		if !slices.Contains(units.All(), d.Unit) {
			t.Errorf("%s: unit %q is not in package units", d.Name, d.Unit)
		}
		if d.Parent != "" && !seen[d.Parent] {
			t.Errorf("%s: its parent %q is not defined before it", d.Name, d.Parent)
		}
		if d.Adds && d.Aggregate != Sum {
			t.Errorf("%s: adds up but is aggregated by %s; want sum", d.Name, d.Aggregate)
		}
		if d.Adds && d.AddsHosts {
			t.Errorf("%s: Adds already implies AddsHosts; set only one", d.Name)
		}
		if (d.Family == "") != (d.Sensor == "") {
			t.Errorf("%s: family %q, sensor %q: want both or neither", d.Name, d.Family, d.Sensor)
		}
		if got, ok := Lookup(d.Name); !ok || got != d {
			t.Errorf("Lookup(%q) = %v, %v", d.Name, got, ok)
		}
	}
	if d, ok := Lookup("no_such_metric"); ok {
		t.Errorf("Lookup of an unknown name = %v", d)
	}
	if d, ok := OfSensor("disk", "free"); !ok || d.Name != "disk.free" || d.Labels != PathLabel {
		t.Errorf(`OfSensor("disk", "free") = %v, %v`, d, ok)
	}
}

// TestCataloguePage compares docs/metrics.md with the catalogue. ERGON_UPDATE=1 rewrites the page.
func TestCataloguePage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics\n\nThis page lists every metric. `ERGON_UPDATE=1 go test ./datamodel -run TestCataloguePage` makes it from\n" +
		"`datamodel/catalogue.go`. A rule uses the name as it stands here. A metric adds up if the values of different hosts,\n" +
		"rounds and nodes have a meaningful sum. A rule without a function uses the aggregate given here.\n")
	table := func(title string, of func(Definition) bool) {
		b.WriteString("\n## " + title + "\n\n| name | what it is | unit | of | aggregate | adds up | better | label |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
		for _, d := range Catalogue() {
			if !of(d) {
				continue
			}
			adds := "no"
			switch {
			case d.Adds:
				adds = "yes"
			case d.AddsHosts:
				adds = "over hosts"
			}
			doc := d.Doc
			if d.Detail != "" {
				doc += ". " + d.Detail
			}
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s | %s | %s | %s |\n",
				d.Name, doc, d.Unit, d.Of, d.Aggregate, adds, d.Better, d.Labels)
		}
	}
	table("The summary", func(d Definition) bool { return d.Summary })
	table("From factors that somebody gave", func(d Definition) bool { return d.Derived })
	table("Outside the summary", func(d Definition) bool { return !d.Summary && !d.Derived && !strings.Contains(d.Name, ".") })
	table("Single devices", func(d Definition) bool { return strings.Contains(d.Name, ".") })
	const path = "../docs/metrics.md"
	if os.Getenv("ERGON_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s differs from the catalogue; ERGON_UPDATE=1 go test ./datamodel -run TestCataloguePage rewrites it", path)
	}
}
