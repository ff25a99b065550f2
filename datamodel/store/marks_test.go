package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestMarks checks that marks of several samplers come back, and that a damaged line costs only
// itself.
func TestMarks(t *testing.T) {
	path := t.TempDir()
	dir, err := store.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	if marks, err := store.ReadMarks(dir); marks != nil || err != nil {
		t.Errorf("without a file: %v, %v", marks, err)
	}
	mark := func(at time.Duration, name string) datamodel.Mark {
		return datamodel.Mark{Kind: datamodel.EventMark, Name: name, At: at, PID: 3, Thread: 4, ID: "i", Rank: -1, Value: 0.1}
	}
	first, second := store.NewMarkSpool(dir, 0), store.NewMarkSpool(dir, 2)
	for _, put := range []struct {
		to    *store.MarkSpool
		marks []datamodel.Mark
	}{{first, []datamodel.Mark{mark(5, "b"), mark(9, "d")}}, {second, []datamodel.Mark{mark(7, "c\"\n")}}, {first, []datamodel.Mark{mark(1, "a")}}} {
		if err := put.to.Put(put.marks); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*store.MarkSpool{first, second} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := []datamodel.Mark{mark(5, "b"), mark(9, "d"), mark(1, "a"), mark(7, "c\"\n")}
	if got, err := store.ReadMarks(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	file := filepath.Join(path, "marks.2.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, slices.Concat([]byte("nonsense\n{\"kind\":\"event\",\"at\":-1}\n"), text, text[:len(text)/2]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := store.ReadMarks(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("with damage: %+v, %v", got, err)
	}
}
