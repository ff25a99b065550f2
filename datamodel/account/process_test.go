package account

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// after returns n ms.
func after(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// whole returns a summary with a CPU time and an energy, NaN for none.
func whole(cpu, energy float64) []datamodel.Metric {
	out := []datamodel.Metric{
		datamodel.Missing("cpu_time", units.Second, "no CPU time"), datamodel.Missing("target_energy", units.Joule, "no meter"),
		datamodel.Value("disk_read", 1000, units.Byte, "delta", sensors.FromCounter, "io"),
	}
	if !math.IsNaN(cpu) {
		out[0] = datamodel.Value("cpu_time", cpu, units.Second, "delta", sensors.FromCounter, "cgroup")
	}
	if !math.IsNaN(energy) {
		out[1] = datamodel.Value("target_energy", energy, units.Joule, "share", sensors.Attributed, "model")
	}
	return out
}

// process returns a process that was seen to start and to use CPU time, in ms.
func process(pid, parent, start, cpu int64) datamodel.SeenProcess {
	return datamodel.SeenProcess{
		PID: pid, Parent: parent, Count: 1, Name: fmt.Sprint("p", pid), Start: after(start), FirstSeen: after(start), LastSeen: after(start + 50),
		CPU: after(cpu), PeakMemory: 1 << 20,
	}
}

// shape returns rows as ID:PID<ParentID.
func shape(rows []datamodel.Process) string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%d:%d<%d", r.ID, r.PID, r.ParentID))
	}
	return strings.Join(out, " ")
}

func TestProcessesTree(t *testing.T) {
	for _, c := range []struct {
		name, want string
		seen       []datamodel.SeenProcess
	}{
		{"parents before children", "0:10<-1 1:11<0 2:12<1 3:-1<-1", []datamodel.SeenProcess{
			process(12, 11, 200, 0), process(10, 1, 0, 0), process(11, 10, 100, 0),
		}},
		{"a number is used again", "0:10<-1 1:11<0 2:12<1 3:11<0 4:13<3 5:-1<-1", []datamodel.SeenProcess{
			process(10, 1, 0, 0), process(11, 10, 100, 0), process(12, 11, 200, 0), process(11, 10, 300, 0), process(13, 11, 400, 0),
		}},
		{"numbers restart within one step of time", "0:9<2 1:32766<-1 2:32767<1 3:-1<-1", []datamodel.SeenProcess{
			process(32767, 32766, 100, 0), process(9, 32767, 100, 0), process(32766, 1, 100, 0),
		}},
		{"an orphan when it was first seen", "0:10<-1 1:12<-1 2:-1<-1", []datamodel.SeenProcess{
			process(10, 5, 0, 0), process(12, 1, 100, 0),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, warnings := processes(&datamodel.SeenProcesses{Processes: c.seen}, datamodel.Run{}, datamodel.Ledger{}, whole(1, 1))
			if got := shape(rows); got != c.want || len(warnings) > 0 {
				t.Errorf("%s, want %s; %v", got, c.want, warnings)
			}
		})
	}
}

// TestProcessesAddUp checks random trees. The rows have exactly the CPU time and the energy of the target. None is
// negative, and no process has more than it was seen with.
func TestProcessesAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for range 2000 {
		var seen datamodel.SeenProcesses
		used := 0.0
		for i := range r.IntN(30) {
			p := process(int64(i+2), int64(r.IntN(i+2)), r.Int64N(1000), r.Int64N(500))
			seen.Processes = append(seen.Processes, p)
			used += p.CPU.Seconds()
		}
		if r.IntN(3) == 0 {
			m := process(0, 0, 0, r.Int64N(100))
			m.Count = 7
			seen.Merged = &m
			used += m.CPU.Seconds()
		}
		cpu, energy := used*(0.5+r.Float64()), r.Float64()*1e6
		rows, warnings := processes(&seen, datamodel.Run{}, datamodel.Ledger{}, whole(cpu, energy))
		var sum, joules float64
		for i, p := range rows {
			sum, joules = sum+p.CPUTime, joules+p.Energy
			if p.CPUTime < 0 || p.Energy < 0 || p.ID != int64(i) || p.ParentID == p.ID {
				t.Fatalf("row %d: %+v", i, p)
			}
			if p.Kind == datamodel.OneProcess && p.ParentID >= 0 && p.Start.Before(rows[p.ParentID].Start) {
				t.Fatalf("row %d starts before its parent %d", i, p.ParentID)
			}
		}
		if math.Abs(sum-cpu) > 1e-9*max(cpu, 1e-3) || cpu > 0 && math.Abs(joules-energy) > 1e-9*energy {
			t.Fatalf("the rows have %v s of %v s, %v J of %v J", sum, cpu, joules, energy)
		}
		if doubt := used > 1.01*cpu && used-cpu > 0.010; doubt != (len(warnings) == 1) {
			t.Fatalf("%v s seen of %v s: %v", used, cpu, warnings)
		}
	}
}

func TestProcessesWithoutWhole(t *testing.T) {
	seen := &datamodel.SeenProcesses{Processes: []datamodel.SeenProcess{process(10, 1, 0, 100)}}
	rows, _ := processes(seen, datamodel.Run{}, datamodel.Ledger{}, whole(math.NaN(), 5))
	if len(rows) != 1 || rows[0].CPUTime != 0.1 || !math.IsNaN(rows[0].Energy) {
		t.Errorf("without a CPU time of the target: %+v", rows)
	}
	rows, _ = processes(seen, datamodel.Run{}, datamodel.Ledger{}, whole(0.25, math.NaN()))
	if len(rows) != 2 || math.Abs(rows[1].CPUTime-0.15) > 1e-12 || !math.IsNaN(rows[0].Energy+rows[1].Energy) || rows[1].Kind != datamodel.UnseenProcesses {
		t.Errorf("without an energy of the target: %+v", rows)
	}
	if c := datamodel.ProcessColumns(whole(1, math.NaN())); c[4].Provenance != sensors.Missing || c[4].Source != "no meter" {
		t.Errorf("energy: %+v", c[4])
	}
	if rows, _ := processes(nil, datamodel.Run{}, datamodel.Ledger{}, whole(1, 1)); rows != nil {
		t.Errorf("not looked at: %+v", rows)
	}
}

// TestProcessesEnd checks that the kernel's report on the ended command takes precedence over the last look. That look
// may have come before the execve.
func TestProcessesEnd(t *testing.T) {
	f := func(seenName, endName, want string, seenCPU int64, end, wantCPU float64, from sensors.Provenance) {
		t.Helper()
		p := process(10, 1, 0, seenCPU)
		p.Name = seenName
		rows, _ := processes(&datamodel.SeenProcesses{Processes: []datamodel.SeenProcess{p}},
			datamodel.Run{}, datamodel.Ledger{TargetPID: 10, TargetName: endName, TargetTime: &end}, whole(5, 5))
		if rows[0].Name != want || rows[0].CPUTime != wantCPU || rows[0].Provenance != from {
			t.Errorf("%+v", rows[0])
		}
	}
	f("ergon", "true", "true", 0, 0.001, 0.001, sensors.FromCounter)
	f("train_resnet_50.py", "train_resnet_50", "train_resnet_50.py", 100, 0.2, 0.2, sensors.FromCounter)
	f("a", "a", "a", 300, 0.2, 0.3, sensors.Sampled)
}

// TestProcessesBegin checks that no time in the table is before the command. The process that becomes the command
// exists earlier, for the length of a baseline and the first readings. The kernel gives starts in steps.
func TestProcessesBegin(t *testing.T) {
	anchor := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	held := process(10, 1, -3062, 2)
	held.FirstSeen, held.LastSeen, held.Gone, held.Ended = after(-3060), after(1), after(2), true
	child := process(11, 10, -8, 1)
	child.FirstSeen, child.LastSeen = after(100), after(200)
	merged := process(0, 0, -5, 1)
	for _, c := range []struct {
		name               string
		start              time.Time
		began, first, last float64
	}{
		{"known", anchor.Add(after(3)), 0.003, 0.1, 0.2},
		{"the clock was set back", anchor.Add(-time.Hour), 0, 0.1, 0.2},
		{"the clock was set forward", anchor.Add(time.Hour), 0, 0.1, 0.2},
		{"the first readings hung", anchor.Add(2 * time.Second), 2, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := &datamodel.SeenProcesses{Anchor: anchor, Processes: []datamodel.SeenProcess{child, held}, Merged: &merged}
			rows, _ := processes(seen, datamodel.Run{Start: c.start}, datamodel.Ledger{}, whole(1, 1))
			began := anchor.Add(time.Duration(c.began * float64(time.Second)))
			for _, r := range rows[:3] {
				if r.Start.Before(began) || r.FirstSeen < c.began || r.LastSeen < r.FirstSeen || !r.End.IsZero() && r.End.Before(began) {
					t.Errorf("before %v: %+v", c.began, r)
				}
			}
			if r := rows[0]; r.PID != 10 || !r.Start.Equal(began) || r.FirstSeen != c.began {
				t.Errorf("the command: %+v", r)
			}
			if r := rows[1]; r.PID != 11 || r.ParentID != 0 || r.FirstSeen != c.first || r.LastSeen != c.last {
				t.Errorf("its child: %+v", r)
			}
			if held.Start != after(-3062) || seen.Processes[1].Start != after(-3062) || merged.Start != after(-5) {
				t.Error("what was given is changed")
			}
		})
	}
}

// TestProcessesReaped checks that the command ends when it is reaped, and its children at the latest when a look first
// missed them. An impossible end is ignored, as on a tape from before the run's start was known exactly.
func TestProcessesReaped(t *testing.T) {
	anchor := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	root, child := process(10, 1, 0, 2), process(11, 10, 100, 1)
	for _, p := range []*datamodel.SeenProcess{&root, &child} {
		p.LastSeen, p.Gone, p.Ended = after(400), after(530), true
	}
	f := func(began, wall, want time.Duration) {
		t.Helper()
		took := wall.Seconds()
		rows, _ := processes(&datamodel.SeenProcesses{Anchor: anchor, Processes: []datamodel.SeenProcess{root, child}},
			datamodel.Run{Start: anchor.Add(began)}, datamodel.Ledger{TargetPID: 10, WallTime: &took}, whole(1, 1))
		if end := rows[0].End.Sub(anchor); end.Round(time.Microsecond) != want {
			t.Errorf("after %v from %v: the command ended at %v, want %v", wall, began, end, want)
		}
		if end := rows[1].End.Sub(anchor); end != after(530) {
			t.Errorf("the child ended at %v", end)
		}
	}
	f(after(3), after(502), after(505))
	f(after(3), after(300), after(530))
	f(after(3), after(800), after(530))
	f(-after(4), after(502), after(530))
}

func TestCPUSource(t *testing.T) {
	p := process(10, 1, 0, 100)
	rows, _ := processes(&datamodel.SeenProcesses{Processes: []datamodel.SeenProcess{p}}, datamodel.Run{}, datamodel.Ledger{}, whole(1, 1))
	if s := rows[0].CPUSource(); !strings.Contains(s, "when last seen") {
		t.Errorf("a process: %s", s)
	}
	if s := rows[1].CPUSource(); !strings.Contains(s, "lived between two looks") || !strings.Contains(datamodel.ProcessColumns(nil)[0].Source, s) {
		t.Errorf("not seen: %s", s)
	}
}
