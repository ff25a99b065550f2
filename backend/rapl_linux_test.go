package backend

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sensortest"
)

// TestRAPLPermission opens files that only root may read, as on a real machine, as another user. Root takes that user's
// access to files while it opens them. This is a property of the thread.
func TestRAPLPermission(t *testing.T) {
	host := fixture.Host(t, "laptop-psys")
	// The test's own folder is two levels above, in a private folder.
	err := filepath.WalkDir(filepath.Dir(filepath.Dir(host.Sys)), func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.Type()&fs.ModeSymlink != 0:
			return err
		case e.IsDir():
			return os.Chmod(path, 0o755)
		case e.Name() == "energy_uj" && !strings.Contains(path, "intel-rapl:0:"):
			return os.Chmod(path, 0)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = syscall.Setfsuid(0) }() // it cannot fail for root
		const nobody = 65534
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Skip(err)
		}
	}
	source, absences := sensortest.Open(t, rapl(), host)
	if n := len(source.Sensors()); n != 2 {
		t.Errorf("%d zones can be read, want core and uncore", n)
	}
	if len(absences) != 3 {
		t.Errorf("%d zones cannot be read, want 3", len(absences))
	}
	for _, a := range absences {
		if a.Reason != onlyRoot {
			t.Errorf("%s: %q", a.ID, a.Reason)
		}
	}
}

func BenchmarkRAPL(b *testing.B) {
	source, _ := sensortest.Open(b, rapl(), fixture.Host(b, "laptop-psys"))
	dst := make([]float64, len(source.Sensors()))
	b.ReportAllocs()
	for b.Loop() {
		if err := source.Read(dst); err != nil {
			b.Fatal(err)
		}
	}
}
