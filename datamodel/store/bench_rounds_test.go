package store_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// benchRun is a bench of two commands in so many blocks. The second command has no peak memory, and its last round failed.
// Energy is missing in all rounds but the first one.
func benchRun(blocks int) datamodel.Run {
	run := sampleRun()
	run.Start = run.Start.Truncate(time.Microsecond).UTC() // as the tables have it
	b := datamodel.Bench{
		Commands: []datamodel.BenchCommand{
			{Name: "first", Command: []string{"gzip", "-k", "f"}, Parameters: []datamodel.Parameter{{Name: "n", Value: "1"}}},
			{Name: "zwei ✓", Command: []string{"zstd", "f"}},
		},
		Order: datamodel.Shuffled, Seed: 7, Warmup: 1, Ended: datamodel.BenchComplete,
	}
	for block := range blocks {
		for c := range b.Commands {
			n := len(b.Rounds)
			energy := datamodel.Value(datamodel.Energy, 12.5, units.Joule, "sum", sensors.FromCounter, "package-0")
			energy.Parts = []datamodel.Part{{Kind: datamodel.CPUPart, Name: "packages"}}
			energy.Uncertainty = 0.25
			if n > 0 {
				energy = energy.Lacking("no reading")
				energy.Absence = "rapl"
			}
			cpu := datamodel.Value(datamodel.CPUTime, 0.25*float64(n), units.Second, "delta", sensors.FromCounter, "cgroup").Least(9)
			cpu.Count, cpu.Gaps, cpu.Min = 7, 1, 0.5
			memory := datamodel.Value(datamodel.PeakMemory, 4096, units.Byte, "max", sensors.Sampled, "walk")
			if c == 1 {
				memory = datamodel.Missing(datamodel.PeakMemory, units.Byte, "not seen")
			}
			b.Rounds = append(b.Rounds, datamodel.Round{
				Command: c, Block: block, Start: run.Start.Add(time.Duration(n) * time.Second), Outcome: datamodel.Done,
				Metrics: []datamodel.Metric{
					datamodel.Value(datamodel.WallTime, 1+float64(n)/8, units.Second, "delta", sensors.FromCounter, "clock"), cpu, memory, energy,
				},
				Processes: []datamodel.Process{
					{
						Kind: datamodel.OneProcess, ID: 0, ParentID: -1, PID: int64(100 + n), Parent: 1, Name: "gzip", Start: run.Start, Count: 1,
						CPUTime: 0.5, Provenance: sensors.FromCounter, PeakMemory: math.NaN(), Read: 1, Written: 2, Energy: math.NaN(), FirstSeen: 0, LastSeen: 0.5,
					},
				},
			})
		}
	}
	last := &b.Rounds[len(b.Rounds)-1]
	last.ExitCode, last.Outcome, last.Conditions = 3, datamodel.TargetFailed, []datamodel.Condition{datamodel.OtherLoad, datamodel.Steal}
	run.SetCommand(b.Commands[0].Command)
	run.Bench = &b
	return run
}

// saveBench writes a bench and returns its folder.
func saveBench(t testing.TB, run datamodel.Run) string {
	t.Helper()
	dir, err := newRun(t.TempDir(), run.Project, run.Start, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	files := folderAt(dir).Files()
	if err := errors.Join(files.SaveBench(run), files.SaveManifest(run)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sameRounds compares rounds, with NaN equal to NaN. lean also leaves out of the first ones what is missing in all rounds of a
// command, as the tables have it once.
func sameRounds(t *testing.T, got, want []datamodel.Round, lean bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rounds, want %d", len(got), len(want))
	}
	type key struct {
		command int
		metric  string
	}
	ever := map[key]bool{} // the metrics that a round of a command has
	for _, r := range want {
		for _, m := range r.Metrics {
			ever[key{r.Command, m.Name}] = ever[key{r.Command, m.Name}] || !math.IsNaN(m.Value)
		}
	}
	told := map[key]bool{}
	for i := range want {
		x, y := got[i], want[i]
		var metrics []datamodel.Metric
		for _, m := range y.Metrics {
			of := key{y.Command, m.Name}
			if !lean || ever[of] || !told[of] {
				metrics = append(metrics, m)
			}
			told[of] = true
		}
		y.Metrics = metrics
		if !x.Start.Equal(y.Start) || x.Command != y.Command || x.Block != y.Block || x.ExitCode != y.ExitCode || x.Outcome != y.Outcome ||
			strings.Join(x.Conditions, " ") != strings.Join(y.Conditions, " ") {
			t.Fatalf("round %d is %+v, want %+v", i, x, y)
		}
		if !sameTree(&datamodel.Node{Metrics: x.Metrics}, &datamodel.Node{Metrics: y.Metrics}) {
			t.Fatalf("round %d has\n%+v, want\n%+v", i, x.Metrics, y.Metrics)
		}
		for k := range x.Processes {
			for _, p := range []*datamodel.Process{&x.Processes[k], &y.Processes[k]} {
				for _, v := range []*float64{&p.PeakMemory, &p.Energy} {
					if math.IsNaN(*v) {
						*v = -1
					}
				}
				p.Start = p.Start.UTC()
			}
		}
		if !reflect.DeepEqual(x.Processes, y.Processes) {
			t.Fatalf("round %d has %+v, want %+v", i, x.Processes, y.Processes)
		}
	}
}

// TestBench writes a bench and reads it back, also with more rows than a row group has.
func TestBench(t *testing.T) {
	for _, blocks := range []int{1, 3, 5_000} {
		run := benchRun(blocks)
		run.Bench.Batch = 4 // which changes no digit of a figure
		dir := saveBench(t, run)
		got, err := store.LoadBench(dir)
		if err != nil {
			t.Fatal(err)
		}
		sameRounds(t, got.Rounds, run.Bench.Rounds, true)
		got.Rounds = nil
		want := *run.Bench
		want.Rounds = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		onlyFiles(t, dir, store.ManifestFile, store.MetricsFile, store.NodesFile, store.ProcessesFile, store.SummaryFile)
	}
}

// TestBenchWithoutRounds reads a bench that goes on, one that was killed before its first round had ended, and a plain run.
func TestBenchWithoutRounds(t *testing.T) {
	run := benchRun(1)
	run.Bench.Rounds = nil
	for _, dir := range []string{saveBench(t, run), saveRun(t, t.TempDir(), run)} {
		got, err := store.LoadBench(dir)
		if err != nil || len(got.Rounds) != 0 || len(got.Commands) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	plain := sampleRun()
	code := 4
	plain.ExitCode, plain.Outcome = &code, datamodel.TargetFailed
	plain.Warnings = []datamodel.Warning{{Subject: "cpu", Text: "no condition"}, {Subject: datamodel.Swapping, Text: "the machine swapped"}}
	dir := saveRun(t, t.TempDir(), plain)
	if err := errors.Join(saveTree(dir, plain, sampleTree(1)), saveManifest(dir, plain)); err != nil {
		t.Fatal(err)
	}
	got, err := store.LoadBench(dir)
	if err != nil || len(got.Rounds) != 1 || len(got.Commands) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if r := got.Rounds[0]; r.ExitCode != 4 || r.Outcome != datamodel.TargetFailed || !slices.Equal(r.Conditions, []string{datamodel.Swapping}) || len(r.Metrics) == 0 {
		t.Errorf("%+v", r)
	}
}

// TestBenchRefuses writes rounds that could not be read back.
func TestBenchRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*datamodel.Round){
		"a command that is not there": func(r *datamodel.Round) { r.Command = 2 },
		"a huge block":                func(r *datamodel.Round) { r.Block = 1 << 40 },
	} {
		run := benchRun(2)
		spoil(&run.Bench.Rounds[1])
		files := folderAt(t.TempDir()).Files()
		if err := files.SaveBench(run); err == nil {
			t.Errorf("wrote %s", name)
		}
		files.Drop()
	}
}

// TestRoundLog reads back what a bench wrote while it went on: whole, cut off at each byte of the last line, and damaged.
func TestRoundLog(t *testing.T) {
	run := benchRun(5)
	dir := t.TempDir()
	log, err := store.CreateRoundLog(folderAt(dir))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range run.Bench.Rounds {
		noted := run
		noted.Accounting = string(rune('a' + i))
		if err := errors.Join(log.Add(r), log.Note(noted)); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	rounds, noted, unread, err := store.ReadRounds(folderAt(dir))
	if err != nil || unread != nil || noted.Accounting != "j" || noted.ID != run.ID {
		t.Fatalf("%+v, %v, %v", noted, unread, err)
	}
	sameRounds(t, rounds, run.Bench.Rounds, false)

	path := filepath.Join(dir, "rounds.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.LastIndexByte(strings.TrimSuffix(string(whole), "\n"), '\n')
	for _, n := range []int{last + 1, last + 2, (last + len(whole)) / 2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		rounds, noted, unread, err := store.ReadRounds(folderAt(dir))
		if err != nil || unread != nil || len(rounds) != 10 || noted.Accounting != "i" {
			t.Errorf("cut off at %d of %d: %d rounds, %q, %v, %v", n, len(whole), len(rounds), noted.Accounting, unread, err)
		}
	}
	spoilt := strings.Replace(string(whole), `"exit_code":3`, `"exit_code":4`, 1)
	if err := os.WriteFile(path, []byte(spoilt), 0o600); err != nil {
		t.Fatal(err)
	}
	rounds, _, unread, err = store.ReadRounds(folderAt(dir))
	if err != nil || !errors.Is(unread, store.ErrDamaged) || len(rounds) != 9 {
		t.Errorf("damaged: %d rounds, %v, %v", len(rounds), unread, err)
	}
	if _, _, _, err := store.ReadRounds(folderAt(t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}

// TestRoundLogIsLean checks that a round takes little room after the first ones, although the commands differ in what they lack.
func TestRoundLogIsLean(t *testing.T) {
	run := benchRun(100)
	dir := t.TempDir()
	log, err := store.CreateRoundLog(folderAt(dir))
	if err != nil {
		t.Fatal(err)
	}
	sizes := make([]int64, len(run.Bench.Rounds))
	for i, r := range run.Bench.Rounds {
		if err := log.Add(r); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "rounds.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		sizes[i] = info.Size()
	}
	const most = 120 // bytes a metric, with its part of the round and its process
	if each := (sizes[199] - sizes[9]) / 190 / 4; each > most {
		t.Errorf("a round takes %d bytes a metric, want at most %d", each, most)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// wideBench is a bench of one command with so many rounds of 16 metrics, as of a short command.
func wideBench(rounds int) datamodel.Run {
	run := benchRun(1)
	b := run.Bench
	b.Commands = b.Commands[:1]
	one := b.Rounds[0]
	one.Metrics = nil
	for _, d := range datamodel.Summary()[:16] {
		one.Metrics = append(one.Metrics, datamodel.Value(d.Name, 0, d.Unit, "delta", sensors.FromCounter, "a source of "+d.Name))
	}
	b.Rounds = nil
	for i := range rounds {
		r := one
		r.Block = i
		r.Metrics = slices.Clone(one.Metrics)
		for k := range r.Metrics {
			r.Metrics[k].Value = 1 + float64(i*16+k)/7
		}
		b.Rounds = append(b.Rounds, r)
	}
	return run
}

func BenchmarkBench(b *testing.B) {
	run := wideBench(10_000)
	b.Run("save", func(b *testing.B) {
		dir := b.TempDir()
		for b.Loop() {
			files := folderAt(dir).Files()
			if err := errors.Join(files.SaveBench(run), files.SaveManifest(run)); err != nil {
				b.Fatal(err)
			}
		}
	})
	dir := saveBench(b, run)
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.LoadBench(dir); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("add", func(b *testing.B) {
		log, err := store.CreateRoundLog(folderAt(b.TempDir()))
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			if err := log.Add(run.Bench.Rounds[i%len(run.Bench.Rounds)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
