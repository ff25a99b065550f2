package store_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// seenProcess is one as a look sees it, ended or not.
func seenProcess(anchor time.Time, pid int, cpu time.Duration, ended bool) sensors.Process {
	p := sensors.Process{
		PID: pid, Parent: 1, Start: anchor.Add(time.Second), Name: fmt.Sprint("p", pid%10), FirstSeen: anchor.Add(time.Second),
		LastSeen: anchor.Add(2 * time.Second), CPU: cpu, PeakMemory: 1 << 20, Read: 100, Written: 10, HasIO: true,
	}
	if ended {
		p.Gone = anchor.Add(3 * time.Second)
	}
	return p
}

func createProcesses(t *testing.T, dir string, most int) (*store.ProcessSpool, time.Time) {
	t.Helper()
	anchor := time.Now()
	s, err := store.CreateProcessSpool(folderAt(dir), 0, anchor, most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, anchor
}

func readProcesses(t *testing.T, dir string) *datamodel.SeenProcesses {
	t.Helper()
	seen, err := store.ReadProcesses(folderAt(dir))
	if err != nil || seen == nil {
		t.Fatalf("%v, %v", seen, err)
	}
	return seen
}

// TestProcessSpool reads what was written at any time: the sampler may be killed at each.
func TestProcessSpool(t *testing.T) {
	dir := t.TempDir()
	if seen, err := store.ReadProcesses(folderAt(dir)); seen != nil || err != nil {
		t.Fatalf("nothing recorded: %v, %v", seen, err)
	}
	s, anchor := createProcesses(t, dir, store.MostProcesses)
	if seen := readProcesses(t, dir); len(seen.Processes) != 0 || !seen.Anchor.Equal(anchor) {
		t.Fatalf("%+v", seen)
	}
	hostile := seenProcess(anchor, 10, time.Second, false)
	hostile.Name, hostile.CommandLine = "\x1b[2J\n\xff", strings.Repeat("\u202e\xfe", 5000)
	hostile.HasIO = false
	if err := errors.Join(s.Put(hostile), s.Put(seenProcess(anchor, 11, 0, false)), s.Put(seenProcess(anchor, 12, 5, true))); err != nil {
		t.Fatal(err)
	}
	later := anchor.Add(time.Minute)
	if err := s.Flush(later); err != nil {
		t.Fatal(err)
	}
	seen := readProcesses(t, dir)
	if len(seen.Processes) != 3 || seen.Merged != nil || seen.Dropped != 0 {
		t.Fatalf("%+v", seen)
	}
	want := datamodel.SeenProcess{
		PID: 12, Parent: 1, Count: 1, Name: "p2", Start: time.Second, FirstSeen: time.Second, LastSeen: 2 * time.Second,
		Gone: 3 * time.Second, Ended: true, CPU: 5, PeakMemory: 1 << 20, Read: 100, Written: 10, HasIO: true,
	}
	if got := seen.Processes[2]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	first := seen.Processes[0]
	if first.Name != hostile.Name || first.CommandLine != hostile.CommandLine[:1<<13] || first.HasIO || first.Ended {
		t.Errorf("%.100q", fmt.Sprint(first))
	}
	if first.LastSeen != time.Minute {
		t.Errorf("one that goes on was last seen at %v, not at the last look", first.LastSeen)
	}
	// It executes something else and ends; its number is used again by another.
	again := seenProcess(anchor, 10, 3*time.Second, true)
	another := seenProcess(anchor, 10, 0, false)
	another.Start = anchor.Add(4 * time.Second)
	if err := errors.Join(s.Put(again), s.Put(another), s.Close()); err != nil {
		t.Fatal(err)
	}
	seen = readProcesses(t, dir)
	if len(seen.Processes) != 4 || seen.Processes[0].Name != "p0" || !seen.Processes[0].Ended || seen.Processes[0].CPU != 3*time.Second ||
		seen.Processes[3].PID != 10 || seen.Processes[3].Start != 4*time.Second || seen.Processes[3].Ended {
		t.Errorf("%+v", seen.Processes)
	}
}

// TestProcessSpoolMerges: in a full table those that have ended and used least are merged, and nothing is lost.
func TestProcessSpoolMerges(t *testing.T) {
	const most, all = 20, 500
	dir := t.TempDir()
	s, anchor := createProcesses(t, dir, most)
	var total time.Duration
	if err := s.Put(seenProcess(anchor, 1, 1, false)); err != nil { // lives throughout
		t.Fatal(err)
	}
	for i := range all {
		cpu := time.Duration(i*7919%all) * time.Millisecond
		total += cpu
		if err := errors.Join(s.Put(seenProcess(anchor, i+2, 0, false)), s.Put(seenProcess(anchor, i+2, cpu, true))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(anchor); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "processes.table"))
	if err != nil || info.Size() != (most+1)*128 {
		t.Errorf("%v, %v", info.Size(), err)
	}
	seen := readProcesses(t, dir)
	m := seen.Merged
	if len(seen.Processes) != most || m == nil || m.Count != all+1-most || m.Read != uint64(m.Count)*100 || seen.Dropped != 0 {
		t.Fatalf("%d apart, %+v merged, %d dropped", len(seen.Processes), m, seen.Dropped)
	}
	least, sum, lives := time.Duration(math.MaxInt64), m.CPU, false
	for _, p := range seen.Processes {
		sum += p.CPU
		switch p.PID {
		case 1:
			lives = true
		case all + 1: // the last one, which took the place of the least
		default:
			least = min(least, p.CPU)
		}
	}
	if sum != total+1 || !lives {
		t.Errorf("%v of %v, the living one kept: %v", sum, total+1, lives)
	}
	if least < (all-most)*time.Millisecond {
		t.Errorf("one that used %v is kept apart", least)
	}

	// Where all live there is nothing to merge; those too many are counted.
	dir = t.TempDir()
	s, anchor = createProcesses(t, dir, most)
	for i := range most + 5 {
		if err := s.Put(seenProcess(anchor, i+1, 1, false)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(anchor); err != nil {
		t.Fatal(err)
	}
	if seen := readProcesses(t, dir); len(seen.Processes) != most || seen.Dropped != 5 || seen.Merged != nil {
		t.Errorf("%d apart, %d dropped", len(seen.Processes), seen.Dropped)
	}
}

// TestProcessesFile reads back what was saved, whatever the names hold.
func TestProcessesFile(t *testing.T) {
	nan := math.NaN()
	at := time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)
	rows := []datamodel.Process{
		{
			Kind: datamodel.OneProcess, ID: 0, ParentID: -1, PID: 10, Parent: 1, Name: "a\x1b[2J\n\xff", CommandLine: "a b", Start: at,
			End: at.Add(time.Second), FirstSeen: 0.1, LastSeen: 0.9, Count: 1, CPUTime: 0.5, Provenance: sensors.FromCounter,
			PeakMemory: 1 << 20, Read: 4096, Written: nan, Energy: 12.5,
		},
		{
			Kind: datamodel.UnseenProcesses, ID: 1, ParentID: -1, PID: -1, Parent: -1, FirstSeen: nan, LastSeen: nan, Count: nan,
			CPUTime: 0.25, Provenance: sensors.Sampled, PeakMemory: nan, Read: nan, Written: nan, Energy: nan,
		},
	}
	dir := t.TempDir()
	run := sampleRun()
	if err := errors.Join(saveProcesses(dir, run, rows, datamodel.ProcessColumns(nil)), saveTree(dir, run, sampleTree(1)),
		store.SaveManifest(folderAt(dir), run)); err != nil {
		t.Fatal(err)
	}
	got, err := store.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows[0].Name = strings.ToValidUTF8(rows[0].Name, "\uFFFD") // readers refuse others
	if want := fmt.Sprintf("%+v", rows); fmt.Sprintf("%+v", got.Processes) != want {
		t.Errorf("%+v, want %s", got.Processes, want)
	}
	// A run of before there was such a table has none.
	if err := errors.Join(os.Remove(filepath.Join(dir, store.ProcessesFile)), saveManifest(dir, run)); err != nil {
		t.Fatal(err)
	}
	if got, err = store.Load(dir); err != nil || got.Processes != nil {
		t.Errorf("%v, %v", got.Processes, err)
	}
}

// FuzzProcessSpool holds that no bytes in place of the two files make reading panic, invent processes or name what is
// not in the texts.
func FuzzProcessSpool(f *testing.F) {
	dir := f.TempDir()
	anchor := time.Now()
	s, err := store.CreateProcessSpool(folderAt(dir), 0, anchor, 3)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 5 {
		if err := s.Put(seenProcess(anchor, i, time.Second, i%2 == 0)); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(s.Flush(anchor), s.Close()); err != nil {
		f.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "processes.table"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table, []byte("p0p1p2"))
	f.Add(table[:200], []byte{})
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, 256), []byte("x"))
	f.Fuzz(func(t *testing.T, table, texts []byte) {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "processes.table"), table, 0o600),
			os.WriteFile(filepath.Join(dir, "processes.texts"), texts, 0o600)); err != nil {
			t.Fatal(err)
		}
		seen, err := store.ReadProcesses(folderAt(dir))
		if err != nil {
			return
		}
		if len(seen.Processes) > len(table)/128 {
			t.Errorf("%d processes in %d bytes", len(seen.Processes), len(table))
		}
		for _, p := range seen.Processes {
			if !strings.Contains(string(texts), p.Name+p.CommandLine) || p.CPU < 0 {
				t.Errorf("%+v", p)
			}
		}
		made := func() []datamodel.Process {
			return account.Account(account.OneHost(datamodel.Run{}, datamodel.Ledger{}, nil, seen)).Processes
		}
		rows, again := made(), made()
		if len(rows) < len(seen.Processes) || !reflect.DeepEqual(fmt.Sprint(rows), fmt.Sprint(again)) {
			t.Errorf("%d rows of %d processes", len(rows), len(seen.Processes))
		}
	})
}
