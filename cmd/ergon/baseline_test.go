//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/runner"
)

// meter creates a fake powercap tree that shows 40 W until the test ends.
func meter(t *testing.T) (sysfs string) {
	t.Helper()
	sysfs = t.TempDir()
	if err := fakerapl.Create(sysfs); err != nil {
		t.Fatal(err)
	}
	c := command(t, newMark(), "fakerapl", "serve", sysfs, "const:40")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	return sysfs
}

// summaryOf returns the summary that ergon report shows for the only run.
func summaryOf(t *testing.T, dir string) map[string]struct {
	Value  *float64
	Source string
	Reason *string
} {
	t.Helper()
	out, err := command(t, newMark(), "ergon", "report", "-o", dir, "-f", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Summary map[string]struct {
			Value  *float64
			Source string
			Reason *string
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Summary
}

// TestBaseline measures a machine of 40 W before and after the command. The idle energy is 40 W times the duration; the net
// energy is the rest.
func TestBaseline(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	machine := testenv.Begin(t)
	sysfs, dir := meter(t), t.TempDir()
	c := command(t, newMark(), "ergon", "-v", "--path.sysfs", sysfs, "-o", dir, "--progress", "plain", "--baseline", "1s,both", "sleep", "0.5")
	out, err := c.CombinedOutput()
	over := time.Now()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The net energy is below its uncertainty, so it is not said.
	if said := "measures the idle machine for 1s, then starts the command"; !strings.Contains(string(out), said) {
		t.Errorf("no %q in %s", said, out)
	}
	// A fake that gets no processor for 100 ms is no meter, and then there is no second baseline.
	if said := "for 1s, the command has ended"; !strings.Contains(string(out), said) {
		machine.Errorf("no %q in %s", said, out)
	}
	run := onlyRun(t, dir)
	base := run.Baseline
	if base == nil || base.Reason != "" || base.Cover != "packages" || base.Duration < 2 || len(base.Parts) != 2 || base.Busy == nil {
		t.Fatalf("%+v", base)
	}
	if math.Abs(base.Power-40) > 4 { // the counters move when the fake's process gets a processor
		machine.Errorf("the idle machine drew %v W, want 40 W", base.Power)
	}
	// The run begins with the command. The first baseline lies before it; the second begins after its end.
	end := run.Start.Add(time.Duration(*run.WallTime * float64(time.Second)))
	if run.Start.Before(base.Start.Add(time.Second)) || end.After(over.Add(-time.Second)) {
		t.Errorf("from %v to %v, with a baseline at %v and ended by %v", run.Start, end, base.Start, over)
	}
	if called := run.Start.Add(-time.Second).UTC(); run.ID[:15] > called.Format("20060102T150405") {
		t.Errorf("the id %s is later than %v", run.ID, called)
	}
	result, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Processes { // although the first one existed during the baseline
		if p.Kind == datamodel.OneProcess && (p.Start.Before(run.Start.Truncate(time.Microsecond)) || p.FirstSeen < 0) {
			t.Errorf("before the run, which began at %v: %+v", run.Start, p)
		}
	}
	sum := summaryOf(t, dir)
	energy, idle, net := sum["energy"].Value, sum["idle_energy"].Value, sum["net_energy"].Value
	if energy == nil || idle == nil || net == nil || math.Abs(*energy-*idle-*net) > 1e-9 || !strings.Contains(sum["idle_energy"].Source, "before and after") {
		t.Errorf("%+v", sum)
	}
	if !strings.Contains(string(out), "  idle") { // not said if the fake's pauses make it less than its uncertainty
		machine.Errorf("no idle energy in %s", out)
	}
}

// TestBaselineIsKept kills ergon while the command runs. The recovered run has the baseline.
func TestBaselineIsKept(t *testing.T) {
	t.Parallel()
	sysfs, dir, mark := meter(t), t.TempDir(), newMark()
	c := command(t, mark, "ergon", "--path.sysfs", sysfs, "-o", dir, "-q", "--interval", "10ms", "--baseline", "1s",
		"sh", "-c", "echo up; exec sleep 1000")
	c.Stderr = os.Stderr // with a pipe, Wait would wait for the command, which keeps it open
	k, _ := start(t, c)
	spool := func() bool { // reports whether the first readings are written
		found, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*", store.SpoolFolder, "rapl.arrows"))
		if len(found) != 1 {
			return false
		}
		r, err := store.OpenSpool(found[0])
		if err != nil {
			return false
		}
		defer func() { _ = r.Close() }()
		_, _, err = r.Next()
		return err == nil
	}
	eventually(t, "readings in the spool", spool)
	if err := k.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = k.Wait()
	recovered := command(t, newMark(), "ergon", "recover", "-o", dir, "last")
	out, err := recovered.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := onlyRun(t, dir)
	if b := run.Baseline; b == nil || b.Reason != "" || b.Power <= 0 || run.Start.Before(b.Start.Add(time.Second)) {
		t.Errorf("%+v, the run since %v", b, run.Start)
	}
	if idle := summaryOf(t, dir)["idle_energy"]; idle.Value == nil || *idle.Value <= 0 {
		t.Errorf("%+v", idle)
	}
}

// TestBaselineInterrupted ends ergon during the baseline. The command never starts, and no process is left.
func TestBaselineInterrupted(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		for _, name := range []string{"TERM", "INT"} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				sysfs, dir, mark := meter(t), t.TempDir(), newMark()
				c := command(t, mark, "ergon", "-v", "--path.sysfs", sysfs, "-o", dir, "--progress", "plain",
					"--baseline", runner.MaxBaseline.String(), "touch", filepath.Join(dir, "made"))
				c.Env = append(c.Env, env...)
				out, err := c.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewReader(out)
				if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "measures the idle machine") {
					t.Fatalf("%q, %v", line, err)
				}
				if err := c.Process.Signal(signalOf(name)); err != nil {
					t.Fatal(err)
				}
				var rest bytes.Buffer
				_, _ = rest.ReadFrom(lines)
				if status := statusOf(t, c.Wait()); status.Signal() != signalOf(name) {
					t.Errorf("status %#x: %s", status, rest.String())
				}
				noneLeft(t, mark)
				runs, err := history.History{Results: dir}.List()
				if err != nil || len(runs) != 1 || runs[0].Run.Outcome != datamodel.Cancelled {
					t.Errorf("%+v, %v", runs, err)
				}
				if r := runs[0].Run; r.ID[:15] != r.Start.UTC().Format("20060102T150405") {
					t.Errorf("run %s never began but has the start %v", r.ID, r.Start)
				}
				whole, err := store.LoadManifest(runs[0].Dir)
				if b := whole.Baseline; err != nil || b == nil || !strings.Contains(b.Reason, "interrupted") {
					t.Errorf("%+v", b)
				}
				if made, _ := filepath.Glob(filepath.Join(dir, "made")); made != nil {
					t.Error("the command was started")
				}
			})
		}
	}
}

// TestShortCommands checks that a command shorter than an interval has an energy or a bound, never 0.
func TestShortCommands(t *testing.T) {
	t.Parallel()
	still := t.TempDir()
	if err := fakerapl.Create(still); err != nil {
		t.Fatal(err)
	}
	for name, sysfs := range map[string]string{"moves": meter(t), "stands still": still} {
		for _, option := range []string{"--interval=100ms", "--align"} {
			t.Run(name+"/"+option, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				c := command(t, newMark(), "ergon", "--path.sysfs", sysfs, "-o", dir, option, "true")
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				energy := summaryOf(t, dir)["energy"]
				switch {
				case energy.Value != nil && *energy.Value > 0 && name == "moves":
				case energy.Value == nil && energy.Reason != nil && strings.Contains(*energy.Reason, "did not move"):
				default:
					t.Errorf("%+v", energy)
				}
				for _, s := range onlyRun(t, dir).Sources {
					if s.Name != "rapl" {
						continue
					}
					if (len(s.Edges) == 3) != (option == "--align") {
						t.Errorf("edges %+v", s.Edges)
					}
					for _, e := range s.Edges {
						if name != "moves" && (e.First != nil || e.Last != nil) {
							t.Errorf("an edge of a counter that did not move: %+v", e)
						}
					}
				}
			})
		}
	}
}

// TestStoppedTime stops the command for a while. The result separates this time from the time in which the command ran.
func TestStoppedTime(t *testing.T) {
	t.Parallel()
	machine := testenv.Begin(t)
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-o", dir, "--interval", "10ms", "sh", "-c", "echo $$; read -r go || exec sleep 0.2")
	k, line := start(t, c)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	signalled := func(s syscall.Signal, state string) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "state "+state, func() bool {
			stat, err := os.ReadFile(filepath.Join("/proc", line, "stat"))
			return err == nil && strings.Contains(string(stat), ") "+state)
		})
	}
	signalled(syscall.SIGSTOP, "T")
	stopped := time.Now()
	<-time.After(600 * time.Millisecond) // what is measured
	inside := time.Since(stopped).Seconds()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, status := k.end(t); status.ExitStatus() != 0 {
		t.Fatalf("status %#x: %s", status, k.stderr.String())
	}
	whole := time.Since(before).Seconds()
	if !strings.Contains(k.stderr.String(), "\n  stopped ") {
		t.Errorf("not in the summary: %s", k.stderr.String())
	}
	r, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	m := r.Tree.First(datamodel.HostLevel).Find(datamodel.DeviceLevel, "target").Metric("stopped_time")
	if !(m.Value >= inside/2 && m.Value <= whole) { // looks are put off if a busy machine makes looking slow
		machine.Errorf("%v s (%s), want %v, or half of it, to %v", m.Value, m.Reason, inside, whole)
	}
}
