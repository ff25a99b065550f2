package account

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// ofTarget returns a counter of the command with a last reading, NaN for none.
func ofTarget(id string, use sensors.Use, how sensors.Method, unit units.Unit, v float64) []*series.Series {
	if math.IsNaN(v) {
		return nil
	}
	s := sensor(id, sensors.Counter, unit, "test")
	s.Use, s.Method, s.OfTarget = use, how, true
	if how == sensors.ByWalk {
		s.Provenance = sensors.Sampled
	}
	return []*series.Series{line(s, 0, v, sec)}
}

func TestBytesOfWhatNobodyWaitsFor(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name         string
		known, seen  float64 // by the ended target, by the walk
		group, perf  float64 // CPU times
		survivors    float64
		orphans      float64
		value        float64
		from         sensors.Provenance
		bound        datamodel.Bound
		waitedForCPU float64
	}{
		{"all waited for", 100, 90, 0.7001, nan, 0, nan, 100, sensors.FromCounter, "", 0.7},
		{"the walk saw as much", 100, 100, 0.7001, nan, 0, nan, 100, sensors.FromCounter, "", 0.7},
		{"nothing but the ended target", 100, nan, nan, nan, 0, nan, 100, sensors.FromCounter, "", 0.7},
		{"many short processes", 100, 90, 10.0004, nan, 0, nan, 100, sensors.FromCounter, "", 10},
		{"the walk saw a daemon", 0, 200, 0.7001, nan, 0, nan, 200, sensors.Sampled, "lower", 0.7},
		{"no look saw the daemon", 100, 90, 0.71, nan, 0, nan, 100, sensors.Sampled, "lower", 0.7},
		{"a daemon lives on", 100, 90, 0.7001, nan, 1, nan, 100, sensors.Sampled, "lower", 0.7},
		{"perf saw the daemon's CPU time", 100, nan, nan, 1.1, 0, nan, 100, sensors.Sampled, "lower", 0.7},
		{"perf's clock runs on", 100, nan, nan, 0.95, 0, nan, 100, sensors.FromCounter, "", 0.7},
		{"perf misses exits", 100, nan, nan, 0.65, 0, nan, 100, sensors.FromCounter, "", 0.7},
		{"ergon reaped an orphan", 100, nan, nan, nan, 0, 0.002, 100, sensors.Sampled, "lower", 0.7},
		{"an orphan is about to end", 100, nan, nan, nan, -1, nan, 100, sensors.Sampled, "lower", 0.7},
		{"it left its cgroup", 100, 90, 0.1, nan, 0, nan, 100, sensors.Sampled, "lower", 0.7},
		{"only the walk", nan, 90, nan, nan, 0, nan, 90, sensors.Sampled, "lower", nan},
	} {
		var l datamodel.Ledger
		set := func(p **float64, v float64) {
			if !math.IsNaN(v) {
				*p = &v
			}
		}
		set(&l.WriteBytes, c.known)
		set(&l.GroupTime, c.group)
		set(&l.OrphansTime, c.orphans)
		if set(&l.Survivors, max(c.survivors, 0)); c.survivors < 0 {
			l.OrphansLeft = new(1.0)
		}
		if !math.IsNaN(c.waitedForCPU) {
			l.UserTime, l.SystemTime = new(c.waitedForCPU-0.1), new(0.1)
		}
		h := Host{Ledger: l, Series: append(
			ofTarget("target/written", sensors.TargetWritten, sensors.ByWalk, units.Byte, c.seen),
			ofTarget("target/cpu_time", sensors.TargetCPU, sensors.ByPerf, units.Second, c.perf)...)}
		r := Account(Input{Hosts: []Host{h}})
		m := datamodel.Pick(r.Summary, datamodel.DiskWrite)
		if m.Value != c.value || m.Provenance != c.from || m.Bound != c.bound {
			t.Errorf("%s: %v by %s, bound %q (%s); want %v by %s, bound %q", c.name, m.Value, m.Provenance, m.Bound, m.Reason, c.value, c.from, c.bound)
		}
	}
}

// TestBytesOfRandomTrees makes random trees. In each, some processes are waited for and some are seen by a look. The result is never
// above the truth, and it is a counter only if it is the truth.
func TestBytesOfRandomTrees(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	exact := 0
	for range 10_000 {
		var truth, waited, seen, cpu, waitedCPU float64
		for i := range 1 + r.IntN(20) {
			wrote, used := float64(r.IntN(1<<20)), 0.006+r.Float64()*0.1 // more than the margin
			truth, cpu = truth+wrote, cpu+used
			if i == 0 || r.IntN(6) > 0 {
				waited, waitedCPU = waited+wrote, waitedCPU+used
			}
			if r.IntN(2) == 0 {
				seen += wrote
			}
		}
		cpu += 0.0005 * r.Float64()
		h := Host{
			Ledger: datamodel.Ledger{WriteBytes: &waited, UserTime: &waitedCPU, SystemTime: new(0.0), GroupTime: &cpu},
			Series: ofTarget("target/written", sensors.TargetWritten, sensors.ByWalk, units.Byte, seen),
		}
		m := datamodel.Pick(Account(Input{Hosts: []Host{h}}).Summary, datamodel.DiskWrite)
		if m.Value > truth || m.Value < waited || m.Provenance == sensors.FromCounter && m.Value != truth ||
			(m.Bound == datamodel.LowerBound) == (m.Provenance == sensors.FromCounter) {
			t.Fatalf("%v by %s, bound %q; truth %v, waited for %v, seen %v", m.Value, m.Provenance, m.Bound, truth, waited, seen)
		}
		if m.Provenance == sensors.FromCounter {
			exact++
		}
	}
	if exact < 1000 {
		t.Errorf("only %d trees had a counter", exact)
	}
}

// TestBytesThatTheKernelRefuses checks that 0 bytes of processes that may not be read are missing, with the cause.
func TestBytesThatTheKernelRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		hasIO bool
		known *float64
		want  sensors.Provenance
	}{
		{"refused", false, nil, sensors.Missing},
		{"read", true, nil, sensors.Sampled},
		{"refused, but wait4 tells", false, new(7.0), sensors.FromCounter},
	} {
		p := process(10, 1, 0, 100)
		p.HasIO = c.hasIO
		r := Account(Input{Hosts: []Host{{
			Ledger: datamodel.Ledger{WriteBytes: c.known, ReadBytes: c.known},
			Series: ofTarget("target/written", sensors.TargetWritten, sensors.ByWalk, units.Byte, 0),
			Seen:   &datamodel.SeenProcesses{Processes: []datamodel.SeenProcess{p}},
		}}})
		m := datamodel.Pick(r.Summary, datamodel.DiskWrite)
		if m.Provenance != c.want {
			t.Errorf("%s: %v by %s (%s), want %s", c.name, m.Value, m.Provenance, m.Reason, c.want)
		}
		refused := slices.ContainsFunc(r.Missing, func(a sensors.Absence) bool { return a.ID == m.Absence && a.Cause == sensors.Denied })
		if refused != (c.want == sensors.Missing) {
			t.Errorf("%s: absences %v", c.name, r.Missing)
		}
	}
}

// TestProcessesThatCannotBeLookedAt checks that the command itself is in the table if /proc shows strangers.
func TestProcessesThatCannotBeLookedAt(t *testing.T) {
	run := datamodel.Run{Command: []string{"/usr/bin/sleep", "2"}}
	l := datamodel.Ledger{WallTime: new(2.0), TargetPID: 7, TargetTime: new(0.25), UserTime: new(0.2), SystemTime: new(0.1)}
	names := func(missing ...sensors.Absence) (out []string) {
		for _, p := range Account(Input{Run: run, Hosts: []Host{{Ledger: l, Missing: missing}}}).Processes {
			out = append(out, p.Name)
		}
		return out
	}
	if got := names(); got != nil {
		t.Errorf("nobody looked: %q", got)
	}
	foreign := sensors.Absence{ID: "target/processes_ever", Family: "target", Cause: sensors.OtherNamespace, Reason: "another /proc"}
	if got := names(foreign); !slices.Equal(got, []string{"sleep", ""}) { // the second row is what was not seen
		t.Errorf("the /proc of another namespace: %q", got)
	}
}
