package runner_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// killed makes the folder of a run whose ergon was killed while the command ran. It has the readings of two sources. If
// another user puts something in the place of the folder, it tries another id.
func killed(t *testing.T, results, id string) *store.Folder {
	t.Helper()
	at := time.Now()
	f, err := store.NewRun(results, "p", at, id, store.Access{})
	for try := 0; err != nil; try++ {
		if try == 20 {
			t.Fatal(err)
		}
		f, err = store.NewRun(results, "p", at, id+"-"+strconv.Itoa(try), store.Access{})
	}
	spool, err := f.Make(store.SpoolFolder)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	for _, source := range []string{"cpu", "disk"} {
		if err := store.Save(spool, []store.Rows{{
			Header: store.SpoolHeader{Source: source, Anchor: at, Sensors: []sensors.Sensor{
				{ID: source + "/time", Family: source, Name: "time", Unit: units.Second, Kind: sensors.Counter},
			}},
			At: []time.Duration{0, time.Second}, Values: []float64{1, 2},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	run := datamodel.Run{ID: id, Project: "p", Start: at, Command: []string{"c"}, Outcome: datamodel.Unfinished}
	if err := store.NoteManifest(f, run); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRecoverOfDamage flips a bit in a spool. The message does not advise to make readable what is damaged.
func TestRecoverOfDamage(t *testing.T) {
	f := killed(t, t.TempDir(), "id")
	dir := f.Path()
	f.Close()
	path := filepath.Join(dir, store.SpoolFolder, "cpu.arrows")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte("cpu/time"))
	if i < 0 {
		t.Fatal("the header does not name its sensor")
	}
	b[i] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Recover(dir, false); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "what could be read is in the result") {
		t.Errorf("%v", err)
	}
}

// TestRecoverKeepsWhatItCannotRead makes one file of a spool unreadable in several ways. The result is made from the rest, the
// spool stays as it is, and once the file can be read again, another recovery completes the result.
func TestRecoverKeepsWhatItCannotRead(t *testing.T) {
	for what, spoil := range map[string]func(path string, was []byte) error{
		"a folder in its place": func(path string, _ []byte) error { return os.Mkdir(path, 0o700) },
		"damaged":               func(path string, was []byte) error { return os.WriteFile(path, was[len(was)/3:], 0o600) },
		"of a later ergon": func(path string, was []byte) error {
			return os.WriteFile(path, bytes.Replace(was, []byte("ergon.spool/"), []byte("ergon.spool?"), 1), 0o600)
		},
		"damaged run.json": func(path string, was []byte) error {
			state := filepath.Join(filepath.Dir(path), "run.json")
			return errors.Join(os.WriteFile(path, was, 0o600), os.WriteFile(state, []byte("{"), 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := killed(t, t.TempDir(), "id")
			dir := f.Path()
			f.Close()
			path := filepath.Join(dir, store.SpoolFolder, "cpu.arrows")
			was, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(path), spoil(path, was)); err != nil {
				t.Fatal(err)
			}
			result, err := runner.Recover(dir, false)
			if err == nil || !strings.Contains(err.Error(), "the readings stay in ") {
				t.Errorf("%v", err)
			}
			if leaf(result.Tree, "disk/time") == nil {
				t.Error("what could be read is not in the result")
			}
			if _, err := os.Lstat(path); err != nil {
				t.Fatalf("the file was removed: %v", err)
			}
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, was, 0o600), os.RemoveAll(filepath.Join(filepath.Dir(path), "run.json"))); err != nil {
				t.Fatal(err)
			}
			if result, err = runner.Recover(dir, false); err != nil || leaf(result.Tree, "cpu/time") == nil {
				t.Errorf("once it can be read: %v", err)
			}
			if r := result.Run.Reason; strings.Count(r, "recovered") != 1 || !result.Run.Recovered {
				t.Errorf("after two recoveries the reason is %q", r)
			}
			if _, err := os.Lstat(filepath.Dir(path)); !os.IsNotExist(err) {
				t.Errorf("the spool is still there: %v", err)
			}
		})
	}
}
