//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/cmd/ergon/doctor"
	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	repository   = "../.."
	accuracyPage = repository + "/docs/accuracy.md"
)

// pageMachines lists the machines that the page shows.
func pageMachines() []string { return []string{"epyc-2s-dies", "laptop-psys", "empty-vm"} }

// TestAccuracyPage compares the generated parts of the page with what the program prints today. ERGON_UPDATE=1 rewrites them.
func TestAccuracyPage(t *testing.T) {
	sections := map[string]string{}
	var table strings.Builder
	cells := func(row []string) { fmt.Fprintf(&table, "| %s |\n", strings.Join(row, " | ")) }
	cells(verdictHead())
	cells([]string{"---", "---:", "---:", "---:", "---:", "---", "---"})
	for _, p := range playedCases() {
		cells(replayed(t, p).row())
	}
	sections["curves"] = table.String()
	for _, name := range pageMachines() {
		energy, err := os.ReadFile(filepath.Join("testdata", "energy", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		sections["energy "+name] = fenced(string(energy))
		sections["doctor "+name] = fenced(diagnosis(t, name))
	}
	page, err := os.ReadFile(accuracyPage)
	if err != nil {
		t.Fatal(err)
	}
	got := string(page)
	for name, text := range sections {
		open, end := "<!-- generated: "+name+" -->\n", "<!-- end -->"
		before, rest, found := strings.Cut(got, open)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Errorf("%s has no section %q", accuracyPage, name)
			continue
		}
		got = before + open + text + end + after
	}
	if strings.Count(got, "<!-- generated: ") != len(sections) {
		t.Errorf("the page has sections that no test generates")
	}
	if got == string(page) {
		return
	}
	if os.Getenv("ERGON_UPDATE") == "" {
		was := strings.Split(string(page), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(was) || was[i] != line {
				t.Fatalf("%s differs from the program (ERGON_UPDATE=1 rewrites it); line %d should be\n%s", accuracyPage, i+1, line)
			}
		}
	}
	if err := os.WriteFile(accuracyPage, []byte(got), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fenced(text string) string { return "```text\n" + strings.TrimRight(text, "\n") + "\n```\n" }

// diagnosis returns what ergon doctor tells an ordinary user of that machine about its energy sources: only root may read energy_uj.
func diagnosis(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "testdata", "hosts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^-- (sys/\S*/energy_uj) --\n.*\n`).ReplaceAll(text, []byte("-- $1 (unreadable) --\n"))
	host := fixture.Unpack(t, string(text))
	list, missing := energySensors(t, host)
	facts := doctor.Facts{System: "linux", UID: 1000, Paranoid: "2", Missing: missing}
	for _, s := range list {
		facts.Sensors = append(facts.Sensors, doctor.Reading{Backend: s.Backend, Family: s.Family})
	}
	for i, a := range facts.Missing {
		facts.Missing[i].Source = strings.Replace(a.Source, host.Sys, "/sys", 1)
		facts.Missing[i].Reason = strings.NewReplacer(host.Sys, "/sys",
			// Root may read any file, so the file is replaced by a folder.
			"not a regular file", "permission denied (root only since Linux 5.10, CVE-2020-8694)",
		).Replace(a.Reason)
		if a.Cause == sensors.Unreadable {
			facts.Missing[i].Cause = sensors.Denied
		}
	}
	return strings.Join(doctor.Examine(facts).Text(), "\n")
}
