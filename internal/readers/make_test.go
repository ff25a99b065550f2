package readers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet/file"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// beats is the number of readings of a made-up run, beat the time between two.
	beats = 21
	beat  = 100 * time.Millisecond
	// wrapAt is the value in J at which the energy counters of made-up runs restart from 0. Every third run passes it.
	wrapAt = 500.0
)

// made is a run with made-up readings.
type made struct {
	// Dir is its folder, and Start when it began.
	Dir   string
	Start time.Time
	// Project, Date and ID are what a reader must find in the columns of the partitions.
	Project, Date, ID string
	// Summary is what `ergon report -f json` shows of the metrics that add up and have a value.
	Summary map[string]float64
}

// projects returns names that a reader may take for a number or a date, and names that are escaped in the folder's name.
func projects() []string { return []string{"train", "a b=c%", "2026", "größe", "2026-01-01"} }

// makeRuns makes n runs below results as ergon makes them: from spools, by accounting, with all files. Only the readings are
// made up. The same n gives the same runs.
func makeRuns(t testing.TB, results string, n int) []made {
	t.Helper()
	runs, errs := make([]made, n), make([]error, n)
	var workers sync.WaitGroup
	for w := range 8 { // most of the time they wait for the disk
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				runs[i], errs[i] = makeRun(results, i)
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return runs
}

// makeRun makes run number i. Like ergon recover, it makes the files from the spool of a run whose command has ended.
func makeRun(results string, i int) (_ made, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("run %d: %w", i, err)
		}
	}()
	start := time.Date(2026, 1, 1, 9, 30, 0, 0, time.UTC).Add(time.Duration(i) * 7 * time.Hour)
	id := fmt.Sprintf("%s-%06d", start.Format(store.IDTime), i)
	if i%50 == 7 {
		id = fmt.Sprint(i) // as --run-id may choose it
	}
	code := 0
	run := datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: id, Project: projects()[i%len(projects())], Command: []string{"./work", fmt.Sprint(i)},
		Folder: "/home/u", Outcome: datamodel.Done, ExitCode: &code, Start: start, Version: "made up",
		Host: datamodel.HostInfo{Name: fmt.Sprintf("node%d", i%3), OS: "linux", CPUs: 2},
	}
	folder, err := store.NewRun(results, run.Project, start, id, store.Access{})
	if err != nil {
		return made{}, err
	}
	dir := folder.Path()
	if err := errors.Join(fill(folder, run, i), folder.Close()); err != nil {
		return made{}, err
	}
	if _, err := runner.Recover(dir, false); err != nil {
		return made{}, err
	}
	summary, err := reported(dir)
	return made{Dir: dir, Start: start, Project: run.Project, Date: start.Format(time.DateOnly), ID: id, Summary: summary}, err
}

// fill writes the spool, the ledger and the manifest of a run into its folder, as they are when the command has ended.
func fill(folder *store.Folder, run datamodel.Run, i int) error {
	spool, err := folder.Make(store.SpoolFolder)
	if err != nil {
		return err
	}
	defer func() { _ = spool.Close() }()
	random := rand.New(rand.NewPCG(1, uint64(i)))
	wall := (beats - 1) * beat.Seconds()
	user := wall * (0.5 + random.Float64())
	system := user * random.Float64() / 3
	energy := 20 + 200*random.Float64()
	number := func(v float64) *float64 { return &v }
	run.WallTime = &wall
	ledger := datamodel.Ledger{
		WallTime: &wall, UserTime: &user, SystemTime: &system, MaxRSS: number(10 << 20), RSSFloor: number(1 << 20),
		ReadBytes: number(float64(4096 * i)), WriteBytes: number(1e6 * random.Float64()), IOSource: "made up",
		MinorFaults: number(float64(i)), MajorFaults: number(0), RunnerTime: number(random.Float64() / 100),
	}
	for _, s := range sources(run, i, user, system, energy) {
		run.Sources = append(run.Sources, datamodel.SourceStats{
			Name: s.Header.Source, Interval: beat.Seconds(), Sensors: len(s.Header.Sensors), Readings: beats, ReadTime: random.Float64() / 1000,
		})
		if err := store.Save(spool, []store.Rows{s}); err != nil {
			return err
		}
	}
	if err := seen(spool, run.Start, user+system); err != nil {
		return err
	}
	room, err := store.ReserveState(spool, 0)
	if err != nil {
		return err
	}
	return errors.Join(room.Save(store.State{Run: run, Ledger: ledger}), room.Close(), store.NoteManifest(folder, run))
}

// sources returns the readings of the machine's CPUs, of its energy counters and of the command. The package's counter of every
// third run wraps. Some readings are missing.
func sources(run datamodel.Run, i int, user, system, energy float64) []store.Rows {
	counter := func(id, family, device, name string, unit units.Unit, use sensors.Use) sensors.Sensor {
		return sensors.Sensor{
			ID: id, Family: family, Device: device, Name: name, Unit: unit, Kind: sensors.Counter, Use: use, Source: "made up", Doc: "made up",
		}
	}
	zone := func(device string, of sensors.DomainKind) sensors.Sensor {
		s := counter("rapl/"+device+"/energy", "rapl", device, "energy", units.Joule, "")
		s.Domain, s.Method, s.Wrap, s.MaxRate, s.Resolution = sensors.Domain{Kind: of}, sensors.ByPowercap, wrapAt, 5000, 1e-6
		return s
	}
	own := func(name string, unit units.Unit, use sensors.Use, kind sensors.Kind) sensors.Sensor {
		s := counter("target/"+name, "target", "", name, unit, use)
		s.Kind, s.Method, s.OfTarget, s.Sparse = kind, sensors.ByCgroup, true, true
		return s
	}
	list := [][]sensors.Sensor{
		{
			counter("cpu/user", "cpu", "", "user", units.Second, sensors.CPUUser),
			counter("cpu/system", "cpu", "", "system", units.Second, sensors.CPUSystem),
			counter("cpu/idle", "cpu", "", "idle", units.Second, sensors.CPUIdle),
		},
		{zone("package-0", sensors.PackageDomain), zone("core", sensors.CoreDomain), zone("dram", sensors.DRAMDomain)},
		{
			own("cpu_time", units.Second, sensors.TargetCPU, sensors.Counter),
			own("memory", units.Byte, sensors.TargetMemory, sensors.Gauge),
			own("read", units.Byte, sensors.TargetRead, sensors.Counter),
			own("processes_ever", units.Processes, sensors.TargetProcessesEver, sensors.Gauge),
		},
	}
	list[2][3].HighWater = true
	begin := 100.0
	if i%3 == 0 {
		begin = wrapAt - energy/2
	}
	all := make([]store.Rows, len(list))
	for k, of := range list {
		all[k].Header = store.SpoolHeader{
			Source: of[0].Family, Host: run.Host.Name, Interval: beat, Anchor: run.Start, Sensors: of, Version: run.Version,
		}
	}
	for n := range beats {
		at, part := time.Duration(n)*beat, float64(n)/(beats-1)
		spent := func(share float64) float64 { return math.Mod(begin*share+energy*share*part*part, wrapAt) }
		memory := 5e6 * (1 + math.Sin(3*part))
		if n == 4 {
			memory = math.NaN()
		}
		all[0].Append(at, []float64{100 + user*part*1.1, 50 + system*part, 900 + 4*part*(beats-1)*beat.Seconds() - (user+system)*part})
		all[1].Append(at, []float64{math.Mod(begin+energy*part*part, wrapAt), spent(0.6), spent(0.1)})
		all[2].Append(at, []float64{(user + system) * part, memory, float64(4096*i) * part, float64(1 + n/10)})
	}
	return all
}

// seen notes a process of the command and its child.
func seen(spool *store.Folder, start time.Time, cpu float64) error {
	s, err := store.CreateProcessSpool(spool, 0, start, store.MostProcesses)
	if err != nil {
		return err
	}
	end := start.Add((beats - 1) * beat)
	for n, name := range []string{"work", "child"} {
		err = errors.Join(err, s.Put(sensors.Process{
			PID: 100 + n, Parent: 99 + n, Start: start, Name: name, FirstSeen: start, LastSeen: end.Add(-beat), Gone: end,
			CPU: time.Duration(cpu / 2 * float64(time.Second)), PeakMemory: 5 << 20, HasIO: true,
		}))
	}
	return errors.Join(err, s.Flush(end), s.Close())
}

// reported returns what `ergon report -f json` shows of the metrics that add up and have a value.
func reported(dir string) (map[string]float64, error) {
	result, err := store.Load(dir)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, f := range report.All() {
		if f.Name == "json" {
			err = f.Write(&b, result, report.Options{})
		}
	}
	var page struct {
		Summary map[string]struct{ Value *float64 }
	}
	if err := errors.Join(err, json.Unmarshal(b.Bytes(), &page)); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(dir), err)
	}
	out := make(map[string]float64)
	for _, d := range datamodel.Summary() {
		if v := page.Summary[d.Name].Value; d.Adds && v != nil {
			out[d.Name] = *v
		}
	}
	return out, nil
}

// TestMakeRuns checks that the made-up runs have what the other tests need: an energy, a wrap, missing values, processes.
func TestMakeRuns(t *testing.T) {
	runs := makeRuns(t, t.TempDir(), 4)
	for _, r := range runs {
		for _, name := range []string{datamodel.Energy, datamodel.TargetEnergy, datamodel.CPUTime, datamodel.DiskRead, datamodel.ProcessCount} {
			if _, ok := r.Summary[name]; !ok {
				t.Errorf("run %s has no %s", r.ID, name)
			}
		}
		if r.Summary[datamodel.Energy] > wrapAt {
			t.Errorf("run %s: %v J", r.ID, r.Summary[datamodel.Energy])
		}
	}
}

// TestColumns checks that no table has a column with the name of a partition. pandas and PyArrow would refuse to read several
// files with one: "Unable to merge: Field project has incompatible types".
func TestColumns(t *testing.T) {
	for _, path := range tables(t, makeRuns(t, t.TempDir(), 1)[0].Dir) {
		f, err := file.OpenParquetFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.MetaData().Schema.NumColumns() {
			if name := f.MetaData().Schema.Column(i).Name(); slices.Contains([]string{"project", "date", "run"}, name) {
				t.Errorf("%s has a column %s, and so have the partitions", filepath.Base(path), name)
			}
		}
		f.Close()
	}
}

// tables lists the Parquet files of a run.
func tables(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil || len(list) < 4 {
		t.Fatalf("%v, %v", list, err)
	}
	return list
}
