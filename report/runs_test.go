package report

import (
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// listedRuns are runs as in a list: one with everything, one that failed, one that cannot be read.
func listedRuns() []Listed {
	value := func(v float64) *float64 { return &v }
	code := 3
	start := time.Now().Add(-24 * time.Hour)
	long := datamodel.Run{
		ID: "20261128T120000-abcdefghijkl", Project: "nightly builds of all", Outcome: datamodel.Done, Start: start, WallTime: value(50.3),
		Command: []string{"python3", "train.py", "--title", "it's a long one", "\x1b[31mred"},
		Summary: map[string]datamodel.Figure{
			datamodel.Energy:     {Value: value(1900), Unit: units.Joule},
			datamodel.CPUTime:    {Value: value(86), Unit: units.Second, Bound: datamodel.LowerBound},
			datamodel.PeakMemory: {Value: value(880 << 20), Unit: units.Byte},
		},
	}
	failed := datamodel.Run{
		ID: "short", Project: "p", Outcome: datamodel.TargetFailed, ExitCode: &code, Start: start.AddDate(-1, 0, 0), Command: []string{"false"},
		Summary: map[string]datamodel.Figure{datamodel.WallTime: {Value: value(2), Unit: units.Second, Bound: datamodel.LowerBound}},
	}
	killed := failed
	killed.ID, killed.ExitCode, killed.Signal = "killed", nil, "SIGKILL"
	return []Listed{
		{Run: long, Tags: []string{"baseline", "v1.0"}},
		{Run: failed},
		{Run: killed},
		{Run: datamodel.Run{ID: "broken", Project: "p", Outcome: datamodel.Unfinished}, Problem: "manifest.json is damaged, and that is told in a text longer than a line"},
	}
}

// TestRuns holds that a table of runs fits into a terminal, and that nothing is cut elsewhere.
func TestRuns(t *testing.T) {
	show := func(width int, unicode bool) []string {
		t.Helper()
		var b strings.Builder
		if err := Runs(&b, listedRuns(), Options{Width: width, Unicode: unicode}); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	}
	whole := show(0, true)
	for i, words := range []string{
		"RUN START WALL CPU MEMORY ENERGY OUTCOME PROJECT TAGS COMMAND",
		"20261128T120000-abcdefghijkl 50.3 s ≥ 1 min 26.0 s 880 MiB 1.90 kJ done nightly builds of all baseline v1.0 " +
			`python3 train.py --title 'it'\''s a long one' $'\x1b[31mred'`,
		"short ≥ 2.00 s – – – exit 3 p false",
		"killed SIGKILL",
		"broken unreadable p manifest.json is damaged, and that is told in a text longer than a line",
	} {
		line := strings.Join(strings.Fields(whole[i]), " ")
		for word := range strings.FieldsSeq(words) {
			if !strings.Contains(line, word) {
				t.Errorf("%q lacks %q", whole[i], word)
			}
		}
		if strings.Contains(whole[i], "…") {
			t.Errorf("%q is cut", whole[i])
		}
	}
	for _, width := range []int{200, 120, 80, 60, 40, 20, 5} {
		for _, unicode := range []bool{true, false} {
			lines := show(width, unicode)
			for _, line := range lines {
				if columns(line) > max(width, 45) { // what a run is and how it ended always stays
					t.Errorf("%d columns: %q has %d", width, line, columns(line))
				}
				if strings.ContainsRune(line, '\x1b') || !unicode && strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
					t.Errorf("%d columns: %q", width, line)
				}
			}
			if width == 80 && !strings.Contains(lines[1], "1.90 kJ  done") {
				t.Errorf("80 columns lack the energy: %q", lines[1])
			}
			if width == 80 && !strings.Contains(lines[4], "unreadable: manifest.json is damaged") {
				t.Errorf("80 columns lack the problem: %q", lines[4])
			}
		}
	}
	var b strings.Builder
	tags := listedRuns()[:1]
	tags[0].Tags = tags[0].Tags[:1]
	if err := Tags(&b, tags, Options{Width: 60}); err != nil || !strings.HasPrefix(b.String(), "TAG       RUN     START         COMMAND\nbaseline  ghijkl") {
		t.Errorf("%v, %q", err, b.String())
	}
}
