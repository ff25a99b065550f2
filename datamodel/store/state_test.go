package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestState holds that what is saved comes back, from the room that was there before, and that anything else is an error.
func TestState(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.LoadState(folderAt(dir)); err == nil {
		t.Error("none: no error")
	}
	reserved, err := store.ReserveState(folderAt(dir), 100)
	if err != nil {
		t.Fatal(err)
	}
	defer reserved.Close()
	if _, err := store.LoadState(folderAt(dir)); err == nil {
		t.Error("only the room for it: no error")
	}
	file := filepath.Join(dir, "run.json")
	room, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	code, wall := 4, 1.81
	run := datamodel.Run{Schema: datamodel.ManifestSchema, ID: "a", ExitCode: &code, Start: time.Unix(1, 0)}
	if err := reserved.Save(store.State{Run: run, Ledger: datamodel.Ledger{WallTime: &wall}}); err != nil { // the longest wins nothing
		t.Fatal(err)
	}
	if err := reserved.Save(store.State{Run: run, Ledger: datamodel.Ledger{WallTime: &wall}}); err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(file); err != nil || now.Size() != room.Size() || !os.SameFile(now, room) {
		t.Errorf("%d bytes, want the %d that were there: %v", now.Size(), room.Size(), err)
	}
	s, err := store.LoadState(folderAt(dir))
	if err != nil || s.Run.ID != "a" || *s.Run.ExitCode != code || *s.Ledger.WallTime != wall {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"{", "[]", `{"run":{"schema":"ergon.run/99"}}`, strings.Repeat(" ", 17<<20)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadState(folderAt(dir)); err == nil {
			t.Errorf("%.20q: no error", text)
		}
	}
}
