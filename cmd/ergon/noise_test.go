//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestNoise measures three rounds of each load, and finds each load in the result.
func TestNoise(t *testing.T) {
	t.Parallel()
	mark := newMark()
	c := command(t, mark, "ergon", "noise", "--runs", "3", "--time", "5m", "--format", "json")
	c.Dir = t.TempDir()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got struct {
		Loads []struct {
			Name    string
			Rounds  int
			Metrics []struct {
				Metric string
				N      int
				Median float64
			}
		}
		Disturbances []struct{ Advice string }
	}
	if err := json.Unmarshal(out, &got); err != nil || len(got.Loads) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	for i, name := range []string{"cpu", "memory", "sleep"} {
		l := got.Loads[i]
		if l.Name != name || l.Rounds != 3 || len(l.Metrics) == 0 || l.Metrics[0].Metric != "wall_time" || l.Metrics[0].N != 3 || !(l.Metrics[0].Median > 0.005) {
			t.Errorf("%s: %+v", name, l)
		}
	}
	noneLeft(t, mark)

	short := command(t, newMark(), "ergon", "noise", "--time", "1ms")
	if out, err := short.CombinedOutput(); err == nil || !strings.Contains(string(out), "--time gives more") {
		t.Errorf("%v: %s", err, out)
	}
}
