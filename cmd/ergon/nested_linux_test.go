package main

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestMarksAreHandedOn checks that the runs of two nested ergons have the same events: before the inner sampler joins, while it
// takes over, and after. An event has the same process in both.
func TestMarksAreHandedOn(t *testing.T) {
	t.Parallel()
	outer, inner := t.TempDir(), t.TempDir()
	c := command(t, newMark(), "ergon", "-q", "-o", outer, "--interval", "20ms", "ergon", "-q", "-o", inner, "--interval", "20ms", "subject", "marks", "300ms")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	taken, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || taken < 20 {
		t.Fatalf("%s: %v", out, err)
	}
	load := func(dir string) (events map[string]datamodel.Event, run datamodel.Run) {
		t.Helper()
		result, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
		if err != nil {
			t.Fatal(err)
		}
		events = map[string]datamodel.Event{}
		for _, e := range result.Events {
			events[e.Name] = e
		}
		return events, result.Run
	}
	mine, run := load(inner)
	theirs, _ := load(outer)
	left := 0
	for _, w := range run.Warnings {
		if w.Subject == "marks" {
			n, err := strconv.Atoi(strings.Fields(w.Text)[0])
			if err != nil || !strings.Contains(w.Text, "not handed on") {
				t.Errorf("%+v", w)
			}
			left += n
		}
	}
	if len(mine) != taken || len(theirs)+left != taken {
		t.Errorf("%d of %d marks in the inner run, %d in the outer one, %d not handed on", len(mine), taken, len(theirs), left)
	}
	for name, e := range theirs {
		m := mine[name]
		if e.PID != m.PID || e.Time.Sub(m.Time).Abs() > time.Second {
			t.Errorf("event %s: %+v, in the inner run %+v", name, e, m)
			break
		}
	}
}
