//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// said runs ergon and returns its stdout and stderr together, whatever its exit code.
func said(t *testing.T, results string, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	c := command(t, newMark(), append([]string{"ergon"}, words...)...)
	c.Env = append(c.Env, "ERGON_RESULTS="+results)
	c.Stdout, c.Stderr = &out, &out
	_ = c.Run() // doctor tells by its exit code what it found
	return out.String()
}

// TestDeadCounter shows a platform meter that a hypervisor shows and never moves, in every face of the program.
func TestDeadCounter(t *testing.T) {
	testenv.Long(t)
	sysfs, results := t.TempDir(), t.TempDir()
	if err := (fakerapl.Machine{Platform: true}).Create(sysfs); err != nil {
		t.Fatal(err)
	}
	check := func(face, text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if not, ok := strings.CutPrefix(w, "!"); ok == strings.Contains(text, strings.TrimPrefix(w, "!")) {
				t.Errorf("%s: about %q:\n%s", face, not, text)
			}
		}
	}
	const reason = "rapl/psys/energy: the counter did not move in 100 ms: no meter"
	check("sensors", said(t, results, "sensors", "--path.sysfs", sysfs), "Not readable here:", reason)
	check("sensors --energy", said(t, results, "sensors", "--energy", "--path.sysfs", sysfs), "none can be summed", "not summed: the counter did not move", "!  summed\n")
	check("sensors --json", said(t, results, "sensors", "--json", "--path.sysfs", sysfs), `"cause": "no_meter"`)
	check("doctor", said(t, results, "doctor", "--path.sysfs", sysfs), "rapl        not here       psys/energy: the counter did not move in 100 ms: no meter")
	text := said(t, results, "-v", "--path.sysfs", sysfs, "--baseline", "1s", "sleep", "0.3")
	check("summary", text, "not measured: energy, power", "baseline: not measured", "!\n  energy ", "!\n  power ")
	check("markdown", said(t, results, "report", "-f", "markdown"), "- not measured: energy, power (the counter did not move in ", ": no meter)")
	var run struct {
		Summary map[string]struct {
			Value  *float64
			AtMost *float64 `json:"at_most"`
			Reason string
		}
		Missing []sensors.Absence
	}
	if err := json.Unmarshal([]byte(said(t, results, "report", "-f", "json")), &run); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{datamodel.Energy, datamodel.Power, datamodel.TargetEnergy, datamodel.OtherEnergy, datamodel.IdleEnergy, datamodel.NetEnergy} {
		if m := run.Summary[name]; m.Value != nil || m.AtMost != nil || !strings.Contains(m.Reason, "no meter") && !strings.Contains(m.Reason, "baseline") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	found := false
	for _, a := range run.Missing {
		found = found || a.ID == "rapl/psys/energy" && a.Cause == sensors.NoMeter
	}
	if !found {
		t.Errorf("not among the absent sensors: %+v", run.Missing)
	}
}

// TestDeadPackage measures two packages, one of which is dead. The sum says that it is a lower bound.
func TestDeadPackage(t *testing.T) {
	testenv.Long(t)
	sysfs, results := t.TempDir(), t.TempDir()
	if err := (fakerapl.Machine{Sockets: 2, Dead: []string{"package-1"}}).Create(sysfs); err != nil {
		t.Fatal(err)
	}
	text := said(t, results, "-v", "--path.sysfs", sysfs, "--", "fakerapl", "drive", sysfs, "const:100", time.Second.String())
	if !strings.Contains(text, ">= 100 J") || !strings.Contains(text, "rapl/package-1/energy: not in the machine's energy: the counter did not move") {
		t.Errorf("%s", text)
	}
	var run struct {
		Summary map[string]struct {
			Value  float64
			Bound  datamodel.Bound
			AtMost float64 `json:"at_most"`
		}
	}
	if err := json.Unmarshal([]byte(said(t, results, "report", "-f", "json")), &run); err != nil {
		t.Fatal(err)
	}
	// Package 1 draws at most 5 kW.
	if e := run.Summary[datamodel.Energy]; e.Bound != datamodel.LowerBound || e.Value < 99.5 || e.Value > 100.5 || e.AtMost < 5100 || e.AtMost > 6500 {
		t.Errorf("%+v", e)
	}
	for _, name := range []string{datamodel.Power, datamodel.TargetEnergy} {
		if m := run.Summary[name]; m.Bound != datamodel.LowerBound {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
