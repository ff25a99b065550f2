package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// build makes the process tables of rounds of a build: four compilers, a linker and twenty small programs. change may change a
// table.
func build(r *rand.Rand, rounds int, change func(rows map[string]*datamodel.Process)) Set {
	s := Set{Bench: datamodel.Bench{Commands: []datamodel.BenchCommand{{Name: "make"}}}}
	noise := func() float64 { return max(0.1, 1+0.03*r.NormFloat64()) }
	for i := range rounds {
		rows := map[string]*datamodel.Process{}
		add := func(name string, cpu, read float64, count float64) {
			rows[name] = &datamodel.Process{
				Kind: datamodel.OneProcess, Name: name, Count: count, CPUTime: cpu * noise(), Energy: 3 * cpu * noise(),
				Read: read * noise(), Written: 1e6 * noise(), PeakMemory: 1e8 * noise(),
			}
		}
		add("cc1", 60, 1e8, 170)
		add("cc1plus", 20, 1e8, 40)
		add("as", 6, 1e6, 210)
		add("ld", 4, 1e9, 3)
		for j := range 20 {
			add(string(rune('a'+j)), 0.2, 0, 1)
		}
		if change != nil {
			change(rows)
		}
		var table []datamodel.Process
		for _, p := range rows {
			table = append(table, *p)
		}
		table = append(table, datamodel.Process{
			Kind: datamodel.UnseenProcesses, Count: math.NaN(), CPUTime: 2 * noise(), Energy: 6, Read: math.NaN(), Written: math.NaN(), PeakMemory: math.NaN(),
		})
		s.Rounds = append(s.Rounds, datamodel.Round{Block: i, Outcome: datamodel.Done, Processes: table})
	}
	return s
}

func slower(rows map[string]*datamodel.Process) {
	rows["cc1"].CPUTime *= 1.2
	rows["cc1"].Count += 12
	rows["ld"].Read += 4e8
	delete(rows, "cc1plus")
}

func cause(base, fresh Set) Cause {
	rule := Rule{Confidence: 0.95, Threshold: 0.03}
	return rule.Compare(Request{Base: base, New: []Set{fresh}}).Against[0].Benchmarks[0].Cause
}

func TestCause(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := cause(build(r, 10, nil), build(r, 10, slower))
	if !c.Tested || c.Base != 10 || c.New != 10 || len(c.Programs) != 3 || c.Others != 22 {
		t.Fatalf("%+v", c)
	}
	found := map[string]map[Measure]ProgramChange{}
	for _, p := range c.Programs {
		found[p.Name] = map[Measure]ProgramChange{}
		for _, change := range p.Changes {
			found[p.Name][change.Measure] = change
		}
	}
	near := func(name string, m Measure, want float64) {
		t.Helper()
		change, ok := found[name][m]
		if d := change.Difference; !ok || math.Abs(d.Value-want) > 0.15*math.Abs(want) || d.Low > d.Value || d.High < d.Value {
			t.Errorf("%s: %s: %+v, want %v", name, m, change, want)
		}
	}
	near("cc1", MeasureCPU, 12)
	near("cc1", MeasureStarts, 12)
	near("ld", MeasureRead, 4e8)
	near("cc1plus", MeasureCPU, -20)
	if len(found["cc1"]) != 2 || len(found["ld"]) != 1 {
		t.Errorf("more than what changed: %+v", c.Programs)
	}
	if i := slices.IndexFunc(c.Programs, func(p Program) bool { return p.Name == "cc1plus" }); math.Abs(c.Programs[i].Energy+60) > 5 {
		t.Errorf("energy: %v", c.Programs[i].Energy)
	}
}

// TestCauseFewRounds checks that one round a side shows the large changes and says that their noise is unknown.
func TestCauseFewRounds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := cause(build(r, 1, nil), build(r, 1, slower))
	if c.Tested || len(c.Programs) < 3 || c.Programs[0].Changes[0].Difference.Known() {
		t.Errorf("%+v", c)
	}
	if c := cause(build(r, 1, nil), Set{Bench: datamodel.Bench{Commands: []datamodel.BenchCommand{{}}, Rounds: []datamodel.Round{{}}}}); c.New != 0 || c.Programs != nil {
		t.Errorf("no process table: %+v", c)
	}
}

// TestCauseHolds simulates comparisons without a change, and with one of 20 % in the CPU time of one program.
func TestCauseHolds(t *testing.T) {
	testenv.Long(t)
	const trials = 200
	for _, n := range []int{6, 12} {
		r := rand.New(rand.NewPCG(5, uint64(n)))
		wrong, found := 0, 0
		for range trials {
			if len(cause(build(r, n, nil), build(r, n, nil)).Programs) > 0 {
				wrong++
			}
			c := cause(build(r, n, nil), build(r, n, func(rows map[string]*datamodel.Process) { rows["cc1"].CPUTime *= 1.2 }))
			if len(c.Programs) > 0 && c.Programs[0].Name == "cc1" {
				found++
			}
		}
		t.Logf("%d rounds a side: without a change a program is named in %.1f %%, the changed one is found in %.1f %%", n,
			100*float64(wrong)/trials, 100*float64(found)/trials)
		if wrong > trials*8/100 || // 5 % and two standard errors of 200 trials
			found < trials*80/100 {
			t.Errorf("%d rounds: %d wrong, %d found", n, wrong, found)
		}
	}
}
