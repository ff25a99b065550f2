package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLacks checks that a missing part is noted. If the machine has the part but the test did not find it, the test fails.
func TestLacks(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "skips")
	t.Setenv(notesFile, notes)
	r := &recorder{TB: t}
	lacks(r, Git, "not in PATH", false)
	lines, err := os.ReadFile(notes)
	if err != nil || string(lines) != "no git\tTestSubject/case\tnot in PATH\n" || r.failed != "" {
		t.Errorf("noted %q, %v; failed with %q", lines, err, r.failed)
	}
	lacks(r, Git, "not in PATH", true)
	if r.failed == "" {
		t.Error("the test does not fail although the machine has the part")
	}
}
