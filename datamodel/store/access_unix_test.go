//go:build unix

package store_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// nobody is a user without rights.
const nobody = 65534

// withUmask sets the umask for the rest of the test.
func withUmask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// wholeRun makes everything that a run makes on disk, and its tape beside the results folder.
func wholeRun(t *testing.T, results string, a store.Access) (dir string) {
	t.Helper()
	folder, err := store.NewRun(results, "p", anchor, "id", a)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	spool := finishRun(t, folder)
	defer spool.Close()
	tape := store.Tape{Run: datamodel.Run{ID: "id", Command: []string{"true"}}}
	if err := store.SaveTape(results+".tape.zip", tape, spool, nil, a); err != nil {
		t.Fatal(err)
	}
	return folder.Path()
}

// finishRun makes all files in a run's folder. It leaves the spool there.
func finishRun(t *testing.T, folder *store.Folder) (spool *store.Folder) {
	t.Helper()
	spool, err := folder.Make(store.SpoolFolder)
	if err != nil {
		t.Fatal(err)
	}
	run := datamodel.Run{ID: "id", Project: "p", Start: anchor}
	processes, err := store.CreateProcessSpool(spool, 0, anchor, 3)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.CreateSpool(spool, header("cpu", 2))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 2, 10, 5)
	files := folder.Files()
	conversion, err := files.Convert(spool, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, closed := conversion.Close()
	room, err := store.ReserveState(spool, 0)
	for _, err := range []error{
		err, processes.Close(), s.Close(), closed, room.Close(), store.NoteManifest(folder, run),
		files.SaveTree(run, &datamodel.Node{Name: "p"}), files.SaveManifest(run),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return spool
}

// modes returns the mode and owner of everything below dir, and of dir itself, by path relative to dir.
func modes(t *testing.T, dir string) (modes map[string]fs.FileMode, owners map[string][2]uint32) {
	t.Helper()
	modes, owners = map[string]fs.FileMode{}, map[string][2]uint32{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		st, _ := info.Sys().(*syscall.Stat_t)
		modes[rel], owners[rel] = info.Mode(), [2]uint32{st.Uid, st.Gid}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return modes, owners
}

// TestModes checks who may read what a run makes: the folders of project and date follow the umask, and everything of the
// run itself follows --share alone.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o002, 0o022, 0o077} {
		for share, folder := range map[store.Share]fs.FileMode{store.Private: 0o700, store.ShareGroup: 0o750, store.ShareAll: 0o755} {
			withUmask(t, mask)
			top := filepath.Join(t.TempDir(), "top")
			dir := wholeRun(t, filepath.Join(top, "results"), store.Access{Share: share})
			got, _ := modes(t, top)
			inRun, _ := filepath.Rel(top, dir)
			if len(got) < 14 {
				t.Fatalf("only %v", got)
			}
			for path, mode := range got {
				want := fs.ModeDir | 0o777&^fs.FileMode(mask)
				inside, err := filepath.Rel(inRun, path)
				switch isIn := err == nil && filepath.IsLocal(inside); {
				case path == "results/.gitignore":
					want = 0o666 &^ fs.FileMode(mask)
				case path == "results.tape.zip", isIn && !mode.IsDir():
					want = folder & 0o666
				case isIn:
					want = fs.ModeDir | folder
				}
				if mode != want {
					t.Errorf("umask %03o, share %q: %s has %v, want %v", mask, share, path, mode, want)
				}
			}
		}
	}
}

// TestOwner checks that root gives a user all of a run: also the folders above it that were missing, and what is made later
// by somebody who knows only the run's folder, as `ergon recover` does. The group of a setgid folder stays.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to give files away")
	}
	withUmask(t, 0o022)
	const group = 4711
	for _, c := range []struct {
		name   string
		setgid bool
		gid    uint32
	}{{"a user's folder", false, nobody}, {"a group's folder", true, group}} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			if c.setgid {
				if err := os.Chown(top, 0, group); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(top, fs.ModeSetgid|0o775); err != nil {
					t.Fatal(err)
				}
			}
			dir := wholeRun(t, filepath.Join(top, "a", "b"), store.Access{Share: store.ShareGroup, Owner: &store.Owner{UID: nobody, GID: nobody}})
			got, owners := modes(t, filepath.Join(top, "a"))
			for path, owner := range owners {
				if want := [2]uint32{nobody, c.gid}; owner != want && path != "b.tape.zip" {
					t.Errorf("%s: owner %v, want %v", path, owner, want)
				}
				if (got[path]&fs.ModeSetgid != 0) != (c.setgid && got[path].IsDir()) {
					t.Errorf("%s: %v", path, got[path])
				}
			}
			if owner := owners["b.tape.zip"]; owner[0] != nobody {
				t.Errorf("the tape: owner %v", owner)
			}
			if err := os.RemoveAll(filepath.Join(dir, store.SpoolFolder)); err != nil {
				t.Fatal(err)
			}
			folder, err := store.OpenRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			defer finishRun(t, folder).Close()
			_, owners = modes(t, dir)
			for path, owner := range owners {
				if owner != [2]uint32{nobody, c.gid} {
					t.Errorf("made later: %s: owner %v", path, owner)
				}
			}
		})
	}
}

// TestReplacedFile checks that a user's file stays the user's if root replaces it, and that a link to a file of others gives
// nothing away.
func TestReplacedFile(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to replace files of others")
	}
	dir := t.TempDir()
	theirs, ours, link := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours"), filepath.Join(dir, "link")
	for _, err := range []error{
		os.WriteFile(theirs, nil, 0o640), os.Chown(theirs, nobody, 4711), os.WriteFile(ours, nil, 0o600),
		os.Symlink(ours, link), os.Lchown(link, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	fill := func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	}
	for _, path := range []string{theirs, link, filepath.Join(dir, "fresh")} {
		if err := store.WriteFile(path, &store.Owner{UID: 1, GID: 2}, fill); err != nil {
			t.Fatal(err)
		}
	}
	got, owners := modes(t, dir)
	for name, want := range map[string]struct {
		mode  fs.FileMode
		owner [2]uint32
	}{"theirs": {0o640, [2]uint32{nobody, 4711}}, "ours": {0o600, [2]uint32{0, 0}}, "fresh": {0o644, [2]uint32{1, 2}}} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if got[name] != want.mode || owners[name] != want.owner || string(b) != "new" {
			t.Errorf("%s: %v, %v, %q, %v; want %v, %v", name, got[name], owners[name], b, err, want.mode, want.owner)
		}
	}
}
