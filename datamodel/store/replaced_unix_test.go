//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestReplacedFolder checks that only a folder that this process has just made is given away. Whoever may write in the folder
// above can put another one in its place.
func TestReplacedFolder(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to give folders away")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(at("full"), 0o700), os.WriteFile(at("full/x"), nil, 0o600), os.Symlink(at("full"), at("link")),
		os.Mkdir(at("theirs"), 0o700), os.Chown(at("theirs"), 65534, 65534),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rights{mode: 0o600, owner: &Owner{UID: 65533, GID: 65533}}
	for name, want := range map[string]error{"new": nil, "full": errReplaced, "link": errLink, "theirs": errReplaced} {
		// As if the folder had been replaced between mkdir and open.
		sub, err := f.openMade(name, r)
		if name == "new" {
			sub, err = f.makeAs(name, r)
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			_ = sub.Close()
		}
	}
	for name, want := range map[string]int{"new": 65533, "full": 0, "full/x": 0, "theirs": 65534} {
		sub, err := os.Open(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, owner, err := (handle{sub}).mode(); err != nil || owner.UID != want {
			t.Errorf("%s belongs to %+v, %v", name, owner, err)
		}
		_ = sub.Close()
	}
}
