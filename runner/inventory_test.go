package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/inventory"
	"github.com/ergon-energy/ergon/internal/launch"
)

// counter returns a round that counts the files in a folder.
func counter(dir string, signals <-chan launch.Signal) *round {
	s := &Session{signals: signals}
	s.Inventory.Areas = []inventory.Area{{Name: "d", Path: dir}}
	return &round{Session: s}
}

// TestCountingIsInterrupted has a walk that never ends, as in a file system that does not answer. A signal ends the wait for it.
func TestCountingIsInterrupted(t *testing.T) {
	hang := func(context.Context) error { select {} }
	signals := make(chan launch.Signal, 2)
	for _, after := range []bool{false, true} {
		o := counter(t.TempDir(), signals)
		told := 0
		o.Inventory.OnWait = func(a, done bool) {
			told++
			if a != after || !done {
				t.Errorf("OnWait(%v, %v)", a, done)
			}
		}
		signals <- launch.Signal{Number: os.Interrupt}
		if err := o.counting(t.Context(), after, hang); err == nil || runtime.GOOS != "windows" && err.Error() != "interrupted by SIGINT" {
			t.Errorf("%v", err)
		}
		if stopped := o.end.stopped != nil; stopped == after || told != 1 {
			t.Errorf("after %v: stopped %v, told %d times", after, stopped, told)
		}
	}
	o := counter(t.TempDir(), nil)
	failed := errors.New("failed")
	if err := o.counting(t.Context(), true, func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}

// TestWalkAfterSignal has a signal that comes while the files are counted for the first time. The walk that nobody waits for then
// changes nothing of the round. The race detector watches.
func TestWalkAfterSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 200 {
		signals := make(chan launch.Signal, 1)
		signals <- launch.Signal{Number: os.Interrupt}
		o := counter(dir, signals)
		o.countBefore(t.Context())
		stopped := o.end.stopped != nil
		o.countAfter(t.Context())
		if reason := o.ledger.Inventory.Reason; stopped && !strings.Contains(reason, "interrupted by ") {
			t.Fatalf("stopped, and the files were counted: %q", reason)
		}
	}
}

// TestCountBeforeAndAfter checks the entry of the ledger, and that nobody counts for a result that is not read.
func TestCountBeforeAndAfter(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.x", 1)
	o := counter(dir, nil)
	o.countBefore(t.Context())
	write("b.x", 2)
	o.countAfter(t.Context())
	all := o.ledger.Inventory
	if all == nil || len(all.Areas) != 1 || len(all.Areas[0].Types) != 1 {
		t.Fatalf("%+v", all)
	}
	want := datamodel.FileType{
		Groups: []string{"x"}, Before: datamodel.FileAmount{Files: 1, Bytes: 1}, After: datamodel.FileAmount{Files: 2, Bytes: 3},
		Made: datamodel.FileAmount{Files: 1, Bytes: 2},
	}
	if got := all.Areas[0].Types[0]; got.Groups[0] != "x" || got.Before != want.Before || got.After != want.After || got.Made != want.Made {
		t.Errorf("%+v, want %+v", got, want)
	}
	if a := all.Areas[0]; a.Mount == "" && a.NoSpace == "" || a.Path != dir || a.Reason+a.Unknown+a.Unreadable != "" {
		t.Errorf("%+v", a)
	}

	o = counter(dir, nil)
	o.Unread = true
	o.countBefore(t.Context())
	o.countAfter(t.Context())
	if o.counted != nil || o.ledger.Inventory != nil {
		t.Errorf("an inventory that nobody reads: %+v", o.ledger.Inventory)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	o = counter(dir, nil)
	o.countBefore(cancelled)
	o.countAfter(cancelled)
	if i := o.ledger.Inventory; i == nil || !strings.Contains(i.Reason, "canceled") || len(i.Areas) != 1 {
		t.Errorf("%+v", i)
	}
}

// TestInventoryRoom checks that the state of a run with as many types as there can be fits into the room that is kept for it.
func TestInventoryRoom(t *testing.T) {
	c := inventory.Counted{Area: inventory.Area{Name: strings.Repeat("n", 100), Path: "/" + strings.Repeat("p", 1000)}}
	many := inventory.Amount{Files: 123456789, Bytes: 123456789012345}
	for range inventory.MostTypes {
		c.Rows = append(c.Rows, inventory.Row{
			Groups: []string{"sixteen-letters"}, Before: many, After: many, Made: many, Grown: many, Shrunk: many, Deleted: many,
		})
	}
	run, err := store.TempFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Discard() }()
	room, err := store.ReserveState(run, inventoryRoom)
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(run.Path(), "run.json"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	kept := size()
	state := store.State{Ledger: datamodel.Ledger{Inventory: entriesOf(inventory.Options{}, []inventory.Counted{c})}}
	if err := room.Save(state); err != nil {
		t.Fatal(err)
	}
	if size() != kept {
		t.Errorf("the state takes %d bytes, room for %d was kept", size(), kept)
	}
}
